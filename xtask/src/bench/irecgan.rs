//! `cargo xtask bench irecgan`: IRecGAN's two costs, trajectories with scored branches and an epoch
//! of the agent, compared with the time that the machine needs for their products alone and what is
//! public of the authors' code.

use std::hint::black_box;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use clap::builder::RangedU64ValueParser;
use comfy_table::{Table, presets};
use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};
use foretaste_disc::{Discriminator, DiscriminatorConfig};
use foretaste_irecgan::{
    Agent, AgentConfig, AgentPolicy, AgentTrainer, AgentTraining, Buffer, IRecGanConfig, Selection,
    Simulation,
};
use foretaste_nn::matmul;
use foretaste_random::{Seed, Stream};
use foretaste_sim::{Blind, Population};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourModel, BehaviourUsers};
use rand::Rng;
use rayon::prelude::*;

use foretaste_console::terminal::{eprint_line, print_line};

use crate::bench::record::{Record, median};

/// Options of the IRecGAN benchmark.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Numbers of threads to measure with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2], value_parser = size())]
    threads: Vec<usize>,
    /// Measurements of each case; the median is shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    repeats: u8,
    /// Items in the catalogue.
    #[arg(long, default_value_t = PUBLIC.items, value_parser = size())]
    items: usize,
    /// Width of the LSTMs.
    #[arg(long, default_value_t = PUBLIC.hidden, value_parser = size())]
    hidden: usize,
    /// Items on a slate.
    #[arg(long, default_value_t = 10, value_parser = size())]
    k: usize,
    /// Trajectories to generate and score.
    #[arg(long, default_value_t = PUBLIC.sessions, value_parser = size())]
    sessions: usize,
    /// Branches of each of their steps.
    #[arg(long, default_value_t = PUBLIC.branches, value_parser = size())]
    branches: usize,
    /// Steps after which a generated trajectory is cut.
    #[arg(long, default_value_t = PUBLIC.max_steps, value_parser = size())]
    max_steps: usize,
    /// Batches of the agent's epoch that are timed; the epoch is extrapolated from them.
    #[arg(long, default_value_t = 16, value_parser = size())]
    batches: usize,
    /// Run the agent's epoch to its end, once, in place of extrapolating it.
    #[arg(long)]
    whole_epoch: bool,
}

/// The sizes of the public run.
struct Public {
    items: usize,
    hidden: usize,
    sessions: usize,
    branches: usize,
    max_steps: usize,
}

const PUBLIC: Public =
    Public { items: 40_000, hidden: 512, sessions: 200, branches: 5, max_steps: 4 };
/// Seconds that a public run of the authors' code on a V100 took for them, and for an epoch of the
/// agent.
const V100: [f64; 2] = [105.0, 2_750.0];
/// Sessions of the agent's epoch.
const LOGGED: usize = 65_284;
/// Their mean number of clicks.
const MEAN_CLICKS: f64 = 2.81;
/// Their most clicks.
const MOST_CLICKS: usize = 30;
/// Widths of the item embeddings; layers of the LSTMs.
const EMBEDDING: usize = 50;
const LAYERS: usize = 2;

/// Runs the benchmark and prints its tables.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["case", "threads", "s", "V100, s", "limit, s", "time / limit"]);
    let log = logged(args, Seed::new(1))?;
    let (clicks, sessions) = (log.steps(), log.sessions());
    for &threads in &args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| {
            eprint_line(format_args!(
                "measuring trajectories with scored branches, {threads} threads"
            ));
            let simulated = simulate(args, threads == args.threads[0])?;
            table.add_row(row(
                "simulation",
                threads,
                args.is_public().then_some(V100[0]),
                simulated,
                record,
            ));
            eprint_line(format_args!("measuring an epoch of the agent, {threads} threads"));
            let trained = train(args, &log)?;
            table.add_row(row(
                "agent's epoch",
                threads,
                args.is_public().then_some(V100[1]),
                trained,
                record,
            ));
            anyhow::Ok(())
        })?;
    }
    let epoch = match args.whole_epoch {
        true => "run to its end, once".to_owned(),
        false => {
            format!("extrapolated from {} of its {} batches", args.batches, sessions.div_ceil(32))
        }
    };
    print_line(format_args!(
        "simulation: {} trajectories of up to {} steps with {} branches a step; agent's epoch: \
         {epoch}, over {sessions} sessions of {:.2} clicks. {} items, LSTMs of {LAYERS} layers of \
         {}, slates of {}.\nMedians of {}. V100: a public run of the authors' code. limit: the \
         products that the case needs at the rate of the best plain product, and for the epoch \
         one pass of Adam over the parameters and their moments at the rate of scaling a large \
         array; both rates are measured before each run.",
        args.sessions,
        args.max_steps,
        args.branches,
        clicks as f64 / sessions as f64,
        args.items,
        args.hidden,
        args.k,
        args.repeats,
    ));
    print_line(table);
    Ok(())
}

/// Seconds of runs, each with its limit.
struct Measured(Vec<[f64; 2]>);

fn row(
    case: &str,
    threads: usize,
    public: Option<f64>,
    measured: Measured,
    record: &mut Record,
) -> [String; 6] {
    let all = |value: fn(&[f64; 2]) -> f64| measured.0.iter().map(value).collect::<Vec<_>>();
    let of = |value| median(all(value));
    record.seconds(format!("irecgan, {case}, threads {threads}"), &all(|run| run[0]));
    [
        case.to_owned(),
        threads.to_string(),
        format!("{:.2}", of(|run| run[0])),
        public.map_or("-".to_owned(), |seconds| seconds.to_string()),
        format!("{:.2}", of(|run| run[1])),
        format!("{:.2}", of(|run| run[0] / run[1])),
    ]
}

impl Args {
    fn is_public(&self) -> bool {
        let Self { items, hidden, sessions, branches, max_steps, .. } = *self;
        [items, hidden, sessions, branches, max_steps]
            == [PUBLIC.items, PUBLIC.hidden, PUBLIC.sessions, PUBLIC.branches, PUBLIC.max_steps]
    }

    fn agent(&self) -> AgentConfig {
        let (embedding, hidden, layers) = (EMBEDDING, self.hidden, LAYERS);
        AgentConfig { embedding, hidden, layers, ..AgentConfig::new(self.items) }
    }

    /// Floating-point operations of a step of an LSTM.
    fn lstm_step(&self) -> f64 {
        let inputs = EMBEDDING + (2 * LAYERS - 1) * self.hidden;
        2.0 * inputs as f64 * 4.0 * self.hidden as f64
    }

    /// Floating-point operations of the logits of one state.
    fn logits(&self) -> f64 {
        2.0 * self.hidden as f64 * self.items as f64
    }
}

/// Trajectories with scored branches by untrained networks, whose users leave at any step with a
/// probability of about 1 / (k + 1).
fn simulate(args: &Args, print: bool) -> anyhow::Result<Measured> {
    let seed = Seed::new(2);
    let config =
        BehaviourConfig { hidden: args.hidden, layers: LAYERS, ..BehaviourConfig::new(args.items) };
    let users = BehaviourUsers::new(&BehaviourModel::new(config, seed, &Device::Cpu)?)?;
    let agent =
        AgentPolicy::new(&Agent::new(args.agent(), seed, &Device::Cpu)?, Selection::Sampled)?;
    let config = DiscriminatorConfig {
        hidden: args.hidden,
        layers: LAYERS,
        ..DiscriminatorConfig::new(args.items)
    };
    let discriminator = Discriminator::new(config, seed, &Device::Cpu)?.freeze()?;
    let chunk = IRecGanConfig::new(args.items, args.k).chunk;
    let simulation = Simulation {
        users: &users,
        agent: &agent,
        k: args.k,
        max_steps: args.max_steps,
        chunk,
        openings: &[],
    };

    let work = Work::of(&simulation, args)?;
    let operations =
        work.states as f64 * args.logits() + 3.0 * work.onward as f64 * args.lstm_step();
    let mut runs = Vec::new();
    for _ in 0..args.repeats {
        let limit = operations / product_rate()?;
        let start = Instant::now();
        let buffer =
            simulation.generate_scored(args.sessions, seed, &discriminator, args.branches)?;
        runs.push([start.elapsed().as_secs_f64(), limit]);
        black_box(buffer);
    }
    if print {
        print_line(format_args!(
            "{} trajectories of {:.2} steps on average, at most {}; {} branches with {} steps. {} \
             states have logits of their own, {} steps lead to a state that is used: {:.0} GFLOP.",
            args.sessions,
            work.steps as f64 / args.sessions as f64,
            work.max_trajectory_length,
            work.branches,
            work.branch_steps,
            work.states,
            work.onward,
            operations / 1e9
        ));
    }
    Ok(Measured(runs))
}

/// What a simulation consists of.
#[derive(Default)]
struct Work {
    steps: usize,
    max_trajectory_length: usize,
    branches: usize,
    branch_steps: usize,
    /// States that differ from those of the other rows: all trajectories begin in one, all branches
    /// of a step in another.
    states: usize,
    /// Steps after which a trajectory or a branch goes on.
    onward: usize,
}

impl Work {
    /// Of the simulation that [`Simulation::generate_scored`] runs, but for the trajectories'
    /// numbers.
    fn of(simulation: &Simulation<'_>, args: &Args) -> anyhow::Result<Self> {
        let mut work = Self::default();
        let (users, agent) = (simulation.users, simulation.agent);
        let policy = Blind(agent);
        let mut population =
            Population::begin(users, &policy, args.k, Seed::new(2), 0..args.sessions as u64)?;
        for t in 0..args.max_steps {
            let rows = population.rows().len();
            if rows == 0 {
                break;
            }
            work.steps += rows;
            work.max_trajectory_length = t + 1;
            work.states += if t == 0 { 1 } else { rows };
            population.step()?;
            if t + 1 == args.max_steps {
                break;
            }
            work.onward += population.rows().len();
            let mut futures =
                population.branch(args.branches, Seed::new(2).derive("branches"), t as u64)?;
            work.branches += futures.rows().len();
            for later in t + 1..args.max_steps {
                let rows = futures.rows().len();
                if rows == 0 {
                    break;
                }
                work.branch_steps += rows;
                work.states += if later == t + 1 { rows / args.branches } else { rows };
                futures.step()?;
                if later + 1 < args.max_steps {
                    work.onward += futures.rows().len();
                }
            }
        }
        Ok(work)
    }
}

/// Sessions with lengths 1 + a geometric number, cut at [`MOST_CLICKS`], and clicks in proportion
/// to 1 / (100 + rank)^0.75, on slates of which the agent's epoch reads no more than that.
fn logged(args: &Args, seed: Seed) -> anyhow::Result<Log> {
    let mut cumulative = Vec::with_capacity(args.items);
    let mut sum = 0.0;
    for rank in 0..args.items {
        sum += (101.0 + rank as f64).powf(-0.75);
        cumulative.push(sum);
    }
    let clicked = |stream: &mut Stream| {
        let point = stream.random::<f64>() * sum;
        cumulative.partition_point(|&up_to| up_to <= point).min(args.items - 1)
    };
    let mut builder = LogBuilder::default();
    for mut stream in seed.streams(0..LOGGED as u64) {
        // The floor of an exponential number is geometric; of this mean.
        let rate = (1.0 + 1.0 / (MEAN_CLICKS - 1.0)).ln();
        let more = (-(1.0 - stream.random::<f64>()).ln() / rate) as usize;
        for _ in 0..(1 + more).min(MOST_CLICKS) {
            let first = clicked(&mut stream);
            let slate: Vec<ItemId> =
                (0..args.k).map(|place| ItemId(((first + place) % args.items) as u32)).collect();
            let (choice, reward) =
                (Choice::Item(slate[0]), f32::from(u8::from(stream.random_bool(0.1))));
            builder.push(Step::new(&slate, choice, reward))?;
        }
        builder.end_session(None)?;
    }
    Ok(builder.build())
}

/// An epoch of the agent on this log.
fn train(args: &Args, log: &Log) -> anyhow::Result<Measured> {
    let seed = Seed::new(3);
    let training = AgentTraining::default();
    let part = |sessions: usize| anyhow::Ok(Buffer::real(log.slice(0..sessions).to_log()));
    let sessions =
        if args.whole_epoch { LOGGED } else { LOGGED.min(args.batches * training.batch) };
    let (warm_up, buffer) = (part(2 * training.batch)?, part(sessions)?);
    let agent = Agent::new(args.agent(), seed, &Device::Cpu)?;
    // Of the embedding a step moves the rows of a batch alone.
    let moved = agent.params().iter().filter(|(name, _)| !name.contains("embedding"));
    let bytes = 4 * moved.map(|(_, var)| var.elem_count()).sum::<usize>();
    let mut trainer = AgentTrainer::new(agent, training.clone())?;
    trainer.epoch(&warm_up, seed)?;

    let clicks = buffer.log.steps() as f64;
    let operations = 3.0 * (clicks * args.logits() + (clicks - sessions as f64) * args.lstm_step());
    let traffic = 6.0 * bytes as f64 * sessions.div_ceil(training.batch) as f64;
    let whole = LOGGED as f64 / sessions as f64;
    let mut runs = Vec::new();
    for _ in 0..if args.whole_epoch { 1 } else { args.repeats } {
        let limit = operations / product_rate()? + traffic / memory_rate();
        let start = Instant::now();
        trainer.epoch(&buffer, seed)?;
        runs.push([start.elapsed().as_secs_f64(), limit].map(|seconds| whole * seconds));
    }
    Ok(Measured(runs))
}

/// Floating-point operations a second of the faster of two products of 2048 x 2048 x 2048: ours and
/// candle's.
fn product_rate() -> anyhow::Result<f64> {
    const SIDE: usize = 2048;
    let ramp = Tensor::arange(0.0, (SIDE * SIDE) as f64, &Device::Cpu)?.to_dtype(DType::F32)?;
    let square = (ramp / (SIDE * SIDE) as f64)?.reshape((SIDE, SIDE))?;
    let mut fastest = f64::INFINITY;
    let mut time = |product: &dyn Fn() -> anyhow::Result<Tensor>| {
        let start = Instant::now();
        black_box(product()?);
        fastest = fastest.min(start.elapsed().as_secs_f64());
        anyhow::Ok(())
    };
    for _ in 0..2 {
        time(&|| Ok(matmul(&square, &square)?))?;
        time(&|| Ok(square.matmul(&square)?))?;
    }
    Ok(2.0 * (SIDE as f64).powi(3) / fastest)
}

/// Bytes a second, read and written, of scaling an array of 256 MB.
fn memory_rate() -> f64 {
    let mut values = vec![1f32; 1 << 26];
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        values
            .par_chunks_mut(1 << 14)
            .for_each(|values| values.iter_mut().for_each(|value| *value *= 0.5));
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    black_box(&values);
    2.0 * size_of_val(&values[..]) as f64 / fastest
}

fn size() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1 << 24)
}
