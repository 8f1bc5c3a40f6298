//! `cargo xtask reproduce`: runs experiments, keeps every finished cell, writes the tables.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use foretaste_nn::DeviceKind;
use indicatif::MultiProgress;

use crate::costs::{Costs, Plan};
use crate::experiment::{Cell, Experiment, Interrupted};
use crate::provenance::{Cells, RunConfig, RunRecord, Status};
use crate::results_dir::ResultsDir;
use crate::runner::{Runner, Tally};
use crate::settings::{Scale, Settings};
use crate::shard::Shard;
use crate::store::{self, Store};
use crate::terminal::{say, tell};
use crate::{experiments, remarks, reports};

/// Options of `reproduce`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Experiments to run; all where none is named.
    #[arg(value_name = "EXPERIMENT")]
    experiments: Vec<String>,

    /// How large to run.
    #[arg(long, value_enum, default_value_t = Scale::Quick)]
    scale: Scale,

    /// Number of seeds; more seeds than last time add to the results that are there.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,

    /// Folder of the real data sets; without it experiments use the bundled logs.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Directory of the results; the same directory again resumes [default: out/SCALE].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,

    /// Cells that run at the same time [default: the number of cores].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Print the cells, which are finished, and what the others are expected to cost; run nothing.
    #[arg(long)]
    plan: bool,

    /// Run the i-th of n parts of the cells, i from 1; the parts may share one --out, or be merged.
    #[arg(long, value_name = "i/n")]
    shard: Option<Shard>,

    /// Take over the cells of these results directories and write the tables; run nothing.
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with_all = ["shard", "plan", "fresh"])]
    merge: Vec<PathBuf>,

    /// Go on where an earlier run into --out stopped: the default, and stronger than --fresh.
    #[arg(long)]
    resume: bool,

    /// Run finished cells of --out again, instead of resuming.
    #[arg(long)]
    fresh: bool,

    /// Show no progress, only the tables.
    #[arg(long)]
    quiet: bool,
}

/// Runs the experiments.
///
/// # Errors
/// [`Interrupted`], with what to do, after Ctrl-C. Otherwise where the arguments make no sense, a
/// file cannot be written, or a cell failed.
pub fn run(args: &Args, bars: &MultiProgress) -> anyhow::Result<()> {
    let begin = Instant::now();
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    one_thread_per_cell();
    let settings = settings(args)?;
    let experiments = experiments::named(&args.experiments, &settings)?;
    let out =
        args.out.clone().unwrap_or_else(|| PathBuf::from("out").join(settings.scale.as_str()));
    let cells = || experiments.iter().flat_map(|experiment| experiment.cells());
    let chosen = args.shard.map_or_else(
        || vec![args.merge.is_empty(); cells().count()],
        |shard| shard.choose(cells()),
    );
    let anew = args.fresh && !args.resume;
    if args.plan {
        return plan(&out, &settings, &experiments, &chosen, jobs, anew);
    }
    let names = experiments.iter().map(|experiment| experiment.name().to_owned()).collect();
    let mut record = RunRecord::start(&settings, names, args.shard);
    let others = args
        .merge
        .iter()
        .map(|dir| ResultsDir::cells_of(dir, &record.config))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let found = store::union(&others, cells())?;
    let dir = ResultsDir::open(&out, &record)?;
    if !others.is_empty() {
        let new = dir.store().take_over(&found)?;
        tell(format_args!("{} cells found, {new} of them new to {}", found.len(), out.display()));
    }

    let stop = stop_on_ctrl_c(bars)?;
    let traces = dir.traces();
    let (store, quiet) = (dir.store(), args.quiet);
    let runner = Runner { store, traces: &traces, jobs, stop, bars, quiet, anew };
    let ran = runner.run(&experiments, &chosen)?;

    // Of those who work here together the last to write sees the cells of all.
    let writing = dir.writing()?;
    let tally = runner.tally(&experiments, &chosen, ran);
    record.status = status(&tally);
    record.cells = Cells {
        total: tally.total,
        run: tally.run(),
        resumed: tally.resumed,
        failed: tally.failed.len(),
    };
    record.wall_s = begin.elapsed().as_secs_f64();
    let remarks =
        remarks::remarks(&tally.finished, &others_in(dir.store(), &experiments)?, &record);
    let output = reports::output(&experiments, &tally, &record, remarks)?;
    dir.write_output(&output, &writing)?;
    dir.write_record(&record, &writing)?;
    drop(writing);
    if args.shard.is_none() {
        say(output.report.plain());
    }
    conclude(&tally, &dir, &record)
}

/// Prints the plan.
fn plan(
    out: &Path,
    settings: &Settings,
    experiments: &[Box<dyn Experiment>],
    chosen: &[bool],
    jobs: usize,
    anew: bool,
) -> anyhow::Result<()> {
    let begun =
        ResultsDir::is_begun(out).then(|| ResultsDir::cells_of(out, &RunConfig::new(settings)));
    let store = begun.transpose()?;
    let stored = |store: &Store, cell: &Cell| matches!(store.load(cell), Ok(Some(_)));
    let finished = |cell: &Cell| !anew && store.as_ref().is_some_and(|store| stored(store, cell));
    let costs = Costs::new(settings.scale, store.as_ref())?;
    say(Plan::new(experiments, chosen, finished, &costs).plain(jobs));
    Ok(())
}

/// The finished cells that are not of these grids.
fn others_in(store: &Store, experiments: &[Box<dyn Experiment>]) -> anyhow::Result<Vec<Cell>> {
    let known: BTreeSet<_> =
        experiments.iter().flat_map(|experiment| experiment.cells()).map(Cell::digest).collect();
    Ok(store
        .all()?
        .into_iter()
        .map(|done| done.cell)
        .filter(|cell| !known.contains(&cell.digest()))
        .collect())
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    let data_dir = args.data_dir.as_ref().map(|dir| {
        if !dir.is_dir() {
            bail!("--data-dir {}: there is no such directory", dir.display());
        }
        dir.canonicalize().with_context(|| format!("--data-dir {}", dir.display()))
    });
    // The same results must not be filed under two names.
    let device = args.device.resolve()?;
    Ok(Settings { scale: args.scale, seeds: args.seeds, data_dir: data_dir.transpose()?, device })
}

/// Cells are many and small: one thread each, with as many cells at once as there are cores, beats
/// kernels that share all cores, and spares the thread pools from fighting over them. What the user
/// has set stays.
fn one_thread_per_cell() {
    for pool in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        if std::env::var_os(pool).is_none() {
            #[allow(
                unsafe_code,
                reason = "the pools offer no other way, and this is the process's only thread so far"
            )]
            // SAFETY: called at the start of the command, before any other thread exists that could
            // read the environment.
            unsafe {
                std::env::set_var(pool, "1");
            }
        }
    }
}

/// The flag that the first Ctrl-C sets; the second ends the process.
fn stop_on_ctrl_c(bars: &MultiProgress) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, bars) = (Arc::clone(&stop), bars.clone());
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        bars.suspend(|| {
            tell("stopping: running cells give up at their next step; Ctrl-C again ends at once")
        });
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

fn status(tally: &Tally) -> Status {
    match tally {
        tally if tally.left > 0 => Status::Interrupted,
        tally if tally.complete() => Status::Complete,
        tally if !tally.failed.is_empty() => Status::Failed,
        _ => Status::Partial,
    }
}

fn conclude(tally: &Tally, dir: &ResultsDir, record: &RunRecord) -> anyhow::Result<()> {
    let shown = dir.path().display();
    for failed in &tally.failed {
        tell(format_args!("failed: {}: {}", failed.cell, failed.error));
    }
    let (finished, total, resumed, seconds) =
        (tally.finished.len(), tally.total, tally.resumed, record.wall_s);
    match record.status {
        Status::Interrupted => Err(anyhow::Error::new(Interrupted).context(format!(
            "interrupted: {finished} of {total} cells are finished and kept in {shown}; the same \
             command goes on from there"
        ))),
        Status::Failed => bail!(
            "{} of {total} cells failed; the others are kept in {shown}, and the same command \
             runs the failed ones again",
            tally.failed.len()
        ),
        Status::Partial if record.shard.is_none() => {
            bail!(
                "{} of {total} cells are in none of these directories: {shown} is incomplete",
                total - finished
            )
        }
        Status::Partial => {
            let part =
                record.shard.map_or(String::new(), |shard| format!("part {shard} is done: "));
            say(format_args!(
                "{part}{finished} of {total} cells of all parts are there, in {seconds:.1} s: {shown}"
            ));
            Ok(())
        }
        Status::Complete | Status::Running => {
            say(format_args!(
                "{total} cells, {resumed} of them from before, in {seconds:.1} s: {shown}/report.html"
            ));
            Ok(())
        }
    }
}
