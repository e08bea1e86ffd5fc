//! Errors of a configuration, and the checks that most rules consist of.

use std::fmt::Display;
use std::ops::RangeInclusive;

use thiserror::Error;

/// Errors of a configuration. Every message contains the problem, its place, the allowed values and advice.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The text is not TOML; the message of the parser shows the line.
    #[error("{origin} is not valid TOML: {message}")]
    Syntax {
        /// The file.
        origin: String,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A `--set` that is not of the form `section.key=value`.
    #[error("--set {text}: expected section.key=value, for example --set train.steps=500")]
    SetForm {
        /// The text after `--set`.
        text: String,
    },
    /// A key that no section of this schema has.
    #[error("unknown key `{key}` ({origin}): {hint}")]
    UnknownKey {
        /// The file and line, or the `--set`.
        origin: String,
        /// The whole key, section included.
        key: String,
        /// The nearest key, or the list of keys of that section.
        hint: String,
    },
    /// A known key with a value of the wrong kind.
    #[error("`{key}` cannot be {value} ({origin}): {expected}")]
    Value {
        /// The file and line, or the `--set`.
        origin: String,
        /// The whole key, section included.
        key: String,
        /// The value as it was written.
        value: String,
        /// The expected kind.
        expected: String,
    },
    /// A value of the right kind that is not allowed.
    #[error("{field} = {value} is not possible: {allowed}. {advice}")]
    Invalid {
        /// The whole key, section included.
        field: String,
        /// Its value.
        value: String,
        /// The allowed values, with the numbers of this configuration.
        allowed: String,
        /// Advice.
        advice: String,
    },
    /// A preset that does not exist.
    #[error("there is no preset `{name}`: {hint}")]
    UnknownPreset {
        /// The requested name.
        name: String,
        /// The nearest name, or all names.
        hint: String,
    },
}

/// The largest size: kernels index with 32 bits, and WGSL's `i32` must hold it.
const MAX_SIZE: usize = i32::MAX as usize;

/// Refuses `value` of `field` unless `holds`.
pub(super) fn require(
    holds: bool,
    field: &str,
    value: impl Display,
    allowed: impl Into<String>,
    advice: impl Into<String>,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        field: field.to_owned(),
        value: value.to_string(),
        allowed: allowed.into(),
        advice: advice.into(),
    })
}

/// A size: at least `least`, at most what a 32-bit index reaches.
pub(super) fn require_size(field: &str, value: usize, least: usize) -> Result<(), ConfigError> {
    require(
        (least..=MAX_SIZE).contains(&value),
        field,
        value,
        format!("it must be a whole number from {least} to {MAX_SIZE}"),
        format!("Set {field} in that range"),
    )
}

/// A number above zero: `inf` and `nan`, which TOML can write, are refused with the rest.
pub(super) fn require_positive(field: &str, value: f64) -> Result<(), ConfigError> {
    require(
        value.is_finite() && value > 0.0,
        field,
        value,
        "it must be a finite number above 0",
        format!("Set {field} to a finite number above 0"),
    )
}

/// A number in a closed range, whose end may be `f64::MAX` for "any finite number".
pub(super) fn require_in(
    field: &str,
    value: f64,
    range: RangeInclusive<f64>,
) -> Result<(), ConfigError> {
    let (least, most) = (*range.start(), *range.end());
    let words = if most == f64::MAX {
        format!("a finite number of at least {least}")
    } else {
        format!("a number from {least} to {most}")
    };
    require(
        range.contains(&value),
        field,
        value,
        format!("it must be {words}"),
        format!("Set {field} to {words}"),
    )
}

/// A number from 0 up to, but not including, 1.
pub(super) fn require_below_one(field: &str, value: f64) -> Result<(), ConfigError> {
    require(
        (0.0..1.0).contains(&value),
        field,
        value,
        "it must be at least 0 and below 1",
        format!("Set {field} in that range"),
    )
}
