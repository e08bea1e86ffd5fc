//! A corpus as one stream of tokens with document boundaries.

use std::collections::BTreeMap;
use std::fmt;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::tokenizer::{Tokenizer, TokenizerError, listed};

/// Tokens of all documents, one after the other, and the start of each document.
///
/// If the tokenizer has an end-of-text token, every document ends with it.
pub struct TokenCorpus {
    tokenised: Tokenised,
    end_of_text: Option<u32>,
    fingerprint: String,
}

/// The result of a [`CorpusBuilder`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokenised {
    /// Tokens of all documents.
    pub tokens: Vec<u32>,
    /// Position of the first token of each document: ascending, from 0.
    pub starts: Vec<u64>,
    /// Notes for the user about the texts, each a sentence: the characters that were left out.
    pub notes: Vec<String>,
}

impl fmt::Debug for TokenCorpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCorpus")
            .field("tokens", &self.tokens().len())
            .field("documents", &self.documents())
            .field("fingerprint", &self.fingerprint)
            .finish()
    }
}

impl TokenCorpus {
    /// A corpus from the result of a [`CorpusBuilder`], with a digest by which a run recognises its data.
    ///
    /// # Panics
    /// If the starts are not ascending positions in the tokens, from 0.
    pub fn new(tokenised: Tokenised, end_of_text: Option<u32>, fingerprint: String) -> Self {
        let Tokenised { tokens, starts, .. } = &tokenised;
        assert!(starts.first().is_none_or(|&first| first == 0), "documents start at 0");
        assert!(starts.windows(2).all(|pair| pair[0] < pair[1]), "documents have tokens");
        let end = starts.last().map_or(0, |&last| last + 1);
        assert!(end as usize <= tokens.len(), "documents start within the tokens");
        Self { tokenised, end_of_text, fingerprint }
    }

    /// A corpus in memory, with one document for each text. Its fingerprint is the SHA-256 of the tokens and the
    /// document starts.
    ///
    /// # Errors
    /// If the tokenizer has no token for a part of a text.
    pub fn from_texts<'a>(
        tokenizer: &Tokenizer,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TokenizerError> {
        let mut builder = CorpusBuilder::new(tokenizer.end_of_text());
        for text in texts {
            builder.note_left_out(tokenizer.left_out(text));
            builder.push_text(tokenizer, text)?;
        }
        let tokenised = builder.finish();
        let digest = Sha256::new()
            .chain_update(bytemuck::cast_slice(&tokenised.starts))
            .chain_update(bytemuck::cast_slice(&tokenised.tokens))
            .finalize();
        let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self::new(tokenised, tokenizer.end_of_text(), fingerprint))
    }

    /// The same corpus with another fingerprint, that of its files.
    pub fn with_fingerprint(self, fingerprint: String) -> Self {
        Self { fingerprint, ..self }
    }

    /// All tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokenised.tokens
    }

    /// Notes for the user about the texts.
    pub fn notes(&self) -> &[String] {
        &self.tokenised.notes
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.tokenised.starts.len()
    }

    /// Positions of the tokens of document `index`.
    pub fn document(&self, index: usize) -> std::ops::Range<usize> {
        let starts = &self.tokenised.starts;
        let end = starts.get(index + 1).map_or(self.tokens().len(), |&start| start as usize);
        starts[index] as usize..end
    }

    /// The document that the token at `position` belongs to.
    pub fn document_of(&self, position: usize) -> usize {
        self.tokenised.starts.partition_point(|&start| start as usize <= position) - 1
    }

    /// The token that ends each document, if the tokenizer has one.
    pub fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    /// Digest by which a run recognises its data.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Joins documents into one stream.
#[derive(Clone, Debug)]
pub struct CorpusBuilder {
    end_of_text: Option<u32>,
    tokens: Vec<u32>,
    starts: Vec<u64>,
    /// Whether the last document goes on with the next ids.
    is_open: bool,
    /// Number of occurrences of each character without a token.
    left_out: BTreeMap<char, u64>,
}

impl CorpusBuilder {
    /// An empty corpus whose documents end with `end_of_text`, if given.
    pub fn new(end_of_text: Option<u32>) -> Self {
        let (tokens, starts, left_out) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { end_of_text, tokens, starts, is_open: false, left_out }
    }

    /// Appends a text's tokens. End-of-text tokens within a text divide it into several documents. A text without
    /// tokens is no document.
    pub fn push(&mut self, text: &[u32]) {
        for document in text.split(|&token| Some(token) == self.end_of_text) {
            if !document.is_empty() {
                self.starts.push(self.tokens.len() as u64);
                self.tokens.extend_from_slice(document);
                self.tokens.extend(self.end_of_text);
            }
        }
    }

    /// Appends ids that go on those of the last call: their documents end with end-of-text tokens, and with
    /// [`end_ids`](Self::end_ids).
    pub fn push_ids(&mut self, ids: &[u32]) {
        for &id in ids {
            if Some(id) == self.end_of_text {
                self.end_ids();
                continue;
            }
            if !self.is_open {
                self.starts.push(self.tokens.len() as u64);
                self.is_open = true;
            }
            self.tokens.push(id);
        }
    }

    /// Ends the document that the last ids are part of.
    pub fn end_ids(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.tokens.extend(self.end_of_text);
        }
    }

    /// Tokenises texts in parallel, and appends them.
    ///
    /// # Errors
    /// If the tokenizer has no token for a part of a text.
    pub fn push_texts(
        &mut self,
        tokenizer: &Tokenizer,
        texts: Vec<String>,
    ) -> Result<(), TokenizerError> {
        let left_out: Vec<_> = texts.par_iter().map(|text| tokenizer.left_out(text)).collect();
        left_out.into_iter().for_each(|it| self.note_left_out(it));
        match texts.as_slice() {
            [text] => self.push_text(tokenizer, text),
            _ if matches!(tokenizer, Tokenizer::Byte { .. }) => {
                texts.iter().try_for_each(|text| self.push_text(tokenizer, text))
            }
            _ => {
                tokenizer.encode_all(&texts)?.iter().for_each(|tokens| self.push(tokens));
                Ok(())
            }
        }
    }

    fn note_left_out(&mut self, left_out: BTreeMap<char, u64>) {
        for (character, count) in left_out {
            *self.left_out.entry(character).or_default() += count;
        }
    }

    /// Like [`push_texts`](Self::push_texts), for one text. If possible, tokens are written directly to their place, so
    /// that a large text takes no memory beyond its tokens.
    fn push_text(&mut self, tokenizer: &Tokenizer, text: &str) -> Result<(), TokenizerError> {
        if let Tokenizer::Byte { .. } = tokenizer {
            // Bytes are never the end-of-text token.
            if !text.is_empty() {
                self.starts.push(self.tokens.len() as u64);
                self.tokens.extend(text.bytes().map(u32::from));
                self.tokens.extend(self.end_of_text);
            }
            return Ok(());
        }
        let tokens = tokenizer.encode(text)?;
        let is_one = self.end_of_text.is_none_or(|end| !tokens.contains(&end));
        if self.tokens.is_empty() && is_one && !tokens.is_empty() {
            self.starts.push(0);
            self.tokens = tokens;
            self.tokens.extend(self.end_of_text);
        } else {
            self.push(&tokens);
        }
        Ok(())
    }

    /// The result for all texts.
    pub fn finish(self) -> Tokenised {
        let mut often: Vec<_> = self.left_out.into_iter().map(|(c, count)| (count, c)).collect();
        often.sort_unstable_by(|a, b| b.cmp(a));
        let total: u64 = often.iter().map(|(count, _)| count).sum();
        let notes = (total > 0).then(|| {
            let characters = listed(often.into_iter().map(|(_, c)| c));
            let (ending, verb) = if total == 1 { ("", "has") } else { ("s", "have") };
            let was = if total == 1 { "was" } else { "were" };
            format!(
                "{total} character{ending} of the text {verb} no token and {was} left out: {characters}; \
                 use a tokenizer that has all 256 bytes, or an unknown token"
            )
        });
        Tokenised { tokens: self.tokens, starts: self.starts, notes: notes.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_end_with_the_separator_and_split_at_it() {
        let mut builder = CorpusBuilder::new(Some(9));
        builder.push(&[1, 2]);
        builder.push(&[]);
        builder.push(&[9, 3, 9, 9, 4, 5, 9]);
        let tokenised = builder.finish();
        assert_eq!(tokenised.tokens, [1, 2, 9, 3, 9, 4, 5, 9]);
        assert_eq!(tokenised.starts, [0, 3, 5]);
        let corpus = TokenCorpus::new(tokenised, Some(9), String::new());
        let documents: Vec<_> = (0..3).map(|i| corpus.document(i)).collect();
        assert_eq!(documents, [0..3, 3..5, 5..8]);
        let owners: Vec<_> = (0..8).map(|i| corpus.document_of(i)).collect();
        assert_eq!(owners, [0, 0, 0, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn ids_in_parts_make_the_same_documents_as_whole_texts() {
        let ids = [9, 1, 2, 9, 3, 9, 9, 4, 5];
        for end_of_text in [Some(9), None] {
            let mut whole = CorpusBuilder::new(end_of_text);
            whole.push(&ids);
            whole.push(&[6]);
            let whole = whole.finish();
            for cut in 0..=ids.len() {
                let mut parts = CorpusBuilder::new(end_of_text);
                parts.push_ids(&ids[..cut]);
                parts.push_ids(&ids[cut..]);
                parts.end_ids();
                parts.end_ids();
                parts.push(&[6]);
                assert_eq!(parts.finish(), whole, "{cut}");
            }
        }
    }

    #[test]
    fn texts_are_appended_as_their_tokens_are() {
        let byte = Tokenizer::new("byte", 257).unwrap();
        let file = Tokenizer::new(&byte.to_json(), 257).unwrap();
        let end = "<|endoftext|>";
        for texts in [vec!["ab", "", "c"], vec!["", "é"], vec![], vec!["a", end], vec![end, "a"]] {
            let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
            for tokenizer in [&byte, &file] {
                for end_of_text in [None, tokenizer.end_of_text()] {
                    let mut expected = CorpusBuilder::new(end_of_text);
                    let (mut together, mut single) = (expected.clone(), expected.clone());
                    for text in &texts {
                        expected.push(&tokenizer.encode(text).unwrap());
                        single.push_texts(tokenizer, vec![text.clone()]).unwrap();
                    }
                    together.push_texts(tokenizer, texts.clone()).unwrap();
                    let expected = expected.finish();
                    assert_eq!(single.finish(), expected, "{texts:?}");
                    assert_eq!(together.finish(), expected, "{texts:?}");
                }
            }
        }
    }

    #[test]
    fn the_fingerprint_knows_boundaries() {
        let tokenizer = Tokenizer::new("byte", 256).unwrap();
        let print = |texts: &[&str]| {
            let corpus = TokenCorpus::from_texts(&tokenizer, texts.iter().copied()).unwrap();
            corpus.fingerprint().to_owned()
        };
        assert_eq!(print(&["ab", "c"]), print(&["ab", "c"]));
        assert_ne!(print(&["ab", "c"]), print(&["a", "bc"]));
        assert_ne!(print(&["ab"]), print(&["ac"]));
    }
}
