//! Files that are either whole or absent.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};

/// How the names of files begin that are not whole yet.
const UNFINISHED: &str = ".unfinished-";

/// Replaces `path` by `bytes`: a reader, or a run that follows a crash, sees the old file or the new one, never a part.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("{} is a directory, but a file is to be written there", path.display());
    }
    replace(path, bytes).with_context(|| format!("cannot write {}", path.display()))
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
