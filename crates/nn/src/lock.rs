//! One rule for all mutexes of this crate: a panic in another thread does not become a second one
//! here.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The guarded value, also after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
