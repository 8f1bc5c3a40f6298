//! Interaction logs. (to be written)
mod catalogue;
mod error;
mod log;
mod vocabulary;

pub use catalogue::Catalogue;
pub use error::{Error, Result};
pub use log::{Choice, ItemId, Log, LogBuilder, Session, Step};
pub use vocabulary::Vocabulary;
