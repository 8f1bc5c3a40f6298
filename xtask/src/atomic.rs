//! Files that are either whole or absent.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};

use crate::target::{kind, what_is_at};

/// How the names of files begin that are not whole yet.
const UNFINISHED: &str = ".unfinished-";

/// Replaces `path` by `bytes`: a reader, or a run that follows a crash, sees the old file or the
/// new one, never a part.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    check(path)?;
    replace(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Checks that [`write()`] may write `path`: what is no regular file, such as a link or a
/// directory, is never replaced.
///
/// # Errors
/// Where such a thing is there.
pub fn check(path: &Path) -> anyhow::Result<()> {
    match what_is_at(path)? {
        Some(found) if !found.is_file() => {
            bail!(
                "{} is {}, but a file is to be written there; move it away",
                path.display(),
                kind(found)
            )
        }
        _ => Ok(()),
    }
}

/// Whether the file is what a crash left of [`write()`].
pub fn is_unfinished(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED))
}

/// Removes what crashes left in `folder`, as far as that is possible: nobody reads it.
pub fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| is_unfinished(path)) {
        let _ = fs::remove_file(path);
    }
}

fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("a file needs a folder")?;
    let mut file = new_file().tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Temporary files are private by default; results are ordinary files under the user's umask.
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
}
