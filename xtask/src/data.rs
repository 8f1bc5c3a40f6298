//! `cargo xtask data`: import, describe, export, list and generate interaction logs.

mod displays;
mod generate;

use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use foretaste_data::export::{export, replaced_ids};
use foretaste_data::import::{self, BESIDE, import};
use foretaste_data::{Dataset, Format, Part, Summary, cache};
use indicatif::{ProgressBar, ProgressStyle};

use crate::target::Target;
use crate::terminal::{say, tell};

/// Options of the data commands.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a log file, check it, and keep it as a cached log that loads fast.
    Import(Import),
    /// Print what a log holds.
    Describe(Describe),
    /// Write a log in a format that other programs read.
    Export(Export),
    /// List the bundled logs and the recipes for public data sets.
    List,
    /// Simulate the bundled logs anew.
    Generate(generate::Args),
}

#[derive(Debug, clap::Args)]
struct Import {
    /// Format of the file, if its first line does not tell: gan-cdqn, irecgan, movielens-100k,
    /// movielens, lastfm, cikm, yoochoose, trivago, open-bandit, coat, csv, jsonl or parquet.
    #[arg(long)]
    format: Option<Format>,
    /// Cached log to write.
    #[arg(long, value_name = "LOG")]
    to: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    input: Input,
}

#[derive(Debug, clap::Args)]
struct Describe {
    /// Format of the file, if its first line does not tell: gan-cdqn, irecgan, movielens-100k,
    /// movielens, lastfm, cikm, yoochoose, trivago, open-bandit, coat, csv, jsonl or parquet.
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    input: Input,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// File to write.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// Format to write: gan-cdqn, irecgan, csv, jsonl or parquet.
    #[arg(long)]
    format: Format,
    /// Parts to leave out, for a format that cannot hold them: split, users, timestamps,
    /// propensities, features.
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = part)]
    without: Vec<Part>,
    #[command(flatten)]
    input: Input,
}

#[derive(Debug, clap::Args)]
struct Input {
    /// Log file in any format, or a cached log; it may be a pipe, and - is the standard input.
    path: PathBuf,
    /// Name of the data set, if not the file's.
    #[arg(long)]
    name: Option<String>,
    /// Count bad rows and go on, instead of stopping at the first, as long as they are few.
    #[arg(long)]
    skip_bad_rows: bool,
    /// Skip bad rows up to this share of the rows, and of the sessions [default: 0.05].
    #[arg(long, value_name = "SHARE")]
    max_bad: Option<f64>,
    #[command(flatten)]
    displays: displays::Args,
}

/// Runs a data command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Import(Import { input, format, to, force }) => {
            let target = Target::new(to, inputs(&input.path), *force)?;
            let (dataset, summary) = input.read(*format)?;
            target.check()?;
            cache::save(&dataset, target.path())?;
            say(format_args!("{summary}written to {}", to.display()));
        }
        Command::Describe(Describe { input, format }) => {
            say(input.read(*format)?.1.to_string().trim_end())
        }
        Command::Export(Export { input, to, force, format, without }) => {
            let target = Target::new(to, inputs(&input.path), *force)?;
            let (dataset, summary) = input.read(None)?;
            if summary.reading.is_some() {
                say(summary.to_string().trim_end());
            }
            let dataset = without.iter().fold(dataset, |dataset, &part| dataset.without(part));
            target.check()?;
            export(&dataset, *format, target.path())?;
            let replaced = replaced_ids(&dataset, *format);
            if replaced > 0 {
                tell(format_args!(
                    "warning: {format} holds whole numbers as session ids; those of {replaced} sessions were replaced by \
                     their indices"
                ));
            }
            say(format_args!("written to {}", to.display()));
        }
        Command::List => list()?,
        Command::Generate(args) => generate::run(args)?,
    }
    Ok(())
}

/// A log file and all that may be read with it, whatever its format.
pub fn inputs(log: &Path) -> Vec<PathBuf> {
    let beside = if log.as_os_str() == "-" { &[][..] } else { &BESIDE };
    [log.to_owned()].into_iter().chain(beside.iter().map(|name| log.with_file_name(name))).collect()
}

/// A cached log, or one in any format that its file tells.
pub fn read(path: &Path) -> anyhow::Result<Dataset> {
    let displays = displays::Args::default();
    let input =
        Input { path: path.to_owned(), name: None, skip_bad_rows: false, max_bad: None, displays };
    Ok(input.read(None)?.0)
}

/// The folder of the bundled logs and the recipes.
fn datasets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("datasets")
}

impl Input {
    fn read(&self, format: Option<Format>) -> anyhow::Result<(Dataset, Summary)> {
        let path = &self.path;
        if path.as_os_str() != "-" && !path.exists() {
            let folder = datasets();
            bail!(
                "there is no file {}; the bundled logs lie in {}",
                path.display(),
                folder.display()
            );
        }
        let input = foretaste_data::Input::open(path)?;
        let skip_bad_rows = self.skip_bad_rows || self.max_bad.is_some();
        if input.is_cache() {
            if format.is_some() || skip_bad_rows || self.displays.given() {
                bail!(
                    "{} is a cached log: --format, --skip-bad-rows, --max-bad and how to simulate \
                     displays are for other files",
                    path.display()
                );
            }
            let mut dataset = input.load()?;
            if let Some(name) = &self.name {
                dataset.name.clone_from(name);
            }
            let summary = Summary::new(&dataset);
            return Ok((dataset, summary));
        }
        let bar = bar(input.path());
        let told = bar.clone();
        let (displays, seed) = self.displays.settle(&input, format)?;
        let defaults = import::Options::default();
        let options = import::Options {
            format,
            name: self.name.clone(),
            skip_bad_rows,
            max_bad: self.max_bad.unwrap_or(defaults.max_bad),
            displays,
            seed,
            progress: Some(Box::new(move |read, _| told.set_position(read))),
        };
        let imported = input.import(options);
        bar.finish_and_clear();
        Ok(imported?)
    }
}

/// A bar for files that take a moment, on a terminal.
fn bar(path: &Path) -> ProgressBar {
    const A_MOMENT: u64 = 8 << 20;
    let length = path.metadata().map_or(0, |metadata| metadata.len());
    if length < A_MOMENT || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{bar:30} {bytes}/{total_bytes}, {binary_bytes_per_sec}, about {eta} to go",
    );
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn list() -> anyhow::Result<()> {
    let folder = datasets();
    let entries =
        std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    names.sort();
    let is_recipe = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let (recipes, logs): (Vec<_>, Vec<_>) = names.into_iter().partition(is_recipe);
    say("bundled logs, simulated (describe one: cargo xtask data describe PATH)");
    for path in logs {
        let (_, summary) = import(&path, import::Options::default())?;
        say(format_args!(
            "  {:<60} {} sessions, {} steps",
            path.display(),
            summary.sessions,
            summary.steps
        ));
    }
    say("recipes for public data sets");
    for path in recipes.iter().filter(|path| !path.ends_with("README.md")) {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        say(format_args!("  {:<60} {title}", path.display()));
    }
    Ok(())
}

fn part(name: &str) -> Result<Part, String> {
    Part::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| {
        let names = Part::ALL.map(Part::name).join(", ");
        format!("no part of a log; choose among {names}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(path: &Path) -> Input {
        let displays = displays::Args::default();
        Input { path: path.to_owned(), name: None, skip_bad_rows: false, max_bad: None, displays }
    }

    fn run(command: Command) -> anyhow::Result<()> {
        super::run(&Args { command })
    }

    #[test]
    fn nothing_is_replaced_unasked_and_an_input_never() {
        let folder = tempfile::tempdir().unwrap();
        let (log, cached) = (folder.path().join("shop.csv"), folder.path().join("shop.log"));
        let text = "session,step,shown,chosen,reward\na,0,1 2,1,1\n";
        std::fs::write(&log, text).unwrap();
        let write = |export: bool, to: &Path, force: bool| {
            let (input, to) = (input(&log), to.to_owned());
            run(match export {
                true => Command::Export(Export {
                    input,
                    to,
                    force,
                    format: Format::Csv,
                    without: vec![],
                }),
                false => Command::Import(Import { input, format: None, to, force }),
            })
        };
        for export in [false, true] {
            for force in [false, true] {
                assert!(
                    write(export, &log, force)
                        .unwrap_err()
                        .to_string()
                        .contains("the input itself")
                );
                assert_eq!(std::fs::read_to_string(&log).unwrap(), text);
            }
            write(export, &cached, false).unwrap();
            assert!(write(export, &cached, false).unwrap_err().to_string().contains("--force"));
            write(export, &cached, true).unwrap();
            std::fs::remove_file(&cached).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_read_beside_the_input_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("features")).unwrap();
        std::fs::copy(datasets().join("simulated-mdp.csv"), place("log.csv")).unwrap();
        for name in BESIDE {
            std::fs::write(place(name), "mine").unwrap();
            let (input, to) = (input(&place("log.csv")), place(name));
            let refused = run(Command::Import(Import { input, format: None, to, force: true }))
                .unwrap_err()
                .to_string();
            assert!(refused.contains("is read with it"), "{name}: {refused}");
            assert_eq!(std::fs::read_to_string(place(name)).unwrap(), "mine");
        }
        assert_eq!(inputs(Path::new("-")), [Path::new("-")]);
    }

    #[test]
    fn options_apply_to_a_cached_log_or_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cached = folder.path().join("shop.log");
        let log = datasets().join("simulated-mdp.csv");
        run(Command::Import(Import {
            input: input(&log),
            format: None,
            to: cached.clone(),
            force: false,
        }))
        .unwrap();
        let (dataset, summary) =
            Input { name: Some("mine".into()), ..input(&cached) }.read(None).unwrap();
        assert_eq!((dataset.name.as_str(), summary.name.as_str()), ("mine", "mine"));
        assert!(input(&cached).read(Some(Format::Csv)).is_err());
        assert!(Input { skip_bad_rows: true, ..input(&cached) }.read(None).is_err());
        let displays = displays::Args { seed: Some(2), ..displays::Args::default() };
        for path in [&cached, &log] {
            let error = Input { displays: displays.clone(), ..input(path) }
                .read(None)
                .unwrap_err()
                .to_string();
            assert!(error.contains("simulate"), "{error}");
        }
    }
}
