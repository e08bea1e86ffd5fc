//! The page: trains NTP and NITP side by side, and shows their hidden states.
//! It has two halves, which communicate only by [`protocol`]: the [`engine`] trains and measures, and the [`app`] is
//! the user interface. The engine runs in a worker in a browser, and in a thread for a desktop window. A [`link`]
//! connects the halves.

pub mod app;
pub mod engine;
pub mod exchange;
pub mod link;
pub mod protocol;
#[cfg(not(target_arch = "wasm32"))]
mod window;

#[cfg(not(target_arch = "wasm32"))]
pub use window::open_window;
