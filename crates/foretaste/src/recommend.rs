//! `foretaste recommend`: what a recommender would show, for one history or for many requests.

use std::io::{BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::builder::RangedU64ValueParser;
use foretaste_console::terminal::{eprint_line, still_read};
use foretaste_data::Catalogue;
use foretaste_nn::DeviceKind;
use foretaste_random::Seed;
use foretaste_recommender::{Actor, Recommended, Request};
use serde_json::json;

use crate::answer::Answer;
use crate::policy::{PolicySpec, Source};
use crate::saved;

/// Options of `recommend`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recommender of any kind that `foretaste train` wrote. After it, add ,act=top (its most
    /// likely items), ,act=softmax with ,temperature=T, or ,epsilon=E (this share of the answers is
    /// drawn uniformly).
    policy: PolicySpec,
    /// Items that the user clicked, the oldest first, separated by commas.
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true)]
    history: Vec<String>,
    /// Number of items to recommend; fewer if there are fewer to choose from.
    #[arg(short, default_value_t = 10, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    k: usize,
    /// Items to choose from [default: all].
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true)]
    candidates: Option<Vec<String>>,
    /// Items to leave out.
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true)]
    exclude: Vec<String>,
    /// JSON Lines file of requests, or - for the standard input. A request is a line such as
    /// {"history":["a"],"k":6,"candidates":["b","c"],"exclude":["b"]}, whose fields are all
    /// optional. Each answer is a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["history", "candidates", "exclude"])]
    requests: Option<PathBuf>,
    /// Seed of slates that are drawn at random; the request of line i has its own random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

/// Requests that are answered at a time, if so many are there.
const BATCH: usize = 256;

/// What a line holds.
const REQUEST: &str = "a request such as {\"history\": [\"hat-2\"], \"k\": 6}, with lists of ids \
                       for history, candidates and exclude";

/// The longest line of a request.
const LONGEST: u64 = 16 << 20;

/// Answers the request of the command line, or those of a file, line by line.
pub fn run(args: &Args) -> anyhow::Result<Answer> {
    let Source::At(path) = &args.policy.source else {
        bail!("expected the folder of a recommender, which `foretaste train` writes");
    };
    let device = args.device.resolve()?.open()?;
    let recommender = saved::recommender(path, &Catalogue::default(), &device)?;
    let actor = recommender.acting(args.policy.acting)?;
    let seed = Seed::new(args.seed).derive("recommendations");
    if let Some(requests) = &args.requests {
        answer_lines(&actor, requests, args.k, seed)?;
        return Ok(Answer::said());
    }
    let ids = |words: &Vec<String>| {
        let words = words.iter().map(|word| word.trim());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let request = Request {
        history: ids(&args.history),
        k: args.k,
        candidates: args.candidates.as_ref().map(ids),
        exclude: ids(&args.exclude),
    };
    let answers = actor.answer(&[request], seed, 0)?;
    let answer = answers.into_iter().next().context("there is no answer")?;
    for (what, ids) in [
        ("clicks on", &answer.unknown.history),
        ("candidates", &answer.unknown.candidates),
        ("items to leave out", &answer.unknown.exclude),
    ] {
        if !ids.is_empty() {
            let ids = ids.join(", ");
            eprint_line(format_args!("warning: unknown ids are ignored: {what} {ids}"));
        }
    }
    Ok(Answer { text: answer.items.join("\n"), json: json!(answer) })
}

/// Answers the requests of a file, as many at a time as have come, until there are no more or
/// no one reads the answers.
fn answer_lines(actor: &Actor<'_>, path: &Path, k: usize, seed: Seed) -> anyhow::Result<()> {
    let (name, from): (String, Box<dyn Read>) = match path.as_os_str() == "-" {
        true => ("<standard input>".into(), Box::new(stdin())),
        false => {
            let file = std::fs::File::open(path)
                .with_context(|| format!("cannot open {}", path.display()))?;
            (path.display().to_string(), Box::new(file))
        }
    };
    let mut lines = Lines { name, from: BufReader::new(from), line: 0 };
    let mut answered = 0;
    loop {
        let (requests, bad) = lines.requests(k);
        let answers = actor.answer(&requests, seed, answered)?;
        answered += requests.len() as u64;
        let read = |answer: &Recommended| still_read(json!(answer));
        if !answers.iter().all(read) {
            return Ok(());
        }
        // The requests before it are answered.
        bad?;
        if requests.is_empty() {
            return Ok(());
        }
    }
}

/// Lines of requests.
struct Lines<R> {
    name: String,
    from: BufReader<R>,
    line: u64,
}

impl<R: Read> Lines<R> {
    /// The next requests, of `k` items where they do not say how many: those that have come, one at
    /// least; none at the end. What is wrong with the line after them.
    fn requests(&mut self, k: usize) -> (Vec<Request>, anyhow::Result<()>) {
        let mut requests = Vec::new();
        while requests.len() < BATCH {
            // A reader that waits for an answer before the next request is not left waiting.
            if !requests.is_empty() && !self.from.buffer().contains(&b'\n') {
                break;
            }
            match self.next(k) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(reason) => return (requests, Err(reason)),
            }
        }
        (requests, Ok(()))
    }

    /// The next line that is not blank.
    fn next(&mut self, k: usize) -> anyhow::Result<Option<Request>> {
        loop {
            self.line += 1;
            let at = || format!("{}:{}", self.name, self.line);
            let mut line = Vec::new();
            let read = (&mut self.from).take(LONGEST).read_until(b'\n', &mut line);
            if read.with_context(at)? == 0 {
                return Ok(None);
            }
            if line.len() as u64 == LONGEST {
                bail!(
                    "{}: the line has more than {} MB; expected one request per line",
                    at(),
                    LONGEST >> 20
                );
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            // What the error of JSON says of lines is of this one alone.
            let expected = || format!("{}: expected {REQUEST}", at());
            let value: serde_json::Value = serde_json::from_slice(&line).with_context(expected)?;
            let has_k = value.get("k").is_some();
            let mut request: Request = serde_json::from_value(value).with_context(expected)?;
            if !has_k {
                request.k = k;
            }
            return Ok(Some(request));
        }
    }
}
