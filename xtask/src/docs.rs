//! `cargo xtask docs`: results and the reference of the commands get into the documents by command,
//! never by hand.

mod blocks;
mod kept;
mod reference;
mod speed;
mod take;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use foretaste_console::terminal::print_line;

use self::blocks::Kind;
use crate::workspace_root;

/// Options of `docs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Copy the means and claims of a run, finished or not, to a folder of docs/results; do not
    /// change the documents.
    #[arg(long, value_name = "OUT", conflicts_with = "check")]
    take: Option<PathBuf>,

    /// The folder's name, so that runs of one scale have a folder each [default: the scale; for a
    /// run on real logs SCALE-data].
    #[arg(long, value_name = "NAME", requires = "take")]
    name: Option<String>,

    /// Change nothing, and fail if a document differs from the results or from the commands.
    #[arg(long)]
    check: bool,
}

/// More than any document or kept table holds.
const LIMIT: u64 = 64 << 20;

/// Takes results over, or brings the documents in line with those that were taken.
///
/// # Errors
/// Where a file cannot be read or written, or does not hold what it should; with `--check`, where a
/// document is not in line.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.take {
        Some(out) => print_line(take::take(out, workspace_root(), args.name.as_deref())?),
        None if args.check => {
            check(workspace_root())?;
            check_reference(workspace_root())?;
        }
        None => {
            let changed = [fill(workspace_root())?, write_reference(workspace_root())?].concat();
            for page in changed {
                print_line(format_args!("{page}: updated"));
            }
        }
    }
    Ok(())
}

/// Fills in the blocks of all documents, and returns the names of those that changed.
fn fill(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut changed = Vec::new();
    for page in pages(root)? {
        let (text, filled) = page.filled(root)?;
        if filled.text != text {
            foretaste_files::write(&root.join(&page.name), filled.text.as_bytes())?;
            changed.push(page.name);
        }
    }
    Ok(changed)
}

/// Whether all blocks say what the results do.
fn check(root: &Path) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for page in pages(root)? {
        let (_, filled) = page.filled(root)?;
        stale.extend(filled.changed.iter().map(|line| format!("{}, line {line}", page.name)));
    }
    if !stale.is_empty() {
        bail!("the figures differ from the results: {}; run `cargo xtask docs`", stale.join("; "));
    }
    Ok(())
}

/// Writes the pages of the commands, and returns the names of those that changed.
fn write_reference(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut changed = Vec::new();
    for (name, text) in stale_reference(root)? {
        let path = root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        foretaste_files::write(&path, text.as_bytes())?;
        changed.push(name.to_owned());
    }
    Ok(changed)
}

/// Whether the pages of the commands say what the programs do.
fn check_reference(root: &Path) -> anyhow::Result<()> {
    let stale: Vec<&str> = stale_reference(root)?.into_iter().map(|(name, _)| name).collect();
    if !stale.is_empty() {
        bail!("{} differ from the commands; run `cargo xtask docs`", stale.join(" and "));
    }
    Ok(())
}

/// The pages of the commands that are not what they should be, and what that is.
fn stale_reference(root: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut stale = Vec::new();
    for (name, text) in reference::pages() {
        let path = root.join(name);
        if !path.is_file() || read(&path)? != text {
            stale.push((name, text));
        }
    }
    Ok(stale)
}

/// A document that may have blocks.
struct Page {
    /// Its path from the root, with `/`.
    name: String,
    /// The way from its folder to the root: empty, or `../` once or more often.
    to_root: &'static str,
}

/// README.md, docs/*.md and docs/experiments/*.md.
fn pages(root: &Path) -> anyhow::Result<Vec<Page>> {
    let mut pages = vec![Page { name: "README.md".into(), to_root: "" }];
    for (folder, to_root) in [("docs", "../"), ("docs/experiments", "../../")] {
        if !root.join(folder).is_dir() {
            continue;
        }
        for name in names_in(&root.join(folder), ".md")? {
            pages.push(Page { name: format!("{folder}/{name}.md"), to_root });
        }
    }
    Ok(pages)
}

impl Page {
    /// Its text, and what it should be.
    fn filled(&self, root: &Path) -> anyhow::Result<(String, blocks::Filled)> {
        let text = read(&root.join(&self.name))?;
        let filled = blocks::fill(&text, &self.name, |block| match block.kind {
            Kind::Results => kept::content(root, self.to_root, block, kept::results),
            Kind::Claims => kept::content(root, self.to_root, block, kept::claims),
            Kind::Verdicts => kept::verdicts(root, self.to_root, block),
            Kind::Plot => kept::plot(root, self.to_root, block),
            Kind::Speed => speed::content(root, self.to_root, block),
        })?;
        Ok((text, filled))
    }
}

/// What precedes `suffix` in the names of a folder's entries that end with it, sorted.
fn names_in(folder: &Path, suffix: &str) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let about = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(about)? {
        let name = entry.with_context(about)?.file_name();
        names.extend(name.to_string_lossy().strip_suffix(suffix).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = foretaste_files::read(path, LIMIT)?;
    String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))
}
