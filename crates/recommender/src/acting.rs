//! Ways of acting: the same recommender, asked for drawn slates, for its most likely items, or for
//! something between.

mod order;

use std::borrow::Cow;
use std::iter;

use foretaste_data::ItemId;
use foretaste_random::Stream;
use foretaste_sim::policies::{Popularity, TopItems, UniformRandom};
use foretaste_sim::{Candidates, Policy, Propensities, Responses, Slates};
use rand::Rng;

use self::order::{drawn, mix, perturbed, posterior, sorted, weights};
use crate::{Error, Memory, Recommender, Result};

/// How a recommender comes to its slates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Acting {
    /// From its scores to slates.
    pub way: Way,
    /// The share of the slates that are drawn uniformly instead, in \[0, 1\]: ε-greedy. The coin is
    /// tossed once a slate.
    pub epsilon: f64,
}

/// From scores to slates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Way {
    /// As its kind does: draws its slates, or shows the items of the largest scores.
    #[default]
    Own,
    /// The items of the largest scores.
    Top,
    /// Drawn without replacement in proportion to exp(score / temperature). With temperature 1 that
    /// is what the kinds that draw do.
    Softmax {
        /// Above 0: near 0 it is [`Way::Top`], far above 1 uniform.
        temperature: f64,
    },
}

/// A recommender that acts in some way: what [`Recommender::acting`] gives.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    recommender: &'a Recommender,
    acting: Acting,
}

impl Recommender {
    /// The recommender, acting so.
    ///
    /// # Errors
    /// [`Error::Setting`] for a temperature or a share outside its range, and for
    /// [`Way::Softmax`] where the kind has no scores of items, as Q-networks, which choose a slate
    /// as a whole.
    pub fn acting(&self, acting: Acting) -> Result<Actor<'_>> {
        let Acting { way, epsilon } = acting;
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(Error::setting(
                "epsilon",
                format!("{epsilon}, expected a share in [0, 1]"),
            ));
        }
        if let Way::Softmax { temperature } = way {
            if !(temperature > 0.0 && temperature.is_finite()) {
                let problem = format!("{temperature}, expected a number above 0");
                return Err(Error::setting("temperature", problem));
            }
            if self.dynamic().scores(&self.begin(1)?)?.is_none() {
                let problem = format!(
                    "softmax takes scores of items, and {} chooses its slates as a whole",
                    self.kind()
                );
                return Err(Error::setting("act", problem));
            }
        }
        Ok(Actor { recommender: self, acting })
    }
}

/// How one row comes to its slate.
enum RowPolicy {
    Top(TopItems),
    Drawn(Popularity),
}

impl<'a> Actor<'a> {
    /// Who acts.
    pub fn recommender(&self) -> &'a Recommender {
        self.recommender
    }

    /// Whether its slates are certain.
    pub fn is_certain(&self) -> bool {
        let own = match self.acting.way {
            Way::Own => !self.recommender.dynamic().draws(),
            Way::Top => true,
            Way::Softmax { .. } => false,
        };
        own && self.acting.epsilon == 0.0
    }

    /// Whether all slates are alike to it, so that every item has the same chance at every place.
    pub fn is_uniform(&self) -> bool {
        let likes_all = self.recommender.kind() == Recommender::UNIFORM;
        (likes_all && self.acting.way != Way::Top) || self.acting.epsilon == 1.0
    }

    /// As [`Recommender::propensities`].
    ///
    /// # Errors
    /// As there.
    pub fn propensities(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> foretaste_sim::Result<Vec<f64>> {
        let mut own = match self.by_row(memory)? {
            None => self.recommender.propensities(memory, allowed, slates)?,
            Some(rows) => self.by_rows(allowed, slates, |row, allowed, slates| {
                match &rows[row % rows.len()] {
                    RowPolicy::Top(policy) => policy.propensities(&(), allowed, slates),
                    RowPolicy::Drawn(policy) => policy.propensities(&(), allowed, slates),
                }
            })?,
        };
        if self.acting.epsilon > 0.0 {
            let uniform = self.uniform(allowed, slates)?;
            let places = own.chunks_mut(slates.k()).zip(uniform.chunks(slates.k()));
            places.for_each(|(own, uniform)| mix(self.acting.epsilon, own, uniform));
        }
        Ok(own)
    }

    /// What `values`, one for each item, are expected to be at each place of the slate of a single
    /// row, given the items that stand before it there: Σ_a π(a | before) v(a), `[k]`. Where the
    /// policy never shows what stands before, it is 0.
    ///
    /// # Errors
    /// As [`Recommender::propensities`].
    pub fn expectations(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        slate: &[ItemId],
        values: &[f64],
    ) -> foretaste_sim::Result<Vec<f64>> {
        let items = self.recommender.catalogue().len();
        let among = items_of(allowed, 0, items);
        let (draws, own) = (self.recommender.dynamic().draws(), self.acting.way);
        let weights = match (own, self.scores(memory)?) {
            (Way::Softmax { temperature }, Some(scores)) => Some(weights(&scores[0], temperature)),
            (Way::Own, Some(scores)) if draws => Some(weights(&scores[0], 1.0)),
            _ => None,
        };
        let mut expected = match weights {
            Some(weights) => drawn(&among, slate, values, |item| weights[item.index()]),
            None => {
                let shown = self.certain(memory, allowed, slate.len())?;
                let agree = slate.iter().zip(&shown).take_while(|(a, b)| a == b).count();
                let value = |place: usize| match shown.get(place) {
                    Some(item) if place <= agree => values[item.index()],
                    _ => 0.0,
                };
                (0..slate.len()).map(value).collect()
            }
        };
        if self.acting.epsilon > 0.0 {
            let mut slates = Slates::with_k(slate.len());
            slates.push(slate, None);
            let of_own = Self { acting: Acting { epsilon: 0.0, ..self.acting }, ..*self };
            let own = of_own.propensities(memory, allowed, &slates)?;
            let uniform = self.uniform(allowed, &slates)?;
            let of_uniform = drawn(&among, slate, values, |_| 1.0);
            let mut share = self.acting.epsilon;
            for place in 0..slate.len() {
                let both = share * of_uniform[place] + (1.0 - share) * expected[place];
                expected[place] = both;
                share = posterior(share, own[place], uniform[place]);
            }
        }
        Ok(expected)
    }

    /// Replaces the content of `slates` by several slates of `k` items for one user, the only row
    /// of `memory` and of `allowed`: one from each stream.
    ///
    /// # Errors
    /// What the policy returns, and where it cannot show `k` items.
    pub fn draw(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        let epsilon = self.acting.epsilon;
        let uniform = |stream: &mut Stream| epsilon > 0.0 && stream.random_bool(epsilon);
        let uniform: Vec<bool> = streams.iter_mut().map(uniform).collect();
        let mut own = Slates::default();
        match self.by_row(memory)?.as_deref() {
            None => {
                let memory = self.recommender.select(memory, &vec![0; streams.len()])?;
                self.recommender.rank(&memory, allowed, k, streams, &mut own)?;
            }
            Some([RowPolicy::Top(policy), ..]) => {
                policy.rank(&(), allowed, k, streams, &mut own)?
            }
            Some([RowPolicy::Drawn(policy), ..]) => {
                policy.rank(&(), allowed, k, streams, &mut own)?;
            }
            Some([]) => {}
        }
        slates.clear(k);
        let any = UniformRandom { items: self.recommender.catalogue().len() };
        for (row, stream) in streams.iter_mut().enumerate() {
            if uniform[row] {
                let mut one = Slates::default();
                any.rank(&(), allowed, k, std::slice::from_mut(stream), &mut one)?;
                slates.push(one.row(0), None);
            } else {
                slates.push(own.row(row), None);
            }
        }
        Ok(())
    }

    /// Up to `k` items for each of the memories, best first: `k`, or as many as may be shown, if
    /// these are fewer. Row i draws from stream i.
    ///
    /// Where the kind has scores, the whole catalogue is put into an order, by the scores or, for
    /// slates that are drawn, by a draw, and what may not be shown is struck out. So items that are
    /// left out do not change the order of the others. Kinds without scores choose slates of one
    /// length as a whole, among what may be shown; longer slates go on with what is left.
    ///
    /// # Errors
    /// What the policy returns; candidates that do not fit.
    pub fn rankings(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
    ) -> Result<Vec<Vec<ItemId>>> {
        let items = self.recommender.catalogue().len();
        if let Some(allowed) = allowed {
            allowed.check(streams.len(), items)?;
        }
        let scores = self.scores(memory)?;
        let ranking = |(row, stream): (usize, &mut Stream)| {
            let among = items_of(allowed, row, items);
            let uniform =
                self.acting.epsilon > 0.0 && stream.random_bool(self.acting.epsilon.min(1.0));
            let draws = self.recommender.dynamic().draws();
            let scores = scores.as_ref().map(|scores| &scores[row % scores.len()][..]);
            Ok(match (scores, self.acting.way) {
                _ if uniform => sorted(&among, k, &perturbed(&vec![0.0; items], 1.0, stream)),
                (Some(scores), Way::Softmax { temperature }) => {
                    sorted(&among, k, &perturbed(scores, temperature, stream))
                }
                (Some(scores), Way::Own) if draws => {
                    sorted(&among, k, &perturbed(scores, 1.0, stream))
                }
                (Some(scores), _) => sorted(&among, k, scores),
                (None, _) => self.whole(&self.recommender.select(memory, &[row])?, &among, k)?,
            })
        };
        streams.iter_mut().enumerate().map(ranking).collect()
    }

    /// The certain slate of a single row, as far as there are items.
    fn certain(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
    ) -> foretaste_sim::Result<Vec<ItemId>> {
        let items = self.recommender.catalogue().len();
        let among = items_of(allowed, 0, items);
        match self.scores(memory)? {
            Some(scores) => Ok(sorted(&among, k, &scores[0])),
            None => Ok(self.whole(memory, &among, k)?),
        }
    }

    /// Up to `k` items of a kind that chooses its slates as a whole. Where it shows slates of one
    /// length alone, and fewer items are left than that, others stand in for what lacks, and are
    /// struck out.
    fn whole(&self, memory: &Memory, among: &[ItemId], k: usize) -> Result<Vec<ItemId>> {
        let items = self.recommender.catalogue().len();
        let length = self.recommender.dynamic().length().unwrap_or(k.min(among.len()));
        let mut ranking: Vec<ItemId> = Vec::new();
        let mut left = among.to_vec();
        while ranking.len() < k && !left.is_empty() {
            let mut set = left.clone();
            let others = (0..items as u32).map(ItemId).filter(|item| !left.contains(item));
            set.extend(others.take(length.saturating_sub(left.len())));
            let mut slates = Slates::default();
            // Nothing is drawn from it.
            let mut streams = foretaste_random::Seed::new(0).streams(0..1);
            let set = (set.len() < items).then(|| Candidates::only(set));
            self.recommender.rank(memory, set.as_ref(), length, &mut streams, &mut slates)?;
            let shown = slates.row(0).iter().filter(|item| left.contains(item));
            ranking.extend(shown.copied());
            left.retain(|item| !ranking.contains(item));
        }
        ranking.truncate(k);
        Ok(ranking)
    }

    /// The rows' policies where they are not the recommender's own.
    fn by_row(&self, memory: &Memory) -> foretaste_sim::Result<Option<Vec<RowPolicy>>> {
        let policy = |scores: &Vec<f64>| match self.acting.way {
            Way::Softmax { temperature } => {
                Popularity::new(weights(scores, temperature)).map(RowPolicy::Drawn)
            }
            _ => Ok(RowPolicy::Top(TopItems::new(scores))),
        };
        let own = match self.acting.way {
            Way::Own => true,
            Way::Top => !self.recommender.dynamic().draws(),
            Way::Softmax { .. } => false,
        };
        match own {
            true => Ok(None),
            false => self.scores(memory)?.map(|rows| rows.iter().map(policy).collect()).transpose(),
        }
    }

    /// The scores, which must be numbers.
    fn scores(&self, memory: &Memory) -> foretaste_sim::Result<Option<Vec<Vec<f64>>>> {
        let scores = self.recommender.dynamic().scores(memory)?;
        match scores.iter().flatten().flatten().any(|score| score.is_nan()) {
            true => Err(Error::setting("scores", "NaN, expected numbers").into()),
            false => Ok(scores),
        }
    }

    fn uniform(
        &self,
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> foretaste_sim::Result<Vec<f64>> {
        let policy = UniformRandom { items: self.recommender.catalogue().len() };
        self.by_rows(allowed, slates, |_, allowed, slates| {
            policy.propensities(&(), allowed, slates)
        })
    }

    /// What `of_row` says of every slate alone, 0 at the places that cannot be filled.
    fn by_rows(
        &self,
        allowed: Option<&Candidates>,
        slates: &Slates,
        of_row: impl Fn(usize, Option<&Candidates>, &Slates) -> foretaste_sim::Result<Vec<f64>>,
    ) -> foretaste_sim::Result<Vec<f64>> {
        let (items, k) = (self.recommender.catalogue().len(), slates.k());
        if let Some(allowed) = allowed {
            allowed.check(slates.rows(), items)?;
        }
        let mut all = Vec::with_capacity(slates.items().len());
        for row in 0..slates.rows() {
            let among = allowed.map(|allowed| allowed.of_row(row, items));
            let places = k.min(among.as_ref().map_or(items, |among| among.len()));
            if places > 0 {
                let among = among.map(|among| Candidates::only(among.into_owned()));
                let mut filled = Slates::with_k(places);
                filled.push(&slates.row(row)[..places], None);
                all.extend(of_row(row, among.as_ref(), &filled)?);
            }
            all.extend(iter::repeat_n(0.0, k - places));
        }
        Ok(all)
    }
}

impl Policy for Actor<'_> {
    type Memory = Memory;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<Memory> {
        self.recommender.begin(rows)
    }

    fn rank(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        if self.acting == Acting::default() {
            return self.recommender.rank(memory, allowed, k, streams, slates);
        }
        let items = self.recommender.catalogue().len();
        let (mut all, mut one) = (Slates::with_k(k), Slates::default());
        for (row, stream) in streams.iter_mut().enumerate() {
            let memory = self.recommender.select(memory, &[row])?;
            let among = |allowed: &Candidates| allowed.of_row(row, items).into_owned();
            let among = allowed.map(|allowed| Candidates::only(among(allowed)));
            self.draw(&memory, among.as_ref(), k, std::slice::from_mut(stream), &mut one)?;
            all.push(one.row(0), None);
        }
        *slates = all;
        Ok(())
    }

    fn observe(
        &self,
        memory: &mut Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> foretaste_sim::Result<()> {
        self.recommender.observe(memory, slates, responses)
    }

    fn select(&self, memory: &Memory, rows: &[usize]) -> foretaste_sim::Result<Memory> {
        self.recommender.select(memory, rows)
    }
}

/// The items that may be shown to a row, in the order of the catalogue.
fn items_of(allowed: Option<&Candidates>, row: usize, items: usize) -> Cow<'_, [ItemId]> {
    match allowed {
        Some(allowed) => allowed.of_row(row, items),
        None => (0..items as u32).map(ItemId).collect(),
    }
}
