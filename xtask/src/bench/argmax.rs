//! `cargo xtask bench argmax`: how long the cascaded argmax takes over whole catalogues.

mod measure;

use anyhow::bail;
use candle_core::Device;
use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use comfy_table::{Table, presets};
use foretaste_cascade_dqn::Storage;
use foretaste_console::terminal::{eprint_line, print_line};
use foretaste_nn::DeviceKind;

use self::measure::{Agreement, Measurement, Sizes, agreement, measure, measure_candle};
use crate::bench::record::Record;

/// Options of the argmax benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sizes of the catalogue; a million items take some 10 GB.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000], value_parser = size(10))]
    items: Vec<usize>,
    /// Items on a slate.
    #[arg(long, default_value_t = 10, value_parser = size(1))]
    k: usize,
    /// Item features.
    #[arg(long, default_value_t = 64, value_parser = size(1))]
    features: usize,
    /// Width of the hidden layers.
    #[arg(long, default_value_t = 128, value_parser = size(1))]
    hidden: usize,
    /// Users whose slates are chosen together.
    #[arg(long, default_value_t = 1, value_parser = size(1))]
    users: usize,
    /// Numbers of threads to measure with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2], value_parser = size(1))]
    threads: Vec<usize>,
    /// How the item halves are kept.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Kept::Single, Kept::Half])]
    storage: Vec<Kept>,
    /// Measurements of each case; the median is shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    repeats: u8,
    /// A GPU to measure on as well: cuda, or none (cpu).
    #[arg(long, default_value_t = DeviceKind::Cpu)]
    device: DeviceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Kept {
    /// 32 bits.
    Single,
    /// 16 bits.
    Half,
}

/// Users whose slates from 16-bit halves are compared with the exact ones.
const COMPARED: usize = 500;
/// Comparing takes the exact slates of all of them.
const LARGEST_COMPARED: usize = 100_000;

/// Runs the benchmark and prints its tables.
pub fn run(args: &Args, record: &mut Record) -> anyhow::Result<()> {
    let mut items = args.items.clone();
    items.sort_unstable();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let device = args.device.open()?;
    if device.is_metal() {
        bail!("device `metal`: the argmax runs on cpu and cuda");
    }
    let mut header = vec![
        "storage",
        "threads",
        "K",
        "freeze",
        "again",
        "slates",
        "slope",
        "read once",
        "slates / read",
        "candle",
    ];
    if device.is_cuda() {
        header.extend(["GPU: slates", "GPU: read once", "GPU: as CPU"]);
    }
    table.set_header(header);
    for &threads in &args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        for &storage in &args.storage {
            pool.install(|| {
                measure_all(args, threads, storage, &items, &device, record, &mut table)
            })?;
        }
    }
    print_line(format_args!(
        "ms for the slates of {} users, k = {}, {} features, hidden {}; medians of {}. again: \
         freezing in the same memory. slope: of log time over log K, from the row above. read \
         once: reading the cached item halves. candle: one user, each stage as tensor operations, \
         1 stage counted k times.",
        args.users, args.k, args.features, args.hidden, args.repeats
    ));
    if device.is_cuda() {
        print_line(
            "GPU: one slate for each user, states and slates on the CPU; reading its copy of the \
             halves once, by a kernel of its own; the share of slates that are the CPU's.",
        );
    }
    print_line(table);
    if args.storage.contains(&Kept::Half) {
        for &items in items.iter().filter(|items| **items <= LARGEST_COMPARED) {
            eprint_line(format_args!("comparing slates at K = {items}"));
            let Agreement { slates, items: shared } =
                agreement(Sizes { users: COMPARED, ..args.sizes(items) })?;
            print_line(format_args!(
                "16-bit halves at K = {items}: {:.1}% of slates and {:.1}% of their items as with \
                 32 bits",
                100.0 * slates,
                100.0 * shared
            ));
        }
    }
    Ok(())
}

/// Adds the rows of one number of threads and one storage.
fn measure_all(
    args: &Args,
    threads: usize,
    storage: Kept,
    items: &[usize],
    device: &Device,
    record: &mut Record,
    table: &mut Table,
) -> anyhow::Result<()> {
    let mut before: Option<(usize, f64)> = None;
    for &items in items {
        eprint_line(format_args!("measuring K = {items}, {threads} threads, {}", storage.name()));
        let sizes = args.sizes(items);
        let Measurement { freeze, slates, read, gpu } =
            measure(sizes, storage.into(), args.repeats.into(), device)?;
        let case = format!("argmax, {} bits, items {items}, threads {threads}", storage.bits());
        let slates = record.seconds(case, &slates);
        let candle = match storage {
            Kept::Single => ms(measure_candle(sizes, args.repeats.into())?),
            Kept::Half => String::new(),
        };
        let slope = before.replace((items, slates)).map(|before| slope(before, (items, slates)));
        let mut row = vec![
            storage.name().to_owned(),
            threads.to_string(),
            items.to_string(),
            ms(freeze[0]),
            ms(freeze[1]),
            ms(slates),
            slope.map_or(String::new(), |slope| format!("{slope:.2}")),
            ms(read),
            format!("{:.2}", slates / read),
            candle,
        ];
        if let Some(gpu) = gpu {
            row.extend([ms(gpu.slates), ms(gpu.read), format!("{:.1}%", 100.0 * gpu.agreement)]);
        }
        table.add_row(row);
    }
    Ok(())
}

impl Args {
    fn sizes(&self, items: usize) -> Sizes {
        Sizes { items, features: self.features, hidden: self.hidden, k: self.k, users: self.users }
    }
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Half => "half",
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Single => 32,
            Self::Half => 16,
        }
    }
}

impl From<Kept> for Storage {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Single => Self::Single,
            Kept::Half => Self::Half,
        }
    }
}

/// How the time grows with the number of items: 1 is in proportion.
fn slope((items, seconds): (usize, f64), (more, longer): (usize, f64)) -> f64 {
    (longer / seconds).ln() / (more as f64 / items as f64).ln()
}

fn ms(seconds: f64) -> String {
    format!("{:.3}", 1e3 * seconds)
}

fn size(least: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=1 << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_proportion_has_slope_one() {
        assert!((slope((10, 2.0), (1_000, 200.0)) - 1.0).abs() < 1e-12);
        assert!((slope((10, 2.0), (100, 2.0))).abs() < 1e-12);
    }
}
