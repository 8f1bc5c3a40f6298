//! Whether propensities can be what they are said to be, as far as the log alone can tell.

use std::collections::HashMap;

use foretaste_data::{Dataset, ItemId, PropensityKind};

use super::findings::{Finding, answers};

/// Sums of a number over rows.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// Mean and standard error over `rows` rows, of which those not added are 0.
    fn mean(self, rows: u64) -> (f64, f64) {
        let rows = rows.max(1) as f64;
        let mean = self.sum / rows;
        let variance = (self.squares / rows - mean * mean).max(0.0);
        (mean, (variance / rows).sqrt())
    }
}

/// Propensities are written with few digits, and kept with seven.
const ROUNDING: f64 = 1.001;

/// What is found of the propensities.
pub fn findings(dataset: &Dataset) -> Vec<Finding> {
    let log = &dataset.log;
    let kind = log.facts().propensity;
    if log.sessions_with_propensities() == 0 {
        return vec![answers(None)];
    }
    let mut findings = vec![answers(Some(kind))];
    let (mut rows, mut ones, mut places, mut falling, mut several) = (0_u64, 0, 0, 0, 0_u64);
    let mut ratio = 0.0;
    let mut first: HashMap<ItemId, Sums> = HashMap::new();
    let mut inverse = Sums::default();
    let mut pooled = false;
    for session in log.iter() {
        for (t, step) in session.steps().enumerate() {
            let Some(propensity) = step.propensity else { continue };
            rows += 1;
            pooled |= session.candidates(t).is_some();
            places += propensity.len();
            ones += propensity.iter().filter(|&&p| p == 1.0).count();
            let weight = 1.0 / f64::from(propensity[0]);
            first.entry(step.slate[0]).or_default().add(weight);
            inverse.add(weight);
            if propensity.len() > 1 {
                several += 1;
                falling += u64::from(propensity.windows(2).all(|pair| pair[1] <= pair[0]));
                let last = f64::from(propensity[propensity.len() - 1] / propensity[0]);
                ratio += last.powf(1.0 / (propensity.len() - 1) as f64);
            }
        }
    }
    if ones == places && places > 0 {
        findings.push(Finding::wrong(
            "all-ones",
            "all propensities are 1",
            "this means that slates were never drawn at random, and no other recommender can be \
             judged: log the probabilities with which they were drawn",
        ));
        return findings;
    }
    const ENOUGH: u64 = 20;
    let products = several >= ENOUGH && falling == several && ratio < 0.6 * several as f64;
    if products && kind == PropensityKind::Conditional {
        findings.push(Finding::wrong(
            "cumulative",
            format!(
                "propensities decrease along every one of {several} slates, to {:.2} of those of \
                 the place before: they look like products along the slate",
                ratio / several as f64
            ),
            "if each is the product of those up to its place, import the log with --propensities \
             cumulative",
        ));
    }
    if kind != PropensityKind::Slate && !pooled {
        item_means(dataset, rows, &first, &mut findings);
        let (mean, error) = inverse.mean(rows);
        let items = dataset.catalogue.len() as f64;
        if rows >= 100 && mean - 5.0 * error > items * ROUNDING {
            findings.push(Finding::wrong(
                "too-small",
                format!(
                    "1 / propensity of the first place is {mean:.1} on average, of {items} items"
                ),
                "this cannot exceed the number of items: the propensities are too small",
            ));
        }
    }
    findings
}

/// The mean over rows of 1{item first} / propensity is 1 for every item that could be first on all
/// slates, and below 1 for others: never above.
fn item_means(
    dataset: &Dataset,
    rows: u64,
    first: &HashMap<ItemId, Sums>,
    findings: &mut Vec<Finding>,
) {
    // With fewer rows a mean is not close to normal. At 5 standard errors one item in 3.5 million
    // is flagged by chance.
    const FEWEST: u64 = 30;
    let mut above: Vec<(f64, f64, ItemId)> = first
        .iter()
        .filter(|(_, sums)| sums.count >= FEWEST)
        .map(|(&item, sums)| {
            let (mean, error) = sums.mean(rows);
            (mean, error, item)
        })
        .filter(|(mean, error, _)| mean - 5.0 * error > ROUNDING)
        .collect();
    above.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
    if let Some((mean, error, item)) = above.first() {
        let raw = dataset.catalogue.raw(*item);
        let constant = constant(dataset);
        let pattern = constant.map_or(String::new(), |p| {
            format!("; every first place has {p:.4}, as if all items were equally likely")
        });
        findings.push(Finding::wrong(
            "not-as-drawn",
            format!(
                "the mean over rows of 1{{item {raw} first}} / propensity is {mean:.3} ± {:.3}, \
                 but cannot exceed 1: {} items are shown more often than their propensities \
                 say{pattern}",
                1.96 * error,
                above.len()
            ),
            "log the probabilities with which the policy drew items, not 1 / n",
        ));
    }
}

/// The propensity of all first places, if there is one.
fn constant(dataset: &Dataset) -> Option<f32> {
    let mut steps = dataset.log.iter().flat_map(|session| session.steps());
    let first = steps.next()?.propensity?[0];
    steps.all(|step| step.propensity.is_some_and(|p| p[0] == first)).then_some(first)
}
