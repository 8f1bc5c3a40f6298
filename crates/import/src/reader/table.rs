//! Delimited text, row by row.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use foretaste_data::Fault;

use super::source::{Fraction, Rows, read_error, row_error};
use super::{Checked, Place, Source, column};
use crate::limits::Limits;
use crate::{Error, Result};

/// A file of rows of fields that a delimiter separates.
pub(crate) struct Table<'a> {
    path: PathBuf,
    reader: csv::Reader<Source<'a>>,
    record: csv::ByteRecord,
    fraction: Fraction,
    rows: Rows,
    limits: Limits,
    header: Vec<String>,
    /// What faults call the columns.
    names: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// A table whose first row is its header. `known` are the columns that faults can name; the
    /// others are called row.
    pub(crate) fn open(
        source: Source<'a>,
        delimiter: u8,
        quoting: bool,
        known: &[&'static str],
    ) -> Result<Self> {
        let mut table = Self::new(source, delimiter, quoting, true);
        let path = &table.path;
        let header = table.reader.byte_headers().map_err(|error| csv_error(path, || 1, error))?;
        check_line_breaks(path, header)?;
        let header: Option<Vec<String>> = header
            .iter()
            .map(|field| Some(std::str::from_utf8(field).ok()?.trim().to_owned()))
            .collect();
        let header = header.ok_or_else(|| {
            Error::file(path, "its header is not UTF-8; iconv converts from other encodings")
        })?;
        if header.iter().all(String::is_empty) {
            return Err(Error::file(path, "is empty, expected a header"));
        }
        let name = |field: &String| known.iter().find(|name| *name == field).unwrap_or(&"row");
        table.names = header.iter().map(|field| *name(field)).collect();
        table.header = header;
        Ok(table)
    }

    /// A table without a header and without quotes, whose columns have these names.
    pub(crate) fn without_header(
        source: Source<'a>,
        delimiter: u8,
        names: &[&'static str],
    ) -> Self {
        Self { names: names.to_vec(), ..Self::new(source, delimiter, false, false) }
    }

    fn new(source: Source<'a>, delimiter: u8, quoting: bool, has_header: bool) -> Self {
        let (path, fraction) = (source.path().to_owned(), source.fraction());
        let (rows, limits) = (source.rows(), *source.limits());
        let reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(quoting)
            .has_headers(has_header)
            .flexible(true)
            .buffer_capacity(1 << 18)
            .from_reader(source);
        let (record, header, names) = (csv::ByteRecord::new(), Vec::new(), Vec::new());
        Self { path, reader, record, fraction, rows, limits, header, names }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns as the file gives them; none where it has no header.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Changes what faults call the columns; those without a name are called row.
    pub(crate) fn rename(&mut self, name: impl Fn(usize) -> Option<&'static str>) {
        self.names = (0..self.header.len()).map(|at| name(at).unwrap_or("row")).collect();
    }

    /// What faults call the columns.
    pub(super) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The places of columns that must be there.
    pub(crate) fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N]> {
        let mut columns = [0; N];
        for (at, name) in columns.iter_mut().zip(names) {
            *at = column(&self.path, &self.header, name)?;
        }
        Ok(columns)
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>> {
        let mut record = std::mem::take(&mut self.record);
        let more = self.read(&mut record);
        self.record = record;
        let Self { record, names, fraction, .. } = self;
        Ok(more?.then(|| Row { record, names, fraction: fraction.get() }))
    }

    /// Reads the next row into `record`; `false` at the end.
    pub(super) fn read(&mut self, record: &mut csv::ByteRecord) -> Result<bool> {
        let Self { path, reader, rows, limits, names, .. } = self;
        rows.begin();
        let before = reader.position().byte();
        let line = || line_at(path, before);
        let more = reader.read_byte_record(record).map_err(|e| csv_error(path, line, e))?;
        // A row that takes no more bytes than its fields, their delimiters and one line break has
        // no quotes but, at the end of the file, an unclosed one before its last field.
        let length = reader.position().byte() - byte(record);
        let plain = length <= (record.as_slice().len() + record.len()) as u64;
        if !plain || record.iter().next_back().is_some_and(holds_line_break) {
            check_line_breaks(path, record)?;
        }
        if record.as_slice().len() > limits.field_bytes {
            check_fields(path, record, names, limits.field_bytes)?;
        }
        Ok(more)
    }

    /// How much of the file has been read.
    pub(super) fn fraction(&self) -> f64 {
        self.fraction.get()
    }
}

/// A row whose text has not been checked.
#[derive(Clone, Copy)]
pub(crate) struct Row<'r> {
    pub(super) record: &'r csv::ByteRecord,
    /// What faults call the columns.
    pub(super) names: &'r [&'static str],
    /// How much of the file had been read when the row was.
    pub(crate) fraction: f64,
}

impl<'r> Row<'r> {
    /// The row as text of as many fields as the file has columns.
    pub(crate) fn text(self) -> Checked<Text<'r>> {
        Text::new(self.record, self.names)
    }

    /// The row as text of as many fields as there are names.
    pub(crate) fn text_of(self, names: &[&'static str]) -> Checked<Text<'r>> {
        Text::new(self.record, names)
    }

    /// Where the row stands.
    pub(crate) fn place(self) -> Place {
        Place::Byte(byte(self.record))
    }

    /// The number of fields.
    pub(crate) fn len(self) -> usize {
        self.record.len()
    }

    /// The bytes of a field; none where it is missing.
    pub(crate) fn bytes(self, column: usize) -> &'r [u8] {
        self.record.get(column).unwrap_or_default()
    }

    /// A field of a row that may be at fault elsewhere; `None` if it is missing, empty, or no text.
    pub(crate) fn lone_field(self, column: usize) -> Option<&'r str> {
        std::str::from_utf8(self.bytes(column)).ok().filter(|field| !field.is_empty())
    }

    /// The same of a column of whole numbers.
    pub(crate) fn lone_number(self, column: usize) -> Option<u64> {
        self.lone_field(column)?.trim_ascii().parse().ok()
    }
}

/// Refuses a field of more bytes than it may have.
fn check_fields(
    path: &Path,
    row: &csv::ByteRecord,
    names: &[&'static str],
    most: usize,
) -> Result<()> {
    let Some(column) = row.iter().position(|field| field.len() > most) else { return Ok(()) };
    let problem = format!(
        "{} bytes, expected at most {most}; --max-field-bytes raises the bound",
        row[column].len()
    );
    let field = names.get(column).copied().unwrap_or("row");
    Err(Error::Row { path: path.to_owned(), line: line_at(path, byte(row)), field, problem })
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

/// The byte of the file (unpacked) at which a row begins, or at which line breaks before it begin.
fn byte(row: &csv::ByteRecord) -> u64 {
    row.position().map_or(0, csv::Position::byte)
}

/// The line, from 1, of the row at a byte, counted again: the reader's own count is behind by the
/// line breaks that it skips before a row. 0 if the file cannot be read a second time.
pub(super) fn line_at(path: &Path, byte: u64) -> u64 {
    let Ok(source) = Source::open(path, None) else { return 0 };
    let source = source.within(&Limits::NONE);
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
pub(crate) struct Text<'r> {
    record: &'r csv::ByteRecord,
    /// All fields, without delimiters.
    all: &'r str,
}

impl<'r> Text<'r> {
    /// Checks that the row is text and has as many fields as the file has columns; `names` are
    /// theirs.
    fn new(record: &'r csv::ByteRecord, names: &[&'static str]) -> Checked<Self> {
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
    pub(crate) fn field(self, column: usize, name: &'static str) -> Checked<&'r str> {
        let field = self.record.range(column).and_then(|range| self.all.get(range));
        // Two fields can be text together and not alone, when a delimiter stands inside a
        // character.
        field.ok_or_else(|| Fault::new(name, UTF8, "a part of a character"))
    }

    /// A field that is an id, which is not empty.
    pub(crate) fn id(self, column: usize, name: &'static str) -> Checked<&'r str> {
        match self.field(column, name)? {
            "" => Err(Fault::value(name, "an id", "")),
            id => Ok(id),
        }
    }

    /// A field that is 0 or 1.
    pub(crate) fn flag(self, column: usize, name: &'static str) -> Checked<bool> {
        match self.field(column, name)? {
            "0" => Ok(false),
            "1" => Ok(true),
            other => Err(Fault::value(name, "0 or 1", other)),
        }
    }

    /// A field of a column that the file may lack; `None` also where it is empty.
    pub(crate) fn optional(
        self,
        column: Option<usize>,
        name: &'static str,
    ) -> Checked<Option<&'r str>> {
        let field = column.map(|column| self.field(column, name)).transpose()?;
        Ok(field.filter(|field| !field.is_empty()))
    }

    /// A field as a number; `expected` says which.
    pub(crate) fn number<T: std::str::FromStr>(
        self,
        column: usize,
        name: &'static str,
        expected: &'static str,
    ) -> Checked<T> {
        super::number(self.field(column, name)?, name, expected)
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
    Fault::new(names[column], UTF8, found).advise(
        "`iconv -f latin1 -t utf-8 FILE` converts a file in Latin-1, on the way into a pipe",
    )
}

fn csv_error(path: &Path, line: impl FnOnce() -> u64, error: csv::Error) -> Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => row_error(path, line, source),
        _ => read_error(path, io::Error::other(text)),
    }
}
