//! From the steps of a batch, time by time, to the columns of a log, session by session.

use foretaste_data::{Columns, Log};
use rayon::prelude::*;

use crate::{Moment, Observer, Result};

/// Records the steps of one chunk as they come.
pub(crate) struct Tape {
    k: usize,
    /// Place of a population row among the sessions of this tape.
    place: Vec<u32>,
    lengths: Vec<u32>,
    rows: Vec<u32>,
    chosen: Vec<u32>,
    reward: Vec<f32>,
    shown: Vec<u32>,
    propensity: Vec<f32>,
}

impl Tape {
    /// For all the sessions of a population that begins.
    pub(crate) fn new(sessions: usize, k: usize) -> Self {
        Self::placed((0..sessions as u32).collect(), sessions, k)
    }

    /// For the sessions at these rows of a population, numbered in this order.
    pub(crate) fn of(rows: &[usize], k: usize) -> Self {
        let mut place = vec![u32::MAX; rows.iter().max().map_or(0, |&row| row + 1)];
        for (session, &row) in rows.iter().enumerate() {
            place[row] = session as u32;
        }
        Self::placed(place, rows.len(), k)
    }

    fn placed(place: Vec<u32>, sessions: usize, k: usize) -> Self {
        // Room for sessions of four steps: growing from nothing copies a short chunk several times
        // over.
        let steps = 4 * sessions;
        Self {
            k,
            place,
            lengths: vec![0; sessions],
            rows: Vec::with_capacity(steps),
            chosen: Vec::with_capacity(steps),
            reward: Vec::with_capacity(steps),
            shown: Vec::with_capacity(steps * k),
            propensity: Vec::with_capacity(steps * k),
        }
    }

    /// Writes the steps session by session; the columns are this tape's share of a log's.
    fn write(&self, columns: Share<'_>) {
        let k = self.k;
        let mut next = vec![0; self.lengths.len()];
        for session in 1..next.len() {
            next[session] = next[session - 1] + self.lengths[session - 1] as usize;
        }
        for (step, &session) in self.rows.iter().enumerate() {
            let to = next[session as usize];
            next[session as usize] += 1;
            columns.chosen[to] = self.chosen[step];
            columns.reward[to] = self.reward[step];
            columns.shown[to * k..][..k].copy_from_slice(&self.shown[step * k..][..k]);
            if !columns.propensity.is_empty() {
                columns.propensity[to * k..][..k]
                    .copy_from_slice(&self.propensity[step * k..][..k]);
            }
        }
    }
}

impl Observer for Tape {
    fn observe(&mut self, moment: Moment<'_>) -> Result<()> {
        for &row in moment.rows {
            let session = self.place[row];
            self.lengths[session as usize] += 1;
            self.rows.push(session);
        }
        self.chosen.extend(moment.responses.choice.iter().map(|choice| choice.code()));
        self.reward.extend_from_slice(&moment.responses.reward);
        self.shown.extend(moment.slates.items().iter().map(|item| item.0));
        self.propensity.extend_from_slice(moment.slates.propensities().unwrap_or_default());
        Ok(())
    }
}

/// The log of the sessions of all tapes, in order.
pub(crate) fn join(tapes: Vec<Tape>) -> Result<Log> {
    let k = tapes.first().map_or(1, |tape| tape.k);
    let steps: usize = tapes.iter().map(|tape| tape.rows.len()).sum();
    let with_propensities =
        steps > 0 && tapes.iter().all(|tape| tape.propensity.len() == tape.shown.len());
    let mut columns = Columns {
        session_offsets: vec![0],
        slate_offsets: (0..steps + 1).into_par_iter().map(|step| (step * k) as u64).collect(),
        // Zeroed numbers come from the system untouched: their pages are first written, in
        // parallel, by the tapes.
        shown: vec![0; steps * k],
        chosen: vec![0; steps],
        reward: vec![0.0; steps],
        propensity: with_propensities.then(|| vec![0.0; steps * k]),
    };
    let mut end = 0;
    columns.session_offsets.extend(tapes.iter().flat_map(|tape| &tape.lengths).map(|&length| {
        end += u64::from(length);
        end
    }));
    let mut rest = Share {
        chosen: &mut columns.chosen,
        reward: &mut columns.reward,
        shown: &mut columns.shown,
        propensity: columns.propensity.as_deref_mut().unwrap_or_default(),
    };
    let mut shares = Vec::with_capacity(tapes.len());
    for tape in tapes {
        let (share, remainder) = rest.split(tape.rows.len(), k);
        shares.push((tape, share));
        rest = remainder;
    }
    shares.into_par_iter().for_each(|(tape, share)| tape.write(share));
    Ok(Log::from_columns(columns)?)
}

struct Share<'a> {
    chosen: &'a mut [u32],
    reward: &'a mut [f32],
    shown: &'a mut [u32],
    propensity: &'a mut [f32],
}

impl<'a> Share<'a> {
    fn split(self, steps: usize, k: usize) -> (Self, Self) {
        let (chosen, more_chosen) = self.chosen.split_at_mut(steps);
        let (reward, more_reward) = self.reward.split_at_mut(steps);
        let (shown, more_shown) = self.shown.split_at_mut(steps * k);
        let (propensity, more_propensity) =
            self.propensity.split_at_mut((steps * k).min(self.propensity.len()));
        let share = Self { chosen, reward, shown, propensity };
        (
            share,
            Self {
                chosen: more_chosen,
                reward: more_reward,
                shown: more_shown,
                propensity: more_propensity,
            },
        )
    }
}
