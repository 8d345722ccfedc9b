//! The ceiling: what the owner of a machine leaves to its users, whatever their flags, variables and files say.
//!
//! A file that root alone can change, at a fixed place. Nothing that a user controls says where it is; tests pass
//! another place as an argument, which no command line reaches. It can only take away, so a file that somebody else
//! wrote, or that cannot be read or understood, ends the start: going on without it would be a way around it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::keys::PRESETS;
use super::lists;
use super::problem::{Problem, Wrong};
use super::raw::Raw;
use super::validate::access;
use crate::guard::Ceiling;

const MAX_FILE: u64 = 1024 * 1024;
/// What stands in the file, for whoever has to mend it.
const FORM: &str = "read_only, preset, rules and allow_credentials are all it may hold";

/// Where a ceiling is, and who must own it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeilingFile {
    path: PathBuf,
    owner: u32,
}

impl CeilingFile {
    /// That of this machine: root's `/etc/airbyte-proxy/policy.toml`.
    pub fn system() -> Self {
        Self::new("/etc/airbyte-proxy/policy.toml", 0)
    }

    /// Another one, owned by the user `owner`: for tests.
    pub fn new(path: impl Into<PathBuf>, owner: u32) -> Self {
        Self { path: path.into(), owner }
    }

    /// None where there is no such file.
    pub(super) fn read(&self) -> Result<Option<Ceiling>, Problem> {
        let told = |wrong: Wrong| Problem {
            place: Some(self.path.display().to_string()),
            what: wrong.what,
            hint: wrong.hint,
        };
        let Some(text) = self.load().map_err(told)? else { return Ok(None) };
        parse(&text, &self.path).map(Some).map_err(told)
    }

    fn load(&self) -> Result<Option<String>, Wrong> {
        let unreadable = |error: &io::Error| {
            Wrong::new(format!("the ceiling of this machine cannot be read: {}", error.kind()))
                .hint("chmod 644, and 755 for its folder, or the proxy does not start")
        };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(&error)),
        };
        self.check_owner(&file).map_err(|error| unreadable(&error))??;
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
        Ok(Some(text))
    }

    /// Of the file that was opened, and of its folder, in which it could be exchanged.
    #[cfg(unix)]
    fn check_owner(&self, file: &File) -> io::Result<Result<(), Wrong>> {
        use std::os::unix::fs::MetadataExt as _;

        let folder = self.path.parent().unwrap_or(&self.path);
        for (what, meta) in [("it", file.metadata()?), ("its folder", std::fs::metadata(folder)?)] {
            let foreign = (meta.uid() != self.owner).then(|| format!("belongs to uid {}", meta.uid()));
            let open = (meta.mode() & 0o022 != 0)
                .then(|| format!("can be changed by others (mode {:04o})", meta.mode() & 0o7777));
            if let Some(why) = foreign.or(open) {
                let wrong = Wrong::new(format!(
                    "a ceiling is for uid {} alone to change, but {what} {why}",
                    self.owner
                ));
                let hint = "chown root:root and chmod go-w, or remove the file";
                return Ok(Err(wrong.hint(hint)));
            }
        }
        Ok(Ok(()))
    }

    /// Without owners there are no ceilings.
    #[cfg(not(unix))]
    fn check_owner(&self, _: &File) -> io::Result<Result<(), Wrong>> {
        Ok(Err(Wrong::new("ceilings are for systems with file owners").hint("remove the file")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    preset: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default = "yes")]
    allow_credentials: bool,
}

fn yes() -> bool {
    true
}

fn parse(text: &str, path: &Path) -> Result<Ceiling, Wrong> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        Wrong::new(format!("{line}{}", error.message())).hint(FORM)
    })?;
    let preset = written.preset.as_deref().unwrap_or("full");
    if !PRESETS.contains(&preset) {
        return Err(Wrong::new(format!("preset must be one of {}", PRESETS.join(", "))).hint(FORM));
    }
    let mut rules = Vec::with_capacity(written.rules.len());
    for text in written.rules {
        let rule = lists::rule(&Raw::Text(text)).map_err(|wrong| {
            if wrong.hint.is_some() { wrong } else { wrong.hint("rules = [\"deny DELETE /**\"]") }
        })?;
        if rule.clients().next().is_some() {
            let wrong = Wrong::new(format!("rule \"{rule}\" names a client"));
            return Err(wrong.hint("leave it out: users name clients as they like"));
        }
        rules.push(rule);
    }
    Ok(Ceiling {
        access: access(written.read_only, preset),
        rules,
        allow_credentials: written.allow_credentials,
        source: path.display().to_string(),
    })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::guard::Access;

    fn read(text: &str, mode: u32, owner: impl Fn(u32) -> u32) -> Result<Option<Ceiling>, String> {
        let folder = tempfile::tempdir().expect("tempdir");
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        let us = rustix::process::geteuid().as_raw();
        CeilingFile::new(path, owner(us)).read().map_err(|problem| problem.to_string())
    }

    fn ours(text: &str) -> Result<Option<Ceiling>, String> {
        read(text, 0o644, |us| us)
    }

    #[test]
    fn what_is_written_is_what_holds() {
        let ceiling =
            ours("preset = \"sync-only\"\nrules = [\"deny DELETE /**\"]\nallow_credentials = false");
        let ceiling = ceiling.expect("valid").expect("there");
        assert_eq!((ceiling.access, ceiling.allow_credentials), (Access::SyncOnly, false));
        assert_eq!(ceiling.rules.len(), 1);
        let tightest = ours("preset = \"sync-only\"\nread_only = true").expect("valid").expect("there");
        assert_eq!(tightest.access, Access::ReadOnly);
        assert!(!ours("").expect("valid").expect("there").restricts());
    }

    #[test]
    fn a_file_that_is_not_there_is_no_ceiling() {
        for path in ["/nonexistent/policy.toml", "/dev/null/policy.toml"] {
            assert_eq!(CeilingFile::new(path, 0).read(), Ok(None));
        }
    }

    #[test]
    fn what_others_could_have_written_is_refused() {
        for (mode, owner, says) in [
            (0o664, 0, "it can be changed by others (mode 0664)"),
            (0o646, 0, "it can be changed by others (mode 0646)"),
            (0o644, 1, "it belongs to uid"),
        ] {
            let told = read("", mode, |us| us + owner).expect_err(says);
            assert!(told.contains(says) && told.contains("hint: chown"), "{told}");
        }
        let folder = tempfile::tempdir().expect("tempdir");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, "").expect("write");
        let us = rustix::process::geteuid().as_raw();
        let told = CeilingFile::new(path, us).read().expect_err("open folder").to_string();
        assert!(told.contains("its folder can be changed by others (mode 0777)"), "{told}");
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for (text, says) in [
            ("read_only = \"yes\"", "line 1: "),
            ("\nreadonly = true", "line 2: "),
            ("preset = \"everything\"", "one of full, read-only, sync-only"),
            ("rules = [\"deny /jobs\"]", "is no rule"),
            ("rules = [\"allow * /jobs as etl\"]", "names a client"),
            ("= 1", "line 1: "),
        ] {
            let told = ours(text).expect_err(text);
            assert!(told.contains(says) && told.contains("hint: "), "{told}");
        }
    }
}
