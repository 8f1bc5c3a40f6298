//! `cargo xtask data import | describe | export`.

/// Options of the data commands.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs a data command.
pub fn run(_args: &Args) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
