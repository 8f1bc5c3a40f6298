//! Tells the program which revision of the sources it is built from, for the record of every
//! result.

use std::path::Path;
use std::process::Command;

/// What a result follows from, relative to this package.
const SOURCES: [&str; 6] =
    ["build.rs", "Cargo.toml", "src", "../crates", "../Cargo.toml", "../Cargo.lock"];

fn main() {
    for path in SOURCES {
        println!("cargo:rerun-if-changed={path}");
    }
    println!(
        "cargo:rustc-env=FORETASTE_REVISION={}",
        revision().unwrap_or_else(|| "unknown".into())
    );
}

/// The commit, with `-dirty` where a source differs from it; none without git.
fn revision() -> Option<String> {
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
    let changes =
        git(&[&["--no-optional-locks", "status", "--porcelain", "--"], &SOURCES[..]].concat())?;
    Some(if changes.is_empty() { commit } else { format!("{commit}-dirty") })
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
