//! The baselines PGIS, AC, PGU and ACU reduce to the policy gradient where they should, and
//! otherwise follow their formulas.

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Catalogue, ItemId, Log, PaddedBatch};
use foretaste_nn::{AdamConfig, Gradients, backward, check_gradients};
use foretaste_random::Seed;
use foretaste_train::PerStep;

use super::{ITEMS, agent, buffer, log_of, offline, on_threads, start, tiny, values};
use crate::actor_critic::advantages;
use crate::importance::credit;
use crate::{
    ActorCritic, Agent, AgentTrainer, AgentTraining, Buffer, Critic, Error, IRecGanConfig,
    ImportanceSampling, unjudged,
};

/// All sessions as one batch, and the numbers of their steps in its cells.
fn batch(buffer: &Buffer, of_steps: &[f32]) -> (PaddedBatch, Vec<f32>) {
    let sessions: Vec<usize> = (0..buffer.log.sessions()).collect();
    let batch = PaddedBatch::new(&buffer.log, &sessions, None);
    let padded = PerStep::new(&buffer.log, of_steps).pad(&sessions, &batch);
    (batch, padded)
}

fn entries(gradients: &Gradients, agent: &Agent) -> Vec<f64> {
    let of = |var: &Tensor| {
        gradients.get(var).unwrap().unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    agent.params().iter().flat_map(|(_, var)| of(var)).collect()
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off < tolerance, "off by {off}");
}

#[test]
fn importance_sampling_from_the_agent_itself_is_policy_gradient() {
    let (agent, buffer) = (agent(1, DType::F64), buffer());
    let log_beta = agent.click_log_probabilities(&buffer.log).unwrap();
    let (batch, returns) = batch(&buffer, &buffer.returns(0.9, 3.0));
    let (_, log_beta) = self::batch(&buffer, &log_beta);
    let expected = backward(&agent.loss(&batch, &returns).unwrap()).unwrap();
    let clicks = agent.click_losses(&batch).unwrap();
    let weighed = credit(&clicks, &returns, &log_beta, ImportanceSampling::default()).unwrap();
    let found = backward(&clicks.weighed(weighed).unwrap()).unwrap();
    close(&entries(&found, &agent), &entries(&expected, &agent), 1e-6);
}

/// π / β, its cap, and K (1 - π)^(K - 1), by hand from log-probabilities that the loss of a single
/// click gives.
#[test]
fn weights_are_ratios_up_to_the_cap_times_the_correction_of_slates() {
    let (agent, buffer) = (agent(1, DType::F64), buffer());
    let (batch, returns) = batch(&buffer, &buffer.returns(0.9, 3.0));
    let clicks = agent.click_losses(&batch).unwrap();
    let pi: Vec<f64> =
        clicks.log_probabilities().unwrap().iter().map(|&log_pi| f64::from(log_pi).exp()).collect();
    let beta = [0.9, 0.001, 0.2, 0.3];
    let mut log_beta = vec![0.0; returns.len()];
    clicks
        .cells
        .iter()
        .zip(beta)
        .for_each(|(&cell, beta)| log_beta[cell as usize] = f64::ln(beta) as f32);
    for (sampling, top_k) in
        [(None, 1), (Some(3), 3)].map(|(top_k, k)| (ImportanceSampling { cap: 1.5, top_k }, k))
    {
        let found = credit(&clicks, &returns, &log_beta, sampling).unwrap();
        let mut capped = 0;
        for (at, found) in found.iter().enumerate() {
            let ratio = pi[at] / beta[at];
            capped += usize::from(ratio > 1.5);
            let correction = f64::from(top_k) * (1.0 - pi[at]).powi(top_k - 1);
            let expected =
                f64::from(returns[clicks.cells[at] as usize]) * ratio.min(1.5) * correction;
            assert!((f64::from(*found) - expected).abs() < 1e-5 * expected, "{found} {expected}");
        }
        assert!(capped > 0 && capped < found.len(), "{capped}");
    }
}

#[test]
fn importance_sampling_leaves_the_behaviour_model_alone_and_refuses_what_does_not_fit() {
    let (buffer, behaviour) = (buffer(), agent(2, DType::F32));
    let before = values(behaviour.params());
    let log_beta = behaviour.click_log_probabilities(&buffer.log).unwrap();
    let mut trainer = AgentTrainer::new(agent(1, DType::F32), AgentTraining::default()).unwrap();
    let mut epoch = |log_beta: &[f32], cap| {
        trainer.importance_epoch(
            &buffer,
            log_beta,
            ImportanceSampling { cap, top_k: None },
            Seed::new(3),
        )
    };
    epoch(&log_beta, 10.0).unwrap();
    assert_eq!(values(behaviour.params()), before);
    assert!(matches!(epoch(&log_beta[1..], 10.0), Err(Error::Setting(_))));
    assert!(matches!(epoch(&log_beta, f64::NAN), Err(Error::Setting(_))));
}

fn pair(training: AgentTraining) -> ActorCritic {
    let critic = Critic::new(tiny(ITEMS, 2).agent, Seed::new(1), &Device::Cpu).unwrap();
    ActorCritic::new(AgentTrainer::new(agent(1, DType::F32), training).unwrap(), critic).unwrap()
}

#[test]
fn with_a_value_of_zero_actor_critic_is_policy_gradient() {
    let mut both = pair(AgentTraining::default());
    for name in ["value.weight", "value.bias"] {
        let var = both.critic().params().get(name).unwrap();
        var.set(&var.zeros_like().unwrap()).unwrap();
    }
    let mut alone = AgentTrainer::new(agent(1, DType::F32), AgentTraining::default()).unwrap();
    // All sessions are one batch, so the critic learns only after the actor has.
    let (loss, _) = both.epoch(&buffer(), Seed::new(4)).unwrap();
    assert_eq!(loss, alone.epoch(&buffer(), Seed::new(4)).unwrap());
    assert_eq!(values(both.actor().agent().params()), values(alone.agent().params()));
}

#[test]
fn the_critic_has_the_gradients_of_its_squared_error() {
    let critic =
        Critic::with_type(tiny(ITEMS, 2).agent, Seed::new(1), &Device::Cpu, DType::F64).unwrap();
    let buffer = buffer();
    let (batch, returns) = batch(&buffer, &buffer.returns(0.9, 3.0));
    let cells: Vec<u32> =
        (0..returns.len() as u32).filter(|&cell| batch.clicked_mask[cell as usize]).collect();
    let returns: Vec<f32> = cells.iter().map(|&cell| returns[cell as usize]).collect();
    check_gradients(critic.params(), || {
        Ok(Critic::loss(&critic.values(&batch, &cells).unwrap(), returns.clone()).unwrap())
    });
}

/// Two histories with returns of their own: the first clicks of all sessions are in the same state,
/// the second are not.
#[test]
fn the_critic_fits_the_returns() {
    let log = log_of(&[
        vec![(vec![0, 1], Some(0), 0.0), (vec![2, 3], Some(2), 1.0)],
        vec![(vec![0, 1], Some(1), 0.0), (vec![2, 3], Some(2), 0.0)],
    ]);
    let buffer = Buffer::real(log);
    let optimiser = AdamConfig { learning_rate: 0.03, ..AdamConfig::default() };
    let mut both = pair(AgentTraining { optimiser, ..AgentTraining::default() });
    let mut last = f64::INFINITY;
    for epoch in 0..600 {
        last = both.epoch(&buffer, Seed::new(5).index(epoch)).unwrap().1;
    }
    // Returns 4.6 and 1.9 from the first clicks, whose state is the same; 4 and 1 from the second.
    let (batch, _) = batch(&buffer, &buffer.returns(0.9, 3.0));
    let found = both.critic().values(&batch, &[0, 1, 2, 3]).unwrap().to_vec1::<f32>().unwrap();
    for (found, expected) in found.iter().zip([3.25, 4.0, 3.25, 1.0]) {
        assert!((found - expected).abs() < 0.1, "{found} {expected}");
    }
    assert!((last - 1.35f64.powi(2) / 2.0).abs() < 0.05, "{last}");
}

/// Every item clicked once from the same state, each weighed by π times the same baseline: the
/// expectation over the actor's own clicks.
#[test]
fn a_baseline_leaves_the_expected_gradient_as_it_is() {
    let agent = agent(1, DType::F64);
    let all: Vec<u32> = (0..ITEMS as u32).collect();
    let sessions: Vec<_> = all.iter().map(|&item| vec![(all.clone(), Some(item), 0.0)]).collect();
    let buffer = Buffer::real(log_of(&sessions));
    let log_pi = agent.click_log_probabilities(&buffer.log).unwrap();
    let gradient = |baseline: f32| {
        let rewards = [3.0, 1.0, 4.0, 1.0, 5.0];
        let weights: Vec<f32> =
            log_pi.iter().zip(rewards).map(|(log_pi, r)| log_pi.exp() * (r - baseline)).collect();
        let (batch, weights) = batch(&buffer, &weights);
        let clicks = agent.click_losses(&batch).unwrap();
        let of_clicks = clicks.of_cells(&weights);
        let gradients = backward(&clicks.weighed(of_clicks).unwrap()).unwrap();
        let bias = agent.params().get("actions.bias").unwrap();
        gradients.get(bias).unwrap().unwrap().to_vec1::<f64>().unwrap()
    };
    let (without, with) = (gradient(0.0), gradient(2.5));
    assert!(without.iter().any(|entry| entry.abs() > 0.01), "{without:?}");
    close(&with, &without, 1e-6);
    let values = Tensor::new(&[1f64, 2.0], &Device::Cpu).unwrap();
    assert_eq!(advantages(&values, &[3.0, 1.5]).unwrap(), [2.0, -0.5]);
}

#[test]
fn a_resumed_pair_is_one_that_was_not_stopped() {
    let (folder, catalogue) = (tempfile::tempdir().unwrap(), Catalogue::numbered(ITEMS));
    let mut straight = pair(AgentTraining::default());
    straight.epoch(&buffer(), Seed::new(6)).unwrap();
    straight.save(folder.path(), &catalogue, 1, 1).unwrap();
    let mut resumed =
        ActorCritic::resume(folder.path(), &catalogue, AgentTraining::default(), &Device::Cpu)
            .unwrap();
    for both in [&mut straight, &mut resumed] {
        both.epoch(&buffer(), Seed::new(7)).unwrap();
    }
    let parameters =
        |both: &ActorCritic| [both.actor().agent().params(), both.critic().params()].map(values);
    assert_eq!(parameters(&resumed), parameters(&straight));
}

fn config() -> IRecGanConfig {
    IRecGanConfig { lambda_1: 0.25, ..tiny(8, 3) }
}

#[test]
fn unjudged_trajectories_are_generated_and_offline_at_the_ratio_and_score_one() {
    let (data, run) = (offline(8, 30, 3), start(config()));
    let mixed = |config: &IRecGanConfig| {
        unjudged(config, run.users(), run.agent(), &data, Seed::new(8)).unwrap()
    };
    let buffer = mixed(&config());
    assert_eq!(buffer.log.sessions(), 10 + 30);
    assert!(
        buffer.scores.len() == buffer.log.steps()
            && buffer.scores.iter().all(|&score| score == 1.0)
    );
    let trajectories = |log: &Log, from: usize| -> Vec<Vec<_>> {
        let of = |session: foretaste_data::Session<'_>| {
            session.steps().map(|step| (step.slate.to_vec(), step.choice, step.reward)).collect()
        };
        log.iter().skip(from).map(of).collect()
    };
    assert_eq!(trajectories(&buffer.log, 10), trajectories(&data, 0));
    assert_eq!(mixed(&IRecGanConfig { lambda_1: 0.0, ..config() }), Buffer::real(data.clone()));
}

#[test]
fn logged_sessions_take_the_place_of_trajectories_that_the_log_does_not_support() {
    let (data, run) = (offline(8, 30, 3), start(config()));
    let sessions = |log: &Log| -> Vec<Vec<Vec<ItemId>>> {
        let slates = |session: foretaste_data::Session<'_>| {
            session.steps().map(|step| step.slate.to_vec()).collect()
        };
        log.iter().map(slates).collect()
    };
    let mixed = |support, replace_unsupported| {
        let lambda_1 = 6.0 / 7.0;
        let config = IRecGanConfig { lambda_1, support, replace_unsupported, ..config() };
        unjudged(&config, run.users(), run.agent(), &data, Seed::new(8)).unwrap()
    };
    // Some first slates are supported, others are not.
    let (kept, replaced) = (mixed(Some(5), false), mixed(Some(5), true));
    let (kept_sessions, logged) = (sessions(&kept.log), sessions(&data));
    let mut start = 0;
    let (mut expected, mut scores) = (Vec::new(), Vec::new());
    for session in &kept_sessions[..180] {
        let of_session = &kept.scores[start..start + session.len()];
        if of_session[0] > 0.0 {
            expected.push(session.clone());
            scores.extend_from_slice(of_session);
        }
        start += session.len();
    }
    assert!(expected.len() > 10 && expected.len() < 170, "{}", expected.len());
    let found = sessions(&replaced.log);
    assert_eq!(found[..expected.len()], expected);
    assert_eq!(replaced.scores[..scores.len()], scores);
    // Every logged session is there equally often, but for a remainder.
    assert_eq!(found.len(), 180 + 30);
    let often = |session| found.iter().filter(|found| *found == session).count();
    let least = (found.len() - expected.len()) / 30;
    assert!(logged.iter().all(|session| often(session) >= least));
    assert!(found[expected.len()..].iter().all(|session| logged.contains(session)));
    // Where the log supports no slate, sessions of the log are all that there is.
    let none = sessions(&mixed(Some(1_000), true).log);
    assert!(
        none.len() == 210
            && logged
                .iter()
                .all(|session| { none.iter().filter(|found| *found == session).count() >= 7 })
    );
}

#[test]
fn the_baselines_do_not_depend_on_the_threads() {
    let run = |threads| {
        on_threads(threads, || {
            let (data, run) =
                (offline(ITEMS, 40, 2), start(IRecGanConfig { lambda_1: 0.25, ..tiny(ITEMS, 2) }));
            let mixed =
                unjudged(run.config(), run.users(), run.agent(), &data, Seed::new(8)).unwrap();
            let mut both = pair(AgentTraining::default());
            let losses = both.epoch(&mixed, Seed::new(9)).unwrap();
            let log_beta = both.actor().agent().click_log_probabilities(&data).unwrap();
            let mut trainer =
                AgentTrainer::new(agent(2, DType::F32), AgentTraining::default()).unwrap();
            let sampling = ImportanceSampling::default();
            let loss = trainer
                .importance_epoch(&Buffer::real(data), &log_beta, sampling, Seed::new(9))
                .unwrap();
            let parameters =
                [both.actor().agent().params(), both.critic().params(), trainer.agent().params()]
                    .map(values);
            (mixed, losses, loss, parameters)
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn reranking_takes_the_logits_of_the_items_on_the_list() {
    let (agent, buffer) = (agent(1, DType::F32), buffer());
    super::sharpen(agent.params(), 3.0);
    let (batch, _) = batch(&buffer, &vec![0.0; buffer.log.steps()]);
    let lists = agent.rerank(&batch).unwrap();
    let clicks: Vec<_> =
        buffer.log.iter().flat_map(|session| session.steps().collect::<Vec<_>>()).collect();
    let clicks: Vec<_> = clicks.into_iter().filter(|step| step.choice.item().is_some()).collect();
    assert_eq!(lists.len(), clicks.len());
    let cells: Vec<u32> = (0..batch.clicked_mask.len() as u32)
        .filter(|&cell| batch.clicked_mask[cell as usize])
        .collect();
    for (((scores, clicked), step), cell) in lists.iter().zip(clicks).zip(cells) {
        assert_eq!(Some(step.slate[*clicked]), step.choice.item());
        let state = agent.clicks.states(&batch, &[cell]).unwrap();
        let logits =
            agent.actions.forward(&state).unwrap().squeeze(0).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(scores.len(), step.slate.len());
        for (score, item) in scores.iter().zip(step.slate) {
            assert!((score - logits[item.index()]).abs() < 1e-5);
        }
    }
}
