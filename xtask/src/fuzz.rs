//! `cargo xtask fuzz`: files from strangers, made up, in processes of little memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args as ClapArgs;
use foretaste_console::terminal::print_line;
use foretaste_fuzz::{Budget, Target, hunt, targets};
use foretaste_random::Seed;
use serde_json::{Value, json};

use crate::workspace_root;

/// Arguments of `cargo xtask fuzz`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Minutes in all, which the targets share.
    #[arg(long, default_value_t = 10.0, value_name = "N")]
    minutes: f64,
    /// Only targets whose names contain this.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// What mutations are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where inputs go that panic, abort, or do not end.
    #[arg(long, default_value = "out/fuzz", value_name = "DIR")]
    findings: PathBuf,
    /// Where inputs go that are answered in a way that none was before.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Hunt in this process, and print what was found as JSON.
    #[arg(long, hide = true)]
    alone: bool,
}

/// Addresses that a hunt may take, in KiB.
const MEMORY: u64 = 4 << 20;

/// Hunts, and fails where something was found.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let chosen = targets_of(args)?;
    if args.alone {
        return alone(args, &*chosen[0]);
    }
    let names: Vec<String> = chosen.iter().map(|target| target.name().to_owned()).collect();
    let jobs = thread::available_parallelism().map_or(1, usize::from).min(names.len());
    let share = args.minutes * 60.0 * jobs as f64 / names.len() as f64;
    let (next, hunts) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let begin = Instant::now();
    thread::scope(|scope| {
        let work = || -> anyhow::Result<()> {
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                let found = of_target(args, name, Duration::from_secs_f64(share.max(1.0)))?;
                print_line(format_args!("{name}: {found}"));
                if let Ok(mut hunts) = hunts.lock() {
                    hunts.insert(name.clone(), found);
                }
            }
            Ok(())
        };
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Err(anyhow!("the program that starts the hunts panicked"));
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(panicked))
    })?;
    let hunts = hunts.into_inner().unwrap_or_default();
    let executions: u64 = hunts.values().map(|found| found.executions).sum();
    let findings: usize = hunts.values().map(|found| found.findings.len()).sum();
    print_line(format_args!(
        "{executions} files read by {} targets in {:.0} s; {findings} findings",
        hunts.len(),
        begin.elapsed().as_secs_f64()
    ));
    if findings > 0 {
        bail!(
            "{findings} inputs panic, abort or do not end; they are in {}",
            args.findings.display()
        );
    }
    Ok(())
}

/// What was found by the processes of a target.
#[derive(Default)]
struct Hunts {
    executions: u64,
    answers: u64,
    findings: Vec<String>,
}

impl std::fmt::Display for Hunts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, answers, findings } = self;
        write!(f, "{executions} files, {answers} different answers, {} findings", findings.len())?;
        findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

/// Hunts in a process, and in another one where it dies.
fn of_target(args: &Args, name: &str, time: Duration) -> anyhow::Result<Hunts> {
    let folder = args.findings.join(name);
    let end = Instant::now() + time;
    let (mut hunts, mut deaths) = (Hunts::default(), 0);
    while end.saturating_duration_since(Instant::now()) > Duration::from_millis(500) && deaths < 10
    {
        let left = end.saturating_duration_since(Instant::now()).as_secs_f64() / 60.0;
        let output = Command::new("sh")
            .args(["-c", &format!("ulimit -v {MEMORY} && exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().context("cannot find this program's own file")?)
            .args(["fuzz", "--alone", "--target", name])
            .args(["--minutes", &left.to_string(), "--seed", &(args.seed + deaths).to_string()])
            .arg("--findings")
            .arg(&args.findings)
            .args(args.keep.iter().flat_map(|keep| [Path::new("--keep"), keep.as_path()]))
            .env("RAYON_NUM_THREADS", "1")
            .output()
            .context("cannot start a process to hunt in")?;
        if output.status.success() {
            let found: Value = serde_json::from_slice(&output.stdout).context("no answer")?;
            hunts.executions += found["executions"].as_u64().unwrap_or(0);
            hunts.answers = hunts.answers.max(found["answers"].as_u64().unwrap_or(0));
            let panics = found["panics"].as_array().into_iter().flatten();
            hunts.findings.extend(panics.filter_map(|panic| panic.as_str().map(str::to_owned)));
            break;
        }
        deaths += 1;
        let current = folder.join("current");
        if !current.exists() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{name} did not begin: {}: {said}", output.status);
        }
        let kept = folder.join(format!("death-{deaths}"));
        fs::rename(&current, &kept)?;
        hunts.findings.push(format!("{}: {}", kept.display(), output.status));
    }
    Ok(hunts)
}

fn alone(args: &Args, target: &dyn Target) -> anyhow::Result<()> {
    let budget =
        Budget { time: Duration::from_secs_f64(args.minutes * 60.0), seed: Seed::new(args.seed) };
    let keep = args.keep.as_ref().map(|keep| keep.join(target.name()));
    let corpus = workspace_root().join("fuzz/corpus");
    let findings = args.findings.join(target.name());
    let found = hunt(target, &corpus, &findings, keep.as_deref(), budget)?;
    let panics = found.panics.iter();
    let panics = panics.map(|(path, cause)| format!("{}: {cause}", path.display()));
    print_line(json!({
        "executions": found.executions,
        "answers": found.answers,
        "panics": panics.collect::<Vec<_>>(),
    }));
    Ok(())
}

/// The targets that are asked for: the one of this very name if it is alone.
fn targets_of(args: &Args) -> anyhow::Result<Vec<Box<dyn Target>>> {
    let asked = args.target.as_deref().unwrap_or_default();
    let fits = |name: &str| if args.alone { name == asked } else { name.contains(asked) };
    let all = targets();
    let names: Vec<String> = all.iter().map(|target| target.name().to_owned()).collect();
    let chosen: Vec<_> = all.into_iter().filter(|target| fits(target.name())).collect();
    if chosen.is_empty() {
        bail!("there is no target {asked:?}; there are {}", names.join(", "));
    }
    Ok(chosen)
}
