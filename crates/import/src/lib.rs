//! Reads log files into logs, and writes logs as files.
//!
//! * [`import`](import()) reads a file into a [`Dataset`](foretaste_data::Dataset) and reports what
//!   the file contained. It knows the files of the papers, of public data sets and of your own
//!   logs: each is a [`Format`].
//! * [`export`](export()) writes a data set as such a file, and refuses what the format cannot
//!   hold; [`export_features`] writes features into files of their own.
//! * A [`Layout`] says how a user's own files differ from our schema, and [`guess`](guess())
//!   proposes one.
//! * An [`Input`] is a file or a pipe, a folder, a pattern or an archive that a log is read from.
//!
//! ```
//! use foretaste_import::{Format, Options, export, import};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("shop.csv");
//! std::fs::write(&path, "session,step,shown,chosen,reward,user\n\
//!     s1,0,hat shoe scarf,shoe,1,ann\n\
//!     s1,1,hat coat,,0,ann\n\
//!     s2,0,coat shoe,coat,1,bob\n")?;
//!
//! let (shop, report) = import(&path, Options::default())?;
//! println!("{report}");
//! assert_eq!((shop.log.sessions(), shop.log.steps(), shop.catalogue.len()), (2, 3, 4));
//! assert!(shop.log.session(0).left());
//! export(&shop, Format::Parquet, &folder.path().join("shop.parquet"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Files are read as streams, and every row is checked: an [`Error`] names file, line and field.
//! This is the only crate that knows Arrow, Parquet, CSV and compression, so a program that needs
//! only logs in memory does not compile them.

pub mod bundled;
mod detect;
mod error;
mod expected;
mod export;
mod features;
mod format;
mod formats;
mod guess;
mod import;
mod input;
mod joins;
mod layout;
mod limits;
mod nearest;
mod parts;
mod policies;
mod reader;
mod report;
mod slates;

pub use error::{Error, Result};
pub use expected::Expected;
pub use export::{export, replaced_ids};
pub use features::{Whose, export_features};
pub use format::Format;
pub use formats::BESIDE;
pub use formats::parquet::Batches;
pub use guess::guess;
pub use import::Options;
pub use input::{Input, import};
pub use layout::{Clicks, Gap, Layout, OffSlate, Propensities, Repeated};
pub use limits::Limits;
pub use policies::{ExpectedReward, MarginalRow, OfSlate, PolicyFile, PolicyRows, TableRow};
pub use reader::times::time_text;
pub use reader::{Progress, Reading};
pub use report::Report;
pub use slates::{Around, SimulatedSlates};
