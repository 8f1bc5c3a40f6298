//! What is to be drawn of an experiment.

use foretaste_eval::Metric;

/// A plot or table of an experiment: which part of its results plays which role.
///
/// What has no role (a data set, say) gets a plot for each of its values.
#[derive(Clone, Debug)]
pub struct View {
    /// How it is drawn.
    pub kind: Kind,
    /// The part of the file's name behind the experiment's.
    pub name: &'static str,
    /// What it shows, for the caption.
    pub title: &'static str,
    /// What its values are, with the unit.
    pub axis: &'static str,
    /// What bars are named by, or what a curve's iterations are; the name of the first column of a
    /// table.
    pub over: &'static str,
    /// The metrics, and what they are called in the plot; of learning curves, the figures of that
    /// name.
    pub metrics: Vec<(Metric, &'static str)>,
    /// The methods, in order; none for all of the experiment.
    pub methods: &'static [&'static str],
    /// The settings, chosen as in [`Claim::read`](crate::Claim::read).
    pub settings: &'static str,
    /// What differs from panel to panel, or from column to column of a table.
    pub panels: Option<By>,
    /// What differs from group to group, or row to row.
    pub groups: Option<By>,
    /// What differs by color.
    pub series: Option<By>,
    /// Methods that are drawn as lines across, from whatever setting they have.
    pub references: &'static [&'static str],
}

/// How a view is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Upright bars from zero, in groups.
    Bars,
    /// A dot for every group on a line of its own.
    Dots,
    /// A line with a band over what the curves call `iteration`.
    Curves,
    /// Figures in rows and columns.
    Table,
}

/// A part of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The data set.
    Dataset,
    /// The method.
    Method,
    /// The setting.
    Setting,
    /// The metric.
    Metric,
}

impl Default for View {
    fn default() -> Self {
        Self {
            kind: Kind::Table,
            name: "",
            title: "",
            axis: "",
            over: "",
            metrics: Vec::new(),
            methods: &[],
            settings: "",
            panels: None,
            groups: None,
            series: None,
            references: &[],
        }
    }
}
