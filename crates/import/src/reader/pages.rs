//! The pages of a Parquet file by their headers, before one of them is unpacked.

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::column::page::PageReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

/// A page as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Its bytes once it is unpacked.
    pub unpacked: u64,
    /// Its bytes in the file.
    pub packed: u64,
}

/// The pages of a column in a row group of so many rows, and how many values they hold.
pub(super) fn pages_of(
    file: &Arc<File>,
    column: &ColumnChunkMetaData,
    rows: usize,
) -> Result<(Vec<Page>, u64)> {
    let noting = Arc::new(Noting { file: Arc::clone(file), starts: Mutex::default() });
    let mut reader = SerializedPageReader::new(Arc::clone(&noting), column, rows, None)?;
    let mut values = 0_u64;
    while let Some(page) = reader.peek_next_page()? {
        values = values.saturating_add(page.num_levels.or(page.num_rows).unwrap_or(0) as u64);
        reader.skip_next_page()?;
    }
    let starts = noting.starts.lock().unwrap_or_else(PoisonError::into_inner);
    let pages = starts.iter().map(|&start| page_at(file, start)).collect::<Result<_>>()?;
    Ok((pages, values))
}

/// A file that takes note where headers are read.
struct Noting {
    file: Arc<File>,
    starts: Mutex<Vec<u64>>,
}

impl Length for Noting {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Noting {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).push(start);
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.file.get_bytes(start, length)
    }
}

/// The page whose header starts here.
///
/// A header is a struct in Thrift's compact protocol whose first three fields are its type and its
/// sizes, each an i32; the decoder does not give them out.
fn page_at(file: &Arc<File>, start: u64) -> Result<Page> {
    let mut bytes = file.get_read(start)?.bytes().map_while(std::result::Result::ok);
    let mut field = || -> Option<u64> {
        const NEXT_I32: u8 = 0x15;
        (bytes.next()? == NEXT_I32).then_some(())?;
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = bytes.next()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // Zigzag: a negative number is odd.
                return number.is_multiple_of(2).then_some(number / 2);
            }
        }
        None
    };
    let mut fields = || Some((field()?, field()?, field()?));
    match fields() {
        Some((_, unpacked, packed)) => Ok(Page { unpacked, packed }),
        None => Err(ParquetError::General("a page does not say how large it is".to_owned())),
    }
}
