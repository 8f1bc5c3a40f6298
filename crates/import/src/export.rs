//! Writing a data set in any format that is ours to write. Parts that a format cannot hold are
//! refused here before anything is written, so no export loses data silently.

use std::io::Write;
use std::path::Path;

use foretaste_data::{Dataset, Part};

use crate::formats::{csv, gan_cdqn, irecgan, json_lines, parquet};
use crate::{Error, Format, Result};

/// Writes a data set as a log file, atomically and without holding it in memory a second time.
///
/// Importing what was exported gives the same [`Dataset`], but for its name, which no format holds,
/// and the numbers of its steps, which are written from 0. What a format cannot hold is an error,
/// never a silent loss, but for ids of sessions that are no numbers in the papers' formats;
/// [`Dataset::without`] drops a part on purpose.
///
/// | format | cannot hold |
/// |---|---|
/// | GAN-CDQN | propensities, features, several clicks, candidates, events, context; steps without a click, rewards other than 1, times that do not rise in a session |
/// | IRecGAN | users, times, propensities, splits, features, several clicks, candidates, events, context; steps without a click, rewards other than 0 and 1 |
/// | CSV | splits, features; ids that are empty or hold a line break |
/// | JSON Lines, Parquet | splits, features; ids that are empty |
/// | the formats of public data sets | any log: they are read only |
///
/// Features, of items and of users, go into files of their own:
/// [`export_features`](crate::export_features).
///
/// Ids of sessions are numbers in the files of the papers: where those of a data set are not all
/// whole numbers, its sessions are written as their indices, see [`replaced_ids`]. The GAN-CDQN
/// files always name users, times and subsets of a split: a session without them gets its id as
/// user, the step's number as time, and is for training. Items are numbered by their first
/// appearance on reading, so a catalogue that is in another order, or has items never shown, comes
/// back renumbered.
///
/// # Errors
/// [`Error::File`] if the format cannot hold the data set; [`Error::Files`] if `path` is no place
/// for a file, or when the system refuses.
pub fn export(dataset: &Dataset, format: Format, path: &Path) -> Result<()> {
    let unheld: &[Part] = match format {
        Format::GanCdqn => &[
            Part::Propensities,
            Part::Features,
            Part::UserFeatures,
            Part::Clicks,
            Part::Candidates,
            Part::Events,
            Part::Context,
        ],
        Format::IRecGan => &[
            Part::Users,
            Part::Timestamps,
            Part::Propensities,
            Part::Split,
            Part::Features,
            Part::UserFeatures,
            Part::Clicks,
            Part::Candidates,
            Part::Events,
            Part::Context,
        ],
        Format::Csv | Format::JsonLines | Format::Parquet => {
            &[Part::Split, Part::Features, Part::UserFeatures]
        }
        _ => return Err(read_only(format, path)),
    };
    let lost: Vec<Part> = unheld.iter().copied().filter(|&part| dataset.has(part)).collect();
    if !lost.is_empty() {
        let names: Vec<&str> = lost.iter().map(|part| part.name()).collect();
        let (parts, option) = (names.join(", "), names.join(","));
        let further: String = [(Part::Features, "item"), (Part::UserFeatures, "user")]
            .iter()
            .filter(|(part, _)| lost.contains(part))
            .map(|(_, one)| {
                format!(", and --{one}-features-to FILE writes those of {one}s to another file")
            })
            .collect();
        let problem = format!(
            "the format {format} cannot hold the data set's {parts}; --without {option} exports \
             the rest{further}"
        );
        return Err(Error::file(path, problem));
    }
    foretaste_files::write_with(path, |file| write(dataset, format, path, file))
}

fn write(
    dataset: &Dataset,
    format: Format,
    path: &Path,
    file: &mut (impl Write + Send),
) -> Result<()> {
    match format {
        Format::GanCdqn => gan_cdqn::write(dataset, path, file),
        Format::IRecGan => irecgan::write(dataset, path, file),
        Format::Csv => csv::write(dataset, path, file),
        Format::JsonLines => json_lines::write(dataset, path, file),
        Format::Parquet => parquet::write(dataset, path, file),
        _ => Err(read_only(format, path)),
    }
}

/// How many sessions an export to a format would give other ids, their indices: those of the papers
/// hold whole numbers only.
pub fn replaced_ids(dataset: &Dataset, format: Format) -> usize {
    if !matches!(format, Format::GanCdqn | Format::IRecGan) || dataset.sessions.are_numbers() {
        return 0;
    }
    let replaced = |&session: &usize| dataset.session_name(session) != session.to_string();
    (0..dataset.log.sessions()).filter(replaced).count()
}

/// The format of a public data set that is not ours to write.
fn read_only(format: Format, path: &Path) -> Error {
    Error::file(path, format!("the format {format} can be read only"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, Options};

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_says_so_in_every_format() {
        let log = b"session,step,shown,chosen,reward\n1,0,7 8,7,1\n";
        let (dataset, _) = Input::of_bytes("log", log).unwrap().import(Options::default()).unwrap();
        let path = Path::new("/dev/full");
        for format in
            [Format::GanCdqn, Format::IRecGan, Format::Csv, Format::JsonLines, Format::Parquet]
        {
            let mut full = std::fs::File::options().write(true).open(path).unwrap();
            let said = write(&dataset, format, path, &mut full).unwrap_err().to_string();
            assert_eq!(said, "/dev/full: the disk is full", "{format}");
        }
    }
}
