//! Decoding of tokens one by one.
//! A decoder's result depends on the whole list of tokens: an invalid run of byte tokens becomes replacement characters
//! from its first byte on, a leading space is dropped, and a trailing suffix gives no space. A text is therefore
//! returned only when no later token can change it. This follows from the decoder's steps, each of which holds back
//! exactly the part that may still change. A decoder with an unknown step returns all of its text at the end.

use std::mem;

use tokenizers::Decoder;
use tokenizers::decoders::DecoderWrapper;

use super::Tokenizer;
use super::hugging_face::HuggingFace;
use super::safe::contained;

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
    Steps(Vec<Step>),
    /// A decoder whose text may change until the end.
    Whole(Vec<u32>),
}

impl TextStream {
    /// A stream without tokens yet.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let decoding = match tokenizer {
            Tokenizer::Byte { .. } => Decoding::Bytes(Utf8::default()),
            Tokenizer::HuggingFace(it) => match it.decoder() {
                None => Decoding::Steps(vec![Step::Spaces { first: true }]),
                Some(decoder) => {
                    let (mut steps, mut joined) = (Vec::new(), false);
                    match add_steps(decoder, &mut joined, &mut steps) {
                        Known::Yes => Decoding::Steps(steps),
                        Known::No => Decoding::Whole(Vec::new()),
                    }
                }
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
                    feed(steps, token, &mut text);
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
            Decoding::Steps(steps) => {
                for i in 0..steps.len() {
                    let (step, rest) = steps[i..].split_first_mut().expect("i is below the length");
                    for token in step.finish() {
                        feed(rest, token, &mut text);
                    }
                }
            }
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

/// Whether all steps of a decoder are known.
enum Known {
    Yes,
    No,
}

/// Adds the steps of `decoder`; `joined` if they work on one growing token.
fn add_steps(decoder: &DecoderWrapper, joined: &mut bool, steps: &mut Vec<Step>) -> Known {
    use DecoderWrapper as D;
    match decoder {
        D::Sequence(sequence) => {
            for decoder in sequence.get_decoders() {
                if let Known::No = add_steps(decoder, joined, steps) {
                    return Known::No;
                }
            }
        }
        D::Fuse(_) => *joined = true,
        D::ByteLevel(_) if !*joined => {
            steps.push(Step::ByteLevel(Utf8::default()));
            *joined = true;
        }
        D::Metaspace(_) | D::WordPiece(_) | D::Replace(_) | D::Strip(_) if !*joined => {
            steps.push(Step::EachToken { decoder: decoder.clone(), first: true });
        }
        D::ByteFallback(_) if !*joined => {
            steps.push(Step::ByteRun { decoder: decoder.clone(), run: Vec::new() });
        }
        D::BPE(_) if !*joined => {
            steps.push(Step::LastToken { decoder: decoder.clone(), last: None })
        }
        D::CTC(_) if !*joined => {
            steps.push(Step::Repeats { decoder: decoder.clone(), previous: None });
        }
        D::Strip(strip) if strip.stop == 0 => {
            steps.push(Step::Begin { content: strip.content, left: strip.start });
        }
        // Works on single characters, all of which are in the first token if there is only one.
        D::Metaspace(_) => steps.push(Step::EachPart(decoder.clone())),
        D::WordPiece(word_piece) if !word_piece.cleanup => {}
        _ => return Known::No,
    }
    Known::Yes
}

/// One step of a decoder, with the tokens or text that it holds back.
#[derive(Clone, Debug)]
enum Step {
    /// No decoder: tokens are joined by spaces.
    Spaces { first: bool },
    /// Each token separately; the first one differs.
    EachToken { decoder: DecoderWrapper, first: bool },
    /// A token that equals the previous one is dropped.
    Repeats { decoder: DecoderWrapper, previous: Option<String> },
    /// The last token differs.
    LastToken { decoder: DecoderWrapper, last: Option<String> },
    /// A run of byte tokens becomes characters if the whole run is valid, else replacement characters.
    ByteRun { decoder: DecoderWrapper, run: Vec<String> },
    /// Characters that represent bytes of UTF-8.
    ByteLevel(Utf8),
    /// Drops at most `left` of this character at the beginning of the text.
    Begin { content: char, left: usize },
    /// Each part of a text separately.
    EachPart(DecoderWrapper),
}

/// Passes a token to the first step, its output to the next step, and so on.
fn feed(steps: &mut [Step], token: String, text: &mut String) {
    match steps.split_first_mut() {
        None => text.push_str(&token),
        Some((step, rest)) => {
            for token in step.push(token) {
                feed(rest, token, text);
            }
        }
    }
}

impl Step {
    fn push(&mut self, token: String) -> Vec<String> {
        match self {
            Self::Spaces { first } => {
                vec![if mem::take(first) { token } else { format!(" {token}") }]
            }
            Self::EachToken { decoder, first } => {
                if mem::take(first) {
                    return chain(decoder, vec![token]);
                }
                let before = "a".to_owned();
                chain(decoder, vec![before, token]).into_iter().skip(1).collect()
            }
            Self::EachPart(decoder) => chain(decoder, vec![token]),
            Self::Repeats { decoder, previous } => {
                if previous.as_ref() == Some(&token) {
                    return Vec::new();
                }
                *previous = Some(token.clone());
                chain(decoder, vec![token])
            }
            Self::LastToken { decoder, last } => match last.replace(token) {
                Some(token) => {
                    let after = "a".to_owned();
                    chain(decoder, vec![token, after]).into_iter().take(1).collect()
                }
                None => Vec::new(),
            },
            Self::ByteRun { run, .. } if is_byte(&token) => {
                run.push(token);
                Vec::new()
            }
            Self::ByteRun { decoder, run } if run.is_empty() => chain(decoder, vec![token]),
            Self::ByteRun { decoder, run } => {
                run.push(token);
                chain(decoder, mem::take(run))
            }
            Self::ByteLevel(bytes) => {
                let mut text = String::new();
                bytes.push(&HuggingFace::byte_level_bytes(&token), &mut text);
                vec![text]
            }
            Self::Begin { content, left } => {
                let mut token = token;
                while *left > 0 && !token.is_empty() {
                    if token.starts_with(*content) {
                        token.drain(..content.len_utf8());
                        *left -= 1;
                    } else {
                        *left = 0;
                    }
                }
                vec![token]
            }
        }
    }

    fn finish(&mut self) -> Vec<String> {
        match self {
            Self::LastToken { decoder, last } => {
                last.take().map_or_else(Vec::new, |token| chain(decoder, vec![token]))
            }
            Self::ByteRun { decoder, run } if !run.is_empty() => chain(decoder, mem::take(run)),
            Self::ByteLevel(bytes) => {
                let mut text = String::new();
                bytes.finish(&mut text);
                vec![text]
            }
            _ => Vec::new(),
        }
    }
}

/// The library's step on these tokens; the tokens themselves if it fails.
fn chain(decoder: &DecoderWrapper, tokens: Vec<String>) -> Vec<String> {
    let kept = tokens.clone();
    contained(|| decoder.decode_chain(tokens)).ok().and_then(Result::ok).unwrap_or(kept)
}

/// Whether a token is a byte token, by the rule of the library's ByteFallback.
fn is_byte(token: &str) -> bool {
    token.len() == 6
        && token.starts_with("<0x")
        && token.ends_with('>')
        && u8::from_str_radix(&token[3..5], 16).is_ok()
}

/// Bytes that become text as with [`String::from_utf8_lossy`], except for a character whose bytes are not complete yet.
#[derive(Clone, Debug, Default)]
struct Utf8 {
    open: Vec<u8>,
}

impl Utf8 {
    fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.open.extend_from_slice(bytes);
        let mut settled = 0;
        for chunk in self.open.utf8_chunks() {
            text.push_str(chunk.valid());
            settled += chunk.valid().len();
            let invalid = chunk.invalid();
            let open = settled + invalid.len() == self.open.len()
                && str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if open {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                settled += invalid.len();
            }
        }
        self.open.drain(..settled);
    }

    fn finish(&mut self, text: &mut String) {
        text.push_str(&String::from_utf8_lossy(&self.open));
        self.open.clear();
    }
}
