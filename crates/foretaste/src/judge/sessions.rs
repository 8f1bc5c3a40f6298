//! Which sessions policies are judged by: none that one of them, or users who are asked, learned
//! from.

use std::path::Path;

use anyhow::bail;
use foretaste_console::terminal::eprint_line;
use foretaste_data::{Dataset, Origin};
use foretaste_random::Seed;

/// The sessions to judge by, and the others, which may be learned from.
pub struct Chosen {
    pub judged: Vec<usize>,
    pub others: Vec<usize>,
}

impl Chosen {
    /// Of a log, for what these recommenders and users, by their names, learned from, as far as
    /// they say so: the sessions after the first `percent`, or all that none of them learned from.
    pub fn new(
        dataset: &Dataset,
        log: &Path,
        percent: Option<u8>,
        learners: &[(&str, Option<&Origin>)],
    ) -> anyhow::Result<Self> {
        let (all, shown) = (dataset.log.sessions(), log.display());
        let mut allowed = vec![true; all];
        if let Some(percent) = percent {
            allowed[..all * usize::from(percent) / 100].fill(false);
        }
        if !allowed.contains(&true) {
            let percent = percent.unwrap_or_default();
            bail!("{shown}: {all} sessions are too few to leave out the first {percent}%");
        }
        let mut learned_from = Vec::new();
        for &(name, origin) in learners {
            let Some(origin) = origin else {
                if percent.is_none() {
                    bail!(
                        "{name}: an earlier version wrote this recommender without the sessions \
                         that it learned from; give with --percent the percentage of the sessions, \
                         the first ones, that are not used to judge it"
                    );
                }
                eprint_line(format_args!(
                    "warning: {name} has no list of the sessions that it learned from: it was not \
                     checked that these are others"
                ));
                continue;
            };
            let overlap = origin.overlap(dataset);
            let learned = overlap.seen.iter().filter(|&&seen| seen).count();
            let among = (0..all).filter(|&session| overlap.seen[session] && allowed[session]);
            match percent {
                Some(percent) => {
                    let (among, after) =
                        (among.count(), allowed.iter().filter(|&&allowed| allowed).count());
                    if among > 0 {
                        bail!(
                            "{shown}: {name} learned from {among} of the {after} sessions after \
                             the first {percent}%; leave --percent out to judge it by the {} \
                             sessions that it did not learn from",
                            all - learned
                        );
                    }
                }
                None if learned == all => bail!(
                    "{shown}: {name} learned from all {all} sessions; judge it by a log with other \
                     sessions"
                ),
                None => among.collect::<Vec<_>>().into_iter().for_each(|at| allowed[at] = false),
            }
            if overlap.alike > 0 {
                eprint_line(format_args!(
                    "warning: {} sessions have the same slates and choices as sessions that {name} \
                     learned from, under other ids; short sessions are often equal by chance, but \
                     if these are the same sessions, the figures are too good",
                    overlap.alike
                ));
            }
            learned_from.push(format!("; {name} learned from {learned} of them"));
        }
        let (judged, others): (Vec<usize>, Vec<usize>) =
            (0..all).partition(|&session| allowed[session]);
        if judged.is_empty() {
            bail!(
                "{shown}: a recommender or the users learned from every session; judge the \
                 recommenders one at a time, or by a log with other sessions"
            );
        }
        let (learners, learned_from) = (learned_from.len(), learned_from.concat());
        eprint_line(format_args!("judged by {} of {all} sessions{learned_from}", judged.len()));
        if learners > 1 && judged.len() < all / 4 {
            eprint_line(format_args!(
                "warning: few sessions are left to judge by; if users and recommenders learn from \
                 the same first sessions (`foretaste fit --first 50`, `foretaste train --percent \
                 50`), the others are left"
            ));
        }
        Ok(Self { judged, others })
    }

    /// The same judged by at most `most` sessions, which are drawn without replacement and keep
    /// their order; how many are left out is said.
    pub fn at_most(mut self, most: usize, seed: u64) -> Self {
        let all = self.judged.len();
        if all > most {
            eprint_line(format_args!(
                "judged by {most} of these {all} sessions, drawn at random; --most-sessions takes \
                 more, which needs more memory"
            ));
            let mut stream = Seed::new(seed).derive("sessions that judge").stream(0);
            let mut drawn = rand::seq::index::sample(&mut stream, all, most).into_vec();
            drawn.sort_unstable();
            self.judged = drawn.into_iter().map(|at| self.judged[at]).collect();
        }
        self
    }

    /// The same, if none of them has propensities, so that they may be estimated.
    pub fn without_propensities(self, dataset: &Dataset, log: &Path) -> anyhow::Result<Self> {
        let has = |&&session: &&usize| {
            dataset.log.session(session).steps().any(|step| step.propensity.is_some())
        };
        match self.judged.iter().filter(has).count() {
            0 => Ok(self),
            some => bail!(
                "{}: {some} of the {} sessions to judge by have propensities, which are better \
                 than estimated ones; leave --estimate-propensities out",
                log.display(),
                self.judged.len()
            ),
        }
    }

    /// Only the sessions whose every slate has propensities; how many are left out is said.
    pub fn with_propensities(mut self, dataset: &Dataset, log: &Path) -> anyhow::Result<Self> {
        let all = self.judged.len();
        let has = |&session: &usize| {
            dataset.log.session(session).steps().all(|step| step.propensity.is_some())
        };
        self.judged.retain(has);
        if self.judged.is_empty() {
            let whose = match dataset.log.sessions_with_propensities() {
                0 => "the log has no propensities".to_owned(),
                some => {
                    format!("{some} sessions have propensities, but none of the {all} to judge by")
                }
            };
            bail!(
                "{}: {whose}; without the probabilities of what was shown, nothing can be \
                 estimated about other slates. --estimate-propensities estimates them, which is \
                 right only if the policy that made the log did not take the user into account",
                log.display()
            );
        }
        if self.judged.len() < all {
            eprint_line(format_args!(
                "warning: {} sessions without propensities are left out",
                all - self.judged.len()
            ));
        }
        Ok(self)
    }
}
