//! The shapes of a log: how long sessions and slates are, which items and places are clicked.

use foretaste_data::{Choice, Dataset};
use serde::Serialize;

/// Counts of a log, by what they are counted of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Profile {
    /// Sessions by their number of steps.
    pub lengths: Shape,
    /// Slates by their number of places.
    pub slates: Shape,
    /// Clicks on each place, from the first.
    pub clicks_by_place: Vec<u64>,
    /// Slates that have each place.
    pub slates_with_place: Vec<u64>,
    /// Slates of two places or more with a click, and those of them that are clicked where most
    /// are: at that place from the front, or from the back.
    pub clicked: u64,
    /// Of these, the most that one place from the front, or from the back, is right for.
    pub at_best_place: u64,
    /// Items that are shown, and those of them that are never chosen.
    pub items_shown: usize,
    /// Items that are shown and never chosen.
    pub never_chosen: usize,
    /// Share of the impressions that the most shown hundredth of the items has, at least one item.
    pub top_share: f64,
    /// Slates that are the same as the one before in their session.
    pub repeated_slates: u64,
    /// The least and the greatest reward of a step.
    pub rewards: [f32; 2],
    /// Steps without a choice that earned something.
    pub earned_without_choice: u64,
    /// The first and the last time.
    pub times: Option<[i64; 2]>,
    /// Sessions in which a time is before that of the step before.
    pub out_of_order: u64,
}

/// How many there are of each size, as powers of two, and the sizes themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shape {
    /// The smallest, the median and the largest.
    pub quantiles: [usize; 3],
    /// How many have size 1, 2 to 3, 4 to 7, and so on.
    pub by_power: Vec<u64>,
}

impl Shape {
    fn of(mut sizes: Vec<usize>) -> Self {
        sizes.sort_unstable();
        let mut by_power = Vec::new();
        for &size in &sizes {
            let power = size.max(1).ilog2() as usize;
            if by_power.len() <= power {
                by_power.resize(power + 1, 0);
            }
            by_power[power] += 1;
        }
        let at = |share: f64| {
            let place = (share * sizes.len().saturating_sub(1) as f64) as usize;
            sizes.get(place).copied().unwrap_or(0)
        };
        Self { quantiles: [at(0.0), at(0.5), at(1.0)], by_power }
    }
}

impl Profile {
    /// Counts a log.
    pub fn new(dataset: &Dataset) -> Self {
        let log = &dataset.log;
        let mut profile = Self { rewards: [f32::INFINITY, f32::NEG_INFINITY], ..Self::default() };
        let (mut from_back, mut both_ways) = (Vec::new(), Vec::new());
        let mut shown = vec![0_u64; dataset.catalogue.len()];
        let mut chosen = vec![false; dataset.catalogue.len()];
        let mut slates = Vec::with_capacity(log.steps());
        for session in log.iter() {
            let mut before = None;
            let mut falls = false;
            for (t, step) in session.steps().enumerate() {
                slates.push(step.slate.len());
                count(&mut profile.slates_with_place, step.slate.len());
                step.slate.iter().for_each(|item| shown[item.index()] += 1);
                let clicks = session.extras(t).clicks;
                let single = step.choice.item();
                let all = single.into_iter().chain(clicks.iter().skip(1).map(|(item, _)| *item));
                for item in all {
                    chosen[item.index()] = true;
                    let Some(place) = step.slate.iter().position(|other| *other == item) else {
                        continue;
                    };
                    add(&mut profile.clicks_by_place, place);
                    if step.slate.len() > 1 && Some(item) == single {
                        profile.clicked += 1;
                        add(&mut both_ways, place);
                        add(&mut from_back, step.slate.len() - 1 - place);
                    }
                }
                let [least, greatest] = &mut profile.rewards;
                (*least, *greatest) = (least.min(step.reward), greatest.max(step.reward));
                profile.earned_without_choice +=
                    u64::from(step.reward != 0.0 && !matches!(step.choice, Choice::Item(_)));
                if let Some((slate, time)) = before {
                    profile.repeated_slates += u64::from(slate == step.slate);
                    falls |= step.timestamp < time;
                }
                before = Some((step.slate, step.timestamp));
                if let Some(time) = step.timestamp {
                    let [first, last] = profile.times.get_or_insert([time; 2]);
                    (*first, *last) = (time.min(*first), time.max(*last));
                }
            }
            profile.out_of_order += u64::from(falls);
        }
        profile.at_best_place =
            both_ways.iter().chain(&from_back).copied().max().unwrap_or_default();
        profile.lengths = Shape::of(log.iter().map(|session| session.len()).collect());
        profile.slates = Shape::of(slates);
        profile.items_shown = shown.iter().filter(|&&count| count > 0).count();
        let never = |(count, chosen): &(&u64, &bool)| **count > 0 && !**chosen;
        profile.never_chosen = shown.iter().zip(&chosen).filter(never).count();
        shown.sort_unstable_by_key(|&count| std::cmp::Reverse(count));
        let top = profile.items_shown.div_ceil(100);
        let all: u64 = shown.iter().sum();
        profile.top_share = shown[..top].iter().sum::<u64>() as f64 / all.max(1) as f64;
        profile
    }

    /// Whether one place of the slate is right for so many clicks that the order gives them away.
    pub fn place_tells(&self) -> bool {
        // What a place reaches by chance is half where slates have two.
        self.clicked >= 100 && self.at_best_place as f64 > 0.9 * self.clicked as f64
    }

    /// The shapes as lines for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let shape = |name: &str, shape: &Shape| {
            let [least, median, most] = shape.quantiles;
            let bars = bars(&shape.by_power);
            format!("{name:20}  {bars}  1, 2-3, 4-7, …: {least} to {most}, median {median}")
        };
        let mut lines = vec![shape("session lengths", &self.lengths)];
        lines.push(shape("slate sizes", &self.slates));
        if self.clicks_by_place.iter().any(|&clicks| clicks > 0) {
            const MOST: usize = 40;
            let places = self.clicks_by_place.iter().zip(&self.slates_with_place);
            let rates: Vec<f64> =
                places.map(|(&clicks, &slates)| clicks as f64 / slates.max(1) as f64).collect();
            let scale = rates.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
            let heights: Vec<u64> =
                rates.iter().take(MOST).map(|rate| (1000.0 * rate / scale) as u64).collect();
            lines.push(format!(
                "{:20}  {}  from the first place, {:.1} % at most",
                "click rate by place",
                bars(&heights),
                100.0 * scale
            ));
        }
        lines
    }
}

/// Adds one to the count at a place.
fn add(counts: &mut Vec<u64>, place: usize) {
    if counts.len() <= place {
        counts.resize(place + 1, 0);
    }
    counts[place] += 1;
}

/// Adds one to the counts before a place.
fn count(counts: &mut Vec<u64>, places: usize) {
    if counts.len() < places {
        counts.resize(places, 0);
    }
    counts[..places].iter_mut().for_each(|count| *count += 1);
}

/// Counts as bars, the greatest whole.
fn bars(counts: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let height = |count: u64| (7 * count).div_ceil(most) as usize;
    counts.iter().map(|&count| BARS[height(count).min(7)]).collect()
}
