//! A run in parts: planned, on several processes, killed and begun again, put together; the tables
//! are those of one process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use super::{Count, Run, Tables, cells, command, count, record, reproduce, summary};

const SEEDS: [&str; 2] = ["--seeds", "3"];

fn with<'a>(options: &[&'a str]) -> Vec<&'a str> {
    SEEDS.iter().chain(options).copied().collect()
}

fn spawn(out: &Path, options: &[&str]) -> Child {
    command(out, options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The tables of a run in one process, claims included, and how many cells it has.
fn straight(folder: &Path) -> ([String; 3], usize) {
    let out = folder.join("straight");
    reproduce(&out, &SEEDS).succeeds();
    (tables(&out), cells(&out).len())
}

fn tables(out: &Path) -> [String; 3] {
    ["results.csv", "curves.csv", "claims.csv"]
        .map(|name| fs::read_to_string(out.join(name)).unwrap())
}

#[test]
fn a_plan_counts_the_cells_and_runs_none() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    let planned = |options: &[&str]| {
        let output = command(&out, options).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = planned(&with(&["--plan", "--scale", "quick", "--jobs", "2"]));
    assert!(
        text.contains("XGBOOST")
            && text.contains("0 of them finished")
            && text.contains("with 2 jobs"),
        "{text}"
    );
    assert!(!out.exists());

    reproduce(&out, &["--seeds", "1"]).succeeds();
    let done = cells(&out).len();
    let text = planned(&with(&["--plan"]));
    assert!(text.contains(&format!("{} cells, {done} of them finished", 3 * done)), "{text}");
    assert_eq!(cells(&out).len(), done);
}

/// Each part is killed at random moments, again and again, before it may finish.
#[cfg(unix)]
#[test]
fn parts_that_were_killed_and_merged_are_the_results_of_a_straight_run() {
    let temp = TempDir::new().unwrap();
    let (expected, total) = straight(temp.path());
    // Moments from a fixed sequence; where in a cell they fall depends on the machine.
    let mut moments =
        (1..).map(|at: u64| Duration::from_millis(at.wrapping_mul(0x9E37_79B9) % 700));
    let parts: Vec<_> = (1..=3).map(|part| temp.path().join(format!("part-{part}"))).collect();
    for (part, out) in (1..).zip(&parts) {
        let shard = format!("{part}/3");
        for _ in 0..4 {
            let mut child = spawn(out, &with(&["--shard", &shard]));
            sleep(moments.next().unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        reproduce(out, &with(&["--shard", &shard])).succeeds();
    }
    let kept: usize = parts.iter().map(|out| cells(out).len()).sum();
    assert_eq!(kept, total);
    assert!(
        parts
            .iter()
            .all(|out| record(out)["status"] == "partial" && summary(out).contains("Incomplete"))
    );

    let merged = temp.path().join("merged");
    let directories: Vec<_> = parts.iter().map(|out| out.to_str().unwrap()).collect();
    let merge = [&["--merge"], directories.as_slice()].concat();
    reproduce(&merged, &with(&merge)).succeeds();
    assert_eq!(tables(&merged), expected);
    assert_eq!(record(&merged)["status"], "complete");
}

#[test]
fn processes_in_one_directory_share_its_cells() {
    let temp = TempDir::new().unwrap();
    let (expected, total) = straight(temp.path());
    let out = temp.path().join("shared");
    let children: Vec<_> = (0..3).map(|_| spawn(&out, &with(&["--jobs", "2"]))).collect();
    let mut resumed = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let run = Run { options: "shared".into(), output };
        let told = String::from_utf8_lossy(&run.output.stdout).into_owned();
        run.succeeds();
        let last = told.lines().last().unwrap();
        assert!(last.starts_with(&format!("{total} cells, ")), "{last}");
        resumed += last.split(' ').nth(2).unwrap().parse::<usize>().unwrap();
    }
    // Each cell ran in one process, and was found by the two others.
    assert_eq!(resumed, 2 * total);
    assert_eq!(tables(&out), expected);
}

#[test]
fn parts_in_one_directory_need_no_merge() {
    let temp = TempDir::new().unwrap();
    let (expected, total) = straight(temp.path());
    let out = temp.path().join("shared");
    for part in ["1/2", "2/2"] {
        reproduce(&out, &with(&["--shard", part])).succeeds();
    }
    assert_eq!(record(&out)["status"], "complete");
    assert_eq!(tables(&out), expected);
    reproduce(&out, &SEEDS).succeeds();
    assert_eq!(count(&out), Count { total, run: 0, resumed: total });
    reproduce(&out, &with(&["--fresh"])).succeeds();
    assert_eq!(count(&out), Count { total, run: total, resumed: 0 });
    assert_eq!(tables(&out), expected);
}

/// Finished cells of before do not make a run whole that was to run them again.
#[cfg(unix)]
#[test]
fn a_fresh_run_that_is_interrupted_is_not_complete() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &SEEDS).succeeds();
    let expected = tables(&out);
    let mut child = spawn(&out, &with(&["--fresh", "--jobs", "1"]));
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        told.any(|line| line.unwrap().starts_with("[1/")),
        "the run ended before a cell was finished"
    );
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let told: Vec<_> = told.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told:?}");
    assert_eq!(record(&out)["status"], "interrupted");
    reproduce(&out, &SEEDS).succeeds();
    assert_eq!(tables(&out), expected);
}

#[test]
fn a_merge_that_cannot_be_whole_says_why() {
    let temp = TempDir::new().unwrap();
    let [one, other, merged] = ["one", "other", "merged"].map(|name| temp.path().join(name));
    reproduce(&one, &["--seeds", "1"]).succeeds();
    let merge = |from: &Path, options: &[&str]| {
        reproduce(&merged, &[options, &["--merge", from.to_str().unwrap()]].concat())
    };
    merge(temp.path(), &[]).fails_with("has no run.json, so it is not a results directory");
    merge(&one, &["--scale", "quick"]).fails_with("scale `quick` instead of `smoke`");
    assert!(!merged.exists());

    merge(&one, &["--seeds", "2"]).fails_with("cells are in none of these directories");
    assert!(summary(&merged).contains("Incomplete"));
    merge(&one, &["--seeds", "1"]).succeeds();
    assert_eq!(Tables::read(&merged), Tables::read(&one));

    reproduce(&other, &["--seeds", "1"]).succeeds();
    let cell = &cells(&other)[0];
    let text = fs::read_to_string(cell).unwrap();
    fs::write(cell, &text[..text.len() / 2]).unwrap();
    merge(&other, &["--seeds", "1"]).fails_with(cell.to_str().unwrap());
}

#[test]
fn a_part_that_is_none_is_named() {
    let temp = TempDir::new().unwrap();
    for part in ["0/3", "4/3", "half"] {
        let output = command(&temp.path().join("results"), &["--shard", part]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("expected i/n"));
    }
}
