//! Tests of the tokenizer: on small examples, against the library, and on broken files.

mod basics;
mod broken;
mod corpora;
mod decoding;
mod ids;
mod samples;
