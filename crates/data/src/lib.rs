//! Interaction logs in memory: slates, choices and rewards of many sessions, from a builder to
//! batches for training.
//!
//! * A [`Log`] holds sessions as ragged columns; a [`Session`] and its [`Step`]s are views into it,
//!   and so is a [`LogSlice`] of some sessions in a row. [`LogBuilder`] makes a log step by step
//!   and checks each.
//! * A [`Dataset`] is a log with its [`Catalogue`] of items, its users and, perhaps, a [`Split`].
//!   [`cache`] keeps it between runs; `foretaste-import` reads and writes it in other formats.
//! * A [`PaddedBatch`] is where ragged sessions become dense arrays with masks, once, at the edge
//!   to tensors.
//! * Some logs hold more: several clicks of a slate, the items it was drawn from and what it was
//!   shown in ([`Extras`]), and what users did outside of slates ([`Event`]). [`Facts`] say what
//!   the numbers of a log mean. Items and users may have [`Features`].
//! * An [`Origin`] says what a model was fitted on, and a [`Mapping`] where the items of a log
//!   stand in the catalogue of a model.
//!
//! ```
//! use foretaste_data::{Batches, Choice, Fractions, ItemId, LogBuilder, PaddedBatch, Split, Step};
//! use foretaste_random::Seed;
//!
//! let mut log = LogBuilder::default();
//! for user in 0..4 {
//!     let slate = [ItemId(user), ItemId(7), ItemId(9)];
//!     log.push(Step::new(&slate, Choice::Item(ItemId(7)), 1.0))?;
//!     log.push(Step::new(&slate, Choice::Leave, 0.0))?;
//!     log.end_session(Some(user))?;
//! }
//! let log = log.build();
//! assert_eq!((log.sessions(), log.steps()), (4, 8));
//!
//! let seed = Seed::new(1);
//! let split = Split::by_user(&log, Fractions::default(), seed)?;
//! for sessions in Batches::shuffled(&split.train, 32, seed.derive("epoch").index(0)) {
//!     let batch = PaddedBatch::new(&log, &sessions, None);
//!     assert_eq!(batch.shown.len(), batch.rows * batch.steps * batch.places);
//! }
//! # Ok::<(), foretaste_data::Error>(())
//! ```
//!
//! What comes from outside is checked on the way in, by the builder and the cache. Only
//! [`Log::from_columns`] trusts its caller, a simulator, with what would take a pass over every
//! slate.

mod batch;
pub mod cache;
mod catalogue;
mod dataset;
mod error;
mod fault;
mod features;
mod log;
mod mapping;
mod origin;
mod recent_clicks;
mod saved;
mod sessions;
mod split;
mod summary;
mod vocabulary;

pub use batch::{Batches, PaddedBatch};
pub use catalogue::Catalogue;
pub use dataset::{Context, Dataset, Part};
pub use error::{Error, Result};
pub use fault::Fault;
pub use features::Features;
pub use log::{
    Category, Choice, Columns, Entry, Event, EventKind, Extras, Facts, ItemId, Log, LogBuilder,
    LogSlice, PropensityKind, Session, Step, TimeUnit,
};
pub use mapping::{Mapping, Unknown, UnknownItems};
pub use origin::{Origin, Overlap};
pub use recent_clicks::RecentClicks;
pub use saved::{Provenance, Saved};
pub use sessions::SessionIds;
pub use split::{Fractions, Split, Subset};
pub use summary::{ContextSummary, Summary};
pub use vocabulary::Vocabulary;
