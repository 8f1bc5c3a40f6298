//! `foretaste list`: the logs and recipes that are inside this program.

use anyhow::bail;
use foretaste_import::Format;
use foretaste_import::bundled::{self, RECIPES};
use serde_json::json;

use crate::answer::Answer;

/// Options of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print this recipe for a public data set, instead of the list.
    recipe: Option<String>,
}

/// Lists the bundled logs and the recipes, or prints a recipe.
pub fn run(args: &Args) -> anyhow::Result<Answer> {
    args.recipe.as_deref().map_or_else(all, recipe)
}

fn all() -> anyhow::Result<Answer> {
    let mut text = String::from("logs inside this program, simulated\n");
    let mut logs = Vec::new();
    for name in bundled::names() {
        let (dataset, _) = bundled::open(name)?.import(Default::default())?;
        let (sessions, steps) = (dataset.log.sessions(), dataset.log.steps());
        let path = format!("{}{name}", bundled::PREFIX);
        text += &format!("  {path:<34} {sessions} sessions, {steps} steps\n");
        logs.push(json!({ "log": path, "sessions": sessions, "steps": steps }));
    }
    text += "describe one: foretaste describe bundled:simulated-mdp.csv\n\n";
    text += "recipes for public data sets\n";
    let mut recipes = Vec::new();
    for (file, recipe) in RECIPES {
        let (name, title) = (name_of(file), recipe.lines().next().unwrap_or_default());
        let title = title.trim_start_matches("# ");
        text += &format!("  {name:<34} {title}\n");
        recipes.push(json!({ "recipe": name, "title": title }));
    }
    let formats = Format::ALL.map(Format::name);
    text += &format!("print one: foretaste list movielens\n\nformats\n  {}", formats.join(" "));
    Ok(Answer { text, json: json!({ "logs": logs, "recipes": recipes, "formats": formats }) })
}

fn recipe(name: &str) -> anyhow::Result<Answer> {
    let Some((_, recipe)) = RECIPES.iter().find(|(file, _)| name_of(file) == name) else {
        let names = RECIPES.map(|(file, _)| name_of(file)).join(", ");
        bail!("there is no recipe `{name}`; expected one of {names}");
    };
    Ok(Answer { text: (*recipe).to_owned(), json: json!({ "recipe": name, "text": recipe }) })
}

fn name_of(file: &str) -> &str {
    file.trim_end_matches(".md")
}
