//! Which format a file has, by its first bytes, for users who do not name one. All formats are
//! distinguished in one list, because it matters in which order they are tried.

use std::path::Path;

use crate::formats::{coat, criteo, recbole, recogym, retail_rocket, trivago};
use crate::reader::{Source, parquet};
use crate::{Error, Format, Layout, Result};

/// The format of a regular file, by its first bytes; see [`Format::detect`]. Where a layout names
/// columns the file is of our own schema.
pub(crate) fn format_of(path: &Path, layout: &Layout) -> Result<Format> {
    let start = Source::open(path, None)?.start(path)?;
    if !layout.columns.is_empty() {
        return Ok(match &start[..] {
            [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
            text if is_json(&String::from_utf8_lossy(text)) => Format::JsonLines,
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
    let have = |delimiter: char, columns: &[&str]| columns.iter().all(|c| has(delimiter, c));
    let fields: Vec<&str> = header.split('\t').collect();
    if is_json(text) {
        let otto = ["\"session\"", "\"events\"", "\"aid\""].iter().all(|key| header.contains(key));
        Ok(if otto { Format::Otto } else { Format::JsonLines })
    } else if header.starts_with("shared |") || header.starts_with("ccb shared") {
        Ok(Format::VowpalWabbit)
    } else if criteo::begins(header) {
        Ok(Format::Criteo)
    } else if have('\t', &recbole::COLUMNS) {
        Ok(Format::RecBole)
    } else if have(',', &retail_rocket::COLUMNS) {
        Ok(Format::RetailRocket)
    } else if have(',', &recogym::COLUMNS) {
        Ok(Format::RecoGym)
    } else if have(',', &["user_id", "video_id", "time_ms", "is_click"]) {
        Ok(Format::KuaiRand)
    } else if fields.len() == 5
        && (is_news(fields[4]) || fields[4].starts_with('N') && fields[1].starts_with('U'))
    {
        Ok(Format::Mind)
    } else if fields.len() > 5 && fields[2] == "Q" {
        Ok(Format::SearchLog)
    } else if header.split("::").count() == 4
        && header.split("::").all(|f| f.parse::<u64>().is_ok())
    {
        Ok(Format::MovieLens1M)
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
            "its first line {clipped:?} is not the header of a known format; `import --guess` \
             proposes how to read it, --column session=NAME and similar options name its columns, \
             and --format is one of {names}"
        );
        Err(Error::file(path, problem))
    }
}

/// Whether a text begins an object, or an array of objects.
pub(crate) fn is_json(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let object = text.strip_prefix('[').map_or(text, str::trim_start);
    object.starts_with('{')
}

/// Whether a field lists items with 0 or 1 behind a hyphen, as MIND does.
fn is_news(field: &str) -> bool {
    let flagged = |item: &str| matches!(item.rsplit_once('-'), Some((_, "0" | "1")));
    !field.trim().is_empty() && field.split_ascii_whitespace().all(flagged)
}

/// Whether a line is a row of YooChoose's clicks: session, time, item, category.
fn is_click(line: &str) -> bool {
    let fields: Vec<&str> = line.split(',').collect();
    let [session, time, item, _] = fields[..] else { return false };
    let number = |field: &str| field.parse::<u64>().is_ok();
    number(session) && number(item) && time.contains('T') && time.ends_with('Z')
}
