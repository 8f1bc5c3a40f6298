//! What a report must know about the experiments in addition to their figures.

use foretaste_eval::Metric;

use crate::{Arm, Results, View};

/// An experiment: what was asked, on which data, with which arms, and how its figures are to be
/// shown.
#[derive(Clone, Debug, Default)]
pub struct Design {
    /// Name of the experiment, as in the results.
    pub experiment: String,
    /// What it asks, one sentence.
    pub question: String,
    /// Its data sets.
    pub datasets: Vec<DataSet>,
    /// The arms that it is made of, finished or not, in the order of its table.
    pub arms: Vec<Arm>,
    /// The names of data sets that it has where their files are available, which a claim may name
    /// too.
    pub public_datasets: Vec<String>,
    /// The metrics that its runs report; not every run has all.
    pub metrics: Vec<Metric>,
    /// Those of its table, in order.
    pub columns: Vec<Metric>,
    /// Its plots and tables after those of the papers.
    pub views: Vec<View>,
    /// What the validation figures of its learning curves are, with the unit.
    pub curve: String,
    /// Remarks under its table.
    pub notes: Vec<String>,
}

/// A data set of an experiment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    /// Its name.
    pub name: String,
    /// How runs of equal seed belong together: test users per training user where seeds are random
    /// splits of the same users, 0 where every seed has simulated users of its own.
    pub test_per_train: f64,
    /// What a reader must know of a verdict that rests on it; empty where there is nothing.
    pub caveat: String,
}

impl Design {
    /// The design of an experiment as far as its results show it: the arms that have runs and their
    /// data sets, to decide claims by. `test_per_train` says how the seeds of a data set belong
    /// together, see [`DataSet::test_per_train`]. Any metric may be reported.
    pub fn found(
        experiment: &str,
        results: &Results,
        test_per_train: impl Fn(&str) -> f64,
    ) -> Self {
        let arms: Vec<Arm> = results.arms(experiment).into_iter().cloned().collect();
        let mut datasets: Vec<DataSet> = Vec::new();
        for arm in &arms {
            if datasets.iter().all(|data| data.name != arm.dataset) {
                datasets.push(DataSet {
                    name: arm.dataset.clone(),
                    test_per_train: test_per_train(&arm.dataset),
                    caveat: String::new(),
                });
            }
        }
        let (experiment, metrics) = (experiment.into(), Metric::ALL.to_vec());
        Self { experiment, datasets, arms, metrics, ..Self::default() }
    }
}
