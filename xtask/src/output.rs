//! The results as tidy CSV: one figure per row, in an order that depends on nothing but the results.

use anyhow::Context;

use crate::claims::{Arm, Difference, Finding};
use crate::store::Finished;

/// `experiment,dataset,method,setting,seed,metric,value`, sorted by all but the value.
pub fn results_csv(finished: &[Finished]) -> anyhow::Result<Vec<u8>> {
    let rows = sorted(finished).into_iter().flat_map(|done| {
        let figures = done.outcome.metrics.iter();
        figures.map(move |(metric, value)| row(done, [metric.clone(), value.to_string()]))
    });
    csv(["experiment", "dataset", "method", "setting", "seed", "metric", "value"], rows)
}

/// `experiment,dataset,method,setting,seed,point,metric,value`, where `point` numbers the rows of a learning curve.
pub fn curves_csv(finished: &[Finished]) -> anyhow::Result<Vec<u8>> {
    let rows = sorted(finished).into_iter().flat_map(|done| {
        let points = done.outcome.curve.iter().enumerate();
        points.flat_map(move |(point, figures)| {
            figures.iter().map(move |(metric, value)| row(done, [point.to_string(), metric.clone(), value.to_string()]))
        })
    });
    csv(["experiment", "dataset", "method", "setting", "seed", "point", "metric", "value"], rows)
}

/// `claim,source,verdict,dataset,metric,better,ours,rival,seeds,difference,low,high,p`: a row for every comparison of every claim; a
/// claim that was not run has one row.
pub fn claims_csv(findings: &[Finding]) -> anyhow::Result<Vec<u8>> {
    let rows = findings.iter().flat_map(|finding| {
        let head = move || [finding.sentence.clone(), finding.source.clone(), finding.verdict.to_string()];
        let nothing =
            finding.differences.is_empty().then(|| head().into_iter().chain(vec![String::new(); 10]).collect());
        let row = move |difference: &Difference| {
            let arm = |arm: &Arm| format!("{}, {}", arm.method, arm.setting);
            let (ends, shown) = (difference.estimate.interval, |value: f64| value.to_string());
            let tail = [
                difference.dataset.clone(),
                difference.metric.into(),
                difference.better.as_str().into(),
                arm(&difference.ours),
                arm(&difference.rival),
                difference.estimate.n.to_string(),
                shown(difference.estimate.mean),
                ends.map(|ends| shown(ends.low)).unwrap_or_default(),
                ends.map(|ends| shown(ends.high)).unwrap_or_default(),
                difference.p.map(shown).unwrap_or_default(),
            ];
            head().into_iter().chain(tail).collect()
        };
        nothing.into_iter().chain(finding.differences.iter().map(row))
    });
    csv(
        [
            "claim",
            "source",
            "verdict",
            "dataset",
            "metric",
            "better",
            "ours",
            "rival",
            "seeds",
            "difference",
            "low",
            "high",
            "p",
        ],
        rows,
    )
}

fn sorted(finished: &[Finished]) -> Vec<&Finished> {
    let mut cells: Vec<_> = finished.iter().collect();
    cells.sort_by_key(|done| {
        let cell = &done.cell;
        (&cell.experiment, &cell.dataset, &cell.method, &cell.setting, cell.seed)
    });
    cells
}

fn row<const N: usize>(done: &Finished, tail: [String; N]) -> Vec<String> {
    let cell = &done.cell;
    let head = [&cell.experiment, &cell.dataset, &cell.method, &cell.setting].map(String::clone);
    head.into_iter().chain([cell.seed.to_string()]).chain(tail).collect()
}

fn csv<const N: usize>(header: [&str; N], rows: impl Iterator<Item = Vec<String>>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().context("cannot finish the table")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::experiment::{Cell, Outcome};

    fn finished(dataset: &str, seed: u64, metrics: &[(&str, f64)]) -> Finished {
        let metrics = metrics.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        let cell = Cell {
            experiment: "e".into(),
            dataset: dataset.into(),
            method: "m, with a comma".into(),
            setting: String::new(),
            seed,
            config: json!({}),
        };
        let curve = vec![[("loss".to_owned(), 2.0)].into(), [("loss".to_owned(), 1.5)].into()];
        Finished { cell, outcome: Outcome { metrics, curve }, seconds: 1.0, revision: "abc".into() }
    }

    fn text(bytes: anyhow::Result<Vec<u8>>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn rows_are_tidy_sorted_and_quoted() {
        let cells = [finished("d", 10, &[("nll", 0.5), ("acc", 1.0)]), finished("d", 9, &[("nll", 0.25)])];
        assert_eq!(
            text(results_csv(&cells)),
            "experiment,dataset,method,setting,seed,metric,value\n\
             e,d,\"m, with a comma\",,9,nll,0.25\n\
             e,d,\"m, with a comma\",,10,acc,1\n\
             e,d,\"m, with a comma\",,10,nll,0.5\n"
        );
    }

    #[test]
    fn curves_keep_the_order_of_their_points() {
        assert_eq!(
            text(curves_csv(&[finished("d", 1, &[])])),
            "experiment,dataset,method,setting,seed,point,metric,value\n\
             e,d,\"m, with a comma\",,1,0,loss,2\n\
             e,d,\"m, with a comma\",,1,1,loss,1.5\n"
        );
    }

    proptest! {
        #[test]
        fn tables_do_not_depend_on_the_order_of_cells(
            order in Just((0..6_u64).collect::<Vec<_>>()).prop_shuffle(),
            values in proptest::collection::vec(-1e9..1e9, 6),
        ) {
            let cell = |seed: u64| finished(["a", "b"][seed as usize % 2], seed, &[("x", values[seed as usize])]);
            let (straight, shuffled): (Vec<_>, Vec<_>) = ((0..6).map(cell).collect(), order.into_iter().map(cell).collect());
            prop_assert_eq!(text(results_csv(&straight)), text(results_csv(&shuffled)));
            prop_assert_eq!(text(curves_csv(&straight)), text(curves_csv(&shuffled)));
        }
    }
}
