//! One type for recommenders of every kind, by raw ids as well as by item numbers. Whatever is
//! saved can be loaded, simulated, judged and asked for slates without knowing its kind.

use std::path::Path;
use std::{fmt, iter};

use candle_core::Device;
use foretaste_data::{Catalogue, Choice, ItemId, Origin, Provenance};
use foretaste_random::Stream;
use foretaste_settings::Setting;
use foretaste_sim::{Candidates, Policy, Responses, Slates};
use serde_json::Value;

use crate::folder::{self, RECOMMENDER, Written};
use crate::kinds::{KINDS, Kind};
use crate::{Content, DynPolicy, Error, Memory, Result};

/// A policy of any kind with its items, its settings and what it learned from: what is saved,
/// loaded, played, judged and asked for slates.
///
/// As a [`Policy`] it plays in any environment of its items. Its slates may be asked about items
/// that it does not know, whose ids are not below the number of its items: they have propensity 0.
pub struct Recommender {
    content: Content,
    catalogue: Catalogue,
    origin: Option<Origin>,
    policy: Box<dyn DynPolicy>,
}

impl Recommender {
    /// The kind to which all slates are alike.
    pub const UNIFORM: &'static str = "random";

    /// The recommender that `content` makes over these items, whose networks run on `device`.
    ///
    /// # Errors
    /// [`Error::Setting`] if the content is not of these items; what the kind returns.
    pub fn new<'a>(
        content: Content,
        provenance: impl Into<Provenance<'a>>,
        device: &Device,
    ) -> Result<Self> {
        let Provenance { catalogue, origin } = provenance.into();
        Self::built(content, catalogue.clone(), origin.cloned(), device)
    }

    fn built(
        content: Content,
        catalogue: Catalogue,
        origin: Option<Origin>,
        device: &Device,
    ) -> Result<Self> {
        let policy = (kind(content.kind)?.build)(&content, &catalogue, device)?;
        Ok(Self { content, catalogue, origin, policy })
    }

    /// Writes the recommender into `folder`, which is created if need be, in place of one that is
    /// there.
    ///
    /// # Errors
    /// [`Error::Network`] if the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let provenance = Provenance { catalogue: &self.catalogue, origin: self.origin.as_ref() };
        let written = Written {
            manifest: RECOMMENDER,
            model: kind(self.content.kind)?.model,
            settings: &self.content.settings,
            weights: &self.content.weights,
            iterations: self.content.iterations,
        };
        folder::write(folder, &written, provenance)
    }

    /// Reads a recommender of whatever kind is there: what [`save`](Self::save) wrote, or an agent,
    /// a user model or Q-networks that were saved for themselves.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none; [`Error::Kind`] if its kind is not known, with those
    /// that are; [`Error::Network`] and [`Error::Log`] if the folder is damaged.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        Self::load_knowing(folder, &Catalogue::default(), device)
    }

    /// As [`load`](Self::load), with the items of the caller, for a folder of an early version,
    /// which does not hold its own ([`Saved::read`](foretaste_data::Saved::read)).
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_knowing(folder: &Path, known: &Catalogue, device: &Device) -> Result<Self> {
        let (manifest, model) = folder::find(folder, RECOMMENDER, "a recommender")?;
        let names = |kind: &&'static Kind| match manifest {
            RECOMMENDER => std::slice::from_ref(&kind.model),
            _ => kind.networks,
        };
        let Some(kind) = KINDS.iter().find(|kind| names(kind).contains(&&*model)) else {
            let known = KINDS.iter().flat_map(names).copied();
            return Err(Error::kind(&folder.join(manifest), model, known));
        };
        let folder::Read { settings, weights, saved, iterations } =
            folder::read(folder, manifest, &model, known)?;
        let content = Content { kind: kind.name, settings, weights, iterations };
        let recommender = Self::built(content, saved.catalogue, saved.origin, device)?;
        // It can be saved again once the folder is gone.
        recommender.content.weights.tensors()?;
        Ok(recommender)
    }

    /// What it is made of.
    pub(crate) fn into_content(self) -> Content {
        self.content
    }

    /// The policy behind it.
    pub(crate) fn dynamic(&self) -> &dyn DynPolicy {
        &*self.policy
    }

    /// The kind of recommender, such as `irecgan`.
    pub fn kind(&self) -> &'static str {
        self.content.kind
    }

    /// Its items, in its own numbering.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What determines it in addition to its weights; how it was trained is in its
    /// [origin](Self::origin).
    pub fn settings(&self) -> &Value {
        &self.content.settings
    }

    /// What it learned from, if it says so.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The probability of each place of `slates` given the places before it, `[rows · k]`, as
    /// [`Propensities::propensities`](foretaste_sim::Propensities::propensities).
    ///
    /// A slate of more items than may be shown has propensity 0 from the first place that cannot be
    /// filled.
    ///
    /// # Errors
    /// What the policy returns, and for slates of a length that its kind does not show.
    pub fn propensities(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        slates: &Slates,
    ) -> foretaste_sim::Result<Vec<f64>> {
        let (items, k) = (self.catalogue.len(), slates.k());
        if let Some(allowed) = allowed {
            allowed.check(slates.rows(), items)?;
        }
        let places = |row| k.min(allowed.map_or(items, |allowed| allowed.of_row(row, items).len()));
        if (0..slates.rows()).all(|row| places(row) == k) {
            return self.policy.propensities(memory, allowed, slates);
        }
        let mut all = Vec::with_capacity(slates.items().len());
        for row in 0..slates.rows() {
            let places = places(row);
            if places > 0 {
                let memory = self.policy.select(memory, &[row])?;
                let own = |allowed: &Candidates| allowed.of_row(row, items).into_owned();
                let allowed = allowed.map(|allowed| Candidates::only(own(allowed)));
                let mut filled = Slates::with_k(places);
                filled.push(&slates.row(row)[..places], None);
                all.extend(self.policy.propensities(&memory, allowed.as_ref(), &filled)?);
            }
            all.extend(iter::repeat_n(0.0, k - places));
        }
        Ok(all)
    }

    /// The mean entropy, in nats, of the first item of its slates after each of these histories of
    /// clicks, the oldest first: ln n where all n items are alike to it. `None` if it draws
    /// nothing, draws by no scores, or there is no history.
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend).
    pub fn first_place_entropy(&self, histories: &[Vec<ItemId>]) -> Result<Option<f64>> {
        if !self.policy.draws() || histories.is_empty() {
            return Ok(None);
        }
        let mut sum = 0.0;
        for history in histories {
            let Some(scores) = self.policy.scores(&self.after(history)?)? else { return Ok(None) };
            sum += entropy(&scores[0]);
        }
        Ok(Some(sum / histories.len() as f64))
    }

    /// The slate of `k` items for a user who clicked these items, the oldest first; none but those
    /// that `allowed` admits to row 0, if it is given.
    ///
    /// # Errors
    /// [`Error::Setting`] for an item that is not in the catalogue; what the policy returns, and
    /// where it cannot show `k` items, as no policy can where `k` is 0.
    pub fn recommend(
        &self,
        clicked: &[ItemId],
        allowed: Option<&Candidates>,
        k: usize,
        stream: Stream,
    ) -> Result<Vec<ItemId>> {
        let (memory, mut slates) = (self.after(clicked)?, Slates::default());
        self.rank(&memory, allowed, k, &mut [stream], &mut slates)?;
        Ok(slates.items().to_vec())
    }

    /// What it remembers of a user who clicked these items.
    fn after(&self, clicked: &[ItemId]) -> Result<Memory> {
        if let Some(item) = clicked.iter().find(|item| item.index() >= self.catalogue.len()) {
            let problem = format!("item {} of {}", item.0, self.catalogue.len());
            return Err(Error::setting("history", problem));
        }
        let mut memory = self.policy.begin(1)?;
        for &item in clicked {
            self.observe_click(&mut memory, item)?;
        }
        Ok(memory)
    }

    /// Takes note of a click, or an organic event, whatever else was shown, in a memory of one row.
    ///
    /// # Errors
    /// What the policy returns.
    pub fn observe_click(&self, memory: &mut Memory, item: ItemId) -> foretaste_sim::Result<()> {
        let (mut slates, mut responses) = (Slates::with_k(1), Responses::default());
        slates.push(&[item], None);
        responses.push(Choice::Item(item), 0.0, false);
        self.policy.observe(memory, &slates, &responses)
    }

    /// As [`recommend`](Self::recommend), by raw ids. Clicks on items that the recommender does not
    /// know are no part of its history, and it shows none of these.
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend).
    pub fn recommend_raw(
        &self,
        clicked: &[&str],
        allowed: Option<&[&str]>,
        k: usize,
        stream: Stream,
    ) -> Result<Vec<&str>> {
        let known = |ids: &[&str]| -> Vec<ItemId> {
            ids.iter().filter_map(|id| self.catalogue.item(id)).collect()
        };
        let allowed = allowed.map(|ids| Candidates::only(known(ids)));
        let slate = self.recommend(&known(clicked), allowed.as_ref(), k, stream)?;
        Ok(slate.into_iter().map(|item| self.catalogue.raw(item)).collect())
    }
}

impl Policy for Recommender {
    type Memory = Memory;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<Memory> {
        self.policy.begin(rows)
    }

    fn rank(
        &self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        if k == 0 {
            return Err(Setting::new("k", "0, expected at least 1").into());
        }
        self.policy.rank(memory, allowed, k, streams, slates)
    }

    fn observe(
        &self,
        memory: &mut Memory,
        slates: &Slates,
        responses: &Responses,
    ) -> foretaste_sim::Result<()> {
        self.policy.observe(memory, slates, responses)
    }

    fn select(&self, memory: &Memory, rows: &[usize]) -> foretaste_sim::Result<Memory> {
        self.policy.select(memory, rows)
    }
}

impl fmt::Debug for Recommender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Recommender");
        shown.field("kind", &self.content.kind).field("items", &self.catalogue.len());
        shown.finish_non_exhaustive()
    }
}

fn kind(name: &str) -> Result<&'static Kind> {
    let found = KINDS.into_iter().find(|kind| kind.name == name);
    found.ok_or_else(|| Error::setting("kind", format!("{name:?} is not known")))
}

/// Of softmax(scores), in nats.
fn entropy(scores: &[f64]) -> f64 {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = || scores.iter().map(|score| (score - largest).exp());
    let all: f64 = weights().sum();
    let part = |weight: f64| if weight > 0.0 { weight / all * (weight / all).ln() } else { 0.0 };
    -weights().map(part).sum::<f64>()
}
