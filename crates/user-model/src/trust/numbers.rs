//! A session as a few numbers, for a test of whether simulated sessions can be distinguished from
//! real ones.

use foretaste_data::Session;
use foretaste_train::CountFeatures;

/// What a two-sample test looks at in a session, in this order: slates; clicks; clicks a slate; the
/// mean place of the clicked items; their mean click rate in the log, and that less the mean of
/// their slates; their mean likeness to the last click and how often they were clicked before, as
/// [`CountFeatures`] counts both; distinct clicked items; slates before the first without a click;
/// the longest run of clicks. A mean over no click is NaN.
pub const NUMBERS: usize = 11;

/// The numbers of a session, `[NUMBERS]`.
pub fn numbers(session: Session<'_>, counts: &CountFeatures) -> Vec<f64> {
    let (mut history, mut sums) = (Vec::new(), [0.0; 5]);
    let (mut run, mut longest, mut before, mut skipped) = (0.0f64, 0.0f64, 0.0, false);
    for step in session.steps() {
        let clicked = step.choice.item();
        let place = step.slate.iter().position(|item| Some(*item) == clicked);
        let Some(place) = place else {
            (run, skipped) = (0.0, true);
            continue;
        };
        run += 1.0;
        longest = longest.max(run);
        before += f64::from(u8::from(!skipped));
        let rows: Vec<_> = counts.of_items(&history, step.slate).collect();
        let rate = |row: &[f64; CountFeatures::DIM]| row[CountFeatures::RATE];
        let mean = rows.iter().map(rate).sum::<f64>() / rows.len() as f64;
        let row = &rows[place];
        for (sum, number) in sums.iter_mut().zip([
            place as f64,
            rate(row),
            rate(row) - mean,
            row[LAST],
            row[REPEATS],
        ]) {
            *sum += number;
        }
        history.extend(clicked);
    }
    let (slates, clicks) = (session.len() as f64, history.len() as f64);
    history.sort_unstable();
    history.dedup();
    let means = sums.map(|sum| if clicks > 0.0 { sum / clicks } else { f64::NAN });
    [slates, clicks, clicks / slates]
        .into_iter()
        .chain(means)
        .chain([history.len() as f64, before, longest])
        .collect()
}

/// Columns of [`CountFeatures`]: the cosine with the last click, and the repeats.
const LAST: usize = 5;
const REPEATS: usize = 6;

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, ItemId, LogBuilder, Step};

    use super::*;

    #[test]
    fn the_numbers_of_two_sessions_by_hand() {
        let mut log = LogBuilder::default();
        let item = |item: u32| Choice::Item(ItemId(item));
        let slate = [0, 1, 2].map(ItemId);
        for choice in [item(1), item(1), Choice::Skip, item(0)] {
            log.push(Step::new(&slate, choice, 0.0)).unwrap();
        }
        log.end_session(None).unwrap();
        log.push(Step::new(&slate, Choice::Leave, 0.0)).unwrap();
        log.end_session(None).unwrap();
        let log = log.build();
        let counts = CountFeatures::counted(&log, &[0, 1], 3).unwrap();
        let found = numbers(log.session(0), &counts);
        assert_eq!(found.len(), NUMBERS);
        assert_eq!(found[..3], [4.0, 3.0, 0.75]);
        assert!((found[3] - 2.0 / 3.0).abs() < 1e-12);
        // Item 1 was clicked once before it was clicked again.
        assert_eq!(found[7], 1.0 / 3.0);
        assert_eq!(found[8..], [2.0, 2.0, 2.0]);
        let none = numbers(log.session(1), &counts);
        assert_eq!(none[..3], [1.0, 0.0, 0.0]);
        assert!(none[3..8].iter().all(|number| number.is_nan()) && none[8..] == [0.0; 3]);
    }
}
