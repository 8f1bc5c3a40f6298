//! `cargo xtask ci`: every check that a change must pass, in the order in which they fail fastest.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::{book, python, workspace_root};
use foretaste_console::terminal::print_line;

/// Runs the checks and stops at the first that fails; prints the time of each.
pub fn run() -> anyhow::Result<()> {
    let temporary = tempfile::tempdir().context("cannot make a temporary directory")?;
    let begin = Instant::now();
    spelling()?;
    for step in steps(temporary.path())? {
        step.run()?;
    }
    examples(temporary.path())?;
    print_line("== book");
    book::check()?;
    print_line("== Python package");
    let since = Instant::now();
    python::check()?;
    print_line(format_args!("== Python package: {:.0} s", since.elapsed().as_secs_f64()));
    supply_chain()?;
    print_line(format_args!("all checks passed in {:.0} s", begin.elapsed().as_secs_f64()));
    Ok(())
}

struct Step<'a> {
    name: &'a str,
    command: Command,
}

impl Step<'_> {
    fn run(mut self) -> anyhow::Result<()> {
        print_line(format_args!("== {}", self.name));
        let begin = Instant::now();
        let status = self
            .command
            .status()
            .with_context(|| format!("{}: cannot start {:?}", self.name, self.command))?;
        if !status.success() {
            bail!("{} failed: {:?} ended with {status}", self.name, self.command);
        }
        print_line(format_args!("== {}: {:.0} s", self.name, begin.elapsed().as_secs_f64()));
        Ok(())
    }
}

fn steps(temporary: &Path) -> anyhow::Result<Vec<Step<'static>>> {
    let step = |name, command| Step { name, command };
    let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    let mut figures = own()?;
    figures.args(["docs", "--check"]);
    let mut smoke = own()?;
    smoke
        .args(["reproduce", "--scale", "smoke", "--seeds", "2", "--device", "cpu", "--out"])
        .arg(temporary.join("results"));
    let mut fuzz = own()?;
    fuzz.args(["fuzz", "--minutes", "1", "--findings"]).arg(temporary.join("findings"));
    let mut chaos = own()?;
    chaos.args(["chaos", "--faults", "40", "--findings"]).arg(temporary.join("faults"));
    Ok(vec![
        step("format", cargo(&["fmt", "--all", "--check"])),
        step("figures in documents", figures),
        step(
            "clippy",
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
        ),
        step("tests", tests()),
        step("doctests", cargo(&["test", "--doc", "--workspace", "--locked"])),
        step("docs", docs),
        step("fuzzing", fuzz),
        step("faults of the machine", chaos),
        step("smoke reproduction", smoke),
    ])
}

/// Examples that are compiled only: the first needs data which are not ours to share, and the
/// others train networks, which takes a minute or more without optimization.
const NOT_RUN: [&str; 7] =
    ["open_bandit", "anchor", "compare", "fit", "recommend", "recovery", "train"];

/// Runs the other examples, as the tests built them.
fn examples(folder: &Path) -> anyhow::Result<()> {
    let build = cargo(&["build", "--workspace", "--examples", "--locked"]);
    Step { name: "examples", command: build }.run()?;
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let target = own.ancestors().nth(2).context("this program's file is in no folder")?;
    for example in names_of_examples()? {
        if NOT_RUN.contains(&example.as_str()) {
            continue;
        }
        let mut command = Command::new(target.join("debug/examples").join(&example));
        command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        Step { name: &example, command }.run()?;
    }
    Ok(())
}

fn names_of_examples() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for package in workspace_root().join("crates").read_dir()? {
        let folder = package?.path().join("examples");
        if !folder.is_dir() {
            continue;
        }
        for example in folder.read_dir()? {
            let path = example?.path();
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// American spelling everywhere, by _typos.toml.
fn spelling() -> anyhow::Result<()> {
    let mut typos = Command::new("typos");
    typos.arg("--version");
    if !answers(typos) {
        print_line("== spelling: skipped: no typos (pip install typos)");
        return Ok(());
    }
    let mut check = Command::new("typos");
    check.current_dir(workspace_root()).args(["--format", "brief"]);
    Step { name: "spelling", command: check }.run()
}

/// What the project depends on: who it may come from, under which licenses, and what is known
/// against it.
fn supply_chain() -> anyhow::Result<()> {
    if !has("deny") {
        print_line(
            "== supply chain: not checked, cargo-deny is not installed (cargo install cargo-deny \
             --locked)",
        );
        return Ok(());
    }
    let check = cargo(&[
        "deny",
        "--log-level",
        "error",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    Step { name: "bans, licenses, sources", command: check }.run()?;
    if !answers(cargo(&["deny", "fetch", "db"])) {
        print_line("== advisories: not checked, their database cannot be fetched");
        return Ok(());
    }
    let check = cargo(&[
        "deny",
        "--log-level",
        "error",
        "--locked",
        "check",
        "--disable-fetch",
        "advisories",
    ]);
    Step { name: "advisories", command: check }.run()
}

fn tests() -> Command {
    if has("nextest") {
        cargo(&["nextest", "run", "--workspace", "--locked"])
    } else {
        cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--examples", "--locked"])
    }
}

/// Whether cargo has this subcommand.
fn has(subcommand: &str) -> bool {
    answers(cargo(&[subcommand, "--version"]))
}

/// Whether a command succeeds; what it prints is not shown.
fn answers(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// This program, which need not be compiled for another command.
fn own() -> anyhow::Result<Command> {
    let mut command =
        Command::new(std::env::current_exe().context("cannot find this program's own file")?);
    command.current_dir(workspace_root());
    Ok(command)
}

/// The cargo that runs this command, so that a toolchain chosen by the caller holds for every step.
fn cargo(args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(workspace_root()).args(args);
    command
}
