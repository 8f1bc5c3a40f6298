//! Recommendations by raw ids, many users at a time: what a program that serves them asks.

use std::collections::BTreeMap;

use foretaste_data::{Choice, ItemId};
use foretaste_random::Seed;
use foretaste_sim::{Candidates, Policy, Responses, Slates};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Actor, Result};

/// What is asked for one user. An id that is repeated among the candidates or the exclusions counts
/// once; in the history each is a click.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Raw ids of the items that the user clicked, the oldest first.
    #[serde(default, deserialize_with = "ids")]
    pub history: Vec<String>,
    /// How many items at most; 0 where it is not said.
    #[serde(default)]
    pub k: usize,
    /// Raw ids of the items to choose among; all, where they are not given.
    #[serde(default, deserialize_with = "some_ids")]
    pub candidates: Option<Vec<String>>,
    /// Raw ids of items to leave out.
    #[serde(default, deserialize_with = "ids")]
    pub exclude: Vec<String>,
}

/// What is recommended to one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recommended {
    /// Raw ids, best first, each once: k, or as many as there are to choose among. None is left out
    /// by the request, and none outside its candidates.
    pub items: Vec<String>,
    /// Ids of the request that the recommender does not know.
    #[serde(skip_serializing_if = "UnknownIds::is_empty")]
    pub unknown: UnknownIds,
}

/// Ids that a recommender does not know: clicks on them are no part of the history, and it can
/// neither show nor leave them out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnknownIds {
    /// Of the history.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<String>,
    /// Of the candidates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// Of what was to be left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl UnknownIds {
    /// Whether all ids were known.
    pub fn is_empty(&self) -> bool {
        self.history.is_empty() && self.candidates.is_empty() && self.exclude.is_empty()
    }
}

impl Request {
    /// Up to `k` items for a user who clicked these.
    pub fn new(history: &[&str], k: usize) -> Self {
        Self { history: history.iter().map(|&id| id.to_owned()).collect(), k, ..Self::default() }
    }
}

/// A request in the items of the recommender.
struct Known {
    history: Vec<ItemId>,
    candidates: Option<Vec<ItemId>>,
    exclude: Vec<ItemId>,
}

impl Actor<'_> {
    /// What is recommended to several users, see [`Actor::rankings`]. The request at index i draws
    /// from stream `first + i` of `seed`: what is answered does not depend on the requests around.
    ///
    /// # Errors
    /// What the policy returns.
    pub fn answer(&self, requests: &[Request], seed: Seed, first: u64) -> Result<Vec<Recommended>> {
        let mut answers = vec![Recommended::default(); requests.len()];
        // Rows of a batch are equally long, and all of them have candidates or none.
        let mut batches: BTreeMap<(usize, bool), Vec<(usize, Known)>> = BTreeMap::new();
        for (index, request) in requests.iter().enumerate() {
            let known = self.known(request, &mut answers[index].unknown);
            let kind = (known.history.len(), known.candidates.is_some());
            batches.entry(kind).or_default().push((index, known));
        }
        for ((clicks, listed), batch) in batches {
            let mut memory = self.begin(batch.len())?;
            for click in 0..clicks {
                let (mut slates, mut responses) = (Slates::with_k(1), Responses::default());
                for (_, known) in &batch {
                    slates.push(&[known.history[click]], None);
                    responses.push(Choice::Item(known.history[click]), 0.0, false);
                }
                self.observe(&mut memory, &slates, &responses)?;
            }
            let without = batch.iter().map(|(_, known)| known.exclude.clone()).collect();
            let allowed = match listed {
                false => Candidates::default(),
                true => Candidates::only_by_row(
                    batch.iter().filter_map(|(_, known)| known.candidates.clone()).collect(),
                ),
            };
            let allowed = allowed.without_by_row(without);
            let stream = |(index, _): &(usize, Known)| seed.stream(first + *index as u64);
            let mut streams: Vec<_> = batch.iter().map(stream).collect();
            let k = batch.iter().map(|(index, _)| requests[*index].k).max().unwrap_or(0);
            let rankings = self.rankings(&memory, Some(&allowed), k, &mut streams)?;
            for ((index, _), ranking) in batch.iter().zip(rankings) {
                let items = ranking.into_iter().take(requests[*index].k);
                let raw = |item: ItemId| self.recommender().catalogue().raw(item).to_owned();
                answers[*index].items = items.map(raw).collect();
            }
        }
        Ok(answers)
    }

    fn known(&self, request: &Request, unknown: &mut UnknownIds) -> Known {
        let find = |ids: &[String], unknown: &mut Vec<String>| {
            let mut known = Vec::with_capacity(ids.len());
            for id in ids {
                match self.recommender().catalogue().item(id) {
                    Some(item) => known.push(item),
                    None if !unknown.contains(id) => unknown.push(id.clone()),
                    None => {}
                }
            }
            known
        };
        let candidates = request.candidates.as_ref();
        Known {
            history: find(&request.history, &mut unknown.history),
            candidates: candidates.map(|ids| find(ids, &mut unknown.candidates)),
            exclude: find(&request.exclude, &mut unknown.exclude),
        }
    }
}

/// An id as JSON has it: a string, or a whole number.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected ids: strings or whole numbers")]
enum Id {
    Text(String),
    Signed(i64),
    Unsigned(u64),
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        match id {
            Id::Text(text) => text,
            Id::Signed(number) => number.to_string(),
            Id::Unsigned(number) => number.to_string(),
        }
    }
}

fn ids<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<String>, D::Error> {
    Ok(some_ids(from)?.unwrap_or_default())
}

fn some_ids<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<Vec<String>>, D::Error> {
    let ids: Option<Vec<Id>> = Option::deserialize(from)?;
    Ok(ids.map(|ids| ids.into_iter().map(String::from).collect()))
}
