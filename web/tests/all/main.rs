//! The page without a browser: what it shows, and the engine behind it.

mod app;
mod engine;
mod torture;
