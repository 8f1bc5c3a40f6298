//! The simulated logs of the folder `datasets`, inside the program.
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

macro_rules! logs {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../datasets/", $name)).as_slice())),*]
    };
}

const LOGS: [(&str, &[u8]); 5] = logs![
    "simulated-choice.tsv",
    "simulated-mdp-clicks.csv",
    "simulated-mdp.csv",
    "simulated-mdp.jsonl",
    "simulated-mdp.parquet"
];

/// The names of all.
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
            let problem = format!("there is no such log; there are {}", names.join(", "));
            Err(Error::file(format!("{PREFIX}{name}").as_ref(), problem))
        }
    }
}
