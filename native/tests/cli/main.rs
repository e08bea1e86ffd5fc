//! Tests of the program from the command line: its output, its files, its handling of failures.

mod bench;
mod errors;
mod formats;
mod harness;
mod inspect;
mod interchange;
mod interruptions;
mod lab;
mod limits;
mod precision;
mod prepared;
mod probe;
mod receipts;
mod runs;
mod shell;
mod tasks;
mod tensorboard;
mod text;
mod tokenizers;
mod torture;
mod trust;
mod tuning;
mod view;
