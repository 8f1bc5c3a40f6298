//! Propensities of a log that has none: a model of the policy that made it.

use std::collections::HashMap;

use foretaste_data::{ItemId, Log, Session};
use foretaste_eval::counterfactual::Sessions;
use foretaste_eval::{Estimate, Interval};
use serde_json::{Value, json};

use super::reward_model::Halves;

/// Pseudo-counts of which the likeliest is taken.
const SMOOTHING: [f64; 6] = [0.1, 1.0, 10.0, 100.0, 1e3, 1e4];

/// Pseudo-counts behind what follows a click.
const AFTER_A_CLICK: f64 = 20.0;

/// A gain of so many nats a slate by the last click is a policy that looks at it.
const LOOKS_AT_CLICKS: f64 = 0.01;

/// Groups of items whose shares are compared.
const GROUPS: usize = 5;

/// A group that is shown so much more or less often than was predicted, as a share of what was, is
/// badly predicted, where that is no chance: four standard errors.
const BADLY: f64 = 0.2;

/// The items that do not stand above, in proportion to how often each stood at the place in other
/// sessions where it did not stand above, whatever the user did: a multinomial for each place,
/// smoothed towards the popularity of items at any place (Dirichlet).
struct Model {
    /// Of each place, of each item.
    weights: Vec<Vec<f64>>,
    totals: Vec<f64>,
    /// Of what is shown first after a click on an item.
    after: HashMap<ItemId, (HashMap<ItemId, f64>, f64)>,
}

/// The propensities of the judged places, and what speaks for and against them.
pub struct EstimatedPropensities {
    /// `[places]`.
    pub of_places: Vec<f64>,
    /// Pseudo-counts.
    smoothing: f64,
    /// Nats a place, of sessions that the model has not seen.
    nll: f64,
    /// The same of a uniform policy.
    nll_of_uniform: f64,
    /// What the last click tells of the first place, in nats a slate.
    by_click: Estimate,
    /// Predicted and shown shares of the groups, at the first place.
    groups: Vec<(f64, f64)>,
    /// Number of slates.
    slates: f64,
}

impl EstimatedPropensities {
    /// Of the judged sessions. The model of a session is fitted on `others` and the half of
    /// `judged` that the session does not belong to; how much is smoothed is what makes all of it
    /// likeliest.
    pub fn new(judged: &Log, others: &Log, items: usize) -> anyhow::Result<Self> {
        let fitted = SMOOTHING.map(|smoothing| {
            let models = Halves::make(|own| {
                let half = judged.iter().filter(|session| session.index() % 2 != own);
                Model::fit(others.iter().chain(half), judged, items, smoothing)
            });
            let of_places = places(judged, &models);
            let nll = -of_places.iter().map(|p| p.ln()).sum::<f64>() / of_places.len() as f64;
            (nll, smoothing, models, of_places)
        });
        let best = fitted.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let (nll, smoothing, models, of_places) =
            best.ok_or_else(|| anyhow::anyhow!("there is no model of the logging policy"))?;
        let uniform = judged.iter().flat_map(|session| {
            (0..session.len()).flat_map(move |t| {
                let all = session.candidates(t).map_or(items, <[ItemId]>::len);
                (0..session.step(t).slate.len()).map(move |place| ((all - place) as f64).ln())
            })
        });
        let nll_of_uniform = uniform.sum::<f64>() / of_places.len() as f64;
        let by_click = by_click(judged, &models)?;
        let groups = groups(judged, &models, items);
        let slates = judged.steps() as f64;
        Ok(Self { of_places, smoothing, nll, nll_of_uniform, by_click, groups, slates })
    }

    /// What they are, loudly.
    pub fn notes(&self) -> Vec<String> {
        let shares: Vec<String> = self
            .groups
            .iter()
            .map(|(predicted, shown)| {
                format!("{:.1}% for {:.1}%", 100.0 * shown, 100.0 * predicted)
            })
            .collect();
        vec![
            format!(
                "THE PROPENSITIES ARE ESTIMATED from how often items have a place in other \
                 sessions, regardless of what the user did ({} pseudo-counts). If the policy that \
                 made the log took anything else into account, all weights are wrong, and the \
                 intervals do not include that error",
                self.smoothing
            ),
            format!(
                "that model predicts what was shown with {:.3} nats a place, uniform slates with \
                 {:.3}; the user's last click would explain {} nats more of a first place",
                self.nll, self.nll_of_uniform, self.by_click
            ),
            format!(
                "shares shown and predicted at the first place, by groups of items: {}",
                shares.join(", ")
            ),
        ]
    }

    /// Why nothing is to be decided by them.
    pub fn against(&self) -> Vec<String> {
        let mut against = Vec::new();
        if let Ok(Interval { low, .. }) = self.by_click.interval
            && low > LOOKS_AT_CLICKS
        {
            against.push(format!(
                "the propensities are estimated by a model without clicks, but the policy that \
                 made the log took clicks into account: they explain {} nats a slate of what it \
                 showed",
                self.by_click
            ));
        }
        let badly = |(predicted, shown): &&(f64, f64)| {
            let off = (shown - predicted).abs();
            off > BADLY * predicted && off > 4.0 * (predicted / self.slates).sqrt()
        };
        if let Some((predicted, shown)) = self.groups.iter().find(badly) {
            against.push(format!(
                "the propensities are estimated badly: items that should have {:.1}% of the first \
                 places have {:.1}%",
                100.0 * predicted,
                100.0 * shown
            ));
        }
        against
    }

    /// As an object.
    pub fn json(&self) -> Value {
        let group =
            |(predicted, shown): &(f64, f64)| json!({ "predicted": predicted, "shown": shown });
        json!({
            "smoothing": self.smoothing,
            "nll": self.nll,
            "nll_of_uniform": self.nll_of_uniform,
            "gain_by_last_click": self.by_click.mean,
            "calibration": self.groups.iter().map(group).collect::<Vec<_>>(),
        })
    }
}

impl Model {
    fn fit<'a>(
        sessions: impl Iterator<Item = Session<'a>>,
        judged: &Log,
        items: usize,
        smoothing: f64,
    ) -> Self {
        let slates = judged.iter().flat_map(|session| session.steps().map(|step| step.slate.len()));
        let longest = slates.max().unwrap_or(0);
        let mut counts = vec![vec![0.0; items]; longest];
        let mut popularity = vec![1.0; items];
        let mut after: HashMap<ItemId, (HashMap<ItemId, f64>, f64)> = HashMap::new();
        for session in sessions {
            let mut last = None;
            for step in session.steps() {
                for (place, item) in step.slate.iter().enumerate() {
                    popularity[item.index()] += 1.0;
                    if let Some(counts) = counts.get_mut(place) {
                        counts[item.index()] += 1.0;
                    }
                }
                if let (Some(last), Some(first)) = (last, step.slate.first()) {
                    let (counts, all) = after.entry(last).or_default();
                    *counts.entry(*first).or_default() += 1.0;
                    *all += 1.0;
                }
                last = step.choice.item().or(last);
            }
        }
        let all: f64 = popularity.iter().sum();
        // Of the slates that are so long, those with an item above say nothing of it.
        let mut above = vec![0.0; items];
        for counts in &mut counts {
            let slates: f64 = counts.iter().sum();
            for (item, count) in counts.iter_mut().enumerate() {
                let own = *count;
                let could = (slates - above[item]).max(own).max(1.0) / slates.max(1.0);
                *count = own / could + smoothing * popularity[item] / all;
                above[item] += own;
            }
        }
        let totals = counts.iter().map(|counts| counts.iter().sum()).collect();
        Self { weights: counts, totals, after }
    }

    /// The probability of each place of a slate, given those before it.
    fn slate(&self, slate: &[ItemId], candidates: Option<&[ItemId]>) -> Vec<f64> {
        let of_place = |place: usize| {
            let weights = &self.weights[place];
            let of = |items: &[ItemId]| items.iter().map(|item| weights[item.index()]).sum::<f64>();
            let all = candidates.map_or(self.totals[place], of);
            let left = all - of(&slate[..place]);
            let own = weights[slate[place].index()];
            (own / left.max(own)).min(1.0)
        };
        (0..slate.len()).map(of_place).collect()
    }

    /// What a click before it tells of the first place of a slate, in nats.
    fn gain(&self, last: ItemId, first: ItemId) -> f64 {
        let plain = self.weights[0][first.index()] / self.totals[0];
        let (count, all) = self
            .after
            .get(&last)
            .map_or((0.0, 0.0), |(counts, all)| (counts.get(&first).copied().unwrap_or(0.0), *all));
        ((count + AFTER_A_CLICK * plain) / (all + AFTER_A_CLICK) / plain).ln()
    }
}

fn places(judged: &Log, models: &Halves<Model>) -> Vec<f64> {
    let of_session = |session: Session<'_>| {
        let model = models.of(session.index());
        let of_step = |t: usize| model.slate(session.step(t).slate, session.candidates(t));
        (0..session.len()).flat_map(of_step).collect::<Vec<_>>()
    };
    judged.iter().flat_map(of_session).collect()
}

/// The mean over slates of what the last click tells of the first place; 0 before any.
fn by_click(judged: &Log, models: &Halves<Model>) -> anyhow::Result<Estimate> {
    let (mut gains, mut lengths) = (Vec::new(), Vec::new());
    for session in judged.iter() {
        let mut last = None;
        for step in session.steps() {
            let model = models.of(session.index());
            gains.push(last.map_or(0.0, |last| model.gain(last, step.slate[0])));
            last = step.choice.item().or(last);
        }
        lengths.push(session.len());
    }
    let all: Vec<usize> = (0..lengths.len()).collect();
    let drift = Sessions::new(&lengths)?.drift(&gains, &[all])?;
    drift.parts.into_iter().next().ok_or_else(|| anyhow::anyhow!("there are no sessions"))
}

/// Items in groups of about equal predicted share at the first place, the likeliest first: what was
/// predicted and what was shown, in sessions that the model has not seen.
fn groups(judged: &Log, models: &Halves<Model>, items: usize) -> Vec<(f64, f64)> {
    let (mut predicted, mut shown) = (vec![0.0; items], vec![0.0; items]);
    let slates = judged.steps() as f64;
    for session in judged.iter() {
        for step in session.steps() {
            shown[step.slate[0].index()] += 1.0 / slates;
        }
    }
    for own in 0..2 {
        let of_half = judged.iter().filter(|session| session.index() % 2 == own);
        let share = of_half.map(|session| session.len() as f64).sum::<f64>() / slates;
        let model = models.of(own);
        for (predicted, weight) in predicted.iter_mut().zip(&model.weights[0]) {
            *predicted += share * weight / model.totals[0];
        }
    }
    let mut order: Vec<usize> = (0..items).collect();
    order.sort_by(|&a, &b| predicted[b].total_cmp(&predicted[a]).then(a.cmp(&b)));
    let mut groups = Vec::new();
    let (mut of_group, mut before) = ((0.0, 0.0), 0.0);
    for item in order {
        of_group.0 += predicted[item];
        of_group.1 += shown[item];
        let bound = (groups.len() + 1) as f64 / GROUPS as f64;
        if before + of_group.0 >= bound - 1e-9 {
            before += of_group.0;
            groups.push(std::mem::take(&mut of_group));
        }
    }
    // What rounding leaves.
    if of_group.0 > 0.0 {
        groups.push(of_group);
    }
    groups
}
