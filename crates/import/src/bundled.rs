//! What the folder `datasets` holds, inside the program: simulated logs, and a recipe for each
//! public data set.
//!
//! ```
//! use foretaste_import::bundled;
//!
//! let (log, _) = bundled::open("simulated-mdp.csv")?.import(Default::default())?;
//! assert_eq!(log.name, "simulated-mdp");
//! # Ok::<(), foretaste_import::Error>(())
//! ```

use crate::{Error, Input, Result};

/// How a path begins that names such a log, where a program takes one.
pub const PREFIX: &str = "bundled:";

macro_rules! files {
    ($read:ident: $($name:literal),*) => {
        [$(($name, $read!(concat!("../datasets/", $name)))),*]
    };
}

const LOGS: [(&str, &[u8]); 5] = files![include_bytes:
    "simulated-choice.tsv",
    "simulated-mdp-clicks.csv",
    "simulated-mdp.csv",
    "simulated-mdp.jsonl",
    "simulated-mdp.parquet"
];

/// Where to get public data sets, how to import them, and what they are known to hold: file name
/// and Markdown.
pub const RECIPES: [(&str, &str); 18] = files![include_str:
    "cikm.md",
    "coat.md",
    "criteo.md",
    "gan-cdqn.md",
    "irecgan-cikm.md",
    "kuairand.md",
    "lastfm.md",
    "mind.md",
    "movielens.md",
    "open-bandit.md",
    "otto.md",
    "recbole.md",
    "recogym.md",
    "retailrocket.md",
    "search-log.md",
    "trivago.md",
    "vw.md",
    "yoochoose.md"
];

/// The names of all logs.
pub fn names() -> impl Iterator<Item = &'static str> {
    LOGS.iter().map(|(name, _)| *name)
}

/// The log of this name, to be imported.
///
/// # Errors
/// [`Error::File`] where there is none, or it cannot be unpacked into the folder of temporary
/// files.
pub fn open(name: &str) -> Result<Input> {
    match LOGS.iter().find(|(known, _)| *known == name) {
        Some((name, bytes)) => Input::of_bytes(name, bytes),
        None => {
            let names: Vec<&str> = names().collect();
            let problem = format!("there is no such log; expected one of {}", names.join(", "));
            Err(Error::file(format!("{PREFIX}{name}").as_ref(), problem))
        }
    }
}
