//! Algorithm 1 does the stages of the paper in order, and its result depends on neither threads nor
//! stops.

use candle_core::Device;
use foretaste_data::Catalogue;
use foretaste_random::Seed;

use super::{log_of, offline, on_threads, start, tiny, values};
use crate::{
    Adversary, Buffer, Endings, Error, IRecGan, IRecGanConfig, Judged, Round, Stage,
    max_trajectory_length, unjudged,
};

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

/// All settings of lines 5 to 19 that are not as printed.
#[test]
fn a_round_of_the_authors_does_not_depend_on_threads_or_stops() {
    let config = IRecGanConfig {
        round: Round::Authors,
        endings: Endings::Random,
        judged: Judged::AsLogged,
        support: Some(1),
        ..config()
    };
    let config = || {
        let mut config = config.clone();
        config.discriminator.leaving = false;
        config
    };
    let (data, catalogue) = (offline(ITEMS, 30, K), Catalogue::numbered(ITEMS));
    let straight = |threads| {
        on_threads(threads, || {
            let mut run = start(config());
            while run.advance(&data).unwrap().is_some() {}
            (run.curve().to_vec(), parameters(&run))
        })
    };
    let expected = straight(1);
    assert_eq!(straight(3), expected);
    let last = expected.0[expected.0.len() - 1];
    assert!(
        [last.users_loss, last.agent_loss, last.discriminator_loss].iter().all(Option::is_some)
    );
    let folder = tempfile::tempdir().unwrap();
    let mut run = start(config());
    while run.advance(&data).unwrap().is_some() {
        run.save(folder.path(), &catalogue).unwrap();
        run = IRecGan::resume(folder.path(), &catalogue, Seed::new(1), &Device::Cpu).unwrap();
    }
    assert_eq!((run.curve().to_vec(), parameters(&run)), expected);
}

#[test]
fn without_the_adversary_the_agent_alone_learns_as_pgu_does() {
    let data = offline(ITEMS, 30, K);
    let config = IRecGanConfig { adversary: Adversary::None, r_steps: 1, ..config() };
    let (mut run, mut pgu) = (start(config.clone()), start(config.clone()));
    let before = parameters(&run);
    let point = run.adversarial_epoch(&data).unwrap();
    let seed = pgu.seed.derive("algorithm 1").index(0).derive("line 8").index(0);
    let both = unjudged(&config, pgu.users(), pgu.agent(), &data, seed).unwrap();
    let loss = pgu.agent.epoch(&both, seed.derive("line 13")).unwrap();
    assert_eq!(parameters(&run)[1], parameters(&pgu)[1]);
    assert_eq!((point.agent_loss, point.users_loss), (Some(loss), None));
    let after = parameters(&run);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_ne!(after[1], before[1]);
    let point = run.pretrain_discriminator(&data).unwrap();
    assert_eq!(point.discriminator_loss, None);
    assert_eq!(parameters(&run), after);
}

#[test]
fn a_run_goes_on_by_other_settings_of_what_is_still_to_come() {
    let data = offline(ITEMS, 30, K);
    let begun = || {
        let mut run = start(config());
        for _ in 0..4 {
            run.advance(&data).unwrap();
        }
        run
    };
    let other = IRecGanConfig { lambda_1: 0.5, ..config() };
    let mut forked = begun().going_on_by(other.clone()).unwrap();
    let mut straight = start(other);
    while forked.advance(&data).unwrap().is_some() {}
    while straight.advance(&data).unwrap().is_some() {}
    assert_eq!(parameters(&forked), parameters(&straight));
    for refused in [
        IRecGanConfig { lambda_1: 1.0, ..config() },
        IRecGanConfig { users: IRecGanConfig::small(ITEMS, K).users, ..config() },
    ] {
        assert!(matches!(begun().going_on_by(refused), Err(Error::Setting(_))));
    }
}

/// Of the sessions with a click, each of which begins with an item: (2 + 3 + 4) / 3 = 3.
#[test]
fn trajectories_are_as_long_as_in_the_authors_code() {
    let click = || (vec![0, 1], Some(1), 0.0);
    let leave = || (vec![0, 1], None, 0.0);
    let data = log_of(&[
        vec![click(), leave()],
        vec![leave()],
        vec![click(), click(), leave()],
        vec![click(), click(), click()],
    ]);
    assert_eq!(max_trajectory_length(&data).unwrap(), 6);
    assert!(max_trajectory_length(&log_of(&[vec![leave()]])).is_err());
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
    assert!(refused(IRecGanConfig { endings: Endings::Random, ..config() }));
}
