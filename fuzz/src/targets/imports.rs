//! Logs of every format as random changes of small valid files, with the files that belong next to
//! them.

use foretaste_import::{Clicks, Format, Layout, Options, import};

use super::{Target, look_at, plain};
use crate::Place;

/// A log of a format, or of whatever format it is found to be. Files beside it follow it in the
/// input, each after a line `==> NAME`.
pub(super) struct Import {
    name: String,
    format: Option<Format>,
}

impl Import {
    pub(super) fn of(format: Option<Format>) -> Self {
        let name = format.map_or_else(|| "any".to_owned(), |format| format.to_string());
        Self { name: format!("import-{name}"), format }
    }
}

const BESIDE: &str = "\n==> ";

impl Target for Import {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, input: &[u8], place: &Place) -> Result<(), String> {
        let mut parts = parts(input).into_iter();
        let path = place.file("log", parts.next().unwrap_or_default());
        foretaste_import::BESIDE.iter().for_each(|name| place.remove(name));
        for part in parts {
            let end = part.iter().position(|&byte| byte == b'\n').unwrap_or(part.len());
            let named = |name: &&&str| name.as_bytes() == part[..end].trim_ascii();
            if let Some(name) = foretaste_import::BESIDE.iter().find(named) {
                place.file(name, &part[part.len().min(end + 1)..]);
            }
        }
        // What is read strictly or leniently shows in the length, so that both are tried.
        let lenient = input.len().is_multiple_of(2);
        let mut layout = Layout::default();
        if self.format == Some(Format::Events) {
            let columns = ["session", "item", "timestamp", "event"];
            layout.columns = columns.map(|name| (name.to_owned(), name.to_owned())).into();
        }
        if input.len().is_multiple_of(3) {
            layout.clicks = Clicks::Each;
        }
        let options = Options {
            format: self.format,
            skip_bad_rows: lenient,
            max_bad: if lenient { 1.0 } else { 0.05 },
            layout,
            ..Options::default()
        };
        let (dataset, report) = import(&path, options).map_err(|error| plain(error.to_string()))?;
        look_at(&dataset);
        plain(report.to_string());
        Ok(())
    }
}

/// The log, and what follows each mark.
fn parts(input: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), input);
    let find = |bytes: &[u8]| bytes.windows(BESIDE.len()).position(|w| w == BESIDE.as_bytes());
    while let Some(at) = find(rest) {
        parts.push(&rest[..at + 1]);
        rest = &rest[at + BESIDE.len()..];
    }
    parts.push(rest);
    parts
}
