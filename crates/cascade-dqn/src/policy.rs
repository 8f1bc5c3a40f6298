//! Q-networks that act: frozen copies of the networks as a `Policy`. The methods that are the same
//! for all policies of this crate, whose memory is the last clicks, are also here.

use foretaste_data::{ItemId, RecentClicks};
use foretaste_random::Stream;
use foretaste_settings::Setting;
use foretaste_sim::{Candidates, Policy, Slates};

use crate::argmax::{Cascade, Storage};
use crate::slate_values::{SlateValues, WholeSlates};
use crate::{QNetworks, Result};

/// What a policy does with its memory where that is the last clicks of each session.
macro_rules! remembers_clicks {
    () => {
        fn observe(
            &self,
            clicks: &mut foretaste_data::RecentClicks,
            _slates: &foretaste_sim::Slates,
            responses: &foretaste_sim::Responses,
        ) -> foretaste_sim::Result<()> {
            clicks.observe(&responses.choice);
            Ok(())
        }

        fn select(
            &self,
            clicks: &foretaste_data::RecentClicks,
            rows: &[usize],
        ) -> foretaste_sim::Result<foretaste_data::RecentClicks> {
            Ok(clicks.select(rows))
        }
    };
}

pub(crate) use remembers_clicks;

/// Trained Q-networks as a policy. By [`WholeSlates`] it shows the cascaded argmax, or under
/// [`Architecture::Greedy`](crate::Architecture::Greedy) the k best single items; [`SlateQ`] says
/// what it shows by that. Deterministic: propensity 1.
///
/// [`SlateQ`]: crate::SlateQ
#[derive(Debug)]
pub struct QPolicy<V = WholeSlates> {
    networks: QNetworks,
    cascade: Cascade,
    values: V,
}

impl QPolicy {
    /// Acts by these networks as they are now, of which it keeps a copy.
    ///
    /// # Errors
    /// What the networks return on being copied.
    pub fn new(networks: &QNetworks, storage: Storage) -> Result<Self> {
        Self::by(WholeSlates, networks, storage)
    }
}

impl<V> QPolicy<V> {
    pub(crate) fn by(values: V, networks: &QNetworks, storage: Storage) -> Result<Self> {
        Ok(Self { networks: networks.copy()?, cascade: networks.freeze(storage)?, values })
    }
}

impl<V: SlateValues> Policy for QPolicy<V> {
    type Memory = RecentClicks;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<RecentClicks> {
        Ok(self.networks.no_clicks(rows))
    }

    fn rank(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
        k: usize,
        _streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        let trained = self.networks.config().k;
        if k != trained {
            let problem = format!("{k}, but the networks were trained for slates of {trained}");
            return Err(Setting::new("k", problem).into());
        }
        slates.clear(k);
        if clicks.rows() == 0 {
            return Ok(());
        }
        let states = self.networks.states(clicks)?;
        let chosen = self.values.best(&self.cascade, &states, clicks, allowed)?;
        show(&chosen.items, k, slates);
        Ok(())
    }

    remembers_clicks!();
}

/// Replaces the content of `slates` by certain ones, `[rows · k]`.
pub(crate) fn show(items: &[ItemId], k: usize, slates: &mut Slates) {
    slates.clear(k);
    items.chunks_exact(k).for_each(|slate| slates.push_certain(slate));
}
