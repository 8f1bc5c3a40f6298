//! Splitting a file into rows on one thread while another makes steps of them.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

use super::{Row, Table};
use crate::Result;

/// Some records in a row, in buffers that are used again and again.
#[derive(Default)]
struct Batch {
    records: Vec<csv::ByteRecord>,
    used: usize,
    /// How much of the file had been read when the batch was full.
    fraction: f64,
}

impl Batch {
    const RECORDS: usize = 512;
    /// Batches on the way: enough to ride out a stall on either side, few enough to stay in the
    /// cache.
    const WAITING: usize = 4;

    /// Reads records until the batch is full; `false` at the end of the file.
    fn fill(&mut self, table: &mut Table<'_>) -> Result<bool> {
        self.records.resize_with(Self::RECORDS, csv::ByteRecord::new);
        self.used = 0;
        while self.used < Self::RECORDS {
            if !table.read(&mut self.records[self.used])? {
                return Ok(false);
            }
            self.used += 1;
        }
        Ok(true)
    }
}

/// Passes every row to `take`, which runs on a thread of its own.
///
/// The first error ends it, in the order of the file: that of a row comes before that of reading
/// on.
pub(crate) fn for_each(
    mut table: Table<'_>,
    take: impl FnMut(Row<'_>) -> Result<()> + Send,
) -> Result<()> {
    let names = table.names().to_vec();
    thread::scope(|scope| {
        let (full, waiting) = sync_channel(Batch::WAITING);
        let (back, empty) = channel();
        let taking = scope.spawn(move || take_all(&names, &waiting, &back, take));
        let read = loop {
            let mut batch: Batch = empty.try_recv().unwrap_or_default();
            let more = batch.fill(&mut table);
            batch.fraction = table.fraction();
            // The other side hangs up only after an error, which is the one to return.
            let hung_up = full.send(batch).is_err();
            match more {
                Ok(true) if !hung_up => {}
                other => break other,
            }
        };
        drop(full);
        taking.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        read.map(drop)
    })
}

fn take_all(
    names: &[&'static str],
    waiting: &Receiver<Batch>,
    back: &Sender<Batch>,
    mut take: impl FnMut(Row<'_>) -> Result<()>,
) -> Result<()> {
    for batch in waiting {
        for record in &batch.records[..batch.used] {
            take(Row { record, names, fraction: batch.fraction })?;
        }
        // At the end of the file no one waits for empty batches any more.
        let _ = back.send(batch);
    }
    Ok(())
}
