//! Laws of the fit loop and of run checkpoints, on a learner of one number.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use foretaste_nn::checkpoint::{self, Description, MANIFEST};
use foretaste_nn::{Adam, AdamConfig, Init, Params};
use foretaste_random::Seed;
use foretaste_train::run::{self, Resumed};
use foretaste_train::{
    Candidates, Error, Fit, FitConfig, Fitted, Fitting, Progress, Result, descend, fit,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Two numbers that move in every iteration, and validation losses that are given.
struct Learner {
    params: [Params; 2],
    adams: [Adam; 2],
    numbers: [Tensor; 2],
    /// The validation losses of both numbers, by iteration.
    losses: Vec<[f64; 2]>,
    /// The iteration whose training loss is not finite.
    breaks: Option<u64>,
}

impl Learner {
    fn new(losses: Vec<[f64; 2]>) -> Self {
        let mut params = [1, 2].map(|seed| Params::new(Seed::new(seed), DType::F32, &Device::Cpu));
        let numbers = params
            .each_mut()
            .map(|params| params.scope("number").param("x", 1, Init::Normal { sd: 1.0 }).unwrap());
        let adams = params.each_ref().map(|params| {
            Adam::new(params, AdamConfig { learning_rate: 0.1, ..AdamConfig::default() }).unwrap()
        });
        Self { params, adams, numbers, losses, breaks: None }
    }

    fn numbers(&self) -> [f32; 2] {
        self.numbers.each_ref().map(|x| x.to_vec1::<f32>().unwrap()[0])
    }
}

impl Fit for Learner {
    /// Iterations, and the losses after them.
    type Point = (u64, [f64; 2]);
    type Error = Error;

    fn train(&mut self, iteration: u64) -> Result<()> {
        for (adam, x) in self.adams.iter_mut().zip(&self.numbers) {
            let factor = if self.breaks == Some(iteration) { f64::NAN } else { 1.0 };
            let loss = (x.sum_all().map_err(foretaste_nn::Error::from)? * factor)
                .map_err(foretaste_nn::Error::from)?;
            descend(adam, &loss)?;
        }
        Ok(())
    }

    fn validate(&mut self, iteration: u64) -> Result<Self::Point> {
        Ok((iteration, self.losses[iteration as usize]))
    }

    fn params(&self) -> Vec<&Params> {
        self.params.iter().collect()
    }

    fn losses(&self, (_, losses): &Self::Point) -> Vec<f64> {
        losses.to_vec()
    }
}

fn go_on<P>(_: Progress<P>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The numbers before any iteration and after each.
fn path(iterations: u64) -> Vec<[f32; 2]> {
    let mut learner = Learner::new(Vec::new());
    let mut path = vec![learner.numbers()];
    for iteration in 1..=iterations {
        learner.train(iteration).unwrap();
        path.push(learner.numbers());
    }
    path
}

/// Few values, so that some are equal.
fn losses(count: usize) -> impl Strategy<Value = Vec<[f64; 2]>> {
    prop::collection::vec([0u8..5, 0u8..5].prop_map(|losses| losses.map(f64::from)), count)
}

proptest! {
    #[test]
    fn every_set_of_parameters_is_put_back_to_its_own_best_validation(
        losses in losses(9), validate_every in 1u64..4, trained: bool,
    ) {
        let candidates = if trained { Candidates::Trained } else { Candidates::All };
        let config = FitConfig { iterations: 8, validate_every, patience: None, candidates };
        let mut learner = Learner::new(losses.clone());
        let Fitted { curve, best } = fit(&mut learner, config, go_on).unwrap();
        let validated: Vec<u64> = (0..=8).filter(|at| at % validate_every == 0 || *at == 8).collect();
        prop_assert_eq!(curve.iter().map(|(at, _)| *at).collect::<Vec<_>>(), &validated[..]);
        let path = path(8);
        for set in 0..2 {
            let first_lowest = validated.iter().skip(usize::from(trained)).copied().reduce(|best, at| {
                if losses[at as usize][set] < losses[best as usize][set] { at } else { best }
            }).unwrap();
            prop_assert_eq!(learner.numbers()[set], path[first_lowest as usize][set]);
            if set == 0 {
                prop_assert_eq!(best, (first_lowest, losses[first_lowest as usize]));
            }
        }
    }

    #[test]
    fn a_fit_stops_after_as_many_validations_without_a_new_best_as_patience_says(
        losses in losses(13), patience in 1u64..4,
    ) {
        let config = FitConfig {
            iterations: 12, validate_every: 1, patience: Some(patience), candidates: Candidates::All,
        };
        let mut learner = Learner::new(losses.clone());
        let curve = fit(&mut learner, config, go_on).unwrap().curve;
        let improves = |at: usize| {
            (0..2).any(|set| losses[..at].iter().all(|before| losses[at][set] < before[set]))
        };
        let stops = |at: usize| {
            at >= patience as usize && (at + 1 - patience as usize..=at).all(|at| !improves(at))
        };
        let expected = (1..=12).find(|&at| stops(at)).unwrap_or(12);
        prop_assert_eq!(curve.last().unwrap().0, expected as u64);
    }

    #[test]
    fn a_stopped_fit_leaves_the_parameters_of_the_last_update(losses in losses(9), stop in 0u64..9) {
        let config = FitConfig {
            iterations: 8, validate_every: 2, patience: None, candidates: Candidates::All,
        };
        let mut learner = Learner::new(losses);
        let mut reported = Vec::new();
        let result = fit(&mut learner, config, |Progress { iteration, point }| {
            assert_eq!(point.map(|(at, _)| at), (iteration % 2 == 0).then_some(iteration));
            reported.push(iteration);
            if iteration == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        prop_assert!(matches!(result, Err(Error::Interrupted)));
        prop_assert_eq!(reported, (0..=stop).collect::<Vec<_>>());
        prop_assert_eq!(learner.numbers(), path(8)[stop as usize]);
    }

    #[test]
    fn a_loss_that_is_not_finite_is_an_error_that_names_the_iteration(
        at in 0u64..9, validation: bool, infinite: bool,
    ) {
        let bad = if infinite { f64::INFINITY } else { f64::NAN };
        let mut learner = Learner::new(vec![[1.0, 1.0]; 9]);
        if validation {
            learner.losses[at as usize][1] = bad;
        } else {
            learner.breaks = Some(at.max(1));
        }
        let config = FitConfig {
            iterations: 8, validate_every: 1, patience: None, candidates: Candidates::Trained,
        };
        let expected = if validation { at } else { at.max(1) };
        match fit(&mut learner, config, go_on) {
            Err(Error::Diverged { iteration, .. }) => prop_assert_eq!(iteration, expected),
            other => prop_assert!(false, "{:?}", other),
        }
        // A training loss that is not finite changes nothing.
        let updates = if validation { expected } else { expected - 1 };
        prop_assert_eq!(learner.numbers(), path(8)[updates as usize]);
    }
}

#[test]
fn a_parameter_that_is_not_finite_is_an_error_at_the_next_validation() {
    let config =
        FitConfig { iterations: 4, validate_every: 2, patience: None, candidates: Candidates::All };
    let mut learner = Learner::new(vec![[1.0; 2]; 5]);
    let mut fitting = Fitting::start(&mut learner, config).unwrap();
    fitting.advance(&mut learner).unwrap();
    let infinite = Tensor::new(&[f32::INFINITY], &Device::Cpu).unwrap();
    learner.params[1].get("number.x").unwrap().set(&infinite).unwrap();
    learner.adams[1] =
        Adam::new(&Params::new(Seed::new(1), DType::F32, &Device::Cpu), AdamConfig::default())
            .unwrap();
    learner.numbers[1] = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let refused = fitting.advance(&mut learner).unwrap_err().to_string();
    let expected =
        "diverged at iteration 2: the parameter number.x holds a number that is not finite";
    assert!(refused.contains(expected), "{refused}");
    assert!(refused.contains("lower learning rate"), "{refused}");
}

#[test]
fn without_a_trained_candidate_the_parameters_stay() {
    let config = FitConfig {
        iterations: 0,
        validate_every: 1,
        patience: Some(1),
        candidates: Candidates::Trained,
    };
    let mut learner = Learner::new(vec![[1.0, 2.0]]);
    let fitted = fit(&mut learner, config, go_on).unwrap();
    assert_eq!(fitted, Fitted { curve: vec![(0, [1.0, 2.0])], best: (0, [1.0, 2.0]) });
    assert_eq!(learner.numbers(), path(0)[0]);
}

#[test]
fn settings_outside_their_range_are_refused() {
    let base =
        FitConfig { iterations: 1, validate_every: 1, patience: None, candidates: Candidates::All };
    for config in [FitConfig { validate_every: 0, ..base }, FitConfig { patience: Some(0), ..base }]
    {
        let result = fit(&mut Learner::new(vec![[1.0; 2]; 2]), config, go_on);
        assert!(matches!(result, Err(Error::Setting(_))), "{config:?}");
    }
}

/// What a run of one [`Learner`] keeps in addition to its numbers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct State {
    iterations: u64,
    curve: Vec<f64>,
}

const SEED: u64 = 7;

/// Writes both numbers with their optimizers.
fn write(place: &Path, learner: &Learner) -> Result<()> {
    for set in 0..2 {
        let description = Description {
            manifest: MANIFEST,
            model: "number/1",
            config: &(),
            vocabulary: "",
            iteration: 0,
            seed: run::fingerprint(Seed::new(SEED)),
            files: &[],
        };
        let (params, adam) = (learner.params[set].snapshot()?, Some(&learner.adams[set]));
        checkpoint::save(&place.join(set.to_string()), description, &params, adam)?;
    }
    Ok(())
}

fn read(place: &Path, losses: Vec<[f64; 2]>) -> Result<Learner> {
    let mut learner = Learner::new(losses);
    for set in 0..2 {
        let saved = checkpoint::load::<()>(&place.join(set.to_string()), MANIFEST, "number/1")?;
        saved.restore(&learner.params[set])?;
        saved.restore_optimiser(&mut learner.adams[set])?;
    }
    Ok(learner)
}

fn save(folder: &Path, learner: &Learner, state: State) -> Result<()> {
    run::save(folder, Seed::new(SEED), |place| {
        write(place, learner)?;
        Ok(state)
    })
}

fn resume(folder: &Path, seed: u64) -> Result<(Learner, State)> {
    let Resumed { state, folder } = run::resume(folder, Seed::new(seed))?;
    Ok((read(&folder, Vec::new())?, state))
}

/// One iteration of a run.
fn step(learner: &mut Learner, state: &mut State) {
    state.iterations += 1;
    learner.train(state.iterations).unwrap();
    state.curve.push(f64::from(learner.numbers()[0]) / 3.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_fit_that_is_saved_and_resumed_ends_with_the_bits_of_one_that_was_not_stopped(
        losses in losses(9),
        validate_every in 1u64..4,
        patience in prop::option::of(1u64..4),
        trained: bool,
        stops in prop::collection::btree_set(0u64..9, 1..4),
    ) {
        let candidates = if trained { Candidates::Trained } else { Candidates::All };
        // Thirds have no short decimals.
        let losses: Vec<_> = losses.iter().map(|losses| losses.map(|loss| loss / 3.0)).collect();
        let config = FitConfig { iterations: 8, validate_every, patience, candidates };
        let mut straight = Learner::new(losses.clone());
        let expected = fit(&mut straight, config, go_on).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("fit");
        let mut learner = Learner::new(losses.clone());
        let mut fitting = Fitting::start(&mut learner, config).unwrap();
        loop {
            if stops.contains(&fitting.iteration()) {
                write(folder.path(), &learner).unwrap();
                fitting.save(&place).unwrap();
                learner = read(folder.path(), losses.clone()).unwrap();
                fitting = Fitting::load(&place, &learner).unwrap();
            }
            if fitting.advance(&mut learner).unwrap().is_none() {
                break;
            }
        }
        prop_assert!(fitting.is_over());
        prop_assert_eq!(fitting.finish(&learner).unwrap(), expected);
        prop_assert_eq!(learner.numbers(), straight.numbers());
    }

    #[test]
    fn a_resumed_run_is_the_run_that_did_not_stop(stops in prop::collection::vec(0u64..4, 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let start = || (Learner::new(Vec::new()), State { iterations: 0, curve: Vec::new() });
        let ((mut straight, mut expected), (mut learner, mut state)) = (start(), start());
        for iterations in stops {
            for _ in 0..iterations {
                step(&mut straight, &mut expected);
                step(&mut learner, &mut state);
            }
            save(folder.path(), &learner, state).unwrap();
            (learner, state) = resume(folder.path(), SEED).unwrap();
            prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }
        step(&mut straight, &mut expected);
        step(&mut learner, &mut state);
        prop_assert_eq!(learner.numbers(), straight.numbers());
        prop_assert_eq!(state, expected);
    }
}

#[test]
fn a_fit_of_other_parameters_or_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        FitConfig { iterations: 1, validate_every: 1, patience: None, candidates: Candidates::All };
    let mut learner = Learner::new(vec![[1.0; 2]; 2]);
    let problem = |learner: &Learner| match Fitting::load(folder.path(), learner) {
        Err(reason) => reason.to_string(),
        Ok(_) => panic!("it was loaded"),
    };
    assert!(!problem(&learner).is_empty(), "there is no fit yet");
    Fitting::start(&mut learner, config).unwrap().save(folder.path()).unwrap();
    learner.params[1].scope("number").param("y", 1, Init::Constant(0.0)).unwrap();
    assert!(problem(&learner).contains("number.y is missing"), "{}", problem(&learner));
    assert!(Fitting::load(folder.path(), &Learner::new(Vec::new())).is_ok());
}

#[test]
fn another_seed_or_format_and_damage_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let problem = |seed| match resume(folder.path(), seed) {
        Err(Error::Checkpoint { problem, .. }) => problem,
        other => panic!("{:?}", other.map(|(_, state)| state)),
    };
    assert!(!problem(7).is_empty(), "there is no checkpoint yet");
    let state = State { iterations: 3, curve: vec![0.1] };
    save(folder.path(), &Learner::new(Vec::new()), state).unwrap();
    assert!(resume(folder.path(), SEED).is_ok());
    assert_eq!(problem(8), "the run had another seed");
    let path = folder.path().join("latest.json");
    let text = fs::read_to_string(&path).unwrap();
    for (damaged, expected) in [
        (text.replace("\"format\":1", "\"format\":9"), "format 9, expected 1"),
        (text.replace("iterations\\\":3", "iterations\\\":4"), "the content is damaged"),
        (String::new(), "EOF"),
    ] {
        assert_ne!(damaged, text);
        fs::write(&path, damaged).unwrap();
        assert!(problem(7).contains(expected), "{}", problem(7));
    }
}

#[test]
#[cfg(unix)]
fn a_checkpoint_that_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("latest.json")).unwrap();
    let refused = run::resume::<State>(folder.path(), Seed::new(SEED)).unwrap_err().to_string();
    assert!(refused.contains("expected a file"), "{refused}");
}

#[test]
fn a_save_that_fails_leaves_the_checkpoint_before() {
    let folder = tempfile::tempdir().unwrap();
    let state = || State { iterations: 3, curve: vec![0.1] };
    save(folder.path(), &Learner::new(Vec::new()), state()).unwrap();
    let failed = run::save::<State, Error>(folder.path(), Seed::new(SEED), |place| {
        fs::write(place.join("half"), "half").unwrap();
        Err(Error::Interrupted)
    });
    assert!(matches!(failed, Err(Error::Interrupted)));
    assert_eq!(resume(folder.path(), SEED).unwrap().1, state());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// As written before this crate was: by IRecGAN in one file, by cascading Q-networks in two.
#[test]
fn both_earlier_layouts_are_read() {
    let state = r#""iterations":3,"curve":[0.1]"#;
    let write = |run: &str, digested: &str, folder: &Path| {
        let digest = blake3::hash(digested.as_bytes()).to_hex();
        let text = format!(r#"{{"format":1,{run},"digest":"{digest}"}}"#);
        fs::write(folder.join("latest.json"), text).unwrap();
    };
    let check = |folder: &Path, name: &str| {
        let found: Resumed<State> = run::resume(folder, Seed::new(SEED)).unwrap();
        assert_eq!(found.state, State { iterations: 3, curve: vec![0.1] });
        assert_eq!(found.folder, folder.join(name));
    };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());

    let seed = run::fingerprint(Seed::new(SEED));
    let names = |name: &str| {
        let content = format!(r#"{{{state},"seed":{seed},"folder":"{name}"}}"#);
        let run = serde_json::to_string(&content).unwrap();
        write(&format!(r#""run":{run}"#), &content, one.path());
    };
    // It leads to no folder but one of its own, whatever its digest says.
    let elsewhere = two.path().to_str().unwrap();
    for name in ["networks-x", "../networks-x", elsewhere, ".", "other"] {
        names(name);
        let refused = run::resume::<State>(one.path(), Seed::new(SEED)).unwrap_err().to_string();
        assert!(refused.contains("none of a run"), "{refused}");
    }
    fs::create_dir(one.path().join("networks-x")).unwrap();
    names("networks-x");
    check(one.path(), "networks-x");
    assert!(run::resume::<State>(one.path(), Seed::new(8)).is_err());

    let content = format!("{{{state}}}");
    fs::create_dir(two.path().join("training-x")).unwrap();
    fs::write(two.path().join("training-x/training.json"), &content).unwrap();
    write(r#""folder":"training-x""#, &content, two.path());
    check(two.path(), "training-x");
    // What is saved next takes its place.
    save(two.path(), &Learner::new(Vec::new()), State { iterations: 4, curve: vec![] }).unwrap();
    assert!(!two.path().join("training-x").exists());
    assert_eq!(resume(two.path(), SEED).unwrap().1.iterations, 4);
}
