//! `foretaste completions`: what makes a shell complete commands, options and their values.

use anyhow::Context;
use clap::Command;
use clap_complete::{Shell, generate};
use serde_json::json;

use crate::answer::Answer;

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shell that the script is for.
    shell: Shell,
}

/// Prints the script of a shell for the command line that `program` defines.
pub fn run(args: &Args, mut program: Command) -> anyhow::Result<Answer> {
    let (name, mut script) = (program.get_name().to_owned(), Vec::new());
    generate(args.shell, &mut program, name, &mut script);
    let text = String::from_utf8(script).context("the script is not UTF-8")?;
    let json = json!({ "shell": args.shell.to_string(), "script": text });
    Ok(Answer { text, json })
}
