//! A training that is stopped by Ctrl-C goes on with the same command, and ends as if it had not
//! been stopped.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The arguments of every method that trains by epochs, of which there are many.
const METHODS: [&[&str]; 5] = [
    &["--method", "irecgan", "--epochs", "100", "--adversarial", "2", "--hidden", "16"],
    &["--method", "pg", "--epochs", "200", "--hidden", "16"],
    &["--method", "lstm", "--epochs", "200", "--hidden", "16"],
    &["--method", "cdqn", "--users", "users", "--iterations", "60", "--hidden", "16"],
    &["--method", "linucb", "--users", "users", "--iterations", "200"],
];

fn train(method: &[&str], folder: &Path, to: &str, seed: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    command.args(["train", "bundled:simulated-mdp.csv", "--to", to, "--seed", seed]);
    command.args(["--device", "cpu"]).args(method);
    command.current_dir(folder);
    command
}

/// The files of a folder with their contents.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Whether a process has a handler for SIGINT, number 2: it has one before its first epoch.
fn catches_ctrl_c(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
}

#[test]
fn a_training_that_is_stopped_goes_on_with_the_same_command() {
    METHODS.into_iter().for_each(goes_on);
}

fn goes_on(method: &[&str]) {
    let temp = TempDir::new().unwrap();
    let folder = temp.path();
    if method.contains(&"--users") {
        let mut fit = Command::new(env!("CARGO_BIN_EXE_foretaste"));
        fit.args(["fit", "bundled:simulated-mdp.csv", "--to", "users", "--epochs", "1"]);
        assert!(fit.args(["--device", "cpu"]).current_dir(folder).status().unwrap().success());
    }
    assert!(train(method, folder, "whole", "1").output().unwrap().status.success());

    let mut running = train(method, folder, "stopped", "1").stderr(Stdio::piped()).spawn().unwrap();
    let pid = running.id().to_string();
    while !catches_ctrl_c(&pid) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let said: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert_eq!(running.wait().unwrap().code(), Some(130), "{said:?}");
    assert!(said.last().unwrap().contains("run the same command again"), "{said:?}");
    assert!(!folder.join("stopped/recommender.json").exists());

    let other = train(method, folder, "stopped", "2").output().unwrap();
    let refused = String::from_utf8(other.stderr).unwrap();
    assert!(!other.status.success() && refused.contains("another log"), "{refused}");

    let again = train(method, folder, "stopped", "1").output().unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.success() && said.contains("continuing after"), "{said}");
    assert_eq!(files(&folder.join("stopped")), files(&folder.join("whole")));
}
