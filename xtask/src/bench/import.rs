//! `cargo xtask bench import`.

/// Options of the import benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the benchmark and prints its table.
pub fn run(_args: &Args) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
