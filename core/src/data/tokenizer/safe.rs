//! The only place that calls crates which may panic on users' input: `tokenizers`, and `parquet` in the program. Panics
//! become errors, and their messages are not printed.
//!
//! On wasm32 a panic aborts, so [`super::validate`] rejects inputs that are known to panic before.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`, which calls such a crate.
///
/// # Errors
/// The message of its panic.
pub fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let _quiet = quiet::Quiet::new();
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

#[cfg(not(target_arch = "wasm32"))]
mod quiet {
    use std::cell::Cell;
    use std::sync::Once;

    thread_local! {
        /// Number of contained calls of this thread.
        static CONTAINED: Cell<usize> = const { Cell::new(0) };
    }

    /// While a value of this type exists, panics of this thread print nothing.
    pub struct Quiet;

    impl Quiet {
        pub fn new() -> Self {
            static HOOK: Once = Once::new();
            // Set once for the program, in front of the existing hook: swapping hooks for each call would race with
            // other threads.
            HOOK.call_once(|| {
                let before = std::panic::take_hook();
                std::panic::set_hook(Box::new(move |panic| {
                    // A thread that is ending has no such value any more, and contains no calls.
                    if CONTAINED.try_with(Cell::get).unwrap_or(0) == 0 {
                        before(panic);
                    }
                }));
            });
            CONTAINED.set(CONTAINED.get() + 1);
            Self
        }
    }

    impl Drop for Quiet {
        fn drop(&mut self) {
            CONTAINED.set(CONTAINED.get() - 1);
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod quiet {
    /// Does nothing, because a panic ends the program on this target.
    pub struct Quiet;

    impl Quiet {
        pub fn new() -> Self {
            Self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(contained(|| 3), Ok(3));
        assert_eq!(contained(|| -> u8 { panic!("no {}", 1) }), Err("no 1".to_owned()));
        assert_eq!(contained(|| -> u8 { panic!("none") }), Err("none".to_owned()));
    }
}
