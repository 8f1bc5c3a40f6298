//! Are the chances of clicks that a model predicts the shares of clicks in the log? By groups of
//! equal chance, and by place and number of clicks before.

use std::collections::BTreeMap;

use foretaste_data::Log;
use foretaste_eval::choice::Prediction;
use serde::Serialize;

/// How far the chances that a model gives items are the shares that are clicked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// The expected calibration error: the mean over the groups, weighted by their size, of the
    /// distance between the two (Naeini, Cooper & Hauskrecht 2015, with groups of one size).
    pub error: f64,
    /// The groups, from the least predicted chance to the greatest.
    pub groups: Vec<Group>,
}

/// Items that are given about the same chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Group {
    /// How often one of them is shown.
    pub shown: usize,
    /// Their mean chance.
    pub predicted: f64,
    /// The share that was clicked.
    pub observed: f64,
}

/// An item on a slate of a log: the chance that a model gave it, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// The chance of a click, choosing nothing among the options.
    pub chance: f64,
    /// Whether it was clicked.
    pub clicked: bool,
    /// Its place on the slate, from 0.
    pub place: usize,
    /// Clicks of the session before.
    pub history: usize,
}

/// The items of the slates of these sessions, in order, with the chances that `predictions`, one a
/// slate, give them. A model that speaks only of slates with a click gives chances on those.
pub fn shown(log: &Log, sessions: &[usize], predictions: &[Prediction]) -> Vec<Shown> {
    let (mut all, mut predictions) = (Vec::new(), predictions.iter());
    for &session in sessions {
        let mut history = 0;
        for (step, prediction) in log.session(session).steps().zip(predictions.by_ref()) {
            let clicked = step.choice.item();
            let given = prediction.log_given_choice.as_ref().filter(|_| clicked.is_some());
            let chances = prediction.log_choice.as_ref().or(given);
            let items = step.slate.iter().zip(chances.into_iter().flatten()).enumerate();
            all.extend(items.map(|(place, (item, log_p))| Shown {
                chance: log_p.exp(),
                clicked: clicked == Some(*item),
                place,
                history,
            }));
            history += usize::from(clicked.is_some());
        }
    }
    all
}

/// The first numbers of clicks of the groups by length of the history.
pub(super) const HISTORIES: [usize; 6] = [0, 1, 2, 4, 8, 16];

/// The group of a history of so many clicks: the largest of 0, 1, 2, 4, 8 and 16 that is not above.
pub(super) fn history_group(clicks: usize) -> usize {
    HISTORIES.iter().copied().filter(|&from| from <= clicks).max().unwrap_or(0)
}

const GROUPS: usize = 10;

impl Calibration {
    /// Of items that are given a chance, and are clicked or not: in ten groups of one size, or in
    /// fewer where there are fewer items.
    pub fn new(mut items: Vec<(f64, bool)>) -> Self {
        // Those of one chance stay in the order of the log, which does not know it.
        items.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = items.len();
        let bounds = (0..GROUPS).map(|group| group * all / GROUPS..(group + 1) * all / GROUPS);
        let groups: Vec<Group> = bounds
            .map(|range| &items[range])
            .filter(|items| !items.is_empty())
            .map(Group::of)
            .collect();
        let distance = |group: &Group| {
            group.shown as f64 / all as f64 * (group.predicted - group.observed).abs()
        };
        Self { error: groups.iter().map(distance).sum(), groups }
    }
}

impl Group {
    /// Of some items, at least one.
    fn of(items: &[(f64, bool)]) -> Self {
        let count = items.len() as f64;
        Self {
            shown: items.len(),
            predicted: items.iter().map(|(chance, _)| chance).sum::<f64>() / count,
            observed: items.iter().filter(|(_, clicked)| *clicked).count() as f64 / count,
        }
    }
}

/// The items in groups by their place on the slate, from 0.
pub fn by_place(items: &[Shown]) -> Vec<(usize, Group)> {
    grouped(items, |item| item.place)
}

/// The items in groups by the number of clicks before: 0, 1, from 2, from 4, from 8, from 16.
pub fn by_history(items: &[Shown]) -> Vec<(usize, Group)> {
    grouped(items, |item| history_group(item.history))
}

fn grouped(items: &[Shown], key: impl Fn(&Shown) -> usize) -> Vec<(usize, Group)> {
    let mut groups: BTreeMap<usize, Vec<(f64, bool)>> = BTreeMap::new();
    for item in items {
        groups.entry(key(item)).or_default().push((item.chance, item.clicked));
    }
    groups.into_iter().map(|(key, items)| (key, Group::of(&items))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: ten of twenty items at 0.1, of which one is clicked, and ten at 0.9, of which five
    /// are: half of the groups are right, and half are off by 0.4.
    #[test]
    fn the_error_is_the_mean_distance_of_chances_and_shares() {
        let of =
            |chance: f64, clicked: usize| (0..100).map(move |item| (chance, item % 10 < clicked));
        let found = Calibration::new(of(0.1, 1).chain(of(0.9, 5)).collect());
        assert_eq!(found.groups.len(), 10);
        assert!(found.groups.iter().all(|group| group.shown == 20), "{found:?}");
        assert!((found.error - 0.2).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn few_items_make_few_groups_and_none_is_lost() {
        let found = Calibration::new(vec![(0.7, true), (0.2, false), (0.3, false)]);
        let shown: Vec<usize> = found.groups.iter().map(|group| group.shown).collect();
        assert_eq!(shown, [1, 1, 1]);
        assert_eq!(found.groups[0].predicted, 0.2);
        assert!((found.error - (0.2 + 0.3 + 0.3) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn groups_by_place_and_history_are_counted_by_hand() {
        let at = |place, history, chance, clicked| Shown { chance, clicked, place, history };
        let items =
            [at(0, 0, 0.2, true), at(1, 0, 0.4, false), at(0, 5, 0.6, false), at(1, 7, 0.8, true)];
        let group = |shown, predicted, observed| Group { shown, predicted, observed };
        assert_eq!(
            by_place(&items),
            [(0, group(2, 0.4, 0.5)), (1, group(2, (0.4 + 0.8) / 2.0, 0.5))]
        );
        let by_history = by_history(&items);
        assert_eq!(by_history[0].0, 0);
        assert_eq!((by_history[1].0, by_history[1].1.shown), (4, 2));
        assert!((by_history[1].1.predicted - 0.7).abs() < 1e-12);
    }
}
