//! `cargo xtask chaos`: our programs under faults of the machine that they run on.
//!
//! A fault is drawn from the seed and its number alone, so that it can be repeated. It strikes a
//! program in a folder of its own. What the program leaves there in the end must be what it leaves
//! without a fault.

mod attack;
mod fault;
mod files;
mod machine;
mod process;
mod shims;
mod target;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, anyhow};
use clap::Args as ClapArgs;
use comfy_table::{LineStyle, Table, presets};
use foretaste_console::terminal::{duration, eprint_line, print_line, reasons};
use foretaste_random::Seed;

use self::attack::{Attack, Outcome};
use self::fault::{Fault, Kind, faults};
use self::machine::Machine;
use self::target::{Prepared, TARGETS, prepare};

/// Arguments of `cargo xtask chaos`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Number of faults.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    faults: usize,
    /// What faults are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only faults of these kinds, separated by commas [default: all].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    kinds: Vec<Kind>,
    /// Only the fault of this number, to repeat it.
    #[arg(long, value_name = "NUMBER", conflicts_with = "faults")]
    only: Option<u64>,
    /// Where the folder goes in which something was lost or changed.
    #[arg(long, default_value = "out/chaos", value_name = "DIR")]
    findings: PathBuf,
    /// Run the program `foretaste` with these arguments instead.
    #[arg(last = true, hide = true)]
    foretaste: Vec<OsString>,
}

impl Args {
    /// The arguments of `foretaste`, its name before them, if this process is to be that program.
    pub fn foretaste(&self) -> Option<Vec<OsString>> {
        let name = ["foretaste".into()];
        let given = Some(&self.foretaste).filter(|given| !given.is_empty())?;
        Some(name.into_iter().chain(given.iter().cloned()).collect())
    }
}

/// Strikes, and fails at the first fault after which something is lost or changed.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let begin = Instant::now();
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let machine = Machine::probe(temporary.path())?;
    let chosen = chosen(args, &machine);
    let inputs = temporary.path().join("inputs");
    let targets = prepare(&inputs, chosen.iter().map(|fault| fault.target))?;
    print_line(format_args!(
        "{} faults of {} commands, seed {}; the commands were run without a fault in {}",
        chosen.len(),
        targets.len(),
        args.seed,
        duration(begin.elapsed().as_secs_f64())
    ));
    let tally = strike_all(args, &chosen, &targets, &machine, temporary.path())?;
    print_line(tally.table());
    print_line(format_args!(
        "{} faults in {}, {} processes: nothing was lost, and all results are those without faults",
        chosen.len(),
        duration(begin.elapsed().as_secs_f64()),
        tally.processes
    ));
    Ok(())
}

/// The faults that are asked for, without those that this machine does not permit.
fn chosen(args: &Args, machine: &Machine) -> Vec<Fault> {
    let asked = |kind: Kind| args.kinds.is_empty() || args.kinds.contains(&kind);
    let permitted = |kind: Kind| match machine.lacks(kind) {
        Some(reason) => {
            eprint_line(format_args!("{kind}: skipped: {reason}"));
            false
        }
        None => true,
    };
    let kinds: Vec<Kind> =
        Kind::all().filter(|&kind| asked(kind)).filter(|&kind| permitted(kind)).collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let all = faults(Seed::new(args.seed)).filter(|fault| kinds.contains(&fault.kind));
    match args.only {
        Some(number) => faults(Seed::new(args.seed)).skip(number as usize).take(1).collect(),
        None => all.take(args.faults).collect(),
    }
}

/// What came of the faults.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<Kind, BTreeMap<Outcome, usize>>,
    processes: usize,
}

impl Tally {
    fn add(&mut self, kind: Kind, outcome: Outcome, processes: usize) {
        *self.outcomes.entry(kind).or_default().entry(outcome).or_default() += 1;
        self.processes += processes;
    }

    fn count(&self) -> usize {
        self.outcomes.values().flat_map(BTreeMap::values).sum()
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
        table.set_header(["kind", "faults", "survived", "went on", "refused"]);
        let row = |name: String, counts: &dyn Fn(Outcome) -> usize| {
            let [survived, went_on, refused] =
                [Outcome::Survived, Outcome::WentOn, Outcome::Refused].map(counts);
            let counts = [survived + went_on + refused, survived, went_on, refused];
            [name].into_iter().chain(counts.map(|count| count.to_string())).collect::<Vec<_>>()
        };
        let of =
            |kind: &Kind, outcome| self.outcomes[kind].get(&outcome).copied().unwrap_or_default();
        for kind in self.outcomes.keys() {
            table.add_row(row(kind.to_string(), &|outcome| of(kind, outcome)));
        }
        let all = |outcome| self.outcomes.keys().map(|kind| of(kind, outcome)).sum();
        table.add_row(row("all".to_owned(), &all));
        table
    }
}

/// Strikes with as many faults at a time as there are cores.
fn strike_all(
    args: &Args,
    faults: &[Fault],
    targets: &BTreeMap<usize, Prepared>,
    machine: &Machine,
    temporary: &Path,
) -> anyhow::Result<Tally> {
    let (next, tally, stop) =
        (Mutex::new(faults.iter()), Mutex::<Tally>::default(), AtomicBool::new(false));
    let begin = Instant::now();
    let take = || next.lock().ok().and_then(|mut faults| faults.next());
    let work = || -> anyhow::Result<()> {
        while !stop.load(Ordering::Relaxed)
            && let Some(fault) = take()
        {
            let folder = temporary.join(format!("fault-{}", fault.number));
            let target = targets.get(&fault.target).context("a command was not prepared")?;
            let mut attack = Attack::new(fault, target, machine, &folder)?;
            match attack.strike() {
                Ok(outcome) => {
                    fs::remove_dir_all(&folder)
                        .with_context(|| format!("cannot remove {}", folder.display()))?;
                    let mut tally = tally.lock().map_err(|_| anyhow!("another fault panicked"))?;
                    tally.add(fault.kind, outcome, attack.processes());
                    if tally.count() % 50 == 0 {
                        let since = duration(begin.elapsed().as_secs_f64());
                        eprint_line(format_args!("{} of {}: {since}", tally.count(), faults.len()));
                    }
                }
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(finding(args, fault, &attack, &folder, &error));
                }
            }
        }
        Ok(())
    };
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Err(anyhow!("the program that strikes panicked"));
        let ends: Vec<_> =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect();
        ends.into_iter().collect::<anyhow::Result<()>>()
    })?;
    tally.into_inner().map_err(|_| anyhow!("a fault panicked"))
}

/// The error that says what a fault did, how to repeat it, and where what it left is.
fn finding(
    args: &Args,
    fault: &Fault,
    attack: &Attack<'_>,
    folder: &Path,
    error: &anyhow::Error,
) -> anyhow::Error {
    let Args { seed, findings, .. } = args;
    let Fault { number, kind, target, .. } = fault;
    let kept = findings.join(format!("seed-{seed}-fault-{number}"));
    let kept = match keep(folder, &kept) {
        Ok(()) => format!("what it left is in {}", kept.display()),
        Err(reason) => format!("what it left could not be kept: {}", reasons(&reason)),
    };
    anyhow!(
        "fault {number} of seed {seed}, kind {kind}, command {}: {}\n{}\n{kept}\nto repeat it: \
         cargo xtask chaos --seed {seed} --only {number}",
        TARGETS[*target].name,
        reasons(error),
        attack.steps().join("\n")
    )
}

fn keep(folder: &Path, to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    files::copy(folder, to)
}
