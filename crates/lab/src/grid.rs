//! How an experiment lists its cells: every arm runs with every seed. The experiment's name and
//! version are added here, so the identity of a cell is made in one place.

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
    version: u32,
    cells: Vec<Cell>,
}

/// A configuration of an experiment whose results have changed under the same settings.
#[derive(Serialize)]
struct Versioned<C> {
    version: u32,
    #[serde(flatten)]
    config: C,
}

impl Grid {
    /// No cells yet of an experiment of this name, which runs under the seeds 0, 1, .. `seeds` - 1.
    pub fn new(experiment: &'static str, seeds: u64) -> Self {
        Self { experiment, seeds, version: 1, cells: Vec::new() }
    }

    /// The same, whose cells are others than those of an earlier version: for an experiment whose
    /// results under the same settings have changed, if only in their last bits. Versions count
    /// from 1, the default.
    #[must_use]
    pub fn version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// Adds an arm: a cell for every seed. `config` is all else that the result depends on.
    ///
    /// # Errors
    /// Where `config` cannot be written as JSON, or, from version 2 on, is no object.
    pub fn arm(
        &mut self,
        dataset: &str,
        method: &str,
        setting: &str,
        config: impl Serialize,
    ) -> anyhow::Result<()> {
        let config = match self.version {
            1 => serde_json::to_value(config)?,
            version => serde_json::to_value(Versioned { version, config })?,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_another_version_are_others_and_those_of_the_first_stay() {
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Config {
            hidden: u32,
        }
        let cell = |version| {
            let mut grid = Grid::new("online-eval", 1).version(version);
            grid.arm("mdp", "PG", "random(200)", Config { hidden: 64 }).unwrap();
            grid.into_cells().remove(0)
        };
        let mut plain = Grid::new("online-eval", 1);
        plain.arm("mdp", "PG", "random(200)", Config { hidden: 64 }).unwrap();
        assert_eq!(cell(1).digest(), plain.into_cells()[0].digest());
        let digests = [1, 2, 3].map(|version| cell(version).digest());
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
        assert_eq!(cell(3).config::<Config>().unwrap(), Config { hidden: 64 });
    }
}
