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
            .map(|items| {
                let count = items.len() as f64;
                Group {
                    shown: items.len(),
                    predicted: items.iter().map(|(chance, _)| chance).sum::<f64>() / count,
                    observed: items.iter().filter(|(_, clicked)| *clicked).count() as f64 / count,
                }
            })
            .collect();
        let distance = |group: &Group| {
            group.shown as f64 / all as f64 * (group.predicted - group.observed).abs()
        };
        Self { error: groups.iter().map(distance).sum(), groups }
    }
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
}
