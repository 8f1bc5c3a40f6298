//! Writing files so that a reader, or a run after a crash, sees the old content or the new, never a
//! part of it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::place::{kind, what_is_at};
use crate::{Error, Result};

/// How the names of files begin that are not whole yet.
const UNFINISHED: &str = ".unfinished-";
const BUFFER: usize = 1 << 18;

/// Writes a file of these bytes, in the place of the file that is there.
///
/// # Errors
/// As [`check`], and where the system refuses.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes).map_err(|source| Error::io(path, source)))
}

/// The same of a file that `content` writes; if that fails, nothing is replaced or left behind.
///
/// # Errors
/// As [`write()`], and what `content` returns.
pub fn write_with<E: From<Error>>(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<&mut File>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    check(path)?;
    let io = |source| Error::io(path, source);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = new_file().tempfile_in(folder).map_err(io)?;
    let mut writer = BufWriter::with_capacity(BUFFER, temporary.as_file_mut());
    content(&mut writer)?;
    writer.flush().map_err(io)?;
    drop(writer);
    temporary.as_file().sync_all().map_err(io)?;
    temporary.persist(path).map_err(|error| io(error.error))?;
    // The name is safe once its folder is on disk; not every system can sync a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Checks that a file may be written at `path`: what is no regular file, such as a link or a
/// directory, is never replaced.
///
/// # Errors
/// [`Error::NoFile`] where such a thing is there.
pub fn check(path: &Path) -> Result<()> {
    match what_is_at(path)? {
        Some(found) if !found.is_file() => {
            Err(Error::NoFile { path: path.to_owned(), found: kind(found) })
        }
        _ => Ok(()),
    }
}

/// Whether the file is what a crash left of [`write()`].
pub fn is_unfinished(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED))
}

/// Removes what crashes left in `folder`, as far as that is possible; no reader sees it.
pub fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| is_unfinished(path)) {
        let _ = fs::remove_file(path);
    }
}

/// Temporary files are private by default; ours are ordinary files under the user's umask.
fn new_file() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn only_regular_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, dangling] =
            ["file", "link", "dangling"].map(|name| folder.path().join(name));
        write(&file, b"old").unwrap();
        write(&file, b"new").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nothing"), &dangling).unwrap();
        for (path, what) in
            [(&link, "a link"), (&dangling, "a link"), (&folder.path().to_owned(), "a directory")]
        {
            let message = write(path, b"newer").unwrap_err().to_string();
            assert!(
                message.contains(&format!("is {what}, but a file is to be written there")),
                "{message}"
            );
        }
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink() && dangling.is_symlink());
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"half").unwrap();
            Err(Error::io(&path, std::io::Error::other("enough")))
        });
        assert!(failed.unwrap_err().to_string().ends_with("enough"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, theirs] = [".unfinished-a1", "finished"].map(|name| folder.path().join(name));
        [&ours, &theirs].into_iter().for_each(|path| fs::write(path, "half").unwrap());
        sweep(folder.path());
        assert!(!ours.exists() && theirs.exists());
    }
}
