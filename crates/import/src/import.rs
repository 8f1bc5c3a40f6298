use std::path::Path;

use foretaste_data::{Dataset, Summary};
use foretaste_random::Seed;
use foretaste_settings::Setting;

use crate::detect::format_of;
use crate::formats::{self, coat};
use crate::reader::{Collector, Progress};
use crate::{Expected, Format, Report, Result, SimulatedSlates};

/// How to import.
pub struct Options<'a> {
    /// The format; `None` detects it, see [`Format::detect`].
    pub format: Option<Format>,
    /// The data set's name; `None` takes the file's, without its extension.
    pub name: Option<String>,
    /// Count bad rows by reason in the summary instead of failing at the first. A bad row drops its
    /// step (in the GAN-CDQN format: its slate); the rest of the session stays, and a session
    /// without a step left is dropped too.
    pub skip_bad_rows: bool,
    /// The largest share of a file's rows, and of its sessions, that may be dropped as bad, in [0,
    /// 1]; one more is an error. A session is dropped as bad where no step is left of those that it
    /// lost, and where its id stood before, with others between. What a public data set is known to
    /// hold and a log cannot is not bad. 0.05 by default.
    pub max_bad: f64,
    /// How to simulate slates, for a format that holds none; `None` takes the paper's, see
    /// [`SimulatedSlates::of`].
    pub slates: Option<SimulatedSlates>,
    /// What the split of [`Format::Cikm`] is drawn from; `None` takes seed 1. Simulated slates
    /// have their own.
    pub seed: Option<Seed>,
    /// Called with the progress.
    pub progress: Option<Progress<'a>>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            format: None,
            name: None,
            skip_bad_rows: false,
            max_bad: 0.05,
            slates: None,
            seed: None,
            progress: None,
        }
    }
}

pub(crate) fn import_file(path: &Path, options: Options<'_>) -> Result<(Dataset, Report)> {
    if !(0.0..=1.0).contains(&options.max_bad) {
        let found = options.max_bad;
        let problem = format!("{found}, expected a number in [0, 1]");
        return Err(Setting::new("share of rows that may be bad", problem).into());
    }
    let format = options.format.map_or_else(|| format_of(path), Ok)?;
    let name = options.name.unwrap_or_else(|| name_of(path));
    let mut collector = Collector::new(path, options.skip_bad_rows.then_some(options.max_bad));
    let slates = options.slates;
    if slates.is_some() && SimulatedSlates::of(format).is_none() {
        let problem =
            format!("a log in the format {format} has its own slates, none are simulated");
        return Err(Setting::new("slates", problem).into());
    }
    if options.seed.is_some() && format != Format::Cikm {
        let problem =
            format!("no split of a log in the format {format} is drawn: it takes no seed");
        return Err(Setting::new("seed", problem).into());
    }
    let as_published = slates.is_none();
    let seed = options.seed.unwrap_or(Seed::new(1));
    let split = formats::read(format, path, slates, seed, options.progress, &mut collector)?;
    let (mut dataset, reading) = collector.finish(name)?;
    dataset.split = split;
    if format == Format::Coat {
        dataset.catalogue = coat::with_features(path, dataset.catalogue)?;
    }
    let expected = Expected::of(path, format).filter(|_| as_published);
    let report = Report { summary: Summary::new(&dataset), reading, expected };
    Ok((dataset, report))
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = Path::new(name).file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
