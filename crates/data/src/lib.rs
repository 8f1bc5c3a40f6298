//! Interaction logs. (to be written)
mod atomic;
mod batch;
pub mod cache;
mod catalogue;
mod dataset;
mod error;
pub mod export;
mod format;
pub mod import;
mod log;
mod split;
mod vocabulary;

pub use batch::{Batches, PaddedBatch};
pub use catalogue::Catalogue;
pub use dataset::{Dataset, Part, Reading, Summary};
pub use error::{Error, Result};
pub use format::Format;
pub use log::{Choice, Columns, ItemId, Log, LogBuilder, Session, Step};
pub use split::{Fractions, Split};
pub use vocabulary::Vocabulary;
