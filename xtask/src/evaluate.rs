//! `cargo xtask evaluate`: what a trained recommender would have earned, from a log of one's own.

use std::path::PathBuf;

use anyhow::{Context, bail};
use candle_core::Device;
use comfy_table::{Table, presets};
use understudy_data::{Choice, ItemId, Log, Step};
use understudy_eval::counterfactual::{
    ActionLog, Diagnostics, PolicyValue, Predictions, SequentialSlates, clipped_dr, clipped_ips, dm, dr, ips, rips,
    sips, sndr, snips, snrips, snsips,
};
use understudy_irecgan::{Agent, AgentPolicy, Selection};
use understudy_sim::{Mdp, Policy};

use crate::train::split;

/// Options of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cached log, or log file in any format, with propensities: the file that the recommender was trained on.
    #[arg(long)]
    log: PathBuf,
    /// What `cargo xtask train` wrote.
    #[arg(long, value_name = "CHECKPOINT")]
    policy: PathBuf,
    /// How many percent of the sessions the recommender learned from; the rest judge it.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..100))]
    percent: u8,
    /// Weights are clipped here in the estimators that clip.
    #[arg(long, default_value_t = 10.0)]
    cap: f64,
}

/// Prints the estimators and what speaks against them.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let dataset = crate::data::read(&args.log)?;
    if !dataset.log.has_propensities() {
        bail!(
            "{}: the log has no propensities; without the probability of what was shown, nothing can be said of what was not",
            args.log.display()
        );
    }
    let (agent, _) = Agent::load(&args.policy, &dataset.catalogue, &Device::Cpu)?;
    let (past, judged) = split(&dataset, args.percent)?;
    let rows = Rows::new(
        &AgentPolicy::new(&agent, Selection::Sampled)?,
        &judged,
        &click_rewards(&past, dataset.catalogue.len()),
    )?;
    let earned = rows.reward.iter().sum::<f64>() / rows.lengths.len() as f64;
    println!(
        "{} slates in {} sessions, on which the logging policy earned {earned:.4} a slate",
        rows.lengths.len(),
        judged.sessions()
    );
    let (values, diagnostics) =
        if rows.lengths.iter().all(|&length| length == 1) { rows.single(args.cap)? } else { rows.slates()? };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["estimator", "reward a slate", "standard error"]);
    for (name, PolicyValue { estimate, standard_error }) in values {
        table.add_row([name, estimate.to_string(), standard_error.map_or("–".into(), |error| format!("{error:.4}"))]);
    }
    println!("{table}");
    println!(
        "{:.0} of {} weights' worth; largest weight {:.1}; the largest 1% hold {:.0}%; smallest propensity {:.2e}; mean weight {}",
        diagnostics.effective_sample_size,
        diagnostics.rows,
        diagnostics.largest_weight,
        100.0 * diagnostics.tail_share,
        diagnostics.smallest_propensity,
        diagnostics.mean_weight
    );
    let warnings = diagnostics.warnings();
    warnings.iter().for_each(|warning| println!("warning: {warning}"));
    if judged.iter().any(|session| session.len() > 1) {
        println!("note: slates of one session are taken as independent; where they are not, intervals are too narrow");
    }
    match warnings.is_empty() {
        true => println!("nothing speaks against these figures but what no log can show: wrong propensities"),
        false => println!("DO NOT decide by these figures: the log cannot support an answer for this recommender"),
    }
    Ok(())
}

/// The mean reward of each item where it was shown alone or clicked: a model of the rewards, shrunk towards the mean of all.
fn click_rewards(log: &Log, items: usize) -> Vec<f64> {
    let (mut shown, mut earned) = (vec![0.0; items], vec![0.0; items]);
    for step in log.iter().flat_map(|session| session.steps()) {
        for &item in step.slate {
            shown[item.index()] += 1.0;
            earned[item.index()] += place_reward(&step, item);
        }
    }
    let mean = earned.iter().sum::<f64>() / shown.iter().sum::<f64>().max(1.0);
    shown.iter().zip(earned).map(|(shown, earned)| (earned + mean) / (shown + 1.0)).collect()
}

fn place_reward(step: &Step<'_>, item: ItemId) -> f64 {
    if step.choice == Choice::Item(item) { f64::from(step.reward) } else { 0.0 }
}

/// Slates with what the estimators need, place by place.
struct Rows {
    lengths: Vec<usize>,
    reward: Vec<f64>,
    logging: Vec<f64>,
    evaluation: Vec<f64>,
    /// Of each slate of one item: q̂ of the item, and of the recommender.
    logged: Vec<f64>,
    expected: Vec<f64>,
}

/// The estimators by name, and what the weights say.
type Found = (Vec<(String, PolicyValue)>, Diagnostics);

impl Rows {
    fn new(policy: &AgentPolicy, log: &Log, q: &[f64]) -> anyhow::Result<Self> {
        let (mut lengths, mut reward, mut logging, mut evaluation) = (vec![], vec![], vec![], vec![]);
        let (mut logged, mut expected) = (vec![], vec![]);
        for session in log.iter() {
            let mut memory = Policy::<Mdp>::begin(policy, 1)?;
            for step in session.steps() {
                let probabilities = policy.probabilities(&memory)?.remove(0);
                let propensity = step.propensity.context("a step has no propensity")?;
                let mut left = 1.0;
                for (&item, &propensity) in step.slate.iter().zip(propensity) {
                    let probability = probabilities[item.index()];
                    reward.push(place_reward(&step, item));
                    logging.push(f64::from(propensity));
                    evaluation.push((probability / left).clamp(0.0, 1.0));
                    left = (left - probability).max(f64::MIN_POSITIVE);
                }
                lengths.push(step.slate.len());
                logged.push(q[step.slate[0].index()]);
                expected.push(probabilities.iter().zip(q).map(|(p, q)| p * q).sum());
                policy.observe_choices(&mut memory, &[step.choice])?;
            }
        }
        Ok(Self { lengths, reward, logging, evaluation, logged, expected })
    }
}

impl Rows {
    /// Slates of one item.
    fn single(&self, cap: f64) -> anyhow::Result<Found> {
        let log = ActionLog::new(&self.reward, &self.logging, &self.evaluation)?;
        let model = Predictions::new(&self.logged, &self.expected)?;
        let values = vec![
            ("IPS".to_owned(), ips(&log)?),
            ("SNIPS".into(), snips(&log)?),
            (format!("clipped IPS, {cap}"), clipped_ips(&log, cap)?),
            ("DM".into(), dm(&model)?),
            ("DR".into(), dr(&log, &model)?),
            (format!("clipped DR, {cap}"), clipped_dr(&log, &model, cap)?),
            ("SNDR".into(), sndr(&log, &model)?),
        ];
        Ok((values, log.diagnostics()?))
    }

    /// Slates of several.
    fn slates(&self) -> anyhow::Result<Found> {
        let log = SequentialSlates::new(&self.lengths, &self.reward, &self.logging, &self.evaluation)?;
        let values = vec![
            ("IPS, whole slates".to_owned(), sips(&log)?),
            ("SNIPS, whole slates".into(), snsips(&log)?),
            ("IPS, read from the top".into(), rips(&log)?),
            ("SNIPS, read from the top".into(), snrips(&log)?),
        ];
        Ok((values, log.diagnostics()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_irecgan::AgentConfig;
    use understudy_random::Seed;
    use understudy_sim::policies::UniformRandom;
    use understudy_sim::{MdpConfig, Rollout};

    const ITEMS: usize = 6;

    fn agent() -> AgentPolicy {
        let config = AgentConfig { embedding: 4, hidden: 8, ..AgentConfig::new(ITEMS) };
        AgentPolicy::new(&Agent::new(config, Seed::new(1), &Device::Cpu).unwrap(), Selection::Sampled).unwrap()
    }

    fn rollout(sessions: u64, k: usize, max_steps: usize) -> Rollout {
        Rollout { max_steps, ..Rollout::new(Seed::new(2), 0..sessions, k) }
    }

    #[test]
    fn a_recommenders_own_log_has_weights_of_one() {
        let mdp = Mdp::new(&MdpConfig { items: ITEMS, ..MdpConfig::default() }).unwrap();
        for k in [1, 2] {
            let log = rollout(200, k, 20).run(&mdp, &agent()).unwrap();
            let rows = Rows::new(&agent(), &log, &[0.5; ITEMS]).unwrap();
            let (values, diagnostics) = if k == 1 { rows.single(10.0).unwrap() } else { rows.slates().unwrap() };
            assert!((diagnostics.largest_weight - 1.0).abs() < 1e-4, "{diagnostics:?}");
            let earned = rows.reward.iter().sum::<f64>() / rows.lengths.len() as f64;
            assert!((values[0].1.estimate.mean - earned).abs() < 1e-4 && diagnostics.warnings().is_empty());
        }
    }

    /// First slates, which all users see in the same state: six standard errors, seeds fixed.
    #[test]
    fn estimates_from_random_slates_are_near_what_the_recommender_earns() {
        let mdp = Mdp::new(&MdpConfig { items: ITEMS, ..MdpConfig::default() }).unwrap();
        for k in [1, 2] {
            let log = rollout(6_000, k, 1).run(&mdp, &UniformRandom { items: ITEMS }).unwrap();
            let rows = Rows::new(&agent(), &log, &click_rewards(&log, ITEMS)).unwrap();
            let (values, _) = if k == 1 { rows.single(10.0).unwrap() } else { rows.slates().unwrap() };
            let own = rollout(6_000, k, 1).outcomes(&mdp, &agent()).unwrap();
            let truth = own.iter().map(|outcome| outcome.reward).sum::<f64>() / own.len() as f64;
            for (name, value) in values {
                assert!((value.estimate.mean - truth).abs() < 6.0 * 0.0065, "{name}: {value:?}, {truth}");
            }
        }
    }
}
