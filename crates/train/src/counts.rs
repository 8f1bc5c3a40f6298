//! Counts of clicks and showings.

use foretaste_data::ItemId;
use foretaste_settings::Setting;

use crate::Result;

/// How often each item was shown and clicked.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Slates on which the item was clicked.
    pub clicks: Vec<u32>,
    /// Slates that showed the item.
    pub shown: Vec<u32>,
    /// Clicks of all items over showings of all items; 0 where nothing was shown.
    pub rate: f64,
}

impl Counts {
    /// Of these slates, each with the place of the click, where there was one.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a slate holds an item that is none of `items`.
    pub fn new<'a>(
        slates: impl IntoIterator<Item = (&'a [ItemId], Option<usize>)>,
        items: usize,
    ) -> Result<Self> {
        let (mut clicks, mut shown) = (vec![0; items], vec![0; items]);
        for (slate, clicked) in slates {
            for &item in slate {
                shown[index(item, items)?] += 1;
            }
            if let Some(place) = clicked {
                clicks[slate[place].index()] += 1;
            }
        }
        Ok(Self::of(clicks, shown))
    }

    /// Of numbers for each item.
    pub(crate) fn of(clicks: Vec<u32>, shown: Vec<u32>) -> Self {
        let total = |counts: &[u32]| counts.iter().map(|&count| f64::from(count)).sum::<f64>();
        let all = total(&shown);
        let rate = if all > 0.0 { total(&clicks) / all } else { 0.0 };
        Self { clicks, shown, rate }
    }
}

/// Which items were clicked in the same sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct CoClicks {
    /// In how many sessions each item was clicked.
    pub sessions: Vec<u32>,
    /// For each item the other items clicked in its sessions, rising, and in how many of them.
    pub together: Vec<Vec<(u32, u32)>>,
}

impl CoClicks {
    /// Of the clicks of some sessions.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if an item is none of `items`.
    pub fn new<'a>(clicks: impl IntoIterator<Item = &'a [ItemId]>, items: usize) -> Result<Self> {
        let of_session: Vec<Vec<u32>> = clicks.into_iter().map(distinct).collect();
        let mut of_item = vec![Vec::new(); items];
        for (session, clicked) in of_session.iter().enumerate() {
            for &item in clicked {
                of_item[index(ItemId(item), items)?].push(session);
            }
        }
        let mut counts = vec![0u32; items];
        let mut together = Vec::with_capacity(items);
        for (item, sessions) in of_item.iter().enumerate() {
            let mut others = Vec::new();
            for &session in sessions {
                for &other in &of_session[session] {
                    if counts[other as usize] == 0 {
                        others.push(other);
                    }
                    counts[other as usize] += 1;
                }
            }
            others.sort_unstable();
            let counted = |other: u32| (other, std::mem::take(&mut counts[other as usize]));
            let others = others.into_iter().map(counted);
            together.push(others.filter(|&(other, _)| other as usize != item).collect());
        }
        let sessions = of_item.iter().map(|sessions| sessions.len() as u32).collect();
        Ok(Self { sessions, together })
    }

    /// The items clicked together with `item`, rising, each with the cosine of the two,
    /// n_ab / √((n_a + λ)(n_b + λ)) for n_a sessions that clicked a and n_ab that clicked both.
    pub fn cosines(&self, item: u32, regularisation: f64) -> impl Iterator<Item = (u32, f64)> {
        let size = move |item: u32| f64::from(self.sessions[item as usize]) + regularisation;
        let others = self.together[item as usize].iter();
        others
            .map(move |&(other, both)| (other, f64::from(both) / (size(item) * size(other)).sqrt()))
    }

    /// The cosine of two items, without regularization; 0 for an item and itself.
    pub fn cosine(&self, a: u32, b: u32) -> f64 {
        let others = &self.together[a as usize];
        let both =
            others.binary_search_by_key(&b, |&(other, _)| other).map_or(0, |at| others[at].1);
        if both == 0 {
            return 0.0;
        }
        let size = |item: u32| f64::from(self.sessions[item as usize]);
        f64::from(both) / (size(a) * size(b)).sqrt()
    }
}

/// The items clicked in a session, each once, rising.
pub fn distinct(clicks: &[ItemId]) -> Vec<u32> {
    let mut clicks: Vec<u32> = clicks.iter().map(|item| item.0).collect();
    clicks.sort_unstable();
    clicks.dedup();
    clicks
}

fn index(item: ItemId, items: usize) -> Result<usize> {
    if item.index() < items {
        return Ok(item.index());
    }
    Err(Setting::new("items", format!("{items}, but the log shows item {}", item.0)).into())
}
