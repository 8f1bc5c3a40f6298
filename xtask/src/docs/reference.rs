//! The pages of the commands in docs/reference, written from what clap knows about them.
//!
//! There are crates for this. The pages that they make do not wrap, and leave out the options of
//! all commands; ours wrap at 100 columns like every page.

use clap::builder::StyledStr;
use clap::{Arg, Command};

/// Columns of a page.
const WIDTH: usize = 100;

/// The name from the root of each page, and what it should be.
pub fn pages() -> [(&'static str, String); 2] {
    [
        ("docs/reference/foretaste.md", page(foretaste::command(), "The program `foretaste`")),
        ("docs/reference/xtask.md", page(crate::command(), "The runner `cargo xtask`")),
    ]
}

/// The page of a program: a table of its commands, and a section for each.
fn page(program: Command, title: &str) -> String {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut text = format!("# {title}\n\n");
    paragraphs(&mut text, about(&program));
    paragraphs(
        &mut text,
        "This page contains the help of every command. `cargo xtask docs` writes it from the \
         definitions in the program, so do not edit it.",
    );
    text += "| command | what it does |\n|---|---|\n";
    for command in program.get_subcommands() {
        let (name, about) = (full_name(command), about(command));
        let first = cell(about.split("\n\n").next().unwrap_or_default());
        text += &format!("| [`{name}`](#{}) | {first} |\n", name.replace(' ', "-"));
    }
    let everywhere: Vec<&Arg> = program.get_arguments().filter(|arg| arg.is_global_set()).collect();
    if !everywhere.is_empty() {
        text += "\n## Options of all commands\n\n";
        table(&mut text, everywhere.into_iter());
    }
    for command in program.get_subcommands() {
        section(&mut text, command, 2);
    }
    text
}

/// A command with its usage, examples, arguments and options, and then its own commands.
fn section(text: &mut String, command: &Command, level: usize) {
    let name = full_name(command);
    *text += &format!("\n{} `{name}`\n\n", "#".repeat(level));
    paragraphs(text, about(command));
    let usage = command.clone().render_usage().to_string();
    *text += &format!("```text\n{}\n", usage.trim_start_matches("Usage: "));
    if let Some(after) = command.get_after_help() {
        *text += &format!("\n{after}\n");
    }
    *text += "```\n";
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && !is_help(arg));
    let mut headings = Vec::new();
    for heading in own().map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        *text += "\n";
        if let Some(heading) = heading {
            *text += &format!("{heading}:\n\n");
        }
        table(text, own().filter(|arg| arg.get_help_heading() == heading));
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        section(text, inner, level + 1);
    }
}

fn full_name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

fn is_help(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str())
}

fn about(command: &Command) -> String {
    sentences(command.get_long_about().or_else(|| command.get_about()))
}

/// A text of the help with the period at its end, which clap takes off.
fn sentences(text: Option<&StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    let ends = text.is_empty() || text.ends_with(['.', ':', '?', '!']);
    if ends { text } else { text + "." }
}

/// A row for every argument that is not hidden, those without a name first.
fn table<'a>(text: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let mut args: Vec<&Arg> = args.filter(|arg| !arg.is_hide_set()).collect();
    args.sort_by_key(|arg| !arg.is_positional());
    *text += "| argument | meaning |\n|---|---|\n";
    for arg in args {
        let short = arg.get_short().filter(|_| arg.get_long().is_some());
        let short = short.map_or(String::new(), |short| format!("-{short}, "));
        let mut meaning = cell(&sentences(arg.get_long_help().or_else(|| arg.get_help())));
        let takes_value = arg.get_num_args().is_some_and(|number| number.takes_values());
        let values: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| takes_value && !value.is_hide_set())
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({})", value.get_name(), cell(&help.to_string())),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        if !values.is_empty() {
            meaning += &format!(" Values: {}.", values.join(", "));
        }
        let defaults: Vec<_> =
            arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        if takes_value && !defaults.is_empty() {
            meaning += &format!(" Default: `{}`.", defaults.join("`, `"));
        }
        if arg.is_required_set() {
            meaning += " Required.";
        }
        *text += &format!("| `{short}{}` | {} |\n", cell_code(&arg.to_string()), meaning.trim());
    }
}

/// Text in a cell of a table, on one line; what Markdown or HTML would read otherwise is escaped.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    escape(&line).replace('|', "\\|")
}

/// A table ends a cell at each `|`, in code too.
fn cell_code(text: &str) -> String {
    text.replace('|', "\\|")
}

/// `*`, `<` and `[` as themselves outside of code spans, where they would format, be a tag or
/// begin a link.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at > 0 {
            escaped.push('`');
        }
        for letter in part.chars() {
            if at % 2 == 0 && "*<[".contains(letter) {
                escaped.push('\\');
            }
            escaped.push(letter);
        }
    }
    escaped
}

/// The paragraphs of a text, each wrapped.
fn paragraphs(page: &mut String, text: impl AsRef<str>) {
    for paragraph in text.as_ref().split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let mut line = String::new();
        for word in escape(paragraph).split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                *page += &format!("{line}\n");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        *page += &format!("{line}\n\n");
    }
}

#[cfg(test)]
mod tests {
    use clap::builder::PossibleValue;

    use super::*;

    #[test]
    fn a_page_has_every_command_argument_value_and_default() {
        let program = Command::new("shop")
            .about("Sell things; see <https://a.b>.")
            .arg(Arg::new("quiet").long("quiet").global(true).num_args(0).help("Say nothing"))
            .subcommand(
                Command::new("sell")
                    .about("Sell a thing.")
                    .after_help("Example:\n  shop sell hat")
                    .arg(Arg::new("thing").required(true).help("What to sell: a*b|c [d] `e_f`."))
                    .arg(Arg::new("secret").long("secret").hide(true))
                    .arg(
                        Arg::new("to")
                            .short('t')
                            .long("to")
                            .value_name("WHO")
                            .value_parser([PossibleValue::new("ann").help("a <b>"), "bob".into()])
                            .default_value("bob"),
                    ),
            );
        let expected = "# The shop\n\nSell things; see \\<https://a.b>.\n\n\
            This page contains the help of every command. `cargo xtask docs` writes it from the \
            definitions in\nthe program, so do not edit it.\n\n\
            | command | what it does |\n|---|---|\n| [`shop sell`](#shop-sell) | Sell a thing. |\n\n\
            ## Options of all commands\n\n| argument | meaning |\n|---|---|\n\
            | `--quiet` | Say nothing. |\n\n## `shop sell`\n\nSell a thing.\n\n\
            ```text\nshop sell [OPTIONS] <thing>\n\nExample:\n  shop sell hat\n```\n\n\
            | argument | meaning |\n|---|---|\n\
            | `<thing>` | What to sell: a\\*b\\|c \\[d] `e_f`. Required. |\n\
            | `-t, --to <WHO>` | Values: `ann` (a \\<b>), `bob`. Default: `bob`. |\n";
        assert_eq!(page(program, "The shop"), expected);
    }

    #[test]
    fn no_line_of_prose_is_longer_than_a_page_is_wide() {
        let mut text = String::new();
        paragraphs(&mut text, "word ".repeat(100));
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert_eq!(longest, Some(99));
    }
}
