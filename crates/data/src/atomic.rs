use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes a file as a whole or not at all: a reader sees the old content or the new, also after a
/// crash.
pub(crate) fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>,
) -> Result<()> {
    let io = |source| Error::io(path, source);
    if path.is_dir() {
        return Err(Error::file(path, "is a directory, expected a file to write"));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = builder().tempfile_in(folder).map_err(io)?;
    let mut writer = BufWriter::with_capacity(1 << 18, temporary.as_file_mut());
    content(&mut writer)?;
    writer.flush().map_err(io)?;
    drop(writer);
    temporary.as_file().sync_all().map_err(io)?;
    temporary.persist(path).map_err(|error| io(error.error))?;
    // The rename itself must reach the disk; not every system can sync a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(unix)]
fn builder() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    // As for any new file: the process's umask decides, not the privacy of temporary files.
    builder.prefix(".foretaste-").permissions(std::fs::Permissions::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".foretaste-");
    builder
}
