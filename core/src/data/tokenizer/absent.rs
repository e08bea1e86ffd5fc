//! Stand-ins for `hugging_face` in a program without the feature `tokenizers`: these types have no values.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::error::TokenizerError;

/// A `tokenizer.json`, which this program can't read.
#[derive(Clone, Copy, Debug)]
pub enum HuggingFace {}

/// The steps of a decoder.
#[derive(Clone, Copy, Debug)]
pub enum Steps {}

#[allow(missing_docs, reason = "no one can call them")]
impl Steps {
    pub fn push(&mut self, _: String, _: &mut String) {
        match *self {}
    }

    pub fn finish(&mut self, _: &mut String) {
        match *self {}
    }
}

#[allow(missing_docs, reason = "no one can call them")]
impl HuggingFace {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: &str) -> Result<Self, TokenizerError> {
        Err(TokenizerError::Absent)
    }

    pub fn set_end_of_text(&mut self, _: &str) -> Result<(), TokenizerError> {
        match *self {}
    }

    pub fn clear_end_of_text(&mut self) {
        match *self {}
    }

    pub fn token(&self, _: u32) -> Option<String> {
        match *self {}
    }

    pub fn joins_documents(&self) -> bool {
        match *self {}
    }

    pub fn encode_parts(
        &self,
        _: &str,
        _: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<(), TokenizerError> {
        match *self {}
    }

    pub fn encode_open(
        &self,
        _: &str,
        _: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<usize, TokenizerError> {
        match *self {}
    }

    pub fn left_out(&self, _: &str) -> BTreeMap<char, u64> {
        match *self {}
    }

    pub fn decode(&self, _: &[u32]) -> String {
        match *self {}
    }

    pub fn shown_token(&self, _: u32) -> Option<String> {
        match *self {}
    }

    pub fn decoding_steps(&self) -> Option<Steps> {
        match *self {}
    }

    pub fn has(&self, _: u32) -> bool {
        match *self {}
    }

    pub fn vocab_size(&self) -> usize {
        match *self {}
    }

    pub fn end_of_text(&self) -> Option<u32> {
        match *self {}
    }

    pub fn unknown(&self) -> Option<u32> {
        match *self {}
    }

    pub fn dropout(&self) -> Option<f64> {
        match *self {}
    }

    pub fn json(&self) -> &str {
        match *self {}
    }

    pub fn ids_are_as_before(&self) -> bool {
        match *self {}
    }

    pub fn token_bytes(&self, _: u32) -> u32 {
        match *self {}
    }
}
