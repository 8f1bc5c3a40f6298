//! Lists in the cells of a column: what separates their ids, and whether what was chosen is on
//! them.

use crate::reader::record::{List, whole};

/// What separates ids in most files, the likelier first. White space and brackets need no
/// separator.
const COMMON: [Option<char>; 5] = [Some('|'), Some(','), Some(';'), Some('\t'), None];

/// What stands for no choice, in lower case.
pub(super) const NOTHING: [&str; 7] = ["-1", "nan", "none", "null", "<na>", "\\n", "na"];

/// The cells of a column as lists.
pub(super) struct Lists {
    pub(super) separator: Option<char>,
    /// `[rows][ids]`.
    pub(super) rows: Vec<Vec<String>>,
}

/// In how many rows what was chosen is on the list, of how many in which something was chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hits {
    pub(super) on_list: usize,
    pub(super) chosen: usize,
}

impl Lists {
    /// The lists that hold what was chosen most often and, of those, that have several ids most
    /// often. Without choices only the common separators are tried.
    pub(super) fn best(cells: &[String], chosen: Option<&[String]>) -> Self {
        let mut best = Self::common(cells, chosen);
        let Some(chosen) = chosen else { return best };
        let mut others: Vec<char> =
            cells.iter().flat_map(|cell| cell.chars()).filter(char::is_ascii_punctuation).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|other| !COMMON.contains(&Some(*other)) && !"[](){}\"'\\".contains(*other));
        for other in others {
            let lists = Self::of(cells, Some(other));
            if lists.hits(chosen).on_list > best.hits(chosen).on_list {
                best = lists;
            }
        }
        best
    }

    fn common(cells: &[String], chosen: Option<&[String]>) -> Self {
        let score =
            |lists: &Self| (chosen.map_or(0, |chosen| lists.hits(chosen).on_list), lists.several());
        let mut best = Self::of(cells, None);
        for separator in COMMON {
            let lists = Self::of(cells, separator);
            let same = score(&lists) == score(&best);
            // Ids may hold blanks, so that other separators go before white space.
            if score(&lists) > score(&best)
                || same && best.separator.is_none() && lists.differs(&best)
            {
                best = lists;
            }
        }
        best
    }

    fn of(cells: &[String], separator: Option<char>) -> Self {
        let rows = cells.iter().map(|cell| ids(cell, separator)).collect();
        Self { separator, rows }
    }

    /// Rows with several ids.
    fn several(&self) -> usize {
        self.rows.iter().filter(|ids| ids.len() > 1).count()
    }

    /// Whether most rows that are not empty have several ids.
    pub(super) fn are_lists(&self) -> bool {
        2 * self.several() > self.rows.iter().filter(|ids| !ids.is_empty()).count()
    }

    /// Ids in all rows.
    pub(super) fn size(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    fn differs(&self, other: &Self) -> bool {
        self.several() > 0 && self.rows != other.rows
    }

    /// Whether what was chosen is on the lists.
    pub(super) fn hits(&self, chosen: &[String]) -> Hits {
        let mut hits = Hits { on_list: 0, chosen: 0 };
        for (shown, cell) in self.rows.iter().zip(chosen) {
            let is_empty = List::of_field(cell, self.separator).is_empty();
            if is_empty || NOTHING.contains(&&*cell.to_ascii_lowercase()) {
                continue;
            }
            hits.chosen += 1;
            let parts = ids(cell, self.separator);
            let all = !parts.is_empty() && parts.iter().all(|id| shown.contains(id));
            let one = shown.iter().any(|id| id == whole(cell));
            hits.on_list += usize::from(all || one);
        }
        hits
    }
}

/// The ids of a cell; none if it is no list.
fn ids(cell: &str, separator: Option<char>) -> Vec<String> {
    let objects = cell.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'));
    let list = match objects && cell.ends_with(']') {
        true => List::Json(cell),
        false => List::of_field(cell, separator),
    };
    let mut ids = Vec::new();
    let read = list.each("list", |id| {
        ids.push(whole(id).to_owned());
        Ok(())
    });
    read.map_or_else(|_| Vec::new(), |()| ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn the_separator_is_the_one_that_puts_what_was_chosen_on_the_lists() {
        let cases: [(&[&str], &[&str], Option<char>); 10] = [
            (&["a|b|c", "d|e"], &["b", "-1"], Some('|')),
            (&["red shoe|hat", "hat|red sock"], &["red shoe", "hat"], Some('|')),
            (&["a, b, c", "b, c"], &["", ""], Some(',')),
            (&["a;b,1;c", "b,1;c"], &["b,1", "c"], Some(';')),
            (&["a/b/c", "b/c"], &["b", "c"], Some('/')),
            (&["shoe-7 hat-2", "hat-2 cap-1"], &["hat-2", "cap-1"], None),
            (&["['a', 'b']", "[\"b, c\", 'a']"], &["b", "b, c"], None),
            (&["[{\"id\": 5}, {\"id\": 6}]"], &["6"], None),
            (&["a|b|c", "c|d"], &["c|a", "[]"], Some('|')),
            (&["a", "b"], &["a", "b"], None),
        ];
        for (shown, chosen, separator) in cases {
            let chosen = column(chosen);
            let lists = Lists::best(&column(shown), Some(&chosen));
            assert_eq!(lists.separator, separator, "{shown:?}");
            let hits = lists.hits(&chosen);
            assert_eq!(hits.on_list, hits.chosen, "{shown:?}");
        }
    }
}
