//! Regular expressions of well-known tokenizers, with the places of a text at which a cut changes no match.

use tokenizers::SplitDelimiterBehavior;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

/// Regular expressions by which well-known byte-level tokenizers split, and whether a cut after a line break is safe
/// for any visible ASCII character that follows. For each of them, in any text: the match of a letter continues only
/// over letters (and marks), so it ends before a space or line break; a space before a letter begins the letter's
/// match; and the only look-around is `\s+(?!\S)`, which sees only the first character after a run of spaces. Matches
/// on both sides of a cut before a space between letters are therefore those of the whole text. After a single line
/// break that follows a visible character, the match of the line break ends (`[\r\n]+`, or `\s+` before a letter), and
/// a new match begins.
const SPLITS: &[(&str, bool)] = &[
    // GPT-2, RoBERTa, BLOOM
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", true),
    // GPT-4, Llama 3
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        true,
    ),
    // Qwen 2 and 3
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        true,
    ),
    // GPT-4o: a `/` belongs to the line break before it
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        false,
    ),
    // DeepSeek V3
    (
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
        true,
    ),
];

/// Regular expressions that match neither letters next to a space nor spaces, so that a cut changes no match.
const NEUTRAL: &[&str] = &[r"\p{N}{1,3}", r"\p{N}", r"[0-9]", r"\d", "[一-龥\u{3040}-ゟ゠-ヿ]+"];

/// Whether a cut after a line break is safe with this split; none if the split is unknown.
pub fn known_split(split: &Split) -> Option<bool> {
    let SplitPattern::Regex(expression) = &split.pattern else { return None };
    let (_, line_break) = SPLITS.iter().find(|(known, _)| known == expression)?;
    let all = match split.behavior {
        SplitDelimiterBehavior::Isolated => true,
        SplitDelimiterBehavior::Removed => split.invert,
        _ => false,
    };
    all.then_some(*line_break)
}

/// Whether a split has no effect at a space between letters and at a line break before a letter.
pub fn is_neutral(split: &Split, gap: &str) -> bool {
    match &split.pattern {
        SplitPattern::Regex(expression) => {
            NEUTRAL.contains(&expression.as_str())
                && split.behavior == SplitDelimiterBehavior::Isolated
        }
        SplitPattern::String(text) => {
            let near = |c: char| c.is_alphabetic() || c == '\n' || gap.contains(c);
            !text.is_empty() && !text.chars().any(near)
        }
    }
}
