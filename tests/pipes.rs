//! Logs that come to the program through pipes, and bad rows on its command line.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const CSV: &str =
    "session,step,shown,chosen,reward\nmon-1,0,hat shoe,shoe,1\nmon-2,0,hat coat,,0\n";

fn foretaste(arguments: &[&str], input: &[u8]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = program.spawn().unwrap();
    // One that reads nothing closes the pipe.
    let _ = running.stdin.take().unwrap().write_all(input);
    running.wait_with_output().unwrap()
}

fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(output: Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_log_comes_through_a_pipe_in_every_format_and_keeps_its_ids() {
    let temp = TempDir::new().unwrap();
    let (cached, exported) = (temp.path().join("shop.log"), temp.path().join("exported"));
    said(foretaste(&["import", "-", "--to", text(&cached)], CSV.as_bytes()));
    for format in ["csv", "jsonl", "parquet"] {
        let export =
            ["export", text(&cached), "--to", text(&exported), "--format", format, "--force"];
        said(foretaste(&export, b""));
        let bytes = fs::read(&exported).unwrap();
        for given in ["-", "/dev/stdin"] {
            let said = said(foretaste(&["describe", given], &bytes));
            assert!(
                said.contains("data set              stdin\nsessions              2\n"),
                "{format}: {said}"
            );
        }
        let back = temp.path().join("back.csv");
        said(foretaste(
            &["export", "-", "--to", text(&back), "--format", "csv", "--force"],
            &bytes,
        ));
        let rows = fs::read_to_string(&back).unwrap();
        assert!(
            rows.contains("\nmon-1,0,hat shoe,shoe,1,false\nmon-2,0,hat coat,,0,true\n"),
            "{format}: {rows}"
        );
    }
    let described = said(foretaste(&["describe", "/dev/stdin"], &fs::read(&cached).unwrap()));
    assert!(described.contains("data set              stdin\n"), "{described}");
    let error =
        refused(foretaste(&["describe", "-"], b"session,step,shown,chosen,reward\na,0,1,2,1\n"));
    assert!(error.contains("<standard input>:2: chosen"), "{error}");
    let error = refused(foretaste(&["describe", "-"], b"1\t1\t3\t1\n"));
    assert!(error.contains("<standard input>: u.item is read from the folder"), "{error}");
}

#[test]
fn the_standard_inputs_file_is_never_replaced() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("shop.csv");
    fs::write(&path, CSV).unwrap();
    for given in ["-", "/dev/stdin"] {
        for command in [&["import", given][..], &["export", given, "--format", "jsonl"]] {
            let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
            program.args(command).args(["--to", text(&path), "--force"]);
            let output = program.stdin(fs::File::open(&path).unwrap()).output().unwrap();
            assert!(refused(output).contains("is the input itself"), "{command:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), CSV);
        }
    }
    let other = temp.path().join("other.csv");
    fs::write(&other, CSV).unwrap();
    said(foretaste(&["import", "-", "--to", text(&other), "--force"], CSV.as_bytes()));
}

#[test]
fn the_shells_pipes_are_read() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("shop.csv");
    fs::write(&path, CSV).unwrap();
    let script = r#""$0" describe <(cat "$1")"#;
    let program = env!("CARGO_BIN_EXE_foretaste");
    let output = Command::new("bash").args(["-c", script, program, text(&path)]).output().unwrap();
    assert!(said(output).contains("sessions              2\n"));
}

#[test]
fn many_bad_rows_are_an_error_that_names_the_option_which_lets_them_pass() {
    let bad: String = (0..4).map(|session| format!("bad-{session},0,1 1,1,1\n")).collect();
    let content = CSV.to_owned() + &bad;
    let error = refused(foretaste(&["describe", "--skip-bad-rows", "-"], content.as_bytes()));
    for part in ["4 of its 6 sessions", "every item once", "session \"bad-0\"", "--max-bad SHARE"] {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
    let said = said(foretaste(&["describe", "--max-bad", "0.7", "-"], content.as_bytes()));
    assert!(
        said.contains("sessions              2\n") && said.contains("rows dropped          4\n"),
        "{said}"
    );
    let error = refused(foretaste(&["describe", "--max-bad", "7", "-"], content.as_bytes()));
    assert!(error.contains("7, expected a number in [0, 1]"), "{error}");
}
