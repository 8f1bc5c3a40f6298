//! `foretaste list`: the logs that are inside this program.

use foretaste_import::bundled;
use serde_json::json;

use crate::answer::Answer;

/// Lists the bundled logs.
pub fn run() -> anyhow::Result<Answer> {
    let mut text = String::from("logs inside this program, simulated\n");
    let mut logs = Vec::new();
    for name in bundled::names() {
        let (dataset, _) = bundled::open(name)?.import(Default::default())?;
        let (sessions, steps) = (dataset.log.sessions(), dataset.log.steps());
        let path = format!("{}{name}", bundled::PREFIX);
        text += &format!("  {path:<34} {sessions} sessions, {steps} steps\n");
        logs.push(json!({ "log": path, "sessions": sessions, "steps": steps }));
    }
    text += "Every command takes one in the place of a log file:\n  \
             foretaste describe bundled:simulated-mdp.csv";
    Ok(Answer { text, json: json!(logs) })
}
