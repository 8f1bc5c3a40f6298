//! What a training learned from, and what is to be said of it.

use foretaste_data::ItemId;
use foretaste_eval::Estimate;
use foretaste_recommender::{Earned, Method, Recommender, Trained, TrainingLog};
use serde_json::{Value, json};

use crate::judge::page::{interval, signed};

/// A recommender that was trained.
pub struct Learned<'a> {
    method: Method,
    log: &'a TrainingLog<'a>,
    /// How many sessions of the log taught it anything.
    sessions: usize,
    /// What it earns in the users that it learned in.
    earned: Option<Earned>,
    /// How many taught the users anything that it learned in, if these were given.
    of_users: usize,
    recommender: &'a Recommender,
}

/// A share of the log below this is little.
const LITTLE: f64 = 0.1;
/// Fewer sessions with a click than this are few.
const FEW: usize = 100;
/// Slates whose first place has so much of the entropy of a uniform draw are nearly uniform.
const NEARLY_UNIFORM: f64 = 0.98;
/// Held-out histories that are asked about at most.
const HISTORIES: usize = 200;

impl<'a> Learned<'a> {
    /// By `method` from a log, or in its users, who learned from `of_users` sessions.
    pub fn new(
        method: Method,
        log: &'a TrainingLog<'a>,
        trained: &Trained,
        recommender: &'a Recommender,
        of_users: usize,
    ) -> Self {
        let Trained { sessions, earned, .. } = *trained;
        Self { method, log, sessions, earned, of_users, recommender }
    }

    /// What of the log was used.
    pub fn from(&self) -> String {
        let all = thousands(self.log.dataset.log.sessions());
        match self.in_given_users() {
            true => format!("learned in users who learned from {}", self.sessions_of_users()),
            false => format!("learned from {} of {all} sessions", thousands(self.sessions)),
        }
    }

    /// What speaks against what was learned.
    pub fn warnings(&self) -> anyhow::Result<Vec<String>> {
        let mut warnings = self.little();
        warnings.extend(self.nearly_uniform()?);
        warnings.extend(self.earned.as_ref().and_then(earns_little));
        Ok(warnings)
    }

    /// What it earns in the users that it learned in.
    pub fn earned_in_words(&self) -> Option<String> {
        let Earned { session, less_uniform, less_popular } = self.earned?;
        Some(format!(
            "in the users that it learned in, its reward of a session is {session}; the difference \
             from uniform slates is {}, and from the most clicked items {}",
            signed(&less_uniform),
            signed(&less_popular)
        ))
    }

    /// The same for machines.
    pub fn earned(&self) -> Value {
        self.earned.as_ref().map_or(Value::Null, |earned| {
            let of = |of: &Estimate| json!({ "mean": of.mean, "interval": interval(of) });
            json!({
                "sessions": earned.session.n,
                "session": of(&earned.session),
                "less_uniform": of(&earned.less_uniform),
                "less_popular": of(&earned.less_popular),
            })
        })
    }

    /// The entropy of the first place over held-out histories, where the recommender draws.
    pub fn first_place(&self) -> anyhow::Result<Value> {
        let uniform = (self.recommender.catalogue().len() as f64).ln();
        let entropy = self.entropy()?;
        Ok(entropy.map_or(Value::Null, |(entropy, histories)| {
            json!({ "entropy": entropy, "of_uniform": uniform, "histories": histories })
        }))
    }

    fn in_given_users(&self) -> bool {
        self.method.learns_in_users() && self.log.users.is_some()
    }

    fn sessions_of_users(&self) -> String {
        format!("{} sessions", thousands(self.of_users))
    }

    /// Where hardly anything was used. Who learns nothing, or in given users, used none by design.
    fn little(&self) -> Vec<String> {
        if self.method.learns_from(self.log).is_empty() {
            return Vec::new();
        }
        let mut warnings = Vec::new();
        let (all, with_click) = (self.log.dataset.log.sessions(), self.log.with_click().len());
        if (self.sessions as f64) < LITTLE * all as f64 {
            warnings.push(format!(
                "it learned from {} of {} sessions, less than a tenth; --percent sets how many it \
                 is given, and some methods learn nothing from sessions without a click",
                thousands(self.sessions),
                thousands(all)
            ));
        }
        if with_click < FEW {
            warnings.push(format!(
                "only {with_click} of the sessions that it learned from have a click, fewer than \
                 {FEW}: what it shows may be chance"
            ));
        }
        warnings
    }

    fn nearly_uniform(&self) -> anyhow::Result<Option<String>> {
        let items = self.recommender.catalogue().len();
        let uniform = (items as f64).ln();
        let near = |&(entropy, _): &(f64, usize)| entropy >= NEARLY_UNIFORM * uniform;
        Ok(self.entropy()?.filter(near).map(|(entropy, histories)| {
            format!(
                "its drawn slates are nearly uniform: over {histories} held-out histories the \
                 entropy of the first place is {entropy:.3} of at most {uniform:.3} nats, as if it \
                 were any of {:.0} of {items} items, so its slates are worth little more than \
                 random ones. With ,act=top after its name, judge, simulate and recommend show its \
                 most likely items instead; longer training, more sessions or fewer items make its \
                 draws less uniform",
                entropy.exp()
            )
        }))
    }

    /// The mean entropy of the first place, in nats, and over how many histories; none where the
    /// recommender does not draw, draws uniformly on purpose, or nothing is held out.
    fn entropy(&self) -> anyhow::Result<Option<(f64, usize)>> {
        if self.recommender.kind() == Recommender::UNIFORM {
            return Ok(None);
        }
        let histories = self.held_out();
        let entropy = self.recommender.first_place_entropy(&histories)?;
        Ok(entropy.map(|entropy| (entropy, histories.len())))
    }

    /// The clicks before the last slate of sessions that were not learned from.
    fn held_out(&self) -> Vec<Vec<ItemId>> {
        let log = &self.log.dataset.log;
        let mut learned = vec![false; log.sessions()];
        self.log.sessions.iter().for_each(|&session| learned[session] = true);
        let others = (0..log.sessions()).filter(|&session| !learned[session]).take(HISTORIES);
        let clicks = |session: usize| {
            let session = log.session(session);
            let before = session.steps().take(session.len().saturating_sub(1));
            before.filter_map(|step| step.choice.item()).collect()
        };
        others.map(clicks).collect()
    }
}

/// The policies that it does not beat, which know nothing of the users.
fn earns_little(earned: &Earned) -> Option<String> {
    let interval = |of: &Estimate| of.interval.map_or((of.mean, of.mean), |of| (of.low, of.high));
    let found = if interval(&earned.less_uniform).0 <= 0.0 {
        "not significantly more than uniform slates"
    } else if interval(&earned.less_popular).1 < 0.0 {
        "less than the items that were clicked most often"
    } else {
        return None;
    };
    Some(format!(
        "even in the users that it learned in, it earns {found}: it learned little. Try more \
         --iterations, another method, or fewer items, which need less experience"
    ))
}

/// With commas: 5,000.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let parts = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    parts.collect::<Vec<_>>().join(",")
}
