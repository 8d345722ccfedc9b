//! The folder of client keys: one file a client, its name the client's.
//!
//! Made for a mounted Kubernetes Secret, whose entries are links into `..data`, which is swapped as a whole: names with
//! a dot in front are skipped, links are followed. A file that cannot be used is told, and a client who had a key keeps
//! it, because a file that is being written is empty or short for a moment. A file that is gone is a client who is.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Secret;
use super::file::{self, FileError, Trusted};

/// The shortest key, in bytes: what `openssl rand -base64 32` prints is 44.
const MIN_KEY: usize = 16;
/// More than any client needs, and well below the largest header field.
const MAX_KEY: usize = 1024;

/// Client keys by client.
pub type ClientKeys = BTreeMap<String, Secret>;

/// A folder of client keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysDir {
    path: PathBuf,
    trusted: Trusted,
}

/// What a reading found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeysRead {
    /// The keys that are good.
    pub keys: ClientKeys,
    /// What is wrong with the others, file by file, with remedies and without content.
    pub warnings: Vec<String>,
}

/// Two equal ones mean that reading would find the same again. Costs a `stat` a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysFingerprint(Option<BTreeMap<PathBuf, Option<[i64; 6]>>>);

/// Why the folder cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct KeysError {
    path: PathBuf,
    why: &'static str,
    kind: io::ErrorKind,
}

impl KeysError {
    fn new(path: &Path, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "no such folder",
            io::ErrorKind::NotADirectory => "is a file, not a folder",
            io::ErrorKind::PermissionDenied => "permission denied",
            _ => "cannot be read",
        };
        Self { path: path.to_owned(), why, kind: error.kind() }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.kind {
            io::ErrorKind::NotADirectory => {
                "name the folder; it holds one file a client, named like the client"
            }
            io::ErrorKind::PermissionDenied => "the user who runs the proxy must be able to read it",
            _ => "create it, with one file a client: openssl rand -base64 32 > FOLDER/CLIENT",
        }
    }
}

/// Why a key is none.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unfit {
    File(FileError),
    Short,
    Long,
    Character,
    Twin(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(FileError::Exposed { mode }) => {
                write!(f, "is open to every user of this machine (mode {mode:04o}); chmod 600")
            }
            Self::File(error) => error.fmt(f),
            Self::Short => {
                write!(f, "is shorter than {MIN_KEY} bytes; openssl rand -base64 32 makes a good one")
            }
            Self::Long => {
                write!(f, "is longer than {MAX_KEY} bytes; openssl rand -base64 32 makes a good one")
            }
            Self::Character => f.write_str("holds a space or a character that is not ASCII"),
            Self::Twin(other) => write!(f, "is the key of {other} too; each client needs its own"),
        }
    }
}

impl KeysDir {
    /// `trusted` tells which folders may hold files that others can read.
    pub fn new(path: PathBuf, trusted: Trusted) -> Self {
        Self { path, trusted }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads every key. Where a file is there and unfit, the key in `previous` stays good. `is_name` tells which file
    /// names can be a client's.
    pub fn read(&self, previous: &ClientKeys, is_name: fn(&str) -> bool) -> Result<KeysRead, KeysError> {
        let mut found = KeysRead::default();
        for path in self.entries().map_err(|error| KeysError::new(&self.path, &error))? {
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
            let Some(name) = name else {
                found.warnings.push(format!(
                    "{}: not read: a client's name is at most 64 letters, digits, \"-\", \"_\" and \".\"",
                    path.display()
                ));
                continue;
            };
            match self.key(&path, &found.keys) {
                Ok(Some((key, warning))) => {
                    found.warnings.extend(warning);
                    found.keys.insert(name.to_owned(), key);
                }
                Ok(None) => {}
                Err(unfit) => {
                    // Somebody else's key by now is not this client's any more.
                    let kept = previous.get(name).filter(|key| twin(key, &found.keys).is_none());
                    let then = if kept.is_some() { "; the key before stays good" } else { "" };
                    found.warnings.push(format!("{}: {unfit}{then}", path.display()));
                    found.keys.extend(kept.map(|key| (name.to_owned(), key.clone())));
                }
            }
        }
        Ok(found)
    }

    /// Tells whether anything in the folder has changed.
    pub fn fingerprint(&self) -> KeysFingerprint {
        let files = |paths: Vec<PathBuf>| {
            paths
                .into_iter()
                .map(|path| {
                    let of = file::fingerprint(&path);
                    (path, of)
                })
                .collect()
        };
        KeysFingerprint(self.entries().ok().map(files))
    }

    /// In the order of their names, so that of two equal keys it is always the same one that counts.
    fn entries(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// None where there is nothing to read: a folder, or a link whose end is gone.
    fn key(&self, path: &Path, others: &ClientKeys) -> Result<Option<(Secret, Option<String>)>, Unfit> {
        let contents = match file::read(path, &self.trusted) {
            Ok(contents) => contents,
            Err(FileError::Missing | FileError::Directory) => return Ok(None),
            Err(error) => return Err(Unfit::File(error)),
        };
        let key = contents.text;
        match key.expose() {
            text if text.len() < MIN_KEY => Err(Unfit::Short),
            text if text.len() > MAX_KEY => Err(Unfit::Long),
            text if !text.bytes().all(|b| b.is_ascii_graphic()) => Err(Unfit::Character),
            _ => match twin(&key, others) {
                Some(other) => Err(Unfit::Twin(other.to_owned())),
                None => Ok(Some((key, contents.warning))),
            },
        }
    }
}

fn twin<'k>(key: &Secret, others: &'k ClientKeys) -> Option<&'k str> {
    others.iter().find(|(_, other)| *other == key).map(|(name, _)| name.as_str())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("tempdir"))
        }

        fn put(&self, name: &str, content: &str) {
            let path = self.0.path().join(name);
            fs::write(&path, content).expect("write");
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
        }

        fn dir(&self) -> KeysDir {
            KeysDir::new(self.0.path().to_owned(), Trusted::default())
        }

        fn read(&self, previous: &ClientKeys) -> KeysRead {
            let named = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            self.dir().read(previous, named).expect("read")
        }
    }

    fn pairs(read: &KeysRead) -> Vec<(&str, &str)> {
        read.keys.iter().map(|(name, key)| (name.as_str(), key.expose())).collect()
    }

    const A: &str = "aaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbb";

    #[test]
    fn one_file_is_one_client_and_dots_and_folders_are_none() {
        let folder = Folder::new();
        folder.put("etl", &format!("{A}\n"));
        folder.put("bi", B);
        folder.put(".gitkeep", "");
        folder.put("etl~", A);
        fs::create_dir(folder.0.path().join("lost-found")).expect("mkdir");
        let read = folder.read(&ClientKeys::new());
        assert_eq!(pairs(&read), [("bi", B), ("etl", A)]);
        assert_eq!(read.warnings.len(), 1, "{:?}", read.warnings);
        assert!(read.warnings[0].contains("etl~: not read"), "{:?}", read.warnings);
    }

    #[test]
    fn unfit_files_are_told_and_leave_the_key_before_in_force() {
        let folder = Folder::new();
        folder.put("etl", A);
        folder.put("bi", B);
        let before = folder.read(&ClientKeys::new());
        for (content, says) in [
            ("", "is empty"),
            ("short", "shorter than 16 bytes"),
            ("with a space in the middle", "holds a space"),
            (&"x".repeat(1025), "longer than 1024"),
            (B, "is the key of bi too"),
        ] {
            folder.put("etl", content);
            let read = folder.read(&before.keys);
            assert_eq!(pairs(&read), [("bi", B), ("etl", A)], "{content}");
            assert!(read.warnings.len() == 1 && read.warnings[0].contains(says), "{:?}", read.warnings);
            assert!(read.warnings[0].ends_with("the key before stays good"), "{:?}", read.warnings);
            let fresh = folder.read(&ClientKeys::new());
            assert_eq!(pairs(&fresh), [("bi", B)], "{content}");
        }
        fs::set_permissions(folder.0.path().join("bi"), fs::Permissions::from_mode(0o644)).expect("chmod");
        let read = folder.read(&ClientKeys::new());
        assert!(read.warnings.iter().any(|w| w.contains("chmod 600")), "{:?}", read.warnings);
    }

    #[test]
    fn a_file_that_is_gone_is_a_client_who_is_and_a_folder_that_is_gone_is_an_error() {
        let folder = Folder::new();
        folder.put("etl", A);
        let before = folder.read(&ClientKeys::new());
        fs::remove_file(folder.0.path().join("etl")).expect("rm");
        assert_eq!(folder.read(&before.keys), KeysRead::default());
        let gone = KeysDir::new(folder.0.path().join("none"), Trusted::default());
        let error = gone.read(&before.keys, |_| true).expect_err("gone");
        assert!(error.to_string().ends_with("none: no such folder"), "{error}");
    }

    #[test]
    fn a_swap_of_data_changes_the_fingerprint_and_the_keys() {
        let folder = Folder::new();
        let at = |name: &str| folder.0.path().join(name);
        fs::create_dir(at("..1")).and_then(|()| fs::create_dir(at("..2"))).expect("mkdir");
        folder.put("..1/etl", A);
        folder.put("..2/etl", B);
        symlink("..1", at("..data")).expect("link");
        symlink("..data/etl", at("etl")).expect("link");
        symlink("..data/gone", at("gone")).expect("link");
        let (first, read) = (folder.dir().fingerprint(), folder.read(&ClientKeys::new()));
        assert_eq!(pairs(&read), [("etl", A)]);
        assert_eq!(folder.dir().fingerprint(), first);
        symlink("..2", at("..data_tmp"))
            .and_then(|()| fs::rename(at("..data_tmp"), at("..data")))
            .expect("swap");
        assert_ne!(folder.dir().fingerprint(), first);
        assert_eq!(pairs(&folder.read(&read.keys)), [("etl", B)]);
    }
}
