//! Files that are written whole or not at all, and locks between processes.
//!
//! * [`write()`] and [`write_with`] write a file under a temporary name and then rename it. A
//!   reader, or a run that follows a crash, sees the old file or the new one, never a part of it.
//!   The file and its folder are synced. Only a regular file is ever replaced: no link, no folder
//!   and no device.
//! * [`read()`] takes no more memory than its caller allows, and [`read_text`] no more than the
//!   text on disk has bytes.
//! * A [`Target`] is a file that a user named for a result. An existing file is replaced only if
//!   the user asked for that.
//! * [`locks`] keep processes apart, and end with the process that holds them. On file systems
//!   without locks, files take their place.
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("answer.txt");
//! foretaste_files::write(&path, b"41")?;
//! foretaste_files::write(&path, b"42")?;
//! assert_eq!(std::fs::read(&path)?, b"42");
//! assert!(foretaste_files::write(folder.path(), b"43").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod bounded;
mod error;
pub mod locks;
mod place;
mod target;

pub use atomic::{check, is_unfinished, sweep, write, write_with};
pub use bounded::{open, read, read_text};
pub use error::{Error, Result};
pub use place::{kind, what_is_at};
pub use target::{Target, check_folder};
