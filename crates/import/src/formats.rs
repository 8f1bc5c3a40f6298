//! A module for each format: how it is read, and how it is written if it is ours to write.

pub(crate) mod cikm;
pub(crate) mod coat;
pub(crate) mod csv;
pub(crate) mod gan_cdqn;
pub(crate) mod irecgan;
pub(crate) mod json_lines;
pub(crate) mod lastfm;
pub(crate) mod movielens;
pub(crate) mod open_bandit;
pub(crate) mod parquet;
mod schema;
pub(crate) mod trivago;
mod writing;
pub(crate) mod yoochoose;

use std::path::{Path, PathBuf};

use foretaste_data::Split;
use foretaste_random::Seed;

use crate::reader::{Collector, Progress, Source};
use crate::{Format, Result, SimulatedSlates};

/// The files that the importers read beside a log, as paths from its folder.
pub const BESIDE: [&str; 7] = [
    movielens::releases::U_ITEM,
    movielens::releases::MOVIES_CSV,
    yoochoose::BUYS_FILE,
    cikm::CLICKS_FILE,
    cikm::PURCHASES_FILE,
    coat::PROPENSITIES,
    coat::ITEM_FEATURES,
];

/// Reads a file into a collector; the split, where the format has one.
///
/// `slates` are those of a format without slates, `None` the published ones; `seed` is what a
/// split is drawn from.
pub(crate) fn read(
    format: Format,
    path: &Path,
    slates: Option<SimulatedSlates>,
    seed: Seed,
    progress: Option<Progress<'_>>,
    to: &mut Collector,
) -> Result<Option<Split>> {
    let open = |progress| Source::open(path, progress);
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
        Format::Csv => csv::read(open(progress)?, to)?,
        Format::JsonLines => json_lines::read(open(progress)?, to)?,
        Format::Parquet => parquet::read(path, progress, to)?,
    }
    Ok(None)
}

/// The path of a file that lies beside the one that is read, one of [`BESIDE`].
fn beside(collector: &Collector, name: &str) -> PathBuf {
    debug_assert!(BESIDE.contains(&name), "{name}");
    collector.path().with_file_name(name)
}
