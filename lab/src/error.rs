//! Errors of the lab's functions, and common checks.

use thiserror::Error;

/// Reasons for the lack of a result. Indices count from 0.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Error {
    /// An empty input.
    #[error("there are no {what}")]
    Empty {
        /// What is missing, in the plural.
        what: &'static str,
    },
    /// Two lists that belong together, item by item, differ in length.
    #[error("there are {left_length} {left} and {right_length} {right}; the numbers must be equal")]
    Lengths {
        /// What the first list holds, in the plural.
        left: &'static str,
        /// Its length.
        left_length: usize,
        /// What the second list holds, in the plural.
        right: &'static str,
        /// Its length.
        right_length: usize,
    },
    /// A list is too short.
    #[error("there are {found} {what}; at least {needed} are needed")]
    TooFew {
        /// What the list holds, in the plural.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The least length.
        needed: usize,
    },
    /// A NaN or an infinity.
    #[error("{what} {index} is {value}; it must be finite")]
    NotFinite {
        /// What the list holds, in the singular.
        what: &'static str,
        /// Index in the list.
        index: usize,
        /// The NaN or infinity.
        value: f64,
    },
    /// A feature that is no number, or so large that sums of squares might be infinite.
    #[error("feature {column} of row {row} is {value}; it must be a number from -1e100 to 1e100")]
    Feature {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The feature.
        value: f64,
    },
    /// Finite numbers so large that the sum of their squares is infinite.
    #[error("the {what} are so large that their squares have no finite sum")]
    Overflow {
        /// What the list holds, in the plural.
        what: &'static str,
    },
    /// All numbers are equal, but the result depends on their differences.
    #[error("all {what} are {value}; a correlation needs different values")]
    Constant {
        /// What the list holds, in the plural.
        what: &'static str,
        /// The one value.
        value: f64,
    },
    /// A setting outside of its range.
    #[error("{setting} is {value}; it must be {allowed}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// The range, in words.
        allowed: &'static str,
    },
    /// A probability outside of 0 to 1.
    #[error("p-value {index} is {value}; it must be from 0 to 1")]
    Probability {
        /// Index in the list.
        index: usize,
        /// The invalid number.
        value: f64,
    },
    /// Numbers that do not fill rows of the width given.
    #[error("{elements} numbers don't form rows of width {width}")]
    Shape {
        /// How many numbers there are.
        elements: usize,
        /// The width.
        width: usize,
    },
    /// Features of another width than the fitted ones.
    #[error("rows have a width of {found}, and the fitted rows {expected}")]
    Width {
        /// The width fitted.
        expected: usize,
        /// The width given.
        found: usize,
    },
    /// A sparse row whose columns don't ascend within its width.
    #[error("row {row} has column {column}; expected from {least} to {width} (exclusive)")]
    Column {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// One more than the previous column.
        least: usize,
        /// The width.
        width: usize,
    },
    /// Labels of one class, for a classification.
    #[error("all {count} labels are `{class}`; there must be two classes or more")]
    OneClass {
        /// The class.
        class: String,
        /// How many labels there are.
        count: usize,
    },
    /// All items are of one group, which can't be on both sides of a split.
    #[error("all {count} items are of one group, which can't be on both sides of a split")]
    OneGroup {
        /// How many items there are.
        count: usize,
    },
    /// More clusters than rows.
    #[error("{clusters} clusters can't be made of {rows} rows; ask for 1 to {rows}")]
    Clusters {
        /// The requested number of clusters.
        clusters: usize,
        /// The number of rows.
        rows: usize,
    },
    /// No word of two characters or more.
    #[error(
        "none of the {texts} texts has a word of two letters or digits; there is no vocabulary"
    )]
    NoWords {
        /// How many texts there are.
        texts: usize,
    },
    /// A ranking that names a document twice.
    #[error(
        "document {document} is at ranks {first} and {second} of a ranking; each document must have one rank"
    )]
    RankedTwice {
        /// The document.
        document: usize,
        /// Its first place, from 0.
        first: usize,
        /// Its second place.
        second: usize,
    },
    /// A query without a relevant document.
    #[error("none of the {judged} judged documents is relevant; the query can't be scored")]
    NoRelevant {
        /// How many documents are judged.
        judged: usize,
    },
    /// A question whose answer is not among its choices.
    #[error("the answer of item {item} is choice {answer}, but the item has {choices} choices")]
    Answer {
        /// The item.
        item: usize,
        /// The answer's index.
        answer: usize,
        /// How many choices there are.
        choices: usize,
    },
    /// A choice without text: its log-likelihood can't be divided by its length.
    #[error("choice {choice} of item {item} has no text")]
    EmptyChoice {
        /// The item.
        item: usize,
        /// The choice.
        choice: usize,
    },
    /// A log-likelihood that is NaN or +∞.
    #[error(
        "the log-likelihood of choice {choice} of item {item} is {value}; it must be a number below +∞"
    )]
    LogLikelihood {
        /// The item.
        item: usize,
        /// The choice.
        choice: usize,
        /// The NaN or infinity.
        value: f64,
    },
}

/// Checks that a list is not empty.
pub(crate) fn not_empty<T>(items: &[T], what: &'static str) -> Result<(), Error> {
    if items.is_empty() { Err(Error::Empty { what }) } else { Ok(()) }
}

/// Checks that two lists have the same length.
pub(crate) fn same_length(
    (left, left_length): (&'static str, usize),
    (right, right_length): (&'static str, usize),
) -> Result<(), Error> {
    if left_length == right_length {
        return Ok(());
    }
    Err(Error::Lengths { left, left_length, right, right_length })
}

/// Largest magnitude of a feature. The largest f32 is far below.
const LARGEST_FEATURE: f64 = 1e100;

/// Checks that squares of a feature can be summed.
pub(crate) fn check_feature(row: usize, column: usize, value: f64) -> Result<(), Error> {
    // NaN is not in the range.
    if (-LARGEST_FEATURE..=LARGEST_FEATURE).contains(&value) {
        return Ok(());
    }
    Err(Error::Feature { row, column, value })
}

/// Checks that no number is NaN or infinite; `what` names a number in messages.
pub(crate) fn finite(values: &[f64], what: &'static str) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}
