//! `cargo xtask bench nn`: what networks spend their time on, compared with plain products
//! and of PyTorch.

mod case;
mod ours;

use std::io::{stdin, stdout};
use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use comfy_table::{Table, presets};

use crate::bench::nn::case::{Case, Request};
use crate::bench::peer::{self, Peer};
use crate::bench::record::{Record, median};
use foretaste_console::terminal::{eprint_line, print_line};

/// Options of the network benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measure this library too, in turns with ours.
    #[arg(long, value_enum)]
    peer: Option<Library>,
    /// A Python that has the packages of benches/peers/requirements.txt.
    #[arg(long, value_name = "PATH", default_value = "python3", requires = "peer")]
    peer_python: PathBuf,
    /// Numbers of threads to measure with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2], value_parser = size())]
    threads: Vec<usize>,
    /// Widths of the LSTM.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 512], value_parser = size())]
    hidden: Vec<usize>,
    /// Sessions in a batch of training.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 64, 256], value_parser = size())]
    batch: Vec<usize>,
    /// Steps of a session of training.
    #[arg(long, value_delimiter = ',', default_values_t = [4, 10, 20], value_parser = size())]
    time: Vec<usize>,
    /// Turns that we and the peer have at each case; the median of their medians is shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    turns: u8,
    /// Seconds of one turn.
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    seconds: f64,
    /// Measure only these, and the products that they are compared with.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Part>,
    /// Answer requests from the standard input.
    #[arg(long, hide = true)]
    serve: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Library {
    Torch,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Part {
    /// A training step of the LSTM.
    Train,
    /// A step of the LSTM that carries its state.
    Act,
    /// Cross-entropy over many items.
    Softmax,
    /// A training step of a table of which few rows are read.
    Embedding,
}

const LABELS: [&str; 5] = ["case", "hidden", "batch", "T", "threads"];
const NOTHING: &str = "-";

/// Runs the benchmark and prints its table.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    if args.serve {
        return peer::serve(stdin().lock(), stdout().lock(), ours::answer);
    }
    let mut peer = match args.peer {
        Some(Library::Torch) => Some(Peer::script(&args.peer_python, "torch_nn.py")?),
        None => None,
    };
    let mut results = Vec::new();
    for &threads in &args.threads {
        let mut ours = Peer::ours("nn", threads)?;
        for case in cases(args) {
            let labels =
                LABELS.iter().zip(labels(case, threads)).filter(|(_, value)| value != NOTHING);
            let labels: Vec<_> = labels.map(|(name, value)| format!("{name} {value}")).collect();
            let labels = labels.join(", ");
            eprint_line(format_args!("measuring {labels}"));
            let request = Request { case, threads, seconds: args.seconds };
            let (our_times, peer_times) = in_turns(request, args.turns, &mut ours, &mut peer)?;
            let measured = Measured {
                case,
                threads,
                ours: record.seconds(format!("nn, {labels}"), &our_times),
                peer: peer.as_ref().map(|_| median(peer_times)),
            };
            let beside =
                measured.peer.map(|seconds| format!(", the peer {} ms", milliseconds(seconds)));
            eprint_line(format_args!(
                "{labels}: {} ms{}",
                milliseconds(measured.ours),
                beside.unwrap_or_default()
            ));
            results.push(measured);
        }
    }
    print_line(format_args!(
        "Median times. A training step of the LSTM is 2 T B 4H (3 (D + 3H) - D) operations, D = \
         {}: each product forward once and backward\ntwice, without the gradient of the inputs. \
         Of GEMM: of the best rate of a GEMM row of as many threads, ours or the peer's.",
        case::INPUTS
    ));
    print_line(table(&results, peer.as_ref().map(Peer::name)));
    Ok(())
}

/// Median seconds of one case.
struct Measured {
    case: Case,
    threads: usize,
    ours: f64,
    peer: Option<f64>,
}

impl Measured {
    /// Operations a second, ours.
    fn rate(&self) -> Option<f64> {
        Some(self.case.operations()? / self.ours)
    }

    /// Operations a second, ours or the peer's.
    fn best_rate(&self) -> Option<f64> {
        Some(self.case.operations()? / self.peer.map_or(self.ours, |peer| peer.min(self.ours)))
    }
}

/// Median seconds of our turns and the peer's, which alternate so that what else the machine does
/// falls on both.
fn in_turns(
    request: Request,
    turns: u8,
    ours: &mut Peer,
    peer: &mut Option<Peer>,
) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        our_times.push(ours.ask(&request, request.case)?);
        if let Some(peer) = peer {
            peer_times.push(peer.ask(&request, request.case)?);
        }
    }
    Ok((our_times, peer_times))
}

fn cases(args: &Args) -> Vec<Case> {
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut cases =
        vec![Case::Gemm { m: 2048, n: 2048, k: 2048 }, Case::Gemm { m: 4096, n: 2048, k: 512 }];
    for &hidden in &args.hidden {
        if wanted(Part::Train) {
            let batches = args
                .batch
                .iter()
                .flat_map(|&batch| args.time.iter().map(move |&time| (batch, time)));
            cases.extend(batches.map(|(batch, time)| Case::Train { hidden, batch, time }));
        }
        if wanted(Part::Act) {
            cases.extend([1, 8, 64].map(|batch| Case::Act { hidden, batch, gather: false }));
            cases.extend([1, 8, 64].map(|batch| Case::Act { hidden, batch, gather: true }));
        }
    }
    if wanted(Part::Softmax) {
        cases.extend([64, 256].map(|rows| Case::Softmax { rows }));
    }
    if wanted(Part::Embedding) {
        cases.extend([true, false].map(|sparse| Case::Embedding { sparse }));
    }
    cases
}

fn table(results: &[Measured], peer: Option<&str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let mut header: Vec<_> =
        LABELS.into_iter().chain(["ms", "GFLOP/s", "of GEMM"]).map(str::to_owned).collect();
    if let Some(name) = peer {
        header.extend([format!("{name}, ms"), "its time / ours".to_owned()]);
    }
    table.set_header(header);
    for measured in results {
        let gemms = results
            .iter()
            .filter(|other| other.case.is_gemm() && other.threads == measured.threads);
        let peak = gemms.filter_map(Measured::best_rate).max_by(f64::total_cmp);
        let share = measured.rate().zip(peak).map(|(rate, peak)| rate / peak);
        let mut row = labels(measured.case, measured.threads);
        row.extend([
            milliseconds(measured.ours),
            cell(measured.rate(), |rate| format!("{:.1}", rate / 1e9)),
            cell(share, |share| format!("{share:.2}")),
        ]);
        if peer.is_some() {
            let ratio = measured.peer.map(|peer| peer / measured.ours);
            row.extend([
                cell(measured.peer, milliseconds),
                cell(ratio, |ratio| format!("{ratio:.2}")),
            ]);
        }
        table.add_row(row);
    }
    table
}

fn labels(case: Case, threads: usize) -> Vec<String> {
    let sizes = case.sizes().map(|size| cell(size, |size| size.to_string()));
    [case.to_string()].into_iter().chain(sizes).chain([threads.to_string()]).collect()
}

fn cell<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), show)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3}", 1e3 * seconds)
}

fn size() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=65_536)
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().map_err(|reason| format!("{reason}"))?;
    if (0.0..=3_600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 0 to 3600".to_owned())
    }
}
