//! CSV that mostly fits our schema: it gets past the header, where random bytes do not, and reaches
//! the checks of values and sessions.

use arbitrary::{Result, Unstructured};
use foretaste_import::{Clicks, Format, Gap, Layout, OffSlate, Options, Repeated, import};

use super::{Target, look_at, plain};
use crate::Place;

/// CSV of our schema from a small grammar: known columns in any order, values that mostly fit them,
/// and a layout.
pub(super) struct Csv;

/// Columns and what stands in them.
const COLUMNS: [(&str, &[&str]); 17] = [
    ("session", &["a", "a", "b", "c", "", "7"]),
    ("step", &["0", "1", "2", "3", "-1", "x"]),
    ("shown", &["1 2", "1 2 3", "hat shoe", "[1, 2]", "['hat', 'shoe']", "1", "1 1", "", "3 1 2 "]),
    ("chosen", &["1", "2", "hat", "", "9", "-1"]),
    ("reward", &["0", "1", "2.5", "-1", "1e30", "1e39", "", "NaN"]),
    (
        "timestamp",
        &["0", "1700000000", "1700000000000", "2024-01-01T00:00:00Z", "2024-01-01", "-5"],
    ),
    ("user", &["ann", "bob", "", "1"]),
    ("candidates", &["1 2 3", "1 2", "", "hat shoe tie"]),
    ("propensity", &["0.5 0.5", "1 1", "0.1", "0 1", "2 2", ""]),
    ("slate_propensity", &["0.5", "1", "0", "1e-40", ""]),
    ("marginal_propensity", &["0.5 0.5", "0.1 1", ""]),
    ("item", &["1", "2", "3", "hat", ""]),
    ("clicked", &["0", "1", "true", "false", "", "2"]),
    ("position", &["0", "1", "2", "x", ""]),
    ("event", &["view", "order", "cart", "", "click"]),
    ("context_device", &["mobile", "", "desktop"]),
    ("clicks", &["1", "1 2", "", "2 1"]),
];

impl Target for Csv {
    fn name(&self) -> &str {
        "import-csv-grammar"
    }

    fn read(&self, input: &[u8], place: &Place) -> std::result::Result<(), String> {
        let drawn =
            Drawn::draw(&mut Unstructured::new(input)).map_err(|error| error.to_string())?;
        let path = place.file("log.csv", drawn.text.as_bytes());
        let lenient = drawn.lenient;
        let options = Options {
            format: Some(Format::Csv),
            layout: drawn.layout,
            skip_bad_rows: lenient,
            max_bad: if lenient { 1.0 } else { 0.05 },
            ..Options::default()
        };
        let (dataset, report) = import(&path, options).map_err(|error| plain(error.to_string()))?;
        look_at(&dataset);
        plain(report.to_string());
        Ok(())
    }
}

struct Drawn {
    text: String,
    layout: Layout,
    lenient: bool,
}

impl Drawn {
    fn draw(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let mut columns: Vec<_> = COLUMNS.to_vec();
        let kept = 1 + bytes.int_in_range(0..=8)?;
        // The columns that every step has are first, and are most often there.
        while columns.len() > kept {
            let at = bytes.choose_index(columns.len())?;
            let is_lost = at > 4 || bytes.ratio(1, 8)?;
            columns.remove(if is_lost { at } else { columns.len() - 1 });
        }
        let delimiter = *bytes.choose(&[',', ',', ',', ';', '\t', '|'])?;
        let end = *bytes.choose(&["\n", "\n", "\r\n"])?;
        let mut text = String::new();
        let line = |fields: Vec<String>, text: &mut String| {
            text.push_str(&fields.join(&delimiter.to_string()));
            text.push_str(end);
        };
        line(columns.iter().map(|(name, _)| (*name).to_owned()).collect(), &mut text);
        let rows = bytes.int_in_range(0..=24)?;
        for _ in 0..rows {
            let field = |(_, values): &(&str, &[&str])| -> Result<String> {
                let value = if bytes.ratio(1, 40)? {
                    bytes.arbitrary::<&str>()?.chars().take(20).collect()
                } else {
                    (*bytes.choose(values)?).to_owned()
                };
                let quoted = value.contains([delimiter, '"', '\n', '\r']) || bytes.ratio(1, 16)?;
                Ok(if quoted { format!("\"{}\"", value.replace('"', "\"\"")) } else { value })
            };
            let mut fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
            if bytes.ratio(1, 40)? {
                fields.pop();
            }
            line(fields, &mut text);
        }
        let mut layout = Layout {
            sort: bytes.ratio(1, 3)?,
            off_slate: *bytes.choose(&[OffSlate::default(), OffSlate::Drop, OffSlate::Append])?,
            repeated: *bytes.choose(&[Repeated::default(), Repeated::First])?,
            clicks: *bytes.choose(&[Clicks::default(), Clicks::Each])?,
            ..Layout::default()
        };
        if bytes.ratio(1, 6)? {
            layout.session_gap = Some(Gap { seconds: bytes.int_in_range(1..=100_000)? });
        }
        if bytes.ratio(1, 6)? {
            layout.max_session_steps = Some(bytes.int_in_range(0..=3)?);
        }
        if bytes.ratio(1, 6)? {
            layout.no_click = vec!["-1".to_owned()];
        }
        Ok(Self { text, layout, lenient: bytes.ratio(1, 2)? })
    }
}
