//! A corpus as one stream of tokens with document boundaries.

use std::fmt;

use sha2::{Digest, Sha256};

use super::tokenizer::{Tokenizer, TokenizerError};

/// Tokens of all documents, one after the other, and where each document starts.
///
/// Where the tokenizer has an end-of-text token, every document ends with it. The tokens may lie
/// in memory or in a mapped file.
pub struct TokenCorpus {
    tokens: Box<dyn AsRef<[u32]> + Send + Sync>,
    starts: Vec<u64>,
    end_of_text: Option<u32>,
    fingerprint: String,
}

impl fmt::Debug for TokenCorpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCorpus")
            .field("tokens", &self.tokens().len())
            .field("documents", &self.starts.len())
            .field("fingerprint", &self.fingerprint)
            .finish()
    }
}

impl TokenCorpus {
    /// A corpus from what a [`CorpusBuilder`] made: its tokens, the first token of each document,
    /// and the digest by which a run knows its data.
    ///
    /// # Panics
    /// If the starts are no rising positions in the tokens, from 0.
    pub fn new(
        tokens: impl AsRef<[u32]> + Send + Sync + 'static,
        starts: Vec<u64>,
        end_of_text: Option<u32>,
        fingerprint: String,
    ) -> Self {
        assert!(starts.first().is_none_or(|&first| first == 0), "documents start at 0");
        assert!(starts.windows(2).all(|pair| pair[0] < pair[1]), "documents have tokens");
        let end = starts.last().map_or(0, |&last| last + 1);
        assert!(end as usize <= tokens.as_ref().len(), "documents start within the tokens");
        Self { tokens: Box::new(tokens), starts, end_of_text, fingerprint }
    }

    /// A corpus in memory, one document a text; its fingerprint is the SHA-256 of the tokens and
    /// the document starts.
    ///
    /// # Errors
    /// If the tokenizer has no token for something in a text.
    pub fn from_texts<'a>(
        tokenizer: &Tokenizer,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TokenizerError> {
        let mut builder = CorpusBuilder::new(tokenizer.end_of_text());
        for text in texts {
            builder.push(&tokenizer.encode(text)?);
        }
        let (tokens, starts) = builder.finish();
        let digest = Sha256::new()
            .chain_update(bytemuck::cast_slice(&starts))
            .chain_update(bytemuck::cast_slice(&tokens))
            .finalize();
        let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self::new(tokens, starts, tokenizer.end_of_text(), fingerprint))
    }

    /// The same corpus under the name of its files.
    pub fn with_fingerprint(self, fingerprint: String) -> Self {
        Self { fingerprint, ..self }
    }

    /// All tokens.
    pub fn tokens(&self) -> &[u32] {
        (*self.tokens).as_ref()
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.starts.len()
    }

    /// Positions of the tokens of document `index`.
    pub fn document(&self, index: usize) -> std::ops::Range<usize> {
        let end = self.starts.get(index + 1).map_or(self.tokens().len(), |&start| start as usize);
        self.starts[index] as usize..end
    }

    /// The document that the token at `position` belongs to.
    pub fn document_of(&self, position: usize) -> usize {
        self.starts.partition_point(|&start| start as usize <= position) - 1
    }

    /// The token that ends each document, if the tokenizer has one.
    pub fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    /// Digest by which a run knows its data.
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
}

impl CorpusBuilder {
    /// An empty corpus whose documents end with `end_of_text`, if given.
    pub fn new(end_of_text: Option<u32>) -> Self {
        Self { end_of_text, tokens: Vec::new(), starts: Vec::new() }
    }

    /// Appends a text's tokens. A text that holds end-of-text tokens itself is as many documents;
    /// one without tokens is none.
    pub fn push(&mut self, text: &[u32]) {
        for document in text.split(|&token| Some(token) == self.end_of_text) {
            if !document.is_empty() {
                self.starts.push(self.tokens.len() as u64);
                self.tokens.extend_from_slice(document);
                self.tokens.extend(self.end_of_text);
            }
        }
    }

    /// All tokens, and the first token of each document.
    pub fn finish(self) -> (Vec<u32>, Vec<u64>) {
        (self.tokens, self.starts)
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
        let (tokens, starts) = builder.finish();
        assert_eq!(tokens, [1, 2, 9, 3, 9, 4, 5, 9]);
        assert_eq!(starts, [0, 3, 5]);
        let corpus = TokenCorpus::new(tokens, starts, Some(9), String::new());
        let documents: Vec<_> = (0..3).map(|i| corpus.document(i)).collect();
        assert_eq!(documents, [0..3, 3..5, 5..8]);
        let owners: Vec<_> = (0..8).map(|i| corpus.document_of(i)).collect();
        assert_eq!(owners, [0, 0, 0, 1, 1, 2, 2, 2]);
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
