//! A module for each format: how it is read, and how it is written if it is ours to write.

pub(crate) mod cikm;
pub(crate) mod coat;
pub(crate) mod criteo;
pub(crate) mod csv;
pub(crate) mod events;
pub(crate) mod gan_cdqn;
pub(crate) mod irecgan;
pub(crate) mod json_lines;
pub(crate) mod lastfm;
pub(crate) mod mind;
pub(crate) mod movielens;
pub(crate) mod open_bandit;
pub(crate) mod otto;
pub(crate) mod parquet;
pub(crate) mod recbole;
pub(crate) mod recogym;
pub(crate) mod retail_rocket;
pub(crate) mod schema;
pub(crate) mod search_log;
mod shop_events;
mod steps;
pub(crate) mod trivago;
pub(crate) mod vw;
mod writing;
pub(crate) mod yoochoose;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use foretaste_data::{Facts, Split};
use foretaste_random::Seed;

use self::steps::Steps;
pub(crate) use self::writing::check_ids;
use crate::joins::Joins;
use crate::parts::Part;
use crate::reader::times::Times;
use crate::reader::{Collector, Progress, Source};
use crate::{Error, Format, Layout, Result, SimulatedSlates};

/// The files that the importers read with a log, as paths from its folder.
pub const BESIDE: [&str; 9] = [
    movielens::releases::U_ITEM,
    movielens::releases::MOVIES_CSV,
    movielens::releases::MOVIES_DAT,
    yoochoose::BUYS_FILE,
    cikm::CLICKS_FILE,
    cikm::PURCHASES_FILE,
    coat::PROPENSITIES,
    coat::ITEM_FEATURES,
    open_bandit::ITEM_CONTEXT,
];

/// What a format is read with.
pub(crate) struct Request<'a> {
    pub(crate) format: Format,
    pub(crate) parts: &'a [Part],
    pub(crate) layout: &'a Layout,
    /// Those of a format without slates; `None` are the published ones.
    pub(crate) slates: Option<SimulatedSlates>,
    /// What a split is drawn from.
    pub(crate) seed: Seed,
    pub(crate) progress: Option<Progress<'a>>,
}

/// Reads files into a collector; the split, where the format has one.
pub(crate) fn read(request: Request<'_>, to: &mut Collector) -> Result<Option<Split>> {
    let Request { format, parts, layout, slates, seed, progress } = request;
    if format.is_schema() {
        return read_schema(format, parts, layout, progress, to).map(|()| None);
    }
    let [Part { path, .. }] = parts else {
        let problem =
            format!("is {} files, but the format {format} is read from a single file", parts.len());
        return Err(Error::file(&parts[0].path, problem));
    };
    to.name_columns(&layout.columns);
    let open = |progress| Source::open(path, progress).map(|source| source.within(&layout.limits));
    let slates =
        &slates.or_else(|| SimulatedSlates::of(format)).unwrap_or_else(SimulatedSlates::ten);
    match format {
        Format::Cikm => return cikm::read(open(progress)?, seed, to).map(Some),
        Format::GanCdqn => return gan_cdqn::read(open(progress)?, to).map(Some),
        Format::MovieLens100k => movielens::read_100k(open(progress)?, slates, to)?,
        Format::MovieLens => movielens::read_csv(open(progress)?, slates, to)?,
        Format::LastFm => lastfm::read(open(progress)?, slates, to)?,
        Format::YooChoose => yoochoose::read(open(progress)?, slates, to)?,
        Format::Trivago => trivago::read(path, progress, to)?,
        Format::OpenBandit => open_bandit::read(open(progress)?, to)?,
        Format::Coat => coat::read(open(progress)?, to)?,
        Format::IRecGan => irecgan::read(open(progress)?, to)?,
        Format::MovieLens1M => movielens::read_1m(open(progress)?, slates, to)?,
        Format::Events => events::read(open(progress)?, layout, slates, to)?,
        Format::Mind => mind::read(open(progress)?, to)?,
        Format::Otto => otto::read(open(progress)?, slates, to)?,
        Format::RetailRocket => retail_rocket::read(open(progress)?, slates, to)?,
        Format::RecBole => recbole::read(open(progress)?, slates, to)?,
        Format::RecoGym => recogym::read(open(progress)?, to)?,
        Format::Criteo => criteo::read(open(progress)?, to)?,
        Format::VowpalWabbit => vw::read(open(progress)?, to)?,
        Format::SearchLog => search_log::read(open(progress)?, to)?,
        Format::KuaiRand | Format::Csv | Format::JsonLines | Format::Parquet => {}
    }
    Ok(None)
}

/// Reads the files of a log of our schema, one after the other.
fn read_schema(
    format: Format,
    parts: &[Part],
    layout: &Layout,
    progress: Option<Progress<'_>>,
    to: &mut Collector,
) -> Result<()> {
    to.name_columns(&layout.columns);
    let (mut steps, mut times) = (Steps::new(layout), Times::new(layout)?);
    let mut found = json_lines::Found::default();
    steps.join(Joins::read(layout)?);
    let lengths: Vec<u64> =
        parts.iter().map(|part| part.path.metadata().map_or(1, |about| about.len())).collect();
    let total: u64 = lengths.iter().sum::<u64>().max(1);
    let progress = RefCell::new(progress);
    let mut before = 0;
    for (index, part) in parts.iter().enumerate() {
        to.set_part(index);
        to.scale(before as f64 / total as f64, lengths[index] as f64 / total as f64);
        let so_far = before;
        let progress: Option<Progress<'_>> =
            progress.borrow().is_some().then(|| -> Progress<'_> {
                Box::new(|read, _| {
                    if let Some(progress) = &mut *progress.borrow_mut() {
                        progress(so_far + read, total);
                    }
                })
            });
        let open = |progress| {
            Source::open(&part.path, progress).map(|source| source.within(&layout.limits))
        };
        let (times, steps) = (&mut times, &mut steps);
        match format {
            Format::JsonLines => {
                json_lines::read(open(progress)?, part, layout, times, steps, to, &mut found)?;
            }
            Format::Parquet => parquet::read(part, progress, layout, times, steps, to)?,
            _ => csv::read(open(progress)?, part, layout, times, steps, to)?,
        }
        before += lengths[index];
    }
    found.check(to.path(), layout)?;
    let propensity = steps.propensities().unwrap_or_default().kind();
    steps.finish(to)?;
    times.note().into_iter().for_each(|note| to.note(note));
    to.declare(Facts { time_unit: times.unit(), propensity });
    Ok(())
}

/// Such a file, within the limits of the log.
fn open_beside<'s>(collector: &Collector, path: &Path) -> Result<Source<'s>> {
    Ok(Source::open(path, None)?.within(collector.limits()))
}

/// The path of a file that is next to the one that is read, one of [`BESIDE`].
fn beside(collector: &Collector, name: &str) -> PathBuf {
    debug_assert!(BESIDE.contains(&name), "{name}");
    collector.path().with_file_name(name)
}
