//! `cargo xtask bench`: one subcommand per hot path.

mod all;
mod argmax;
mod compare;
mod fit;
pub mod growth;
mod import;
mod irecgan;
mod nn;
mod peer;
mod planning;
mod python;
mod ratio;
pub mod record;
mod sim;
mod users;

use clap::Subcommand;

use self::record::Record;

/// Options of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    path: HotPath,
}

#[derive(Debug, Subcommand)]
enum HotPath {
    /// Run all hot paths that need no other library, at a short setting, and write one file.
    All(all::Args),
    /// Choose slates from whole catalogues: milliseconds, compared with reading the cache once and
    /// with candle's tensor operations.
    Argmax(argmax::Args),
    /// Compare the speed of two programs, and fail if something is slower beyond noise.
    Compare(compare::Args),
    /// Fit GAN-CDQN's user models: seconds, compared with a port to PyTorch.
    Fit(fit::Args),
    /// Import, fit, train, simulate and judge larger and larger logs: seconds, and how they grow.
    Growth(growth::Args),
    /// Import a generated log: megabytes a second and peak memory, compared with polars and
    /// pyarrow.
    Import(import::Args),
    /// Simulate and train IRecGAN at its published size: seconds, compared with a public run and
    /// with the matrix products alone.
    Irecgan(irecgan::Args),
    /// Train and run networks: milliseconds, share of the rate of a plain matrix product, and
    /// PyTorch's milliseconds.
    Nn(nn::Args),
    /// Train cascading Q-networks in learned users: seconds, and what they go into.
    Planning(planning::Args),
    /// Step the environments of the Python package: steps a second, compared with the rollout in
    /// Rust and Gymnasium's CartPole.
    Python(python::Args),
    /// Roll out simulated users: steps a second.
    Sim(sim::Args),
    /// Roll out learned users: steps a second, and what their largest product alone would allow.
    Users(users::Args),
}

/// Runs the benchmark that the arguments name.
pub fn run(args: &Args) -> anyhow::Result<()> {
    args.path.run(&mut Record::default())
}

impl HotPath {
    /// Runs the benchmark, and adds what it measures of our code to the record.
    fn run(&self, record: &mut Record) -> anyhow::Result<()> {
        match self {
            Self::All(args) => all::run(args),
            Self::Argmax(args) => argmax::run(args, record),
            Self::Compare(args) => compare::run(args),
            Self::Fit(args) => fit::run(args, record),
            Self::Growth(args) => growth::run(args, record),
            Self::Import(args) => import::run(args, record),
            Self::Irecgan(args) => irecgan::run(args, record),
            Self::Nn(args) => nn::run(args, record),
            Self::Planning(args) => planning::run(args, record),
            Self::Python(args) => python::run(args),
            Self::Sim(args) => sim::run(args, record),
            Self::Users(args) => users::run(args, record),
        }
    }
}
