//! Which clicks two models are compared on, one by one, and whose clicks they are: the clicks of a
//! user depend on each other, so intervals of differences go by users.

use std::collections::HashMap;

use foretaste_data::Log;

use super::{Prediction, place};
use crate::{Error, Estimate, Result, interval};

/// The clicks of some sessions of a log: what models of choice are compared on.
#[derive(Clone, Debug)]
pub struct Clicks {
    places: Vec<(usize, usize)>,
    clusters: Vec<usize>,
}

impl Clicks {
    /// Those of these sessions.
    pub fn new(log: &Log, sessions: &[usize]) -> Self {
        let (mut places, mut clusters, mut slates) = (Vec::new(), Vec::new(), 0);
        for (&session, user) in sessions.iter().zip(users(log, sessions)) {
            for step in log.session(session).steps() {
                if let Some(place) = place(step.slate, step.choice.item()) {
                    places.push((slates, place));
                    clusters.push(user);
                }
                slates += 1;
            }
        }
        Self { places, clusters }
    }

    /// Which slate each click is on, in the order of the sessions, and at which place; from 0.
    pub fn places(&self) -> &[(usize, usize)] {
        &self.places
    }

    /// Minus the logarithm of the chance that each click had given that an item was clicked; none
    /// from a model without chances. Infinite where a click was ruled out.
    pub fn losses(&self, predictions: &[Prediction]) -> Option<Vec<f64>> {
        let loss = |&(slate, place): &(usize, usize)| {
            Some(-predictions.get(slate)?.log_given_choice.as_ref()?.get(place)?)
        };
        self.places.iter().map(loss).collect()
    }

    /// The mean over clicks of `a - b`, both `[clicks]`, with Student's interval over users, or
    /// over sessions where the log names no user: that of a [`ratio`](interval::ratio).
    ///
    /// # Errors
    /// Where there is no click, a number is not finite, or the lengths differ.
    pub fn difference(&self, a: &[f64], b: &[f64]) -> Result<Estimate> {
        const WHAT: &str = "difference of losses";
        for values in [a, b] {
            if values.len() != self.places.len() {
                let (left, right) = (values.len(), self.places.len());
                return Err(Error::Lengths { what: WHAT, left, right });
            }
        }
        let mut sums: HashMap<usize, usize> = HashMap::new();
        let mut of_users: Vec<(f64, f64)> = Vec::new();
        for (cluster, (a, b)) in self.clusters.iter().zip(a.iter().zip(b)) {
            let at = *sums.entry(*cluster).or_insert(of_users.len());
            if at == of_users.len() {
                of_users.push((0.0, 0.0));
            }
            of_users[at].0 += a - b;
            of_users[at].1 += 1.0;
        }
        interval::ratio(&of_users)
    }
}

/// With fewer users than this in a log, they are no sample of users: groups of them, as a rule.
const FEWEST_USERS: usize = 10;

/// Whose each of these sessions is: users are numbered from 0 in the order of their first session,
/// and a session without a user is a user of its own. Where there are fewer than ten, which say
/// nothing of other users, each session counts as one.
pub fn users(log: &Log, sessions: &[usize]) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let number = |&session: &usize| {
        let next = numbers.len();
        *numbers.entry(log.session(session).user().ok_or(session)).or_insert(next)
    };
    let users: Vec<usize> = sessions.iter().map(number).collect();
    if numbers.len() < FEWEST_USERS { (0..sessions.len()).collect() } else { users }
}
