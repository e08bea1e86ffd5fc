//! The tokenizer as a whole: on small examples, against the library, and on files that are broken.

mod basics;
mod broken;
mod corpora;
mod decoding;
mod ids;
mod samples;
