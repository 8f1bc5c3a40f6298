//! The fast way to make a log, for simulators: whole columns at once. Only their lengths and
//! offsets are checked, because checking each step would take a pass over every slate.

use super::{ItemId, Log};
use crate::{Error, Result};

/// The columns of a whole log, for a writer that makes millions of steps at once (a simulator).
///
/// [`LogBuilder`](crate::LogBuilder) checks every step; here the writer vouches that a slate holds
/// each item once, that the chosen item is on it, that nothing follows
/// [`Choice::Leave`](crate::Choice::Leave) and that rewards and propensities are in range.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Where each session begins, in steps: `[sessions + 1]`, from 0 to the number of steps.
    pub session_offsets: Vec<u64>,
    /// Where each slate begins, in shown items: `[steps + 1]`, from 0 to the number of impressions.
    pub slate_offsets: Vec<u64>,
    /// The items shown, as the numbers in their [`ItemId`]s: `[impressions]`.
    pub shown: Vec<u32>,
    /// What the users did, each as [`Choice::code`](crate::Choice::code): `[steps]`.
    pub chosen: Vec<u32>,
    /// The rewards: `[steps]`.
    pub reward: Vec<f32>,
    /// The probability of each place given the places before it, of all sessions: `[impressions]`.
    pub propensity: Option<Vec<f32>>,
}

impl Log {
    /// The log that these columns are.
    ///
    /// # Errors
    /// [`Error::Log`] if the lengths of the columns disagree, or a session or a slate is empty.
    pub fn from_columns(columns: Columns) -> Result<Self> {
        let Columns { session_offsets, slate_offsets, shown, chosen, reward, propensity } = columns;
        check_offsets("session", &session_offsets, chosen.len())?;
        check_offsets("slate", &slate_offsets, shown.len())?;
        check_length("slate offset", slate_offsets.len(), chosen.len() + 1)?;
        check_length("reward", reward.len(), chosen.len())?;
        if let Some(propensity) = &propensity {
            check_length("propensity", propensity.len(), shown.len())?;
        }
        let shown = shown.into_iter().map(ItemId).collect();
        Ok(Self {
            session_offsets,
            slate_offsets,
            shown,
            chosen,
            reward,
            propensity,
            ..Self::default()
        })
    }
}

pub(super) fn check_offsets(what: &str, offsets: &[u64], end: usize) -> Result<()> {
    if offsets.first() != Some(&0) || offsets.last() != Some(&(end as u64)) {
        return Err(Error::Log(format!("the {what} offsets do not run from 0 to {end}")));
    }
    match offsets.windows(2).position(|pair| pair[0] >= pair[1]) {
        Some(index) => Err(Error::Log(format!("{what} {index} is empty"))),
        None => Ok(()),
    }
}

pub(super) fn check_length(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Log(format!("the {what} column has {found} entries, not {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Choice, LogBuilder, Step};

    fn columns() -> Columns {
        Columns {
            session_offsets: vec![0, 2, 3],
            slate_offsets: vec![0, 2, 3, 5],
            shown: vec![4, 2, 1, 0, 3],
            chosen: [Choice::Item(ItemId(2)), Choice::Leave, Choice::Skip]
                .map(Choice::code)
                .to_vec(),
            reward: vec![1.0, 0.0, 0.0],
            propensity: Some(vec![0.5; 5]),
        }
    }

    #[test]
    fn columns_and_steps_build_the_same_log() {
        let given = columns();
        let mut builder = LogBuilder::default();
        for session in given.session_offsets.windows(2) {
            for step in session[0] as usize..session[1] as usize {
                let slate =
                    given.slate_offsets[step] as usize..given.slate_offsets[step + 1] as usize;
                let propensity = Some(&given.propensity.as_ref().unwrap()[slate.clone()]);
                let (choice, reward) = (Choice::from_code(given.chosen[step]), given.reward[step]);
                let slate: Vec<ItemId> = given.shown[slate].iter().copied().map(ItemId).collect();
                builder.push(Step { propensity, ..Step::new(&slate, choice, reward) }).unwrap();
            }
            builder.end_session(None).unwrap();
        }
        assert_eq!(Log::from_columns(given).unwrap(), builder.build());
    }

    #[test]
    fn columns_that_disagree_are_refused() {
        let broken: [fn(&mut Columns); 6] = [
            |c| c.session_offsets = vec![0, 2, 2, 3],
            |c| c.session_offsets = vec![0, 2],
            |c| c.slate_offsets = vec![0, 2, 5],
            |c| c.reward.clear(),
            |c| c.propensity = Some(vec![]),
            |c| c.session_offsets.clear(),
        ];
        for (index, break_it) in broken.into_iter().enumerate() {
            let mut columns = columns();
            break_it(&mut columns);
            assert!(matches!(Log::from_columns(columns), Err(Error::Log(_))), "case {index}");
        }
    }
}
