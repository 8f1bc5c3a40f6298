//! `foretaste describe`: what a log holds, and what speaks against it.

pub mod findings;
mod page;
mod profile;
mod propensities;

use std::path::PathBuf;

use foretaste_console::terminal::eprint_line;
use foretaste_data::{Dataset, Summary};
use foretaste_files::Target;
use foretaste_import::{Format, Report};

use self::findings::Finding;
pub use self::profile::Profile;
use crate::answer::Answer;
use crate::log::LogArgs;

/// Options of `describe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format of the file, if it cannot be recognized by its first line; `foretaste list` names all
    /// formats.
    #[arg(long)]
    format: Option<Format>,
    /// Also write the findings and the distributions of the log to an HTML page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replace the page if it exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// Counts what the log holds, and looks for what is wrong with it; whether anything is.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<(Answer, bool)> {
    let inputs = || args.log.inputs();
    let target =
        args.html.as_ref().map(|path| Target::new(path, inputs(), args.force)).transpose()?;
    let (dataset, report) = args.log.read(args.format, quiet)?;
    let (answer, profile, findings) = of_log(&dataset, report.as_ref())?;
    if let Some(target) = target {
        let rows = Summary::new(&dataset).rows();
        let page = page::html(&dataset.name, &rows, &findings, &profile);
        target.check()?;
        foretaste_files::write(target.path(), page.as_bytes())?;
    }
    Ok((answer, findings.iter().any(|finding| finding.wrong)))
}

/// What a log holds, and what was read of it unless it was cached, with its profile and what was
/// found, which the answer says too.
pub fn of_log(
    dataset: &Dataset,
    report: Option<&Report>,
) -> anyhow::Result<(Answer, Profile, Vec<Finding>)> {
    let profile = Profile::new(dataset);
    let findings = findings::of(dataset, &profile);
    let mut answer = answer(dataset, report, &findings)?;
    answer.json["profile"] = serde_json::to_value(&profile)?;
    let mut lines = profile.lines();
    lines.push(String::new());
    for finding in &findings {
        let kind = if finding.wrong { "WRONG" } else { "note" };
        lines.push(format!("{kind}: {}", finding.found));
        lines.push(format!("      {}", finding.advice));
    }
    lines.push(match findings.iter().filter(|finding| finding.wrong).count() {
        0 => "no problem was found in this log".into(),
        1 => "1 problem was found in this log".into(),
        count => format!("{count} problems were found in this log"),
    });
    answer.text += &lines.join("\n");
    Ok((answer, profile, findings))
}

/// What a log holds, and what was read of it unless it was cached, with what was found.
fn answer(
    dataset: &Dataset,
    report: Option<&Report>,
    findings: &[Finding],
) -> anyhow::Result<Answer> {
    let summary = Summary::new(dataset);
    let mut answer = match report {
        Some(report) => Answer { text: report.to_string(), json: serde_json::to_value(report)? },
        None => Answer { text: summary.to_string(), json: serde_json::to_value(summary)? },
    };
    answer.json["findings"] = serde_json::to_value(findings)?;
    answer.json["time_unit"] = serde_json::to_value(dataset.log.facts().time_unit)?;
    answer.json["propensity_kind"] = serde_json::to_value(dataset.log.facts().propensity)?;
    Ok(answer)
}

/// The same of a log that was imported: what is wrong is said on the way.
pub fn of_import(dataset: &Dataset, report: Option<&Report>) -> anyhow::Result<Answer> {
    let findings = findings::of(dataset, &Profile::new(dataset));
    for Finding { found, advice, .. } in findings.iter().filter(|finding| finding.wrong) {
        eprint_line(format_args!("warning: {found}; {advice}"));
    }
    answer(dataset, report, &findings)
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Catalogue, Choice, LogBuilder, Step};
    use foretaste_random::Seed;
    use rand::Rng;

    use super::*;

    fn codes(dataset: &Dataset) -> Vec<&'static str> {
        let findings = findings::of(dataset, &Profile::new(dataset));
        findings.iter().filter(|finding| finding.wrong).map(|finding| finding.code).collect()
    }

    fn dataset(log: LogBuilder, items: usize) -> Dataset {
        Dataset { log: log.build(), catalogue: Catalogue::numbered(items), ..Dataset::default() }
    }

    /// Slates of one of ten items, item 0 with a chance of 0.73, and what was logged as chances.
    fn singles(logged: fn(u32) -> f32) -> Dataset {
        let mut stream = Seed::new(5).stream(0);
        let mut log = LogBuilder::default();
        for _ in 0..3000 {
            let item = if stream.random_bool(0.73) { 0 } else { stream.random_range(1..10) };
            let slate = [foretaste_data::ItemId(item)];
            let choice =
                if stream.random_bool(0.3) { Choice::Item(slate[0]) } else { Choice::Skip };
            let reward = f32::from(u8::from(choice != Choice::Skip));
            log.push(Step::new(&slate, choice, reward).propensity(&[logged(item)])).unwrap();
            log.end_session(None).unwrap();
        }
        dataset(log, 10)
    }

    #[test]
    fn propensities_that_are_not_those_of_the_draw_are_found_in_the_log_alone() {
        let good = singles(|item| if item == 0 { 0.73 } else { 0.03 });
        assert_eq!(codes(&good), [""; 0]);
        let bad = singles(|_| 0.1);
        assert_eq!(codes(&bad), ["not-as-drawn"]);
        let findings = findings::of(&bad, &Profile::new(&bad));
        assert!(findings[0].found.contains("1{item 0 first} / propensity is 7."), "{findings:?}");
        assert!(findings[0].found.contains("0.1000"), "{findings:?}");
        assert_eq!(codes(&singles(|_| 1.0)), ["all-ones"]);
    }

    /// Uniform slates of three of ten items, clicked at random.
    fn uniform(logged: [f32; 3]) -> Dataset {
        let mut stream = Seed::new(6).stream(0);
        let mut log = LogBuilder::default();
        for _ in 0..500 {
            let mut slate = Vec::new();
            while slate.len() < 3 {
                let item = foretaste_data::ItemId(stream.random_range(0..10));
                if !slate.contains(&item) {
                    slate.push(item);
                }
            }
            let choice = Choice::Item(slate[stream.random_range(0..3)]);
            log.push(Step::new(&slate, choice, 1.0).propensity(&logged)).unwrap();
            log.push(Step::new(&slate, Choice::Leave, 0.0).propensity(&logged)).unwrap();
            log.end_session(None).unwrap();
        }
        dataset(log, 10)
    }

    #[test]
    fn propensities_that_multiply_along_the_slate_are_recognised() {
        let conditional = [0.1, 1.0 / 9.0, 1.0 / 8.0];
        assert_eq!(codes(&uniform(conditional)), [""; 0]);
        assert_eq!(codes(&uniform([0.1, 0.1 / 9.0, 0.1 / 72.0])), ["cumulative"]);
    }

    #[test]
    fn a_place_that_gives_the_click_away_and_a_bot_are_found() {
        let mut log = LogBuilder::default();
        for session in 0..200_u32 {
            let steps = if session == 7 { 1000 } else { 2 };
            for step in 0..steps {
                let slate = [session % 5, 5 + step % 3, 9].map(foretaste_data::ItemId);
                log.push(Step::new(&slate, Choice::Item(slate[2]), 1.0)).unwrap();
            }
            log.end_session(None).unwrap();
        }
        assert_eq!(codes(&dataset(log, 10)), ["long-session", "place-tells"]);
        let bundled = foretaste_import::bundled::open("simulated-mdp.csv").unwrap();
        let (bundled, _) = bundled.import(Default::default()).unwrap();
        assert_eq!(codes(&bundled), [""; 0]);
    }
}
