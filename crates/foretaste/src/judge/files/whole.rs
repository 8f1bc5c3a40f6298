//! Policies that are completely in a file, and do not depend on the session.

use foretaste_data::{ItemId, PropensityKind};

use super::{Beside, Found, Place, Tree};
use crate::judge::columns::{Alone, Columns, NO_MARGINALS, Unseen};
use crate::judge::logged::{Items, Logged};
use crate::judge::reward_model::{RewardModel, RewardModels};

impl Found {
    pub(super) fn of_table(
        &self,
        tree: &Tree,
        beside: &Beside<'_>,
        items: &Items,
    ) -> anyhow::Result<Columns> {
        let Beside { logged, models, .. } = beside;
        let lacks = |before: &[ItemId]| {
            let names: Vec<&str> = before.iter().map(|&item| items.name(item)).collect();
            self.file.unfit(format!(
                "has no rows of place {} after {:?}, which the policy can reach, and slates of the \
                 log have {} places",
                before.len(),
                names.join(" "),
                logged.longest()
            ))
        };
        // What is shown up to each place, with its probability.
        let mut shown = vec![vec![(Vec::new(), 1.0)]];
        for place in 0..logged.longest() {
            let mut longer = Vec::new();
            for (before, probability) in &shown[place] {
                let next = tree.get(before).ok_or_else(|| lacks(before))?;
                for &(item, prob) in next.iter().filter(|(_, prob)| *prob > 0.0) {
                    let mut slate = before.clone();
                    slate.push(item);
                    longer.push((slate, probability * prob));
                }
            }
            shown.push(longer);
        }
        let mut places = vec![Place::new(); logged.longest()];
        for (place, slates) in shown[1..].iter().enumerate() {
            for (slate, probability) in slates {
                places[place].entry(slate[place]).or_default().0 += probability;
            }
        }
        let (mut given, mut alone, mut ahead) = (vec![], vec![], vec![]);
        for (session, slate) in logged.each() {
            let model = models.of(session);
            for place in 0..slate.len() {
                let next = tree.get(&slate[..place]).map_or(&[][..], Vec::as_slice);
                let of = |&(item, prob): &(ItemId, f64)| (item == slate[place]).then_some(prob);
                given.push(next.iter().find_map(of).unwrap_or(0.0));
                ahead.push(next.iter().map(|&(item, prob)| prob * model.of_item(item)).sum());
                alone.push(places[place].get(&slate[place]).map_or(0.0, |of| of.0));
            }
        }
        let unseen_slates = shown.iter().map(|slates| {
            let unseen = slates.iter().filter(|(slate, _)| !logged.shown.slate(slate));
            unseen.fold(0.0, |sum, (_, probability)| sum + probability)
        });
        let unseen = Unseen {
            slates: Some(mean_by_length(logged, &unseen_slates.collect::<Vec<f64>>())),
            ..unseen_places(&places, logged)
        };
        let alone = match (logged.kind, logged.single()) {
            (PropensityKind::Marginal, _) | (_, true) => Ok(Alone::by_log(&logged.logging, alone)),
            _ => Err(NO_MARGINALS.to_owned()),
        };
        Ok(Columns {
            given: Ok(given),
            alone,
            expected: Ok(expected(&places, logged, models)),
            ahead: Ok(ahead),
            unseen: Ok(unseen),
        })
    }

    pub(super) fn of_marginals(
        &self,
        places: &[Place],
        beside: &Beside<'_>,
        items: &Items,
    ) -> anyhow::Result<Columns> {
        let Beside { logged, models, .. } = beside;
        if places.len() < logged.longest() {
            let (found, expected) = (places.len(), logged.longest());
            return Err(self
                .file
                .unfit(format!("has {found} places, and slates of the log have {expected}"))
                .into());
        }
        let (mut policy, mut logging) = (vec![], vec![]);
        let mut everywhere = [vec![], vec![]];
        let same = logged.lengths.iter().all(|&length| length == logged.longest());
        for (_, slate) in logged.each() {
            for (place, item) in slate.iter().enumerate() {
                let of = |place: usize| places[place].get(item).copied().unwrap_or_default();
                let (own, log) = of(place);
                if log == 0.0 {
                    let problem = format!(
                        "logging: {:?} is at place {place} of a slate of the log, where according \
                         to the file it never is",
                        items.name(*item)
                    );
                    return Err(self.file.unfit(problem).into());
                }
                policy.push(own);
                logging.push(log);
                if same {
                    for (own, log) in (0..slate.len()).map(of) {
                        everywhere[0].push(log);
                        everywhere[1].push(own);
                    }
                }
            }
        }
        let everywhere = match same {
            true => Ok(everywhere),
            false => Err("these estimators need slates of one length".to_owned()),
        };
        let given = match logged.single() {
            true => Ok(policy.clone()),
            false => {
                Err("these estimators need the probability of an item conditional on those before \
                     it, and the file has it regardless of those"
                    .to_owned())
            }
        };
        let ahead = match logged.single() {
            true => Ok(expected_items(places, logged, models)),
            false => given.as_ref().map(|_| vec![]).map_err(String::clone),
        };
        let unseen = unseen_places(places, logged);
        let of_slates = logged.single().then_some(unseen.places);
        Ok(Columns {
            given,
            alone: Ok(Alone { logging, policy, everywhere }),
            expected: Ok(expected(places, logged, models)),
            ahead,
            unseen: Ok(Unseen { slates: of_slates, ..unseen }),
        })
    }
}

/// What q̂ expects of slates whose items have these probabilities at each place, which is all that
/// a sum or a mean over their items asks for: `[slates]`.
fn expected(places: &[Place], logged: &Logged<'_>, models: &RewardModels) -> Vec<f64> {
    let of_slate = |model: &RewardModel, length: usize| {
        let items = places[..length].iter().flatten();
        items.map(|(&item, of)| of.0 * model.share(item, length)).sum()
    };
    let by_length = |model: &RewardModel| -> Vec<f64> {
        (0..=logged.longest()).map(|length| of_slate(model, length)).collect()
    };
    let known = models.each(by_length);
    logged.each().map(|(session, slate)| known.of(session)[slate.len()]).collect()
}

/// The same of single items, where slates are of one.
fn expected_items(places: &[Place], logged: &Logged<'_>, models: &RewardModels) -> Vec<f64> {
    let of = |model: &RewardModel| -> f64 {
        places[0].iter().map(|(&item, of)| of.0 * model.of_item(item)).sum()
    };
    let known = models.each(of);
    logged.each().map(|(session, _)| *known.of(session)).collect()
}

fn unseen_places(places: &[Place], logged: &Logged<'_>) -> Unseen {
    let of_place = |(at, place): (usize, &Place)| -> f64 {
        let unseen = place.iter().filter(|(item, _)| !logged.shown.at(at, **item));
        unseen.fold(0.0, |sum, (_, of)| sum + of.0)
    };
    let by_place: Vec<f64> = places.iter().enumerate().map(of_place).collect();
    let of_slate =
        |length: usize| by_place[..length].iter().fold(0.0, |a, b| a + b) / length.max(1) as f64;
    let by_length: Vec<f64> = (0..=logged.longest()).map(of_slate).collect();
    Unseen { places: mean_by_length(logged, &by_length), slates: None }
}

/// The mean over the judged slates of what is known of slates of each length.
fn mean_by_length(logged: &Logged<'_>, by_length: &[f64]) -> f64 {
    logged.lengths.iter().map(|&length| by_length[length]).sum::<f64>() / logged.slates() as f64
}
