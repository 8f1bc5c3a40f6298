//! What our recommenders would do on the judged slates.

use anyhow::Context;
use foretaste_data::{Choice, Entry, ItemId, Mapping, PropensityKind, Session};
use foretaste_random::{Seed, Stream};
use foretaste_recommender::{Actor, Memory};
use foretaste_sim::{Candidates, Policy, Responses, Slates};
use rayon::prelude::*;

use super::columns::{Alone, Columns, NO_MARGINALS, Unseen};
use super::logged::{Items, Logged};
use super::reward_model::RewardModels;

/// Slates drawn from a recommender for what q̂ expects of it.
const DRAWS: u64 = 64;

/// What stands for an item that neither the log nor the reward model knows.
const NOWHERE: ItemId = ItemId(u32::MAX);

/// Sessions that are asked for at a time, between two signs of progress.
const AT_A_TIME: usize = 256;

/// The columns of a recommender that acts. `to` finds the log's items among its own, `items` are
/// the log's and the reward model's. It never shows an item that it does not know, and its history
/// holds no click on one. `callback` is called after each session.
///
/// # Errors
/// Where its kind does not show slates of a length that the log holds, with the step and the
/// session, which `name` names by its index among the judged.
pub fn columns(
    actor: &Actor<'_>,
    logged: &Logged<'_>,
    models: &RewardModels,
    to: &Mapping,
    items: &Items,
    name: impl Fn(usize) -> String + Sync,
    mut callback: impl FnMut(),
) -> anyhow::Result<Columns> {
    let catalogue = actor.recommender().catalogue();
    let from = catalogue.names().iter().map(|raw| items.get(raw).unwrap_or(NOWHERE)).collect();
    let asked = Asked { actor, logged, models, to, from };
    let mut all = Answers::default();
    let sessions: Vec<Session<'_>> = logged.log.iter().collect();
    for sessions in sessions.chunks(AT_A_TIME) {
        let answer = |session: &Session<'_>| asked.session(*session, &name);
        let answers = sessions.par_iter().map(answer).collect::<anyhow::Result<Vec<_>>>()?;
        for answers in answers {
            all.append(answers);
            callback();
        }
    }
    let alone = match (logged.kind, logged.single()) {
        (_, true) => Ok(Alone::by_log(&logged.logging, all.given.clone())),
        (PropensityKind::Marginal, _) if all.alone.len() == logged.logging.len() => {
            Ok(Alone::by_log(&logged.logging, all.alone))
        }
        (PropensityKind::Marginal, _) => Err(
            "its own probability of an item at a place, regardless of the other places, is known \
             only if it draws nothing, or draws all items with equal probability"
                .to_owned(),
        ),
        _ => Err(NO_MARGINALS.to_owned()),
    };
    let slates = logged.slates() as f64;
    let unseen =
        Unseen { places: all.unseen_places / slates, slates: Some(all.unseen_slates / slates) };
    let unknown = asked.from.iter().position(|&item| item == NOWHERE);
    let unknown = unknown.filter(|_| models.is_given()).map(|item| {
        let raw = catalogue.raw(ItemId(item as u32));
        format!("the reward model has no row of {raw:?}, which the policy may show")
    });
    Ok(Columns {
        given: Ok(all.given),
        alone,
        expected: unknown.clone().map_or(Ok(all.expected), Err),
        ahead: unknown.map_or(Ok(all.ahead), Err),
        unseen: Ok(unseen),
    })
}

/// What a recommender says of some slates, one after the other.
#[derive(Default)]
struct Answers {
    given: Vec<f64>,
    alone: Vec<f64>,
    expected: Vec<f64>,
    ahead: Vec<f64>,
    unseen_places: f64,
    unseen_slates: f64,
}

impl Answers {
    fn append(&mut self, others: Self) {
        self.given.extend(others.given);
        self.alone.extend(others.alone);
        self.expected.extend(others.expected);
        self.ahead.extend(others.ahead);
        self.unseen_places += others.unseen_places;
        self.unseen_slates += others.unseen_slates;
    }
}

/// Who is asked, and by what.
struct Asked<'a> {
    actor: &'a Actor<'a>,
    logged: &'a Logged<'a>,
    models: &'a RewardModels,
    /// From the items of the log to those of the recommender.
    to: &'a Mapping,
    /// Of each of its items, that of the log.
    from: Vec<ItemId>,
}

impl Asked<'_> {
    fn session(
        &self,
        session: Session<'_>,
        name: &impl Fn(usize) -> String,
    ) -> anyhow::Result<Answers> {
        let model = self.models.of(session.index());
        // What each item of the recommender earns by itself.
        let values: Vec<f64> = self.from.iter().map(|&item| model.of_item(item)).collect();
        let seed = Seed::new(0).derive("slates for q̂ to predict");
        let mut streams = seed.index(session.index() as u64).streams(0..DRAWS);
        let (mut answers, mut memory) = (Answers::default(), self.actor.begin(1)?);
        let recommender = self.actor.recommender();
        for entry in session.entries() {
            let t = match entry {
                Entry::Step(t, _) => t,
                Entry::Event(event) => {
                    if let Some(item) = self.to.item(event.item) {
                        recommender.observe_click(&mut memory, item)?;
                    }
                    continue;
                }
            };
            let answered = self.step(session, t, &mut memory, &values, &mut streams, &mut answers);
            answered.with_context(|| {
                format!("session {}, step {t} (counted from 0)", name(session.index()))
            })?;
        }
        Ok(answers)
    }

    /// Adds what is said of a step, which the recommender then remembers. Where its candidates are
    /// known, the recommender chooses among them only.
    fn step(
        &self,
        session: Session<'_>,
        t: usize,
        memory: &mut Memory,
        values: &[f64],
        streams: &mut [Stream],
        answers: &mut Answers,
    ) -> anyhow::Result<()> {
        let (step, model) = (session.step(t), self.models.of(session.index()));
        // The id behind the last is none of the recommender's items.
        let unknown = ItemId(values.len() as u32);
        let ours = |&item: &ItemId| self.to.item(item).unwrap_or(unknown);
        let slate: Vec<ItemId> = step.slate.iter().map(ours).collect();
        let mut slates = Slates::with_k(slate.len());
        slates.push(&slate, None);
        let pool: Option<Vec<ItemId>> = session
            .candidates(t)
            .map(|pool| pool.iter().filter_map(|&item| self.to.item(item)).collect());
        let most = pool.as_ref().map_or(values.len(), Vec::len);
        let allowed = pool.map(Candidates::only);
        let allowed = allowed.as_ref();
        answers.given.extend(self.actor.propensities(memory, allowed, &slates)?);
        answers.ahead.extend(self.actor.expectations(memory, allowed, &slate, values)?);
        let shown = self.shown(memory, allowed, slate.len().min(most), streams)?;
        let draws = shown.len() as f64;
        for own in &shown {
            let unseen = (0..).zip(own).filter(|&(at, &item)| !self.logged.shown.at(at, item));
            let places = own.len().max(1) as f64;
            answers.unseen_places += unseen.count() as f64 / places / draws;
            let unseen = own.len() < slate.len() || !self.logged.shown.slate(own);
            answers.unseen_slates += f64::from(u8::from(unseen)) / draws;
        }
        answers.expected.push(shown.iter().map(|own| model.of_slate(own)).sum::<f64>() / draws);
        if self.actor.is_uniform() {
            let admitted = |item: &ItemId| {
                *item != unknown && allowed.is_none_or(|allowed| allowed.admits(0, *item))
            };
            let alike = |item: &ItemId| if admitted(item) { 1.0 / most as f64 } else { 0.0 };
            answers.alone.extend(slate.iter().map(alike));
        } else if let ([own], true) = (&shown[..], self.actor.is_certain()) {
            let agrees =
                |(at, item): (usize, &ItemId)| f64::from(u8::from(own.get(at) == Some(item)));
            answers.alone.extend(step.slate.iter().enumerate().map(agrees));
        }
        let choice = match step.choice {
            Choice::Item(item) => self.to.item(item).map_or(Choice::Skip, Choice::Item),
            other => other,
        };
        let mut responses = Responses::default();
        responses.push(choice, step.reward, false);
        Ok(self.actor.observe(memory, &slates, &responses)?)
    }

    /// Slates of `k` items that it would show, in the items of the log: as many as are drawn, or
    /// the one that is certain.
    fn shown(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
    ) -> anyhow::Result<Vec<Vec<ItemId>>> {
        if k == 0 {
            return Ok(vec![Vec::new()]);
        }
        let draws = if self.actor.is_certain() { 1 } else { streams.len() };
        let mut slates = Slates::default();
        self.actor.draw(memory, allowed, k, &mut streams[..draws], &mut slates)?;
        let theirs = |item: &ItemId| self.from[item.index()];
        Ok((0..slates.rows()).map(|row| slates.row(row).iter().map(theirs).collect()).collect())
    }
}
