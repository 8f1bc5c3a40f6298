//! How far learned users may be trusted as a stand-in: what their log, sessions that they did not
//! learn from, and other models of the same users say of them, and one verdict by a written rule.
//!
//! * [`Replay`]: slates of the log shown to the users, whose clicks, rewards and lengths of session
//!   are compared with the log's; [`numbers`] of sessions for a test whether the simulated ones can
//!   be distinguished from the real ones.
//! * [`Calibration`], [`by_place`], [`by_history`]: whether chances are shares.
//! * [`Pair`]: two models of the same users, fitted to halves of the sessions, or of different
//!   forms: do they order items and policies alike, and does greed in one earn in the other?
//!   [`Agreement`] says where they differ.
//! * [`Arena`]: policies that the users rank, and how often these leave what the log shows;
//!   [`ByItem`] asks a model for scores that greed can rank.
//! * [`ItemRates`]: click rates and rewards of items, on the log of another policy above all.
//! * [`Evidence`]: the figures that the rule reads, and the [`Verdict`].
//!
//! `docs/trust.md` explains each figure and holds the rule's record.
//!
//! ```
//! use foretaste_user_model::trust::{Evidence, Verdict};
//!
//! // Nothing is known, so nothing may be asked.
//! let evidence = Evidence::default();
//! assert_eq!(evidence.verdict(), Verdict::Nothing);
//! assert!(evidence.conditions().iter().any(|condition| !condition.holds()));
//! ```

mod agreement;
mod by_item;
mod calibration;
mod grouped;
mod items;
mod numbers;
mod pair;
mod policies;
mod replay;
mod rule;

pub use agreement::{Agreement, Disagreement};
pub use by_item::{Asking, ByItem};
pub use calibration::{Calibration, Group, Shown, by_history, by_place, shown};
pub use grouped::dealt;
pub use items::ItemRates;
pub use numbers::{NUMBERS, numbers};
pub use pair::{Named, Pair};
pub use policies::{Arena, Value, differ, kendall, regret};
pub use replay::{Compared, Effort, Replay};
pub use rule::{Condition, Evidence, OtherLog, Verdict};
