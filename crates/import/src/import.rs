//! The options of an import, and the choice of the reader by the format. Everything that all
//! formats share before and after reading is done here once.

use std::path::{Path, PathBuf};

use foretaste_data::{Dataset, Facts, Part as DataPart, Summary};
use foretaste_random::Seed;
use foretaste_settings::Setting;

use crate::detect::format_of;
use crate::features::{self, CATEGORIES};
use crate::formats::{self, coat, open_bandit};
use crate::parts::Part;
use crate::reader::{Collector, Progress};
use crate::{Clicks, Expected, Format, Layout, Report, Result, SimulatedSlates, Whose};

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
    /// How the files are laid out, for a format of our own schema; for all formats what becomes of
    /// several clicks and of long sessions.
    pub layout: Layout,
    /// A CSV or Parquet file with a row of features per item: numbers, and texts as categories. The
    /// column that tells items apart is called item, item_id, itemid or id, or is the first.
    pub item_features: Option<PathBuf>,
    /// The same of users, whose column is called user, user_id, userid, uid or id.
    pub user_features: Option<PathBuf>,
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
            layout: Layout::default(),
            item_features: None,
            user_features: None,
            slates: None,
            seed: None,
            progress: None,
        }
    }
}

pub(crate) fn import_parts(
    parts: &[Part],
    name: &Path,
    options: Options<'_>,
) -> Result<(Dataset, Report)> {
    let Options { mut layout, slates, .. } = options;
    if !(0.0..=1.0).contains(&options.max_bad) {
        let found = options.max_bad;
        let problem = format!("{found}, expected a number in [0, 1]");
        return Err(Setting::new("share of rows that may be bad", problem).into());
    }
    let path = &parts[0].path;
    let format = match options.format.or(layout.format) {
        Some(format) => format,
        None => format_of(path, &layout)?,
    };
    let is_schema = format.is_schema() || format.columns().is_some();
    for (ours, theirs) in format.columns().into_iter().flatten() {
        layout.columns.entry((*ours).to_owned()).or_insert_with(|| (*theirs).to_owned());
        layout.sort = true;
    }
    if !is_schema && format != Format::Events && layout.concerns_schema() {
        let problem = format!(
            "the format {format} has a fixed layout; the options for names of columns, lists, \
             times and sorting are for csv, jsonl and parquet"
        );
        return Err(Setting::new("layout", problem).into());
    }
    if format == Format::Events && !layout.context.is_empty() {
        let problem = "events have none: it is for csv, jsonl and parquet, whose rows are slates";
        return Err(Setting::new("context", problem).into());
    }
    let name = options.name.unwrap_or_else(|| name_of(name));
    let max_bad = options.skip_bad_rows.then_some(options.max_bad);
    let paths = parts.iter().map(|part| part.path.clone()).collect();
    let mut collector = Collector::new(paths, max_bad, layout.max_session_steps, layout.limits);
    if slates.is_some() && SimulatedSlates::of(format).is_none() {
        let problem = format!(
            "a log in the format {format} has its own slates; leave out the options of simulated \
             slates"
        );
        return Err(Setting::new("slates", problem).into());
    }
    if options.seed.is_some() && format != Format::Cikm {
        let problem =
            format!("a log in the format {format} is not split at random; leave out --seed");
        return Err(Setting::new("seed", problem).into());
    }
    let as_published = slates.is_none();
    let seed = options.seed.unwrap_or(Seed::new(1));
    if !format.is_schema() {
        collector.leaving_is_unknown();
    }
    if !is_schema {
        collector.declare(Facts { time_unit: format.time_unit(), ..Facts::default() });
    }
    let (layout, progress) = (&layout, options.progress);
    let shape = if format.columns().is_some() { Format::Csv } else { format };
    let request = formats::Request { format: shape, parts, layout, slates, seed, progress };
    let split = formats::read(request, &mut collector)?;
    let (mut dataset, mut reading) = collector.finish(name)?;
    dataset.split = split;
    if format == Format::Coat {
        dataset.catalogue = coat::with_features(path, dataset.catalogue)?;
    }
    if format == Format::OpenBandit {
        reading.notes.extend(open_bandit::add_features(path, &mut dataset)?);
    }
    let given = [(&options.item_features, Whose::Items), (&options.user_features, Whose::Users)];
    for (path, whose) in given {
        if let Some(path) = path {
            reading.notes.extend(features::add(path, whose, CATEGORIES, &mut dataset)?);
        }
    }
    if layout.clicks == Clicks::Each {
        if dataset.has(DataPart::Propensities) {
            let note = "propensities are of whole slates: a log of each click has none";
            reading.notes.push(note.into());
        }
        dataset.log = dataset.log.each_click();
    }
    let expected = Expected::of(path, format).filter(|_| as_published);
    let report = Report { summary: Summary::new(&dataset), reading, expected };
    Ok((dataset, report))
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let packed = [".gz", ".zst", ".bz2", ".zip"];
    let name = packed.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    let stem = Path::new(name).file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
