//! `cargo xtask claims`: how many seeds the claims need, by the results of a pilot.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use foretaste_console::terminal::print_line;
use foretaste_experiments::{self as experiments, Settings};
use foretaste_lab::{Scale, design};
use foretaste_nn::DeviceKind;
use foretaste_report::{Claim, Design, Ledger, Results};

/// Options of `claims`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Results of a pilot, which is `results.csv` of a run: print for every claim the smallest
    /// effect that its seeds detect with a power of 80%, and how many seeds the effect that matters
    /// needs.
    #[arg(long, value_name = "RESULTS.csv")]
    power: PathBuf,

    /// The claims [default: those of the papers].
    #[arg(long, value_name = "CLAIMS.csv")]
    claims: Option<PathBuf>,
}

/// Prints the seeds that claims need. Runs nothing.
///
/// # Errors
/// Where a file cannot be read, or does not hold what it should.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let name = |path: &Path| path.display().to_string();
    let open = |path: &Path| File::open(path).with_context(|| name(path));
    let results = Results::read(open(&args.power)?, &name(&args.power))?;
    let claims = match &args.claims {
        Some(path) => Claim::read(open(path)?, &name(path))?,
        None => Claim::read(experiments::program(crate::REVISION).claims.as_bytes(), "claims.csv")?,
    };
    let settings =
        Settings { scale: Scale::Quick, seeds: Some(1), data_dir: None, device: DeviceKind::Cpu };
    let known = experiments::named(&[], &settings)?;
    let known: Vec<Design> = known.iter().map(|experiment| design(experiment.as_ref())).collect();
    let mut findings = Vec::new();
    for claim in &claims {
        let found = Design::found(&claim.experiment, &results, |dataset| {
            test_per_train(&known, &claim.experiment, dataset)
        });
        findings.push(claim.decide(&found, &results)?);
    }
    print_line(Ledger::new(findings).seeds_needed());
    Ok(())
}

/// Test users per training user of a data set's splits: results do not say. A data set that is not
/// bundled counts as the one of its experiment whose splits share the most; runs of an experiment
/// that is not known are taken to be independent.
fn test_per_train(known: &[Design], experiment: &str, dataset: &str) -> f64 {
    let Some(design) = known.iter().find(|design| design.experiment == experiment) else {
        return 0.0;
    };
    match design.datasets.iter().find(|data| data.name == dataset) {
        Some(data) => data.test_per_train,
        None => design.datasets.iter().map(|data| data.test_per_train).fold(0.0, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use foretaste_report::DataSet;

    use super::*;

    #[test]
    fn a_data_set_that_is_not_bundled_counts_as_the_least_independent_of_its_experiment() {
        let data = |(name, test_per_train): (&str, f64)| DataSet {
            name: name.into(),
            test_per_train,
            caveat: String::new(),
        };
        let datasets = [("users", 0.0), ("split", 0.5), ("few", 0.1)].map(data).into();
        let known = [Design { experiment: "e".into(), datasets, ..Design::default() }];
        for (experiment, dataset, ratio) in
            [("e", "users", 0.0), ("e", "few", 0.1), ("e", "public", 0.5), ("other", "split", 0.0)]
        {
            assert_eq!(test_per_train(&known, experiment, dataset), ratio, "{dataset}");
        }
    }
}
