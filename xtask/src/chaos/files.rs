//! The files that a command left: all that its result consists of, without what carries times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// The files of a result by their paths in its folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Files and folders of `reproduce` that carry times or messages of the run that wrote them.
const OF_A_RUN: [&str; 7] =
    ["run.json", "times.csv", "summary.md", "results/report.html", "logs/", "events/", ".begun/"];
/// What our programs lock: these files are empty.
const LOCKS: [&str; 4] = [".lock", ".writing", ".running", ".training"];

/// The files below a folder, as far as they are the same whenever and however often a command was
/// run. Cells are without the time that they took.
pub fn read(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for path in paths(folder)? {
        let is = |names: &[&str]| names.iter().any(|name| path.contains(name));
        if is(&OF_A_RUN) || is(&LOCKS) {
            continue;
        }
        let place = folder.join(&path);
        let shown = || format!("cannot read {}", place.display());
        let bytes = fs::read(&place).with_context(shown)?;
        let is_cell = path.contains("cells/");
        let bytes = if is_cell { without_times(&bytes).with_context(shown)? } else { bytes };
        files.insert(path, bytes);
    }
    Ok(files)
}

/// The paths of all files below a folder, sorted.
pub fn paths(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    walk(folder, &mut |path, is_folder| {
        let path = path.strip_prefix(folder).unwrap_or(path);
        if !is_folder {
            found.push(path.to_string_lossy().replace('\\', "/"));
        }
        Ok(())
    })?;
    found.sort();
    Ok(found)
}

/// The first difference of two results, in words.
pub fn difference(expected: &Files, found: &Files) -> Option<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    names.into_iter().find_map(|name| match (expected.get(name), found.get(name)) {
        (Some(_), None) => Some(format!("{name} is missing")),
        (None, Some(_)) => Some(format!("{name} is there, but should not be")),
        (Some(expected), Some(found)) if expected != found => {
            let same = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
            Some(format!(
                "{name} has {} bytes instead of {}, and other ones from byte {same}",
                found.len(),
                expected.len()
            ))
        }
        _ => None,
    })
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    walk(from, &mut |path, is_folder| {
        let target = to.join(path.strip_prefix(from).unwrap_or(path));
        if is_folder { fs::create_dir_all(target) } else { fs::copy(path, target).map(drop) }
    })
}

/// All files and folders below a folder, and itself, each folder before what it holds.
pub fn walk(
    folder: &Path,
    visit: &mut dyn FnMut(&Path, bool) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    visit(folder, true).with_context(|| folder.display().to_string())?;
    let shown = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(shown)?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, visit)?;
        } else {
            visit(&path, false).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// A cell without the time that it took, nor the digest over it.
fn without_times(cell: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut cell: Value = serde_json::from_slice(cell)?;
    cell["digest"] = Value::Null;
    cell["finished"]["seconds"] = Value::Null;
    Ok(serde_json::to_vec(&cell)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[(&str, &str)]) -> Files {
        names.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect()
    }

    #[test]
    fn every_difference_is_noticed() {
        let one = files(&[("a", "123"), ("b", "")]);
        assert_eq!(difference(&one, &one), None);
        for (other, said) in [
            (files(&[("a", "123")]), "b is missing"),
            (files(&[("a", "123"), ("b", ""), ("c", "")]), "c is there, but should not be"),
            (files(&[("a", "12"), ("b", "")]), "a has 2 bytes instead of 3"),
            (files(&[("a", "124"), ("b", "")]), "other ones from byte 2"),
        ] {
            let found = difference(&one, &other).unwrap();
            assert!(found.contains(said), "{found}");
        }
    }

    #[test]
    fn a_copy_has_no_difference_and_times_make_none() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::create_dir_all(from.join("cells/.begun")).unwrap();
        fs::create_dir_all(from.join("logs")).unwrap();
        let cell = |path: &Path, seconds: f64, value: u64| {
            let text = serde_json::json!({
                "digest": seconds.to_string(), "finished": {"seconds": seconds, "value": value}
            });
            fs::write(path.join("cells/1.json"), text.to_string()).unwrap();
        };
        cell(&from, 0.5, 1);
        fs::write(from.join("table.csv"), "1").unwrap();
        copy(&from, &to).unwrap();
        for name in ["run.json", "logs/a.log", ".lock", "cells/.begun/1"] {
            fs::write(from.join(name), "").unwrap();
        }
        cell(&from, 0.25, 1);
        let expected = read(&to).unwrap();
        assert_eq!(expected.keys().collect::<Vec<_>>(), ["cells/1.json", "table.csv"]);
        assert_eq!(difference(&expected, &read(&from).unwrap()), None);
        cell(&from, 0.5, 2);
        assert!(difference(&expected, &read(&from).unwrap()).is_some());
    }
}
