//! `cargo xtask reproduce`: runs experiments, keeps every finished cell, writes the tables.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::MultiProgress;
use understudy_nn::DeviceKind;

use crate::experiment::{Experiment, Interrupted};
use crate::provenance::{Cells, RunConfig, RunRecord, Status};
use crate::results_dir::ResultsDir;
use crate::runner::{Runner, Tally};
use crate::settings::{Scale, Settings};
use crate::store::Store;
use crate::summary::{self, Ledger, Table};
use crate::terminal::{say, tell};
use crate::{experiments, output, plots};

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

    /// Show no progress, only the table.
    #[arg(long)]
    quiet: bool,
}

/// Runs the experiments.
///
/// # Errors
/// [`Interrupted`], with what to do, after Ctrl-C. Otherwise where the arguments make no sense, a file cannot be
/// written, or a cell failed.
pub fn run(args: &Args, bars: &MultiProgress) -> anyhow::Result<()> {
    let begin = Instant::now();
    let jobs = args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    one_thread_per_cell();
    let settings = settings(args)?;
    let experiments = experiments::named(&args.experiments, &settings)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("out").join(settings.scale.as_str()));
    let dir = ResultsDir::open(&out, &RunConfig::new(&settings))?;
    let names = experiments.iter().map(|experiment| experiment.name().to_owned()).collect();
    let mut record = RunRecord::start(&settings, names);
    dir.write_record(&record)?;

    let stop = stop_on_ctrl_c(bars)?;
    let store = dir.store()?;
    let runner = Runner { store: &store, jobs, stop: Arc::clone(&stop), bars, quiet: args.quiet };
    let tally = runner.run(&experiments)?;

    record.status = status(&tally);
    record.cells = Cells { total: tally.total, run: tally.run(), resumed: tally.resumed, failed: tally.failed.len() };
    record.wall_s = begin.elapsed().as_secs_f64();
    let (tables, ledger, remarks) = write(&dir, &store, &experiments, &tally, &record)?;
    for table in &tables {
        say(table.plain());
    }
    say(ledger.plain());
    for remark in &remarks {
        say(remark);
    }
    conclude(&tally, &dir, &record)
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

/// Cells are many and small: one thread each, with as many cells at once as there are cores, beats kernels that share
/// all cores, and spares the thread pools from fighting over them. What the user has set stays.
fn one_thread_per_cell() {
    for pool in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        if std::env::var_os(pool).is_none() {
            #[allow(unsafe_code, reason = "the pools offer no other way, and this is the process's only thread so far")]
            // SAFETY: called at the start of the command, before any other thread exists that could read the environment.
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
        bars.suspend(|| tell("stopping: running cells give up at their next step; Ctrl-C again ends at once"));
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

fn status(tally: &Tally) -> Status {
    match tally {
        tally if tally.complete() => Status::Complete,
        tally if tally.finished.len() + tally.failed.len() < tally.total => Status::Interrupted,
        _ => Status::Failed,
    }
}

fn write(
    dir: &ResultsDir,
    store: &Store,
    experiments: &[Box<dyn Experiment>],
    tally: &Tally,
    record: &RunRecord,
) -> anyhow::Result<(Vec<Table>, Ledger, Vec<String>)> {
    let done = &tally.finished;
    let tables = experiments
        .iter()
        .map(|experiment| Table::new(experiment.as_ref(), done))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let others = store.others(experiments.iter().flat_map(|experiment| experiment.cells()))?;
    let remarks = summary::remarks(done, &others, record);
    let (mut findings, mut plots) = (Vec::new(), Vec::new());
    for experiment in experiments {
        let of_experiment: Vec<_> = done.iter().filter(|done| done.cell.experiment == experiment.name()).collect();
        for claim in experiment.claims() {
            findings.push(claim.decide(&of_experiment)?);
        }
        plots.extend(plots::learning_curves(experiment.as_ref(), done)?);
    }
    let ledger = Ledger::new(&findings);
    let summary = summary::markdown(&tables, &ledger, &remarks, tally, record);
    let (results, curves, claims) =
        (output::results_csv(done)?, output::curves_csv(done)?, output::claims_csv(&findings)?);
    dir.write_tables(&results, &curves, &claims, summary.as_bytes())?;
    dir.write_plots(&plots)?;
    dir.write_record(record)?;
    Ok((tables, ledger, remarks))
}

fn conclude(tally: &Tally, dir: &ResultsDir, record: &RunRecord) -> anyhow::Result<()> {
    let shown = dir.path().display();
    for failed in &tally.failed {
        tell(format_args!("failed: {}: {}", failed.cell, failed.error));
    }
    let (finished, total) = (tally.finished.len(), tally.total);
    match record.status {
        Status::Interrupted => Err(anyhow::Error::new(Interrupted).context(format!(
            "interrupted: {finished} of {total} cells are finished and kept in {shown}; the same command goes on from there"
        ))),
        Status::Failed => bail!(
            "{} of {total} cells failed; the others are kept in {shown}, and the same command runs the failed ones again",
            tally.failed.len()
        ),
        Status::Complete | Status::Running => {
            let (resumed, seconds) = (tally.resumed, record.wall_s);
            say(format_args!("{total} cells, {resumed} of them from before, in {seconds:.1} s: {shown}"));
            Ok(())
        }
    }
}
