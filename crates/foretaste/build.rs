//! Tells a program of this workspace which revision of the sources it is built from, for the record
//! of every result. `xtask` and `foretaste` share it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a result follows from, relative to the root.
const SOURCES: [&str; 6] =
    ["xtask/Cargo.toml", "xtask/src", "crates", "datasets", "Cargo.toml", "Cargo.lock"];

fn main() {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let package = Path::new(&package);
    let record = package.join(".cargo_vcs_info.json");
    let revision = if record.exists() {
        println!("cargo:rerun-if-changed={}", record.display());
        published(&record)
    } else {
        let sources = sources(package);
        for path in &sources {
            println!("cargo:rerun-if-changed={}", path.display());
        }
        revision(&sources)
    };
    let revision = revision.unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=FORETASTE_REVISION={revision}");
}

/// The commit that a published package was made from, as cargo records it in the package.
fn published(record: &Path) -> Option<String> {
    let record = std::fs::read_to_string(record).ok()?;
    let (_, rest) = record.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    let dirty = if record.contains("\"dirty\"") { "-dirty" } else { "" };
    Some(format!("{commit}{dirty}"))
}

/// [`SOURCES`], found from the package that is being built.
fn sources(package: &Path) -> Vec<PathBuf> {
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    let root = root.unwrap_or(Path::new("."));
    SOURCES.iter().map(|path| root.join(path)).collect()
}

/// The commit, with `-dirty` where a source differs from it; none without git.
fn revision(sources: &[PathBuf]) -> Option<String> {
    let commit = git(&["rev-parse", "HEAD"])?;
    // A commit moves the branch, a switch moves HEAD, and either is logged.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
        // A path that is not there would run this at every build.
        if let Some(path) =
            git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists())
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let sources: Vec<&str> = sources.iter().filter_map(|path| path.to_str()).collect();
    let changes =
        git(&[&["--no-optional-locks", "status", "--porcelain", "--"], &sources[..]].concat())?;
    Some(if changes.is_empty() { commit } else { format!("{commit}-dirty") })
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
