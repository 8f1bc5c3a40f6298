//! Reading files of unknown origin: no file, whatever its size or kind, makes the program take more
//! memory than the caller allows.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result, kind};

/// Opens a regular file, with its length; links are followed.
///
/// # Errors
/// [`Error::Io`] where it cannot be opened, [`Error::Refused`] where it is no regular file.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |reason| Error::io(path, reason);
    let found = path.metadata().map_err(failed)?.file_type();
    if !found.is_file() {
        let (shown, found) = (path.display(), kind(found));
        return Err(Error::Refused(format!("{shown} is {found}, expected a file")));
    }
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, length))
}

/// The content of a regular file of at most so many bytes; links are followed.
///
/// A file that grows while it is read, or that claims another size than it has, takes no more
/// memory than that.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::Refused`] where it is no regular file,
/// [`Error::TooLarge`].
pub fn read(path: &Path, at_most: u64) -> Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    let mut content = file.take(at_most.saturating_add(1));
    content.read_to_end(&mut bytes).map_err(|reason| Error::io(path, reason))?;
    if bytes.len() as u64 > at_most {
        return Err(Error::TooLarge { path: path.to_owned(), at_most });
    }
    Ok(bytes)
}

/// The same of a text, which holds no byte 0: a hole, of which a file on disk can claim any number
/// of bytes, is refused before it takes memory.
///
/// # Errors
/// As [`read()`], and [`Error::Refused`] where there is such a byte.
pub fn read_text(path: &Path, at_most: u64) -> Result<Vec<u8>> {
    const BLOCK: u64 = 1 << 16;
    let (file, _) = open(path)?;
    let mut text = Vec::new();
    loop {
        let start = text.len();
        let read = (&file).take(BLOCK).read_to_end(&mut text);
        read.map_err(|reason| Error::io(path, reason))?;
        if let Some(at) = text[start..].iter().position(|&byte| byte == 0) {
            let (shown, at) = (path.display(), start + at + 1);
            return Err(Error::Refused(format!("{shown}: byte {at} is 0, expected a text")));
        }
        if text.len() as u64 > at_most {
            return Err(Error::TooLarge { path: path.to_owned(), at_most });
        }
        if text.len() == start {
            return Ok(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_up_to_its_bound_and_holds_no_byte_0() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let text = "line\n".repeat(40_000);
        std::fs::write(&path, &text).unwrap();
        assert_eq!(read_text(&path, text.len() as u64).unwrap(), text.as_bytes());
        assert!(matches!(read_text(&path, 199_999), Err(Error::TooLarge { at_most: 199_999, .. })));
        File::options().write(true).open(&path).unwrap().set_len(8 << 40).unwrap();
        let refused = read_text(&path, u64::MAX).unwrap_err().to_string();
        assert!(refused.ends_with("byte 200001 is 0, expected a text"), "{refused}");
        std::fs::write(&path, "").unwrap();
        assert!(read_text(&path, 0).unwrap().is_empty());
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"1234");
        assert!(matches!(read(&path, 3), Err(Error::TooLarge { at_most: 3, .. })));
        assert!(matches!(read(folder.path(), 4), Err(Error::Refused(_))));
        assert!(matches!(read(&folder.path().join("b"), 4), Err(Error::Io { .. })));
    }

    #[test]
    #[cfg(unix)]
    fn a_device_without_end_is_refused() {
        assert!(matches!(read(Path::new("/dev/zero"), 4), Err(Error::Refused(_))));
    }
}
