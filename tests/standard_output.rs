//! The program where its standard output is closed, or cannot be written.
#![cfg(unix)]

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What runs commands, each with a log and a recommender that learned from it.
struct Shop {
    temp: TempDir,
}

const COMMANDS: [&[&str]; 6] = [
    &["describe", "log.csv"],
    &["list"],
    &["judge", "--log", "log.csv", "--policy", "policy"],
    &[
        "train",
        "log.csv",
        "--to",
        "policy",
        "--force",
        "--epochs",
        "1",
        "--adversarial",
        "1",
        "--hidden",
        "8",
    ],
    &["recommend", "policy", "--history", "1,2", "-k", "3"],
    &["recommend", "policy", "--requests", "requests.jsonl"],
];

impl Shop {
    fn new() -> Self {
        let shop = Self { temp: TempDir::new().unwrap() };
        let mut log = String::from("session,step,shown,chosen,reward,propensity\n");
        for session in 0..40 {
            let [first, second] = [session % 6, (session + 1 + session % 5) % 6];
            log += &format!("s{session},0,{first} {second},{second},1,0.16666667 0.2\n");
        }
        fs::write(shop.temp.path().join("log.csv"), log).unwrap();
        fs::write(shop.temp.path().join("requests.jsonl"), "{\"history\":[1]}\n{}\n").unwrap();
        let output = shop.command(COMMANDS[3]).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
        shop
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foretaste"));
        command.args(arguments).current_dir(self.temp.path());
        command
    }

    /// Runs every command with the standard output that `to` makes; its exit code and standard
    /// error.
    fn ends(&self, to: impl Fn() -> Stdio) -> Vec<(Option<i32>, String)> {
        let ends = |arguments: &&[&str]| {
            let Output { status, stderr, .. } =
                self.command(arguments).stdout(to()).output().unwrap();
            (status.code(), String::from_utf8(stderr).unwrap())
        };
        COMMANDS.iter().map(ends).collect()
    }
}

#[test]
fn a_closed_standard_output_ends_nothing() {
    let shop = Shop::new();
    // The reading end is dropped.
    for (code, stderr) in shop.ends(|| std::io::pipe().unwrap().1.into()) {
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stderr.contains("panic") && !stderr.contains("error"), "{stderr}");
    }
    for arguments in COMMANDS {
        let command = shop.command(arguments);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "exec \"$0\" \"$@\" >&-"])
            .arg(command.get_program())
            .args(command.get_args());
        let Output { status, stderr, .. } = shell.current_dir(shop.temp.path()).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success() && !stderr.contains("panic"), "{arguments:?}: {stderr}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    for (code, stderr) in
        Shop::new().ends(|| File::options().write(true).open("/dev/full").unwrap().into())
    {
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("error: cannot write to the standard output: "), "{stderr}");
        assert!(!stderr.contains("panic"), "{stderr}");
    }
}
