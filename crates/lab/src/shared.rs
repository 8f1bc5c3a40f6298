//! What cells of one experiment have in common, computed once; and a thread for each of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use crate::logging::{self, CELL};

/// Values that several cells need: the first that asks computes, the others wait for it.
///
/// A value must follow from its key, so that a cell remains a pure function of its configuration.
/// The oldest values are forgotten beyond `capacity`.
pub struct Shared<K, V> {
    slots: Mutex<VecDeque<(K, Slot<V>)>>,
    capacity: usize,
}

type Slot<V> = Arc<Mutex<Option<Arc<V>>>>;

impl<K: PartialEq, V> Shared<K, V> {
    /// Keeps at most `capacity` values.
    pub fn new(capacity: usize) -> Self {
        Self { slots: Mutex::new(VecDeque::new()), capacity }
    }

    /// The value of `key`, which `make` computes if it is not there. One that fails is computed
    /// again for the next who asks.
    pub fn get(&self, key: K, make: impl FnOnce() -> anyhow::Result<V>) -> anyhow::Result<Arc<V>> {
        let slot = self.slot(key);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*slot {
            tracing::debug!(target: CELL, "uses what this cell or another one computed before");
            return Ok(Arc::clone(value));
        }
        Ok(Arc::clone(slot.insert(Arc::new(make()?))))
    }

    fn slot(&self, key: K) -> Slot<V> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = slots.iter().find(|(known, _)| *known == key) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.capacity {
            slots.pop_front();
        }
        let slot = Slot::default();
        slots.push_back((key, Arc::clone(&slot)));
        slot
    }
}

/// Runs a cell in a pool of its own, as large as the common one, whose threads write to the cell's
/// log: cells that share a pool of one thread would wait for each other.
pub fn in_own_pool<T: Send>(run: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    // Backward passes recurse once per operation.
    const STACK_BYTES: usize = 256 << 20;
    let log = logging::current();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .stack_size(STACK_BYTES)
        .start_handler(move |_| logging::enter(log.clone()))
        .build();
    pool.context("cannot start a thread")?.install(run)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use tracing::dispatcher::{self, Dispatch};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_value_is_computed_once_unless_it_failed_or_was_forgotten() {
        let shared = Shared::new(2);
        let get = |key: u32, value: u32| *shared.get(key, || Ok(value)).unwrap();
        assert_eq!((get(1, 10), get(1, 11)), (10, 10));
        assert!(shared.get(2, || bail!("no")).is_err());
        assert_eq!((get(2, 20), get(1, 12)), (20, 10));
        assert_eq!((get(3, 30), get(2, 21), get(1, 13)), (30, 20, 13));
    }

    #[test]
    fn a_pool_of_its_own_writes_to_the_log_of_the_cell() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("log");
        let logs = Dispatch::new(tracing_subscriber::registry().with(logging::in_files()));
        logging::enter(Some(logging::CellLog::create(&path, Default::default()).unwrap()));
        in_own_pool(|| {
            dispatcher::with_default(&logs, || tracing::warn!("from the pool"));
            Ok(())
        })
        .unwrap();
        logging::enter(None);
        assert!(std::fs::read_to_string(path).unwrap().contains("from the pool"));
    }

    #[test]
    fn a_cell_in_its_own_pool_returns_what_it_found() {
        assert_eq!(in_own_pool(|| Ok(7)).unwrap(), 7);
        assert!(in_own_pool::<()>(|| bail!("no")).is_err());
    }
}
