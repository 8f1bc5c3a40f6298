//! `cargo xtask bench compare`: which hot paths a change made slower, by runs of `bench all` of the
//! program before and after it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_eval::text;
use foretaste_report::Table;

use crate::bench::all::path_names;
use crate::bench::ratio::Ratio;
use crate::bench::record::{Better, Case, Run, median};

/// Options of the comparison.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Results before the change: a file that `bench all --json` wrote, or a folder with one such
    /// file for each run. With --runs it is the program before the change.
    old: PathBuf,
    /// Results after the change, or with --runs the program after the change.
    new: PathBuf,
    /// Run `bench all` of both programs this often, in turns, and compare these runs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..))]
    runs: Option<u8>,
    /// Run only these hot paths.
    #[arg(long, value_delimiter = ',', value_parser = path_names(), requires = "runs")]
    only: Vec<String>,
    /// Differences of less than this percentage count as no difference.
    #[arg(long, value_name = "PERCENT", default_value_t = 3.0)]
    least: f64,
}

/// The share of comparisons of two equal programs in which any case is called slower or faster.
const FALSE_ALARMS: f64 = 0.05;
/// Digits of the medians that are shown.
const DIGITS: usize = 3;

/// A case of both programs.
struct Compared<'a> {
    case: &'a Case,
    /// The medians of all repetitions.
    old: f64,
    new: f64,
    /// How many times as much time the new one takes, or how many times as much the old one does
    /// in the same time.
    ratio: Ratio,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Slower,
    Faster,
    NoDifference,
}

/// Compares, and prints a row for every case.
///
/// # Errors
/// Where something is slower; where results cannot be read or compared, or a program fails.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (old, new) = match args.runs {
        Some(runs) => in_turns(args, runs)?,
        None => (Run::all(&args.old)?, Run::all(&args.new)?),
    };
    let rows = compare(&old, &new, args.least)?;
    print_line(format_args!(
        "{}. Ratios: how many times as slow the new program is, with 95% intervals. Slower and \
         faster: if both programs were equal, any of these words would appear in at most {:.0}% of \
         comparisons. Differences of less than {}% count as none.",
        match old.len() {
            1 => "One run of each program: what else the machine did in either run is not in the \
                  intervals. --runs measures in turns"
                .to_owned(),
            runs => format!("{runs} pairs of runs"),
        },
        100.0 * FALSE_ALARMS,
        args.least
    ));
    print_line(table(&rows).markdown());
    for (of, others, name) in [(&old, &new, "OLD"), (&new, &old, "NEW")] {
        let alone = cases(of).filter(|case| values(others, &case.name).is_none());
        let alone: Vec<_> = alone.map(|case| case.name.as_str()).collect();
        if !alone.is_empty() {
            print_line(format_args!("only in {name}: {}", alone.join("; ")));
        }
    }
    let slower = rows.iter().filter(|row| row.verdict == Verdict::Slower);
    let slower: Vec<_> = slower.map(|row| format!("{} ({})", row.case.name, row.ratio)).collect();
    if !slower.is_empty() {
        bail!("slower than before: {}", slower.join("; "));
    }
    Ok(())
}

/// Runs both programs so often, the one that begins in turns too, so that what grows slower or
/// faster on the machine falls on both.
fn in_turns(args: &Args, runs: u8) -> anyhow::Result<(Vec<Run>, Vec<Run>)> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = folder.path().join("run.json");
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for turn in 0..runs {
        let mut pair = [(&args.old, &mut old), (&args.new, &mut new)];
        if turn % 2 == 1 {
            pair.reverse();
        }
        for (program, into) in pair {
            eprint_line(format_args!("run {} of {runs}: {}", turn + 1, program.display()));
            into.push(measure(program, &args.only, &file)?);
        }
    }
    Ok((old, new))
}

fn measure(program: &Path, only: &[String], file: &Path) -> anyhow::Result<Run> {
    let shown = program.display();
    let mut command = Command::new(program);
    command.args(["bench", "all", "--force", "--json"]).arg(file).stdout(Stdio::null());
    if !only.is_empty() {
        command.args(["--only", &only.join(",")]);
    }
    let status = command.status().with_context(|| {
        format!("cannot start {shown}; expected a copy of target/release/xtask")
    })?;
    ensure!(status.success(), "{shown} bench all ended with {status}");
    Run::read(file)
}

/// The cases of both, in the order of the old runs.
fn compare<'a>(old: &'a [Run], new: &[Run], least: f64) -> anyhow::Result<Vec<Compared<'a>>> {
    ensure!(
        old.len() == new.len(),
        "there are {} runs of OLD and {} of NEW; expected as many, measured in turns",
        old.len(),
        new.len()
    );
    let machine = &old[0].machine;
    for run in old.iter().chain(new) {
        ensure!(
            run.machine == *machine,
            "the results are of different machines: {} cores of {}, and {} cores of {}; measure \
             both programs on one",
            machine.cores,
            machine.cpu,
            run.machine.cores,
            run.machine.cpu
        );
    }
    let both: Vec<_> = cases(old)
        .filter_map(|case| Some((case, values(old, &case.name)?, values(new, &case.name)?)))
        .collect();
    ensure!(!both.is_empty(), "OLD and NEW have no case in common");
    let comparisons = both.len() as f64;
    let rows = both.into_iter().map(|(case, before, after)| {
        let (slow, fast) = match case.better {
            Better::Less => (&after, &before),
            Better::More => (&before, &after),
        };
        let ratio = Ratio::of(slow, fast).with_context(|| {
            format!("`{}` has {} and {} values", case.name, before.len(), after.len())
        })?;
        // By Bonferroni: as many comparisons, as many chances of a false alarm.
        let beyond_noise = ratio.p * comparisons < FALSE_ALARMS;
        let matters = (ratio.ratio - 1.0).abs() >= least / 100.0;
        let verdict = match (beyond_noise && matters, ratio.ratio > 1.0) {
            (false, _) => Verdict::NoDifference,
            (true, true) => Verdict::Slower,
            (true, false) => Verdict::Faster,
        };
        Ok(Compared { case, old: median(before), new: median(after), ratio, verdict })
    });
    rows.collect()
}

/// The cases that every run has, as the first one has them.
fn cases(runs: &[Run]) -> impl Iterator<Item = &Case> {
    let first = runs.first().map_or(&[][..], |run| &run.cases);
    first.iter().filter(move |case| values(runs, &case.name).is_some())
}

/// What is compared of a case: the medians of several runs, or the repetitions of a single one.
/// `None` if a run lacks the case.
fn values(runs: &[Run], name: &str) -> Option<Vec<f64>> {
    match runs {
        [run] => Some(run.case(name)?.values.clone()),
        runs => runs.iter().map(|run| Some(run.case(name)?.median())).collect(),
    }
}

fn table(rows: &[Compared<'_>]) -> Table {
    let header = ["case", "unit", "old", "new", "times as slow", "verdict"];
    let rows = rows.iter().map(|row| {
        vec![
            row.case.name.clone(),
            row.case.unit.clone(),
            text::significant(row.old, DIGITS),
            text::significant(row.new, DIGITS),
            row.ratio.to_string(),
            row.verdict.name().to_owned(),
        ]
    });
    Table {
        title: "Comparison".into(),
        header: header.map(str::to_owned).into(),
        rows: rows.collect(),
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::NoDifference => "no difference beyond noise",
        }
    }
}

#[cfg(test)]
mod tests {
    use foretaste_random::Seed;
    use rand::Rng;

    use super::*;
    use crate::bench::record::{Machine, Record};

    const CASES: usize = 20;
    const CHANGED: usize = 3;
    const REPETITIONS: usize = 7;
    const RUNS: u64 = 7;

    /// Seven runs of a program that takes `factor` times as long in one case alone. Other jobs slow
    /// each run by up to a half, and each repetition by up to a tenth.
    fn runs(load: Seed, noise: Seed, factor: f64) -> Vec<Run> {
        let run = |number| {
            let load = 1.0 + 0.5 * load.stream(number).random::<f64>();
            let mut noise = noise.stream(number);
            let mut record = Record::default();
            for case in 0..CASES {
                let seconds = load * if case == CHANGED { factor } else { 1.0 };
                let mut once = || seconds * (1.0 + 0.1 * noise.random::<f64>());
                let times: Vec<f64> = (0..REPETITIONS).map(|_| once()).collect();
                let name = format!("case {case}");
                match case % 2 {
                    0 => record.seconds(name, &times),
                    _ => record.rates(name, "steps/s", 1e6, &times),
                };
            }
            let machine = Machine { cores: 2, cpu: "any".into() };
            let (revision, date) = ("1".into(), "2026-11-30".into());
            Run { machine, revision, date, cases: record.cases }
        };
        (0..RUNS).map(run).collect()
    }

    fn verdicts(old: &[Run], new: &[Run]) -> Vec<Verdict> {
        compare(old, new, 3.0).unwrap().iter().map(|row| row.verdict).collect()
    }

    #[test]
    fn a_case_that_takes_a_fifth_longer_is_found_in_turns_and_in_one_run_of_each() {
        for seed in 0..20 {
            let load = Seed::new(seed);
            let old = runs(load, load.derive("old"), 1.0);
            let new = runs(load, load.derive("new"), 1.2);
            assert_eq!(verdicts(&old, &new)[CHANGED], Verdict::Slower, "seed {seed}");
            assert_eq!(verdicts(&new, &old)[CHANGED], Verdict::Faster, "seed {seed}");
            assert_eq!(verdicts(&old[..1], &new[..1])[CHANGED], Verdict::Slower, "seed {seed}");
        }
    }

    /// At most 5% of comparisons give a false alarm: more than 9 of 60 do with a probability below
    /// 0.1%.
    #[test]
    fn noise_alone_is_not_found() {
        let quiet = |seed: &u64| {
            let seed = Seed::new(*seed);
            let old = runs(seed.derive("old load"), seed.derive("old"), 1.0);
            let new = runs(seed.derive("new load"), seed.derive("new"), 1.0);
            verdicts(&old, &new).iter().all(|verdict| *verdict == Verdict::NoDifference)
        };
        let alarms = 60 - (0..60).filter(quiet).count();
        assert!(alarms <= 9, "{alarms} of 60");
    }

    #[test]
    fn results_that_cannot_be_compared_are_refused() {
        let old = runs(Seed::new(1), Seed::new(2), 1.0);
        let refused = |new: &[Run]| format!("{:#}", compare(&old, new, 3.0).err().unwrap());
        assert!(refused(&old[1..]).contains("there are 7 runs of OLD and 6 of NEW"));
        let mut other = old.clone();
        other[3].machine.cores = 64;
        assert!(refused(&other).contains("and 64 cores of any; measure both programs on one"));
        let mut other = old.clone();
        other.iter_mut().for_each(|run| run.cases.clear());
        assert!(refused(&other).contains("no case in common"));
    }

    #[test]
    fn a_case_that_one_run_lacks_is_not_compared() {
        let old = runs(Seed::new(1), Seed::new(2), 1.0);
        let mut new = old.clone();
        new[2].cases.remove(5);
        let rows = compare(&old, &new, 3.0).unwrap();
        assert_eq!(rows.len(), CASES - 1);
        assert!(rows.iter().all(|row| row.case.name != "case 5"));
    }
}
