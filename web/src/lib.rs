//! The page: NTP and NITP train side by side, and their hidden states can be watched.
//!
//! Two halves that only speak [`protocol`]: the [`engine`] trains and measures, the [`app`] shows
//! and asks. In a browser the engine runs in a worker, in a desktop window in a thread; what binds
//! them is a [`link`].

pub mod app;
pub mod engine;
pub mod link;
pub mod protocol;
#[cfg(not(target_arch = "wasm32"))]
mod window;

#[cfg(not(target_arch = "wasm32"))]
pub use window::open_window;
