//! From text to token ids and back: the bytes themselves, or a Hugging Face `tokenizer.json`.

use rayon::prelude::*;
use thiserror::Error;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Decoder, NormalizerWrapper, TokenizerBuilder};

use super::tokenizer_training::END_OF_TEXT;
use crate::config::BYTE_TOKENIZER;

/// Names under which well-known tokenizers keep the token that ends a document, likeliest first.
const END_OF_TEXT_NAMES: &[&str] =
    &[END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "[EOS]", "<|eos|>", "[SEP]"];

/// Id of the byte tokenizer's end of text, and the number of its other tokens.
const BYTES: usize = 256;

/// Text longer than this many bytes is tokenised in pieces, side by side.
const PIECE: usize = 64 * 1024;

/// A tokenizer that can't be used.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// The text is no `tokenizer.json`.
    #[error(
        "not a Hugging Face tokenizer.json: {0}. Give the file that the tokenizers library saves \
         (`nitp tokenizer train` makes one), or set data.tokenizer = \"byte\""
    )]
    Syntax(#[source] tokenizers::Error),
    /// The model has fewer rows of embedding than the tokenizer has tokens.
    #[error(
        "the tokenizer has {tokenizer} tokens, but model.vocab_size = {model}: set \
         model.vocab_size={tokenizer} or more, or use a smaller tokenizer"
    )]
    TooLarge {
        /// Ids that the tokenizer may give: one more than the largest.
        tokenizer: usize,
        /// The model's vocabulary.
        model: usize,
    },
    /// The tokenizer refused a text.
    #[error(
        "the tokenizer can't encode {text:?}: {source}. It has no token for something in it; use a \
         byte-level tokenizer"
    )]
    Encode {
        /// The beginning of the text.
        text: String,
        /// What the library said.
        source: tokenizers::Error,
    },
}

/// Turns text into token ids below [`Tokenizer::vocab_size`] and back.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// Each byte of the UTF-8 text is a token.
    Byte {
        /// The id 256, where the model's vocabulary has room for it.
        end_of_text: Option<u32>,
    },
    /// A `tokenizer.json`.
    HuggingFace(Box<HuggingFace>),
}

/// A `tokenizer.json` and what was found in it.
#[derive(Clone, Debug)]
pub struct HuggingFace {
    tokenizer: tokenizers::Tokenizer,
    json: String,
    vocab_size: usize,
    end_of_text: Option<u32>,
}

impl Tokenizer {
    /// The tokenizer that `source` is: the word "byte" or the text of a `tokenizer.json`, for a
    /// model with a vocabulary of `vocab_size`.
    ///
    /// # Errors
    /// If the text is no tokenizer, or has more tokens than the model.
    pub fn new(source: &str, vocab_size: usize) -> Result<Self, TokenizerError> {
        let tokenizer = if source == BYTE_TOKENIZER {
            Self::Byte { end_of_text: (vocab_size > BYTES).then_some(BYTES as u32) }
        } else {
            Self::from_json(source)?
        };
        tokenizer.check_vocab_size(vocab_size)?;
        Ok(tokenizer)
    }

    /// The tokenizer in the text of a `tokenizer.json`. Truncation and padding that it may ask for
    /// are left out: every document is tokenised whole.
    ///
    /// # Errors
    /// If the text is no `tokenizer.json`.
    pub fn from_json(json: &str) -> Result<Self, TokenizerError> {
        let mut tokenizer: tokenizers::Tokenizer = json.parse().map_err(TokenizerError::Syntax)?;
        tokenizer.with_truncation(None).map_err(TokenizerError::Syntax)?;
        tokenizer.with_padding(None);
        let added = tokenizer.get_added_tokens_decoder();
        let end_of_text = END_OF_TEXT_NAMES
            .iter()
            .filter_map(|name| tokenizer.token_to_id(name))
            .find(|id| added.get(id).is_some_and(|token| token.special));
        // Ids may have gaps, so that their number is not enough.
        let vocab_size =
            tokenizer.get_vocab(true).values().max().map_or(0, |&largest| largest as usize + 1);
        let json = json.to_owned();
        Ok(Self::HuggingFace(Box::new(HuggingFace { tokenizer, json, vocab_size, end_of_text })))
    }

    /// Checks that a model with a vocabulary of `model` has a row for every token.
    ///
    /// # Errors
    /// [`TokenizerError::TooLarge`] names both sizes.
    pub fn check_vocab_size(&self, model: usize) -> Result<(), TokenizerError> {
        let tokenizer = self.vocab_size();
        if tokenizer > model {
            return Err(TokenizerError::TooLarge { tokenizer, model });
        }
        Ok(())
    }

    /// Token ids of a text. Names of special tokens in it become those tokens (not with bytes);
    /// none is added.
    ///
    /// # Errors
    /// If the tokenizer has no token for something in the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let Self::HuggingFace(hugging_face) = self else {
            return Ok(text.bytes().map(u32::from).collect());
        };
        let pieces: Vec<Vec<u32>> = pieces(text, PIECE)
            .into_par_iter()
            .map(|piece| match hugging_face.tokenizer.encode_fast(piece, false) {
                Ok(encoding) => Ok(encoding.get_ids().to_vec()),
                Err(source) => {
                    Err(TokenizerError::Encode { text: piece.chars().take(60).collect(), source })
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(pieces.concat())
    }

    /// [`Tokenizer::encode`] of many texts, side by side.
    ///
    /// # Errors
    /// As there, for the first text that fails.
    pub fn encode_all(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, TokenizerError> {
        texts.par_iter().map(|text| self.encode(text)).collect()
    }

    /// The text of token ids, special tokens left out; U+FFFD where bytes make no character.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Self::Byte { .. } => {
                let bytes: Vec<u8> = tokens.iter().filter_map(|&id| id.try_into().ok()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            // Decoders fail on no list of tokens that this vocabulary has.
            Self::HuggingFace(it) => it.tokenizer.decode(tokens, true).unwrap_or_default(),
        }
    }

    /// One more than the largest token id.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Byte { end_of_text } => BYTES + usize::from(end_of_text.is_some()),
            Self::HuggingFace(it) => it.vocab_size,
        }
    }

    /// The token that ends a document, if there is one.
    pub fn end_of_text(&self) -> Option<u32> {
        match self {
            Self::Byte { end_of_text } => *end_of_text,
            Self::HuggingFace(it) => it.end_of_text,
        }
    }

    /// Bytes of text behind each token id, `[vocab_size]`: what bits per byte divide by.
    ///
    /// Exact for bytes and byte-level tokenizers. Where spaces are implied (WordPiece,
    /// SentencePiece) it is the length of the token inside a text.
    pub fn token_bytes(&self) -> Vec<u32> {
        let ids = 0..self.vocab_size() as u32;
        match self {
            Self::Byte { .. } => ids.map(|id| u32::from(id < BYTES as u32)).collect(),
            Self::HuggingFace(it) => ids.map(|id| it.token_bytes(id)).collect(),
        }
    }

    /// The text of a `tokenizer.json` that gives the same ids, for other programs.
    pub fn to_json(&self) -> String {
        match self {
            Self::Byte { end_of_text } => byte_json(end_of_text.is_some()),
            Self::HuggingFace(it) => it.json.clone(),
        }
    }
}

impl HuggingFace {
    fn token_bytes(&self, id: u32) -> u32 {
        /// Decoders treat the first token of a text differently: this one stands before.
        const BEFORE: &str = "a";
        let Some(token) = self.tokenizer.id_to_token(id) else { return 0 };
        match self.tokenizer.get_added_vocabulary().get_added_tokens_decoder().get(&id) {
            Some(added) if added.special => return 0,
            Some(added) => return added.content.len() as u32,
            None => {}
        }
        if token.len() == 6 && token.starts_with("<0x") && token.ends_with('>') {
            return 1; // a byte that has no other token
        }
        match self.tokenizer.get_decoder() {
            // One character stands for one byte.
            Some(decoder) if is_byte_level(decoder) => token.chars().count() as u32,
            Some(decoder) => decoder
                .decode(vec![BEFORE.to_owned(), token.clone()])
                .map_or(token.len(), |text| text.len().saturating_sub(BEFORE.len()))
                as u32,
            None => token.len() as u32,
        }
    }
}

fn is_byte_level(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteLevel(_) => true,
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().any(is_byte_level),
        _ => false,
    }
}

/// Cuts a text into pieces of about `size` bytes, each but the last ending in a single line break
/// between two characters that are no spaces: there no tokenizer merges across the cut.
fn pieces(text: &str, size: usize) -> Vec<&str> {
    let bytes = text.as_bytes();
    let graphic = |i: usize| bytes.get(i).is_some_and(|b| b.is_ascii_graphic());
    let mut pieces = Vec::new();
    let mut first = 0;
    while let Some(cut) =
        (first + size..bytes.len()).find(|&i| bytes[i] == b'\n' && graphic(i - 1) && graphic(i + 1))
    {
        pieces.push(&text[first..=cut]);
        first = cut + 1;
    }
    pieces.push(&text[first..]);
    pieces
}

/// A byte-level BPE without merges whose ids are the bytes.
fn byte_json(end_of_text: bool) -> String {
    // GPT-2 writes a byte that is no printable Latin-1 character as the next free one from U+0100.
    let mut hidden = (0x100..).filter_map(char::from_u32);
    let vocabulary: [(String, u32); BYTES] = std::array::from_fn(|byte| {
        let shown = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        let char = if shown { char::from(byte as u8) } else { hidden.next().expect("endless") };
        (char.to_string(), byte as u32)
    });
    let byte_level = ByteLevel::default().add_prefix_space(false);
    let model = BPE::builder().vocab_and_merges(vocabulary, Vec::new()).build();
    let mut tokenizer = TokenizerBuilder::<BPE, NormalizerWrapper, _, _, _>::new()
        .with_model(model.expect("no merges, so none that are wrong"))
        .with_normalizer(None)
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(Some(byte_level))
        .with_decoder(Some(byte_level))
        .build()
        .expect("it has a model");
    if end_of_text {
        tokenizer
            .add_special_tokens([AddedToken::from(END_OF_TEXT, true)])
            .expect("a name of its own");
    }
    tokenizer.to_string(true).expect("a tokenizer is JSON")
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer_training::train_bpe;
    use super::*;

    const TEXT: &str = "The tide, ünd\n\nthe bôats;\n the tide.\nEnd \u{1F600}\n";

    fn bpe() -> Tokenizer {
        let texts = std::iter::repeat_n(TEXT.to_owned(), 3);
        Tokenizer::from_json(&train_bpe(texts, 280).unwrap()).unwrap()
    }

    #[test]
    fn bytes_come_back_and_so_do_broken_ones() {
        let tokenizer = Tokenizer::new("byte", 256).unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (256, None));
        let tokens = tokenizer.encode("é!").unwrap();
        assert_eq!(tokens, [0xC3, 0xA9, 0x21]);
        assert_eq!(tokenizer.decode(&tokens), "é!");
        assert_eq!(tokenizer.decode(&[0xC3, 0x21, 256]), "\u{FFFD}!");
        let tokenizer = Tokenizer::new("byte", 300).unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (257, Some(256)));
        assert_eq!(tokenizer.token_bytes()[255..], [1, 0]);
    }

    #[test]
    fn the_byte_tokenizer_as_a_file_gives_the_same_ids() {
        for vocab_size in [256, 257] {
            let bytes = Tokenizer::new("byte", vocab_size).unwrap();
            let file = Tokenizer::new(&bytes.to_json(), vocab_size).unwrap();
            assert_eq!(file.vocab_size(), bytes.vocab_size());
            assert_eq!(file.end_of_text(), bytes.end_of_text());
            assert_eq!(file.token_bytes(), bytes.token_bytes());
            let text: String = ('\0'..'\u{180}').chain("\u{1F600}".chars()).collect();
            assert_eq!(file.encode(&text).unwrap(), bytes.encode(&text).unwrap());
        }
    }

    #[test]
    fn a_tokenizer_json_keeps_text_and_knows_its_bytes() {
        let tokenizer = bpe();
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (280, Some(0)));
        let tokens = tokenizer.encode(TEXT).unwrap();
        assert!(tokens.len() < TEXT.len());
        assert_eq!(tokenizer.decode(&tokens), TEXT);
        let bytes = tokenizer.token_bytes();
        let total: u32 = tokens.iter().map(|&id| bytes[id as usize]).sum();
        assert_eq!((total as usize, bytes[0]), (TEXT.len(), 0));
    }

    #[test]
    fn implied_spaces_count_as_bytes() {
        let json = r###"{"version":"1.0","truncation":{"direction":"Right","max_length":2,
            "strategy":"LongestFirst","stride":0},"padding":null,"added_tokens":[{"id":4,
            "content":"</s>","single_word":false,"lstrip":false,"rstrip":false,
            "normalized":false,"special":true}],"normalizer":null,
            "pre_tokenizer":{"type":"Whitespace"},"post_processor":null,
            "decoder":{"type":"WordPiece","prefix":"##","cleanup":false},"model":{
            "type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
            "max_input_chars_per_word":9,"vocab":{"[UNK]":0,"sea":1,"##s":2,"é":3,"</s>":4,"x":9}}}"###;
        let tokenizer = Tokenizer::from_json(json).unwrap();
        assert_eq!(tokenizer.vocab_size(), 10);
        assert_eq!(tokenizer.end_of_text(), Some(4));
        assert_eq!(tokenizer.token_bytes()[1..], [4, 1, 3, 0, 0, 0, 0, 0, 2]);
        // The file asks for two tokens at most; a corpus must not be cut.
        assert_eq!(tokenizer.encode("sea seas é").unwrap(), [1, 1, 2, 3]);
    }

    #[test]
    fn pieces_are_the_text_and_change_no_token() {
        let text = TEXT.repeat(40);
        for size in [1, 7, 100] {
            let pieces = pieces(&text, size);
            assert!(pieces.len() > 10);
            assert_eq!(pieces.concat(), text);
            let tokenizer = bpe();
            let tokens: Vec<u32> =
                pieces.iter().flat_map(|piece| tokenizer.encode(piece).unwrap()).collect();
            assert_eq!(tokens, tokenizer.encode(&text).unwrap());
        }
        assert_eq!(pieces("no break", 2), ["no break"]);
    }

    #[test]
    fn errors_name_the_sizes_and_the_way_out() {
        let error = Tokenizer::new("byte", 200).unwrap_err().to_string();
        assert!(
            error.contains("256 tokens") && error.contains("model.vocab_size = 200"),
            "{error}"
        );
        let error = Tokenizer::new(&bpe().to_json(), 279).unwrap_err().to_string();
        assert!(error.contains("280 tokens") && error.contains("279"), "{error}");
        let error = Tokenizer::new("{\"a\": 1}", 999).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json"), "{error}");
    }
}
