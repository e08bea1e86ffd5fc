//! Places at which a long text can be cut without changing its tokens.
//! There are two kinds of places: before a space between two letters, and after a line break between two characters,
//! the second of which is a letter. Whether a cut there changes a token follows from the steps of the tokenizer: added
//! tokens, normalizer, pre-tokenizer, model. A place is unsafe unless every step is known to work on both sides
//! independently. A tokenizer without safe places gets whole texts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper};

use super::growth::{Pattern, pattern};
use super::splits::{is_neutral, known_split};

/// Texts longer than this many bytes are cut at safe places.
const PIECE: usize = 64 * 1024;

/// Safe places of a tokenizer.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    /// Before a space between two letters.
    space: Option<SpaceCut>,
    /// Behind a line break between two characters.
    line_break: bool,
    /// Whether letters beyond ASCII count, because no step changes them.
    all_letters: bool,
}

#[derive(Clone, Debug)]
struct SpaceCut {
    /// Whether the normalizer prepends a space to each text. A piece then begins after its own space.
    drop_space: bool,
    /// Letters after which no token of the model crosses the space; none if the pre-tokenizer ends a word there.
    letters: Option<Arc<HashSet<char>>>,
}

impl Cuts {
    /// The safe places of a tokenizer.
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

    /// Whether there are safe places.
    pub fn exist(&self) -> bool {
        self.space.is_some() || self.line_break
    }

    /// Whether a text can be cut after every line break between two visible ASCII characters.
    pub fn after_line_breaks(&self) -> bool {
        self.line_break
    }

    /// Divides a text into pieces that can be tokenised separately.
    pub fn pieces<'a>(&self, text: &'a str) -> Vec<&'a str> {
        self.pieces_of(text, PIECE)
    }

    /// Pieces of at least `size` bytes, except the last.
    pub fn pieces_of<'a>(&self, text: &'a str, size: usize) -> Vec<&'a str> {
        let mut pieces = Vec::new();
        let mut first = 0;
        while self.exist() && text.len() - first > size {
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

    /// End of the piece before the space or line break at `at`, and start of the next piece.
    fn cut(&self, text: &str, at: usize) -> Option<(usize, usize)> {
        let before = text[..at].chars().next_back()?;
        let after = text[at + 1..].chars().next().filter(|&c| self.is_letter(c))?;
        if text.as_bytes()[at] == b'\n' {
            let visible = before.is_ascii_graphic() || self.is_letter(before);
            return (self.line_break && visible).then_some((at + 1, at + 1));
        }
        let space = self.space.as_ref()?;
        let separate = space.letters.as_ref().is_none_or(|letters| letters.contains(&before));
        // Some letters become two characters when accents are removed.
        (separate && self.is_letter(before) && self.is_letter(after))
            .then_some((at, at + usize::from(space.drop_space)))
    }

    /// Letters that Unicode's compositions (NFC, NFKC) do not change; only ASCII letters if another step may change
    /// others.
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

/// The effect of the steps so far on a place: on its space, and on a text that begins after it.
struct Place {
    /// The text that replaces the space.
    gap: String,
    /// The text that the normalizer prepends to every text.
    prepended: Option<String>,
    /// Whether a cut before the space changed nothing so far.
    space: bool,
    /// Whether a step has ended a word at the space.
    ends_word: bool,
    /// Whether a cut after the line break changed nothing so far.
    line_break: bool,
    /// Whether a step has ended a word at the line break.
    ends_line: bool,
    all_letters: bool,
    /// Whether letters are unchanged, so that they can be looked up in the model's vocabulary.
    letters_stay: bool,
}

impl Place {
    /// The effect of all steps before the model; none if no place is safe.
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
        // A piece begins without its space if the normalizer prepends one.
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
            // A space or line break composes with nothing, and letters are unchanged.
            N::NFC(_) | N::NFKC(_) if self.plain() || self.gap == "▁" => {}
            // These steps work on single characters; letters become letters, with or without marks.
            N::NFD(_) | N::NFKD(_) | N::Lowercase(_) | N::StripAccents(_) if self.plain() => {
                self.only_ascii();
            }
            // Like the steps above, and a line break becomes a space.
            N::Nmt(_) | N::BertNormalizer(_) if self.plain() => {
                self.only_ascii();
                self.line_break = false;
            }
            // This step works on clusters of characters; an ASCII letter and a space are separate clusters.
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
            // Replaces the space itself everywhere.
            Pattern::Text(text) if *text == self.gap && text.chars().count() == 1 => {
                if content.is_empty() || content.chars().any(char::is_alphanumeric) {
                    return None;
                }
                self.gap = content.to_owned();
                if let Some(prepended) = &mut self.prepended {
                    *prepended = prepended.replace(text, content);
                }
            }
            // The pattern does not occur at such a place, and its replacement does not create one.
            Pattern::Text(text) => {
                let near = |c: char| c.is_alphabetic() || c.is_whitespace() || self.gap.contains(c);
                if text.chars().any(near) || content.chars().any(char::is_whitespace) {
                    return None;
                }
                if text.chars().any(|c| c.is_ascii_graphic()) {
                    // A visible character before a line break might be removed.
                    self.line_break = false;
                }
            }
            // Two spaces or more; a place has a single space between letters.
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
                // A space is prepended to each part that doesn't begin with one.
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
                    // The first part of a piece is treated as the first part of a text.
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
            // These split at other places, by single characters.
            P::Digits(_) | P::Punctuation(_) => {}
            // Words that ended before still end.
            P::Delimiter(_) | P::UnicodeScripts(_) | P::FixedLength(_) => {
                self.space &= self.ends_word;
                self.line_break &= self.ends_line;
            }
        }
    }

    /// Checks added tokens, which are found before all other steps: none may cross or touch a place.
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
        // Runs of spaces don't occur at a place, which has a single space.
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

/// Letters that no token of a BPE model joins to the gap after them, for a place at which no other step ends a word. If
/// both are in the vocabulary, and no token contains the letter followed by the gap, no merge ever crosses the place,
/// and merges on both sides are independent. None for models for which this is not known. (Unigram sums scores from the
/// beginning of a text, with rounding.)
fn separate_letters(model: &ModelWrapper, gap: &str) -> Option<HashSet<char>> {
    let ModelWrapper::BPE(bpe) = model else { return None };
    let mut characters = gap.chars();
    let (first, None) = (characters.next()?, characters.next()) else { return None };
    let affixes = [&bpe.continuing_subword_prefix, &bpe.end_of_word_suffix];
    if bpe.ignore_merges || affixes.iter().any(|it| it.as_ref().is_some_and(|it| !it.is_empty())) {
        return None;
    }
    let vocabulary: HashMap<String, u32> = bpe.get_vocab();
    // Merges work on ids: two tokens with one id are treated as one.
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
