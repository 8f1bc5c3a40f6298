//! From numbers in the order of a log to the cells of its padded batches: weights of Eq 7 and
//! returns of Eq 10 are computed by step and used by batch.

use foretaste_data::{Log, PaddedBatch};

/// A number for each step of a log, such as a weight or a return, ready to be laid out as its
/// batches are.
#[derive(Debug)]
pub struct PerStep<'a> {
    values: &'a [f32],
    /// Where each session begins, and where the last one ends.
    starts: Vec<usize>,
}

impl<'a> PerStep<'a> {
    /// `values` holds one number for each step of `log`, in order.
    pub fn new(log: &Log, values: &'a [f32]) -> Self {
        let mut starts = vec![0];
        starts.extend(log.iter().scan(0, |end, session| {
            *end += session.len();
            Some(*end)
        }));
        Self { values, starts }
    }

    /// The numbers of these sessions in the cells of their batch, `[rows · steps]`; 0 where there
    /// is no step.
    pub fn pad(&self, sessions: &[usize], batch: &PaddedBatch) -> Vec<f32> {
        let mut padded = vec![0.0; batch.rows * batch.steps];
        for (row, &session) in padded.chunks_exact_mut(batch.steps.max(1)).zip(sessions) {
            let of_session = &self.values[self.starts[session]..self.starts[session + 1]];
            row[..of_session.len()].copy_from_slice(of_session);
        }
        padded
    }
}
