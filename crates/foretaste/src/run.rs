//! `foretaste run`: from a log to one page that says what recommenders would earn.

mod findings;
mod page;
mod settings;
mod stages;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::Device;
use foretaste_console::Interrupted;
use foretaste_console::terminal::{eprint_line, reasons};
use foretaste_data::Catalogue;
use foretaste_files::{locks, what_is_at};
use foretaste_recommender::{Acting, Method};
use indicatif::MultiProgress;

use self::findings::Findings;
use self::settings::Settings;
use self::stages::{Done, Stages};
use crate::answer::Answer;
use crate::log::{check_paths, inputs};
use crate::saved;

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log in any format: a file, a cached log, a pipe, - for the standard input, or bundled:NAME.
    /// The settings file has the options for reading it.
    log: PathBuf,
    /// Folder for everything: settings, users, recommenders, and the page [default: foretaste- and
    /// the log's name]. The same command continues an interrupted run, and repeats the steps that
    /// depend on a changed setting.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// What is in the folder.
const SETTINGS: &str = "foretaste.toml";
const PAGE: &str = "report.html";
const LOCK: &str = ".running";

/// Checks the log, learns users from it, says what these may be asked, trains recommenders, judges
/// them, and writes the page. Also says whether a step failed.
///
/// # Errors
/// [`Interrupted`] after Ctrl-C; where the folder holds other things, the settings make no sense,
/// or the log cannot be read. What fails later is said on the page.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<(Answer, bool)> {
    let folder = args.to.clone().unwrap_or_else(|| folder_of(&args.log));
    check_paths(std::slice::from_ref(&args.log))?;
    check(&folder, &args.log)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let Some(_held) = locks::try_exclusive(&folder.join(LOCK))? else {
        bail!(
            "another run is using {}: wait until it ends, or name another folder with --to",
            folder.display()
        );
    };
    foretaste_files::sweep(&folder);
    let settings = settings(&folder)?;
    let stages = Stages::new(&folder, bars, quiet)?;
    let plan = Plan { log: &args.log, folder: &folder, settings: &settings, stages: &stages };
    let findings = plan.carry_out()?;
    let page = folder.join(PAGE);
    let html = page::html(&findings, &settings);
    foretaste_files::write(&page, html.as_bytes())?;
    let mut json = findings.json();
    json["page"] = page.display().to_string().into();
    let text = format!("{}\nwritten to {}", findings.lines().join("\n"), page.display());
    Ok((Answer { text, json }, !findings.failed().is_empty()))
}

/// Where a run of this log goes, unless that is said.
fn folder_of(log: &Path) -> PathBuf {
    let text = log.to_string_lossy();
    let name = Path::new(text.rsplit(':').next().unwrap_or_default()).file_stem();
    let name = name.map(|name| name.to_string_lossy().into_owned());
    let name = name.filter(|name| !name.is_empty() && name != "-").unwrap_or("log".into());
    PathBuf::from(format!("foretaste-{name}"))
}

/// A folder that is there must be that of a run.
fn check(folder: &Path, log: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    if folder.as_os_str() == "-" {
        bail!("--to -: a run writes a folder, not the standard output; name a folder");
    }
    match what_is_at(folder)? {
        None => {}
        Some(found) if !found.is_dir() => {
            bail!(
                "{shown} is {}, and a run needs a folder; name another path with --to",
                foretaste_files::kind(found)
            )
        }
        Some(_) => {
            let empty = fs::read_dir(folder)
                .with_context(|| format!("cannot read {shown}"))?
                .next()
                .is_none();
            if !empty && !folder.join(SETTINGS).is_file() && !folder.join(LOCK).is_file() {
                bail!(
                    "{shown} is not empty and has no {SETTINGS}, so it is not the folder of a run; \
                     name another folder with --to"
                );
            }
        }
    }
    let inside = |input: &PathBuf| {
        let found = |path: &Path| path.canonicalize().ok();
        found(input).zip(found(folder)).is_some_and(|(input, folder)| input.starts_with(folder))
    };
    if inputs(log).first().is_some_and(inside) {
        bail!(
            "{} is in {shown}, which the run writes; name another folder with --to",
            log.display()
        );
    }
    Ok(())
}

/// The settings of the folder, which are written where there are none.
fn settings(folder: &Path) -> anyhow::Result<Settings> {
    let path = folder.join(SETTINGS);
    if what_is_at(&path)?.is_none() {
        foretaste_files::write(&path, settings::TEMPLATE.as_bytes())?;
        eprint_line(format_args!(
            "the settings are in {}; to change them, edit the file and run the same command again",
            path.display()
        ));
    }
    const LIMIT: u64 = 1 << 20;
    let text = foretaste_files::read(&path, LIMIT)?;
    Settings::parse(&String::from_utf8_lossy(&text)).with_context(|| path.display().to_string())
}

/// Refuses a text that is no settings.
pub fn check_settings(text: &str) -> anyhow::Result<()> {
    Settings::parse(text).map(drop)
}

/// What is done, in which order.
struct Plan<'a> {
    log: &'a Path,
    folder: &'a Path,
    settings: &'a Settings,
    stages: &'a Stages<'a>,
}

impl Plan<'_> {
    fn carry_out(&self) -> anyhow::Result<Findings> {
        let Self { settings, stages, .. } = self;
        let [log, users] = [self.place("log.cache"), self.place("users")];
        let import = self.import(&log)?;
        let describe =
            stages.run("describe", &[&import], &[], &["describe".into(), log.clone()])?;
        let seed = settings.seed.to_string();
        let learning = ["--seed".into(), seed, "--device".into(), settings.device.clone()];

        let (model, first) = (settings.fit.model.clone(), settings.percent.to_string());
        let percent = settings.fit.percent.to_string();
        let fit = [
            "fit",
            &log,
            "--to",
            &users,
            "--model",
            &model,
            "--first",
            &first,
            "--percent",
            &percent,
        ];
        let fit = words(&fit, &[&learning, &settings.fit.options]);
        let fit = kept(stages.run("fit", &[&import], &[&users], &fit))?;
        let trust = match &fit {
            Err(_) => Err("there are no learned users".to_owned()),
            Ok(fit) => {
                let trust = words(&["trust", &users, "--log", &log], &[&learning]);
                kept(stages.run("trust", &[&import, fit], &[], &trust))?
            }
        };

        let mut recommenders = Vec::new();
        for method in &settings.train.methods {
            let to = self.place(&format!("recommenders/{method}"));
            let train = ["train", &log, "--to", &to, "--method", method, "--percent", &first];
            let in_users = Method::named(method).is_ok_and(Method::learns_in_users);
            let fit = fit.as_ref().ok().filter(|_| in_users);
            let of_users = fit.map_or(Vec::new(), |_| vec!["--users".to_owned(), users.clone()]);
            let train = words(&train, &[&of_users, &learning, settings.train.of(method)]);
            let needs = [Some(&import), fit];
            let needs: Vec<&Done> = needs.into_iter().flatten().collect();
            let trained = kept(stages.run(&format!("train-{method}"), &needs, &[&to], &train))?;
            recommenders.push((method.clone(), to, trained));
        }

        let judge = self.judge(
            &log,
            fit.as_ref().ok().map(|fit| (&*users, fit)),
            &recommenders,
            &import,
            &describe,
        )?;
        let trained = recommenders.into_iter().map(|(name, _, trained)| (name, trained)).collect();
        Ok(Findings { log: self.log.display().to_string(), describe, fit, trust, trained, judge })
    }

    /// The log as it is read once for all: by its content, wherever it is.
    fn import(&self, log: &str) -> anyhow::Result<Done> {
        let given = self.log.display().to_string();
        let import = words(&["import", &given, "--to", log], &[&self.settings.import.options]);
        let done = self.stages.run_on(self.log, "import", log, &import);
        done.map_err(|error| match error.is::<Interrupted>() {
            true => error,
            false => anyhow::anyhow!(
                "{}; options for reading the log, such as options = [\"--layout\", \
                 \"clicks.toml\"] with what `foretaste import {given} --guess` writes, belong \
                 under [import] in {}; then run the same command again",
                reasons(&error),
                self.folder.join(SETTINGS).display()
            ),
        })
    }

    /// Judges what could be trained, and uniform slates.
    fn judge(
        &self,
        log: &str,
        users: Option<(&str, &Done)>,
        recommenders: &[(String, String, Outcome)],
        import: &Done,
        describe: &Done,
    ) -> anyhow::Result<Outcome> {
        let settings = self.settings;
        let mut judge =
            words(&["judge", "--log", log, "--percent", &settings.percent.to_string()], &[]);
        let mut needs = vec![import];
        for (name, to, trained) in recommenders {
            let Ok(done) = trained else { continue };
            needs.push(done);
            judge.extend(["--policy".into(), format!("{name}={to}")]);
            if self.draws(to)? {
                judge.extend(["--policy".into(), format!("{name}-top={to},act=top")]);
            }
        }
        for policy in &settings.judge.policies {
            judge.extend(["--policy".into(), policy.clone()]);
        }
        if let Some((users, fit)) = users {
            needs.push(fit);
            judge.extend(["--users".into(), users.into()]);
        }
        if settings.judge.estimates(findings::has_propensities(describe)) {
            judge.push("--estimate-propensities".into());
        }
        judge.extend(["--seed".into(), settings.seed.to_string()]);
        judge.extend(["--device".into(), settings.device.clone()]);
        judge.extend(settings.judge.options.iter().cloned());
        kept(self.stages.run("judge", &needs, &[], &judge))
    }

    /// Whether a recommender draws its slates: then its most likely items are another policy.
    fn draws(&self, recommender: &str) -> anyhow::Result<bool> {
        let recommender =
            saved::recommender(Path::new(recommender), &Catalogue::default(), &Device::Cpu)?;
        Ok(!recommender.acting(Acting::default())?.is_certain())
    }

    fn place(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// What came of a stage, or why nothing did.
type Outcome = Result<Done, String>;

/// What fails is said, and the run goes on without it; who interrupts it wants it to stop.
fn kept(done: anyhow::Result<Done>) -> anyhow::Result<Outcome> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            let reason = reasons(&error);
            eprint_line(format_args!("warning: {reason}"));
            Ok(Err(reason))
        }
    }
}

fn words(first: &[&str], more: &[&[String]]) -> Vec<String> {
    let first = first.iter().map(|&word| word.to_owned());
    first.chain(more.iter().flat_map(|words| words.iter().cloned())).collect()
}
