//! Where a secret is kept for later: the keychain of this session, or a file that is ours alone.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::command::{self, CommandError};
use super::{ClientCredentials, Secret};

/// Under this name the keychain knows us.
const SERVICE: &str = "airbyte-proxy";
/// Long enough for a person to unlock it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A keychain that a program gives access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keychain {
    /// `secret-tool`, of libsecret: GNOME Keyring, `KWallet`.
    SecretTool,
    /// `security`, of macOS.
    Security,
}

/// Why the keychain does not keep it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeychainError {
    /// The program is not installed, or cannot be started.
    #[error("{0} cannot be started")]
    Missing(&'static str),
    /// It ended with an error, or not at all.
    #[error("{0} did not take it")]
    Refused(&'static str),
    /// The secret has characters that its command language cannot quote.
    #[error("{0} cannot be given this secret")]
    Unfit(&'static str),
    /// What it gives back is something else.
    #[error("{0} does not give it back")]
    Lost(&'static str),
}

impl Keychain {
    /// That of this system. On Linux it is behind the session bus, so without one there is none.
    pub fn of_session(has_bus: bool) -> Option<Self> {
        if cfg!(target_os = "macos") {
            return Some(Self::Security);
        }
        (cfg!(unix) && has_bus).then_some(Self::SecretTool)
    }

    /// What is run for it.
    pub fn program(self) -> &'static str {
        match self {
            Self::SecretTool => "secret-tool",
            Self::Security => "security",
        }
    }

    /// Keeps the secret, and makes sure that it is to be had again. Returns the command that prints it.
    pub async fn keep(self, credentials: &ClientCredentials) -> Result<Vec<String>, KeychainError> {
        let (arguments, input) = self.stores(credentials).ok_or(KeychainError::Unfit(self.program()))?;
        let told = tokio::time::timeout(PATIENCE, tell(self.program(), &arguments, &input)).await;
        match told {
            Ok(Ok(true)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeychainError::Missing(self.program()));
            }
            Ok(Ok(false) | Err(_)) | Err(_) => return Err(KeychainError::Refused(self.program())),
        }
        let command = self.prints(&credentials.client_id);
        let back: Result<Secret, CommandError> = command::run(&command).await;
        if back.as_ref() == Ok(&credentials.client_secret) {
            Ok(command)
        } else {
            Err(KeychainError::Lost(self.program()))
        }
    }

    /// Arguments, and what to write to its standard input: a secret among the arguments could be read by every user.
    fn stores(self, credentials: &ClientCredentials) -> Option<(Vec<String>, Secret)> {
        let (id, secret) = (credentials.client_id.as_str(), &credentials.client_secret);
        let owned = |arguments: &[&str]| arguments.iter().map(|one| (*one).to_owned()).collect();
        match self {
            Self::SecretTool => {
                let label = "--label=airbyte-proxy client secret";
                Some((owned(&["store", label, "service", SERVICE, "client-id", id]), secret.clone()))
            }
            Self::Security => {
                let plain =
                    |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\`$".contains(&b));
                let line =
                    format!("add-generic-password -U -s {SERVICE} -a \"{id}\" -w \"{}\"\n", secret.expose());
                (plain(id) && plain(secret.expose())).then(|| (owned(&["-i"]), Secret::new(line)))
            }
        }
    }

    fn prints(self, id: &str) -> Vec<String> {
        let arguments = match self {
            Self::SecretTool => ["secret-tool", "lookup", "service", SERVICE, "client-id", id].to_vec(),
            Self::Security => ["security", "find-generic-password", "-s", SERVICE, "-a", id, "-w"].to_vec(),
        };
        arguments.into_iter().map(str::to_owned).collect()
    }
}

/// Whether `program` took `input` and ended well. What it prints is dropped.
async fn tell(program: &str, arguments: &[String], input: &Secret) -> io::Result<bool> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may have ended without reading; its exit code tells.
        let _ = stdin.write_all(input.expose().as_bytes()).await;
    }
    Ok(child.wait().await?.success())
}

/// Writes a file that only its owner can read, whole or not at all, its folders included. A file that is there stays,
/// unless it is to be replaced.
pub fn write_private(path: &Path, content: &str, replace: bool) -> io::Result<()> {
    // Behind a link is what is meant, not the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    private_folder(folder)?;
    let unfinished = folder.join(format!(".airbyte-proxy-{:016x}", fastrand::u64(..)));
    let written = private_file(&unfinished, content).and_then(|()| put(&unfinished, &path, replace));
    if written.is_err() {
        // There may be none.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn put(from: &PathBuf, to: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return fs::rename(from, to);
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

fn private_file(path: &Path, content: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn a_private_file_is_ours_alone_and_replaced_only_if_told_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/file");
        write_private(&path, "one", false).expect("written");
        assert_eq!((mode(&path), mode(&folder.path().join("a"))), (0o600, 0o700));
        let error = write_private(&path, "two", false).expect_err("there already");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("read"), "one");
        write_private(&path, "three", true).expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("read"), "three");
        let left: Vec<_> = fs::read_dir(path.parent().expect("a folder")).expect("read").collect();
        assert_eq!(left.len(), 1, "nothing unfinished stays");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "one").expect("written");
        symlink(&real, &link).expect("linked");
        write_private(&link, "two", true).expect("replaced");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("read"), "two");
    }

    #[test]
    fn no_secret_is_an_argument_and_none_breaks_out_of_its_quotes() {
        let pair = |secret: &str| ClientCredentials {
            client_id: "an-id".to_owned(),
            client_secret: Secret::new(secret.to_owned()),
        };
        for keychain in [Keychain::SecretTool, Keychain::Security] {
            let (arguments, input) = keychain.stores(&pair("hunter2")).expect("fit");
            assert!(!arguments.concat().contains("hunter2"), "{arguments:?}");
            assert!(input.expose().contains("hunter2"));
        }
        for secret in ["a\"b", "a b", "a\nb", "a\\b", "ü"] {
            assert!(Keychain::Security.stores(&pair(secret)).is_none(), "{secret:?}");
        }
    }
}
