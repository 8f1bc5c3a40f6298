//! Results as people read them.
//!
//! One tidy table goes in: [`Results`], a figure a row, with [`Curves`] beside it. [`Design`] says
//! what the experiments are: their arms, columns and [`View`]s, the plots after those of the
//! papers. A [`Report`] of these is a set of [`Table`]s, a ledger of [`Claim`]s with their
//! verdicts, [`Plot`]s as SVG and PNG, `summary.md`, and one page of HTML that needs no network.
//! [`Means`] and [`Decided`] are what is kept of a run where it is cited; an [`Excerpt`] is a part
//! of them. The crate knows results, not models.
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
mod ledger;
mod means;
mod page;
mod patterns;
mod plan;
mod png;
mod report;
mod results;
mod summary;
mod table;
mod view;

pub use self::chart::Plot;
pub use self::claims::{Better, Claim, Difference, Finding, Power, Rule, Seeds, Verdict};
pub use self::design::{DataSet, Design};
pub use self::error::{Error, Result};
pub use self::excerpt::{Choice, Excerpt};
pub use self::ledger::{Decided, Ledger, claims_csv};
pub use self::means::Means;
pub use self::report::{Report, RunFacts};
pub use self::results::{Arm, Curves, Figures, Key, Point, Results};
pub use self::table::Table;
pub use self::view::{By, Kind, View};
