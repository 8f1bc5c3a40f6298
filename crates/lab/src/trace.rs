//! What a cell leaves for those who watch a run or look for what went wrong in it: an event file
//! and a log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{error, info, warn};

use crate::events::{Events, STEP};
use crate::logging::{self, CELL, CellLog};
use crate::space::Space;
use crate::store::Finished;
use crate::tensorboard::EventFile;
use crate::{Cell, Interrupted};

/// Where the traces of cells are kept.
pub struct Traces {
    out: PathBuf,
    revision: String,
    space: Space,
}

/// The traces of a cell that runs on this thread until this is dropped.
pub struct Trace<'a> {
    cell: &'a Cell,
    events: Arc<Events>,
    log: Option<CellLog>,
}

impl Traces {
    /// In the folders `events` and `logs` of a results directory, of a program of this revision.
    pub fn of(out: &Path, revision: &str) -> Self {
        let space = Space::default();
        Self { out: out.to_owned(), revision: revision.to_owned(), space }
    }

    /// The space of the run.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Of the program.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Begins the traces of a cell in the place of those of an earlier run of it. What cannot be
    /// written is left out with a warning; a full disk is noted in [`space`](Self::space) instead.
    pub fn begin<'a>(&self, cell: &'a Cell) -> Trace<'a> {
        let place = place(cell);
        let folder = self.out.join("events").join(&place);
        let path = self.out.join("logs").join(format!("{}.log", place.display()));
        let events = self.kept(EventFile::create(&folder), &folder, "events", cell);
        let log = self.kept(create_log(&path, &self.space), &path, "log", cell);
        logging::enter(log.clone());
        info!(target: CELL, "{cell} begins");
        info!(target: CELL, "digest {}, revision {}", cell.digest(), self.revision);
        info!(target: CELL, "configuration {}", cell.config);
        let events = Events::new(events, folder, self.space.clone());
        Trace { cell, events: Arc::new(events), log }
    }

    fn kept<T>(&self, made: io::Result<T>, path: &Path, what: &str, cell: &Cell) -> Option<T> {
        let report = |error: &io::Error| {
            if !self.space.note(path, error.kind()) {
                warn!("the {what} of {cell} cannot be kept: {error}");
            }
        };
        made.inspect_err(report).ok()
    }
}

impl Trace<'_> {
    /// Where the cell's figures go.
    pub fn events(&self) -> Arc<Events> {
        Arc::clone(&self.events)
    }

    /// Writes down how the cell ended.
    pub fn end(self, found: &anyhow::Result<Finished>, seconds: f64) {
        match found {
            Ok(Finished { outcome, .. }) => {
                // A curve that another cell computed, or that was chosen among several at the end.
                if !self.events.have_curve() {
                    for row in &outcome.curve {
                        let step = row.get(STEP).map_or(0, |&step| step as u64);
                        self.events.record("", step, row.clone());
                    }
                }
                let metrics = outcome
                    .metrics
                    .iter()
                    .map(|(metric, &value)| (metric.name().to_owned(), value));
                self.events.record("metrics", 0, metrics);
                info!(target: CELL, "finished in {seconds:.3} s");
            }
            Err(error) if error.is::<Interrupted>() => {
                info!(target: CELL, "interrupted after {seconds:.3} s")
            }
            Err(error) => error!(target: CELL, "failed after {seconds:.3} s: {error:?}"),
        }
        if self.log.as_ref().is_some_and(CellLog::incomplete) {
            warn!("the log of {} is incomplete: it could not be written", self.cell);
        }
    }
}

impl Drop for Trace<'_> {
    fn drop(&mut self) {
        logging::enter(None);
    }
}

fn create_log(path: &Path, space: &Space) -> io::Result<CellLog> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    CellLog::create(path, space.clone())
}

/// The folder of a cell, `EXPERIMENT/DATASET/METHOD[, SETTING]/seed-N`: another for every other
/// cell.
fn place(cell: &Cell) -> PathBuf {
    // Without commas of its own the method ends at the first one.
    let method = escaped(&cell.method).replace(',', "%2C");
    let arm = if cell.setting.is_empty() {
        method
    } else {
        format!("{method}, {}", escaped(&cell.setting))
    };
    [escaped(&cell.experiment), escaped(&cell.dataset), arm, format!("seed-{}", cell.seed)]
        .iter()
        .collect()
}

/// A name as part of a path on any file system: what not all of them take is written as in
/// addresses of the web.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" !#$&'()+,-.=@[]_{}~".contains(&byte);
    let last = name.len().saturating_sub(1);
    let escape = |(at, byte): (usize, u8)| match byte {
        b'.' | b' ' if at == 0 || at == last => format!("%{byte:02X}"),
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().enumerate().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn cell(names: &[String; 4], seed: u64) -> Cell {
        let [experiment, dataset, method, setting] = names.clone();
        Cell { experiment, dataset, method, setting, seed, config: Value::Null }
    }

    #[test]
    fn usual_names_stay_readable() {
        let place = |method: &str, setting: &str| {
            super::place(&cell(&["online-eval", "mdp", method, setting].map(String::from), 3))
                .display()
                .to_string()
        };
        assert_eq!(
            place("PG-online&offline", "random(200)"),
            "online-eval/mdp/PG-online&offline, random(200)/seed-3"
        );
        assert_eq!(place("W&D-CCF", ""), "online-eval/mdp/W&D-CCF/seed-3");
        assert_eq!(place("a, b", "c/d: 50%"), "online-eval/mdp/a%2C b, c%2Fd%3A 50%25/seed-3");
    }

    proptest! {
        /// Few letters, so that names collide often if they can.
        #[test]
        fn different_cells_never_share_a_folder(
            one in [(); 4].map(|()| "[a, ./%é2C]{1,4}"),
            other in [(); 4].map(|()| "[a, ./%é2C]{1,4}"),
            seeds in (0..2u64, 0..2u64),
            no_setting in any::<(bool, bool)>(),
        ) {
            let cell = |mut names: [String; 4], seed, no_setting| {
                if no_setting { names[3].clear(); }
                cell(&names, seed)
            };
            let (one, other) = (cell(one, seeds.0, no_setting.0), cell(other, seeds.1, no_setting.1));
            prop_assert_eq!(place(&one) == place(&other), one == other);
            let places = place(&one);
            let parts: Vec<_> = places.components().collect();
            prop_assert_eq!(parts.len(), 4);
            for part in parts {
                let Component::Normal(part) = part else { panic!("{part:?}") };
                let part = part.to_str().unwrap();
                prop_assert!(!part.starts_with('.') && !part.ends_with(['.', ' ']), "{}", part);
                prop_assert!(part.bytes().all(|byte| (b' '..0x7f).contains(&byte) && !b"<>:\"/\\|?*".contains(&byte)));
            }
        }
    }
}
