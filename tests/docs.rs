//! The pages: their programs are the examples, and their links lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The programs of docs/extending.md, in order.
const EXAMPLES: [&str; 3] = [
    "crates/sim/examples/own_environment.rs",
    "crates/sim/examples/own_policy.rs",
    "crates/baselines/examples/own_click_model.rs",
];
/// Lines that an example may have.
const LONGEST: usize = 60;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_programs_of_extending_are_the_examples_letter_for_letter() {
    let page = read(&root().join("docs/extending.md"));
    let blocks: Vec<&str> = page
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert_eq!(blocks.len(), EXAMPLES.len());
    for (block, name) in blocks.into_iter().zip(EXAMPLES) {
        assert!(page.contains(&format!("](../{name})")), "no link to {name}");
        assert_eq!(block, read(&root().join(name)), "{name}");
    }
}

#[test]
fn every_example_is_short_and_says_how_to_run_it() {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let folders = crates.map(|entry| entry.unwrap().path().join("examples"));
    let files = folders
        .filter(|folder| folder.is_dir())
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut examples = 0;
    for path in files {
        let (text, name) = (read(&path), path.display());
        assert!(text.lines().count() <= LONGEST, "{name} has more than {LONGEST} lines");
        let example = path.file_stem().unwrap().to_string_lossy();
        assert!(
            text.contains(&format!("--example {example}")),
            "{name} does not say how to run it"
        );
        examples += 1;
    }
    assert!(examples >= EXAMPLES.len());
}

/// The folders with pages.
const FOLDERS: [&str; 9] = [
    "",
    "benches",
    "datasets",
    "docs",
    "docs/experiments",
    "docs/reference",
    "docs/upstream",
    "xtask/cuda",
    "xtask/jobs",
];

/// All pages that readers are led to.
fn pages() -> Vec<PathBuf> {
    let files = FOLDERS.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let mut pages: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|kind| kind == "md"));
    pages.sort();
    pages
}

#[test]
fn every_page_is_listed_in_the_summary_of_the_site() {
    let summary = root().join("docs/SUMMARY.md");
    let text = read(&summary);
    let listed = links(&text).map(|link| root().join("docs").join(link).canonicalize().unwrap());
    let mut listed: Vec<_> = listed.collect();
    listed.push(summary.canonicalize().unwrap());
    listed.sort();
    let pages: Vec<_> = pages().iter().map(|page| page.canonicalize().unwrap()).collect();
    assert_eq!(listed, pages);
}

/// Figures that are still to be filled in are written `@NAME@`.
#[test]
fn no_figure_is_still_to_be_filled_in() {
    for page in pages() {
        let text = read(&page);
        let mut parts = text.split('@').skip(1);
        let blank = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase());
        assert_eq!(parts.find(blank), None, "{}", page.display());
    }
}

/// Tables, code blocks and what has no blank to break at are left out.
#[test]
fn pages_wrap_at_100_columns() {
    let mut wide = Vec::new();
    for page in pages() {
        let mut fenced = false;
        for (number, line) in (1..).zip(read(&page).lines()) {
            let inside = line.trim_start();
            fenced ^= inside.starts_with("```");
            let breaks = inside.contains(' ') && !inside.starts_with(['|', '<']);
            if !fenced && breaks && line.chars().count() > 100 {
                wide.push(format!(
                    "{}, line {number}",
                    page.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

/// Words of this project's earlier prose that kept readers out, and what to write instead.
const HOUSE_WORDS: [(&str, &str); 8] = [
    ("anew", "again"),
    ("at hand", "available"),
    ("beside", "next to, in addition to, compared with"),
    ("for want of", "without"),
    ("nobody", "no user, no one"),
    ("told", "reported, distinguished"),
    ("unasked", "in any case"),
    ("whoever", "a user who, a person who"),
];

#[test]
fn no_house_word_comes_back_in_pages() {
    let mut found = Vec::new();
    for page in pages() {
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        let (text, mut fenced) = (read(&page), false);
        for (number, line) in (1..).zip(text.lines()) {
            fenced ^= line.trim_start().starts_with("```");
            if !fenced {
                let words: String = line.split('`').step_by(2).collect();
                found.extend(
                    house_word(&words).map(|word| format!("{name}, line {number}: {word}")),
                );
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_house_word_comes_back_in_messages_and_help() {
    let mut found = Vec::new();
    for (name, code) in sources() {
        for (number, message) in messages(&code) {
            let word = house_word(&message);
            found.extend(word.map(|word| format!("{name}, line {number}: {word}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_house_word_comes_back_in_comments() {
    let mut found = Vec::new();
    for (name, code) in sources() {
        for (number, line) in (1..).zip(code.lines()) {
            if let Some(comment) = line.trim_start().strip_prefix("//") {
                let words: String = comment.split('`').step_by(2).collect();
                let word = house_word(&words);
                found.extend(word.map(|word| format!("{name}, line {number}: {word}")));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The names and texts of all files of code of the crates and of the runner.
fn sources() -> Vec<(String, String)> {
    let mut folders = vec![root().join("xtask/src")];
    let crates = fs::read_dir(root().join("crates")).unwrap();
    folders.extend(crates.map(|entry| entry.unwrap().path().join("src")));
    code_in(folders)
}

/// The names and texts of all files of code in these folders and below.
fn code_in(mut folders: Vec<PathBuf>) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                sources.push((name, read(&path)));
            }
        }
    }
    sources.sort();
    sources
}

#[test]
fn every_module_begins_with_what_it_is_for() {
    let mut modules = sources();
    modules.extend(code_in(vec![root().join("fuzz/src")]));
    modules.retain(|(_, code)| !code.trim_start().starts_with("//! "));
    let without: Vec<_> = modules.iter().map(|(name, _)| name).collect();
    assert!(without.is_empty(), "without a `//!` that says why the module exists: {without:?}");
}

#[test]
fn house_words_are_found_in_what_is_read_by_users_alone() {
    for text in ["Nobody reads", "it was told.", "for want of time", "(beside it)"] {
        assert!(house_word(text).is_some(), "{text}");
    }
    for text in ["told_apart", "besides", "untold", "forward", "at handshakes"] {
        assert_eq!(house_word(text), None, "{text}");
    }
    let code = r##"
        /// One.
        #[arg(long)]
        a: char, // "no"
        /// No.
        b: &'static str,
        c: '"', d: '\'', e: "two \
            lines\"", f: r#"a "raw" one"#, g: seed.derive("no"), h: 'x',
    "##;
    let expected = [(2, "One."), (7, "two lines\\\""), (8, "a \"raw\" one")];
    assert_eq!(messages(code), expected.map(|(line, text)| (line, text.to_owned())));
}

/// The first house word of a text with what to write instead.
fn house_word(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let inside = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (word, instead) = HOUSE_WORDS.into_iter().find(|(word, _)| {
        text.match_indices(word).any(|(at, _)| {
            !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside)
        })
    })?;
    Some(format!("`{word}`, better: {instead}"))
}

/// What the code of a program shows its users, with the line on which it begins: texts, except the
/// names of seeds, and the help of options.
fn messages(code: &str) -> Vec<(usize, String)> {
    let (mut found, mut docs) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(code.lines().map(str::trim)) {
        match line.strip_prefix("///") {
            Some(doc) => docs.push((number, doc.trim().to_owned())),
            None if line.starts_with("#[arg") => found.append(&mut docs),
            None => docs.clear(),
        }
    }
    let mut rest = code;
    while let Some(letter) = rest.chars().next() {
        let at = code.len() - rest.len();
        rest = &rest[letter.len_utf8()..];
        let text = match letter {
            '/' if rest.starts_with('/') => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '\'' => {
                rest = after_letter(rest);
                continue;
            }
            '"' => {
                let mut escaped = false;
                let ends = |letter: char| {
                    let ends = letter == '"' && !escaped;
                    escaped = letter == '\\' && !escaped;
                    ends
                };
                &rest[..rest.find(ends).unwrap_or(rest.len())]
            }
            'r' if !code[..at].ends_with(char::is_alphanumeric) => {
                let hashes = rest.len() - rest.trim_start_matches('#').len();
                let Some(raw) = rest[hashes..].strip_prefix('"') else { continue };
                let end = format!("\"{}", &rest[..hashes]);
                rest = raw;
                &raw[..raw.find(&end).unwrap_or(raw.len())]
            }
            _ => continue,
        };
        rest = rest[text.len()..].trim_start_matches('"');
        if !code[..at].ends_with("derive(") {
            let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "\\").collect();
            found.push((code[..at].matches('\n').count() + 1, words.join(" ")));
        }
    }
    found
}

/// What follows a character literal of which `rest` is all but the first quote; all of `rest` where
/// it is a lifetime.
fn after_letter(rest: &str) -> &str {
    if rest.starts_with('\\') {
        return rest[2..].split_once('\'').map_or("", |(_, after)| after);
    }
    let mut letters = rest.chars();
    letters.next();
    letters.as_str().strip_prefix('\'').unwrap_or(rest)
}

#[test]
fn every_relative_link_leads_to_a_file_and_every_fragment_to_a_heading() {
    let pages = pages();
    let mut broken = Vec::new();
    for page in &pages {
        let text = prose(&read(page));
        for link in links(&text) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_page = target.extension().is_some_and(|kind| kind == "md");
            let leads = target.exists()
                && (fragment.is_empty()
                    || !is_page
                    || anchors(&prose(&read(&target))).contains(fragment));
            if !leads {
                broken.push(format!("{}: {link}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

const BESIDE: [&str; 2] = ["fuzz", "xtask"];

/// The table of ARCHITECTURE.md: the level of each crate; those of [`BESIDE`] lie beside `crates`.
fn levels() -> BTreeMap<String, u32> {
    let mut levels = BTreeMap::new();
    for row in read(&root().join("ARCHITECTURE.md")).lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if let [_, level, crates, ..] = cells[..]
            && let Ok(level) = level.parse()
        {
            levels.extend(crates.split('`').skip(1).step_by(2).map(|name| (name.into(), level)));
        }
    }
    levels
}

#[test]
fn every_crate_depends_on_crates_of_lower_levels_of_the_map_alone() {
    let levels = levels();
    let mut folders: BTreeSet<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.extend(BESIDE.map(String::from));
    assert_eq!(levels.keys().cloned().collect::<BTreeSet<_>>(), folders);
    for (name, level) in &levels {
        let is_beside = BESIDE.contains(&name.as_str());
        let folder = if is_beside { root().join(name) } else { root().join("crates").join(name) };
        let manifest = read(&folder.join("Cargo.toml"));
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let Some(line) = line.strip_prefix("foretaste-") else { continue };
            let other = line.split(['.', ' ']).next().unwrap();
            assert!(levels[other] < *level, "{name} depends on {other}");
        }
    }
}

#[test]
fn links_and_anchors_are_found() {
    let page = "# A `b`, c & d\n[x](y.md#z) and `[no](code)` [two](#a), <https://a.b> [out](https://c.d)\n## A-1\n\
                ```rust\n# [no](code)\n```\n## A-1\n![plot](p.svg)\n";
    let text = prose(page);
    assert_eq!(links(&text).collect::<Vec<_>>(), ["y.md#z", "#a", "p.svg"]);
    assert_eq!(anchors(&text), ["a-b-c--d", "a-1", "a-1-1"].map(str::to_owned).into());
    let readme = prose(&read(&root().join("README.md")));
    assert!(links(&readme).any(|link| link == "ARCHITECTURE.md"));
}

/// The page without fenced blocks, and without code spans outside of headings.
fn prose(page: &str) -> String {
    let (mut text, mut fenced) = (String::new(), false);
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let heading = line.starts_with('#');
            let spans = line.split('`').enumerate();
            text.extend(spans.filter(|(at, _)| heading || at % 2 == 0).map(|(_, span)| span));
            text.push('\n');
        }
    }
    text
}

/// The targets of links and images that are not addresses.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// The fragments of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again =
            (1..).map(|number| format!("{anchor}-{number}")).find(|other| !anchors.contains(other));
        if !anchors.insert(anchor) {
            anchors.extend(again);
        }
    }
    anchors
}
