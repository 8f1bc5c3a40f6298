//! `cargo xtask reproduce`: runs experiments, keeps every finished cell, writes the tables.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use foretaste_console::{interrupt, threads};
use foretaste_experiments::{self as experiments, Settings};
use foretaste_lab::{Run, RunConfig, Scale, Shard};
use foretaste_nn::DeviceKind;
use indicatif::MultiProgress;

/// Options of `reproduce`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Experiments to run [default: all].
    #[arg(value_name = "EXPERIMENT")]
    experiments: Vec<String>,

    /// Size of the run: smoke only checks that everything runs; quick takes minutes on two cores;
    /// decide has the seeds that the claims need; paper has the published settings.
    #[arg(long, default_value_t = Scale::Quick, value_parser = scales())]
    scale: Scale,

    /// Number of seeds; more seeds than last time add to the existing results [default: 5; at
    /// decide, as many as each experiment's claims need].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: Option<u64>,

    /// Folder of the real data sets; without it, experiments use the bundled logs.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Directory of the results; a run into the same directory resumes [default: out/SCALE].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,

    /// Cells that run at the same time [default: the number of cores].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Print the cells, whether they are finished, and the expected time of the others; run
    /// nothing.
    #[arg(long)]
    plan: bool,

    /// Run part i of n of the cells, with i from 1; the parts may share one --out, or be merged
    /// later.
    #[arg(long, value_name = "i/n")]
    shard: Option<Shard>,

    /// Run only the cells of this method, or of those whose names begin so if it ends with *; may
    /// be given several times.
    #[arg(long, value_name = "METHOD", conflicts_with = "merge")]
    method: Vec<String>,

    /// Copy the cells of these results directories to --out and write the tables; run nothing.
    #[arg(
        long,
        value_name = "DIR",
        num_args = 1..,
        conflicts_with_all = ["shard", "plan", "fresh"]
    )]
    merge: Vec<PathBuf>,

    /// Continue where an earlier run into --out stopped: the default, which overrides --fresh.
    #[arg(long)]
    resume: bool,

    /// Run finished cells of --out again, instead of resuming.
    #[arg(long)]
    fresh: bool,

    /// Show only the tables, and no progress.
    #[arg(long)]
    quiet: bool,
}

impl Args {
    /// The command that runs the same cells on any machine, here with this configuration: without
    /// where results are, who runs which cells, and what is shown meanwhile.
    pub fn anywhere(&self, config: &RunConfig) -> String {
        let mut words = vec!["cargo xtask reproduce".to_owned()];
        words.extend(self.experiments.iter().cloned());
        words.push(format!("--scale {}", config.scale));
        words.extend(self.seeds.map(|seeds| format!("--seeds {seeds}")));
        words.extend(self.method.iter().map(|method| format!("--method '{method}'")));
        words.extend(config.data_dir.as_ref().map(|_| "--data-dir DIR".to_owned()));
        words.push(format!("--device {}", config.device));
        words.join(" ")
    }
}

/// Runs the experiments.
///
/// # Errors
/// [`Interrupted`](foretaste_lab::Interrupted), with what to do, after Ctrl-C. Otherwise where the
/// arguments make no sense, a file cannot be written, or a cell failed.
pub fn run(args: &Args, bars: &MultiProgress) -> anyhow::Result<()> {
    let jobs = args.jobs.or_else(|| std::thread::available_parallelism().ok());
    // Cells are many and small: one thread each, with as many cells at once as there are cores,
    // beats kernels that share all cores, and spares the thread pools from fighting over them.
    threads::use_by_default(NonZeroUsize::MIN);
    let settings = settings(args)?;
    let out = PathBuf::from("out").join(settings.scale.as_str());
    let run = Run {
        program: experiments::program(crate::REVISION),
        experiments: &experiments::named(&args.experiments, &settings)?,
        config: settings.config(),
        seeds: settings.seeds(Settings::MOST_SEEDS),
        out: args.out.clone().unwrap_or(out),
        jobs: jobs.map_or(1, NonZeroUsize::get),
        shard: args.shard,
        methods: args.method.clone(),
        merge: args.merge.clone(),
        again: args.fresh && !args.resume,
        quiet: args.quiet,
    };
    if args.plan {
        return run.print_plan();
    }
    let saying = "stopping: running cells end at their next step; press Ctrl-C again to end at \
                  once";
    run.run(bars, interrupt::on_ctrl_c(bars, saying)?)
}

fn scales() -> impl TypedValueParser<Value = Scale> {
    PossibleValuesParser::new(Scale::ALL.map(Scale::as_str)).try_map(|name| name.parse::<Scale>())
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    let data_dir = args.data_dir.as_ref().map(|dir| {
        if !dir.is_dir() {
            bail!(
                "--data-dir {}: there is no such directory; name the folder of the data sets, or \
                 leave the option out to use the bundled logs",
                dir.display()
            );
        }
        dir.canonicalize().with_context(|| format!("--data-dir {}", dir.display()))
    });
    // The same results must not be filed under two names.
    let device = args.device.resolve()?;
    Ok(Settings { scale: args.scale, seeds: args.seeds, data_dir: data_dir.transpose()?, device })
}
