//! Decoding of tokens one by one.
//! A decoder's result depends on the whole list of tokens: an invalid run of byte tokens becomes replacement characters
//! from its first byte on, a leading space is dropped, and a trailing suffix gives no space. A text is therefore
//! returned only when no later token can change it. This follows from the decoder's steps, each of which holds back
//! exactly the part that may still change. A decoder with an unknown step returns all of its text at the end.

use std::mem;

use super::Tokenizer;
use super::hugging_face::Steps;
use super::utf8::Utf8;

/// Decodes tokens one by one: the results of [`TextStream::push`] and of the final [`TextStream::finish`], joined,
/// equal the result of [`Tokenizer::decode`] for all tokens at once.
#[derive(Clone, Debug)]
pub struct TextStream {
    tokenizer: Tokenizer,
    decoding: Decoding,
    /// The text of a prompt's tokens, which the reader already has.
    known: String,
}

#[derive(Clone, Debug)]
enum Decoding {
    Bytes(Utf8),
    Steps(Steps),
    /// A decoder whose text may change until the end.
    Whole(Vec<u32>),
}

impl TextStream {
    /// A stream without tokens yet.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let decoding = match tokenizer {
            Tokenizer::Byte { .. } => Decoding::Bytes(Utf8::default()),
            Tokenizer::HuggingFace(it) => match it.decoding_steps() {
                Some(steps) => Decoding::Steps(steps),
                None => Decoding::Whole(Vec::new()),
            },
        };
        Self { tokenizer: tokenizer.clone(), decoding, known: String::new() }
    }

    /// A stream that continues a prompt's tokens. Its text is to be written after the original prompt.
    /// The text is that of all tokens decoded at once, after the text of the prompt's tokens. If later tokens change
    /// the prompt's text (because the prompt ends in a run of byte tokens that turns out to be invalid), the changed
    /// part is returned, too.
    pub fn after(tokenizer: &Tokenizer, prompt: &[u32]) -> Self {
        let mut stream = Self::new(tokenizer);
        for &token in prompt {
            stream.push(token);
        }
        stream.known = stream.clone().finish();
        stream
    }

    /// The text that is final after this token: often its own text, or none while bytes of a character are missing.
    pub fn push(&mut self, token: u32) -> String {
        let mut text = String::new();
        match &mut self.decoding {
            Decoding::Bytes(bytes) => {
                if let Ok(byte) = token.try_into() {
                    bytes.push(&[byte], &mut text);
                }
            }
            Decoding::Steps(steps) => {
                if let Tokenizer::HuggingFace(it) = &self.tokenizer
                    && let Some(token) = it.shown_token(token)
                {
                    steps.push(token, &mut text);
                }
            }
            Decoding::Whole(tokens) => tokens.push(token),
        }
        self.new_part(text)
    }

    /// The rest of the text, at the end of the tokens.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        match &mut self.decoding {
            Decoding::Bytes(bytes) => bytes.finish(&mut text),
            Decoding::Steps(steps) => steps.finish(&mut text),
            Decoding::Whole(tokens) => text = self.tokenizer.decode(&mem::take(tokens)),
        }
        self.new_part(text)
    }

    /// Removes the text that the reader has from the prompt, up to the first difference.
    fn new_part(&mut self, mut text: String) -> String {
        let equal = text.chars().zip(self.known.chars()).take_while(|(a, b)| a == b);
        let same: usize = equal.map(|(a, _)| a.len_utf8()).sum();
        self.known.drain(..same);
        text.drain(..same);
        if !text.is_empty() {
            self.known.clear();
        }
        text
    }
}
