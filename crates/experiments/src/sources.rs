//! The logs of GAN-CDQN's experiment A, and how their users are split.

use anyhow::{Context, bail, ensure};
use foretaste_data::{Dataset, Fractions, Split};
use foretaste_eval::metrics;
use foretaste_import::{Around, Format, Input, Options, SimulatedSlates, bundled};
use foretaste_lab::{Cell, Scale};
use foretaste_random::Seed;
use foretaste_report::DataSet;
use serde::{Deserialize, Serialize};

use crate::Settings;

/// A log, each session of which is a user.
pub struct Source {
    /// The log and its catalogue.
    pub dataset: Dataset,
    /// Digest of what a model can see of it: slates, choices, item names.
    pub digest: String,
    /// Whether its slates were put together afterwards.
    pub simulated_slates: bool,
    /// Whether its users are simulated.
    simulated_users: bool,
    about: &'static str,
    notes: Vec<String>,
}

/// Who trains, chooses and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Splitting {
    /// As the file says.
    Released,
    /// 50 / 25 / 25 of the users, drawn again for every seed.
    BySeed,
}

impl Splitting {
    /// The name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Released => "released split",
            Self::BySeed => "split by seed",
        }
    }
}

/// Test users per training user in a [`Splitting::BySeed`].
pub const TEST_PER_TRAIN: f64 = 0.5;

/// Name of the bundled log.
const SIMULATED: &str = "simulated";

/// A public data set: its name, the files that it may be in, relative to the data folder.
struct Recipe {
    name: &'static str,
    files: [&'static str; 2],
    format: Format,
}

const RECIPES: [Recipe; 5] = [
    Recipe { name: "yelp", files: ["gaum/yelp.txt", "yelp.txt"], format: Format::GanCdqn },
    Recipe { name: "rsc", files: ["gaum/rsc.txt", "rsc.txt"], format: Format::GanCdqn },
    Recipe {
        name: "ml-100k",
        files: ["movielens/u.data", "u.data"],
        format: Format::MovieLens100k,
    },
    Recipe {
        name: "ml-latest",
        files: ["movielens/ratings.csv", "ratings.csv"],
        format: Format::MovieLens,
    },
    Recipe {
        name: "lastfm",
        files: ["lastfm/user_taggedartists.dat", "user_taggedartists.dat"],
        format: Format::LastFm,
    },
];

/// Users to keep of a log with simulated slates, at the scales below the papers'.
const FEW: [(Format, usize); 3] =
    [(Format::MovieLens100k, 80), (Format::MovieLens, 50), (Format::LastFm, 200)];

/// The logs of the data folder, in a fixed order, or the bundled one where no folder is given; and
/// what is to be said of those that are not there.
///
/// # Errors
/// Where a log cannot be read, or none is there.
pub fn read(settings: &Settings) -> anyhow::Result<(Vec<Source>, Vec<String>)> {
    let Some(folder) = &settings.data_dir else {
        let input = bundled::open("simulated-choice.tsv")?;
        let source = Source::read(SIMULATED, &input, Format::GanCdqn, None)?;
        return Ok((vec![source], Vec::new()));
    };
    let (mut sources, mut missing) = (Vec::new(), Vec::new());
    for Recipe { name, files, format } in &RECIPES {
        match files.iter().map(|file| folder.join(file)).find(|path| path.exists()) {
            Some(path) => {
                let slates = slates(*format, settings.scale);
                sources.push(Source::read(name, &Input::open(&path)?, *format, slates)?)
            }
            None => missing.push(format!(
                "NOT RUN: {name}, whose file {} is not in the data folder.",
                files[0]
            )),
        }
    }
    if sources.is_empty() {
        let files: Vec<_> = RECIPES.iter().map(|recipe| recipe.files[0]).collect();
        bail!(
            "{}: none of {} is there; datasets/README.md says where they come from",
            folder.display(),
            files.join(", ")
        );
    }
    Ok((sources, missing))
}

/// The papers' slates, of films of an age: those around the day of the choice give the choice
/// away (docs/data-formats.md).
fn slates(format: Format, scale: Scale) -> Option<SimulatedSlates> {
    let paper = SimulatedSlates::of(format)?;
    let around = if format == Format::LastFm { paper.around } else { Around::Release };
    let paper = SimulatedSlates { around, ..paper };
    let few = FEW.iter().find(|(of, _)| *of == format).map(|&(_, users)| users);
    Some(if scale == Scale::Paper { paper } else { SimulatedSlates { users: few, ..paper } })
}

/// The log that a cell runs on.
pub fn of<'a>(sources: &'a [Source], cell: &Cell) -> anyhow::Result<&'a Source> {
    sources
        .iter()
        .find(|source| source.dataset.name == cell.dataset)
        .context("a data set of this run")
}

impl Source {
    fn read(
        name: &'static str,
        input: &Input,
        format: Format,
        slates: Option<SimulatedSlates>,
    ) -> anyhow::Result<Self> {
        let about = match (name, slates) {
            (SIMULATED, _) => "simulated users (bundled; not real data)",
            (_, Some(_)) => "real choices, simulated slates",
            (_, None) => "real log",
        };
        let (simulated_slates, simulated_users) = (slates.is_some(), name == SIMULATED);
        let options =
            Options { format: Some(format), name: Some(name.into()), slates, ..Options::default() };
        let (dataset, report) = input.import(options)?;
        if let Some(split) = &dataset.split {
            for (side, sessions) in
                [("train", &split.train), ("validation", &split.validation), ("test", &split.test)]
            {
                ensure!(
                    !sessions.is_empty(),
                    "{}: column tr_val_tst puts no user on the {side} side",
                    input.given().display()
                );
            }
        }
        Ok(Self {
            digest: digest(&dataset),
            dataset,
            simulated_slates,
            simulated_users,
            about,
            notes: report.reading.notes,
        })
    }

    /// A log of simulated users who were made for an experiment.
    pub fn simulated(dataset: Dataset) -> Self {
        Self {
            digest: digest(&dataset),
            dataset,
            simulated_slates: false,
            simulated_users: true,
            about: "simulated users (not real data)",
            notes: Vec::new(),
        }
    }

    /// What a report says of it: seeds split its users.
    pub fn data_set(&self) -> DataSet {
        let caveat = if self.simulated_users { "simulated users, not the paper's" } else { "" };
        DataSet {
            name: self.dataset.name.clone(),
            test_per_train: TEST_PER_TRAIN,
            caveat: caveat.into(),
        }
    }

    /// The ways in which its users can be split.
    pub fn splittings(&self) -> Vec<Splitting> {
        let released = self.dataset.split.is_some().then_some(Splitting::Released);
        released.into_iter().chain([Splitting::BySeed]).collect()
    }

    /// Its users, split.
    pub fn split(&self, splitting: Splitting, seed: Seed) -> anyhow::Result<Split> {
        match splitting {
            Splitting::Released => self.dataset.split.clone().context("the file names no split"),
            Splitting::BySeed => Ok(Split::by_session(
                &self.dataset.log,
                Fractions::default(),
                seed.derive("users"),
            )?),
        }
    }

    /// Where the data come from, and what choosing blindly would score on its slates.
    pub fn note(&self) -> String {
        let sizes: Vec<usize> = self
            .dataset
            .log
            .iter()
            .flat_map(|session| session.steps().map(|step| step.slate.len()))
            .collect();
        let mean = |f: &dyn Fn(f64) -> f64| {
            sizes.iter().map(|&k| f(k as f64)).sum::<f64>() / sizes.len() as f64
        };
        let constant = |r| {
            let slates: Vec<Vec<f32>> = sizes.iter().map(|&k| vec![0.0; k]).collect();
            metrics::precision_at(r, slates.iter().map(|scores| (&scores[..], 0)))
                .unwrap_or(f64::NAN)
        };
        let notes: String = self.notes.iter().map(|note| format!("; {note}")).collect();
        format!(
            "{}: {}, {} users, {} slates, {} items{notes}. Choosing uniformly among the shown \
             items scores NLL {:.3}, precision@1 {:.3}, precision@2 {:.3}.",
            self.dataset.name,
            self.about,
            self.dataset.log.sessions(),
            sizes.len(),
            self.dataset.catalogue.len(),
            mean(&f64::ln),
            constant(1),
            constant(2),
        )
    }
}

/// A digest of item names, slates, choices and the split.
pub fn digest(dataset: &Dataset) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(dataset.catalogue.digest().as_bytes());
    for session in dataset.log.iter() {
        hasher.update(&(session.len() as u64).to_le_bytes());
        for step in session.steps() {
            hasher.update(&(step.slate.len() as u64).to_le_bytes());
            step.slate.iter().for_each(|item| {
                hasher.update(&item.0.to_le_bytes());
            });
            hasher.update(&step.choice.code().to_le_bytes());
        }
    }
    if let Some(split) = &dataset.split {
        for sessions in [&split.train, &split.validation, &split.test] {
            hasher.update(&(sessions.len() as u64).to_le_bytes());
            sessions.iter().for_each(|&session| {
                hasher.update(&(session as u64).to_le_bytes());
            });
        }
    }
    hasher.finalize().to_hex().to_string()
}
