//! What a row's values are to its slate: choices, rewards, propensities.

use foretaste_data::{Fault, ItemId};

use crate::layout::{Layout, Propensities};
use crate::reader::Checked;
use crate::reader::record::Record;

const OFF_SLATE: &str = "an item of the slate";
pub(super) const OFF_SLATE_REASON: &str = "chosen: expected an item of the slate";

/// The fault of a choice that earned something which is not known.
pub(super) fn no_reward() -> Fault {
    Fault::value("reward", "a finite number where an item was chosen", "")
        .advise("with --ignore-columns reward, the reward of a click is 1")
}

/// The fault of a choice that is not on its slate, with what it looks like.
pub(super) fn off_slate(raw: &str, record: &Record<'_>, layout: &Layout) -> Fault {
    const NOTHING: [&str; 9] = ["nan", "none", "null", "na", "<na>", "\\n", "-1", "0", "false"];
    let fault = Fault::value("chosen", OFF_SLATE, raw);
    let slate = record.shown.text();
    let separated = slate.contains(raw) || slate.contains(record.chosen.text());
    let separator = ['|', ',', ';', '\t'].into_iter().find(|&c| slate.contains(c));
    if let (Some(separator), true, None) = (separator, separated, layout.list_separator) {
        return fault.advise(format!(
            "the slate is {slate:?}: if {separator:?} separates its ids, add --list-separator \
             {separator:?}; ids with blanks need that, brackets as in [\"a b\", \"c\"], or JSON \
             Lines"
        ));
    }
    if NOTHING.contains(&raw.to_ascii_lowercase().as_str()) {
        return fault.advise(format!("if it means that nothing was chosen, add --no-click {raw}"));
    }
    if record.chosen.text().contains(' ') && layout.list_separator.is_none() {
        return fault.advise(
            "ids with blanks need --list-separator, brackets as in [\"a b\", \"c\"], or JSON Lines",
        );
    }
    fault.advise(
        "--off-slate drop leaves such rows out; --off-slate append adds the item at the end of the \
         slate",
    )
}

/// What helps against a slate that a log cannot hold.
pub(super) fn advised(fault: Fault, propensities: Option<usize>) -> Fault {
    match &*fault.reason() {
        "shown: expected every item once" => fault.advise(
            "--repeated first keeps the first place of an item; --padding removes an id that is \
             not an item",
        ),
        "propensity: expected one number per item of the slate" if propensities == Some(1) => {
            fault.advise("if it is that of the whole slate, add --propensities slate")
        }
        _ => fault,
    }
}

/// Gives the clicks their rewards; the reward of the slate.
pub(super) fn rewards(
    given: &[f32],
    clicks: &mut [(ItemId, f32)],
    places: usize,
    place_of: impl Fn(ItemId) -> Option<usize>,
) -> Checked<f32> {
    match *given {
        [] => {
            clicks.iter_mut().for_each(|(_, reward)| *reward = 1.0);
            Ok(clicks.len() as f32)
        }
        [total] => {
            if let Some((_, first)) = clicks.first_mut() {
                *first = total;
            }
            Ok(total)
        }
        _ if given.len() == clicks.len() => {
            clicks.iter_mut().zip(given).for_each(|((_, reward), own)| *reward = *own);
            Ok(given.iter().sum())
        }
        _ if given.len() == places => {
            for (item, reward) in clicks.iter_mut() {
                *reward = place_of(*item).map_or(0.0, |place| given[place]);
            }
            Ok(given.iter().sum())
        }
        _ => {
            let found = format!("{} for {} choices and {places} items", given.len(), clicks.len());
            Err(Fault::new("reward", "one number, or one for each choice or item", found))
        }
    }
}

/// The propensities of a slate, from those of the row's list.
pub(super) fn of_places(
    kind: Propensities,
    numbers: &[f32],
    removed: &[usize],
    places: usize,
    to: &mut Vec<f32>,
) -> Checked {
    to.clear();
    if kind == Propensities::Slate {
        let [slate] = numbers else {
            let found = format!("{} numbers", numbers.len());
            return Err(Fault::new("propensity", "one number for the whole slate", found));
        };
        to.resize(places, 1.0);
        to.iter_mut().take(1).for_each(|first| *first = *slate);
        return Ok(());
    }
    if kind == Propensities::Cumulative {
        let mut before = 1.0;
        to.extend(numbers.iter().map(|&number| {
            let own = number / before;
            before = number;
            // Rounding in the file must not make a certainty more than certain.
            if own > 1.0 && own < 1.001 { 1.0 } else { own }
        }));
    } else {
        to.extend_from_slice(numbers);
    }
    if !removed.is_empty() && numbers.len() == places + removed.len() {
        let mut place = 0;
        to.retain(|_| {
            place += 1;
            removed.binary_search(&(place - 1)).is_err()
        });
    }
    Ok(())
}
