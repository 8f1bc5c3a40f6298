//! The agent and its policies against Eq 4 and Eq 10: gradients, slates and propensities.

use candle_core::{D, DType, Device, Tensor};
use foretaste_data::{Catalogue, ItemId, PaddedBatch};
use foretaste_eval::choice::ChoiceModel;
use foretaste_nn::{backward, check_gradients};
use foretaste_random::Seed;
use foretaste_sim::{Candidates, Policy, Propensities, Slates};
use foretaste_train::{Network, PerStep};
use foretaste_user_model::behaviour::BehaviourModel;

use super::{ITEMS, agent, buffer, log_of, tiny, values};
use crate::{Agent, AgentPolicy, AgentTrainer, AgentTraining, Buffer, Ranking, Selection};

#[test]
fn gradients_match_finite_differences() {
    let (agent, buffer) = (agent(1, DType::F64), buffer());
    let batch = PaddedBatch::new(&buffer.log, &[0, 1, 2], None);
    let returns = PerStep::new(&buffer.log, &buffer.returns(0.9, 3.0)).pad(&[0, 1, 2], &batch);
    check_gradients(agent.params(), || Ok(agent.loss(&batch, &returns).unwrap()));
}

/// REINFORCE written out: for every click the double sum of Eq 10 with q_D = 1 times the gradient
/// of log π, by candle's operations.
#[test]
fn with_scores_of_one_the_gradient_is_that_of_policy_gradient() {
    let (agent, buffer) = (agent(1, DType::F64), buffer());
    let batch = PaddedBatch::new(&buffer.log, &[0, 1, 2], None);
    let returns = PerStep::new(&buffer.log, &buffer.returns(0.9, 3.0)).pad(&[0, 1, 2], &batch);
    let found = backward(&agent.loss(&batch, &returns).unwrap()).unwrap();

    let mut objective = Tensor::zeros((), DType::F64, &Device::Cpu).unwrap();
    for (row, session) in buffer.log.iter().enumerate() {
        for t in (0..session.len()).filter(|&t| session.step(t).choice.item().is_some()) {
            let mut expected = 0.0;
            // END is no click: it adds nothing.
            let clicked = |&later: &usize| session.step(later).choice.item().is_some();
            for later in (t..session.len()).filter(clicked) {
                expected += 0.9f64.powi((later - t) as i32)
                    * (1.0 + 3.0 * f64::from(session.step(later).reward));
            }
            let state = agent.clicks.states(&batch, &[(row * batch.steps + t) as u32]).unwrap();
            let logits = agent.actions.forward(&state).unwrap();
            let log_pi = logits
                .broadcast_sub(&logits.log_sum_exp(D::Minus1).unwrap().unsqueeze(1).unwrap())
                .unwrap();
            let clicked = session.step(t).choice.item().unwrap().index();
            let term = log_pi.squeeze(0).unwrap().get(clicked).unwrap();
            objective = (objective + (term * expected).unwrap()).unwrap();
        }
    }
    let clicks = buffer.log.iter().map(|session| session.clicks().count()).sum::<usize>();
    let expected = backward(&(objective / -(clicks as f64)).unwrap()).unwrap();
    for (name, var) in agent.params().iter() {
        let values = |gradients: &foretaste_nn::Gradients| {
            gradients.get(var).unwrap().unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        for (found, expected) in values(&found).iter().zip(values(&expected)) {
            // Returns are 32 bits wide.
            assert!(
                (found - expected).abs() < 1e-7 * expected.abs().max(1.0),
                "{name}: {found} {expected}"
            );
        }
    }
}

/// One click a session: all are in the same state, and the gradient of the loss by the bias of an
/// item is by hand π(i) ΣR / n - Σ_i R / n, with R = 1 + 3 r of any sign.
#[test]
fn the_gradient_of_real_rewards_is_the_one_by_hand() {
    let agent = agent(1, DType::F64);
    super::sharpen(agent.params(), 3.0);
    let clicks = [(0, -1.5), (1, 2.5), (0, -0.25), (2, 0.0), (4, 0.75)];
    let session = |&(item, reward): &(u32, f32)| vec![((0..5).collect(), Some(item), reward)];
    let buffer = Buffer::real(log_of(&clicks.iter().map(session).collect::<Vec<_>>()));
    let all = [0, 1, 2, 3, 4];
    let batch = PaddedBatch::new(&buffer.log, &all, None);
    let returns = PerStep::new(&buffer.log, &buffer.returns(0.9, 3.0)).pad(&all, &batch);
    let gradients = backward(&agent.loss(&batch, &returns).unwrap()).unwrap();
    let bias = agent.actions.bias();
    let found: Vec<f64> = gradients.get(bias).unwrap().unwrap().to_vec1().unwrap();
    let state = agent.clicks.states(&batch, &[0]).unwrap();
    let logits: Vec<f64> =
        agent.actions.forward(&state).unwrap().squeeze(0).unwrap().to_vec1().unwrap();
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    let of = |reward: f32| 1.0 + 3.0 * f64::from(reward);
    let total: f64 = clicks.iter().map(|&(_, reward)| of(reward)).sum();
    for (item, (found, logit)) in found.iter().zip(&logits).enumerate() {
        let own: f64 =
            clicks.iter().filter(|click| click.0 as usize == item).map(|click| of(click.1)).sum();
        let expected = (logit.exp() / sum * total - own) / clicks.len() as f64;
        assert!((found - expected).abs() < 1e-7, "{item}: {found} {expected}");
    }
}

/// The slates shown after a click on item 1.
fn slates(policy: &impl Policy, rows: usize, k: usize) -> Slates {
    let mut streams = Seed::new(4).streams(0..rows as u64);
    let mut memory = policy.begin(rows).unwrap();
    let (mut shown, mut responses) = (Slates::with_k(k), foretaste_sim::Responses::default());
    (0..rows).for_each(|_| {
        responses.push(foretaste_data::Choice::Item(foretaste_data::ItemId(1)), 0.0, false)
    });
    policy.observe(&mut memory, &shown, &responses).unwrap();
    policy.rank(&memory, None, k, &mut streams, &mut shown).unwrap();
    shown
}

/// First places of 20,000 slates against Eq 4: chi-square with 4 degrees of freedom; 23.5 is
/// exceeded by chance once in 10,000. The seed is fixed.
#[test]
fn slates_follow_equation_4() {
    let agent = agent(1, DType::F32);
    super::sharpen(agent.params(), 3.0);
    let batch = PaddedBatch::new(
        &log_of(&[vec![(vec![1], Some(1), 0.0), (vec![1], Some(1), 0.0)]]),
        &[0],
        None,
    );
    let logits = agent.actions.forward(&agent.clicks.states(&batch, &[1]).unwrap()).unwrap();
    let logits = logits.squeeze(0).unwrap().to_vec1::<f32>().unwrap();
    let total: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
    let rows = 20_000;
    let shown = slates(&AgentPolicy::new(&agent, Selection::Sampled).unwrap(), rows, 2);
    let statistic: f64 = (0..ITEMS)
        .map(|item| {
            let expected = rows as f64 * f64::from(logits[item]).exp() / total;
            let found = (0..rows).filter(|&row| shown.row(row)[0].index() == item).count() as f64;
            (found - expected).powi(2) / expected
        })
        .sum();
    assert!(statistic < 23.5, "{statistic}");
    assert!(logits.iter().any(|l| (l - logits[0]).abs() > 0.5), "{logits:?}");

    let mut best: Vec<usize> = (0..ITEMS).collect();
    best.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let shown = slates(&AgentPolicy::new(&agent, Selection::Top).unwrap(), 1, 3);
    assert_eq!(shown.row(0).iter().map(|item| item.index()).collect::<Vec<_>>(), best[..3]);
}

#[test]
fn ranking_shows_what_the_user_model_finds_likeliest() {
    let networks = super::start(tiny(ITEMS, 2));
    super::sharpen(networks.users().params(), 3.0);
    let all = vec![0, 1, 2, 3, 4];
    let log = log_of(&[vec![(vec![1], Some(1), 0.0), (all, Some(0), 0.0)]]);
    let batch = PaddedBatch::new(&log, &[0], None);
    let log_p = networks.users().click_log_probabilities(&batch).unwrap().to_vec2::<f32>().unwrap()
        [1]
    .clone();
    let mut best: Vec<usize> = (0..ITEMS).collect();
    best.sort_by(|&a, &b| log_p[b].total_cmp(&log_p[a]));
    let shown = slates(&Ranking::new(networks.users(), Selection::Top).unwrap(), 1, 3);
    assert_eq!(shown.row(0).iter().map(|item| item.index()).collect::<Vec<_>>(), best[..3]);
}

#[test]
fn a_checkpoint_gives_the_same_agent() {
    let (folder, catalogue) = (tempfile::tempdir().unwrap(), Catalogue::numbered(ITEMS));
    let mut trainer = AgentTrainer::new(agent(1, DType::F32), AgentTraining::default()).unwrap();
    trainer.epoch(&buffer(), Seed::new(5)).unwrap();
    trainer.save(folder.path(), &catalogue, 1, 1).unwrap();
    let mut resumed =
        AgentTrainer::resume(folder.path(), &catalogue, AgentTraining::default(), &Device::Cpu)
            .unwrap();
    for trainer in [&mut trainer, &mut resumed] {
        trainer.epoch(&buffer(), Seed::new(6)).unwrap();
    }
    assert_eq!(values(resumed.agent().params()), values(trainer.agent().params()));
    let other = Catalogue::numbered(ITEMS + 1);
    let resumed =
        AgentTrainer::resume(folder.path(), &other, AgentTraining::default(), &Device::Cpu);
    let message = resumed.unwrap_err().to_string();
    assert!(message.contains("trained with item vocabulary"), "{message}");
    let (loaded, saved) = Agent::load(folder.path(), &other, &Device::Cpu).unwrap();
    assert_eq!(
        (values(loaded.params()).len(), saved.catalogue),
        (values(trainer.agent().params()).len(), catalogue)
    );
}

/// Two users are shown candidates alone, and what they would be shown anyway where all items are
/// candidates.
fn candidates_are_honoured(policy: &impl Policy) {
    let memory = policy.begin(2).unwrap();
    let show = |allowed: Option<&Candidates>| {
        let (mut shown, mut streams) = (Slates::default(), Seed::new(6).streams(0..2));
        policy.rank(&memory, allowed, 2, &mut streams, &mut shown).map(|()| shown)
    };
    let sets = vec![vec![ItemId(0), ItemId(3), ItemId(4)], vec![ItemId(1), ItemId(2)]];
    let shown = show(Some(&Candidates::only_by_row(sets.clone()))).unwrap();
    for (row, set) in sets.iter().enumerate() {
        let slate = shown.row(row);
        assert!(slate[0] != slate[1] && slate.iter().all(|item| set.contains(item)), "{slate:?}");
    }
    let shown = show(Some(&Candidates::default().without(vec![ItemId(1)]))).unwrap();
    assert!(!shown.items().contains(&ItemId(1)));
    let all = (0..ITEMS as u32).map(ItemId).collect();
    for everything in [Candidates::default(), Candidates::only(all)] {
        assert_eq!(show(Some(&everything)).unwrap(), show(None).unwrap());
    }
    assert!(show(Some(&Candidates::only(vec![ItemId(0)]))).is_err());
    assert!(show(Some(&Candidates::only(vec![ItemId(ITEMS as u32); 2]))).is_err());
}

#[test]
fn no_item_is_shown_that_is_not_a_candidate() {
    let agent = agent(1, DType::F32);
    super::sharpen(agent.params(), 3.0);
    for selection in [Selection::Sampled, Selection::Top] {
        candidates_are_honoured(&AgentPolicy::new(&agent, selection).unwrap());
    }
    let config = tiny(ITEMS, 2).users;
    let users = BehaviourModel::new(config, Seed::new(2), &Device::Cpu).unwrap();
    super::sharpen(users.params(), 3.0);
    candidates_are_honoured(&Ranking::new(&users, Selection::Top).unwrap());
}

/// The probabilities of all ordered pairs sum to 1, with and without candidates, and those of what
/// is shown are those that are logged.
#[test]
fn propensities_are_those_logged_and_sum_to_one() {
    let agent = agent(1, DType::F32);
    super::sharpen(agent.params(), 3.0);
    let some = Candidates::only([0, 2, 3].map(ItemId).to_vec());
    let mut pairs = Slates::with_k(2);
    for first in 0..ITEMS as u32 {
        for second in (0..ITEMS as u32).filter(|&second| second != first) {
            pairs.push(&[ItemId(first), ItemId(second)], None);
        }
    }
    for selection in [Selection::Sampled, Selection::Top] {
        let policy = AgentPolicy::new(&agent, selection).unwrap();
        for allowed in [None, Some(&some)] {
            let all = policy.begin(pairs.rows()).unwrap();
            let found = policy.propensities(&all, allowed, &pairs).unwrap();
            let sum: f64 = found.chunks_exact(2).map(|places| places[0] * places[1]).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{selection:?} {sum}");
            let (memory, mut streams) = (policy.begin(20).unwrap(), Seed::new(7).streams(0..20));
            let mut shown = Slates::default();
            policy.rank(&memory, allowed, 2, &mut streams, &mut shown).unwrap();
            let found = policy.propensities(&memory, allowed, &shown).unwrap();
            for (found, logged) in found.iter().zip(shown.propensities().unwrap()) {
                assert!((found - f64::from(*logged)).abs() < 1e-5, "{found} {logged}");
            }
        }
    }
}

/// What A says of a slate is its π over the items shown, and so are the lists that it reranks.
#[test]
fn a_prediction_is_pi_given_a_click() {
    let agent = agent(1, DType::F32);
    super::sharpen(agent.params(), 3.0);
    let log = buffer().log;
    let predictions = agent.predict(&log, &[0, 1, 2]).unwrap();
    let policy = AgentPolicy::new(&agent, Selection::Sampled).unwrap();
    let mut steps = predictions.iter();
    for session in log.iter() {
        let mut memory = policy.begin(1).unwrap();
        for step in session.steps() {
            let pi = policy.probabilities(&memory).unwrap().remove(0);
            let shown: f64 = step.slate.iter().map(|item| pi[item.index()]).sum();
            let found = steps.next().unwrap().log_given_choice.as_ref().unwrap();
            for (item, found) in step.slate.iter().zip(found) {
                assert!((found.exp() - pi[item.index()] / shown).abs() < 1e-5);
            }
            policy.observe_choices(&mut memory, &[step.choice]).unwrap();
        }
    }
    assert!(steps.next().is_none());
    let lists = agent.rerank(&PaddedBatch::new(&log, &[0, 1, 2], None)).unwrap();
    let clicked =
        log.iter().flat_map(|session| session.steps().collect::<Vec<_>>()).zip(&predictions);
    let clicked = clicked.filter(|(step, _)| step.choice.item().is_some());
    assert_eq!(lists.len(), 4);
    for ((_, prediction), (scores, _)) in clicked.zip(&lists) {
        assert_eq!(&prediction.scores, scores);
    }
}
