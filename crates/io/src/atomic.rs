//! Write beside, then rename: a file appears under its name only when it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file could not be written; what stood under its name before is untouched.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    /// The file asked for.
    pub path: PathBuf,
    /// Why it could not be written.
    pub source: io::Error,
}

/// Writes `bytes` to `path`, replacing what was there at once or not at all.
///
/// # Errors
/// [`WriteError`] if the folder is missing or unwritable, the disk is full, or `path` is a folder.
///
/// ```
/// # let folder = std::env::temp_dir();
/// let path = folder.join("yuragi-atomic-example.txt");
/// yuragi_io::atomic::write(&path, b"complete")?;
/// assert_eq!(std::fs::read(&path)?, b"complete");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), WriteError> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes `bytes` to `path` if nothing has that name yet; says whether it did.
///
/// # Errors
/// As [`write()`].
pub fn write_new(path: impl AsRef<Path>, bytes: &[u8]) -> Result<bool, WriteError> {
    let path = path.as_ref();
    let new = || {
        if path.symlink_metadata().is_ok() {
            return Ok(false);
        }
        let (beside, mut file) = Beside::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        match beside.link(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // A file system without links: no one else may come between the look and the renaming there.
            Err(_) => beside.rename(path).map(|()| true),
            Ok(()) => Ok(true),
        }
    };
    new().map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Whether `path` can be written, as far as can be told without doing so: a file beside it is made and removed.
///
/// # Errors
/// [`WriteError`] as [`write()`] would give it.
pub fn check(path: impl AsRef<Path>) -> Result<(), WriteError> {
    let path = path.as_ref();
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let result = match fs::metadata(&target) {
        Ok(meta) if meta.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(meta) if !meta.is_file() => Ok(()),
        _ => Beside::create(&target).map(|_| ()),
    };
    result.map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Lets `fill` write a file that appears as `path` when `fill` has succeeded and the bytes are on the disk.
///
/// The bytes go to a hidden file in the same folder, which is removed on any error. A symbolic link is followed;
/// a device or a pipe (`/dev/stdout`) is written directly, since it cannot be replaced.
///
/// # Errors
/// [`WriteError`] with the error of `fill` or of the file system.
pub fn write_with(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), WriteError> {
    let path = path.as_ref();
    replace(path, fill).map_err(|source| WriteError { path: path.to_owned(), source })
}

fn replace(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&target) {
        Ok(meta) if meta.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(meta) if !meta.is_file() => {
            let mut device = BufWriter::new(OpenOptions::new().write(true).open(&target)?);
            fill(&mut device)?;
            return device.flush();
        }
        _ => {}
    }
    let (beside, file) = Beside::create(&target)?;
    let mut writer = BufWriter::new(file);
    fill(&mut writer)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    if let Ok(meta) = fs::metadata(&target) {
        file.set_permissions(meta.permissions())?;
    }
    file.sync_all()?;
    drop(file);
    beside.rename(&target)
}

/// The hidden file, removed when dropped before [`Beside::rename`].
struct Beside(Option<PathBuf>);

impl Beside {
    fn create(target: &Path) -> io::Result<(Self, File)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        loop {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
            let beside = target.with_file_name(hidden);
            match OpenOptions::new().write(true).create_new(true).open(&beside) {
                Ok(file) => return Ok((Self(Some(beside)), file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the file its name, which must be new.
    fn link(&self, target: &Path) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |beside| fs::hard_link(beside, target))
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        if let Some(beside) = &self.0 {
            fs::rename(beside, target)?;
        }
        self.0 = None;
        // The new name is durable once the folder is synced; a file system that cannot do so still has the file.
        #[cfg(unix)]
        if let Some(folder) = target.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(beside) = &self.0 {
            let _ = fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_whole_files_and_leaves_nothing_else() {
        let scratch = Scratch::new();
        let path = scratch.join("a.bin");
        write(&path, &[1; 100_000]).unwrap();
        write(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(names(&scratch), ["a.bin"]);
    }

    #[test]
    fn a_new_file_takes_no_name_that_is_taken() {
        let scratch = Scratch::new();
        let path = scratch.join("a.bin");
        assert!(write_new(&path, b"first").unwrap());
        assert!(!write_new(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(&scratch), ["a.bin"]);
        let error = write_new(scratch.join("none/a.bin"), b"x").unwrap_err();
        assert!(error.to_string().contains("none/a.bin"), "{error}");
    }

    #[test]
    fn a_check_leaves_everything_as_it_was() {
        let scratch = Scratch::new();
        let path = scratch.join("a.bin");
        check(&path).unwrap();
        assert!(names(&scratch).is_empty());
        write(&path, b"old").unwrap();
        check(&path).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), names(&scratch).len()), (&b"old"[..], 1));
        assert_eq!(check(&*scratch).unwrap_err().source.kind(), io::ErrorKind::IsADirectory);
        assert!(check(scratch.join("none/a.bin")).is_err());
        #[cfg(target_os = "linux")]
        assert!(check("/proc/a.bin").is_err() && check("/dev/null").is_ok());
    }

    #[test]
    fn an_error_keeps_the_old_file_and_removes_the_new() {
        let scratch = Scratch::new();
        let path = scratch.join("a.bin");
        write(&path, b"old").unwrap();
        let error = write_with(&path, |file| {
            file.write_all(&[7; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("a.bin"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(&scratch), ["a.bin"]);
    }

    #[test]
    fn names_the_path_of_a_missing_folder_or_a_folder() {
        let scratch = Scratch::new();
        let missing = write(scratch.join("none/a.bin"), b"x").unwrap_err();
        assert_eq!(missing.source.kind(), io::ErrorKind::NotFound);
        assert!(missing.to_string().contains("none/a.bin"), "{missing}");
        let folder = write(&*scratch, b"x").unwrap_err();
        assert_eq!(folder.source.kind(), io::ErrorKind::IsADirectory);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_a_device_stays_a_device() {
        use std::os::unix::fs::FileTypeExt;
        let error = write("/dev/full", b"x").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        write("/dev/null", b"x").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[cfg(unix)]
    #[test]
    fn follows_a_link_and_keeps_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let scratch = Scratch::new();
        let (path, link) = (scratch.join("a.bin"), scratch.join("link"));
        write(&path, b"old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
