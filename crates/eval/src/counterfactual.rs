//! What another policy would have earned, estimated from the log of the policy that ran.
//!
//! The logging policy π_b wrote down with which probability it did what it did. Rows that the
//! evaluated policy π_e would have produced more often count for more, by the weight π_e / π_b.
//! Every estimator returns a [`PolicyValue`]: estimate, standard error and Student's 95% interval
//! over independent rows (slates, for logs of slates), or why there is none, as for [`dm`]; a
//! self-normalized one is linearized first. The intervals know of chance alone, not of a wrong
//! propensity, a wrong click model or an untruthful reward model.
//!
//! | log | holds | estimators |
//! |---|---|---|
//! | [`ActionLog`] | one action a row | [`ips`], [`snips`], [`clipped_ips`], and with [`Predictions`] of a reward model [`dm`], [`dr`], [`clipped_dr`], [`sndr`] |
//! | [`SequentialSlates`] | slates, each place given those before it | [`sips`], [`snsips`]; for users who read from the top [`rips`], [`snrips`], [`cascade_dr`] |
//! | [`MarginalSlates`] | slates, each place by itself | for independent places [`iips`], [`sniips`] |
//! | [`PositionSlates`] | slates, each item at every place | for position-based users [`pbm`], [`snpbm`], [`examination`] |
//!
//! Rows of one session are seldom independent: [`Sessions`] give any of these values an interval
//! that knows it, and compare policies on the same resampled sessions.
//!
//! [`Diagnostics`] say whether the log can answer at all: read their
//! [`warnings`](Diagnostics::warnings) before the estimate.
//!
//! ```
//! use foretaste_eval::counterfactual::{ActionLog, ips, snips};
//!
//! // Two actions; the log chose the first with probability 0.8, and only the second earns.
//! let reward = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
//! let logging = [0.8, 0.8, 0.2, 0.8, 0.8, 0.2, 0.8, 0.8, 0.8, 0.8];
//! let evaluation = logging.map(|p| 1.0 - p);
//! let log = ActionLog::new(&reward, &logging, &evaluation)?;
//! assert!((ips(&log)?.estimate.mean - 0.8).abs() < 1e-12);
//! assert!((snips(&log)?.estimate.mean - 0.8).abs() < 1e-12);
//! let warnings = log.diagnostics()?.warnings();
//! assert!(warnings[0].to_string().starts_with("the 10 weights are worth 3 equally weighted ones"));
//! # Ok::<(), foretaste_eval::Error>(())
//! ```
//!
//! Definitions, and when to trust which: `docs/counterfactual.md`. The figures of all but the
//! position-based estimators agree with those of the Open Bandit Pipeline (OBP; Saito et al.,
//! NeurIPS 2021 Datasets and Benchmarks).

mod actions;
mod columns;
mod diagnostics;
mod positions;
mod sessions;
mod slates;
mod value;

pub use actions::{ActionLog, Predictions, clipped_dr, clipped_ips, dm, dr, ips, sndr, snips};
pub use diagnostics::{
    Diagnostics, FEWEST_EFFECTIVE_ROWS, LARGEST_SHARE_BELOW_FLOOR, LARGEST_TAIL_SHARE,
    PROPENSITY_FLOOR, Warning,
};
pub use positions::{Examination, PositionSlates, examination, pbm, snpbm};
pub use sessions::{Drift, RESAMPLES, Resampled, Sessions};
pub use slates::{
    MarginalSlates, SequentialSlates, cascade_dr, iips, rips, sips, sniips, snrips, snsips,
};
pub use value::PolicyValue;
