//! What can be wrong with numbers that are to be judged, and the checks that several modules share.

use thiserror::Error;

/// Why there is no result. Indices count from 0.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Error {
    /// Nothing was given.
    #[error("there are no {what}")]
    Empty {
        /// What is missing, in the plural.
        what: &'static str,
    },
    /// Two lists that belong together, item by item, differ in length.
    #[error("there are {left_length} {left} and {right_length} {right}; both must be as many")]
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
    /// A list is shorter than what is computed from it allows.
    #[error("there are {found} {what}; at least {needed} are needed")]
    TooFew {
        /// What the list holds, in the plural.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// A NaN or an infinity.
    #[error("{what} {index} is {value}; it must be finite")]
    NotFinite {
        /// What the list holds, in the singular.
        what: &'static str,
        /// Where in the list.
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
    /// Finite numbers so large that a sum of their squares is not.
    #[error("the {what} are so large that their squares have no finite sum")]
    Overflow {
        /// What the list holds, in the plural.
        what: &'static str,
    },
    /// All numbers are equal, where the result is defined by how they differ.
    #[error("all {what} are {value}; a correlation needs some that differ")]
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
        /// Where in the list.
        index: usize,
        /// The number that is none.
        value: f64,
    },
    /// Numbers that do not fill rows of the width given.
    #[error("{elements} numbers are no rows of width {width}")]
    Shape {
        /// How many numbers there are.
        elements: usize,
        /// The width.
        width: usize,
    },
    /// Features of another width than those that were fitted.
    #[error("rows have a width of {found}, and those fitted {expected}")]
    Width {
        /// The width fitted.
        expected: usize,
        /// The width given.
        found: usize,
    },
    /// A sparse row whose columns don't ascend within its width.
    #[error(
        "row {row} has column {column} where one from {least} to {width} (exclusive) may stand"
    )]
    Column {
        /// The row.
        row: usize,
        /// The column that stands there.
        column: usize,
        /// One more than the column before it.
        least: usize,
        /// The width.
        width: usize,
    },
    /// Labels of one class, where classes are to be told apart.
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
    #[error("{clusters} clusters can't be made of {rows} rows; 1 to {rows} can")]
    Clusters {
        /// The clusters asked for.
        clusters: usize,
        /// The rows there are.
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
    #[error("document {document} is at ranks {first} and {second} of a ranking; it can be at one")]
    RankedTwice {
        /// The document.
        document: usize,
        /// Its first place, from 0.
        first: usize,
        /// Its second place.
        second: usize,
    },
    /// A query that no document is relevant for.
    #[error("none of the {judged} judged documents is relevant; the query can't be scored")]
    NoRelevant {
        /// How many documents are judged.
        judged: usize,
    },
    /// A question whose answer is none of its choices.
    #[error("the answer of item {item} is choice {answer}, and it has {choices} choices")]
    Answer {
        /// The item.
        item: usize,
        /// The answer's index.
        answer: usize,
        /// How many choices there are.
        choices: usize,
    },
    /// A choice without text, whose log-likelihood has no length to be divided by.
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

/// That there is something.
pub(crate) fn not_empty<T>(items: &[T], what: &'static str) -> Result<(), Error> {
    if items.is_empty() { Err(Error::Empty { what }) } else { Ok(()) }
}

/// That two lists belong together.
pub(crate) fn same_length(
    (left, left_length): (&'static str, usize),
    (right, right_length): (&'static str, usize),
) -> Result<(), Error> {
    if left_length == right_length {
        return Ok(());
    }
    Err(Error::Lengths { left, left_length, right, right_length })
}

/// Features of a larger magnitude are refused. f32 ends far below.
const LARGEST_FEATURE: f64 = 1e100;

/// That squares of a feature can be summed.
pub(crate) fn check_feature(row: usize, column: usize, value: f64) -> Result<(), Error> {
    // A NaN is not in the range.
    if (-LARGEST_FEATURE..=LARGEST_FEATURE).contains(&value) {
        return Ok(());
    }
    Err(Error::Feature { row, column, value })
}

/// That no number is a NaN or an infinity; `what` is one of them.
pub(crate) fn finite(values: &[f64], what: &'static str) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}
