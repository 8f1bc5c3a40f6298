use foretaste_settings::Setting;

use crate::{Impressions, Result};

/// How often each item was shown and clicked.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Slates on which the item was clicked.
    pub clicks: Vec<u32>,
    /// Slates that showed the item.
    pub shown: Vec<u32>,
    /// Clicks of all items over showings of all items.
    pub rate: f64,
}

impl Counts {
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if nothing was clicked.
    pub fn new(impressions: &Impressions<'_>, items: usize) -> Result<Self> {
        impressions.check(items)?;
        let (mut clicks, mut shown) = (vec![0; items], vec![0; items]);
        for (slate, clicked) in impressions.slates() {
            for item in slate {
                shown[item.index()] += 1;
            }
            if let Some(place) = clicked {
                clicks[slate[place].index()] += 1;
            }
        }
        let total = |counts: &[u32]| counts.iter().map(|&count| f64::from(count)).sum::<f64>();
        let clicked = total(&clicks);
        if clicked == 0.0 {
            let problem = "no click in them, expected at least one";
            return Err(Setting::new("training sessions", problem).into());
        }
        let rate = clicked / total(&shown);
        Ok(Self { clicks, shown, rate })
    }
}

/// Which items were clicked in the same sessions.
#[derive(Debug)]
pub(crate) struct CoClicks {
    /// The items clicked in each session, each once, rising.
    pub of_session: Vec<Vec<u32>>,
    /// The sessions in which each item was clicked, rising.
    pub of_item: Vec<Vec<u32>>,
    /// For each item the other items clicked in its sessions, rising, and in how many of them.
    pub together: Vec<Vec<(u32, u32)>>,
}

impl CoClicks {
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the slates hold an item that is none of
    /// `items`.
    pub fn new(impressions: &Impressions<'_>, items: usize) -> Result<Self> {
        impressions.check(items)?;
        let distinct = |clicks: &Vec<foretaste_data::ItemId>| {
            let mut clicks: Vec<u32> = clicks.iter().map(|item| item.0).collect();
            clicks.sort_unstable();
            clicks.dedup();
            clicks
        };
        let of_session: Vec<Vec<u32>> = impressions.clicks().iter().map(distinct).collect();
        let mut of_item = vec![Vec::new(); items];
        for (session, clicked) in of_session.iter().enumerate() {
            for &item in clicked {
                of_item[item as usize].push(session as u32);
            }
        }
        let mut counts = vec![0u32; items];
        let mut together = Vec::with_capacity(items);
        for (item, sessions) in of_item.iter().enumerate() {
            let mut others = Vec::new();
            for &session in sessions {
                for &other in &of_session[session as usize] {
                    if counts[other as usize] == 0 {
                        others.push(other);
                    }
                    counts[other as usize] += 1;
                }
            }
            others.sort_unstable();
            together.push(
                others
                    .iter()
                    .map(|&other| (other, std::mem::take(&mut counts[other as usize])))
                    .filter(|&(other, _)| other as usize != item)
                    .collect(),
            );
        }
        Ok(Self { of_session, of_item, together })
    }

    /// The items clicked together with `item`, rising, each with the cosine of the two,
    /// n_ab / √((n_a + λ)(n_b + λ)) for n_a sessions that clicked a and n_ab that clicked both.
    pub fn cosines(&self, item: u32, regularisation: f64) -> impl Iterator<Item = (u32, f64)> {
        let size = move |item: u32| self.of_item[item as usize].len() as f64 + regularisation;
        let others = self.together[item as usize].iter();
        others
            .map(move |&(other, both)| (other, f64::from(both) / (size(item) * size(other)).sqrt()))
    }

    /// The cosine of two items, without regularisation; 0 for an item and itself.
    pub fn cosine(&self, a: u32, b: u32) -> f64 {
        let others = &self.together[a as usize];
        let both =
            others.binary_search_by_key(&b, |&(other, _)| other).map_or(0, |at| others[at].1);
        if both == 0 {
            return 0.0;
        }
        let size = |item: u32| self.of_item[item as usize].len() as f64;
        f64::from(both) / (size(a) * size(b)).sqrt()
    }
}

/// The places of scores in rising order, from 0, where equal scores rank by `popularity` and share
/// a place if that is equal too.
pub(crate) fn ranks(scores: &[f64], popularity: impl Fn(usize) -> u32) -> Vec<f32> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let compare = |&a: &usize, &b: &usize| {
        scores[a].total_cmp(&scores[b]).then(popularity(a).cmp(&popularity(b)))
    };
    order.sort_by(compare);
    let (mut ranks, mut rank) = (vec![0.0; scores.len()], 0.0);
    for (at, place) in order.iter().enumerate() {
        if at > 0 && compare(&order[at - 1], place).is_ne() {
            rank += 1.0;
        }
        ranks[*place] = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{log, small};

    /// Clicks of the small log: {1, 4, 5}, {4} and {3, 0, 2}.
    #[test]
    fn counts_of_a_small_log() {
        let small = small();
        let impressions = Impressions::new(&small, &[0, 1, 2]);
        let counts = Counts::new(&impressions, 6).unwrap();
        assert_eq!(counts.clicks, [1, 2, 1, 1, 2, 1]);
        assert_eq!(counts.shown, [4, 5, 4, 4, 4, 3]);
        assert_eq!(counts.rate, 8.0 / 24.0);
        let co_clicks = CoClicks::new(&impressions, 6).unwrap();
        assert_eq!(co_clicks.of_session, [vec![1, 4, 5], vec![4], vec![0, 2, 3]]);
        assert_eq!(co_clicks.of_item[4], [0, 1]);
        assert_eq!(co_clicks.together[4], [(1, 1), (5, 1)]);
        assert_eq!(co_clicks.cosine(4, 1), 1.0 / 2f64.sqrt());
        assert_eq!((co_clicks.cosine(4, 4), co_clicks.cosine(4, 0)), (0.0, 0.0));
        let regularised: Vec<_> = co_clicks.cosines(4, 2.0).collect();
        assert_eq!(regularised, [(1, 1.0 / 12f64.sqrt()), (5, 1.0 / 12f64.sqrt())]);
        assert!(Counts::new(&impressions, 5).unwrap_err().to_string().contains("item 5"));
    }

    #[test]
    fn training_sessions_without_a_click_are_refused() {
        let log = log(&[&[(&[0, 1], None)]]);
        assert!(
            Counts::new(&Impressions::new(&log, &[0]), 2)
                .unwrap_err()
                .to_string()
                .contains("no click")
        );
    }

    #[test]
    fn ranks_break_ties_by_popularity() {
        let popularity = [5, 1, 1, 9];
        assert_eq!(ranks(&[0.0, 0.0, 0.0, -1.0], |place| popularity[place]), [2.0, 1.0, 1.0, 0.0]);
    }
}
