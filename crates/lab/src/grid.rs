use serde::Serialize;

use crate::Cell;

/// The cells of an experiment while it lays them out, every arm with all seeds.
///
/// ```
/// use foretaste_lab::Grid;
///
/// let mut grid = Grid::new("online-eval", 2);
/// grid.arm("mdp", "PG", "random(200)", serde_json::json!({ "hidden": 64 }))?;
/// let cells = grid.into_cells();
/// assert_eq!((cells.len(), cells[1].seed), (2, 1));
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Grid {
    experiment: &'static str,
    seeds: u64,
    cells: Vec<Cell>,
}

impl Grid {
    /// No cells yet of an experiment of this name, which runs under the seeds 0, 1, .. `seeds` - 1.
    pub fn new(experiment: &'static str, seeds: u64) -> Self {
        Self { experiment, seeds, cells: Vec::new() }
    }

    /// Adds an arm: a cell for every seed. `config` is all else that the result depends on.
    ///
    /// # Errors
    /// Where `config` cannot be written as JSON.
    pub fn arm(
        &mut self,
        dataset: &str,
        method: &str,
        setting: &str,
        config: impl Serialize,
    ) -> anyhow::Result<()> {
        let config = serde_json::to_value(config)?;
        self.cells.extend((0..self.seeds).map(|seed| Cell {
            experiment: self.experiment.into(),
            dataset: dataset.into(),
            method: method.into(),
            setting: setting.into(),
            seed,
            config: config.clone(),
        }));
        Ok(())
    }

    /// The cells, in the order in which their arms were added.
    pub fn into_cells(self) -> Vec<Cell> {
        self.cells
    }
}
