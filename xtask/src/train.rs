//! `cargo xtask train`: a recommender from a log of one's own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::Device;
use clap::builder::RangedU64ValueParser;
use foretaste_data::{Dataset, Origin, Provenance};
use foretaste_irecgan::{IRecGan, IRecGanConfig, Stage};
use foretaste_nn::checkpoint::is_saved_as;
use foretaste_random::Seed;
use foretaste_user_model::behaviour::sequences;
use indicatif::ProgressBar;

use crate::provenance::REVISION;
use crate::target::check_folder;
use crate::terminal::{say, tell};

/// Options of `train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cached log, or log file in any format, with rewards of 0 and 1; it may be a pipe, and - is
    /// the standard input.
    log: PathBuf,
    /// Folder to write the recommender into.
    #[arg(long, value_name = "CHECKPOINT")]
    to: PathBuf,
    /// Replace a recommender that is there.
    #[arg(long)]
    force: bool,
    /// How many percent of the sessions to learn from, the first ones; `evaluate` judges on the
    /// rest.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..100))]
    percent: u8,
    /// Passes over the log for U and for A, each.
    #[arg(long, default_value_t = 10)]
    epochs: u64,
    /// Rounds of adversarial training after that.
    #[arg(long, default_value_t = 5)]
    adversarial: u64,
    /// Width of the LSTMs' states; the paper's is 512.
    #[arg(long, default_value_t = 64, value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    hidden: usize,
    /// What everything is drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Trains IRecGAN on the first sessions of a log and writes its agent.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let inputs = crate::data::inputs(&args.log);
    check_folder(&args.to, &inputs, args.force, is_ours)?;
    let dataset = crate::data::read(&args.log)?;
    let chosen = first(&dataset, args.percent)?;
    let (items, seed) = (dataset.catalogue.len(), Seed::new(args.seed));
    let unused = rewards_without_choice(&dataset, &chosen);
    if unused > 0 {
        tell(format_args!(
            "warning: {unused} slates earned a reward though nothing was chosen; IRecGAN learns \
             from the rewards of choices alone"
        ));
    }
    let train =
        sequences(&dataset.log, &chosen, items, seed).context("cannot learn from this log")?;
    if train.sessions() == 0 {
        bail!("{}: no session with a click among the first {}%", args.log.display(), args.percent);
    }
    let widest =
        train.iter().flat_map(|session| session.steps()).map(|step| step.slate.len()).max();
    let mut config = IRecGanConfig::new(items, widest.unwrap_or(1).min(items));
    (config.users.hidden, config.agent.hidden, config.discriminator.hidden) =
        (args.hidden, args.hidden, args.hidden);
    (config.users_epochs, config.agent_epochs, config.epochs) =
        (args.epochs, args.epochs, args.adversarial);
    config.discriminator.leaving = dataset.log.iter().any(|session| session.left());
    let settings = serde_json::json!({ "percent": args.percent, "irecgan": config });
    let origin = Origin::new(&dataset, &chosen, settings, args.seed, REVISION);
    let mut run = IRecGan::new(config, seed, &Device::Cpu)?;
    let bar = ProgressBar::new(2 * args.epochs + 1 + args.adversarial);
    while let Some(point) = run.advance(&train)? {
        bar.inc(1);
        bar.set_message(match point.stage {
            Stage::PretrainUsers => "users",
            Stage::PretrainAgent => "agent",
            Stage::PretrainDiscriminator => "discriminator",
            Stage::Adversarial => "adversarial",
        });
    }
    bar.finish_and_clear();
    check_folder(&args.to, &inputs, args.force, is_ours)?;
    let provenance = Provenance { catalogue: &dataset.catalogue, origin: Some(&origin) };
    run.agent().save(&args.to, provenance, run.curve().len() as u64, args.seed, None)?;
    say(format_args!(
        "learned from {} sessions; written to {}",
        train.sessions(),
        args.to.display()
    ));
    Ok(())
}

/// The first sessions, which leave some to judge by.
fn first(dataset: &Dataset, percent: u8) -> anyhow::Result<Vec<usize>> {
    let sessions = dataset.log.sessions();
    let first = sessions * usize::from(percent) / 100;
    if first == 0 || first == sessions {
        bail!("{sessions} sessions: too few to learn from {percent}% and to judge on the rest");
    }
    Ok((0..first).collect())
}

fn rewards_without_choice(dataset: &Dataset, sessions: &[usize]) -> usize {
    let steps = sessions.iter().flat_map(|&session| dataset.log.session(session).steps());
    steps.filter(|step| step.choice.item().is_none() && step.reward != 0.0).count()
}

/// Whether a file is one that a saved recommender is made of: its manifest, or what that names by a
/// digest.
fn is_ours(path: &Path) -> bool {
    const FILES: [&str; 4] =
        ["tensors.safetensors", "vocabulary.jsonl", "features.jsonl", "origin.jsonl"];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = || FILES.iter().any(|file| is_saved_as(&name, file));
    let regular = path.symlink_metadata().is_ok_and(|found| found.is_file());
    regular && if name == "manifest.json" { is_manifest(path) } else { named() }
}

fn is_manifest(path: &Path) -> bool {
    let content = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    content.is_some_and(|content: serde_json::Map<String, serde_json::Value>| {
        ["model", "digest"].iter().all(|key| content.contains_key(*key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recommenders_own_files_are_ours() {
        let folder = tempfile::tempdir().unwrap();
        let digest = "0123456789abcdef0123456789abcdef";
        let ours = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            is_ours(&path)
        };
        assert!(ours("manifest.json", r#"{"model": "agent", "digest": "00"}"#));
        for text in ["mine", "[]", r#"{"model": "mine"}"#, r#"{"digest": "00"}"#] {
            assert!(!ours("manifest.json", text), "{text}");
        }
        for name in
            ["tensors-?.safetensors", "vocabulary-?.jsonl", "features-?.jsonl", "origin-?.jsonl"]
        {
            assert!(ours(&name.replace('?', digest), ""), "{name}");
            for other in [&digest[1..], &format!("{digest}0"), &digest.to_uppercase(), "notes"] {
                assert!(!ours(&name.replace('?', other), ""), "{other}");
            }
        }
        for name in
            ["tensors-?.jsonl", "origin-?.safetensors", "thesis-?.jsonl", "manifest.json.old"]
        {
            assert!(!ours(&name.replace('?', digest), r#"{"model": 1, "digest": 1}"#), "{name}");
        }
        let place = folder.path().join(format!("origin-{}.jsonl", digest.replace('0', "1")));
        fs::create_dir(&place).unwrap();
        assert!(!is_ours(&place));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_a_manifest_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let [link, file] = ["manifest.json", "elsewhere"].map(|name| folder.path().join(name));
        fs::write(&file, r#"{"model": "agent", "digest": "00"}"#).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(!is_ours(&link));
    }
}
