//! Files as streams of bytes: unpacked if they are compressed, and limited for each row, so a
//! damaged or forged file cannot make a reader take memory without bound.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

use crate::limits::Limits;
use crate::{Error, Result};

/// Called now and then with the bytes of the files read so far and in all.
pub type Progress<'a> = Box<dyn FnMut(u64, u64) + 'a>;

/// How a text file may be compressed.
enum Packed {
    Gzip,
    Zstd,
    Bzip2,
}

impl Packed {
    /// Recognized by the first bytes.
    fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            _ => None,
        }
    }
}

/// A file that is being read, unpacked on the way if its first bytes say so.
///
/// No more of it is handed out for one row than the [limits](Self::within) allow, nor for one byte
/// of a compressed file: the reader of the rows says where each [begins](Rows::begin).
pub(crate) struct Source<'a> {
    path: PathBuf,
    stream: Box<dyn Read + 'a>,
    read: Rc<Cell<u64>>,
    total: u64,
    is_packed: bool,
    rows: Rows,
    limits: Limits,
}

/// How much of a source was handed out, and how much of it before the row that is read.
#[derive(Clone, Default)]
pub(crate) struct Rows(Rc<Handed>);

#[derive(Default)]
struct Handed {
    out: Cell<u64>,
    before_row: Cell<u64>,
}

impl Rows {
    /// Takes note that a row begins here, or behind what is buffered.
    pub(crate) fn begin(&self) {
        self.0.before_row.set(self.0.out.get());
    }
}

/// A row, or a whole file, is larger than it may be.
#[derive(Debug, thiserror::Error)]
enum Exceeded {
    #[error(
        "more than {0} bytes: is a quote not closed, or a line break missing? --max-row-bytes \
         raises the bound"
    )]
    Row(u64),
    #[error(
        "unpacks to more than {0} times its size, as no log does; --max-unpacked raises the bound"
    )]
    File(u64),
}

impl<'a> Source<'a> {
    pub(crate) fn open(path: &Path, progress: Option<Progress<'a>>) -> Result<Self> {
        let (file, total) = open_file(path)?;
        let read = Rc::new(Cell::new(0));
        let counted = Counted { file, read: Rc::clone(&read), reported: 0, total, progress };
        let mut buffered = BufReader::with_capacity(1 << 18, counted);
        let io = |source| foretaste_files::Error::io(path, source);
        let start = io::BufRead::fill_buf(&mut buffered).map_err(io)?;
        let packed = Packed::of(start);
        let is_packed = packed.is_some();
        let stream: Box<dyn Read + 'a> = match packed {
            None => Box::new(buffered),
            Some(Packed::Gzip) => Box::new(MultiGzDecoder::new(buffered)),
            Some(Packed::Zstd) => {
                Box::new(zstd::stream::read::Decoder::with_buffer(buffered).map_err(io)?)
            }
            Some(Packed::Bzip2) => Box::new(MultiBzDecoder::new(buffered)),
        };
        let (path, rows, limits) = (path.to_owned(), Rows::default(), Limits::default());
        Ok(Self { path, stream, read, total, is_packed, rows, limits })
    }

    /// The same within these limits, and not the usual ones.
    pub(crate) fn within(self, limits: &Limits) -> Self {
        Self { limits: *limits, ..self }
    }

    /// Where rows begin, for a caller that hands the source on.
    pub(crate) fn rows(&self) -> Rows {
        self.rows.clone()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What separates the fields of the first line, and the source as it was.
    pub(crate) fn delimiter(self) -> Result<(Self, char)> {
        const LONGEST: u64 = 1 << 16;
        let Self { path, mut stream, read, total, is_packed, rows, limits } = self;
        let mut start = Vec::new();
        (&mut stream)
            .take(LONGEST)
            .read_to_end(&mut start)
            .map_err(|source| read_error(&path, source))?;
        let header = start.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        let count = |delimiter: char| header.iter().filter(|b| **b == delimiter as u8).count();
        let mut best = ',';
        for delimiter in ['\t', ';', '|'] {
            if count(delimiter) > count(best) {
                best = delimiter;
            }
        }
        let stream = Box::new(io::Cursor::new(start).chain(stream));
        Ok((Self { path, stream, read, total, is_packed, rows, limits }, best))
    }

    /// The first bytes, for a look at the header.
    pub(crate) fn start(self, path: &Path) -> Result<Vec<u8>> {
        let mut start = Vec::new();
        match self.stream.take(1 << 16).read_to_end(&mut start) {
            Err(source) if start.is_empty() => Err(read_error(path, source)),
            _ if start.is_empty() => Err(Error::file(path, "is empty")),
            _ => Ok(start),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How much of the file has been read, for a caller that hands the source on.
    pub(crate) fn fraction(&self) -> Fraction {
        Fraction { read: Rc::clone(&self.read), total: self.total.max(1) as f64 }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        let Handed { out, before_row } = &*self.rows.0;
        out.set(out.get() + count as u64);
        // What was buffered when the row began is not counted, so that none is refused too early.
        if out.get() - before_row.get() > self.limits.row_bytes {
            return Err(io::Error::other(Exceeded::Row(self.limits.row_bytes)));
        }
        let most = self.limits.unpacked.saturating_mul(self.read.get());
        if self.is_packed && out.get() > most.max(Limits::UNPACKED_ANYWAY) {
            return Err(io::Error::other(Exceeded::File(self.limits.unpacked)));
        }
        Ok(count)
    }
}

/// How much of a file has been read, as a share that can be asked for while it is being read.
pub(crate) struct Fraction {
    read: Rc<Cell<u64>>,
    total: f64,
}

impl Fraction {
    pub(crate) fn get(&self) -> f64 {
        self.read.get() as f64 / self.total
    }
}

/// Opens a file that must exist, be no directory and hold something; with its length.
pub(super) fn open_file(path: &Path) -> Result<(File, u64)> {
    let io = |source| foretaste_files::Error::io(path, source);
    if path.is_dir() {
        return Err(Error::file(path, "is a directory, expected a file"));
    }
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length == 0 {
        return Err(Error::file(path, "is empty"));
    }
    Ok((file, length))
}

/// What a failed read of the row at this line means.
pub(crate) fn row_error(path: &Path, line: impl FnOnce() -> u64, source: io::Error) -> Error {
    match exceeded(&source) {
        Some(beyond @ Exceeded::Row(_)) => {
            let problem = beyond.to_string();
            Error::Row { path: path.to_owned(), line: line(), field: "row", problem }
        }
        _ => read_error(path, source),
    }
}

fn exceeded(source: &io::Error) -> Option<&Exceeded> {
    source.get_ref()?.downcast_ref()
}

/// What a failed read means: a compressed stream that ends early is a fault of the file, not of the
/// system.
pub(crate) fn read_error(path: &Path, source: io::Error) -> Error {
    if let Some(beyond) = exceeded(&source) {
        return Error::file(path, beyond.to_string());
    }
    match source.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::file(path, "ends early: the compressed file is truncated")
        }
        io::ErrorKind::Other
            if source.get_ref().is_some_and(|inner| {
                inner.to_string().to_ascii_lowercase().contains("incomplete")
            }) =>
        {
            Error::file(path, "ends early: the compressed file is truncated")
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            Error::file(path, format!("is damaged: {source}"))
        }
        _ => foretaste_files::Error::io(path, source).into(),
    }
}

struct Counted<'a> {
    file: File,
    read: Rc<Cell<u64>>,
    reported: u64,
    total: u64,
    progress: Option<Progress<'a>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const REPORT_EVERY: u64 = 1 << 20;
        let count = self.file.read(buffer)?;
        let read = self.read.get() + count as u64;
        self.read.set(read);
        if let Some(progress) = &mut self.progress
            && (read - self.reported >= REPORT_EVERY || count == 0)
        {
            progress(read, self.total);
            self.reported = read;
        }
        Ok(count)
    }
}
