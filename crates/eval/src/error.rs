/// Why a figure cannot be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
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
    #[error("{what}: r is {r}, expected 1 to {items}")]
    Rank {
        /// What was to be computed.
        what: &'static str,
        /// The rank asked for.
        r: usize,
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
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, EvalError>;
