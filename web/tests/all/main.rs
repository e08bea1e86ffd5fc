//! The page without a browser: the app and the engine.

mod app;
mod engine;
mod torture;
