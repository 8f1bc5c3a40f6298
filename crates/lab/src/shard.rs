//! Parts of a grid, so that several machines share a run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Cell;

/// The part `i` of `n`: `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// From 1.
    part: usize,
    of: usize,
}

impl Shard {
    /// For every cell whether it is in this part. Every cell is in one part of `n`, whichever
    /// process asks, as long as the grid is the same.
    ///
    /// Cells on the same data, setting and seed share what they train, across experiments: they
    /// stay together.
    pub fn choose<'a>(self, cells: impl IntoIterator<Item = &'a Cell>) -> Vec<bool> {
        let mut groups = BTreeMap::new();
        let group = |cell: &'a Cell| {
            let next = groups.len();
            *groups.entry((&cell.dataset, &cell.setting, cell.seed)).or_insert(next)
        };
        cells.into_iter().map(group).map(|group| group % self.of == self.part - 1).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a part: expected i/n with i from 1 to n, such as 2/5");
        let (part, of) = text.split_once('/').ok_or_else(wrong)?;
        let (part, of) = (part.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        if part == 0 || part > of { Err(wrong()) } else { Ok(Self { part, of }) }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["", "1", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("2/5".parse::<Shard>().unwrap().to_string(), "2/5");
    }

    proptest! {
        #[test]
        fn parts_are_disjoint_hold_every_cell_and_keep_those_together_that_share(
            of in 1_usize..9,
            cells in proptest::collection::vec(("[ef]", "[ab]", "[mn]", "[st]", 0..4_u64), 0..60),
        ) {
            let cell = |(experiment, dataset, method, setting, seed)| Cell { experiment, dataset, method, setting, seed, config: json!(null) };
            let cells: Vec<Cell> = cells.into_iter().map(cell).collect();
            let parts: Vec<_> = (1..=of).map(|part| Shard { part, of }.choose(&cells)).collect();
            for at in 0..cells.len() {
                prop_assert_eq!(parts.iter().filter(|part| part[at]).count(), 1);
            }
            for (a, b) in (0..cells.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
                let of = |cell: &Cell| (cell.dataset.clone(), cell.setting.clone(), cell.seed);
                if of(&cells[a]) == of(&cells[b]) {
                    prop_assert!(parts.iter().all(|part| part[a] == part[b]));
                }
            }
        }
    }
}
