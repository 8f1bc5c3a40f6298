//! Trains the users of one log under several regularisers, and prints their held-out figures: means over seeds with 95%
//! intervals.
//!
//! `cargo run --release -p understudy-user-model --example regularisers -- FILE [SEEDS]`: FILE is in GAN-CDQN's format and names
//! its split, as `datasets/simulated-choice.tsv` does; 3 seeds by default.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use candle_core::Device;
use understudy_data::import::{self, import};
use understudy_data::{Dataset, Format, Split};
use understudy_eval::interval::student_t;
use understudy_random::Seed;
use understudy_user_model::{
    AdversarialConfig, Regulariser, StateEncoder, TrainConfig, UserModel, UserModelConfig, evaluate, fit,
    fit_adversarial,
};

/// A way of training, its held-out figures, and what it took.
struct Row {
    training: &'static str,
    precision: [f64; 2],
    nll: f64,
    loss: f64,
    ruled_out: f64,
    iterations: f64,
    seconds: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("expected a file in GAN-CDQN's format")?;
    let seeds = args.next().map_or(Ok(3), |text| text.parse::<u64>())?;
    let options = import::Options { format: Some(Format::GanCdqn), ..import::Options::default() };
    let (dataset, _) = import(Path::new(&file), options)?;
    let split = dataset.split.clone().ok_or("the file names no split")?;

    println!("state,training,precision@1,precision@2,NLL,loss,clicks ruled out %,best iteration,seconds");
    for (name, state) in [("GAN-PW", StateEncoder::position_weights()), ("GAN-LSTM", StateEncoder::lstm())] {
        let config = UserModelConfig { state, ..UserModelConfig::new(dataset.catalogue.len()) };
        let runs = (0..seeds).map(|seed| run(&dataset, &split, &config, seed)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..runs[0].len() {
            print!("{name},{}", runs[0][row].training);
            let figures: [fn(&Row) -> f64; 7] = [
                |row| row.precision[0],
                |row| row.precision[1],
                |row| row.nll,
                |row| row.loss,
                |row| 100.0 * row.ruled_out,
                |row| row.iterations,
                |row| row.seconds,
            ];
            for figure in figures {
                let values: Vec<f64> = runs.iter().map(|rows| figure(&rows[row])).collect();
                match values.iter().all(|value| value.is_finite()) {
                    true => print!(",{}", student_t(&values)?),
                    false => print!(",infinite"),
                }
            }
            println!();
        }
    }
    Ok(())
}

/// One seed: every way of training on the same initialisation and the same order of sessions.
fn run(dataset: &Dataset, split: &Split, config: &UserModelConfig, seed: u64) -> Result<Vec<Row>, Box<dyn Error>> {
    let seed = Seed::new(seed);
    let new = |config: UserModelConfig| UserModel::new(config, &dataset.catalogue, seed, &Device::Cpu);
    let under = |regulariser| new(config.clone())?.with_regulariser(regulariser);
    let judge = |training, model: &UserModel, best: u64, began: Instant| {
        let seconds = began.elapsed().as_secs_f64();
        let found = evaluate(model, &dataset.log, &split.test)?;
        let unclicked = "no test display has a click";
        Ok::<Row, Box<dyn Error>>(Row {
            training,
            precision: [found.precision_at_1.ok_or(unclicked)?, found.precision_at_2.ok_or(unclicked)?],
            nll: found.nll,
            loss: found.fenchel_young,
            ruled_out: found.clicks_ruled_out.ok_or(unclicked)?,
            iterations: best as f64,
            seconds,
        })
    };
    let (patience, watch) = (Some(10), |_| ControlFlow::Continue(()));
    let mut rows = Vec::new();

    let training = TrainConfig { patience, ..TrainConfig::default() };
    let direct = [
        ("Shannon: maximum likelihood", Regulariser::Shannon),
        ("Tsallis 1.5: entmax loss", Regulariser::Tsallis { alpha: 1.5 }),
        ("L2: sparsemax loss", Regulariser::L2),
    ];
    let mut likelihood = None;
    for (name, regulariser) in direct {
        let (model, began) = (under(regulariser)?, Instant::now());
        let fitted = fit(&model, &dataset.log, split, &training, seed.derive("training"), watch)?;
        rows.push(judge(name, &model, fitted.best.iteration, began)?);
        likelihood.get_or_insert(model.params().snapshot()?);
    }

    let reward = TrainConfig { patience, ..AdversarialConfig::default().reward };
    let training = AdversarialConfig { reward, ..AdversarialConfig::default() };
    let min_max = [
        (["Shannon: min-max", "- its generator"], Regulariser::Shannon, None),
        (["L2: min-max", "- its generator"], Regulariser::L2, None),
        (["L2: min-max from Shannon's rewards", "- its generator"], Regulariser::L2, likelihood),
    ];
    for ([name, its_generator], regulariser, start) in min_max {
        let (model, generator) = (under(regulariser)?, new(config.generator())?);
        if let Some(params) = start {
            model.params().restore(&params)?;
        }
        let began = Instant::now();
        let seed = seed.derive("training");
        let fitted = fit_adversarial(&model, &generator, &dataset.log, split, &training, seed, watch)?;
        rows.push(judge(name, &model, fitted.best.iteration, began)?);
        rows.push(judge(its_generator, &generator, fitted.best.iteration, began)?);
    }
    Ok(rows)
}
