//! `cargo xtask python`: the Python package, built, installed and tested.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use foretaste_console::terminal::print_line;

use crate::workspace_root;

/// Options of `python`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Python to make the virtual environment with, 3.11 or later.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Build with full optimization, as for a wheel that is published.
    #[arg(long)]
    release: bool,
    /// Test the adapters to other libraries instead; these are large.
    #[arg(long)]
    peers: bool,
}

/// What tests and build need, in versions that fit each other, of Python 3.11 and later. The tests
/// run once with each Gymnasium.
const PACKAGES: [&str; 9] = [
    "maturin==1.16.0",
    "numpy==2.4.6",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
    "pytest==9.2.0",
    "matplotlib==3.11.2",
    "nbformat==5.11.1",
    "nbclient==0.11.0",
    "ipykernel==7.4.0",
];
const GYMNASIUM: [&str; 2] = ["gymnasium==1.2.2", "gymnasium==1.4.0"];

/// What `--peers` needs, in an environment of its own: several gigabytes.
const PEERS: [&str; 10] = [
    "maturin==1.16.0",
    "numpy==2.4.6",
    "pytest==9.2.0",
    "gymnasium==1.2.2",
    "torch==2.15.0",
    "stable-baselines3==2.9.2",
    "sb3-contrib==2.9.2",
    "d3rlpy==2.8.0",
    "ray[rllib]==2.60.0",
    "pyarrow==26.0.1",
];

/// Builds the wheel, installs it in a virtual environment of its own, and runs its tests.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if !is_python(&args.python) {
        bail!(
            "{} is not a Python of version 3.11 or later with venv and pip; name one with --python",
            args.python.display()
        );
    }
    if args.peers {
        let place = prepare(&args.python, "target/python-peers", &PEERS)?;
        install(&place, args.release)?;
        return test(&place, &["crates/python/tests/peers"]);
    }
    let place = prepare(&args.python, "target/python", &PACKAGES)?;
    test_with_each_gymnasium(&place, args.release)
}

/// The same as a part of `ci`: passed over where there is no Python, or its packages cannot be had.
pub fn check() -> anyhow::Result<()> {
    let python = Path::new("python3");
    if !is_python(python) {
        print_line("== Python package: skipped: no Python");
        return Ok(());
    }
    match prepare(python, "target/python", &PACKAGES) {
        Ok(place) => test_with_each_gymnasium(&place, false),
        Err(error) => {
            print_line(format_args!("== Python package: skipped: {error:#}"));
            Ok(())
        }
    }
}

fn is_python(python: &Path) -> bool {
    let modern = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    let mut command = Command::new(python);
    command.args(["-c", modern]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The virtual environment in `folder`, with `packages`.
fn prepare(python: &Path, folder: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let place = workspace_root().join(folder);
    if !place.join("bin/python").exists() {
        done(Command::new(python).args(["-m", "venv"]).arg(&place))?;
    }
    pip(&place, packages)?;
    Ok(place)
}

fn test_with_each_gymnasium(place: &Path, release: bool) -> anyhow::Result<()> {
    install(place, release)?;
    for gymnasium in GYMNASIUM {
        pip(place, &[gymnasium])?;
        test(place, &[])?;
    }
    Ok(())
}

/// Runs the tests in `paths`, or all but those of the peers.
fn test(place: &Path, paths: &[&str]) -> anyhow::Result<()> {
    let mut tests = Command::new(place.join("bin/python"));
    tests.current_dir(workspace_root()).args(["-m", "pytest", "-q"]).args(paths);
    // The runner of the experiments, which those of `foretaste.ray` run.
    tests.env("FORETASTE_XTASK", std::env::current_exe()?);
    done(&mut tests)
}

/// Builds the wheel and installs it, without what it depends on.
fn install(place: &Path, release: bool) -> anyhow::Result<()> {
    let wheels = place.join("wheels");
    let mut build = Command::new(place.join("bin/maturin"));
    build.current_dir(workspace_root()).args(["build", "--locked", "--out"]).arg(&wheels);
    build.args(["--interpreter"]).arg(place.join("bin/python"));
    if release {
        build.arg("--release");
    } else {
        build.args(["--profile", "dev"]);
    }
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).context("cannot remove an earlier wheel")?;
    }
    done(&mut build)?;
    let wheel = std::fs::read_dir(&wheels)
        .ok()
        .and_then(|mut found| found.next())
        .context("maturin built no wheel")??
        .path();
    pip(place, &["--force-reinstall", "--no-deps", &wheel.to_string_lossy()])
}

fn pip(place: &Path, what: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(place.join("bin/python"));
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(what);
    done(&mut command)
}

fn done(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
