//! What the program writes about its own command line: scripts for shells, and manual pages.

use std::fs;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foretaste")).args(arguments).output().unwrap()
}

/// The names of all commands.
fn commands() -> Vec<String> {
    let program = foretaste::command();
    program.get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

#[test]
fn every_shell_gets_a_script_that_knows_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success(), "{output:?}");
        let script = String::from_utf8(output.stdout).unwrap();
        for name in commands() {
            assert!(script.contains(&name), "{shell}: {name}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).status.code(), Some(2));
}

/// Skipped where there is no bash.
#[test]
fn bash_completes_a_command_and_an_option() {
    let script = String::from_utf8(run(&["completions", "bash"]).stdout).unwrap();
    let ask = "COMP_WORDS=(foretaste recom); COMP_CWORD=1; _foretaste foretaste recom foretaste\n\
               echo \"${COMPREPLY[@]}\"\n\
               COMP_WORDS=(foretaste recommend --hist); COMP_CWORD=2\n\
               _foretaste foretaste --hist recommend\n\
               echo \"${COMPREPLY[@]}\"\n";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &format!("{script}\n{ask}")]).stdin(Stdio::null());
    let Ok(output) = bash.output() else { return };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "recommend\n--history\n", "{output:?}");
}

#[test]
fn every_command_gets_a_manual_page_that_is_replaced_only_with_force() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("share/man1");
    let to = ["man", "--to", folder.to_str().unwrap()];
    assert!(run(&to).status.success());
    for name in commands() {
        let page = fs::read_to_string(folder.join(format!("foretaste-{name}.1"))).unwrap();
        assert!(page.contains(&format!("foretaste\\-{name}")), "{page}");
    }
    assert!(fs::read_to_string(folder.join("foretaste.1")).unwrap().contains("SUBCOMMANDS"));
    let again = run(&to);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("foretaste.1"), "{again:?}");
    assert!(run(&[&to[..], &["--force"]].concat()).status.success());
}
