//! Interaction logs: slates, clicks and rewards of many sessions, from any file to batches for
//! training.
//!
//! * A [`Log`] holds sessions as ragged columns; a [`Session`] and its [`Step`]s are views into it.
//!   [`LogBuilder`] makes one step by step and checks each.
//! * A [`Dataset`] is a log with its [`Catalogue`] of items, its users and, perhaps, a [`Split`]:
//!   what [`import`](import::import) reads from the [`Format`]s of the papers or of your own logs,
//!   what [`export`](export::export) writes, and what [`cache`] keeps between runs.
//! * An [`Input`] is a file or a pipe that a log is read from.
//! * A [`PaddedBatch`] is where ragged sessions become dense arrays with masks, once, at the edge
//!   to tensors.
//!
//! ```
//! use foretaste_data::import::{self, Options};
//! use foretaste_data::{Batches, Fractions, PaddedBatch, Split};
//! use foretaste_random::Seed;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("shop.csv");
//! std::fs::write(&path, "session,step,shown,chosen,reward,user\n\
//!     s1,0,hat shoe scarf,shoe,1,ann\n\
//!     s1,1,hat coat,,0,ann\n\
//!     s2,0,coat shoe,coat,1,bob\n")?;
//!
//! let (shop, summary) = import::import(&path, Options::default())?;
//! println!("{summary}");
//! assert_eq!((shop.log.sessions(), shop.log.steps(), shop.catalogue.len()), (2, 3, 4));
//!
//! let seed = Seed::new(1);
//! let split = Split::by_user(&shop.log, Fractions::default(), seed)?;
//! for sessions in Batches::shuffled(&split.train, 32, seed.derive("epoch").index(0)) {
//!     let batch = PaddedBatch::new(&shop.log, &sessions, None);
//!     assert_eq!(batch.shown.len(), batch.rows * batch.steps * batch.places);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything that comes from outside is checked on the way in: an [`Error`] names file, line and
//! field. Only [`Log::from_columns`] trusts its caller, a simulator, with what would take a pass
//! over every slate.

mod batch;
pub mod bundled;
pub mod cache;
mod catalogue;
mod dataset;
mod error;
mod expected;
pub mod export;
mod format;
pub mod import;
mod input;
mod log;
mod mapping;
mod origin;
mod saved;
mod sessions;
mod split;
mod vocabulary;

pub use batch::{Batches, PaddedBatch};
pub use catalogue::Catalogue;
pub use dataset::{Dataset, Part, Reading, Summary};
pub use error::{Error, Result};
pub use expected::Expected;
pub use format::Format;
pub use input::Input;
pub use log::{Choice, Columns, ItemId, Log, LogBuilder, Session, Step};
pub use mapping::{Mapping, Unknown, UnknownItems};
pub use origin::{Origin, Overlap};
pub use saved::{Provenance, Saved};
pub use sessions::SessionIds;
pub use split::{Fractions, Split};
pub use vocabulary::Vocabulary;
