//! The steps of a decoder, which work on one token after the other.

use std::mem;

use tokenizers::Decoder;
use tokenizers::decoders::DecoderWrapper;

use super::hugging_face::HuggingFace;
use super::safe::contained;
use super::utf8::Utf8;

/// The steps of a decoder.
#[derive(Clone, Debug)]
pub struct Steps(Vec<Step>);

impl Steps {
    /// Those of `decoder`, if all are known.
    pub fn of(decoder: Option<&DecoderWrapper>) -> Option<Self> {
        let Some(decoder) = decoder else {
            return Some(Self(vec![Step::Spaces { first: true }]));
        };
        let (mut steps, mut joined) = (Vec::new(), false);
        match add_steps(decoder, &mut joined, &mut steps) {
            Known::Yes => Some(Self(steps)),
            Known::No => None,
        }
    }

    /// Adds the text that is final after this token.
    pub fn push(&mut self, token: String, text: &mut String) {
        feed(&mut self.0, token, text);
    }

    /// Adds the rest of the text.
    pub fn finish(&mut self, text: &mut String) {
        for i in 0..self.0.len() {
            let (step, rest) = self.0[i..].split_first_mut().expect("i is below the length");
            for token in step.finish() {
                feed(rest, token, text);
            }
        }
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
