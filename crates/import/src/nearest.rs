//! Which items lie nearest to a day.

use foretaste_random::Stream;
use rand::Rng;

/// Items by day; an item may stand on several days.
pub(crate) struct Pool {
    /// Rising, each once.
    days: Vec<i64>,
    /// Where the items of each day begin, and where those of the last end.
    starts: Vec<usize>,
    items: Vec<u32>,
    /// What was exchanged for the slate being drawn.
    exchanged: Vec<(usize, usize)>,
}

impl Pool {
    /// A pool of items with their days; an item stands on a day once, however often it is given.
    pub(crate) fn new(mut dated: Vec<(i64, u32)>) -> Self {
        dated.sort_unstable();
        dated.dedup();
        let (mut days, mut starts) = (Vec::new(), vec![0]);
        for day in dated.chunk_by(|a, b| a.0 == b.0) {
            days.push(day[0].0);
            starts.push(starts.last().map_or(0, |start| start + day.len()));
        }
        let items = dated.into_iter().map(|(_, item)| item).collect();
        Self { days, starts, items, exchanged: Vec::new() }
    }

    /// Fills a slate up to `size` different items, none of which is left out, with those nearest to
    /// a day: day by day outwards, before and after alike; among items of equal distance each is as
    /// likely as any other.
    pub(crate) fn fill(
        &mut self,
        day: i64,
        size: usize,
        left_out: impl Fn(u32) -> bool,
        slate: &mut Vec<u32>,
        stream: &mut Stream,
    ) {
        let mut after = self.days.partition_point(|&other| other < day);
        let mut before = after;
        while slate.len() < size {
            let earlier = before.checked_sub(1).map(|at| (at, day.abs_diff(self.days[at])));
            let later = self.days.get(after).map(|other| (after, other.abs_diff(day)));
            let (mut near, mut also) = (0..0, 0..0);
            let Some(distance) =
                [earlier, later].into_iter().flatten().map(|(_, distance)| distance).min()
            else {
                return;
            };
            if let Some((at, _)) = earlier.filter(|&(_, other)| other == distance) {
                near = self.starts[at]..self.starts[at + 1];
                before -= 1;
            }
            if let Some((at, _)) = later.filter(|&(_, other)| other == distance) {
                also = self.starts[at]..self.starts[at + 1];
                after += 1;
            }
            // The items of the two days as one list, shuffled no further than the slate has room.
            let entry = |at: usize| {
                if at < near.len() { near.start + at } else { also.start + at - near.len() }
            };
            let count = near.len() + also.len();
            for at in 0..count {
                if slate.len() == size {
                    break;
                }
                let pair = (entry(at), entry(stream.random_range(at..count)));
                self.items.swap(pair.0, pair.1);
                self.exchanged.push(pair);
                let item = self.items[pair.0];
                if !left_out(item) && !slate.contains(&item) {
                    slate.push(item);
                }
            }
            // A slate must not depend on those that were drawn before it.
            while let Some((a, b)) = self.exchanged.pop() {
                self.items.swap(a, b);
            }
        }
    }
}
