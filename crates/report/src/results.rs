//! The results table and the learning curves: tidy, one figure a row.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use foretaste_eval::interval::{self, Estimate};
use foretaste_eval::{Metric, UnknownMetric};

use crate::{Error, Result};

/// One run of one method on one data set under one seed. The order is that of `results.csv`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Name of the experiment.
    pub experiment: String,
    /// The method on its data.
    pub arm: Arm,
    /// Number of the seed.
    pub seed: u64,
}

/// A method in a setting on a data set: what is repeated over seeds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arm {
    /// Name of the data set.
    pub dataset: String,
    /// Name of the method.
    pub method: String,
    /// What is varied in addition to data and method; empty where nothing is.
    pub setting: String,
}

/// The figures of a run.
pub type Figures = BTreeMap<Metric, f64>;

/// A point of a learning curve: its figures by name, `iteration` among them.
pub type Point = BTreeMap<String, f64>;

/// The results table: the figures of every finished run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    runs: BTreeMap<Key, Figures>,
}

/// The learning curves: the points of every finished run, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    runs: BTreeMap<Key, Vec<Point>>,
}

/// How the name of a metric in a table is read.
pub(crate) type Named = fn(&str) -> std::result::Result<Metric, UnknownMetric>;

const HEADER: [&str; 7] = ["experiment", "dataset", "method", "setting", "seed", "metric", "value"];
const CURVES_HEADER: [&str; 8] =
    ["experiment", "dataset", "method", "setting", "seed", "point", "metric", "value"];

impl Results {
    /// Adds the figures of a run, in place of those that it had.
    pub fn insert(&mut self, key: Key, figures: Figures) {
        self.runs.insert(key, figures);
    }

    /// The table in `reader`, which has the columns
    /// `experiment,dataset,method,setting,seed,metric,value`; `file` names it in errors.
    ///
    /// # Errors
    /// Where a row is not such a row, there is no such metric, a value is not finite, or a figure
    /// is there twice.
    pub fn read(reader: impl Read, file: &str) -> Result<Self> {
        Self::rows(reader, file, |name| name.parse())
    }

    /// The same for a table from any source, whose metrics may have any name.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for the names of metrics.
    pub fn read_anyones(reader: impl Read, file: &str) -> Result<Self> {
        Self::rows(reader, file, |name| Ok(Metric::of_anyone(name)))
    }

    fn rows(reader: impl Read, file: &str, named: Named) -> Result<Self> {
        let at_fault = |source| Error::Csv { file: file.into(), source };
        let mut table = csv::Reader::from_reader(reader);
        let header = table.headers().map_err(at_fault)?;
        if header != HEADER.as_slice() {
            let found = header.iter().collect::<Vec<_>>().join(",");
            let problem = format!("the columns are `{found}`, expected `{}`", HEADER.join(","));
            return Err(Error::Table { file: file.into(), line: 1, problem });
        }
        let mut results = Self::default();
        for record in table.records() {
            let record = record.map_err(at_fault)?;
            let line = record.position().map_or(0, csv::Position::line);
            let wrong = |problem| Error::Table { file: file.into(), line, problem };
            let seed = record[4]
                .parse()
                .map_err(|_| wrong(format!("seed `{}` is not a number", &record[4])))?;
            let value: f64 = record[6]
                .parse()
                .map_err(|_| wrong(format!("value `{}` is not a number", &record[6])))?;
            if !value.is_finite() {
                return Err(wrong(format!("value `{value}` is not finite")));
            }
            let [dataset, method, setting] = [1, 2, 3].map(|at| record[at].to_owned());
            let key =
                Key { experiment: record[0].into(), arm: Arm { dataset, method, setting }, seed };
            let metric = named(&record[5]).map_err(|unknown| wrong(unknown.to_string()))?;
            if results.runs.entry(key).or_default().insert(metric, value).is_some() {
                return Err(wrong(format!("`{metric}` of this run appears twice")));
            }
        }
        Ok(results)
    }

    /// The table as CSV, sorted by all columns but the value. Values are written with as many
    /// digits as bring them back bit for bit.
    ///
    /// # Errors
    /// Where memory ends.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        let rows = self.runs.iter().flat_map(|(key, figures)| {
            figures
                .iter()
                .map(|(metric, value)| row(key, [metric.name().into(), value.to_string()]))
        });
        write("results.csv", &HEADER, rows)
    }

    /// The metrics that runs of an experiment have, each once, in order.
    pub fn metrics(&self, experiment: &str) -> Vec<Metric> {
        let runs = self.runs.iter().filter(|(key, _)| key.experiment == experiment);
        let metrics: BTreeSet<Metric> =
            runs.flat_map(|(_, figures)| figures.keys()).copied().collect();
        metrics.into_iter().collect()
    }

    /// A metric of an arm by seed, in ascending order of the seeds; empty where the arm has none.
    pub fn values(&self, experiment: &str, arm: &Arm, metric: Metric) -> Vec<(u64, f64)> {
        let runs = of_arm(&self.runs, experiment, arm);
        runs.filter_map(|(key, figures)| Some((key.seed, *figures.get(&metric)?))).collect()
    }

    /// The mean of a metric of an arm over its seeds, with Student's interval; `None` where the arm
    /// has none.
    ///
    /// # Errors
    /// Where a value is not finite.
    pub fn estimate(
        &self,
        experiment: &str,
        arm: &Arm,
        metric: Metric,
    ) -> Result<Option<Estimate>> {
        let values: Vec<f64> =
            self.values(experiment, arm, metric).into_iter().map(|(_, value)| value).collect();
        if values.is_empty() {
            return Ok(None);
        }
        let what =
            || format!("{experiment} {} {} {}, {metric}", arm.dataset, arm.method, arm.setting);
        interval::student_t(&values)
            .map(Some)
            .map_err(|source| Error::Figure { what: what(), source })
    }

    /// All runs with their figures, in order.
    pub fn runs(&self) -> impl Iterator<Item = (&Key, &Figures)> {
        self.runs.iter()
    }

    /// The arms of an experiment that have runs, in order.
    pub fn arms(&self, experiment: &str) -> Vec<&Arm> {
        let runs = self.runs.keys().filter(|key| key.experiment == experiment);
        let mut arms: Vec<&Arm> = runs.map(|key| &key.arm).collect();
        arms.dedup();
        arms
    }

    /// How many seeds of an arm have finished.
    pub fn seeds(&self, experiment: &str, arm: &Arm) -> usize {
        of_arm(&self.runs, experiment, arm).count()
    }
}

impl Curves {
    /// Adds the points of a run, in place of those that it had.
    pub fn insert(&mut self, key: Key, points: Vec<Point>) {
        self.runs.insert(key, points);
    }

    /// `experiment,dataset,method,setting,seed,point,metric,value`, where `point` numbers the
    /// points of a run.
    ///
    /// # Errors
    /// Where memory ends.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        let rows = self.runs.iter().flat_map(|(key, points)| {
            points.iter().enumerate().flat_map(move |(point, figures)| {
                figures.iter().map(move |(metric, value)| {
                    row(key, [point.to_string(), metric.clone(), value.to_string()])
                })
            })
        });
        write("curves.csv", &CURVES_HEADER, rows)
    }

    /// The curves of an arm, one for each seed that has points.
    pub fn of(&self, experiment: &str, arm: &Arm) -> Vec<&[Point]> {
        let runs = of_arm(&self.runs, experiment, arm).map(|(_, points)| points.as_slice());
        runs.filter(|points| !points.is_empty()).collect()
    }
}

fn of_arm<'a, V>(
    runs: &'a BTreeMap<Key, V>,
    experiment: &str,
    arm: &Arm,
) -> impl Iterator<Item = (&'a Key, &'a V)> {
    let key = |seed| Key { experiment: experiment.into(), arm: arm.clone(), seed };
    runs.range(key(0)..=key(u64::MAX))
}

fn row<const N: usize>(key: &Key, tail: [String; N]) -> Vec<String> {
    let Arm { dataset, method, setting } = &key.arm;
    let head = [&key.experiment, dataset, method, setting].map(String::clone);
    head.into_iter().chain([key.seed.to_string()]).chain(tail).collect()
}

/// A table of text as CSV; `file` names it in errors.
pub(crate) fn write(
    file: &str,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<Vec<u8>> {
    let at_fault = |source| Error::Csv { file: file.into(), source };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(at_fault)?;
    for row in rows {
        writer.write_record(row).map_err(at_fault)?;
    }
    writer.into_inner().map_err(|error| at_fault(csv::Error::from(error.into_error())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(method: &str, seed: u64) -> Key {
        let arm = Arm { dataset: "d".into(), method: method.into(), setting: String::new() };
        Key { experiment: "e".into(), arm, seed }
    }

    fn point(name: &str, value: f64) -> Point {
        [(name.to_owned(), value)].into()
    }

    fn text(bytes: Result<Vec<u8>>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn rows_are_tidy_sorted_and_quoted() {
        let mut results = Results::default();
        results
            .insert(key("m, with a comma", 10), [(Metric::Nll, 0.5), (Metric::Gain, 1.0)].into());
        results.insert(key("m, with a comma", 9), [(Metric::Nll, 0.25)].into());
        assert_eq!(
            text(results.to_csv()),
            "experiment,dataset,method,setting,seed,metric,value\n\
             e,d,\"m, with a comma\",,9,nll,0.25\n\
             e,d,\"m, with a comma\",,10,gain,1\n\
             e,d,\"m, with a comma\",,10,nll,0.5\n"
        );
    }

    #[test]
    fn curves_keep_the_order_of_their_points() {
        let mut curves = Curves::default();
        curves.insert(key("m", 1), vec![point("loss", 2.0), point("loss", 1.5)]);
        curves.insert(key("m", 0), Vec::new());
        assert_eq!(
            text(curves.to_csv()),
            "experiment,dataset,method,setting,seed,point,metric,value\ne,d,m,,1,0,loss,2\ne,d,m,,1,1,loss,1.5\n"
        );
        assert_eq!(curves.of("e", &key("m", 0).arm).len(), 1);
    }

    #[test]
    fn a_wrong_table_is_refused_with_its_line() {
        let read =
            |text: &str| Results::read(text.as_bytes(), "results.csv").unwrap_err().to_string();
        let header = HEADER.join(",");
        assert!(read("a,b\n").contains("line 1: the columns are `a,b`"));
        assert!(
            read(&format!("{header}\ne,d,m,s,0,nll,1\ne,d,m,s,zero,nll,1\n"))
                .contains("line 3: seed `zero`")
        );
        assert!(
            read(&format!("{header}\ne,d,m,s,0,nll,NaN\n"))
                .contains("line 2: value `NaN` is not finite")
        );
        assert!(
            read(&format!("{header}\ne,d,m,s,0,nll,1\ne,d,m,s,0,nll,2\n"))
                .contains("line 3: `nll` of this run appears twice")
        );
        assert!(read(&format!("{header}\ne,d,m\n")).contains("results.csv"));
        let unknown = read(&format!("{header}\ne,d,m,s,0,nl,1\n"));
        assert!(
            unknown.contains("line 2: there is no metric `nl`; the closest are `nll`"),
            "{unknown}"
        );
    }

    #[test]
    fn an_arm_is_found_by_all_its_parts() {
        let mut results = Results::default();
        results.insert(key("m", 3), [(Metric::Nll, 1.0)].into());
        results.insert(key("m", 1), [(Metric::Nll, 2.0)].into());
        results.insert(key("m2", 1), [(Metric::Nll, 9.0)].into());
        assert_eq!(results.values("e", &key("m", 0).arm, Metric::Nll), [(1, 2.0), (3, 1.0)]);
        assert_eq!(results.values("e", &key("m", 0).arm, Metric::Loss), []);
        assert_eq!(results.values("f", &key("m", 0).arm, Metric::Nll), []);
        assert_eq!(
            results.estimate("e", &key("m", 0).arm, Metric::Nll).unwrap().unwrap().mean,
            1.5
        );
        assert_eq!(results.seeds("e", &key("m", 0).arm), 2);
        assert_eq!(results.arms("e"), [&key("m", 0).arm, &key("m2", 0).arm]);
        assert!(results.arms("f").is_empty());
    }

    proptest! {
        #[test]
        fn a_table_that_was_written_is_read_again_bit_for_bit(
            runs in proptest::collection::vec(("[a-c, \"\n]{0,3}", 0..4_u64, 0..Metric::ALL.len(), -1e300..1e300_f64), 0..20),
        ) {
            let mut results = Results::default();
            for (method, seed, metric, value) in runs {
                results.insert(key(&method, seed), [(Metric::ALL[metric], value)].into());
            }
            let read = Results::read(results.to_csv().unwrap().as_slice(), "results.csv").unwrap();
            prop_assert_eq!(read, results);
        }
    }
}
