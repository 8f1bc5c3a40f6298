//! How many threads the pools of this process have.

use std::num::NonZeroUsize;

/// The variable from which candle takes the size of its pool.
const CANDLE: &str = "CANDLE_NUM_THREADS";
/// The variables from which rayon and candle take the sizes of their pools.
const POOLS: [&str; 2] = ["RAYON_NUM_THREADS", CANDLE];

/// All pools have so many threads from here on. To be called at the start of a program.
pub fn use_at_most(threads: NonZeroUsize) {
    POOLS.iter().for_each(|pool| set(pool, threads));
}

/// The same, but what the user has set stays.
pub fn use_by_default(threads: NonZeroUsize) {
    let unset = POOLS.iter().filter(|pool| std::env::var_os(pool).is_none());
    unset.for_each(|pool| set(pool, threads));
}

/// Candle's pool has one thread, unless the user has set it: for small networks, whose operations
/// are over before other threads have heard of them. Rayon's pool stays as it is. To be called at
/// the start of a program.
pub fn for_small_networks() {
    if std::env::var_os(CANDLE).is_none() {
        set(CANDLE, NonZeroUsize::MIN);
    }
}

fn set(pool: &str, threads: NonZeroUsize) {
    #[allow(
        unsafe_code,
        reason = "the pools offer no other way, and this is the process's only thread so far"
    )]
    // SAFETY: called at the start of a program, before any other thread exists that could read the
    // environment.
    unsafe {
        std::env::set_var(pool, threads.to_string());
    }
}
