//! What the readers of delimited text share.

use std::io::{self, BufReader, Read};
use std::path::Path;

use super::Source;
use super::source::read_error;
use crate::error::Fault;
use crate::{Error, Result};

/// A reader of `delimiter`-separated rows and their header, checked for the given columns.
pub(super) fn open<'a>(
    source: Source<'a>,
    delimiter: u8,
    quoting: bool,
) -> Result<(csv::Reader<Source<'a>>, Vec<String>)> {
    let path = source.path();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quoting)
        .flexible(true)
        .buffer_capacity(1 << 18)
        .from_reader(source);
    let header = reader.byte_headers().map_err(|error| csv_error(&path, error))?;
    check_line_breaks(&path, header)?;
    let header: Option<Vec<String>> = header
        .iter()
        .map(|field| Some(std::str::from_utf8(field).ok()?.trim().to_owned()))
        .collect();
    let header = header.ok_or_else(|| Error::file(&path, "its header is not UTF-8"))?;
    if header.iter().all(String::is_empty) {
        return Err(Error::file(&path, "is empty, expected a header"));
    }
    Ok((reader, header))
}

/// A reader of `delimiter`-separated rows without a header and without quotes.
pub(super) fn open_without_header(source: Source<'_>, delimiter: u8) -> csv::Reader<Source<'_>> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(false)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 18)
        .from_reader(source)
}

/// The positions of columns that must be there, and the names of all columns for [`Text::new`];
/// those of others are not told.
pub(super) fn columns<const N: usize>(
    path: &Path,
    header: &[String],
    names: [&'static str; N],
) -> Result<([usize; N], Vec<&'static str>)> {
    let mut columns = [0; N];
    for (at, name) in columns.iter_mut().zip(names) {
        *at = column(path, header, name)?;
    }
    let name = |field: &String| names.into_iter().find(|name| name == field).unwrap_or("row");
    Ok((columns, header.iter().map(name).collect()))
}

/// The position of a column that must be there.
pub(super) fn column(path: &Path, header: &[String], name: &str) -> Result<usize> {
    header.iter().position(|field| field == name).ok_or_else(|| {
        Error::file(path, format!("its header has no column {name:?}; found {}", header.join(", ")))
    })
}

/// The next row, `false` at the end.
pub(super) fn next(
    path: &Path,
    reader: &mut csv::Reader<Source<'_>>,
    row: &mut csv::ByteRecord,
) -> Result<bool> {
    let more = reader.read_byte_record(row).map_err(|error| csv_error(path, error))?;
    // A row that takes no more bytes than its fields, their delimiters and one line break has no
    // quotes but, at the end of the file, an unclosed one before its last field.
    let plain = reader.position().byte() - byte(row) <= (row.as_slice().len() + row.len()) as u64;
    if !plain || row.iter().next_back().is_some_and(holds_line_break) {
        check_line_breaks(path, row)?;
    }
    Ok(more)
}

/// A field that spans lines is a quote that was not closed, and holds rows that must not vanish in
/// it.
fn check_line_breaks(path: &Path, row: &csv::ByteRecord) -> Result<()> {
    if !holds_line_break(row.as_slice()) {
        return Ok(());
    }
    let problem = "line break inside a field: is a quote not closed?".to_owned();
    Err(Error::Row { path: path.to_owned(), line: line_at(path, byte(row)), field: "row", problem })
}

fn holds_line_break(text: &[u8]) -> bool {
    // Without an early end this takes many bytes at a time.
    text.iter().fold(false, |found, &byte| found | matches!(byte, b'\n' | b'\r'))
}

/// A field of a row that may be at fault elsewhere; `None` if it is missing, empty, or no text.
pub(super) fn lone_field(row: &csv::ByteRecord, column: usize) -> Option<&str> {
    row.get(column)
        .and_then(|field| std::str::from_utf8(field).ok())
        .filter(|field| !field.is_empty())
}

/// The same of a column of whole numbers.
pub(super) fn lone_number(row: &csv::ByteRecord, column: usize) -> Option<u64> {
    lone_field(row, column)?.trim_ascii().parse().ok()
}

/// The byte of the file (unpacked) at which a row begins, or at which line breaks before it begin.
pub(super) fn byte(row: &csv::ByteRecord) -> u64 {
    row.position().map_or(0, csv::Position::byte)
}

/// The line, from 1, of the row at a byte, counted anew: the reader's own count is behind by the
/// line breaks that it skips before a row. 0 if the file cannot be read a second time.
pub(super) fn line_at(path: &Path, byte: u64) -> u64 {
    let Ok(source) = Source::open(path, None) else { return 0 };
    let (mut line, mut last) = (1, 0);
    for (at, next) in (0..).zip(BufReader::with_capacity(1 << 18, source).bytes()) {
        match next {
            Ok(b'\n') if last == b'\r' => last = b'\n',
            Ok(next @ (b'\n' | b'\r')) => (line, last) = (line + 1, next),
            Ok(next) if at < byte => last = next,
            _ => break,
        }
    }
    line
}

/// A row whose text has been checked, once for all its fields.
#[derive(Clone, Copy)]
pub(super) struct Text<'r> {
    record: &'r csv::ByteRecord,
    /// All fields, without delimiters.
    all: &'r str,
}

impl<'r> Text<'r> {
    /// Checks that the row is text and has as many fields as the file has columns; `names` are
    /// theirs.
    pub(super) fn new(
        record: &'r csv::ByteRecord,
        names: &[&'static str],
    ) -> std::result::Result<Self, Fault> {
        if record.len() != names.len() {
            let found = format!("{} fields for {}", record.len(), names.len());
            return Err(Fault::new("row", "as many fields as columns", found));
        }
        match std::str::from_utf8(record.as_slice()) {
            Ok(all) => Ok(Self { record, all }),
            Err(error) => Err(not_text(record, error.valid_up_to(), names)),
        }
    }

    /// A field, and how to say which.
    pub(super) fn field(
        self,
        column: usize,
        name: &'static str,
    ) -> std::result::Result<&'r str, Fault> {
        let field = self.record.range(column).and_then(|range| self.all.get(range));
        // Two fields can be text together and not alone, when a delimiter stands inside a
        // character.
        field.ok_or_else(|| Fault::new(name, UTF8, "a part of a character"))
    }

    /// A field of a column that the file may lack; `None` also where it is empty.
    pub(super) fn optional(
        self,
        column: Option<usize>,
        name: &'static str,
    ) -> std::result::Result<Option<&'r str>, Fault> {
        let field = column.map(|column| self.field(column, name)).transpose()?;
        Ok(field.filter(|field| !field.is_empty()))
    }

    /// A field as a number; `expected` says which.
    pub(super) fn number<T: std::str::FromStr>(
        self,
        column: usize,
        name: &'static str,
        expected: &'static str,
    ) -> std::result::Result<T, Fault> {
        let text = self.field(column, name)?;
        text.trim_ascii().parse().map_err(|_| Fault::value(name, expected, text))
    }
}

const UTF8: &str = "UTF-8 text";

fn not_text(record: &csv::ByteRecord, at: usize, names: &[&'static str]) -> Fault {
    let column = (0..record.len())
        .find(|&column| record.range(column).is_some_and(|range| range.contains(&at)));
    let column = column.unwrap_or_default();
    let byte = record.as_slice().get(at).copied().unwrap_or_default();
    let place = at - record.range(column).map_or(0, |range| range.start);
    let start = record.position().map_or(0, csv::Position::byte);
    let found = format!(
        "byte 0x{byte:02x} at place {place} of the field, in the row that starts at byte {start}"
    );
    Fault::new(names[column], UTF8, found)
}

fn csv_error(path: &Path, error: csv::Error) -> Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => read_error(path, source),
        _ => read_error(path, io::Error::other(text)),
    }
}
