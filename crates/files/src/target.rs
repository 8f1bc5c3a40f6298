//! What a command may write to: a path that a user names is never replaced unless the user asks for
//! it.
//!
//! An input of `-` is the standard input, whatever file that is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result, kind, what_is_at};

/// A file that a user asks for.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    inputs: Vec<PathBuf>,
    force: bool,
}

impl Target {
    /// A file at `path`, made from `inputs`; with `force` it may replace a regular file that is
    /// none of these.
    ///
    /// # Errors
    /// As [`Target::check`]; [`Error::Refused`] for `-`.
    pub fn new(path: &Path, inputs: Vec<PathBuf>, force: bool) -> Result<Self> {
        refuse_standard_output(path, "file")?;
        let target = Self { path: path.to_owned(), inputs, force };
        target.check()?;
        Ok(target)
    }

    /// Checks again, for what may have come up during the work that led here.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no folder for the file; [`Error::Refused`] where something is
    /// there that must not be replaced: an input, anything that is no regular file (a folder, a
    /// link, a device), or, without `force`, any file.
    pub fn check(&self) -> Result<()> {
        let shown = self.path.display();
        let Some(found) = what_is_at(&self.path)? else {
            return match self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                Some(folder) if what_is_at(folder)?.is_none() => {
                    let problem = format!(
                        "there is no folder {}; make it, or name a file in another one",
                        folder.display()
                    );
                    Err(Error::io(&self.path, io::Error::new(io::ErrorKind::NotFound, problem)))
                }
                _ => Ok(()),
            };
        };
        if self.inputs.iter().any(|input| same_file(&self.path, input)) {
            return refused(format!(
                "{shown} is the input itself or a file that is read with it; name another file to \
                 write"
            ));
        }
        if !found.is_file() {
            return refused(format!(
                "{shown} is {}, which is never replaced; name another file to write",
                kind(found)
            ));
        }
        if !self.force {
            return refused(format!(
                "{shown} exists; name another file to write, or replace it with --force"
            ));
        }
        Ok(())
    }

    /// Where the file goes.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Checks that a folder to be made or filled from `inputs` holds none of these and nothing that is
/// not `ours`; what is ours may be replaced with `force`.
///
/// # Errors
/// [`Error::Refused`] where the path is `-` or something else than a folder, or one that holds an
/// input or other things, or anything at all without `force`.
pub fn check_folder(
    path: &Path,
    inputs: &[PathBuf],
    force: bool,
    ours: impl Fn(&Path) -> bool,
) -> Result<()> {
    refuse_standard_output(path, "folder")?;
    let shown = path.display();
    let Some(found) = what_is_at(path)? else { return Ok(()) };
    if !found.is_dir() {
        return refused(format!(
            "{shown} is {}, but a folder is to be made there; name another",
            kind(found)
        ));
    }
    let entries = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
        .map_err(|reason| Error::io(path, reason))?;
    if let Some(stranger) = entries.iter().find(|entry| !ours(entry)) {
        return refused(format!(
            "{shown} contains other things, such as {}, which are never replaced; name another \
             folder",
            stranger.display()
        ));
    }
    if let Some(input) =
        entries.iter().find(|entry| inputs.iter().any(|input| same_file(entry, input)))
    {
        return refused(format!(
            "{shown} contains {}, which is read as input; name another folder",
            input.display()
        ));
    }
    if !entries.is_empty() && !force {
        return refused(format!(
            "{shown} exists and is not empty; name another folder, or replace its contents with \
             --force"
        ));
    }
    Ok(())
}

fn refused(problem: String) -> Result<()> {
    Err(Error::Refused(problem))
}

fn refuse_standard_output(path: &Path, wanted: &str) -> Result<()> {
    if is_standard(path) {
        return refused(format!(
            "--to -: no command writes to the standard output; name a {wanted}"
        ));
    }
    Ok(())
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether a path leads to the file of an input, through links or under several names.
#[cfg(unix)]
fn same_file(path: &Path, input: &Path) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let standard_input =
        || fs::File::from(std::io::stdin().as_fd().try_clone_to_owned()?).metadata();
    let input = if is_standard(input) { standard_input() } else { input.metadata() };
    matches!((path.metadata(), input), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// As on Unix, but for the standard input and hard links.
#[cfg(not(unix))]
fn same_file(path: &Path, input: &Path) -> bool {
    !is_standard(input)
        && matches!((path.canonicalize(), input.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn refusal(path: &Path, inputs: &[&Path], force: bool) -> String {
        Target::new(path, inputs.iter().map(|&input| input.to_owned()).collect(), force)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_existing_file_is_replaced_with_force_only() {
        let folder = folder();
        let path = folder.path().join("a");
        let target = Target::new(&path, vec![], false).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(target.check().unwrap_err().to_string().contains("--force"));
        assert!(refusal(&path, &[], false).contains("--force"));
        Target::new(&path, vec![], true).unwrap();
        let inside = path.join("b");
        assert!(refusal(&inside, &[], true).contains(inside.to_str().unwrap()));
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let missing = folder().path().join("missing");
        let expected = format!("there is no folder {}", missing.display());
        assert!(refusal(&missing.join("a"), &[], false).contains(&expected));
    }

    #[test]
    fn an_input_is_never_replaced_by_any_name() {
        let folder = folder();
        let [input, other] = ["input", "other"].map(|name| folder.path().join(name));
        fs::write(&input, "mine").unwrap();
        fs::hard_link(&input, &other).unwrap();
        for path in [&input, &other, &folder.path().join(".").join("input")] {
            assert!(refusal(path, &[&input], true).contains("the input itself"), "{path:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn only_regular_files_are_replaced() {
        let folder = folder();
        let [link, dangling, file] =
            ["link", "dangling", "file"].map(|name| folder.path().join(name));
        fs::write(&file, "mine").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nothing"), &dangling).unwrap();
        for (path, what) in [
            (&link, "a link"),
            (&dangling, "a link"),
            (&folder.path().to_owned(), "a directory"),
            (&PathBuf::from("/dev/null"), "no regular file"),
        ] {
            let message = refusal(path, &[], true);
            assert!(message.contains(what), "{message}");
        }
    }

    #[test]
    fn a_folder_is_filled_if_it_is_empty_or_ours_and_forced() {
        let folder = folder();
        let ours = |path: &Path| path.ends_with("manifest.json");
        check_folder(&folder.path().join("new"), &[], false, ours).unwrap();
        check_folder(folder.path(), &[], false, ours).unwrap();
        fs::write(folder.path().join("manifest.json"), "{}").unwrap();
        assert!(
            check_folder(folder.path(), &[], false, ours)
                .unwrap_err()
                .to_string()
                .contains("--force")
        );
        check_folder(folder.path(), &[], true, ours).unwrap();
        fs::write(folder.path().join("thesis.tex"), "mine").unwrap();
        assert!(
            check_folder(folder.path(), &[], true, ours)
                .unwrap_err()
                .to_string()
                .contains("thesis.tex")
        );
        let file = folder.path().join("manifest.json");
        assert!(
            check_folder(&file, &[], true, ours).unwrap_err().to_string().contains("is a file")
        );
    }

    #[test]
    fn a_folder_that_holds_an_input_is_refused() {
        let folder = folder();
        let [input, other] = ["manifest.json", "other"].map(|name| folder.path().join(name));
        fs::write(&input, "mine").unwrap();
        fs::hard_link(&input, &other).unwrap();
        for given in [&input, &other] {
            let refused = check_folder(folder.path(), std::slice::from_ref(given), true, |_| true)
                .unwrap_err()
                .to_string();
            assert!(refused.contains("read as input"), "{refused}");
        }
        fs::remove_file(&other).unwrap();
        check_folder(folder.path(), &[other], true, |_| true).unwrap();
    }

    #[test]
    fn nothing_is_written_to_the_standard_output() {
        let path = Path::new("-");
        assert!(
            refusal(path, &[], true)
                .contains("no command writes to the standard output; name a file")
        );
        let refused = check_folder(path, &[], true, |_| true).unwrap_err().to_string();
        assert!(
            refused.contains("no command writes to the standard output; name a folder"),
            "{refused}"
        );
        Target::new(Path::new("./-"), vec![], false).unwrap();
    }
}
