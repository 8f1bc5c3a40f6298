//! Which generated slates the log supports, for the setting that ignores all others. The question
//! is ours, not the paper's: an agent can exploit errors of U about items that were never shown
//! together.

use std::collections::HashMap;

use foretaste_data::{ItemId, Log};

use crate::Buffer;

/// On how many slates of a log any two items stood together.
///
/// U learns from a slate which of its items users prefer. Of two items that were never shown
/// together it knows nothing: an agent that may choose any slate finds those on which U is wrong in
/// its favor.
#[derive(Debug)]
pub(crate) struct Support(HashMap<(u32, u32), u32>);

impl Support {
    /// Of the slates on which something was clicked or the user left.
    pub fn new(log: &Log) -> Self {
        let mut together = HashMap::new();
        for step in log.iter().flat_map(|session| session.steps()) {
            pairs(step.slate).for_each(|pair| *together.entry(pair).or_insert(0) += 1);
        }
        Self(together)
    }

    /// Whether every two items of a slate stood together on at least `least` slates.
    fn holds(&self, slate: &[ItemId], least: u32) -> bool {
        pairs(slate).all(|pair| self.0.get(&pair).copied().unwrap_or(0) >= least)
    }

    /// Trajectories count up to their first slate that the log does not support: from there on
    /// their scores are 0.
    pub fn restrict(&self, generated: &mut Buffer, least: u32) {
        let mut start = 0;
        for session in generated.log.iter() {
            let steps = session.steps();
            let supported = steps.take_while(|step| self.holds(step.slate, least)).count();
            generated.scores[start + supported..start + session.len()].fill(0.0);
            start += session.len();
        }
    }
}

/// The pairs of items of a slate, the smaller index first.
fn pairs(slate: &[ItemId]) -> impl Iterator<Item = (u32, u32)> {
    let pair = |a: ItemId, b: ItemId| (a.0.min(b.0), a.0.max(b.0));
    slate
        .iter()
        .enumerate()
        .flat_map(move |(at, &a)| slate[at + 1..].iter().map(move |&b| pair(a, b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::log_of;

    proptest! {
        #[test]
        fn trajectories_count_up_to_the_first_slate_with_a_pair_that_was_shown_too_rarely(
            logged in prop::collection::vec(prop::collection::vec(0u32..5, 1..4), 1..12),
            made in prop::collection::vec(prop::collection::vec(prop::collection::vec(0u32..5, 1..4), 1..5), 1..5),
            least in 0u32..4,
        ) {
            let distinct = |slate: &Vec<u32>| {
                let mut slate = slate.clone();
                slate.sort_unstable();
                slate.dedup();
                slate
            };
            let session = |slates: &[Vec<u32>]| {
                slates.iter().map(|slate| (distinct(slate), Some(slate[0]), 0.0)).collect::<Vec<_>>()
            };
            let log = log_of(&[session(&logged)]);
            let mut generated = Buffer::real(log_of(&made.iter().map(|slates| session(slates)).collect::<Vec<_>>()));
            Support::new(&log).restrict(&mut generated, least);
            let together = |a: u32, b: u32| {
                logged.iter().filter(|slate| slate.contains(&a) && slate.contains(&b)).count() as u32
            };
            let mut expected = Vec::new();
            for slates in &made {
                let mut counts = true;
                for slate in slates {
                    for &a in slate {
                        counts &= slate.iter().all(|&b| a == b || together(a, b) >= least);
                    }
                    expected.push(if counts { 1.0 } else { 0.0 });
                }
            }
            prop_assert_eq!(generated.scores, expected);
        }
    }
}
