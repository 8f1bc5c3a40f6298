//! What a run needs from the program that starts it. It is the border that keeps this crate free of
//! any particular experiment or paper.

/// What a program brings to every run of its experiments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Program {
    /// The names of all its experiments, in the order in which they run.
    pub experiments: &'static [&'static str],
    /// What is claimed: the text of a ledger, empty without claims, see
    /// [`Claim::read`](foretaste_report::Claim).
    pub claims: &'static str,
    /// Times that cells took: CSV, `scale` and the columns of `times.csv`; empty if none is known.
    pub times: &'static str,
    /// The looks of methods in plots, empty without: the text of
    /// [`Looks::read`](foretaste_report::Looks::read).
    pub looks: &'static str,
    /// The revision of the sources that the program was built from, with `-dirty` where they were
    /// changed since, or `unknown`.
    pub revision: &'static str,
}
