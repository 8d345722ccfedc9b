//! What is wrong with the configuration, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the built-in default.
    Default,
    /// In the configuration file.
    File {
        /// As the user named it.
        path: PathBuf,
        /// From 1; none where the problem is the file itself.
        line: Option<usize>,
    },
    /// In this environment variable.
    Env(String),
    /// By this flag, written with its hyphens.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Env(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// What is wrong with one value, before it is known where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says where. `key` is repeated only in a file, where the place alone does not name it.
    pub(crate) fn at(self, origin: &Origin, key: &str) -> Problem {
        let place = match origin {
            Origin::File { .. } => format!("{origin}: {key}"),
            Origin::Default => key.to_owned(),
            Origin::Env(_) | Origin::Flag(_) => origin.to_string(),
        };
        Problem { place: Some(place), what: self.what, hint: self.hint }
    }
}

/// One thing the user has to mend: `place: what`, and a `hint:` line below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub(crate) place: Option<String>,
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl From<&crate::secret::SecretError> for Problem {
    fn from(error: &crate::secret::SecretError) -> Self {
        Self { place: Some(error.place.clone()), what: error.kind.to_string(), hint: error.hint() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)?;
        for line in self.hint.iter().flat_map(|hint| hint.lines()) {
            write!(f, "\n  hint: {line}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, at once; never empty where it is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Each problem, in the order in which the layers were read.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
