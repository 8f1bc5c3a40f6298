//! The order in which the steps of a padded batch are computed, so that no time is spent on masked
//! steps. It concerns indices only, and is tested without an LSTM.

/// Which row of a batch takes which of its steps when.
///
/// A masked step leaves the state as it is, so a row is the sequence of its other steps. Rows are
/// ranked by the number of those, longest first: the rows that take step `s` are then the first
/// `active[s]` ranks, and nothing is computed for the rest. Steps are packed one after another,
/// `[packed] = Σ active`, and states are numbered: rank r's state before the first step is r, its
/// state after step s is `rows + start[s] + r`.
#[derive(Debug)]
pub(super) struct Plan {
    /// Rows of the batch.
    pub(super) rows: usize,
    /// Rank to row.
    pub(super) order: Vec<usize>,
    /// Rows that take step s: not increasing, at least 1.
    pub(super) active: Vec<usize>,
    /// The first packed place of step s.
    pub(super) start: Vec<usize>,
    /// Packed place to `row * time + t` of its input.
    pub(super) source: Vec<usize>,
    /// `row * time + t` to the number of the state after it.
    pub(super) output: Vec<usize>,
    /// Row to the number of its last state.
    pub(super) last: Vec<usize>,
}

impl Plan {
    /// The plan of `rows` sequences of `time` steps of which those with a 0 in `mask [rows * time]`
    /// are skipped.
    pub(super) fn new(rows: usize, time: usize, mask: Option<&[u8]>) -> Self {
        let taken = |row: usize| {
            (row * time..(row + 1) * time).filter(|&at| mask.is_none_or(|mask| mask[at] != 0))
        };
        let steps: Vec<Vec<usize>> = (0..rows).map(|row| taken(row).collect()).collect();
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|&row| std::cmp::Reverse(steps[row].len()));
        let longest = order.first().map_or(0, |&row| steps[row].len());
        let active: Vec<usize> =
            (0..longest).map(|s| order.partition_point(|&row| steps[row].len() > s)).collect();
        let start: Vec<usize> = active
            .iter()
            .scan(0, |sum, &n| {
                *sum += n;
                Some(*sum - n)
            })
            .collect();
        let source = active
            .iter()
            .enumerate()
            .flat_map(|(s, &n)| order[..n].iter().map(move |&row| (row, s)));
        let source = source.map(|(row, s)| steps[row][s]).collect();
        let (mut output, mut last) = (vec![0; rows * time], vec![0; rows]);
        for (rank, &row) in order.iter().enumerate() {
            let mut state = rank;
            let mut taken = steps[row].iter().zip(&start).peekable();
            for (at, output) in output.iter_mut().enumerate().skip(row * time).take(time) {
                if let Some((_, first)) = taken.next_if(|&(&step, _)| step == at) {
                    state = rows + first + rank;
                }
                *output = state;
            }
            last[row] = state;
        }
        Self { rows, order, active, start, source, output, last }
    }

    /// Steps taken by all rows together.
    pub(super) fn packed(&self) -> usize {
        self.source.len()
    }

    /// The number of the state of rank 0 before step `s`.
    pub(super) fn before(&self, s: usize) -> usize {
        if s == 0 { 0 } else { self.rows + self.start[s - 1] }
    }

    /// Whether every row takes every step, so that the states before the steps follow one another.
    pub(super) fn full(&self) -> bool {
        self.active.iter().all(|&n| n == self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_step_is_taken_once_and_outputs_name_the_state_after_it(
            (rows, time, mask) in (1usize..6, 1usize..7).prop_flat_map(|(rows, time)| {
                (Just(rows), Just(time), proptest::collection::vec(0u8..2, rows * time))
            })
        ) {
            let plan = Plan::new(rows, time, Some(&mask));
            let mut sources = plan.source.clone();
            sources.sort_unstable();
            prop_assert_eq!(sources, (0..rows * time).filter(|&at| mask[at] == 1).collect::<Vec<_>>());
            for row in 0..rows {
                let rank = plan.order.iter().position(|&other| other == row).unwrap();
                let mut state = rank;
                for (at, &taken) in mask.iter().enumerate().skip(row * time).take(time) {
                    if taken == 1 {
                        state = rows + plan.source.iter().position(|&source| source == at).unwrap();
                    }
                    prop_assert_eq!(plan.output[at], state);
                }
                prop_assert_eq!(plan.last[row], state);
            }
            for s in 0..plan.active.len() {
                let taken = plan.start[s]..plan.start[s] + plan.active[s];
                let expected: Vec<usize> = plan.order[..plan.active[s]].to_vec();
                prop_assert_eq!(plan.source[taken].iter().map(|at| at / time).collect::<Vec<_>>(), expected);
            }
        }
    }
}
