//! Where the client id and secret come from, and how they are fetched, again and again where need be.

use std::fmt;
use std::path::PathBuf;

use super::command::{self, CommandError};
use super::content::{InvalidContent, clean};
use super::file::{self, FileError, Trusted};
use super::{ClientCredentials, Secret};

/// Both halves of the credentials, from one layer of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    id: Half,
    secret: Half,
    trusted: Trusted,
}

/// One half: where it was named, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Half {
    /// `AIRBYTE_CLIENT_ID`, `x.toml:3: credentials.client_secret_file`: the beginning of every message about it.
    pub place: String,
    /// How to get it.
    pub origin: Origin,
}

/// How to get one half.
#[derive(Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is here already. A client id is wrapped all the same.
    Value(Secret),
    /// In a file, read at each load.
    File {
        /// Which.
        path: PathBuf,
        /// It was written without a folder, so it may be the secret itself in the wrong place, and is not shown.
        bare: bool,
    },
    /// Printed by a program: its name and arguments.
    Command(Vec<String>),
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(secret) => secret.fmt(f),
            Self::File { bare: true, .. } => f.write_str("file"),
            Self::File { path, .. } => write!(f, "file {}", path.display()),
            Self::Command(argv) => write!(f, "command {:?}", argv.first()),
        }
    }
}

/// Why there are no credentials, and where they were to come from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {kind}")]
pub struct SecretError {
    /// Which key, variable or flag.
    pub place: String,
    /// What is wrong.
    pub kind: SecretErrorKind,
}

/// What is wrong with one half.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretErrorKind {
    /// Of a value that was given directly.
    #[error(transparent)]
    Value(InvalidContent),
    /// Of a file.
    #[error("{}{error}", path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default())]
    File {
        /// None where it may be the secret itself.
        path: Option<String>,
        /// What.
        error: FileError,
    },
    /// Of a program.
    #[error(transparent)]
    Command(CommandError),
}

impl SecretError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            SecretErrorKind::Value(_) => Some(ALONE.to_owned()),
            SecretErrorKind::File { path: None, .. } => Some(
                "write the whole path; the value is not shown, because it may be the secret itself"
                    .to_owned(),
            ),
            SecretErrorKind::File { path: Some(path), error } => file_hint(path, error),
            SecretErrorKind::Command(_) => {
                Some("run the command by hand, as the same user, and see what it says".to_owned())
            }
        }
    }
}

impl Source {
    /// `trusted` tells which folders may hold files that others can read.
    pub fn new(id: Half, secret: Half, trusted: Trusted) -> Self {
        Self { id, secret, trusted }
    }

    /// Fetches both halves. Commands run each time, for at most 30 s.
    pub async fn load(&self) -> Result<ClientCredentials, SecretError> {
        let client_id = self.fetch(&self.id).await?;
        let client_secret = self.fetch(&self.secret).await?;
        Ok(ClientCredentials { client_id: client_id.expose().to_owned(), client_secret })
    }

    /// What can be said without running anything: warnings, or everything wrong with values and files.
    pub fn inspect(&self) -> Result<Vec<String>, Vec<SecretError>> {
        let mut warnings = Vec::new();
        let mut errors = Vec::new();
        for half in [&self.id, &self.secret] {
            match half.read(&self.trusted) {
                Some(Ok(contents)) => {
                    warnings.extend(contents.warning.map(|warning| format!("{}: {warning}", half.place)));
                }
                Some(Err(error)) => errors.push(error),
                None => {}
            }
        }
        if errors.is_empty() { Ok(warnings) } else { Err(errors) }
    }

    /// Two equal fingerprints mean that [`load`](Self::load) would yield the same again, as far as files go. Costs a
    /// `stat` per file.
    pub fn fingerprint(&self) -> Fingerprint {
        let of = |half: &Half| match &half.origin {
            Origin::File { path, .. } => file::fingerprint(path),
            Origin::Value(_) | Origin::Command(_) => None,
        };
        Fingerprint([of(&self.id), of(&self.secret)])
    }

    /// Whether files are involved, so that polling the fingerprint makes sense.
    pub fn has_files(&self) -> bool {
        [&self.id, &self.secret].iter().any(|half| matches!(half.origin, Origin::File { .. }))
    }

    /// Whether programs are run, which nothing but the token endpoint's answer tells to be run again.
    pub fn has_command(&self) -> bool {
        [&self.id, &self.secret].iter().any(|half| matches!(half.origin, Origin::Command(_)))
    }

    /// The client id's half.
    pub fn id(&self) -> &Half {
        &self.id
    }

    /// The client secret's half.
    pub fn secret(&self) -> &Half {
        &self.secret
    }

    async fn fetch(&self, half: &Half) -> Result<Secret, SecretError> {
        if let Origin::Command(argv) = &half.origin {
            return command::run(argv).await.map_err(|error| half.error(SecretErrorKind::Command(error)));
        }
        let (reader, trusted) = (half.clone(), self.trusted.clone());
        // Files may be on a network's disk.
        let read = tokio::task::spawn_blocking(move || reader.read(&trusted)).await;
        match read {
            Ok(Some(contents)) => contents.map(|contents| contents.text),
            // Only while the runtime is going down.
            Ok(None) | Err(_) => Err(half.error(SecretErrorKind::Value(InvalidContent::Empty))),
        }
    }
}

impl Half {
    /// None for a command, which only [`Source::load`] runs.
    fn read(&self, trusted: &Trusted) -> Option<Result<file::Contents, SecretError>> {
        match &self.origin {
            Origin::Value(value) => Some(
                clean(value.expose().as_bytes())
                    .map(|text| file::Contents { text: Secret::new(text.to_owned()), warning: None })
                    .map_err(|error| self.error(SecretErrorKind::Value(error))),
            ),
            Origin::File { path, bare } => Some(file::read(path, trusted).map_err(|error| {
                let hidden = *bare && matches!(error, FileError::Missing | FileError::Io(_));
                let path = (!hidden).then(|| path.display().to_string());
                self.error(SecretErrorKind::File { path, error })
            })),
            Origin::Command(_) => None,
        }
    }

    fn error(&self, kind: SecretErrorKind) -> SecretError {
        SecretError { place: self.place.clone(), kind }
    }
}

const ALONE: &str = "it must hold what Airbyte shows, and nothing else";

/// See [`Source::fingerprint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint([Option<[i64; 6]>; 2]);

fn file_hint(path: &str, error: &FileError) -> Option<String> {
    let path = shell_quoted(path);
    match error {
        FileError::Exposed { .. } => Some(format!("chmod 600 {path}")),
        FileError::Denied { .. } => Some(format!("make it this user's (chown), then chmod 600 {path}")),
        FileError::Fifo => Some("for a program's output use credentials.client_secret_command".to_owned()),
        FileError::Directory => Some("a container's mount of a missing file is a directory".to_owned()),
        FileError::Missing => Some("create it, or correct the path".to_owned()),
        FileError::Content(_) => Some(ALONE.to_owned()),
        FileError::NotRegular | FileError::Io(_) => None,
    }
}

fn shell_quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn value(text: &str) -> Origin {
        Origin::Value(Secret::new(text.to_owned()))
    }

    fn source(secret: Origin) -> Source {
        let half = |place: &str, origin| Half { place: place.to_owned(), origin };
        Source::new(half("ID", value("an-id\n")), half("SECRET", secret), Trusted::default())
    }

    fn command(argv: &[&str]) -> Source {
        source(Origin::Command(argv.iter().map(|argument| (*argument).to_owned()).collect()))
    }

    fn file(path: &Path) -> Source {
        source(Origin::File { path: path.to_owned(), bare: false })
    }

    fn written(folder: &Path, content: &[u8], mode: u32) -> Source {
        let path = folder.join("secret");
        fs::write(&path, content).expect("write");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
        file(&path)
    }

    async fn secret_of(source: &Source) -> Result<String, String> {
        let loaded = source.load().await.map_err(|error| error.to_string())?;
        assert_eq!(loaded.client_id, "an-id");
        Ok(loaded.client_secret.expose().to_owned())
    }

    #[tokio::test]
    async fn every_way_yields_the_secret() {
        let folder = tempfile::tempdir().expect("tempdir");
        assert_eq!(secret_of(&source(value("s3cret"))).await.as_deref(), Ok("s3cret"));
        assert_eq!(secret_of(&written(folder.path(), b"s3cret\n", 0o600)).await.as_deref(), Ok("s3cret"));
        assert_eq!(
            secret_of(&command(&["echo", "s3cret; no shell"])).await.as_deref(),
            Ok("s3cret; no shell")
        );
    }

    #[tokio::test]
    async fn a_file_open_to_everybody_is_refused_with_the_chmod_to_run() {
        let folder = tempfile::tempdir().expect("tempdir");
        for mode in [0o644, 0o604, 0o602] {
            let source = written(folder.path(), b"s3cret", mode);
            let errors = source.inspect().expect_err("exposed");
            let path = folder.path().join("secret");
            assert_eq!(errors[0].hint(), Some(format!("chmod 600 {}", path.display())), "{mode:o}");
            assert_eq!(source.load().await.as_ref(), Err(&errors[0]));
        }
        assert_eq!(written(folder.path(), b"s3cret", 0o640).inspect(), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_mounted_folder_of_credentials_may_be_readable() {
        let folder = tempfile::tempdir().expect("tempdir");
        let mut source = written(folder.path(), b"s3cret", 0o444);
        source.trusted.credentials_directory = Some(folder.path().to_owned());
        assert_eq!(secret_of(&source).await.as_deref(), Ok("s3cret"));
    }

    #[tokio::test]
    async fn what_is_no_secret_file_is_named() {
        let folder = tempfile::tempdir().expect("tempdir");
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
        assert!(made.success());
        for (path, says) in [
            (folder.path().join("none"), "no such file"),
            (folder.path().to_owned(), "is a directory"),
            (fifo, "is a named pipe"),
            ("/dev/null".into(), "is not a regular file"),
        ] {
            let told = secret_of(&file(&path)).await.expect_err(says);
            assert!(told.starts_with("SECRET: /") && told.contains(says), "{told}");
        }
        for (content, says) in [(&b""[..], "is empty"), (b" \n", "is blank"), (b"a\0", "a NUL byte")] {
            let told = secret_of(&written(folder.path(), content, 0o600)).await.expect_err(says);
            assert!(told.contains(says), "{told}");
        }
    }

    #[tokio::test]
    async fn a_secret_in_place_of_its_file_is_not_shown() {
        let source = source(Origin::File { path: "/etc/hunter2".into(), bare: true });
        let error = source.load().await.expect_err("no file");
        let told = format!("{error} {:?} {error:?} {source:?}", error.hint());
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[tokio::test]
    async fn a_failing_command_says_how_and_shows_nothing() {
        for (argv, says) in [
            (&["sh", "-c", "echo hunter2; echo hunter2 >&2; exit 3"][..], "sh ended with exit code 3"),
            (&["sh", "-c", "echo hunter2; kill -9 $$"], "sh ended with signal 9"),
            (&["true", "hunter2"], "the output of true is empty"),
            (&["printf", "hunter2\nhunter2"], "contains a line break"),
            (&["no-such-program-anywhere", "hunter2"], "cannot start no-such-program-anywhere"),
            (&["yes", "hunter2"], "is larger than 64 KiB"),
        ] {
            let source = command(argv);
            let error = source.load().await.expect_err(says);
            assert!(error.to_string().contains(says), "{error}");
            assert!(!format!("{error} {error:?} {source:?} {:?}", error.hint()).contains("hunter2"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_has_30_seconds() {
        let told = secret_of(&command(&["sleep", "600"])).await.expect_err("late");
        assert_eq!(told, "SECRET: sleep did not end within 30 s");
    }

    #[test]
    fn a_rewritten_file_has_another_fingerprint() {
        let folder = tempfile::tempdir().expect("tempdir");
        let source = written(folder.path(), b"one", 0o600);
        let before = source.fingerprint();
        assert_eq!(before, source.fingerprint());
        fs::write(folder.path().join("other"), b"two").expect("write");
        fs::rename(folder.path().join("other"), folder.path().join("secret")).expect("rename");
        assert_ne!(before, source.fingerprint());
        assert!(source.has_files() && !command(&["true"]).has_files());
    }
}
