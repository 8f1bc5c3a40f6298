//! `cargo xtask bench sim`.

/// Options of the simulator benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the benchmark and prints its table.
pub fn run(_args: &Args) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
