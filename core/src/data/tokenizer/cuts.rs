//! Where a long text can be cut so that the tokens of its pieces are those of the whole.
//!
//! Two kinds of place are looked at: before a space that stands between two letters, and behind a
//! line break that stands between two characters, the second of them a letter. Whether cutting
//! there changes any token follows from the structure of the tokenizer, step by step: added
//! tokens, normalizer, pre-tokenizer, model. A step of which it is not known that it works on both
//! sides by themselves makes the place unsafe, and a tokenizer without safe places gets whole
//! texts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper};

use super::growth::{Pattern, pattern};
use super::splits::{is_neutral, known_split};

/// Text longer than this many bytes is cut where that is safe.
const PIECE: usize = 64 * 1024;

/// Safe places of a tokenizer.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    /// Before a space between two letters.
    space: Option<SpaceCut>,
    /// Behind a line break between two characters.
    line_break: bool,
    /// Letters beyond ASCII count: no step changes them.
    all_letters: bool,
}

#[derive(Clone, Debug)]
struct SpaceCut {
    /// The normalizer puts a space before each text: the piece begins behind its own.
    drop_space: bool,
    /// Letters after which no token of the model reaches over the space; none if the
    /// pre-tokenizer ends a word there.
    letters: Option<Arc<HashSet<char>>>,
}

impl Cuts {
    /// Of this tokenizer.
    pub fn of(tokenizer: &tokenizers::Tokenizer) -> Self {
        Place::of(tokenizer).map_or_else(Self::default, |place| {
            let space = place.space.then(|| {
                let letters = if place.ends_word {
                    None
                } else {
                    Some(Arc::new(separate_letters(tokenizer.get_model(), &place.gap)?))
                };
                Some(SpaceCut { drop_space: place.prepended.is_some(), letters })
            });
            let line_break = place.line_break && place.ends_line;
            Self { space: space.flatten(), line_break, all_letters: place.all_letters }
        })
    }

    /// Whether a text can be cut behind every line break between two visible ASCII characters.
    pub fn after_line_breaks(&self) -> bool {
        self.line_break
    }

    /// The text in pieces that are to be tokenised each by itself.
    pub fn pieces<'a>(&self, text: &'a str) -> Vec<&'a str> {
        self.pieces_of(text, PIECE)
    }

    /// Pieces of at least `size` bytes, but for the last.
    pub fn pieces_of<'a>(&self, text: &'a str, size: usize) -> Vec<&'a str> {
        let mut pieces = Vec::new();
        let mut first = 0;
        while (self.space.is_some() || self.line_break) && text.len() - first > size {
            // Spaces and line breaks are one byte, so that each is the end of a character.
            let from = first + size;
            let Some((end, next)) = text.as_bytes()[from..]
                .iter()
                .enumerate()
                .filter(|(_, byte)| matches!(byte, b' ' | b'\n'))
                .find_map(|(i, _)| self.cut(text, from + i))
            else {
                break;
            };
            pieces.push(&text[first..end]);
            first = next;
        }
        pieces.push(&text[first..]);
        pieces
    }

    /// Where the piece before the space or line break at `at` ends, and the next begins.
    fn cut(&self, text: &str, at: usize) -> Option<(usize, usize)> {
        let before = text[..at].chars().next_back()?;
        let after = text[at + 1..].chars().next().filter(|&c| self.is_letter(c))?;
        if text.as_bytes()[at] == b'\n' {
            let visible = before.is_ascii_graphic() || self.is_letter(before);
            return (self.line_break && visible).then_some((at + 1, at + 1));
        }
        let space = self.space.as_ref()?;
        let separate = space.letters.as_ref().is_none_or(|letters| letters.contains(&before));
        // Some letters are two characters where accents are taken off.
        (separate && self.is_letter(before) && self.is_letter(after))
            .then_some((at, at + usize::from(space.drop_space)))
    }

    /// Letters that Unicode's compositions (NFC, NFKC) leave alone; of ASCII where another step
    /// may change those beyond.
    fn is_letter(&self, c: char) -> bool {
        c.is_ascii_alphabetic()
            || self.all_letters
                && matches!(c,
                    'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ÿ' // Latin
                    | 'Α'..='Ρ' | 'Σ'..='Ω' | 'α'..='ω' // Greek
                    | 'А'..='я' | 'Ё' | 'ё' // Cyrillic
                    | 'א'..='ת' | 'ء'..='غ' | 'ف'..='ي' // Hebrew, Arabic
                    | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '\u{4E00}'..='\u{9FEF}' | '가'..='힣')
    }
}

/// What the steps so far make of a place: of the space there, and of a text that begins behind.
struct Place {
    /// What became of the space.
    gap: String,
    /// What the normalizer puts before every text.
    prepended: Option<String>,
    /// Cutting before the space changed nothing so far.
    space: bool,
    /// A step has ended a word there.
    ends_word: bool,
    /// Cutting behind the line break changed nothing so far.
    line_break: bool,
    /// A step has ended a word there.
    ends_line: bool,
    all_letters: bool,
    /// Letters are as in the text, so that the model's vocabulary can be asked about them.
    letters_stay: bool,
}

impl Place {
    /// After all steps before the model, or none if no place is safe.
    fn of(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        let mut place = Self {
            gap: " ".to_owned(),
            prepended: None,
            space: true,
            ends_word: false,
            line_break: true,
            ends_line: false,
            all_letters: true,
            letters_stay: true,
        };
        if let Some(normalizer) = tokenizer.get_normalizer() {
            place.normalize(normalizer)?;
        }
        // A piece begins without its space where the normalizer puts one back.
        if place.prepended.as_ref().is_some_and(|prepended| *prepended != place.gap) {
            place.space = false;
        }
        if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
            place.pre_tokenize(pre_tokenizer);
        }
        place.check_added_tokens(tokenizer);
        place.space &= place.ends_word || place.letters_stay;
        Some(place)
    }

    fn normalize(&mut self, step: &NormalizerWrapper) -> Option<()> {
        use NormalizerWrapper as N;
        match step {
            N::Sequence(all) => all.as_ref().iter().try_for_each(|it| self.normalize(it))?,
            // A space or line break composes with nothing, and the letters stay.
            N::NFC(_) | N::NFKC(_) if self.plain() || self.gap == "▁" => {}
            // Character by character; what letters become are letters, with or without marks.
            N::NFD(_) | N::NFKD(_) | N::Lowercase(_) | N::StripAccents(_) if self.plain() => {
                self.only_ascii();
            }
            // As these, and a line break becomes a space.
            N::Nmt(_) | N::BertNormalizer(_) if self.plain() => {
                self.only_ascii();
                self.line_break = false;
            }
            // By clusters of characters, of which an ASCII letter and a space are two.
            N::Precompiled(map) if self.plain() => {
                let stays = |text: &str| map.transform(text).is_none_or(|it| it == text);
                let letter = |c: char| {
                    map.transform(c.encode_utf8(&mut [0; 4])).is_none_or(|it| {
                        it.len() == 1 && it.starts_with(|c: char| c.is_ascii_alphabetic())
                    })
                };
                if !stays(" ") || !('a'..='z').chain('A'..='Z').all(letter) {
                    return None;
                }
                self.only_ascii();
                self.line_break = false;
            }
            N::Replace(replace) => self.replace(&pattern(replace)?, &replace.content)?,
            N::Prepend(prepend) if self.prepended.is_none() && !prepend.prepend.is_empty() => {
                self.prepended = Some(prepend.prepend.clone());
                self.line_break = false;
            }
            _ => return None,
        }
        Some(())
    }

    fn plain(&self) -> bool {
        self.gap == " " && self.prepended.is_none()
    }

    fn only_ascii(&mut self) {
        self.all_letters = false;
        self.letters_stay = false;
    }

    fn replace(&mut self, pattern: &Pattern, content: &str) -> Option<()> {
        match pattern {
            // The space itself, wherever it is.
            Pattern::Text(text) if *text == self.gap && text.chars().count() == 1 => {
                if content.is_empty() || content.chars().any(char::is_alphanumeric) {
                    return None;
                }
                self.gap = content.to_owned();
                if let Some(prepended) = &mut self.prepended {
                    *prepended = prepended.replace(text, content);
                }
            }
            // Something that is not at such a place and doesn't become it.
            Pattern::Text(text) => {
                let near = |c: char| c.is_alphabetic() || c.is_whitespace() || self.gap.contains(c);
                if text.chars().any(near) || content.chars().any(char::is_whitespace) {
                    return None;
                }
                if text.chars().any(|c| c.is_ascii_graphic()) {
                    // A visible character before a line break might vanish.
                    self.line_break = false;
                }
            }
            // Two spaces or more: one stands between letters.
            Pattern::Expression(text) if matches!(text.as_str(), " {2,}" | "  +" | r"\s{2,}") => {
                if self.gap != " " {
                    return None;
                }
                self.line_break = false;
            }
            Pattern::Expression(_) => return None,
        }
        Some(())
    }

    fn pre_tokenize(&mut self, step: &PreTokenizerWrapper) {
        use PreTokenizerWrapper as P;
        let words_end = |place: &mut Self, line_break: bool| {
            if place.gap == " " {
                place.ends_word = true;
            } else {
                place.space &= place.ends_word;
            }
            place.ends_line |= line_break;
            place.line_break &= place.ends_line;
        };
        match step {
            P::Sequence(all) => all.as_ref().iter().for_each(|it| self.pre_tokenize(it)),
            P::Whitespace(_) | P::WhitespaceSplit(_) | P::BertPreTokenizer(_) => {
                words_end(self, true);
            }
            P::ByteLevel(byte_level) => {
                // It is put before each part that doesn't begin with a space.
                if byte_level.add_prefix_space {
                    self.space &= self.ends_word || self.gap == " ";
                    self.line_break &= self.ends_line;
                }
                if byte_level.use_regex {
                    words_end(self, true);
                }
                if !self.ends_word && self.gap == " " {
                    self.gap = "Ġ".to_owned();
                    self.all_letters = false;
                } else {
                    self.space &= self.ends_word;
                }
                self.line_break &= self.ends_line;
            }
            P::Metaspace(metaspace) => {
                let replacement = metaspace.get_replacement();
                let prepends = metaspace.get_prepend_scheme();
                if prepends == PrependScheme::First {
                    // The first part of a piece counts as that of the text.
                    self.space &= !self.ends_word;
                }
                if prepends != PrependScheme::Never {
                    self.line_break &= self.ends_line && prepends == PrependScheme::Always;
                }
                if !self.ends_word {
                    self.space &= self.gap == " " || self.gap == replacement.to_string();
                    self.space &= !replacement.is_alphanumeric();
                    self.gap = replacement.to_string();
                    self.ends_word = metaspace.get_split();
                }
            }
            P::Split(split) => match known_split(split) {
                Some(line_break) => words_end(self, line_break),
                None if is_neutral(split, &self.gap) => {}
                None => {
                    self.space &= self.ends_word;
                    self.line_break &= self.ends_line;
                }
            },
            // Splits elsewhere, by single characters.
            P::Digits(_) | P::Punctuation(_) => {}
            // What ended a word before stays so.
            P::Delimiter(_) | P::UnicodeScripts(_) | P::FixedLength(_) => {
                self.space &= self.ends_word;
                self.line_break &= self.ends_line;
            }
        }
    }

    /// Added tokens are found before all else: none may reach over a place, nor touch it.
    fn check_added_tokens(&mut self, tokenizer: &tokenizers::Tokenizer) {
        let added = tokenizer.get_added_vocabulary();
        for (&id, token) in added.get_added_tokens_decoder() {
            let normalized = added.simple_id_to_token(id).unwrap_or_default();
            for text in [&token.content, &normalized] {
                let touches = self.touches(text);
                self.space &= !touches;
                self.line_break &= !touches && !text.contains('\n');
            }
        }
    }

    fn touches(&self, token: &str) -> bool {
        let is_space = |c: char| c == ' ' || self.gap.contains(c);
        // Runs of spaces: one stands between letters.
        if token.chars().count() > 1 && token.chars().all(is_space) {
            return false;
        }
        let mut begin = token.chars();
        let begins = match begin.next() {
            Some(c) if is_space(c) => begin.next().is_none_or(char::is_alphabetic),
            Some(c) => c.is_alphabetic(),
            None => true,
        };
        let ends = token.chars().next_back().is_none_or(|c| c.is_alphabetic() || is_space(c));
        let characters: Vec<char> = token.chars().collect();
        let spans = characters
            .windows(3)
            .any(|it| it[0].is_alphabetic() && is_space(it[1]) && it[2].is_alphabetic());
        begins || ends || spans
    }
}

/// Letters that no token of a BPE model joins to the gap behind them, where nothing else ends a
/// word: with both in the vocabulary, and no token that holds the two side by side, no merge ever
/// reaches over, and those on both sides are the same with and without the other.
///
/// None for models of which this is not known. (Unigram sums scores from the beginning of a text,
/// and rounds.)
fn separate_letters(model: &ModelWrapper, gap: &str) -> Option<HashSet<char>> {
    let ModelWrapper::BPE(bpe) = model else { return None };
    let mut characters = gap.chars();
    let (first, None) = (characters.next()?, characters.next()) else { return None };
    let affixes = [&bpe.continuing_subword_prefix, &bpe.end_of_word_suffix];
    if bpe.ignore_merges || affixes.iter().any(|it| it.as_ref().is_some_and(|it| !it.is_empty())) {
        return None;
    }
    let vocabulary: HashMap<String, u32> = bpe.get_vocab();
    // Merges go by ids: two tokens of one id are merged as one.
    let ids: HashSet<u32> = vocabulary.values().copied().collect();
    if ids.len() != vocabulary.len() || !vocabulary.contains_key(gap) {
        return None;
    }
    let mut letters: HashSet<char> = HashSet::new();
    let mut joined: HashSet<char> = HashSet::new();
    for token in vocabulary.keys() {
        let mut characters = token.chars().peekable();
        if let (Some(c), true) = (characters.peek(), token.chars().nth(1).is_none()) {
            letters.insert(*c);
        }
        while let Some(c) = characters.next() {
            if characters.peek() == Some(&first) {
                joined.insert(c);
            }
        }
    }
    Some(&letters - &joined)
}
