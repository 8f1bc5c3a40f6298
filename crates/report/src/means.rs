//! The means of an experiment: what is kept of its results where they are cited.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use foretaste_eval::interval::{Estimate, Interval, Method, NoInterval};

use crate::excerpt::{Choice, Excerpt, PARTS};
use crate::results::write;
use crate::table::NOTHING;
use crate::{Arm, Error, Result, Results, Table};

/// A mean over seeds with its interval for every data set, setting, method and metric of an
/// experiment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Means {
    figures: BTreeMap<Place, Estimate>,
}

/// What a figure is of: its data set, setting, method and metric.
type Place = [String; PARTS.len()];

/// The same as a table orders it: the number of the pattern that chose a name, and the name.
type Ranked<'a> = Vec<(usize, &'a str)>;

const HEADER: [&str; 8] =
    ["dataset", "setting", "method", "metric", "mean", "low", "high", "seeds"];

impl Means {
    /// The means of an experiment, with Student's 95% interval.
    ///
    /// # Errors
    /// Where a value is not finite.
    pub fn of(experiment: &str, results: &Results) -> Result<Self> {
        let reported: BTreeSet<_> = results
            .runs()
            .filter(|(key, _)| key.experiment == experiment)
            .flat_map(|(key, figures)| figures.keys().map(|metric| (&key.arm, *metric)))
            .collect();
        let mut means = Self::default();
        for (arm, metric) in reported {
            let Arm { dataset, method, setting } = arm;
            let place = [dataset.as_str(), setting, method, metric.name()].map(str::to_owned);
            let estimate = results.estimate(experiment, arm, metric)?;
            means.figures.extend(estimate.map(|estimate| (place, estimate)));
        }
        Ok(means)
    }

    /// The table in `reader`, which has the columns
    /// `dataset,setting,method,metric,mean,low,high,seeds`; `file` names it in errors. Figures of
    /// one seed have neither `low` nor `high`.
    ///
    /// # Errors
    /// Where a row is not such a row, or a figure is there twice.
    pub fn read(reader: impl Read, file: &str) -> Result<Self> {
        let at_fault = |source| Error::Csv { file: file.into(), source };
        let mut table = csv::Reader::from_reader(reader);
        let header = table.headers().map_err(at_fault)?;
        if header != HEADER.as_slice() {
            let found = header.iter().collect::<Vec<_>>().join(",");
            let problem = format!("the columns are `{found}`, expected `{}`", HEADER.join(","));
            return Err(Error::Table { file: file.into(), line: 1, problem });
        }
        let mut means = Self::default();
        for record in table.records() {
            let record = record.map_err(at_fault)?;
            let line = record.position().map_or(0, csv::Position::line);
            let wrong = |problem| Error::Table { file: file.into(), line, problem };
            let place = [0, 1, 2, 3].map(|at| record[at].to_owned());
            let estimate = estimate([4, 5, 6, 7].map(|at| &record[at])).map_err(wrong)?;
            if means.figures.insert(place, estimate).is_some() {
                return Err(wrong("this figure appears twice".into()));
            }
        }
        Ok(means)
    }

    /// The table as CSV, sorted by data set, setting, method and metric. Numbers are written with
    /// as many digits as bring them back bit for bit.
    ///
    /// # Errors
    /// Where memory ends.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        let rows = self.figures.iter().map(|(place, estimate)| {
            let Estimate { mean, n, interval } = estimate;
            let ends = interval.map_or_else(
                |_| [String::new(), String::new()],
                |ends| [ends.low.to_string(), ends.high.to_string()],
            );
            let head = place.iter().cloned().chain([mean.to_string()]);
            head.chain(ends).chain([n.to_string()]).collect()
        });
        write("means", &HEADER, rows)
    }

    /// The chosen figures as a table.
    ///
    /// Rows and columns are in the order of the patterns that choose them, and by name where one
    /// pattern chooses several. What all columns have in common is in the corner; a column's
    /// head says what it has for itself.
    ///
    /// # Errors
    /// Where a pattern fits nothing, or nothing has all that is asked for.
    pub fn table(&self, choice: &Choice) -> Result<Excerpt> {
        let parts = choice.parts();
        for (at, (patterns, part)) in parts.iter().zip(PARTS).enumerate() {
            let known: BTreeSet<_> = self.figures.keys().map(|place| place[at].as_str()).collect();
            let known: Vec<_> = known.into_iter().collect();
            if let Some(pattern) = patterns.fitting_none(&known) {
                return Err(Error::unknown(part, pattern, &known));
            }
        }
        let of_rows = choice.of_rows()?;
        let mut cells = BTreeMap::new();
        let (mut rows, mut columns) = (BTreeSet::new(), BTreeSet::new());
        for (place, estimate) in &self.figures {
            let ranks: Option<Ranked> = parts
                .iter()
                .zip(place)
                .map(|(patterns, name)| Some((patterns.rank(name)?, name.as_str())))
                .collect();
            let Some(ranks) = ranks else { continue };
            let row: Ranked = of_rows.iter().map(|&at| ranks[at]).collect();
            let others = (0..PARTS.len()).filter(|at| !of_rows.contains(at));
            let column: Ranked = others.map(|at| ranks[at]).collect();
            rows.insert(row.clone());
            columns.insert(column.clone());
            cells.insert((row, column), estimate);
        }
        let seeds = || cells.values().map(|estimate| estimate.n);
        let (Some(fewest), Some(most)) = (seeds().min(), seeds().max()) else {
            return Err(Error::NothingChosen);
        };
        let (corner, heads) = heads(&columns);
        let mut header: Vec<String> = of_rows.iter().map(|&at| PARTS[at].to_owned()).collect();
        if let (Some(first), false) = (header.first_mut(), corner.is_empty()) {
            *first = corner;
        }
        header.extend(heads);
        let line = |row: &Ranked| {
            let figures = columns.iter().map(|column| {
                let cell = cells.get(&(row.clone(), column.clone()));
                cell.map_or(NOTHING.into(), |estimate| estimate.to_string())
            });
            row.iter().map(|(_, name)| (*name).to_owned()).chain(figures).collect()
        };
        let rows = rows.iter().map(line).collect();
        Ok(Excerpt { table: Table { title: String::new(), header, rows }, seeds: fewest..=most })
    }
}

/// What all columns have in common, and what each has for itself; a single column has it all.
fn heads(columns: &BTreeSet<Ranked>) -> (String, Vec<String>) {
    let names = |column: &Ranked, wanted: &dyn Fn(usize) -> bool| {
        let some =
            column.iter().enumerate().filter(|&(at, (_, name))| wanted(at) && !name.is_empty());
        some.map(|(_, (_, name))| *name).collect::<Vec<_>>().join(", ")
    };
    let Some(first) = columns.first() else { return (String::new(), Vec::new()) };
    if columns.len() == 1 {
        return (String::new(), vec![names(first, &|_| true)]);
    }
    let differs = |at: usize| columns.iter().any(|column| column[at] != first[at]);
    let heads = columns.iter().map(|column| names(column, &differs)).collect();
    (names(first, &|at| !differs(at)), heads)
}

/// The figure of the columns mean, low, high, seeds.
fn estimate([mean, low, high, seeds]: [&str; 4]) -> std::result::Result<Estimate, String> {
    let number = |name: &str, text: &str| match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("{name} `{text}` is not a finite number")),
    };
    let n = match seeds.parse::<usize>() {
        Ok(n) if n > 0 => n,
        _ => return Err(format!("seeds `{seeds}` is not a positive number")),
    };
    let mean = number("mean", mean)?;
    let interval = match (n, low, high) {
        (1, "", "") => Err(NoInterval::OneValue),
        (1, ..) => return Err("one seed has no interval: expected neither low nor high".into()),
        _ => {
            let (low, high) = (number("low", low)?, number("high", high)?);
            if low > mean || mean > high {
                return Err(format!("the mean {mean} is not between {low} and {high}"));
            }
            Ok(Interval { low, high, method: Method::StudentT })
        }
    };
    Ok(Estimate { mean, n, interval })
}

#[cfg(test)]
mod tests;
