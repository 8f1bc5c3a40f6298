//! Groups of users, for halves of a log and for jackknife intervals. The sessions of a user depend
//! on each other, so they are always in the same group.

use foretaste_data::Log;
use foretaste_eval::choice::users;
use foretaste_eval::{Estimate, interval};
use foretaste_random::Seed;
use rand::seq::SliceRandom;

/// Deals these sessions of a log into so many parts, which `seed` draws: all sessions of a user
/// into one, and as many users into each, up to one. The sessions of a part keep their order.
pub fn dealt(log: &Log, sessions: &[usize], parts: usize, seed: Seed) -> Vec<Vec<usize>> {
    let users = users(log, sessions);
    let mut order: Vec<usize> = (0..users.iter().max().map_or(0, |last| last + 1)).collect();
    order.shuffle(&mut seed.derive("dealt").stream(0));
    let mut dealt = vec![Vec::new(); parts.max(1)];
    for (&session, user) in sessions.iter().zip(users) {
        dealt[order[user] % parts.max(1)].push(session);
    }
    dealt
}

/// Groups of users that a jackknife leaves out in turn.
const GROUPS: usize = 20;

/// For each of these sessions the group of its user, and the number of groups: users are dealt in
/// the order of the log.
pub(super) fn groups(log: &Log, sessions: &[usize]) -> (Vec<usize>, usize) {
    let users = users(log, sessions);
    let count = users.iter().max().map_or(0, |last| last + 1).min(GROUPS);
    (users.into_iter().map(|user| user % count.max(1)).collect(), count)
}

/// A figure with its [`jackknife`](interval::jackknife) over groups: `figure` is asked for it
/// without a group, and without none. None where it does not exist for one of them.
pub(super) fn jackknifed(
    groups: usize,
    mut figure: impl FnMut(Option<usize>) -> Option<f64>,
) -> Option<Estimate> {
    let whole = figure(None)?;
    let without: Vec<f64> = (0..groups).map(|group| figure(Some(group))).collect::<Option<_>>()?;
    interval::jackknife(whole, &without).ok()
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, ItemId, LogBuilder, Step};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_session_is_dealt_once_with_all_of_its_user(
            owners in prop::collection::vec(prop::option::of(0u32..20), 30..60),
            parts in 1usize..5,
            seed: u64,
        ) {
            let mut log = LogBuilder::default();
            for &owner in &owners {
                log.push(Step::new(&[ItemId(0)], Choice::Skip, 0.0)).unwrap();
                log.end_session(owner).unwrap();
            }
            let log = log.build();
            let all: Vec<usize> = (0..owners.len()).collect();
            let dealt = dealt(&log, &all, parts, Seed::new(seed));
            let mut named: Vec<u32> = owners.iter().copied().flatten().collect();
            named.sort_unstable();
            named.dedup();
            // Fewer than ten users are dealt by session.
            let single = owners.iter().filter(|owner| owner.is_none()).count();
            prop_assume!(named.len() + single >= 10);
            let mut again = dealt.concat();
            again.sort_unstable();
            prop_assert_eq!(again, all);
            let mut users_of: Vec<usize> = Vec::new();
            for part in &dealt {
                let mut named: Vec<u32> = part.iter().filter_map(|&at| owners[at]).collect();
                named.sort_unstable();
                named.dedup();
                let single = part.iter().filter(|&&at| owners[at].is_none()).count();
                users_of.push(named.len() + single);
                for other in dealt.iter().filter(|other| *other != part) {
                    let shared = |&at: &usize| owners[at].is_some_and(|of| named.contains(&of));
                    prop_assert!(!other.iter().any(shared));
                }
            }
            let (least, most) = (users_of.iter().min().unwrap(), users_of.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
