use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

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
    /// Told from the first bytes.
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
pub(crate) struct Source<'a> {
    path: PathBuf,
    stream: Box<dyn Read + 'a>,
    read: Rc<Cell<u64>>,
    total: u64,
}

impl<'a> Source<'a> {
    pub(crate) fn open(path: &Path, progress: Option<Progress<'a>>) -> Result<Self> {
        let (file, total) = open_file(path)?;
        let read = Rc::new(Cell::new(0));
        let counted = Counted { file, read: Rc::clone(&read), reported: 0, total, progress };
        let mut buffered = BufReader::with_capacity(1 << 18, counted);
        let io = |source| foretaste_files::Error::io(path, source);
        let start = io::BufRead::fill_buf(&mut buffered).map_err(io)?;
        let stream: Box<dyn Read + 'a> = match Packed::of(start) {
            None => Box::new(buffered),
            Some(Packed::Gzip) => Box::new(MultiGzDecoder::new(buffered)),
            Some(Packed::Zstd) => {
                Box::new(zstd::stream::read::Decoder::with_buffer(buffered).map_err(io)?)
            }
            Some(Packed::Bzip2) => Box::new(MultiBzDecoder::new(buffered)),
        };
        Ok(Self { path: path.to_owned(), stream, read, total })
    }

    /// What separates the fields of the first line, and the source as it was.
    pub(crate) fn delimiter(self) -> Result<(Self, char)> {
        const LONGEST: u64 = 1 << 16;
        let Self { path, mut stream, read, total } = self;
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
        Ok((Self { path, stream, read, total }, best))
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

    /// How much of the file has been read, for whoever hands the source on.
    pub(crate) fn fraction(&self) -> Fraction {
        Fraction { read: Rc::clone(&self.read), total: self.total.max(1) as f64 }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
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

/// What a failed read means: a compressed stream that ends early is a fault of the file, not of the
/// system.
pub(crate) fn read_error(path: &Path, source: io::Error) -> Error {
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
