//! The log that a command reads.

use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::bail;
use foretaste_console::terminal::{eprint_line, reasons};
use foretaste_data::Dataset;
use foretaste_import::{BESIDE, Format, Input, Options, Report, bundled};
use indicatif::{ProgressBar, ProgressStyle};

use crate::layout::LayoutArgs;
use crate::progress::PERIOD;
use crate::slates::SlateArgs;

/// A log, and how to read it.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// Log file in any format, or a cached log; several files, folders and patterns of files are
    /// read as one log. It may also be a pipe, - for the standard input, or bundled:NAME for a log
    /// inside this program (see `foretaste list`).
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Name of the data set [default: the file's].
    #[arg(long)]
    pub name: Option<String>,
    /// Skip and count bad rows, as long as they are few, instead of stopping at the first.
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// Largest share of bad rows, and of sessions with bad rows, that may be skipped [default:
    /// 0.05].
    #[arg(long, value_name = "SHARE")]
    pub max_bad: Option<f64>,
    /// CSV or Parquet file of item features, one row per item: numbers, and texts as categories.
    #[arg(long, value_name = "FILE")]
    pub item_features: Option<PathBuf>,
    /// CSV or Parquet file of user features, one row per user.
    #[arg(long, value_name = "FILE")]
    pub user_features: Option<PathBuf>,
    #[command(flatten)]
    pub layout: LayoutArgs,
    #[command(flatten)]
    pub slates: SlateArgs,
}

impl LogArgs {
    /// The log at `path`, read without further options.
    pub fn of(path: &Path) -> Self {
        Self {
            paths: vec![path.to_owned()],
            name: None,
            skip_bad_rows: false,
            max_bad: None,
            item_features: None,
            user_features: None,
            layout: LayoutArgs::default(),
            slates: SlateArgs::default(),
        }
    }

    /// The log, in the format that is given or recognized by its first bytes, and what was read of
    /// it unless it was cached.
    pub fn read(
        &self,
        format: Option<Format>,
        quiet: bool,
    ) -> anyhow::Result<(Dataset, Option<Report>)> {
        self.read_from(&self.open()?, format, quiet)
    }

    /// The same of an input that was opened before.
    pub fn read_from(
        &self,
        input: &Input,
        format: Option<Format>,
        quiet: bool,
    ) -> anyhow::Result<(Dataset, Option<Report>)> {
        if input.is_cache() {
            return Ok((self.load(input, format)?, None));
        }
        let length = input.paths().map(|path| path.metadata().map_or(0, |about| about.len())).sum();
        let bar = bar(length, quiet);
        let shown = bar.clone();
        // Where there is no bar, a line every few seconds.
        let lines = !quiet && !stderr().is_terminal();
        let mut last = Instant::now();
        let layout = self.layout.settle()?;
        let format = format.or(layout.format);
        let (slates, seed) = self.slates.settle(input, format)?;
        let defaults = Options::default();
        let options = Options {
            format,
            name: self.name.clone(),
            skip_bad_rows: self.skips_bad_rows(),
            max_bad: self.max_bad.unwrap_or(defaults.max_bad),
            layout,
            item_features: self.item_features.clone(),
            user_features: self.user_features.clone(),
            slates,
            seed,
            progress: Some(Box::new(move |read, _| {
                shown.set_position(read);
                if lines && last.elapsed() >= PERIOD {
                    last = Instant::now();
                    eprint_line(format_args!(
                        "read {} of {} MB",
                        read / 1_000_000,
                        length / 1_000_000
                    ));
                }
            })),
        };
        let imported = input.import(options);
        bar.finish_and_clear();
        let (dataset, report) = imported?;
        Ok((dataset, Some(report)))
    }

    /// The files as they are.
    pub fn open(&self) -> anyhow::Result<Input> {
        if let [path] = &self.paths[..]
            && let Some(name) = path.to_str().and_then(|path| path.strip_prefix(bundled::PREFIX))
        {
            return Ok(bundled::open(name)?);
        }
        check_paths(&self.paths)?;
        Ok(Input::open_all(&self.paths)?)
    }

    /// All files that may be read: what a command must not write over.
    pub fn inputs(&self) -> Vec<PathBuf> {
        let named = [&self.item_features, &self.user_features].into_iter().flatten().cloned();
        self.paths
            .iter()
            .flat_map(|log| inputs(log))
            .chain(named)
            .chain(self.layout.inputs())
            .collect()
    }

    fn load(&self, input: &Input, format: Option<Format>) -> anyhow::Result<Dataset> {
        let features = self.item_features.is_some() || self.user_features.is_some();
        let given = self.slates.given() || self.layout.given() || features;
        if format.is_some() || self.skips_bad_rows() || given {
            bail!(
                "{} is a cached log; leave out --format, --skip-bad-rows, --max-bad, and the \
                 options for features, layout and simulated slates, which are for other files",
                input.given().display()
            );
        }
        let mut dataset = input.load()?;
        if let Some(name) = &self.name {
            dataset.name.clone_from(name);
        }
        Ok(dataset)
    }

    fn skips_bad_rows(&self) -> bool {
        self.skip_bad_rows || self.max_bad.is_some()
    }
}

/// The log at `path` for a command that has no options for reading one.
///
/// # Errors
/// As [`LogArgs::read`], with the command that has these options.
pub fn read_as_it_is(path: &Path, quiet: bool) -> anyhow::Result<Dataset> {
    let log = LogArgs::of(path);
    let input = log.open()?;
    let read = log.read_from(&input, None, quiet).map_err(|error| match input.is_cache() {
        true => error,
        false => anyhow::anyhow!(
            "{}; the options for reading a log are those of `foretaste import`, and this command \
             takes what it writes",
            reasons(&error)
        ),
    });
    Ok(read?.0)
}

/// Whether there is something at each path, patterns and logs inside this program aside.
///
/// # Errors
/// Names the first that is not there.
pub fn check_paths(paths: &[PathBuf]) -> anyhow::Result<()> {
    let elsewhere = |path: &str| {
        path == "-" || path.starts_with(bundled::PREFIX) || path.contains(['*', '?', '['])
    };
    match paths.iter().find(|path| !path.exists() && !path.to_str().is_some_and(elsewhere)) {
        None => Ok(()),
        Some(path) => bail!(
            "there is no file {}; `foretaste list` shows the logs inside this program",
            path.display()
        ),
    }
}

/// A log file and all that may be read with it, whatever its format.
pub fn inputs(log: &Path) -> Vec<PathBuf> {
    let beside = if log.as_os_str() == "-" { &[][..] } else { &BESIDE };
    [log.to_owned()].into_iter().chain(beside.iter().map(|name| log.with_file_name(name))).collect()
}

/// That no model reads the context of a log that has some.
pub fn context_is_unused(dataset: &Dataset) -> Option<String> {
    let contexts = dataset.contexts.iter().enumerate();
    let known = contexts.filter(|(column, _)| dataset.log.steps_with_context(*column) > 0);
    let names: Vec<&str> = known.map(|(_, context)| &*context.name).collect();
    const SHOWN: usize = 5;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    (!names.is_empty()).then(|| {
        format!(
            "the context of the steps ({}{more}) is not used: no model or recommender reads it, so \
             what is learned is the same for every context; to learn for one value of it, import \
             the rows with this value as a log of their own",
            names[..names.len().min(SHOWN)].join(", ")
        )
    })
}

/// A bar for files that take a moment, on a terminal.
fn bar(length: u64, quiet: bool) -> ProgressBar {
    const A_MOMENT: u64 = 8 << 20;
    if length < A_MOMENT || quiet || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{bar:30} {bytes}/{total_bytes}, {binary_bytes_per_sec}, about {eta} left",
    );
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{export, import};

    const BUNDLED: &str = "bundled:simulated-mdp.csv";

    fn import(log: LogArgs, to: &Path, force: bool) -> anyhow::Result<()> {
        let to = Some(to.to_owned());
        import::run(&import::Args { format: None, to, guess: None, force, log }, true)?;
        Ok(())
    }

    fn export(log: LogArgs, to: &Path, force: bool) -> anyhow::Result<()> {
        let (to, format, without) = (to.to_owned(), Format::Csv, vec![]);
        let (item_features_to, user_features_to) = (None, None);
        export::run(
            &export::Args { to, force, format, without, item_features_to, user_features_to, log },
            true,
        )?;
        Ok(())
    }

    #[test]
    fn nothing_is_replaced_unasked_and_an_input_never() {
        let folder = tempfile::tempdir().unwrap();
        let (log, cached) = (folder.path().join("shop.csv"), folder.path().join("shop.log"));
        let text = "session,step,shown,chosen,reward\na,0,1 2,1,1\n";
        std::fs::write(&log, text).unwrap();
        for write in [import, export] {
            let write = |to: &Path, force| write(LogArgs::of(&log), to, force);
            for force in [false, true] {
                let refused = write(&log, force).unwrap_err().to_string();
                assert!(refused.contains("the input itself"), "{refused}");
                assert_eq!(std::fs::read_to_string(&log).unwrap(), text);
            }
            write(&cached, false).unwrap();
            assert!(write(&cached, false).unwrap_err().to_string().contains("--force"));
            write(&cached, true).unwrap();
            std::fs::remove_file(&cached).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_read_beside_the_input_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("features")).unwrap();
        export(LogArgs::of(Path::new(BUNDLED)), &place("log.csv"), false).unwrap();
        for name in BESIDE {
            std::fs::write(place(name), "mine").unwrap();
            let refused = import(LogArgs::of(&place("log.csv")), &place(name), true).unwrap_err();
            assert!(refused.to_string().contains("is read with it"), "{name}: {refused}");
            assert_eq!(std::fs::read_to_string(place(name)).unwrap(), "mine");
        }
        assert_eq!(inputs(Path::new("-")), [Path::new("-")]);
    }

    #[test]
    fn options_apply_to_a_cached_log_or_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cached = folder.path().join("shop.log");
        import(LogArgs::of(Path::new(BUNDLED)), &cached, false).unwrap();
        let log = || LogArgs::of(&cached);
        let named = LogArgs { name: Some("mine".into()), ..log() };
        let (dataset, report) = named.read(None, true).unwrap();
        assert_eq!((dataset.name.as_str(), report), ("mine", None));
        assert!(log().read(Some(Format::Csv), true).is_err());
        assert!(LogArgs { skip_bad_rows: true, ..log() }.read(None, true).is_err());
        let slates = SlateArgs { seed: Some(2), ..SlateArgs::default() };
        for path in [&cached, Path::new(BUNDLED)] {
            let log = LogArgs { slates: slates.clone(), ..LogArgs::of(path) };
            let error = log.read(None, true).unwrap_err().to_string();
            assert!(error.contains("simulate"), "{error}");
        }
    }

    #[test]
    fn a_bundled_log_is_known_by_its_name() {
        let (dataset, _) = LogArgs::of(Path::new(BUNDLED)).read(None, true).unwrap();
        assert_eq!((dataset.name.as_str(), dataset.log.sessions()), ("simulated-mdp", 250));
        let error = LogArgs::of(Path::new("bundled:mdp")).read(None, true).unwrap_err();
        assert!(error.to_string().contains("simulated-mdp.csv"), "{error}");
    }
}
