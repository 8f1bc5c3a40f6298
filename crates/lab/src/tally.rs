//! What became of the cells of a run.

use crate::Cell;
use crate::store::Finished;

/// What became of the cells, in the order of the grid.
#[derive(Debug, Default)]
pub struct Tally {
    /// The finished ones.
    pub finished: Vec<Finished>,
    /// How many of them others had finished, or an earlier run.
    pub resumed: usize,
    /// The failed ones.
    pub failed: Vec<Failed>,
    /// Number of cells in the grid.
    pub total: usize,
    /// How many of those that this run was to bring to an end are neither finished nor failed.
    pub left: usize,
}

/// A cell that failed.
#[derive(Debug)]
pub struct Failed {
    /// Which.
    pub cell: Cell,
    /// Why, in one line.
    pub error: String,
}

/// How a cell ended whose turn it was.
pub enum Ended {
    /// This run finished it.
    Finished,
    /// It failed.
    Failed(Failed),
    /// Another process finished it.
    Elsewhere,
}

impl Tally {
    /// Counts the next cell: how it ended if its turn came, whether it was `chosen` to be run,
    /// whether a result from before does not count since it was to run `again`, and what is
    /// `stored` of it now.
    pub fn add(
        &mut self,
        ended: Option<Ended>,
        chosen: bool,
        again: bool,
        stored: impl FnOnce() -> Option<Finished>,
    ) {
        self.total += 1;
        let ran = matches!(ended, Some(Ended::Finished));
        match ended {
            Some(Ended::Failed(failed)) => self.failed.push(failed),
            None if again => self.left += 1,
            _ => match stored() {
                Some(finished) => {
                    self.finished.push(finished);
                    self.resumed += usize::from(!ran);
                }
                None => self.left += usize::from(chosen),
            },
        }
    }

    /// How many cells this run brought to their end.
    pub fn run(&self) -> usize {
        self.finished.len() - self.resumed
    }

    /// Whether every cell of the grid is finished.
    pub fn complete(&self) -> bool {
        self.finished.len() == self.total
    }
}
