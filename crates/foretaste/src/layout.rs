//! How a user's own files are laid out: options of the commands that read a log.

use std::path::PathBuf;

use foretaste_data::TimeUnit;
use foretaste_import::{Clicks, Gap, Layout, Limits, OffSlate, Propensities, Repeated};

/// Options for the layout of your own files; without an option, the layout is that of the schema.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Your own files (csv, jsonl, parquet)")]
pub struct LayoutArgs {
    /// TOML file with the layout of the log, as `import --guess` writes it; the options below take
    /// precedence over it.
    #[arg(long, value_name = "TOML")]
    pub layout: Option<PathBuf>,
    /// The file's name for a column of the schema, such as session=session_id; repeat the option
    /// for several columns.
    #[arg(long, value_name = "OURS=YOURS", value_parser = column)]
    pub column: Vec<(String, String)>,
    /// Columns to leave out.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub ignore_columns: Vec<String>,
    /// Separator of the fields: a character, or tab [default: the one in the header].
    #[arg(long, value_name = "CHAR", value_parser = character)]
    pub delimiter: Option<char>,
    /// Separator of the ids of a list in one field [default: blanks]; lists in brackets, as Python
    /// and JSON write them, are recognized.
    #[arg(long, value_name = "CHAR", value_parser = character)]
    pub list_separator: Option<char>,
    /// Unit of times that are whole numbers: s, ms, us or ns [default: recognized by their size].
    #[arg(long, value_name = "UNIT")]
    pub time_unit: Option<TimeUnit>,
    /// Time zone of times without one, such as Europe/Berlin [default: UTC].
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Meaning of the propensities: conditional (of each place, given the items before it),
    /// cumulative (products of these along the slate), slate (one number for the whole slate) or
    /// marginal (of each place, regardless of the other places) [default: by the name of the
    /// column, or conditional].
    #[arg(long, value_name = "MEANING")]
    pub propensities: Option<Propensities>,
    /// Columns to keep as categories of each step, which describe where the slate was shown, such
    /// as query,device; columns called context_NAME are always kept.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub context: Vec<String>,
    /// Ids that fill up a slate at its end and are not items.
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true)]
    pub padding: Vec<String>,
    /// Ids that mean that nothing was chosen.
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true)]
    pub no_click: Vec<String>,
    /// What to do with a choice that is not on its slate: refuse, drop (the row) or append (the
    /// item to the slate) [default: refuse].
    #[arg(long, value_name = "RULE")]
    pub off_slate: Option<OffSlate>,
    /// What to do with an item that is on a slate twice: refuse, or first (keep its first place)
    /// [default: refuse].
    #[arg(long, value_name = "RULE")]
    pub repeated: Option<Repeated>,
    /// How models that see one choice per step see several clicks on a slate: first (the first
    /// click is the choice, and the others are kept in addition) or each (a step for every click,
    /// on the items not clicked before, and a last step without a choice) [default: first].
    #[arg(long, value_name = "READING")]
    pub clicks: Option<Clicks>,
    /// Sort the rows by session, and by time or step within a session.
    #[arg(long)]
    pub sort: bool,
    /// Pause that ends a session, such as 30m: separates the rows of a user or of a session into
    /// sessions.
    #[arg(long, value_name = "PAUSE")]
    pub session_gap: Option<Gap>,
    /// Leave out sessions with more steps than this, which are bots [default: more than 1000000
    /// steps are an error].
    #[arg(long, value_name = "STEPS")]
    pub max_session_steps: Option<usize>,
    /// Separate CSV or Parquet file of clicks, with the columns slate, item and optionally
    /// timestamp.
    #[arg(long, value_name = "FILE")]
    pub clicks_file: Option<PathBuf>,
    /// Separate file of orders, with the columns session or user, item, timestamp and optionally
    /// reward; the reward of a click is that of later orders of its item.
    #[arg(long, value_name = "FILE", requires = "clicks_file")]
    pub orders_file: Option<PathBuf>,
    /// How long after a click an order counts for it, such as 1d [default: without limit].
    #[arg(long, value_name = "TIME", requires = "orders_file")]
    pub order_window: Option<Gap>,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Limits on the size of what is read, for files of all formats; the import stops with an error
/// beyond them.
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Bounds")]
pub struct LimitArgs {
    /// Largest number of bytes of a row [default: 67108864].
    #[arg(long, value_name = "BYTES")]
    pub max_row_bytes: Option<u64>,
    /// Largest number of bytes of a field [default: 16777216].
    #[arg(long, value_name = "BYTES")]
    pub max_field_bytes: Option<usize>,
    /// Largest number of items on a slate, or among its candidates [default: 1000000].
    #[arg(long, value_name = "ITEMS")]
    pub max_slate_items: Option<usize>,
    /// Largest number of different items, users, sessions, or values of a column [default:
    /// 100000000].
    #[arg(long, value_name = "IDS")]
    pub max_ids: Option<usize>,
    /// Largest number of bytes that a byte of a compressed file may unpack to [default: 1000].
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
        _ => {
            Err("expected a column of the schema, `=`, and your column, such as session=session_id"
                .into())
        }
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
