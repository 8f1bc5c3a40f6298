//! How good a user model or a recommender is, and how far to trust the figure.
//!
//! * [`metrics`] defines each figure of one run once, with its unit and source. A [`Metric`] is the
//!   name of a figure that an experiment reports.
//! * [`interval`] turns the figures of several seeds into an [`Estimate`]: a mean with its 95%
//!   confidence interval. One seed gives a mean and no interval.
//! * [`equivalence()`] says whether a difference is too small to matter, and [`power`] what a
//!   comparison of so many seeds can show.
//! * [`auc()`] measures how well scores separate two samples.
//! * [`text`] writes figures with the digits that their errors allow.
//! * [`choice`] evaluates any model that predicts what users choose from a slate.
//! * [`counterfactual`] estimates from one policy's log what another policy would have earned.
//!
//! ```
//! use foretaste_eval::{interval, metrics};
//!
//! // Two slates, the scores of their items, and which item was chosen.
//! let slates = [(&[0.1, 2.0, 0.3][..], 1), (&[0.5, 0.2, 0.9][..], 0)];
//! assert_eq!(metrics::precision_at(1, slates)?, 0.5);
//! assert_eq!(metrics::precision_at(2, slates)?, 1.0);
//!
//! let nll_by_seed = [0.861, 0.858, 0.871, 0.866, 0.853];
//! assert_eq!(interval::student_t(&nll_by_seed)?.to_string(), "0.8618 ± 0.0087");
//! # Ok::<(), foretaste_eval::Error>(())
//! ```

mod auc;
pub mod choice;
pub mod counterfactual;
mod equivalence;
mod error;
pub mod interval;
mod metric;
pub mod metrics;
pub mod power;
pub mod text;

pub use auc::auc;
pub use equivalence::{Equivalence, TWO_ONE_SIDED, equivalence};
pub use error::{Error, Result};
pub use interval::{Estimate, Interval, Method, NoInterval};
pub use metric::{Direction, Metric, UnknownMetric};
