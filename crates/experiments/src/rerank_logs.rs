//! The logs whose lists are reranked, and how their sessions are split.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use foretaste_data::{
    Catalogue, Choice, Dataset, Fractions, ItemId, Log, LogBuilder, Split, Step, Vocabulary,
};
use foretaste_eval::Metric;
use foretaste_import::{Format, Options, bundled, import};
use foretaste_lab::Scale;
use foretaste_random::Seed;
use foretaste_report::DataSet;
use foretaste_user_model::behaviour::clicked_sessions;

use crate::Settings;
use crate::sources::digest;

/// A log of lists with clicks.
pub struct Source {
    /// The name as a data set.
    pub name: String,
    /// Its sessions.
    pub log: Log,
    /// Number of items.
    pub items: usize,
    /// Digest of what a model can see of it.
    pub digest: String,
    splitting: Splitting,
    about: String,
}

/// Who trains, says when to stop, and tests.
#[derive(Debug)]
enum Splitting {
    /// As the import draws it: the published protocol.
    Published(Split),
    /// Sessions from this one test; of those before, nine in ten drawn for every seed train.
    From(usize),
    /// 8 / 1 / 1 in ten, drawn for every seed.
    BySeed,
}

/// The sequences of a split, and what baselines need of it.
pub struct SplitLogs {
    /// The sessions of the log.
    pub split: Split,
    /// Those that train, as sequences τ.
    pub train: Log,
    /// Those that say when to stop.
    pub validation: Log,
    /// Those that judge.
    pub test: Log,
    /// Whether the training sessions show an item.
    pub shown: Vec<bool>,
}

/// Shares of training and validation in a split by seed; the rest tests.
const TRAIN: f64 = 0.8;
const VALIDATION: f64 = 0.1;
/// Share of training where later sessions test; the rest validates.
const TRAIN_OF_FIRST: f64 = 0.9;
/// The public data sets by name.
pub const PUBLIC: [&str; 3] = [CIKM, CIKM16, TRIVAGO_2019];
const CIKM: &str = "cikm";
const CIKM16: &str = "cikm16";
const TRIVAGO_2019: &str = "trivago";
/// The two published held-out logs of CIKM Cup 2016.
const HELD_OUT: [&str; 2] = ["cikm16/sessions-a.csv", "cikm16/sessions-b.csv"];
/// The raw files of CIKM Cup 2016.
const RAW: [&str; 3] = ["cikm/train-queries.csv", "cikm16/train-queries.csv", "train-queries.csv"];
const TRIVAGO: [&str; 3] =
    ["trivago/train.csv", "trivago/trivago_val_100k.parquet", "trivago_val_100k.parquet"];
/// The folder of users' own logs.
const OWN: &str = "logs";

/// The logs of the data folder in a fixed order, or the bundled one where no folder is given; and
/// what is to be said of those that are not there.
///
/// # Errors
/// Where a log cannot be read, or none is there.
pub fn read(settings: &Settings) -> anyhow::Result<(Vec<Source>, Vec<String>)> {
    let Some(folder) = &settings.data_dir else {
        let log = bundled::open("simulated-mdp-clicks.csv")?;
        let log = log.import(options(Format::IRecGan))?.0;
        let about = "simulated users (bundled; not real data)";
        return Ok((
            vec![Source::new(
                "simulated",
                &[log],
                Splitting::BySeed,
                about.into(),
                settings.scale,
            )?],
            Vec::new(),
        ));
    };
    let scale = settings.scale;
    let (mut sources, mut missing) = (Vec::new(), Vec::new());
    let find =
        |files: &[&str]| files.iter().map(|file| folder.join(file)).find(|path| path.exists());
    match find(&RAW) {
        Some(path) if scale == Scale::Paper => {
            let mut dataset = load(&path, Format::Cikm)?;
            let split =
                dataset.split.take().context("the import of CIKM's raw files draws a split")?;
            let about = "the published protocol on CIKM Cup 2016".into();
            sources.push(Source::new(CIKM, &[dataset], Splitting::Published(split), about, scale)?);
        }
        Some(_) => missing.push("NOT RUN below scale paper: cikm, the published protocol.".into()),
        None => missing.push(format!(
            "NOT RUN: cikm, the published protocol; {} is not in the data folder.",
            RAW[0]
        )),
    }
    match HELD_OUT.map(|file| folder.join(file)) {
        [a, b] if a.exists() && b.exists() => {
            let parts = [load(&a, Format::IRecGan)?, load(&b, Format::IRecGan)?];
            let about = "SMALL: two held-out logs of CIKM Cup 2016, sessions-a trains, sessions-b tests; order inside lists is lost".into();
            let from = Splitting::From(kept(&parts[0], scale));
            sources.push(Source::new(CIKM16, &parts, from, about, scale)?);
        }
        _ => missing.push(format!(
            "NOT RUN: cikm16; {} are not in the data folder.",
            HELD_OUT.join(" and ")
        )),
    }
    match find(&TRIVAGO) {
        Some(path) => {
            let about =
                "all click-outs of trivago's RecSys Challenge 2019; not the paper's data".into();
            sources.push(Source::new(
                TRIVAGO_2019,
                &[load(&path, Format::Trivago)?],
                Splitting::BySeed,
                about,
                scale,
            )?);
        }
        None => {
            missing.push(format!("NOT RUN: trivago; {} is not in the data folder.", TRIVAGO[0]))
        }
    }
    for path in own(&folder.join(OWN))? {
        let dataset = load(&path, Format::detect(&path)?)?;
        let (name, about) = (dataset.name.clone(), format!("{OWN}/, not the paper's data"));
        ensure!(
            sources.iter().all(|source| source.name != name),
            "{}: a second log named {name}",
            path.display()
        );
        sources.push(Source::new(&name, &[dataset], Splitting::BySeed, about, scale)?);
    }
    if sources.is_empty() {
        bail!(
            "{}: {} {OWN}/ has no log either; datasets/README.md says more",
            folder.display(),
            missing.join(" ")
        );
    }
    Ok((sources, missing))
}

/// The log files of users, by name; none where there is no such folder.
fn own(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

fn load(path: &Path, format: Format) -> anyhow::Result<Dataset> {
    Ok(import(path, options(format))?.0)
}

fn options(format: Format) -> Options<'static> {
    Options { format: Some(format), ..Options::default() }
}

/// Sessions of a log that are kept: below the paper's scale the first ones.
fn kept(dataset: &Dataset, scale: Scale) -> usize {
    let most = match scale {
        Scale::Smoke => 100,
        Scale::Quick | Scale::Decide => 1_600,
        Scale::Paper => usize::MAX,
    };
    dataset.log.sessions().min(most)
}

impl Source {
    /// The kept sessions of some logs one after the other, and the items that they show.
    fn new(
        name: &str,
        parts: &[Dataset],
        splitting: Splitting,
        about: String,
        scale: Scale,
    ) -> anyhow::Result<Self> {
        let (mut names, mut builder, mut slate) =
            (Vocabulary::default(), LogBuilder::default(), Vec::new());
        let all: usize = parts.iter().map(|part| part.log.sessions()).sum();
        for part in parts {
            for session in part.log.iter().take(kept(part, scale)) {
                for step in session.steps() {
                    let mut number = |item: ItemId| ItemId(names.intern(part.catalogue.raw(item)));
                    slate.clear();
                    slate.extend(step.slate.iter().map(|&item| number(item)));
                    let choice = match step.choice {
                        Choice::Item(item) => Choice::Item(number(item)),
                        other => other,
                    };
                    builder.push(Step::new(&slate, choice, step.reward))?;
                }
                builder.end_session(None)?;
            }
        }
        let (log, items) = (builder.build(), names.len());
        let dataset = Dataset {
            name: name.into(),
            log,
            catalogue: Catalogue::new(names),
            ..Dataset::default()
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(digest(&dataset).as_bytes());
        hasher.update(format!("{splitting:?} {TRAIN} {VALIDATION} {TRAIN_OF_FIRST}").as_bytes());
        let steps = dataset.log.iter().flat_map(|session| session.steps());
        steps.for_each(|step| {
            hasher.update(&step.reward.to_le_bytes());
        });
        let log = dataset.log;
        let part = if log.sessions() < all {
            format!(", the first sessions of {all}")
        } else {
            String::new()
        };
        let digest = hasher.finalize().to_hex().to_string();
        Ok(Self { name: name.into(), digest, items, splitting, about: about + &part, log })
    }

    /// Its sessions under one seed.
    pub fn split_logs(&self, seed: Seed) -> anyhow::Result<SplitLogs> {
        let fractions = |train, validation| Fractions { train, validation };
        let split = match &self.splitting {
            Splitting::Published(split) => split.clone(),
            Splitting::BySeed => {
                Split::by_session(&self.log, fractions(TRAIN, VALIDATION), seed.derive("sessions"))?
            }
            Splitting::From(from) => {
                let split = Split::by_session(
                    self.log.slice(0..*from),
                    fractions(TRAIN_OF_FIRST, 1.0 - TRAIN_OF_FIRST),
                    seed.derive("sessions"),
                )?;
                Split { test: (*from..self.log.sessions()).collect(), ..split }
            }
        };
        let side = |sessions: &[usize]| {
            clicked_sessions(&self.log, sessions, self.items, seed.derive("sequences"))
        };
        let mut shown = vec![false; self.items];
        for &session in &split.train {
            let steps = self.log.session(session).steps();
            steps.flat_map(|step| step.slate).for_each(|item| shown[item.index()] = true);
        }
        let (train, validation, test) =
            (side(&split.train)?, side(&split.validation)?, side(&split.test)?);
        Ok(SplitLogs { split, train, validation, test, shown })
    }

    /// What a report says of it. Runs of equal seed belong together as splits that share users.
    /// Those of a fixed test set share all of it, and their intervals lack what other test sessions
    /// would change.
    pub fn data_set(&self) -> DataSet {
        let test_per_train = match &self.splitting {
            Splitting::Published(split) => split.test.len() as f64 / split.train.len() as f64,
            Splitting::From(from) => {
                (self.log.sessions() - from) as f64 / (TRAIN_OF_FIRST * *from as f64)
            }
            Splitting::BySeed => (1.0 - TRAIN - VALIDATION) / TRAIN,
        };
        DataSet { name: self.name.clone(), test_per_train, caveat: self.about.clone() }
    }

    /// What is compared: precision@10, or precision@1 where no list is longer than ten items and
    /// precision@10 is 1 for everyone.
    pub fn metric(&self) -> Metric {
        let long =
            self.log.iter().flat_map(|session| session.steps()).any(|step| step.slate.len() > 10);
        if long { Metric::PrecisionAt10 } else { Metric::PrecisionAt1 }
    }

    /// Clicks, and the mean of the rewards on them.
    pub fn clicks(&self) -> (usize, f64) {
        let steps = || self.log.iter().flat_map(|session| session.steps());
        let clicks = steps().filter(|step| step.choice.item().is_some()).count();
        let rewards: f64 = steps().map(|step| f64::from(step.reward)).sum();
        (clicks, rewards / clicks.max(1) as f64)
    }

    /// Whether it says when users left.
    pub fn leaving(&self) -> bool {
        self.log.iter().any(|session| session.left())
    }

    /// What the data are.
    pub fn note(&self) -> String {
        let (clicks, reward) = self.clicks();
        let split = match &self.splitting {
            Splitting::Published(_) => "the published 38/40, 1/40, 1/40",
            Splitting::From(_) => {
                "a tenth of sessions-a, drawn by seed, validates; all seeds share the test \
                 sessions, and intervals lack what others would change"
            }
            Splitting::BySeed => "8/1/1 in ten sessions, drawn by seed",
        };
        format!(
            "{}: {}. {} sessions, {clicks} clicks, {} items, mean list {:.1}, mean reward of a \
             click {reward:.4}; {split}.",
            self.name,
            self.about,
            self.log.sessions(),
            self.items,
            self.log.impressions() as f64 / self.log.steps().max(1) as f64,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use foretaste_nn::DeviceKind;

    use super::*;

    fn settings(folder: &Path, scale: Scale) -> Settings {
        Settings {
            scale,
            seeds: Some(1),
            data_dir: Some(folder.to_owned()),
            device: DeviceKind::Cpu,
        }
    }

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_first_file_trains_and_the_second_tests() {
        let temp = tempfile::tempdir().unwrap();
        let file = |items: std::ops::Range<u32>| {
            let mut text = "session_num;query_num;click_item;rec_list;purchase\n".to_owned();
            items.for_each(|item| {
                writeln!(text, "{item};1;{item};{item},{},7;0", item + 1).unwrap()
            });
            text
        };
        write(temp.path(), HELD_OUT[0], &file(100..120));
        write(temp.path(), HELD_OUT[1], &file(119..129));
        let (sources, missing) = read(&settings(temp.path(), Scale::Quick)).unwrap();
        assert_eq!((sources.len(), missing.len()), (1, 2));
        // Item 119 and 120 are in both files.
        let (source, logs) = (&sources[0], sources[0].split_logs(Seed::new(1)).unwrap());
        assert_eq!(
            (source.items, source.metric(), source.leaving()),
            (1 + 21 + 9, Metric::PrecisionAt1, false)
        );
        assert_eq!(logs.split.test, (20..30).collect::<Vec<_>>());
        assert_eq!(
            (logs.train.sessions(), logs.validation.sessions(), logs.test.sessions()),
            (18, 2, 10)
        );
        assert_ne!(logs.split.train, source.split_logs(Seed::new(2)).unwrap().split.train);
        let shown_in_test_alone = logs
            .test
            .iter()
            .flat_map(|session| session.clicks())
            .filter(|item| !logs.shown[item.index()]);
        assert!((8..=10).contains(&shown_in_test_alone.count()));
        assert_eq!(source.data_set().test_per_train, 10.0 / 18.0);
    }

    #[test]
    fn a_log_of_ones_own_is_any_file_in_its_folder() {
        let temp = tempfile::tempdir().unwrap();
        let mut text = "session,step,shown,chosen,reward\n".to_owned();
        (0..300).for_each(|session| {
            writeln!(text, "{session},0,1 2 3,2,1\n{session},1,4 2 5,,0").unwrap()
        });
        write(temp.path(), "logs/shop.csv", &text);
        let read = |scale| read(&settings(temp.path(), scale)).unwrap().0.remove(0);
        let (whole, part) = (read(Scale::Paper), read(Scale::Smoke));
        assert_eq!(
            (whole.name.as_str(), whole.items, whole.leaving(), whole.clicks()),
            ("shop", 5, true, (300, 1.0))
        );
        assert_eq!((whole.log.sessions(), part.log.sessions()), (300, 100));
        assert_ne!(whole.digest, part.digest);
        let logs = whole.split_logs(Seed::new(1)).unwrap();
        assert_eq!(
            (logs.train.sessions(), logs.validation.sessions(), logs.test.sessions()),
            (240, 30, 30)
        );
    }

    #[test]
    fn a_folder_without_any_log_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let error = read(&settings(temp.path(), Scale::Smoke)).err().unwrap().to_string();
        assert!(error.contains("sessions-a.csv") && error.contains("has no log"), "{error}");
    }
}
