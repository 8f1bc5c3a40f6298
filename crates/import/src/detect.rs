use std::path::Path;

use crate::formats::{coat, trivago};
use crate::reader::{Source, parquet};
use crate::{Error, Format, Layout, Result};

/// The format of a regular file, by its first bytes; see [`Format::detect`]. Where a layout names
/// columns the file is of our own schema.
pub(crate) fn format_of(path: &Path, layout: &Layout) -> Result<Format> {
    let start = Source::open(path, None)?.start(path)?;
    if !layout.columns.is_empty() {
        return Ok(match &start[..] {
            [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
            text if text.trim_ascii_start().starts_with(b"{") => Format::JsonLines,
            _ => Format::Csv,
        });
    }
    if start.starts_with(b"PAR1") {
        let trivago = parquet::column_names(path).is_ok_and(|names| {
            trivago::COLUMNS.iter().all(|column| names.iter().any(|name| name == column))
        });
        return Ok(if trivago { Format::Trivago } else { Format::Parquet });
    }
    let text = String::from_utf8_lossy(&start);
    let text = text.trim_start_matches('\u{feff}');
    let header = text.lines().next().unwrap_or_default();
    let has = |delimiter: char, column: &str| {
        header
            .split(delimiter)
            .any(|field| field.trim().trim_matches('"').eq_ignore_ascii_case(column))
    };
    if text.trim_start().starts_with('{') {
        Ok(Format::JsonLines)
    } else if has('\t', "session_new_index") {
        Ok(Format::GanCdqn)
    } else if has(';', "rec_list") {
        Ok(Format::IRecGan)
    } else if has(',', "userId") && has(',', "movieId") {
        Ok(Format::MovieLens)
    } else if has('\t', "artistID") {
        Ok(Format::LastFm)
    } else if header.split('\t').count() == 4
        && header.split('\t').all(|field| field.parse::<i64>().is_ok())
    {
        Ok(Format::MovieLens100k)
    } else if has(';', "queryId") && has(';', "items") {
        Ok(Format::Cikm)
    } else if has(',', "action_type") && has(',', "impressions") {
        Ok(Format::Trivago)
    } else if has(',', "position") && has(',', "propensity_score") {
        Ok(Format::OpenBandit)
    } else if is_click(header) {
        Ok(Format::YooChoose)
    } else if header.split(' ').count() > 1
        && header.split(' ').all(|rating| coat::RATINGS.contains(&rating))
    {
        Ok(Format::Coat)
    } else if [',', '\t', ';', '|'].iter().any(|&c| has(c, "session") || has(c, "shown")) {
        Ok(Format::Csv)
    } else {
        let clipped: String = header.chars().take(80).collect();
        let names = Format::ALL.map(Format::name).join(", ");
        let problem = format!(
            "its first line {clipped:?} is no header of a known format; import --guess proposes \
             how to read it, --column session=NAME and the like say what its columns are, \
             --format names one of {names}"
        );
        Err(Error::file(path, problem))
    }
}

/// Whether a line is a row of YooChoose's clicks: session, time, item, category.
fn is_click(line: &str) -> bool {
    let fields: Vec<&str> = line.split(',').collect();
    let [session, time, item, _] = fields[..] else { return false };
    let number = |field: &str| field.parse::<u64>().is_ok();
    number(session) && number(item) && time.contains('T') && time.ends_with('Z')
}
