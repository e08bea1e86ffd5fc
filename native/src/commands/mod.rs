//! One file for each command.

pub mod bench;
pub mod data;
pub mod devices;
pub mod doctor;
pub mod eval;
pub mod export;
pub mod generate;
pub mod gui;
pub mod import;
pub mod info;
pub mod lab;
pub mod probe;
pub mod shell;
pub mod tasks;
pub mod tokenizer;
pub mod trace;
pub mod train;
pub mod view;
