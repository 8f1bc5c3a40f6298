//! The commands that are struck, their inputs, and what they leave without a fault.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::fault::Kind;
use super::files::{self, Files};
use super::process::{End, Running};
use crate::workspace_root;

/// A command that is struck. It runs in a folder that contains `in`, its inputs, and `place`, for
/// all that it writes.
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// The command.
    command: &'static str,
    /// A command that reads the result and answers by it; without one, the same command reads it
    /// again.
    reader: Option<&'static str>,
    /// Parts of the paths of the files whose damage must be noticed.
    pub read: &'static [&'static str],
    /// What the user has written to the folder before.
    given: Option<(&'static str, &'static str)>,
}

/// Settings of `foretaste run`.
const SETTINGS: &str = r#"
seed = 3
percent = 50
device = "cpu"
[import]
options = []
[fit]
model = "pw"
percent = 70
options = []
[train]
methods = ["popularity", "lstm"]
[train.options]
lstm = ["--epochs", "4", "--hidden", "8"]
[judge]
policies = ["uniform"]
propensities = "auto"
options = []
"#;

/// All of them.
pub const TARGETS: [Target; 11] = [
    Target {
        name: "import",
        command: "foretaste import in/log.csv --to place/log.cache",
        reader: Some("foretaste describe place/log.cache --json"),
        read: &["log.cache"],
        given: None,
    },
    Target {
        name: "export",
        command: "foretaste export in/log.cache --format parquet --to place/log.parquet",
        reader: Some("foretaste describe place/log.parquet --json"),
        read: &["log.parquet"],
        given: None,
    },
    Target {
        name: "describe",
        command: "foretaste describe in/log.cache --html place/log.html",
        reader: None,
        read: &[],
        given: None,
    },
    Target {
        name: "fit",
        command: "foretaste fit in/log.cache --to place/users --epochs 2 --device cpu",
        reader: Some(
            "foretaste simulate place/users --policy uniform --sessions 20 --device cpu --to \
             read.cache --force --json",
        ),
        read: &["users/"],
        given: None,
    },
    Target {
        name: "simulate",
        command: "foretaste simulate in/users --policy uniform --sessions 200 --device cpu --to \
                  place/simulated.cache",
        reader: Some("foretaste describe place/simulated.cache --json"),
        read: &["simulated.cache"],
        given: None,
    },
    Target {
        name: "train-popularity",
        command: "foretaste train in/log.cache --to place/popular --method popularity",
        reader: Some("foretaste recommend place/popular --history 1,2 -k 5 --json"),
        read: &["popular/"],
        given: None,
    },
    Target {
        name: "train-lstm",
        command: "foretaste train in/log.cache --to place/lstm --method lstm --epochs 12 --hidden \
                  16 --device cpu",
        reader: Some("foretaste recommend place/lstm --history 1,2 -k 5 --device cpu --json"),
        read: &["lstm/"],
        given: None,
    },
    Target {
        name: "train-cdqn",
        command: "foretaste train in/log.cache --to place/cdqn --method cdqn --users in/users \
                  --iterations 6 --hidden 8 --device cpu",
        reader: Some("foretaste recommend place/cdqn --history 1,2 --device cpu --json"),
        read: &["cdqn/"],
        given: None,
    },
    Target {
        name: "judge",
        command: "foretaste judge in/log.cache --policy in/popular --device cpu --json",
        reader: None,
        read: &[],
        given: None,
    },
    Target {
        name: "run",
        command: "foretaste run in/short.csv --to place/run",
        reader: None,
        read: &["run/stages/", "run/log.cache"],
        given: Some(("run/foretaste.toml", SETTINGS)),
    },
    Target {
        name: "reproduce",
        command: "xtask reproduce user-model --scale smoke --seeds 1 --device cpu --jobs 2 --out \
                  place/results",
        reader: None,
        read: &["results/cells/", "results/results.csv", "results/claims.csv", "results/run.json"],
        given: None,
    },
];

/// The commands that make the inputs of all others.
const INPUTS: [&str; 3] = [
    "foretaste import in/log.csv --to in/log.cache",
    "foretaste fit in/log.cache --to in/users --epochs 1 --device cpu",
    "foretaste train in/log.cache --to in/popular --method popularity",
];

/// The log that they read.
const LOG: &str = "datasets/simulated-mdp.csv";
/// Lines of it that `run` reads, so that it takes no second: from them, no users can be learned,
/// which its page says.
const SHORT: usize = 60;

impl Target {
    /// Whether a fault of this kind can strike it.
    pub fn suits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Cut => !self.read.is_empty(),
            // It writes no file.
            Kind::TornWrite | Kind::FullDisk | Kind::ReadOnly | Kind::Deleted | Kind::Clock => {
                self.name != "judge"
            }
            Kind::Kill | Kind::Processes => true,
        }
    }
}

/// A command that is ready to be struck.
pub struct Prepared {
    target: &'static Target,
    /// The folder with `in`, the inputs.
    inputs: PathBuf,
    /// All files of its result.
    pub whole: PathBuf,
    /// Those that are always the same.
    pub expected: Files,
    /// What it answers.
    pub answer: String,
    /// What the command that reads its result answers.
    pub read: Option<String>,
    /// How long it takes.
    pub duration: Duration,
}

impl Prepared {
    /// What it is.
    pub fn target(&self) -> &Target {
        self.target
    }

    /// Makes `folder` ready for the command.
    pub fn lay_out(&self, folder: &Path) -> anyhow::Result<()> {
        files::copy(&self.inputs.join("in"), &folder.join("in"))?;
        self.give(folder)
    }

    /// Makes the place of the result, with what the user has written there.
    pub fn give(&self, folder: &Path) -> anyhow::Result<()> {
        let place = folder.join(PLACE);
        fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let Some((name, text)) = self.target.given else { return Ok(()) };
        let path = place.join(name);
        let parent = path.parent().unwrap_or(&place);
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The words of the command.
    pub fn command(&self) -> anyhow::Result<Vec<String>> {
        words(self.target.command)
    }

    /// The words of the command that reads the result.
    pub fn reader(&self) -> anyhow::Result<Option<Vec<String>>> {
        self.target.reader.map(words).transpose()
    }
}

/// Where, in the folder of a command, its result is.
pub const PLACE: &str = "place";

/// Runs these commands without a fault in folders below `folder`.
pub fn prepare(
    folder: &Path,
    wanted: impl Iterator<Item = usize>,
) -> anyhow::Result<BTreeMap<usize, Prepared>> {
    let inputs = folder.join("in");
    fs::create_dir_all(&inputs).with_context(|| format!("cannot create {}", inputs.display()))?;
    let log = workspace_root().join(LOG);
    let text =
        fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let short: String = text.split_inclusive('\n').take(SHORT).collect();
    for (name, text) in [("log.csv", &text), ("short.csv", &short)] {
        let path = inputs.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for command in INPUTS {
        succeed(folder, words(command)?)?;
    }
    let mut prepared = BTreeMap::new();
    for at in wanted {
        if let std::collections::btree_map::Entry::Vacant(free) = prepared.entry(at) {
            free.insert(without_a_fault(&TARGETS[at], folder)?);
        }
    }
    Ok(prepared)
}

fn without_a_fault(target: &'static Target, inputs: &Path) -> anyhow::Result<Prepared> {
    let folder = inputs.join(target.name);
    let mut prepared = Prepared {
        target,
        inputs: inputs.to_owned(),
        whole: folder.join(PLACE),
        expected: Files::new(),
        answer: String::new(),
        read: None,
        duration: Duration::ZERO,
    };
    prepared.lay_out(&folder)?;
    let begin = Instant::now();
    prepared.answer = succeed(&folder, prepared.command()?)?;
    prepared.duration = begin.elapsed();
    prepared.expected = files::read(&prepared.whole)?;
    let read = prepared.reader()?.map(|reader| succeed(&folder, reader)).transpose()?;
    prepared.read = read;
    Ok(prepared)
}

fn succeed(folder: &Path, words: Vec<String>) -> anyhow::Result<String> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(folder);
    let what = || format!("without a fault, {}", words.join(" "));
    match Running::start(command)?.end().with_context(what)? {
        End::Well(answer) => Ok(answer),
        other => bail!("{} ended with {other:?}", what()),
    }
}

/// The words of a command line whose first word is `foretaste` or `xtask`: this program is both.
fn words(line: &str) -> anyhow::Result<Vec<String>> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let mut words = vec![own.to_string_lossy().into_owned()];
    let mut given = line.split_whitespace();
    if given.next() == Some("foretaste") {
        words.extend(["chaos".to_owned(), "--".to_owned()]);
    }
    words.extend(given.map(str::to_owned));
    Ok(words)
}
