//! Sequences of different lengths in batches: one session of 20,000 steps among short ones must not
//! make all of them as long.

/// A batch is split where its padding is more than this share of what is padded.
const PADDING: usize = 4;
/// Places of a batch, padding included, below which it is not split.
const SMALL: usize = 1 << 14;

/// Rows of a batch in groups, each padded to its longest row: all in one group, unless most of a
/// large batch would be padding. Then no row of a group is shorter than half of its longest, so the
/// places of all groups are at most twice the steps of all rows. Within a group rows are in order.
pub fn padded_together(lengths: &[usize]) -> Vec<Vec<usize>> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let places = longest * lengths.len();
    if places <= SMALL || places <= PADDING * lengths.iter().sum::<usize>() {
        return vec![(0..lengths.len()).collect()];
    }
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    rows.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut longest = 0;
    for row in rows {
        match groups.last_mut() {
            Some(group) if 2 * lengths[row] >= longest => group.push(row),
            _ => {
                longest = lengths[row];
                groups.push(vec![row]);
            }
        }
    }
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_like_lengths_stay_whole() {
        assert_eq!(padded_together(&[]), [Vec::<usize>::new()]);
        assert_eq!(padded_together(&[3, 0, 9]), [vec![0, 1, 2]]);
        assert_eq!(padded_together(&[1_000, 400, 10_000]), [vec![0, 1, 2]]);
    }

    #[test]
    fn a_long_row_is_padded_apart_from_short_ones() {
        let mut lengths = vec![4; 50];
        (lengths[7], lengths[9], lengths[20]) = (20_000, 1, 0);
        let groups = padded_together(&lengths);
        let mut all = groups.concat();
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        assert_eq!(groups[0], [7]);
        let longest = |group: &Vec<usize>| group.iter().map(|&row| lengths[row]).max().unwrap();
        let places: usize = groups.iter().map(|group| group.len() * longest(group)).sum();
        assert!(places <= 2 * lengths.iter().sum::<usize>());
    }
}
