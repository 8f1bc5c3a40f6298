//! The counts of `foretaste-train`, taken from slates instead of from a log, and with this crate's
//! errors. Popularity, the neighborhood models and the features of the trees share them, so a click
//! counts the same in each.

use foretaste_settings::Setting;
use foretaste_train::counts::{CoClicks, Counts};

use crate::{Impressions, Result};

/// How often each item was shown and clicked.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if nothing was clicked, or an item is none of `items`.
pub(crate) fn counts(impressions: &Impressions<'_>, items: usize) -> Result<Counts> {
    let counts = Counts::new(impressions.slates(), items)?;
    if counts.rate == 0.0 {
        let problem = "no click in them, expected at least one";
        return Err(Setting::new("training sessions", problem).into());
    }
    Ok(counts)
}

/// Which items were clicked in the same sessions.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if the slates hold an item that is none of `items`.
pub(crate) fn co_clicks(impressions: &Impressions<'_>, items: usize) -> Result<CoClicks> {
    impressions.check(items)?;
    Ok(CoClicks::new(impressions.clicks().iter().map(Vec::as_slice), items)?)
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
    use crate::testing::log;

    #[test]
    fn training_sessions_without_a_click_are_refused() {
        let log = log(&[&[(&[0, 1], None)]]);
        let refused = counts(&Impressions::new(&log, &[0]), 2).unwrap_err().to_string();
        assert!(refused.contains("no click"), "{refused}");
    }

    #[test]
    fn ranks_break_ties_by_popularity() {
        let popularity = [5, 1, 1, 9];
        assert_eq!(ranks(&[0.0, 0.0, 0.0, -1.0], |place| popularity[place]), [2.0, 1.0, 1.0, 0.0]);
    }
}
