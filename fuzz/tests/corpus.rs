//! The corpus is read again: what was found once stays mended.

use std::path::Path;
use std::process::Command;

use foretaste_fuzz::{replay, targets};

/// In 4 GiB of addresses, as while hunting: what once took more is refused.
#[test]
#[cfg(unix)]
fn no_file_of_the_corpus_panics() {
    const INSIDE: &str = "FORETASTE_IN_LITTLE_MEMORY";
    if std::env::var_os(INSIDE).is_none() {
        let run = Command::new("sh")
            .args(["-c", "ulimit -v 4194304 && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "no_file_of_the_corpus_panics"])
            .envs([(INSIDE, "1"), ("RAYON_NUM_THREADS", "1")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() && said.contains("1 passed"), "{said}\n{errors}");
        return;
    }
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut folders = 0;
    for target in targets() {
        let files = replay(&*target, &corpus).unwrap();
        folders += usize::from(files > 0);
    }
    let there = std::fs::read_dir(&corpus).unwrap().count();
    assert_eq!(folders, there, "a folder of the corpus belongs to no target, or holds no file");
    assert!(folders > 20);
}

#[test]
fn targets_have_names_of_their_own() {
    let targets = targets();
    let mut names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), targets.len());
}
