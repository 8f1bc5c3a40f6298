//! How somebody's own files are laid out: options of the commands that read a log.

use std::path::PathBuf;

use foretaste_data::TimeUnit;
use foretaste_import::{Clicks, Gap, Layout, Limits, OffSlate, Propensities, Repeated};

/// Options for files of one's own; what is not given is as the schema has it.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Your own files (csv, jsonl, parquet)")]
pub struct LayoutArgs {
    /// TOML file that says how the log is laid out, as `import --guess` writes it; the options
    /// below go before what it says.
    #[arg(long, value_name = "TOML")]
    pub layout: Option<PathBuf>,
    /// What the file calls a column of the schema, such as session=session_id; once for each.
    #[arg(long, value_name = "OURS=YOURS", value_parser = column)]
    pub column: Vec<(String, String)>,
    /// Columns that are not read.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub ignore_columns: Vec<String>,
    /// What separates the fields: a character, or tab [default: found in the header].
    #[arg(long, value_name = "CHAR", value_parser = character)]
    pub delimiter: Option<char>,
    /// What separates the ids of a list in one field [default: blanks]; lists in brackets, as
    /// Python and JSON write them, are known by these.
    #[arg(long, value_name = "CHAR", value_parser = character)]
    pub list_separator: Option<char>,
    /// Unit of times that are whole numbers: s, ms, us or ns [default: recognized by their size].
    #[arg(long, value_name = "UNIT")]
    pub time_unit: Option<TimeUnit>,
    /// Time zone of times that name none, such as Europe/Berlin [default: UTC].
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// What the propensities are: conditional (each place's, given those before it), cumulative
    /// (their products along the slate), slate (one number for all of it) or marginal (each
    /// place's, whatever stands at the others) [default: by the name of the column, or
    /// conditional].
    #[arg(long, value_name = "MEANING")]
    pub propensities: Option<Propensities>,
    /// Columns to keep as categories of each step: what the slate was shown in, such as
    /// query,device; those called context_NAME are kept without a word.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub context: Vec<String>,
    /// Ids that stand for no item at the end of a slate.
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true)]
    pub padding: Vec<String>,
    /// Ids that stand for no choice.
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true)]
    pub no_click: Vec<String>,
    /// What becomes of a choice that is not on its slate: refuse, drop (its row) or append (the
    /// item to the slate) [default: refuse].
    #[arg(long, value_name = "RULE")]
    pub off_slate: Option<OffSlate>,
    /// What becomes of an item that stands on a slate twice: refuse, or first (its first place
    /// counts) [default: refuse].
    #[arg(long, value_name = "RULE")]
    pub repeated: Option<Repeated>,
    /// What several clicks on a slate are to models that see one choice a step: first (the others
    /// stay beside it) or each (a step for every click, on what was not clicked before, ended by
    /// nothing) [default: first].
    #[arg(long, value_name = "READING")]
    pub clicks: Option<Clicks>,
    /// Put rows into the order of their sessions, and of their times or steps within them.
    #[arg(long)]
    pub sort: bool,
    /// The pause that ends a session, such as 30m: cuts the rows of a user, or of a session.
    #[arg(long, value_name = "PAUSE")]
    pub session_gap: Option<Gap>,
    /// Leave out sessions of more steps than this: bots [default: more than 1000000 steps are an
    /// error].
    #[arg(long, value_name = "STEPS")]
    pub max_session_steps: Option<usize>,
    /// Clicks in a file of their own, CSV or Parquet: slate, item and perhaps timestamp.
    #[arg(long, value_name = "FILE")]
    pub clicks_file: Option<PathBuf>,
    /// Orders in a file of their own: session or user, item, timestamp and perhaps reward; a click
    /// earns what was bought of its item from then on.
    #[arg(long, value_name = "FILE", requires = "clicks_file")]
    pub orders_file: Option<PathBuf>,
    /// For how long after a click an order counts for it, such as 1d [default: for ever].
    #[arg(long, value_name = "TIME", requires = "orders_file")]
    pub order_window: Option<Gap>,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How large what is read may be, for files of all formats: what lies beyond ends the import.
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Bounds")]
pub struct LimitArgs {
    /// Bytes of a row [default: 67108864].
    #[arg(long, value_name = "BYTES")]
    pub max_row_bytes: Option<u64>,
    /// Bytes of a field [default: 16777216].
    #[arg(long, value_name = "BYTES")]
    pub max_field_bytes: Option<usize>,
    /// Items on a slate, or among its candidates [default: 1000000].
    #[arg(long, value_name = "ITEMS")]
    pub max_slate_items: Option<usize>,
    /// Different items, users, sessions, or values of a column [default: 100000000].
    #[arg(long, value_name = "IDS")]
    pub max_ids: Option<usize>,
    /// Bytes that a byte of a compressed file unpacks to [default: 1000].
    #[arg(long, value_name = "RATIO")]
    pub max_unpacked: Option<u64>,
}

impl LimitArgs {
    fn settle(self, file: Limits) -> Limits {
        Limits {
            row_bytes: self.max_row_bytes.unwrap_or(file.row_bytes),
            field_bytes: self.max_field_bytes.unwrap_or(file.field_bytes),
            slate_items: self.max_slate_items.unwrap_or(file.slate_items),
            session_steps: file.session_steps,
            ids: self.max_ids.unwrap_or(file.ids),
            unpacked: self.max_unpacked.unwrap_or(file.unpacked),
        }
    }
}

impl LayoutArgs {
    /// Whether any of them is given.
    pub fn given(&self) -> bool {
        let Self { layout, column, ignore_columns, delimiter, list_separator, time_unit, .. } =
            self;
        let Self { time_zone, propensities, padding, no_click, off_slate, repeated, .. } = self;
        let Self { clicks, sort, session_gap, max_session_steps, .. } = self;
        let Self { clicks_file, orders_file, order_window, context, limits, .. } = self;
        layout.is_some()
            || !column.is_empty()
            || !ignore_columns.is_empty()
            || delimiter.is_some()
            || list_separator.is_some()
            || time_unit.is_some()
            || time_zone.is_some()
            || propensities.is_some()
            || !padding.is_empty()
            || !no_click.is_empty()
            || off_slate.is_some()
            || repeated.is_some()
            || clicks.is_some()
            || *sort
            || session_gap.is_some()
            || max_session_steps.is_some()
            || clicks_file.is_some()
            || orders_file.is_some()
            || order_window.is_some()
            || !context.is_empty()
            || *limits != LimitArgs::default()
    }

    /// The files that these options name.
    pub fn inputs(&self) -> impl Iterator<Item = PathBuf> {
        [&self.layout, &self.clicks_file, &self.orders_file].into_iter().flatten().cloned()
    }

    /// The layout: what the file of `--layout` says, and the options before it.
    pub fn settle(&self) -> anyhow::Result<Layout> {
        let file = self.layout.as_deref().map(Layout::read).transpose()?.unwrap_or_default();
        let or = |own: &[String], other: Vec<String>| match own {
            [] => other,
            own => own.to_vec(),
        };
        let mut columns = file.columns;
        columns.extend(self.column.iter().cloned());
        Ok(Layout {
            format: file.format,
            columns,
            ignore_columns: [file.ignore_columns, self.ignore_columns.clone()].concat(),
            delimiter: self.delimiter.or(file.delimiter),
            list_separator: self.list_separator.or(file.list_separator),
            time_unit: self.time_unit.or(file.time_unit),
            time_zone: self.time_zone.clone().or(file.time_zone),
            propensities: self.propensities.or(file.propensities),
            context: [file.context, self.context.clone()].concat(),
            padding: or(&self.padding, file.padding),
            no_click: or(&self.no_click, file.no_click),
            off_slate: self.off_slate.unwrap_or(file.off_slate),
            repeated: self.repeated.unwrap_or(file.repeated),
            clicks: self.clicks.unwrap_or(file.clicks),
            sort: self.sort || file.sort,
            session_gap: self.session_gap.or(file.session_gap),
            max_session_steps: self.max_session_steps.or(file.max_session_steps),
            limits: self.limits.settle(file.limits),
            clicks_file: self.clicks_file.clone().or(file.clicks_file),
            orders_file: self.orders_file.clone().or(file.orders_file),
            order_window: self.order_window.or(file.order_window),
        })
    }
}

fn column(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((ours, yours)) if !ours.is_empty() && !yours.is_empty() => {
            Ok((ours.to_owned(), yours.to_owned()))
        }
        _ => Err("expected the schema's column, =, and yours, such as session=session_id".into()),
    }
}

fn character(text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (characters.next(), characters.next(), text) {
        (Some(character), None, _) => Ok(character),
        (_, _, "tab" | "\\t") => Ok('\t'),
        _ => Err("expected one character, or tab".into()),
    }
}
