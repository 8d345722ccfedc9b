//! Who else can read a secret file, and whether that is the user's to mend.
//!
//! A file that every local user can open is refused where we own it and `chmod` works. Where somebody else put it
//! there (containers mount secrets as 0444 on a filesystem of their own, owned by root), refusing would help nobody.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::file::{FileError, Trusted};

/// Read or write for everybody. A group is somebody's decision.
const OTHERS: u32 = 0o006;

/// Fine (`None`), a warning, or refused.
pub(super) fn judge(
    file: &File,
    meta: &Metadata,
    path: &Path,
    trusted: &Trusted,
) -> Result<Option<String>, FileError> {
    let mode = meta.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if accepted(&path, mount_point(&path, meta.dev()).as_deref(), trusted) {
        return Ok(None);
    }
    if meta.uid() == rustix::process::geteuid().as_raw() && chmod_works(file) {
        return Err(FileError::Exposed { mode });
    }
    Ok(Some(format!("{} is open to every user of this machine (mode {mode:04o})", path.display())))
}

/// "We run as uid 1000; the file belongs to uid 0 and has mode 0600".
pub(super) fn whose(path: &Path) -> String {
    let us = rustix::process::geteuid().as_raw();
    match std::fs::metadata(path) {
        Ok(meta) => format!(
            "we run as uid {us}, the file belongs to uid {} and has mode {:04o}",
            meta.uid(),
            meta.mode() & 0o7777
        ),
        Err(_) => format!("we run as uid {us}, which may not enter its folder"),
    }
}

fn accepted(path: &Path, mount: Option<&Path>, trusted: &Trusted) -> bool {
    let folders = [Path::new("/run/secrets"), Path::new("/var/run/secrets")];
    let systemd = trusted.credentials_directory.as_deref().and_then(|folder| folder.canonicalize().ok());
    if folders.into_iter().chain(systemd.as_deref()).any(|folder| path.starts_with(folder)) {
        return true;
    }
    let ordinary = [Path::new("/"), Path::new("/home"), Path::new("/tmp"), Path::new("/var/tmp")];
    let temporary = trusted.temporary.as_deref().and_then(|folder| folder.canonicalize().ok());
    mount.is_some_and(|mount| !ordinary.into_iter().chain(temporary.as_deref()).any(|folder| folder == mount))
}

/// The topmost folder, or the file itself, that is on the same device as the file.
#[cfg(target_os = "linux")]
fn mount_point(path: &Path, device: u64) -> Option<PathBuf> {
    let same = |folder: &&Path| std::fs::metadata(folder).is_ok_and(|meta| meta.dev() == device);
    path.ancestors().take_while(same).last().map(Path::to_owned)
}

/// Other systems spread one disk over several devices (macOS: `/Users` is not on the device of `/`), so a device says
/// nothing about who mounted it.
#[cfg(not(target_os = "linux"))]
fn mount_point(_: &Path, _: u64) -> Option<PathBuf> {
    None
}

/// Not on a read-only mount, nor where the mode is made up by the mount options.
fn chmod_works(file: &File) -> bool {
    use rustix::fs::StatVfsMountFlags;

    let read_only = rustix::fs::fstatvfs(file).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
    !read_only && !made_up_mode(file)
}

#[cfg(target_os = "linux")]
fn made_up_mode(file: &File) -> bool {
    // vfat, exfat, ntfs, ntfs3, 9p, cifs, smb2, fuse: see statfs(2).
    const KINDS: [u64; 8] =
        [0x4d44, 0x2011_bab0, 0x5346_544e, 0x7366_746e, 0x0102_1997, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546];
    // The field is signed or not, and 32 or 64 bits wide, by architecture; the numbers are 32 bits.
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        clippy::allow_attributes,
        reason = "depends on the architecture"
    )]
    rustix::fs::fstatfs(file).is_ok_and(|fs| KINDS.contains(&(fs.f_type as u64 & 0xffff_ffff)))
}

#[cfg(not(target_os = "linux"))]
fn made_up_mode(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_mounts_are_accepted_and_ordinary_places_are_not() {
        let temporary = tempfile::tempdir().expect("tempdir");
        let mount = temporary.path().canonicalize().expect("exists");
        let trusted = Trusted { credentials_directory: None, temporary: Some(mount.clone()) };
        let accepts = |path: &str, mount: &str| accepted(Path::new(path), Some(Path::new(mount)), &trusted);
        assert!(accepts("/run/secrets/airbyte", "/run"));
        assert!(accepts("/var/run/secrets/x/y", "/"));
        assert!(accepts("/etc/airbyte/secret", "/etc/airbyte"));
        assert!(accepts("/etc/airbyte/secret", "/etc/airbyte/secret"));
        for (path, mount) in [
            ("/etc/secret", "/"),
            ("/home/me/secret", "/home"),
            ("/tmp/secret", "/tmp"),
            (mount.join("secret").to_str().expect("UTF-8"), mount.to_str().expect("UTF-8")),
            ("/run/secrets-of-mine", "/"),
        ] {
            assert!(!accepts(path, mount), "{path}");
        }
        assert!(!accepted(Path::new("/etc/secret"), None, &trusted));
    }

    #[test]
    fn systemd_credentials_are_accepted() {
        let folder = tempfile::tempdir().expect("tempdir");
        let trusted = Trusted { credentials_directory: Some(folder.path().into()), temporary: None };
        let inside = folder.path().canonicalize().expect("exists").join("client-secret");
        assert!(accepted(&inside, None, &trusted));
        assert!(!accepted(&inside, None, &Trusted::default()));
    }
}
