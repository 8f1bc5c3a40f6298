//! `cargo xtask bench fit`: how long fits of GAN-CDQN's user models take, compared with an ordinary
//! port to PyTorch.

use std::io::{stdin, stdout};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use candle_core::Device;
use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_eval::text;
use foretaste_import::{Options, import};
use foretaste_random::Seed;
use foretaste_report::Table;
use foretaste_user_model::{Outside, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit};
use serde::{Deserialize, Serialize};

use super::peer::{self, Peer};
use super::ratio::Ratio;
use super::record::{Record, median};

/// Options of the benchmark of fits.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The log in the format of GAN-CDQN's code, such as yelp.txt (datasets/gan-cdqn.md).
    #[arg(long, value_name = "FILE", required_unless_present = "serve")]
    log: Option<PathBuf>,
    /// A Python that has the packages of benches/peers/requirements.txt: measures PyTorch too, in
    /// turns with ours.
    #[arg(long, value_name = "PATH")]
    peer_python: Option<PathBuf>,
    /// Numbers of threads to measure with.
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [1, 2],
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_024)
    )]
    threads: Vec<usize>,
    /// Updates of a fit, on batches of 50 users.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    iterations: u64,
    /// How often each fit is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..))]
    turns: u8,
    /// Answer requests from the standard input.
    #[arg(long, hide = true)]
    serve: bool,
}

/// A user model of the paper, with one-hot items.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Model {
    Pw,
    Lstm,
}

/// One fit.
#[derive(Serialize, Deserialize)]
struct Request<'a> {
    model: Model,
    #[serde(borrow)]
    path: &'a Path,
    iterations: u64,
    threads: usize,
}

/// Digits of the seconds that are shown.
const DIGITS: usize = 3;

/// Runs the benchmark and prints its table.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    if args.serve {
        return peer::serve(stdin().lock(), stdout().lock(), |line| {
            fitted(&serde_json::from_str(line)?)
        });
    }
    let path = args.log.as_deref().context("--log is missing: expected a file")?;
    let mut torch = args
        .peer_python
        .as_deref()
        .map(|python| Peer::script(python, "torch_fit.py"))
        .transpose()?;
    let name = torch.as_ref().map_or("no peer", Peer::name).to_owned();
    let header = ["model", "threads", "ours, s", "the peer, s", "its time / ours"];
    let mut rows = Vec::new();
    for &threads in &args.threads {
        let mut ours = Peer::ours("fit", threads)?;
        for model in [Model::Pw, Model::Lstm] {
            let case = format!("{}, threads {threads}", model.name());
            let request = Request { model, path, iterations: args.iterations, threads };
            let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
            for turn in 1..=args.turns {
                eprint_line(format_args!("measuring {case}, turn {turn} of {}", args.turns));
                our_times.push(ours.ask(&request, &case)?);
                if let Some(torch) = &mut torch {
                    peer_times.push(torch.ask(&request, &case)?);
                }
            }
            let ours = record.seconds(format!("fit, {case}"), &our_times);
            let mut row =
                vec![model.name().to_owned(), threads.to_string(), text::significant(ours, DIGITS)];
            row.extend(match torch {
                Some(_) => [
                    text::significant(median(peer_times.clone()), DIGITS),
                    Ratio::of(&peer_times, &our_times)?.to_string(),
                ],
                None => [String::new(), String::new()],
            });
            rows.push(row);
        }
    }
    print_line(format_args!(
        "{} updates on batches of 50 users; medians of {} turns; {name}. Ours includes the batches \
         and a validation before and after.",
        args.iterations, args.turns
    ));
    let header = header.map(str::to_owned).into();
    print_line(Table { title: "Fits".into(), header, rows }.markdown());
    Ok(())
}

/// Seconds of a fit of ours.
fn fitted(request: &Request<'_>) -> anyhow::Result<f64> {
    let (dataset, _) = import(request.path, Options::default())?;
    let split = dataset.split.as_ref().with_context(|| {
        format!("{} has no split, expected the column tr_val_tst", request.path.display())
    })?;
    let items = dataset.catalogue.len();
    let config = UserModelConfig {
        state: request.model.state(),
        outside: Outside::observed(&dataset.log),
        ..UserModelConfig::new(items)
    };
    let iterations = request.iterations;
    let training = TrainConfig { iterations, validate_every: iterations, ..TrainConfig::default() };
    let seed = Seed::new(1);
    let mut model = UserModel::new(config, &dataset.catalogue, seed, &Device::Cpu)?;
    let go_on = |_| ControlFlow::Continue(());
    let begin = Instant::now();
    fit(&mut model, &dataset.log, split, &training, seed, go_on)?;
    Ok(begin.elapsed().as_secs_f64())
}

impl Model {
    fn name(self) -> &'static str {
        match self {
            Self::Pw => "GAN-PW",
            Self::Lstm => "GAN-LSTM",
        }
    }

    fn state(self) -> StateEncoder {
        match self {
            Self::Pw => StateEncoder::position_weights(),
            Self::Lstm => StateEncoder::lstm(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The example in the peer's script.
    #[test]
    fn a_request_is_what_the_script_says() {
        let (model, path) = (Model::Pw, Path::new("yelp.txt"));
        let request = Request { model, path, iterations: 500, threads: 1 };
        let expected =
            json!({ "model": "pw", "path": "yelp.txt", "iterations": 500, "threads": 1 });
        assert_eq!(serde_json::to_value(request).unwrap(), expected);
    }

    #[test]
    fn both_models_are_fitted_on_a_bundled_log() {
        let path = crate::workspace_root().join("datasets/simulated-choice.tsv");
        for model in [Model::Pw, Model::Lstm] {
            let request = Request { model, path: &path, iterations: 3, threads: 1 };
            assert!(fitted(&request).unwrap() > 0.0);
        }
    }
}
