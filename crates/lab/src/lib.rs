//! Runs experiments: grids of cells, each of which is a pure function of its configuration.
//!
//! An [`Experiment`] lists its [`Cell`]s and computes one of them. A [`Run`] does everything else.
//! It stores every finished cell under the digest of the cell's configuration, continues where an
//! earlier run stopped, shares the cells among processes and machines, shows progress, and writes
//! tables, plots, claims and one page. [`Kept`] reads the results of a run. The crate knows no
//! model and no paper.
//!
//! ```
//! use foretaste_lab::{Cell, Outcome};
//!
//! let cell = Cell {
//!     experiment: "online-eval".into(),
//!     dataset: "mdp".into(),
//!     method: "PG".into(),
//!     setting: "random(200)".into(),
//!     seed: 3,
//!     config: serde_json::json!({ "hidden": 64 }),
//! };
//! let other = Cell { seed: 4, ..cell.clone() };
//! assert_ne!(cell.digest(), other.digest());
//! assert_eq!(Outcome::default().not_finite(), None);
//! ```

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where a pipe is closed: use `foretaste_console::terminal`"
)]

mod cell;
mod costs;
mod events;
mod experiment;
mod grid;
mod kept;
pub mod logging;
mod program;
mod progress;
mod provenance;
mod remarks;
mod reports;
mod results_dir;
mod run;
mod runner;
mod scale;
mod shard;
mod shared;
mod space;
mod store;
mod tally;
mod tensorboard;
mod times;
mod trace;
mod watch;

pub use cell::{Cell, Outcome};
pub use experiment::Experiment;
pub use foretaste_console::Interrupted;
pub use grid::Grid;
pub use kept::Kept;
pub use program::Program;
pub use provenance::RunConfig;
pub use reports::design;
pub use run::Run;
pub use scale::Scale;
pub use shard::Shard;
pub use shared::{Shared, in_own_pool};
pub use watch::Watch;
