//! A bound on the length of a normalised text.
//! A `Replace` may insert a long text for each character, and a chain of them multiplies lengths. For tokenizers with
//! such steps, each part of a text is first normalised step by step, and the result of each `Replace` is counted before
//! it is made, so that no large text is ever created.

use serde_json::Value;
use tokenizers::normalizers::Replace;
use tokenizers::utils::SysRegex;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

use super::error::TokenizerError;

/// Allowed growth, on average over a text. (A space is one byte, and SentencePiece's `▁` for it three.)
const FACTOR: usize = 8;

/// Length in bytes that is allowed even for short texts.
const ALLOWANCE: usize = 1 << 20;

/// Bytes of text that are normalised at a time, and the largest length of their intermediate results.
const PART: usize = 256;
const MOST_OF_PART: usize = 64 * PART;

/// Steps of a normalizer that might make a text much longer; none for almost all tokenizers.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    steps: Vec<NormalizerWrapper>,
}

impl Growth {
    /// The steps of a normalizer.
    pub fn of(normalizer: Option<&NormalizerWrapper>) -> Self {
        let mut steps = Vec::new();
        if let Some(normalizer) = normalizer {
            flatten(normalizer, &mut steps);
        }
        let factor = steps.iter().map(most_growth).fold(1.0, |a: f64, b| a * b);
        let maps =
            steps.iter().filter(|it| matches!(it, NormalizerWrapper::Precompiled(_))).count();
        if factor <= FACTOR as f64 && maps <= 1 { Self::default() } else { Self { steps } }
    }

    /// Checks the length of a normalised text.
    ///
    /// # Errors
    /// [`TokenizerError::Grows`] if the text becomes too long. Other errors are reported when it is encoded.
    pub fn check(&self, text: &str) -> Result<(), TokenizerError> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let most = FACTOR.saturating_mul(text.len()).saturating_add(ALLOWANCE);
        let grows = || TokenizerError::Grows { bytes: text.len(), most };
        let (mut first, mut total) = (0, 0);
        while first < text.len() {
            let end = text.ceil_char_boundary(first.saturating_add(PART));
            total += self.length(&text[first..end]).ok_or_else(grows)?;
            if total > most {
                return Err(grows());
            }
            first = end;
        }
        Ok(())
    }

    /// Bytes of the normalised text, or none if it becomes too long.
    fn length(&self, text: &str) -> Option<usize> {
        let mut normalized = NormalizedString::from(text);
        for step in &self.steps {
            if let NormalizerWrapper::Replace(replace) = step {
                let found = matches(replace, normalized.get());
                let inserted = found.saturating_mul(replace.content.len());
                if normalized.len().saturating_add(inserted) > MOST_OF_PART {
                    return None;
                }
            }
            let done = super::safe::contained(|| step.normalize(&mut normalized));
            if normalized.len() > MOST_OF_PART {
                return None;
            }
            if !matches!(done, Ok(Ok(()))) {
                break;
            }
        }
        Some(normalized.len())
    }
}

fn flatten(normalizer: &NormalizerWrapper, steps: &mut Vec<NormalizerWrapper>) {
    match normalizer {
        NormalizerWrapper::Sequence(all) => all.as_ref().iter().for_each(|it| flatten(it, steps)),
        one => steps.push(one.clone()),
    }
}

/// Largest growth of a text by a `Replace`; 1 for other steps, whose growth Unicode bounds.
fn most_growth(step: &NormalizerWrapper) -> f64 {
    let NormalizerWrapper::Replace(replace) = step else { return 1.0 };
    let shortest = match pattern(replace) {
        Some(Pattern::Text(text)) => text.len(),
        Some(Pattern::Expression(_)) | None => 1,
    };
    (replace.content.len() as f64 / shortest.max(1) as f64).max(1.0)
}

/// The pattern of a `Replace` or a `Split`.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// A text.
    Text(String),
    /// A regular expression.
    Expression(String),
}

impl Pattern {
    /// The pattern in the JSON of a step.
    pub fn of_json(step: &Value) -> Option<Self> {
        let pattern = step.get("pattern")?;
        let part = |name: &str| pattern.get(name).and_then(Value::as_str).map(str::to_owned);
        part("String").map(Self::Text).or_else(|| part("Regex").map(Self::Expression))
    }
}

/// The pattern of a `Replace`, which the library exposes only as JSON.
pub fn pattern(replace: &Replace) -> Option<Pattern> {
    Pattern::of_json(&serde_json::to_value(replace).ok()?)
}

fn matches(replace: &Replace, text: &str) -> usize {
    match pattern(replace) {
        Some(Pattern::Text(pattern)) => text.matches(&pattern).count(),
        Some(Pattern::Expression(pattern)) => match SysRegex::new(&pattern) {
            Ok(expression) => expression.find_iter(text).count(),
            Err(_) => 0,
        },
        None => 0,
    }
}
