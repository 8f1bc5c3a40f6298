//! The corpus is read again: what was found once stays mended.

use std::path::Path;

use foretaste_fuzz::{replay, targets};

#[test]
fn no_file_of_the_corpus_panics() {
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
