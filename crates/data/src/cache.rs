//! The private cache of an imported [`Dataset`]: one file that is whole and ours, or an error.
//!
//! Layout, little-endian: magic `USTUDY\0\n` (8 bytes), format version (u32), payload length (u64),
//! BLAKE3 of the payload (32 bytes), payload. The payload is bincode and changes with the version;
//! files for other programs are written by `foretaste-import`. Version 2 had no ids
//! of sessions, version 3 one choice a slate and nothing but slates, version 4 no context and no
//! user features; all are still read.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bincode::error::{DecodeError, EncodeError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::log::{OldLog, RestBefore4, RestOf4};
use crate::{Catalogue, Dataset, Error, Log, Result, SessionIds, Split, Vocabulary};

/// From the project's first name, Understudy.
const MAGIC: [u8; 8] = *b"USTUDY\0\n";
const VERSION: u32 = 5;
const HEADER: usize = 8 + 4 + 8 + 32;
/// No payload holds more: 64 GiB.
const MOST: usize = 1 << 36;

type Config<const LIMIT: usize> = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<LIMIT>,
>;

fn config<const LIMIT: usize>() -> Config<LIMIT> {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<LIMIT>()
}

/// Decodes a payload of so many bytes, whose lengths ask for little more memory than that: the
/// limit of a decoder is a part of its type, so that there are a few of them.
fn decode<T: DeserializeOwned>(
    reader: &mut impl Read,
    payload: u64,
) -> std::result::Result<T, DecodeError> {
    use bincode::serde::decode_from_std_read as decode;
    match payload.max(1).ilog2() {
        0..20 => decode(reader, config::<{ 1 << 22 }>()),
        20..25 => decode(reader, config::<{ 1 << 27 }>()),
        25..30 => decode(reader, config::<{ 1 << 32 }>()),
        _ => decode(reader, config::<MOST>()),
    }
}

/// Writes a data set to `path`, atomically: a crash leaves the old file or the new one.
///
/// # Errors
/// [`Error::Files`] when the system refuses, or `path` is no regular file.
pub fn save(dataset: &Dataset, path: &Path) -> Result<()> {
    foretaste_files::write_with(path, |file| write(dataset, path, file))
}

fn write(dataset: &Dataset, path: &Path, file: &mut (impl Write + Seek)) -> Result<()> {
    let io = |source| foretaste_files::Error::io(path, source);
    file.write_all(&[0; HEADER]).map_err(io)?;
    let mut payload = Hashing { inner: &mut *file, hasher: blake3::Hasher::new(), bytes: 0 };
    let mut buffered = BufWriter::with_capacity(1 << 16, &mut payload);
    bincode::serde::encode_into_std_write(dataset, &mut buffered, config::<MOST>())
        .map_err(|error| not_encoded(path, error))?;
    buffered.flush().map_err(io)?;
    drop(buffered);
    let header = header(VERSION, payload.bytes, &payload.hasher.finalize());
    file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&header)).map_err(io)?;
    Ok(())
}

/// Whether a regular file begins with the magic of a cache file.
pub fn is_cache(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == MAGIC
}

/// Reads a data set back from a regular file.
///
/// # Errors
/// [`Error::File`] for a directory, an empty, foreign, truncated or damaged file, a file of another
/// version, and a payload that is no valid data set; [`Error::Files`] when the system refuses.
pub fn load(path: &Path) -> Result<Dataset> {
    let io = |source| foretaste_files::Error::io(path, source);
    let wrong = |problem: &str| Err(Error::file(path, problem));
    if path.is_dir() {
        return wrong("is a directory, expected a cached log");
    }
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length == 0 {
        return wrong("is empty, expected a cached log");
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut header = [0; HEADER];
    let read = read_up_to(&mut reader, &mut header).map_err(io)?;
    if read < MAGIC.len() || header[..8] != MAGIC {
        return wrong("is not a cached log; import it first");
    }
    if read < HEADER {
        return wrong("is truncated inside its header; import the log again");
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if !(2..=VERSION).contains(&version) {
        let problem = format!(
            "has cache version {version}, this program reads 2 to {VERSION}; import the log again"
        );
        return wrong(&problem);
    }
    let expected =
        self::header(version, length - HEADER as u64, &checksum(&mut reader).map_err(io)?);
    if header[12..20] != expected[12..20] {
        return wrong(
            "has another length than it was written with, it is truncated; import the log again",
        );
    }
    if header != expected {
        return wrong("is damaged, its checksum does not match; import the log again");
    }
    reader.seek(SeekFrom::Start(HEADER as u64)).map_err(io)?;
    let payload = length - HEADER as u64;
    let dataset = match version {
        2 => decode(&mut reader, payload).map(Version2::into_dataset),
        3 => decode(&mut reader, payload).map(Before5::<RestBefore4>::into_dataset),
        4 => decode(&mut reader, payload).map(Before5::<RestOf4>::into_dataset),
        _ => decode(&mut reader, payload),
    };
    let dataset = dataset.map_err(|error| not_decoded(path, error))?;
    if reader.stream_position().map_err(io)? != length {
        return wrong("holds more than a log");
    }
    dataset.check().map_err(|error| Error::file(path, error.to_string()))?;
    Ok(dataset)
}

fn not_encoded(path: &Path, error: EncodeError) -> Error {
    match error {
        EncodeError::Io { inner, .. } => foretaste_files::Error::io(path, inner).into(),
        _ => Error::file(path, "cannot hold this log"),
    }
}

/// The checksum is right, so what was written is not a log.
fn not_decoded(path: &Path, error: DecodeError) -> Error {
    match error {
        DecodeError::Io { inner, .. } if inner.kind() != io::ErrorKind::UnexpectedEof => {
            foretaste_files::Error::io(path, inner).into()
        }
        DecodeError::LimitExceeded => {
            Error::file(path, "does not hold a log: it asks for more memory than it is large")
        }
        _ => Error::file(path, "does not hold a log; import the log again"),
    }
}

/// The payload of version 2.
#[derive(Deserialize)]
struct Version2 {
    name: String,
    log: OldLog<RestBefore4>,
    catalogue: Catalogue,
    users: Vocabulary,
    split: Option<Split>,
}

impl Version2 {
    fn into_dataset(self) -> Dataset {
        let Self { name, log, catalogue, users, split } = self;
        Dataset { name, log: log.into(), catalogue, users, split, ..Dataset::default() }
    }
}

/// The payload of versions 3 and 4, which differ in the rest of the log.
#[derive(Deserialize)]
struct Before5<Rest> {
    name: String,
    log: OldLog<Rest>,
    catalogue: Catalogue,
    users: Vocabulary,
    split: Option<Split>,
    sessions: SessionIds,
}

impl<Rest> Before5<Rest>
where
    Log: From<OldLog<Rest>>,
{
    fn into_dataset(self) -> Dataset {
        let Self { name, log, catalogue, users, split, sessions } = self;
        Dataset { name, log: log.into(), catalogue, users, split, sessions, ..Dataset::default() }
    }
}

fn header(version: u32, length: u64, checksum: &blake3::Hash) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[12..20].copy_from_slice(&length.to_le_bytes());
    header[20..].copy_from_slice(checksum.as_bytes());
    header
}

fn checksum(reader: &mut impl Read) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&buffer[..read]),
        };
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Passes bytes on and digests them.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes so many bytes.
    struct Disk {
        left: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match bytes.len().min(self.left) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                written => {
                    self.left -= written;
                    Ok(written)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn a_disk_that_is_full_says_so_wherever_it_is() {
        let (path, name) = (Path::new("log.cache"), "n".repeat(1 << 17));
        let dataset = Dataset { name, ..Dataset::default() };
        for left in [0, 20, HEADER, HEADER + 1_000, HEADER + (1 << 16)] {
            let full = write(&dataset, path, &mut Disk { left }).unwrap_err().to_string();
            assert_eq!(full, "log.cache: the disk is full");
        }
        write(&dataset, path, &mut Disk { left: 1 << 18 }).unwrap();
    }
}
