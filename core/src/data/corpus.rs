//! A corpus as one stream of tokens with document boundaries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{ControlFlow, Range};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::documents::hexadecimal;
use super::shards::Tokens;
use super::tokenizer::{Tokenizer, TokenizerError, listed};

/// Tokens of all documents, one after the other, and the start of each document.
///
/// If the tokenizer has an end-of-text token, every document ends with it.
pub struct TokenCorpus {
    tokens: Tokens,
    starts: Vec<u64>,
    notes: Vec<String>,
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
            .field("tokens", &self.len())
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
        let Tokenised { tokens, starts, notes } = tokenised;
        Self::stored(Tokens::Memory(tokens), starts, notes, end_of_text, fingerprint)
    }

    /// Like [`new`](Self::new), for tokens wherever they are stored.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn stored(
        tokens: Tokens,
        starts: Vec<u64>,
        notes: Vec<String>,
        end_of_text: Option<u32>,
        fingerprint: String,
    ) -> Self {
        assert!(starts.first().is_none_or(|&first| first == 0), "documents start at 0");
        assert!(starts.windows(2).all(|pair| pair[0] < pair[1]), "documents have tokens");
        let end = starts.last().map_or(0, |&last| last + 1);
        assert!(end as usize <= tokens.len(), "documents start within the tokens");
        Self { tokens, starts, notes, end_of_text, fingerprint }
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
            builder.push_texts(tokenizer, vec![text.to_owned()], false)?;
        }
        let tokenised = builder.finish();
        let digest = Sha256::new()
            .chain_update(bytemuck::cast_slice(&tokenised.starts))
            .chain_update(bytemuck::cast_slice(&tokenised.tokens))
            .finalize();
        Ok(Self::new(tokenised, tokenizer.end_of_text(), hexadecimal(&digest)))
    }

    /// The same corpus with another fingerprint, that of its files.
    pub fn with_fingerprint(self, fingerprint: String) -> Self {
        Self { fingerprint, ..self }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens at these positions.
    ///
    /// # Panics
    /// If the range is not within the corpus.
    pub fn tokens(&self, range: Range<usize>) -> Cow<'_, [u32]> {
        self.tokens.get(range)
    }

    /// Number of positions that hold `token`.
    pub fn count(&self, token: u32) -> usize {
        const SOME: usize = 1 << 20;
        let firsts: Vec<usize> = (0..self.len()).step_by(SOME).collect();
        let counts = firsts.into_par_iter().map(|first| {
            let tokens = self.tokens(first..self.len().min(first + SOME));
            tokens.iter().filter(|&&it| it == token).count()
        });
        counts.sum()
    }

    /// Notes for the user about the texts.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.starts.len()
    }

    /// Positions of the tokens of document `index`.
    pub fn document(&self, index: usize) -> Range<usize> {
        let end = self.starts.get(index + 1).map_or(self.len(), |&start| start as usize);
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
    /// The end of a text that goes on, not tokenised yet.
    rest: String,
    /// Number of occurrences of each character without a token.
    left_out: BTreeMap<char, u64>,
}

impl CorpusBuilder {
    /// An empty corpus whose documents end with `end_of_text`, if given.
    pub fn new(end_of_text: Option<u32>) -> Self {
        Self {
            end_of_text,
            tokens: Vec::new(),
            starts: Vec::new(),
            is_open: false,
            rest: String::new(),
            left_out: BTreeMap::new(),
        }
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
        let end_of_text = self.end_of_text;
        let mut documents = ids.split(|&id| Some(id) == end_of_text).peekable();
        while let Some(document) = documents.next() {
            if !document.is_empty() && !std::mem::replace(&mut self.is_open, true) {
                self.starts.push(self.tokens.len() as u64);
            }
            self.tokens.extend_from_slice(document);
            if documents.peek().is_some() {
                self.end_ids();
            }
        }
    }

    /// Ends the document that the last ids are part of.
    pub fn end_ids(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.tokens.extend(self.end_of_text);
        }
    }

    /// Whether the last text, or the last document of ids, has not ended.
    pub fn is_open(&self) -> bool {
        self.is_open || !self.rest.is_empty()
    }

    /// Tokenises texts in parallel, and appends them. With `continues`, the last text goes on with the first text of the
    /// next call: a text that is read in parts takes no memory beyond its tokens and a part.
    ///
    /// # Errors
    /// If the tokenizer has no token for a part of a text.
    pub fn push_texts(
        &mut self,
        tokenizer: &Tokenizer,
        mut texts: Vec<String>,
        continues: bool,
    ) -> Result<(), TokenizerError> {
        if self.is_open() && !texts.is_empty() {
            let first = texts.remove(0);
            self.push_part(tokenizer, first, continues && texts.is_empty())?;
        }
        let open = if continues { texts.pop() } else { None };
        match <[String; 1]>::try_from(texts) {
            // A long text is tokenised in parallel by its parts.
            Ok([text]) => self.push_part(tokenizer, text, false)?,
            Err(texts) => {
                let left_out: Vec<_> =
                    texts.par_iter().map(|text| tokenizer.left_out(text)).collect();
                left_out.into_iter().for_each(|it| self.note_left_out(it));
                tokenizer.encode_all(&texts)?.iter().for_each(|tokens| self.push(tokens));
            }
        }
        open.map_or(Ok(()), |text| self.push_part(tokenizer, text, true))
    }

    /// Appends a part of a text, the last unless it `continues`.
    fn push_part(
        &mut self,
        tokenizer: &Tokenizer,
        part: String,
        continues: bool,
    ) -> Result<(), TokenizerError> {
        let mut text = std::mem::take(&mut self.rest);
        if text.is_empty() {
            text = part
        } else {
            text += &part
        }
        let end = if continues {
            tokenizer.encode_open(&text, |tokens| self.push_ids(tokens))?
        } else {
            tokenizer.encode_parts(&text, |tokens| {
                self.push_ids(tokens);
                ControlFlow::Continue(())
            })?;
            self.end_ids();
            text.len()
        };
        self.note_left_out(tokenizer.left_out(&text[..end]));
        // A tokenizer without cuts keeps all of it, and no copy is made.
        self.rest = if end == 0 && continues { text } else { text[end..].to_owned() };
        Ok(())
    }

    fn note_left_out(&mut self, left_out: BTreeMap<char, u64>) {
        for (character, count) in left_out {
            *self.left_out.entry(character).or_default() += count;
        }
    }

    /// Number of tokens so far, less those that were taken.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Number of documents that start in these tokens.
    pub fn documents(&self) -> usize {
        self.starts.len()
    }

    /// Takes the first tokens away, and the positions among them at which documents start. The positions of the other
    /// tokens then count from the first of these.
    ///
    /// # Panics
    /// If there are fewer tokens.
    pub fn take(&mut self, tokens: usize) -> (Vec<u32>, Vec<u64>) {
        let rest = self.tokens.split_off(tokens);
        let later = self.starts.partition_point(|&start| (start as usize) < tokens);
        let mut rest_starts = self.starts.split_off(later);
        rest_starts.iter_mut().for_each(|start| *start -= tokens as u64);
        (
            std::mem::replace(&mut self.tokens, rest),
            std::mem::replace(&mut self.starts, rest_starts),
        )
    }

    /// Number of occurrences so far of each character that has no token and was left out.
    pub fn left_out(&self) -> &BTreeMap<char, u64> {
        &self.left_out
    }

    /// Adds to the counts of [`left_out`](Self::left_out).
    pub fn with_left_out(mut self, left_out: BTreeMap<char, u64>) -> Self {
        self.note_left_out(left_out);
        self
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

#[cfg(all(test, feature = "tokenizers"))]
mod tests {
    use super::super::tokenizer_training::{END_OF_TEXT, train_bpe};
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
                        single.push_texts(tokenizer, vec![text.clone()], false).unwrap();
                    }
                    together.push_texts(tokenizer, texts.clone(), false).unwrap();
                    let expected = expected.finish();
                    assert_eq!(single.finish(), expected, "{texts:?}");
                    assert_eq!(together.finish(), expected, "{texts:?}");
                }
            }
        }
    }

    #[test]
    fn a_text_in_parts_has_the_tokens_of_the_whole() {
        let words =
            ["Tide ", "and\n\n", "time, ", "wait  for ", "no_one. ", "42 boats\n", "né 😀 "];
        let long: String = (0..60_000usize).map(|i| words[i * i % 97 % 7]).collect();
        let json = train_bpe(std::iter::once(long.as_str()), 280).unwrap();
        let end_of_text = format!("ab{END_OF_TEXT}cd");
        let texts = [long.as_str(), "short", "", end_of_text.as_str(), &long[..200_000]];
        for tokenizer in
            [Tokenizer::new("byte", 257).unwrap(), Tokenizer::from_json(&json).unwrap()]
        {
            let mut whole = CorpusBuilder::new(tokenizer.end_of_text());
            texts.iter().for_each(|text| whole.push(&tokenizer.encode(text).unwrap()));
            let whole = whole.finish();
            for size in [70_000, 100_001, 1 << 20] {
                let mut parts = CorpusBuilder::new(tokenizer.end_of_text());
                for text in texts {
                    let mut rest = text;
                    loop {
                        let end = rest.floor_char_boundary(size);
                        let (part, next) = rest.split_at(end);
                        let continues = !next.is_empty();
                        parts.push_texts(&tokenizer, vec![part.to_owned()], continues).unwrap();
                        assert!(parts.rest.len() < 70_000, "{}", parts.rest.len());
                        rest = next;
                        if !continues {
                            break;
                        }
                    }
                }
                assert!(!parts.is_open());
                assert_eq!(parts.finish(), whole, "{size}");
            }
        }
    }

    #[test]
    fn tokens_that_are_taken_in_turns_are_those_of_the_whole() {
        let push = |builder: &mut CorpusBuilder| {
            builder.push(&[1, 2, 3]);
            builder.push_ids(&[4, 9, 5]);
        };
        let mut whole = CorpusBuilder::new(Some(9));
        push(&mut whole);
        let whole = whole.finish();
        for first in 0..=whole.tokens.len() {
            let mut builder = CorpusBuilder::new(Some(9));
            push(&mut builder);
            let (tokens, starts) = builder.take(first);
            assert_eq!(tokens, whole.tokens[..first]);
            let rest = builder.finish();
            assert_eq!(rest.tokens, whole.tokens[first..]);
            let later = rest.starts.iter().map(|start| start + first as u64);
            assert_eq!(starts.into_iter().chain(later).collect::<Vec<_>>(), whole.starts);
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
