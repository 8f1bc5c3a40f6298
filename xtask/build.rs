//! Tells a program of this workspace which revision of the sources it is built from, for the record
//! of every result. `xtask` and `foretaste` share it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a result follows from, relative to the root.
const SOURCES: [&str; 7] = [
    "xtask/build.rs",
    "xtask/Cargo.toml",
    "xtask/src",
    "crates",
    "datasets",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() {
    let sources = sources();
    for path in &sources {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    println!(
        "cargo:rustc-env=FORETASTE_REVISION={}",
        revision(&sources).unwrap_or_else(|| "unknown".into())
    );
}

/// [`SOURCES`], found from the package that is being built.
fn sources() -> Vec<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&package).ancestors().find(|folder| folder.join("Cargo.lock").exists());
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
