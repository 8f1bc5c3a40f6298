//! `foretaste trust`: how far learned users may be trusted, and what may be asked of them.

mod case;
mod examine;
mod other;
mod page;

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use foretaste_console::Interrupted;
use foretaste_nn::DeviceKind;
use indicatif::MultiProgress;

use self::case::Case;
use self::examine::examine;
use crate::answer::Answer;
use crate::fit::watch::Watch;

/// Options of `trust`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Learned users that `foretaste fit` wrote.
    users: PathBuf,
    /// Log that the users learned from; they are judged by its other sessions. If they learned from
    /// another log, all sessions of this one judge them, and the figures that need models of halves
    /// are left out.
    #[arg(long)]
    log: PathBuf,
    /// Log of another policy, period or arm, to compare with what the users predict for its slates.
    /// Without this option, the last fifth of the log's sessions is used instead, which is of the
    /// same policy.
    #[arg(long, value_name = "LOG")]
    against: Option<PathBuf>,
    /// Number of items on the slates of policies [default: that of most slates that the users
    /// learned from].
    #[arg(short, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    k: Option<usize>,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

/// What is known, or why it is not.
type Known<T> = Result<T, String>;

/// The same of a result, except that Ctrl-C ends the command.
fn known<T>(result: anyhow::Result<T>) -> anyhow::Result<Known<T>> {
    match result {
        Ok(found) => Ok(Ok(found)),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

/// Examines users, and says what may be asked of them.
///
/// # Errors
/// [`Interrupted`] after Ctrl-C; where users and log do not fit each other, or no session is left
/// to judge by.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    let case = Case::read(args, quiet)?;
    let mut watch = Watch::new(bars, quiet, examine::units(&case))?;
    let report = examine(&case, &mut watch);
    watch.end();
    Ok(page::answer(&case, &report?))
}
