//! Secret files: opened so that nothing can hang, judged before they are read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Secret;
use super::content::{InvalidContent, MAX_BYTES, clean};
#[cfg(unix)]
use super::permissions;

/// Folders whose files may be readable by others, because whoever mounts them decides who gets there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trusted {
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials_directory: Option<PathBuf>,
    /// `$TMPDIR`; `/tmp` and `/var/tmp` count as temporary anyway. Never trusted, also as a mount of its own.
    pub temporary: Option<PathBuf>,
}

/// Why a secret file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// `ENOENT`.
    #[error("no such file")]
    Missing,
    /// A folder, as Docker makes of a bind mount whose source is missing.
    #[error("is a directory, not a file")]
    Directory,
    /// Reading would wait for a writer.
    #[error("is a named pipe, not a file")]
    Fifo,
    /// A socket or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// `EACCES`.
    #[error("permission denied: {whose}")]
    Denied {
        /// Who we are and, where it can be told, whose the file is.
        whose: String,
    },
    /// The mode lets every local user in, and `chmod` would mend it.
    #[error("is open to every user of this machine (mode {mode:04o})")]
    Exposed {
        /// Permission bits.
        mode: u32,
    },
    /// See [`InvalidContent`].
    #[error(transparent)]
    Content(#[from] InvalidContent),
    /// Anything else the system says.
    #[error("cannot be read: {0}")]
    Io(io::ErrorKind),
}

/// What was read, and what to tell the user about it.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) text: Secret,
    pub(crate) warning: Option<String>,
}

/// Reads the credential in the file at `path`.
pub(crate) fn read(path: &Path, trusted: &Trusted) -> Result<Contents, FileError> {
    let file = open(path).map_err(|error| from_io(path, &error))?;
    let meta = file.metadata().map_err(|error| from_io(path, &error))?;
    regular(&meta)?;
    let warning = permissions::judge(&file, &meta, path, trusted)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| from_io(path, &error))?;
    Ok(Contents { text: Secret::new(clean(&bytes)?.to_owned()), warning })
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // Opening a named pipe for reading waits for a writer, for ever if there is none.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    options.open(path)
}

fn from_io(path: &Path, error: &io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::Missing,
        io::ErrorKind::IsADirectory => FileError::Directory,
        io::ErrorKind::PermissionDenied => FileError::Denied { whose: permissions::whose(path) },
        kind => FileError::Io(kind),
    }
}

fn regular(meta: &std::fs::Metadata) -> Result<(), FileError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if meta.file_type().is_fifo() {
            return Err(FileError::Fifo);
        }
    }
    match meta.file_type() {
        kind if kind.is_dir() => Err(FileError::Directory),
        kind if kind.is_file() => Ok(()),
        _ => Err(FileError::NotRegular),
    }
}

/// Tells whether the file at `path` has been replaced or rewritten: device, inode, size and times. None: not there.
pub(crate) fn fingerprint(path: &Path) -> Option<[i64; 6]> {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some([
            meta.dev().cast_signed(),
            meta.ino().cast_signed(),
            meta.size().cast_signed(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime().wrapping_mul(1_000_000_000).wrapping_add(meta.ctime_nsec()),
        ])
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::MetadataExt as _;
        let [size, written, created] = [meta.file_size(), meta.last_write_time(), meta.creation_time()];
        Some([size.cast_signed(), written.cast_signed(), created.cast_signed(), 0, 0, 0])
    }
}

#[cfg(not(unix))]
mod permissions {
    //! Access is by list here, not by mode; the folder's list decides.

    use std::fs::{File, Metadata};
    use std::path::Path;

    use super::{FileError, Trusted};

    #[expect(clippy::unnecessary_wraps, reason = "the signature of the other systems")]
    pub(super) fn judge(_: &File, _: &Metadata, _: &Path, _: &Trusted) -> Result<Option<String>, FileError> {
        Ok(None)
    }

    pub(super) fn whose(_: &Path) -> String {
        "this user may not read it".to_owned()
    }
}
