//! D is compared with the paper's formula, with finite differences, with its evaluation step by
//! step, and with the known optimum of Eq 5.

use candle_core::{DType, Device};
use foretaste_data::{Catalogue, Choice, ItemId, Log, LogBuilder, PaddedBatch, Step};
use foretaste_nn::{AdamConfig, Params, check_gradients};
use foretaste_random::Seed;
use foretaste_train::FirstInput;
use proptest::prelude::*;

use crate::{Discriminator, DiscriminatorConfig, DiscriminatorTrainer, DiscriminatorTraining};

const ITEMS: usize = 6;

/// A session: slates, what was clicked (none is leaving), rewards.
type Steps<'a> = &'a [(&'a [u32], Option<u32>, f32)];

fn log_of<'a>(sessions: impl IntoIterator<Item = Steps<'a>>) -> Log {
    let mut builder = LogBuilder::default();
    for session in sessions {
        for (slate, clicked, reward) in session {
            let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
            let choice = clicked.map_or(Choice::Leave, |item| Choice::Item(ItemId(item)));
            builder.push(Step::new(&slate, choice, *reward)).unwrap();
        }
        builder.end_session(None).unwrap();
    }
    builder.build()
}

/// Slates of two sizes, purchases, sessions that end and one that is cut, one that leaves at once.
fn log() -> Log {
    let sessions: [Steps<'_>; 4] = [
        &[(&[0, 1, 2], Some(1), 1.0), (&[3, 4, 5], Some(4), 0.0), (&[5, 0, 1], None, 0.0)],
        &[(&[4, 2, 0], None, 0.0)],
        &[
            (&[1, 2, 3], Some(3), 0.0),
            (&[5, 3, 0], Some(0), 1.0),
            (&[0, 1, 4], Some(4), 0.0),
            (&[2, 1, 4], None, 0.0),
        ],
        &[(&[4, 5, 1], Some(4), 1.0), (&[0, 5, 2], Some(5), 0.0)],
    ];
    log_of(sessions)
}

fn configs() -> [DiscriminatorConfig; 2] {
    [true, false].map(|leaving| DiscriminatorConfig {
        embedding: 3,
        hidden: 4,
        leaving,
        // At the published temperature the softmax is almost flat or almost steep: gradients that
        // vanish prove nothing.
        temperature: 0.5,
        ..DiscriminatorConfig::new(ITEMS)
    })
}

/// With W^p away from its initial 0, so that rewards count.
fn model(config: &DiscriminatorConfig, dtype: DType) -> Discriminator {
    let model =
        Discriminator::with_type(config.clone(), Seed::new(1), &Device::Cpu, dtype).unwrap();
    let weight = model.params().get("reward.weight").unwrap();
    weight.set(&(weight.ones_like().unwrap() * 0.7).unwrap()).unwrap();
    model
}

fn values(params: &Params) -> Vec<Vec<f32>> {
    params
        .snapshot()
        .unwrap()
        .into_values()
        .map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

#[test]
fn gradients_match_finite_differences() {
    let other: Steps<'_> = &[(&[0, 3], Some(3), 1.0), (&[1, 2], Some(1), 0.0)];
    let (log, other) = (log(), log_of([other]));
    let batch = |log, sessions: &[usize]| PaddedBatch::new(log, sessions, None);
    for config in configs() {
        let model = model(&config, DType::F64);
        check_gradients(model.params(), || {
            Ok(model.loss(&batch(&log, &[0, 1, 2, 3]), &batch(&other, &[0])).unwrap())
        });
    }
}

/// The formula of the appendix from the parameters and the states by loops over numbers, on the
/// first step without a START entry, whose state is 0, so that the favorite is the same for all.
#[test]
fn the_first_step_equals_the_formula_of_the_paper() {
    let config = DiscriminatorConfig { first_input: FirstInput::Nothing, ..configs()[0].clone() };
    let model = model(&config, DType::F64);
    let bias = model.params().get("favourite.bias").unwrap();
    bias.set(&candle_core::Tensor::new(&[0.3f64, -1.0, 0.5], &Device::Cpu).unwrap()).unwrap();
    let bias = bias.to_vec1::<f64>().unwrap();
    let table = model.params().get("embedding.table").unwrap().to_vec2::<f64>().unwrap();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let weights: Vec<f64> =
        [4, 2, 0, ITEMS].iter().map(|&i| (dot(&bias, &table[i]) / 0.5).exp()).collect();
    let total: f64 = weights.iter().sum();
    let favourite: Vec<f64> = (0..3)
        .map(|d| [4, 2, 0, ITEMS].iter().zip(&weights).map(|(&i, w)| w / total * table[i][d]).sum())
        .collect();
    for (clicked, reward) in [(Some(2), 1.0), (Some(4), 0.0), (None, 0.0)] {
        let chosen = clicked.map_or(ITEMS, |item| item as usize);
        let logit = dot(&favourite, &table[chosen]) * (0.7 * f64::from(reward) + 1.0);
        let session: Steps<'_> = &[(&[4, 2, 0], clicked, reward)];
        let found = model.probabilities(&log_of([session])).unwrap()[0];
        assert!((found - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6, "{found}");
    }
}

/// D of the first `steps` steps of every session, and then of each whole session, without going
/// back.
fn step_by_step(model: &Discriminator, log: &Log, branch_at: usize) -> Vec<f64> {
    let frozen = model.freeze().unwrap();
    let mut found = vec![0.0; log.sessions()];
    let mut order: Vec<usize> = (0..log.sessions()).collect();
    let mut state = frozen.begin(order.len()).unwrap();
    for t in 0.. {
        let kept: Vec<usize> =
            (0..order.len()).filter(|&at| log.session(order[at]).len() > t).collect();
        if kept.is_empty() {
            return found;
        }
        // Turned round at one time, as branches are: the order of rows has no meaning.
        let kept: Vec<usize> = if t == branch_at { kept.into_iter().rev().collect() } else { kept };
        state = frozen.select(&state, &kept).unwrap();
        order = kept.iter().map(|&at| order[at]).collect();
        let steps: Vec<Step<'_>> =
            order.iter().map(|&session| log.session(session).step(t)).collect();
        let slates: Vec<ItemId> = steps.iter().flat_map(|step| step.slate).copied().collect();
        let choices: Vec<Choice> = steps.iter().map(|step| step.choice).collect();
        let rewards: Vec<f32> = steps.iter().map(|step| step.reward).collect();
        frozen.step(&mut state, &slates, 3, &choices, &rewards).unwrap();
        for (d, &session) in state.probabilities().into_iter().zip(&order) {
            found[session] = d;
        }
    }
    unreachable!()
}

#[test]
fn d_carried_along_equals_d_of_the_whole() {
    for config in configs() {
        let model = model(&config, DType::F32);
        let whole = model.probabilities(&log()).unwrap();
        let carried = step_by_step(&model, &log(), 1);
        for (whole, carried) in whole.iter().zip(&carried) {
            assert!((whole - carried).abs() < 1e-6, "{whole} {carried}");
        }
        // The session that left at once has no step that counts, unless leaving does.
        assert_eq!(whole[1] == 0.5, !config.leaving);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_trajectory_does_not_depend_on_the_rows_around_it(branch_at in 0usize..4, threads in 1usize..4) {
        let model = model(&configs()[0], DType::F32);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let carried = pool.install(|| step_by_step(&model, &log(), branch_at));
        for (session, carried) in carried.iter().enumerate() {
            prop_assert_eq!(&step_by_step(&model, &log().select(&[session]), 0)[0], carried);
        }
    }
}

/// Two distributions over two clicks on [0, 1]: the optimum of Eq 5 is P_data / (P_data + P_g)
/// (Goodfellow et al. 2014, Proposition 1). The logs hold the trajectories in exact proportion, so
/// nothing is left to chance.
#[test]
fn the_optimal_discriminator_is_the_share_of_real_sessions() {
    let slate = &[0u32, 1][..];
    let trajectories = [(0, 0), (0, 1), (1, 0), (1, 1)]
        .map(|(first, second)| [(slate, Some(first), 0.0), (slate, Some(second), 0.0)]);
    let counts = [(8, 2), (4, 8), (6, 4), (2, 6)];
    let log = |count: fn(&(usize, usize)) -> usize| {
        log_of(
            trajectories
                .iter()
                .zip(&counts)
                .flat_map(|(steps, of)| std::iter::repeat_n(&steps[..], count(of))),
        )
    };
    let (real, generated) = (log(|of| of.0), log(|of| of.1));
    let config =
        DiscriminatorConfig { embedding: 4, hidden: 8, layers: 1, ..DiscriminatorConfig::new(2) };
    let model = Discriminator::new(config, Seed::new(3), &Device::Cpu).unwrap();
    let optimiser = AdamConfig { learning_rate: 0.02, clip: Some(5.0), ..AdamConfig::default() };
    let mut trainer =
        DiscriminatorTrainer::new(model, DiscriminatorTraining { optimiser, batch: 20 }).unwrap();
    for epoch in 0..400 {
        trainer.epoch(&real, &generated, Seed::new(4).index(epoch)).unwrap();
    }
    let found = trainer
        .model()
        .probabilities(&log_of(trajectories.iter().map(|steps| &steps[..])))
        .unwrap();
    for (found, (data, g)) in found.iter().zip(counts) {
        let optimum = data as f64 / (data + g) as f64;
        assert!((found - optimum).abs() < 0.02, "{found} {optimum}");
    }
}

#[test]
fn a_resumed_training_is_one_that_was_not_stopped() {
    let (real, generated, folder) = (log(), log().select(&[3, 1, 0]), tempfile::tempdir().unwrap());
    let (catalogue, training) = (Catalogue::numbered(ITEMS), DiscriminatorTraining::default());
    let mut straight =
        DiscriminatorTrainer::new(model(&configs()[0], DType::F32), training.clone()).unwrap();
    straight.epoch(&real, &generated, Seed::new(5)).unwrap();
    straight.save(folder.path(), &catalogue, 1, 1).unwrap();
    let mut resumed =
        DiscriminatorTrainer::resume(folder.path(), &catalogue, training.clone(), &Device::Cpu)
            .unwrap();
    assert_eq!(resumed.model().config(), straight.model().config());
    for trainer in [&mut straight, &mut resumed] {
        trainer.epoch(&real, &generated, Seed::new(6)).unwrap();
    }
    assert_eq!(values(resumed.model().params()), values(straight.model().params()));
    let other = Catalogue::new(["a", "b", "c", "d", "e", "f"].into_iter().collect());
    let message = DiscriminatorTrainer::resume(folder.path(), &other, training, &Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(message.contains("trained with item vocabulary"), "{message}");
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let new = |config| Discriminator::new(config, Seed::new(1), &Device::Cpu);
    let base = DiscriminatorConfig::small(ITEMS);
    assert!(new(DiscriminatorConfig { items: 0, ..base.clone() }).is_err());
    assert!(new(DiscriminatorConfig { temperature: 0.0, ..base.clone() }).is_err());
    assert!(new(DiscriminatorConfig { hidden: 0, ..base.clone() }).is_err());
    let mut trainer =
        DiscriminatorTrainer::new(new(base).unwrap(), DiscriminatorTraining::default()).unwrap();
    assert!(trainer.epoch(&log(), &Log::default(), Seed::new(1)).is_err());
}
