//! Users that leave at the latest on a given step. It makes the end of a generated trajectory look
//! like that of a real session, so D cannot recognize trajectories by their missing end.

use foretaste_data::{Choice, ItemId};
use foretaste_random::Stream;
use foretaste_sim::{Environment, Responses, Slates};
use foretaste_user_model::behaviour::{BehaviourState, BehaviourUsers};

/// U, whose users leave on a certain step at the latest, as in the authors' code, where END follows
/// generated trajectories whether they ended or were cut. Without it, D would tell trajectories
/// that were cut by their lack of END, which every real session has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing<'a> {
    pub users: &'a BehaviourUsers,
    /// The step on which everyone leaves, counted from 1.
    pub last: usize,
    /// The items that each session clicked before its first slate.
    pub openings: &'a [Vec<ItemId>],
}

/// U's state, and the steps that each session has taken.
#[derive(Clone, Debug)]
pub(crate) struct ClosingState {
    users: BehaviourState,
    steps: Vec<usize>,
}

impl Environment for Closing<'_> {
    type State = ClosingState;

    fn items(&self) -> usize {
        self.users.items()
    }

    fn reset(&self, streams: &mut [Stream]) -> foretaste_sim::Result<ClosingState> {
        let users = self.users.begin_after(self.openings)?;
        Ok(ClosingState { steps: vec![0; streams.len()], users })
    }

    fn step(
        &self,
        state: &mut ClosingState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> foretaste_sim::Result<()> {
        self.users.step(&mut state.users, slates, streams, responses)?;
        for (row, steps) in state.steps.iter_mut().enumerate() {
            *steps += 1;
            if *steps >= self.last {
                responses.choice[row] = Choice::Leave;
                responses.reward[row] = 0.0;
                responses.ended[row] = true;
            }
        }
        Ok(())
    }

    fn select(&self, state: &ClosingState, rows: &[usize]) -> foretaste_sim::Result<ClosingState> {
        Ok(ClosingState {
            users: Environment::select(self.users, &state.users, rows)?,
            steps: rows.iter().map(|&row| state.steps[row]).collect(),
        })
    }

    fn replace(
        &self,
        state: &mut ClosingState,
        rows: &[usize],
        streams: &mut [Stream],
    ) -> foretaste_sim::Result<()> {
        // No session of a trajectory takes the place of another.
        rows.iter().for_each(|&row| state.steps[row] = 0);
        self.users.replace(&mut state.users, rows, streams)
    }
}
