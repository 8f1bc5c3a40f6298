//! Tables of kept means have the rows and columns that are asked for, and means are read as they
//! were written.

use foretaste_eval::Metric;
use proptest::prelude::*;

use super::*;
use crate::Key;

/// Two methods in three settings on two data sets, three seeds each.
fn results() -> Results {
    let mut results = Results::default();
    for (dataset, more) in [("a", 0.0), ("b", 10.0)] {
        for (method, base) in [("PG", 1.0), ("LSTM", 2.0)] {
            for (setting, factor) in [("random(200)", 1.0), ("random(1000)", 2.0), ("max", 3.0)] {
                for seed in 0..3 {
                    let arm = Arm {
                        dataset: dataset.into(),
                        method: method.into(),
                        setting: setting.into(),
                    };
                    let value = more + base * factor + 0.01 * seed as f64;
                    let figures = [(Metric::Reward, value), (Metric::Ctr, value / 100.0)].into();
                    results.insert(Key { experiment: "e".into(), arm, seed }, figures);
                }
            }
        }
    }
    results
}

fn means() -> Means {
    Means::of("e", &results()).unwrap()
}

fn choice(datasets: &str, settings: &str, methods: &str, metrics: &str) -> Choice {
    let [datasets, settings, methods, metrics] =
        [datasets, settings, methods, metrics].map(str::to_owned);
    Choice { datasets, settings, methods, metrics, rows: String::new() }
}

#[test]
fn methods_stand_in_rows_and_settings_in_columns_in_the_order_of_their_patterns() {
    let excerpt = means().table(&choice("a", "random(200) | random(*)", "PG | LSTM", "reward"));
    let Excerpt { table, seeds } = excerpt.unwrap();
    assert_eq!(table.header, ["a, reward", "random(200)", "random(1000)"]);
    assert_eq!(
        table.rows,
        [["PG", "1.010 ± 0.025", "2.010 ± 0.025"], ["LSTM", "2.010 ± 0.025", "4.010 ± 0.025"]]
    );
    assert_eq!(seeds, 3..=3);
}

#[test]
fn a_column_is_called_what_it_has_for_itself() {
    let header = |choice: &Choice| means().table(choice).unwrap().table.header;
    assert_eq!(header(&choice("", "max", "", "ctr")), ["max, ctr", "a", "b"]);
    assert_eq!(header(&choice("a", "max", "", "")), ["a, max", "ctr", "reward"]);
    assert_eq!(header(&choice("a", "max", "", "ctr")), ["method", "a, max, ctr"]);
    let both = header(&choice("", "max | random(200)", "", "ctr"));
    assert_eq!(both, ["ctr", "a, max", "a, random(200)", "b, max", "b, random(200)"]);
}

#[test]
fn any_parts_can_stand_in_rows() {
    let rows = "setting | method".to_owned();
    let table = means().table(&Choice { rows, ..choice("a", "max | *", "PG", "reward | ctr") });
    let table = table.unwrap().table;
    assert_eq!(table.header, ["a", "method", "reward", "ctr"]);
    let settings: Vec<_> = table.rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(settings, ["max", "random(1000)", "random(200)"]);
    assert_eq!(table.rows[0][1..], ["PG", "3.010 ± 0.025", "0.03010 ± 0.00025"]);
}

#[test]
fn what_is_not_there_is_refused_with_what_is() {
    let refused = |choice: &Choice| means().table(choice).unwrap_err().to_string();
    for (choice, message) in [
        (choice("c", "", "", ""), "there is no dataset `c`, expected one of `a`, `b`"),
        (choice("", "min(*)", "", ""), "there is no setting `min(*)`, expected one of `max`, "),
        (choice("", "", "PG | DQN", ""), "there is no method `DQN`, expected one of `LSTM`, `PG`"),
        (choice("", "", "!DQN", ""), "there is no method `DQN`"),
        (choice("", "", "", "rewards"), "there is no metric `rewards`, expected one of `ctr`"),
        (choice("", "", "PG | !PG", ""), "no figure has all that is chosen"),
    ] {
        assert!(refused(&choice).contains(message), "{}", refused(&choice));
    }
    let rows = Choice { rows: "seed".into(), ..Choice::default() };
    assert!(refused(&rows).contains("no part of a row `seed`"), "{}", refused(&rows));
}

#[test]
fn figures_that_are_not_there_leave_their_place() {
    let mut results = results();
    let arm = Arm { dataset: "a".into(), method: "oracle".into(), setting: String::new() };
    let key = Key { experiment: "e".into(), arm, seed: 0 };
    results.insert(key, [(Metric::Reward, 9.0)].into());
    let excerpt = Means::of("e", &results).unwrap().table(&choice("a", "", "PG | *", "reward"));
    let Excerpt { table, seeds } = excerpt.unwrap();
    assert_eq!(table.header, ["a, reward", "", "max", "random(1000)", "random(200)"]);
    assert_eq!(table.rows[2], ["oracle", "9.000 ± n/a (n = 1)", "–", "–", "–"]);
    assert_eq!(seeds, 1..=3);
}

#[test]
fn a_wrong_table_is_refused_with_its_line() {
    let read = |rows: &str| {
        let text = format!("{}\n{rows}", HEADER.join(","));
        Means::read(text.as_bytes(), "e.csv").unwrap_err().to_string()
    };
    for (rows, message) in [
        ("a,,m,nll,1,0,2,3\na,,m,nll,1,0,2,3\n", "e.csv, line 3: this figure appears twice"),
        ("a,,m,nll,NaN,0,2,3\n", "line 2: mean `NaN` is not a finite number"),
        ("a,,m,nll,1,,2,3\n", "line 2: low `` is not a finite number"),
        ("a,,m,nll,1,0,2,1\n", "line 2: one seed has no interval"),
        ("a,,m,nll,3,0,2,3\n", "line 2: the mean 3 is not between 0 and 2"),
        ("a,,m,nll,1,0,2,0\n", "line 2: seeds `0` is not a positive number"),
    ] {
        assert!(read(rows).contains(message), "{}", read(rows));
    }
    let other = Means::read("a,b\n".as_bytes(), "e.csv").unwrap_err().to_string();
    assert!(other.contains("line 1: the columns are `a,b`, expected `dataset,"), "{other}");
}

proptest! {
    #[test]
    fn means_that_were_written_are_read_again_bit_for_bit(
        runs in proptest::collection::vec(
            ("[a-c, \"\n]{0,3}", 0..4_u64, 0..Metric::ALL.len(), -1e100..1e100_f64),
            0..20,
        ),
    ) {
        let mut results = Results::default();
        for (method, seed, metric, value) in runs {
            let arm = Arm { dataset: "d".into(), method, setting: String::new() };
            let key = Key { experiment: "e".into(), arm, seed };
            results.insert(key, [(Metric::ALL[metric], value)].into());
        }
        let means = Means::of("e", &results).unwrap();
        let text = means.to_csv().unwrap();
        prop_assert_eq!(Means::read(text.as_slice(), "e.csv").unwrap(), means);
    }
}
