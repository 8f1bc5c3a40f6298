//! The files that a path stands for: one, those of a folder or a pattern, those of an archive.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::formats::open_bandit::ITEM_CONTEXT;
use crate::limits::Limits;
use crate::{Error, Result};

/// A file of a log, and what the folders above it say of its rows.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    /// `key=value` of folders, as Hive and Spark write them.
    pub(crate) partition: Vec<(String, String)>,
}

/// What is the log in a folder of a public data set; the rest of it is read with it.
const MAIN_FILES: [&str; 8] = [
    "train-queries.csv",
    "yoochoose-clicks.dat",
    "behaviors.tsv",
    "ratings.csv",
    "ratings.dat",
    "u.data",
    "user_taggedartists.dat",
    "train.ascii",
];

/// The logs of the Open Bandit Dataset, one of which is in a folder with its items.
const CAMPAIGNS: [&str; 3] = ["all.csv", "men.csv", "women.csv"];

/// The parts of a path: a file, a folder with all below it, or a pattern such as `day=*/part-*`.
///
/// # Errors
/// [`Error::File`] for a folder or a pattern without a file.
pub(crate) fn of_path(path: &Path) -> Result<Vec<Part>> {
    if !path.exists()
        && let Some(pattern) = path.to_str().filter(|text| text.contains(['*', '?', '[']))
    {
        let found = glob::glob(pattern).map_err(|error| {
            Error::file(path, format!("is not a file, and not a pattern of files: {error}"))
        })?;
        let mut parts = Vec::new();
        for entry in found {
            let entry = entry.map_err(|error| {
                foretaste_files::Error::io(error.path(), io::Error::from(error.error().kind()))
            })?;
            parts.extend(of_path(&entry)?);
        }
        return match parts.is_empty() {
            true => Err(Error::file(path, "is not a file, and a pattern that no file matches")),
            false => Ok(parts),
        };
    }
    if !path.is_dir() {
        return Ok(vec![Part { path: path.to_owned(), partition: Vec::new() }]);
    }
    let campaigns = if path.join(ITEM_CONTEXT).is_file() { &CAMPAIGNS[..] } else { &[] };
    let main = MAIN_FILES.iter().chain(campaigns);
    if let Some(main) = main.map(|name| path.join(name)).find(|path| path.is_file()) {
        return Ok(vec![Part { path: main, partition: Vec::new() }]);
    }
    let mut parts = Vec::new();
    below(path, &Vec::new(), &mut parts)?;
    match parts.is_empty() {
        true => Err(Error::file(path, "is a directory, in which there is no file to read")),
        false => Ok(parts),
    }
}

/// The files of a folder and of those in it, in the order of their names. What programs leave
/// that is with data is none: names that begin with `_` or `.`, checksums, files that are empty.
fn below(folder: &Path, partition: &[(String, String)], parts: &mut Vec<Part>) -> Result<()> {
    let io = |source| foretaste_files::Error::io(folder, source);
    let entries: io::Result<Vec<_>> = folder.read_dir().map_err(io)?.collect();
    let mut paths: Vec<PathBuf> =
        entries.map_err(io)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(['_', '.']) || name.ends_with(".crc") {
            continue;
        }
        if path.is_dir() {
            let mut partition = partition.to_vec();
            if let Some((key, value)) = name.split_once('=')
                && value != "__HIVE_DEFAULT_PARTITION__"
            {
                partition.push((unescaped(key), unescaped(value)));
            }
            below(&path, &partition, parts)?;
        } else if path.metadata().map_err(io)?.len() > 0 {
            parts.push(Part { path, partition: partition.to_vec() });
        }
    }
    Ok(())
}

/// `%3A` is a colon in the name of a folder.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| name_code(after)).flatten();
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

fn name_code(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

/// Whether a file is a zip archive.
pub(crate) fn is_archive(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    path.is_file() && read.is_ok() && magic == *b"PK\x03\x04"
}

/// Unpacks an archive into a temporary folder.
///
/// # Errors
/// [`Error::File`] if it is damaged, names a file outside itself, holds far more than its size, or
/// does not fit on the disk.
pub(crate) fn unpack(path: &Path) -> Result<TempDir> {
    let wrong = |problem: &dyn std::fmt::Display| {
        Error::file(path, format!("cannot be unpacked as the zip archive that it is: {problem}"))
    };
    let io = |source| foretaste_files::Error::io(path, source);
    let file = File::open(path).map_err(io)?;
    let packed = file.metadata().map_err(io)?.len();
    let ratio = Limits::default().unpacked;
    let most = ratio.saturating_mul(packed).max(Limits::UNPACKED_ANYWAY);
    let mut unpacked = 0;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(|e| wrong(&e))?;
    let folder = tempfile::Builder::new().prefix("foretaste-").tempdir().map_err(|e| wrong(&e))?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| wrong(&e))?;
        let Some(name) = entry.enclosed_name() else {
            return Err(wrong(&format!("{:?} is outside of it", entry.name())));
        };
        let to = folder.path().join(name);
        if entry.is_dir() {
            continue;
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(|e| wrong(&e))?;
        }
        let mut file = File::create_new(&to).map_err(|e| wrong(&e))?;
        unpacked +=
            io::copy(&mut entry.take(most - unpacked + 1), &mut file).map_err(|e| wrong(&e))?;
        if unpacked > most {
            return Err(wrong(&format!(
                "it unpacks to more than {ratio} times its size, which no log does; if it is a \
                 log, unpack it and name the folder"
            )));
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_are_unescaped() {
        for (name, expected) in
            [("a%3Ab", "a:b"), ("100%", "100%"), ("%zz", "%zz"), ("%C3%BC", "ü"), ("%FF", "%FF")]
        {
            assert_eq!(unescaped(name), expected);
        }
    }
}
