//! `foretaste man`: the help of all commands as manual pages.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;
use foretaste_files::Target;
use serde_json::json;

use crate::answer::Answer;

/// Options of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write the pages to, which is made if it does not exist. `man` finds pages in the
    /// folder man1 of each folder of its path, for example in ~/.local/share/man/man1.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Replace pages that exist.
    #[arg(long)]
    force: bool,
}

/// Writes a page for the program that `program` defines, and one for each of its commands.
pub fn run(args: &Args, program: Command) -> anyhow::Result<Answer> {
    let Args { to, force } = args;
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for command in [&program].into_iter().chain(program.get_subcommands()) {
        let page = Man::new(command.clone());
        let target = Target::new(&to.join(page.get_filename()), Vec::new(), *force)?;
        let mut text = Vec::new();
        page.render(&mut text).context("cannot write a page")?;
        pages.push((page.get_filename(), target, text));
    }
    for (_, target, text) in &pages {
        target.check()?;
        foretaste_files::write(target.path(), text)?;
    }
    let names: Vec<&str> = pages.iter().map(|(name, ..)| name.as_str()).collect();
    let shown = to.display();
    let text = format!("{} pages written to {shown}, such as {}", names.len(), names[0]);
    Ok(Answer { text, json: json!({ "to": shown.to_string(), "pages": names }) })
}
