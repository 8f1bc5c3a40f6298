//! The loop that changes inputs, keeps those with new answers, and records those that panic or do
//! not end. An input is on disk before it is read, since a process that aborts can record nothing.

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use foretaste_random::Seed;
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::signature::signature;
use crate::{Place, Target, mutated};

/// An input is a finding after so long.
const LONGEST: Duration = Duration::from_secs(60);
/// No more inputs than this are kept to be mutated.
const KEPT: usize = 4_096;
/// Where the input lies that is being read, for whoever finds the process dead.
const CURRENT: &str = "current";

/// How long to hunt, and from which draws on.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Time for the target.
    pub time: Duration,
    /// What mutations are drawn from.
    pub seed: Seed,
}

/// What a hunt found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Inputs that were read.
    pub executions: u64,
    /// Different answers: kinds of errors, and of what was read.
    pub answers: usize,
    /// The files of inputs that panicked, and how.
    pub panics: Vec<(PathBuf, String)>,
}

/// Mutates the corpus of a target while the time lasts. Inputs that panic are written to
/// `findings`, and so is, before it is read, the current one: a process that aborts leaves it
/// there. Inputs with answers of their own are written to `keep`, if that is given.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn hunt(
    target: &dyn Target,
    corpus: &Path,
    findings: &Path,
    keep: Option<&Path>,
    budget: Budget,
) -> anyhow::Result<Found> {
    let mut inputs = inputs_of(target, corpus)?;
    let end = Instant::now() + budget.time;
    let (mut found, mut answers, mut causes) = (Found::default(), HashSet::new(), HashSet::new());
    let mut stream = budget.seed.derive(target.name()).stream(0);
    let guard = Guard::new()?;
    fs::create_dir_all(findings).context("cannot make the folder of findings")?;
    let current = findings.join(CURRENT);
    let mut waiting = inputs.clone();
    while Instant::now() < end {
        let input = match waiting.pop() {
            Some(input) => input,
            None => {
                // The latest are the least known.
                let any = stream.random_range(0..inputs.len());
                let at = any.max(stream.random_range(0..inputs.len()));
                let other = inputs.choose(&mut stream).map_or(&[][..], Vec::as_slice);
                mutated(&inputs[at], other, &mut stream)
            }
        };
        fs::write(&current, &input)?;
        found.executions += 1;
        let kept = match guard.run(target, &input) {
            Ok(answer) => answers.insert(answer),
            Err(cause) => {
                if causes.insert(signature(&cause)) {
                    let path = findings.join(format!("panic-{}", causes.len()));
                    fs::write(&path, &input)?;
                    found.panics.push((path, cause));
                }
                false
            }
        };
        if kept && inputs.len() < KEPT {
            if let Some(keep) = keep {
                fs::create_dir_all(keep)?;
                fs::write(keep.join(format!("found-{:04}", inputs.len())), &input)?;
            }
            inputs.push(input);
        }
    }
    fs::remove_file(&current)?;
    found.answers = answers.len();
    Ok(found)
}

/// Reads every file of the corpus of a target once; how many there are.
///
/// # Errors
/// Where an input panics, with its file.
pub fn replay(target: &dyn Target, corpus: &Path) -> anyhow::Result<usize> {
    // What a target makes once takes its time before the clock of an input runs.
    drop(target.seeds());
    let guard = Guard::new()?;
    let files = files_in(&corpus.join(target.name()))?;
    for path in &files {
        if let Err(cause) = guard.run(target, &fs::read(path)?) {
            bail!("{} panics: {cause}", path.display());
        }
    }
    Ok(files.len())
}

fn inputs_of(target: &dyn Target, corpus: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let files = files_in(&corpus.join(target.name()))?;
    let mut inputs: Vec<Vec<u8>> = files.iter().map(fs::read).collect::<Result<_, _>>()?;
    inputs.extend(target.seeds());
    if inputs.is_empty() {
        inputs.push(vec![0; 64]);
    }
    Ok(inputs)
}

/// The files of a folder in the order of their names; none where there is no folder.
fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = entries.collect::<std::io::Result<_>>()?;
    files.sort();
    Ok(files)
}

/// Reads inputs so that a panic is an answer, and one that takes too long ends the process.
struct Guard {
    place: Place,
}

/// When the input began that is being read, in milliseconds since the first; 0 between two.
static BEGUN: AtomicU64 = AtomicU64::new(0);
/// What the last panic said and where.
static PANIC: Mutex<String> = Mutex::new(String::new());

impl Guard {
    fn new() -> anyhow::Result<Self> {
        static WATCH: std::sync::Once = std::sync::Once::new();
        WATCH.call_once(|| {
            set_hook(Box::new(|panic| {
                if let Ok(mut said) = PANIC.lock() {
                    *said = panic.to_string();
                }
            }));
            let start = Instant::now();
            thread::spawn(move || watch(start));
            CLOCK.set(start).ok();
        });
        Ok(Self { place: Place::new()? })
    }

    fn run(&self, target: &dyn Target, input: &[u8]) -> Result<String, String> {
        BEGUN.store(now().max(1), Ordering::Relaxed);
        let answer = catch_unwind(AssertUnwindSafe(|| target.read(input, &self.place)));
        BEGUN.store(0, Ordering::Relaxed);
        match answer {
            Ok(Ok(())) => Ok("read".to_owned()),
            Ok(Err(refused)) => Ok(signature(&refused)),
            Err(_) => Err(PANIC.lock().map(|said| said.clone()).unwrap_or_default()),
        }
    }
}

static CLOCK: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

fn now() -> u64 {
    CLOCK.get().map_or(0, |start| start.elapsed().as_millis() as u64)
}

fn watch(start: Instant) {
    loop {
        thread::sleep(Duration::from_secs(1));
        let begun = BEGUN.load(Ordering::Relaxed);
        let since = (start.elapsed().as_millis() as u64).saturating_sub(begun);
        if begun > 0 && since > LONGEST.as_millis() as u64 {
            std::process::abort();
        }
    }
}
