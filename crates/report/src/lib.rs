//! Results of experiments in readable form: tables, plots, verdicts on claims, and one page.
//!
//! * [`Results`] are a table with one figure in each row; [`Curves`] are what a run reported on its
//!   way.
//! * A [`Design`] describes an experiment: its question, its arms, its columns and its [`View`]s,
//!   which are plots like those of the papers.
//! * A [`Claim`] is a statement about results with the rule that decides it. A [`Finding`] is its
//!   [`Verdict`] with the comparisons that led to it.
//! * A [`Report`] combines these: [`Table`]s, [`Plot`]s as SVG and PNG, a [`Ledger`] of the claims,
//!   `summary.md`, and one HTML page that loads nothing from the network.
//! * [`Means`] and [`Decided`] are the part of a run that documents cite, and an [`Excerpt`] is a
//!   table of some of it.
//!
//! The crate knows results, not models.
//!
//! ```
//! use foretaste_eval::Metric;
//! use foretaste_report::{Arm, Claim, DataSet, Design, Results, Verdict};
//!
//! let arm = |method: &str| Arm { dataset: "yelp".into(), method: method.into(), setting: String::new() };
//! let table = "experiment,dataset,method,setting,seed,metric,value\n\
//!              clicks,yelp,ours,,0,precision@1,0.71\nclicks,yelp,theirs,,0,precision@1,0.61\n\
//!              clicks,yelp,ours,,1,precision@1,0.69\nclicks,yelp,theirs,,1,precision@1,0.60\n\
//!              clicks,yelp,ours,,2,precision@1,0.72\nclicks,yelp,theirs,,2,precision@1,0.62\n";
//! let results = Results::read(table.as_bytes(), "results.csv")?;
//! let design = Design {
//!     experiment: "clicks".into(),
//!     datasets: vec![DataSet { name: "yelp".into(), test_per_train: 0.5, caveat: String::new() }],
//!     arms: vec![arm("ours"), arm("theirs")],
//!     metrics: vec![Metric::PrecisionAt1],
//!     ..Design::default()
//! };
//! let ledger = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings\n\
//!               A,§7,clicks,ours predicts better,precision@1,larger,ours,theirs,beats the best,,\n";
//! let claims = Claim::read(ledger.as_bytes(), "ledger.csv")?;
//! let finding = claims[0].decide(&design, &results)?;
//! assert_eq!(finding.verdict, Verdict::Reproduced);
//! assert_eq!(finding.differences[0].estimate.to_string(), "0.097 ± 0.023");
//! # Ok::<(), foretaste_report::Error>(())
//! ```

mod chart;
mod claims;
mod design;
mod error;
mod excerpt;
mod guide;
mod ledger;
mod means;
mod opening;
mod page;
mod patterns;
mod plan;
mod png;
mod report;
mod results;
mod summary;
mod table;
mod view;

pub use self::chart::{Looks, Plot};
pub use self::claims::{Better, Claim, Difference, Finding, Power, Rule, Seeds, Verdict};
pub use self::design::{DataSet, Design};
pub use self::error::{Error, Result};
pub use self::excerpt::{Choice, Excerpt};
pub use self::ledger::{Decided, Ledger, Tally, claims_csv};
pub use self::means::Means;
pub use self::report::{Report, RunFacts};
pub use self::results::{Arm, Curves, Figures, Key, Point, Results};
pub use self::table::Table;
pub use self::view::{By, Kind, View};
