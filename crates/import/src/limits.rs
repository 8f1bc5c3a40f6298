//! How large what is read may be.

use foretaste_data::Fault;
use serde::Deserialize;

/// Bounds of what comes from outside: what lies beyond one ends the import with an error that names
/// it and the option that raises it. The defaults are far above what logs hold.
///
/// Memory is never taken by what a file claims; these bound what it really holds, or unpacks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Bytes of a row: a line, or the lines of one record, or one JSON object of an array.
    pub row_bytes: u64,
    /// Bytes of a field of a row: of a cell, a value, an id.
    pub field_bytes: usize,
    /// Items on a slate, and items that a slate was drawn from.
    pub slate_items: usize,
    /// Steps of a session; with [`Layout::max_session_steps`](crate::Layout::max_session_steps)
    /// longer ones are left out instead.
    pub session_steps: usize,
    /// Different ids: of items, of users, of sessions, of the categories of a column.
    pub ids: usize,
    /// Bytes that a byte of a compressed file unpacks to, beyond the first 256 MiB.
    pub unpacked: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            row_bytes: 64 << 20,
            field_bytes: 16 << 20,
            slate_items: 1_000_000,
            session_steps: 1_000_000,
            ids: 100_000_000,
            unpacked: 1_000,
        }
    }
}

impl Limits {
    /// For who reads past everything that there is.
    pub(crate) const NONE: Self = Self {
        row_bytes: u64::MAX,
        field_bytes: usize::MAX,
        slate_items: usize::MAX,
        session_steps: usize::MAX,
        ids: usize::MAX,
        unpacked: u64::MAX,
    };

    /// What unpacks to so many bytes is no bomb yet.
    pub(crate) const UNPACKED_ANYWAY: u64 = 256 << 20;
}

/// The fault of a field with more than it may have of something that `option` bounds.
pub(crate) fn beyond(field: &'static str, found: String, most: usize, option: &str) -> Fault {
    let fault = Fault::new(field, "a size within its bound", format!("{found}, of at most {most}"));
    fault.advise(format!("{option} raises the bound"))
}
