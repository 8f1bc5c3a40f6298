//! Calls into decoders that panic on some damaged files where they should fail.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is an answer that is waited for.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `call` returns; `None` if it panics, of which nothing is printed. Nothing that it leaves
/// half done may be used afterwards.
///
/// Panics of other threads, and of this one elsewhere, are reported as ever.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                report(panic);
            }
        }));
    });
    let outer = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(outer);
    result.ok()
}

#[cfg(test)]
mod tests {
    use std::panic;
    use std::sync::Mutex;
    use std::thread;

    use super::*;

    /// The reports of all panics go through the hook that was there before; those of other tests
    /// too, which is why only marked ones count.
    #[test]
    fn a_guarded_panic_is_silent_and_no_other_is() {
        static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            match panic.payload_as_str().filter(|text| text.starts_with("marked")) {
                Some(text) => REPORTED.lock().unwrap().push(text.to_owned()),
                None => before(panic),
            }
        }));
        assert_eq!(guarded(|| 5), Some(5));
        assert_eq!(guarded(|| -> i32 { panic!("marked: guarded") }), None);
        assert!(panic::catch_unwind(|| panic!("marked: after")).is_err());
        let elsewhere = || thread::spawn(|| panic!("marked: elsewhere")).join().is_err();
        assert_eq!(guarded(elsewhere), Some(true));
        // After a guarded call within another this one is still waited for.
        let nested = || {
            assert!(guarded(|| panic!("marked: within")).is_none());
            panic!("marked: without")
        };
        assert!(guarded(nested).is_none());
        assert_eq!(*REPORTED.lock().unwrap(), ["marked: after", "marked: elsewhere"]);
    }
}
