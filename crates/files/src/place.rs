//! What a path names, without following links. Writers ask this before they replace anything, and
//! error messages name what was found.

use std::fs::FileType;
use std::io::ErrorKind;
use std::path::Path;

use crate::{Error, Result};

/// What a path names, links not followed; none where nothing is there.
///
/// # Errors
/// Where the system does not let us look.
pub fn what_is_at(path: &Path) -> Result<Option<FileType>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(reason) if reason.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io(path, source)),
    }
}

/// The kind of a thing, for messages: `a link`, `a directory`, `a file` or `no regular file`.
pub fn kind(found: FileType) -> &'static str {
    match found {
        found if found.is_symlink() => "a link",
        found if found.is_dir() => "a directory",
        found if found.is_file() => "a file",
        _ => "no regular file",
    }
}
