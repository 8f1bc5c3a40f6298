//! `cargo xtask book`: the pages as a site, built by mdBook, with every link checked offline.
//!
//! mdBook renders the pages of one folder, and ours link to files all over the repository. So the
//! pages that docs/SUMMARY.md lists are copied to the same relative places in target/book/src, and
//! each other file that they link to is copied into the site. Every link then leads to the same
//! file on the site as it does on the repository's host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use foretaste_console::terminal::print_line;

use crate::workspace_root;

/// Where the pages that are listed are, from the root.
const DOCS: &str = "docs";
/// The list of pages.
const SUMMARY: &str = "SUMMARY.md";
/// More than any page or linked file holds.
const LIMIT: u64 = 64 << 20;

/// Builds the site, and prints where it is.
///
/// # Errors
/// Where mdBook is not installed or fails, or a link of the site leads nowhere.
pub fn run() -> anyhow::Result<()> {
    if !is_installed() {
        bail!("mdBook is not installed; install it with `cargo install mdbook --locked`");
    }
    let site = build(workspace_root())?;
    print_line(format_args!("the site is built; open {}", site.join("index.html").display()));
    Ok(())
}

/// The same as a part of `ci`, which is skipped where mdBook is not installed.
pub fn check() -> anyhow::Result<()> {
    if is_installed() {
        return run();
    }
    print_line("== book: skipped: no mdbook (cargo install mdbook --locked)");
    Ok(())
}

fn is_installed() -> bool {
    let mut command = Command::new("mdbook");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let book = root.join("target/book");
    if book.exists() {
        fs::remove_dir_all(&book).with_context(|| format!("cannot remove {}", book.display()))?;
    }
    let (summary, pages) = listed(&read(&root.join(DOCS).join(SUMMARY))?)?;
    write(&book.join("src").join(SUMMARY), summary.as_bytes())?;
    copy(&root.join(DOCS).join("book.toml"), &book.join("book.toml"))?;
    for page in &pages {
        copy(&root.join(page), &book.join("src").join(page))?;
    }
    let status = Command::new("mdbook").arg("build").arg(&book).status();
    let status = status.context("cannot start mdbook")?;
    if !status.success() {
        bail!("`mdbook build {}` ended with {status}", book.display());
    }
    let site = book.join("book");
    let broken = follow(root, &site, &pages)?;
    if !broken.is_empty() {
        bail!(
            "links of the site that lead nowhere (is the page in {DOCS}/{SUMMARY}?):\n{}",
            broken.join("\n")
        );
    }
    Ok(site)
}

/// The list of pages with links from the root instead of from docs, and the pages that it lists.
fn listed(summary: &str) -> anyhow::Result<(String, Vec<String>)> {
    let (mut text, mut pages) = (String::new(), Vec::new());
    for line in summary.split_inclusive('\n') {
        let Some((before, rest)) = line.split_once("](") else {
            text.push_str(line);
            continue;
        };
        let about = || format!("{DOCS}/{SUMMARY}: `{}`", line.trim());
        let (link, after) = rest.split_once(')').with_context(about)?;
        let page = from_root(Path::new(DOCS), link)
            .with_context(|| format!("{}: this leaves the repository", about()))?;
        text.push_str(&format!("{before}]({page}){after}"));
        pages.push(page);
    }
    Ok((text, pages))
}

/// Copies the files that the pages of the site link to into the site, and returns the links that
/// lead to no file, page or heading.
fn follow(root: &Path, site: &Path, pages: &[String]) -> anyhow::Result<Vec<String>> {
    let mut anchors: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut broken = Vec::new();
    for page in pages {
        let page = as_html(page);
        let text = read(&site.join(&page))?;
        let folder = Path::new(&page).parent().unwrap_or(Path::new(""));
        for link in values(&text, "href").chain(values(&text, "src")) {
            let link = link.replace("&amp;", "&");
            if link.contains(':') || link.starts_with("//") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => Some(page.clone()),
                file => from_root(folder, file),
            };
            let leads = match target {
                None => false,
                Some(target) if fragment.is_empty() || !target.ends_with(".html") => {
                    is_there(root, site, &target)?
                }
                Some(target) if is_there(root, site, &target)? => {
                    if !anchors.contains_key(&target) {
                        let text = read(&site.join(&target))?;
                        let ids = values(&text, "id").map(str::to_owned).collect();
                        anchors.insert(target.clone(), ids);
                    }
                    anchors[&target].contains(fragment)
                }
                Some(_) => false,
            };
            if !leads {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    Ok(broken)
}

/// Whether the site has the file, which it gets from the repository if it is there.
fn is_there(root: &Path, site: &Path, file: &str) -> anyhow::Result<bool> {
    if site.join(file).exists() {
        return Ok(true);
    }
    let source = root.join(file);
    if !source.is_file() || file.ends_with(".md") {
        return Ok(false);
    }
    copy(&source, &site.join(file))?;
    Ok(true)
}

/// The values of an attribute in HTML as mdBook writes it: in double quotes.
fn values<'a>(html: &'a str, attribute: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!(" {attribute}=\"");
    let parts: Vec<&str> = html.split(begin.as_str()).skip(1).collect();
    parts.into_iter().filter_map(|rest| rest.split_once('"').map(|(value, _)| value))
}

fn as_html(page: &str) -> String {
    format!("{}.html", page.strip_suffix(".md").unwrap_or(page))
}

/// The path from the root of a link in a folder, or none if it leaves the root.
fn from_root(folder: &Path, link: &str) -> Option<String> {
    let path = folder.join(link);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()?),
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = foretaste_files::read(path, LIMIT)?;
    String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    write(to, &foretaste_files::read(from, LIMIT)?)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_copied_with_links_from_the_root() {
        let list = "# Summary\n\n[Start](../README.md)\n\n# Part\n- [A](a.md)\n  - [B](b/c.md)\n";
        let (text, pages) = listed(list).unwrap();
        assert_eq!(pages, ["README.md", "docs/a.md", "docs/b/c.md"]);
        assert_eq!(
            text,
            "# Summary\n\n[Start](README.md)\n\n# Part\n- [A](docs/a.md)\n  - [B](docs/b/c.md)\n"
        );
        let error = listed("[out](../../x.md)").unwrap_err().to_string();
        assert!(error.contains("`[out](../../x.md)`: this leaves the repository"), "{error}");
    }

    #[test]
    fn links_are_followed_from_the_page_that_has_them() {
        let (root, site) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let page = r##"<h1 id="here">A</h1> <a href="#here">1</a> <a href="#gone">2</a>
            <a href="../code/a.rs">3</a> <a href="../code/gone.rs">4</a> <a href="b.html#top">5</a>
            <a href="b.html#end">6</a> <a href="c.html">7</a> <a href="../../out">8</a>
            <a href="https://a.b/c">9</a> <img src="../code/a.svg">"##;
        for (folder, file, text) in [
            (&site, "docs/a.html", page),
            (&site, "docs/b.html", r#"<h1 id="top">B</h1>"#),
            (&root, "code/a.rs", "code"),
            (&root, "code/a.svg", "picture"),
            (&root, "docs/c.md", "a page that is not listed"),
        ] {
            write(&folder.path().join(file), text.as_bytes()).unwrap();
        }
        let broken = follow(root.path(), site.path(), &["docs/a.md".into()]).unwrap();
        let expected = ["#gone", "../code/gone.rs", "b.html#end", "c.html", "../../out"];
        assert_eq!(broken, expected.map(|link| format!("docs/a.html: {link}")));
        assert_eq!(read(&site.path().join("code/a.rs")).unwrap(), "code");
        assert_eq!(read(&site.path().join("code/a.svg")).unwrap(), "picture");
    }
}
