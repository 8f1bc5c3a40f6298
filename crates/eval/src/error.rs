//! The error type of this crate: each case says what was to be computed and what prevents it, so
//! that no figure is silently not a number.

/// Why a figure cannot be computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model that was to be evaluated failed.
    #[error(transparent)]
    Model(Box<dyn std::error::Error + Send + Sync>),
    /// A mean over nothing.
    #[error("{what}: there is nothing to average")]
    Empty {
        /// What was to be computed.
        what: &'static str,
    },
    /// A value that is not a number, or infinite where that has no meaning.
    #[error("{what}: value {index} is {value}")]
    NotFinite {
        /// What was to be computed.
        what: &'static str,
        /// Position of the value.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A number that has to be positive and finite, and is not.
    #[error("{what} is {value}, expected a positive number")]
    NotPositive {
        /// What it is.
        what: &'static str,
        /// The number.
        value: f64,
    },
    /// A position outside the list that it points into.
    #[error("{what}: item {item} of a list of {items}")]
    OutOfRange {
        /// What was to be computed.
        what: &'static str,
        /// The position.
        item: usize,
        /// Length of the list.
        items: usize,
    },
    /// A rank that no item can have.
    #[error("{what}: k is {k}, expected 1 to {items}")]
    Rank {
        /// What was to be computed.
        what: &'static str,
        /// The rank asked for.
        k: usize,
        /// Number of items that are ranked.
        items: usize,
    },
    /// Two lists that belong together differ in length.
    #[error("{what}: {left} values against {right}")]
    Lengths {
        /// What was to be computed.
        what: &'static str,
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// A number that is no probability, or one that would be divided by zero.
    #[error("{what}: row {row} is {value}, expected a probability in {expected}")]
    Probability {
        /// The column.
        what: &'static str,
        /// Position in the column.
        row: usize,
        /// What is there.
        value: f64,
        /// The range that is allowed.
        expected: &'static str,
    },
    /// A cap on weights that is not positive.
    #[error("a cap on weights of {cap}, expected a positive number")]
    Cap {
        /// The cap.
        cap: f64,
    },
    /// Nothing in the log bears on the question: all weights are 0.
    #[error("{what}: the evaluated policy never does what the log shows")]
    NoOverlap {
        /// What was to be computed.
        what: &'static str,
    },
    /// A place of a slate whose examination cannot be estimated.
    #[error("examination: no click at place {place} is of an item that could stand at every place")]
    Unexamined {
        /// The place, from 0.
        place: usize,
    },
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
