use candle_core::Device;
use foretaste_data::Catalogue;
use foretaste_random::Seed;

use super::{offline, on_threads, start, tiny, values};
use crate::{Buffer, Error, IRecGan, IRecGanConfig, Stage};

const ITEMS: usize = 8;
const K: usize = 3;

fn config() -> IRecGanConfig {
    IRecGanConfig {
        users_epochs: 2,
        agent_epochs: 2,
        discriminator_epochs: 2,
        epochs: 2,
        r_steps: 2,
        branches: 2,
        lambda_1: 0.25,
        ..tiny(ITEMS, K)
    }
}

fn parameters(run: &IRecGan) -> [Vec<Vec<f32>>; 3] {
    [run.users().params(), run.agent().params(), run.discriminator().params()].map(values)
}

#[test]
fn the_stages_are_those_of_algorithm_1() {
    let (data, mut run) = (offline(ITEMS, 30, K), start(config()));
    let untrained = parameters(&run);
    let mut before = untrained.clone();
    while let Some(point) = run.advance(&data).unwrap() {
        let after = parameters(&run);
        let changed: Vec<bool> =
            before.iter().zip(&after).map(|(before, after)| before != after).collect();
        let (expected, figures) = match point.stage {
            Stage::PretrainUsers => ([true, false, false], [true, false, false, false]),
            Stage::PretrainAgent => ([false, true, false], [false, true, false, false]),
            Stage::PretrainDiscriminator => ([false, false, true], [false, false, true, false]),
            Stage::Adversarial => ([true; 3], [true; 4]),
        };
        let found = [point.users_loss, point.agent_loss, point.discriminator_loss, point.score];
        assert_eq!((changed, found.map(|figure| figure.is_some())), (expected.to_vec(), figures));
        assert!(point.score.is_none_or(|score| score > 0.0 && score < 1.0));
        let norms = run.gradient_norms();
        let norms = [norms.users, norms.agent, norms.discriminator]
            .map(|norm| norm.is_some_and(|norm| norm > 0.0));
        assert_eq!(norms, std::array::from_fn(|network| after[network] != untrained[network]));
        before = after;
    }
    let stages: Vec<Stage> = run.curve().iter().map(|point| point.stage).collect();
    let [users, agent, discriminator, adversarial] = [
        Stage::PretrainUsers,
        Stage::PretrainAgent,
        Stage::PretrainDiscriminator,
        Stage::Adversarial,
    ];
    assert_eq!(stages, [users, users, agent, agent, discriminator, adversarial, adversarial]);
}

#[test]
fn a_resumed_run_is_one_that_was_not_stopped() {
    let (data, catalogue, folder) =
        (offline(ITEMS, 30, K), Catalogue::numbered(ITEMS), tempfile::tempdir().unwrap());
    let mut straight = start(config());
    while straight.advance(&data).unwrap().is_some() {}

    start(config()).save(folder.path(), &catalogue).unwrap();
    let resume = |seed| IRecGan::resume(folder.path(), &catalogue, Seed::new(seed), &Device::Cpu);
    loop {
        let mut run = resume(1).unwrap();
        if run.advance(&data).unwrap().is_none() {
            break;
        }
        run.save(folder.path(), &catalogue).unwrap();
    }
    let resumed = resume(1).unwrap();
    assert_eq!(resumed.curve(), straight.curve());
    assert_eq!(parameters(&resumed), parameters(&straight));
    assert_eq!(resumed.config(), straight.config());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "earlier checkpoints are removed"
    );
    assert!(resume(2).unwrap_err().to_string().contains("the run had another seed"));
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let (catalogue, folder) = (Catalogue::numbered(ITEMS), tempfile::tempdir().unwrap());
    start(config()).save(folder.path(), &catalogue).unwrap();
    let path = folder.path().join("latest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for damaged in [
        text.replace("\\\"k\\\":3", "\\\"k\\\":2"),
        text.replace("\"format\":1", "\"format\":9"),
        String::new(),
    ] {
        assert_ne!(damaged, text);
        std::fs::write(&path, damaged).unwrap();
        let resumed = IRecGan::resume(folder.path(), &catalogue, Seed::new(1), &Device::Cpu);
        assert!(matches!(resumed, Err(Error::Training(foretaste_train::Error::Checkpoint { .. }))));
    }
}

#[test]
fn a_run_does_not_depend_on_the_threads() {
    let run = |threads| {
        on_threads(threads, || {
            let (data, mut run) = (offline(ITEMS, 30, K), start(config()));
            while run.advance(&data).unwrap().is_some() {}
            (run.curve().to_vec(), parameters(&run))
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn without_generated_trajectories_the_agent_learns_as_by_policy_gradient() {
    let data = offline(ITEMS, 30, K);
    let (mut run, mut pg) =
        (start(IRecGanConfig { lambda_1: 0.0, r_steps: 1, ..config() }), start(config()));
    let point = run.adversarial_epoch(&data).unwrap();
    // With the seed of line 13 of the first stage.
    let seed = pg.seed.derive("algorithm 1").index(0).derive("line 8").index(0).derive("line 13");
    let loss = pg.agent.epoch(&Buffer::real(data), seed).unwrap();
    assert_eq!(parameters(&run)[1], parameters(&pg)[1]);
    assert_ne!(parameters(&run)[1], parameters(&start(config()))[1]);
    assert_eq!((point.agent_loss, point.score, point.discriminator_loss), (Some(loss), None, None));
}

#[test]
fn generated_and_offline_sessions_stand_one_to_ten() {
    let config = IRecGanConfig::new(40_000, 10);
    assert_eq!((config.generated(65_284), config.extracted(65_284)), (6_528, 65_280));
    assert_eq!((config.generated(3), config.extracted(3)), (1, 3));
    let none = IRecGanConfig { lambda_1: 0.0, ..config };
    assert_eq!((none.generated(50), none.extracted(50)), (0, 50));
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let refused =
        |config| matches!(IRecGan::new(config, Seed::new(1), &Device::Cpu), Err(Error::Setting(_)));
    assert!(refused(IRecGanConfig { k: ITEMS + 1, ..config() }));
    assert!(refused(IRecGanConfig { branches: 0, ..config() }));
    assert!(refused(IRecGanConfig { lambda_1: 1.0, ..config() }));
    assert!(refused(IRecGanConfig { agent: tiny(ITEMS + 1, K).agent, ..config() }));
}
