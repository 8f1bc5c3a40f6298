//! Entries in order, in bounded memory: sorted runs on disk, merged.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use super::Checked;
use crate::{Error, Result};

/// What entries are sorted by first.
pub(crate) trait Key: Copy + Ord {
    /// The bytes of a key on disk.
    type Bytes: AsRef<[u8]> + AsMut<[u8]> + Default;

    fn to_bytes(self) -> Self::Bytes;
    fn of_bytes(bytes: Self::Bytes) -> Self;
}

impl Key for u64 {
    type Bytes = [u8; 8];

    fn to_bytes(self) -> [u8; 8] {
        self.to_le_bytes()
    }

    fn of_bytes(bytes: [u8; 8]) -> Self {
        Self::from_le_bytes(bytes)
    }
}

/// Runs that are open at a time on each level: as many make one of the next level.
const FAN: usize = if cfg!(test) { 4 } else { 64 };

/// What is read of a run, or written, at a time.
const BUFFER: usize = 1 << 18;

/// Collects entries of a key and bytes, to give them back in the order of both.
pub(crate) struct Runs<K> {
    /// Bytes that are held before they are written as a run.
    limit: usize,
    held: Held<K>,
    levels: Vec<Vec<File>>,
}

/// Entries in memory.
struct Held<K> {
    /// Each with where its length stands, before its bytes.
    keys: Vec<(K, usize)>,
    bytes: Vec<u8>,
}

impl<K: Key> Runs<K> {
    pub(crate) fn new(limit: usize) -> Self {
        let held = Held { keys: Vec::new(), bytes: Vec::new() };
        Self { limit, held, levels: Vec::new() }
    }

    /// Adds an entry, whose bytes `write` appends. Where it cannot, there is no entry.
    pub(crate) fn push(
        &mut self,
        key: K,
        write: impl FnOnce(&mut Vec<u8>) -> Checked,
    ) -> Result<Checked> {
        let Held { keys, bytes } = &mut self.held;
        let start = bytes.len();
        bytes.extend([0; 4]);
        if let Err(fault) = write(bytes) {
            bytes.truncate(start);
            return Ok(Err(fault));
        }
        let length = (bytes.len() - start - 4) as u32;
        bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        keys.push((key, start));
        if self.held() >= self.limit {
            self.spill().map_err(|error| unsorted(&error))?;
        }
        Ok(Ok(()))
    }

    /// Bytes in memory.
    fn held(&self) -> usize {
        self.held.bytes.len() + size_of_val(&self.held.keys[..])
    }

    /// Runs on disk.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }

    /// All entries in order.
    pub(crate) fn merge(mut self) -> Result<Merged<K>> {
        self.held.sort();
        let mut runs = Vec::new();
        for file in self.levels.into_iter().flatten() {
            runs.push(Run::of(file).map_err(|error| unsorted(&error))?);
        }
        runs.push(Run::Memory(self.held, 0));
        Merged::of(runs).map_err(|error| unsorted(&error))
    }

    fn spill(&mut self) -> io::Result<()> {
        self.held.sort();
        let mut file = temporary()?;
        for &(key, start) in &self.held.keys {
            put(&mut file, key, entry(&self.held.bytes, start))?;
        }
        self.held.keys.clear();
        self.held.bytes.clear();
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(file);
            if self.levels[level].len() < FAN {
                break;
            }
            let runs = self.levels[level].drain(..).map(Run::<K>::of).collect::<io::Result<_>>()?;
            let (mut merged, mut together) = (Merged::of(runs)?, temporary()?);
            while let Some((key, bytes)) = merged.advance()? {
                put(&mut together, key, bytes)?;
            }
            file = together.into_inner().map_err(io::IntoInnerError::into_error)?;
        }
        Ok(())
    }
}

impl<K: Key> Held<K> {
    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.keys.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| entry(bytes, a.1).cmp(entry(bytes, b.1)))
        });
    }
}

/// The entry whose length stands here.
fn entry(bytes: &[u8], start: usize) -> &[u8] {
    let Some((length, rest)) = bytes[start..].split_first_chunk() else { return &[] };
    &rest[..(u32::from_le_bytes(*length) as usize).min(rest.len())]
}

fn temporary() -> io::Result<BufWriter<File>> {
    Ok(BufWriter::with_capacity(BUFFER, tempfile::tempfile()?))
}

fn put<K: Key>(file: &mut BufWriter<File>, key: K, bytes: &[u8]) -> io::Result<()> {
    file.write_all(key.to_bytes().as_ref())?;
    file.write_all(&(bytes.len() as u32).to_le_bytes())?;
    file.write_all(bytes)
}

fn unsorted(error: &io::Error) -> Error {
    let folder = std::env::temp_dir();
    let problem = format!("the rows cannot be sorted here: {error}; TMPDIR names another folder");
    Error::file(&folder, problem)
}

/// What an entry that does not hold what was written says.
pub(crate) fn damaged() -> Error {
    unsorted(&io::ErrorKind::InvalidData.into())
}

/// Entries in order.
enum Run<K> {
    Disk(BufReader<File>),
    /// With the place of the next one.
    Memory(Held<K>, usize),
}

impl<K: Key> Run<K> {
    fn of(mut file: File) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        Ok(Self::Disk(BufReader::with_capacity(BUFFER, file)))
    }

    /// Reads the next entry; its key, or `None` at the end.
    fn next(&mut self, to: &mut Vec<u8>) -> io::Result<Option<K>> {
        match self {
            Self::Memory(held, next) => {
                let Some(&(key, start)) = held.keys.get(*next) else { return Ok(None) };
                *next += 1;
                to.clear();
                to.extend_from_slice(entry(&held.bytes, start));
                Ok(Some(key))
            }
            Self::Disk(file) => {
                let mut key = K::Bytes::default();
                match file.read_exact(key.as_mut()) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                    done => done?,
                }
                let mut length = [0; 4];
                file.read_exact(&mut length)?;
                to.resize(u32::from_le_bytes(length) as usize, 0);
                file.read_exact(to)?;
                Ok(Some(K::of_bytes(key)))
            }
        }
    }
}

/// The entries of runs, in order.
pub(crate) struct Merged<K> {
    runs: Vec<Run<K>>,
    heads: BinaryHeap<Reverse<Head<K>>>,
    /// Whether the least of the heads was given.
    given: bool,
}

/// The first entry that is left of a run.
struct Head<K> {
    key: K,
    bytes: Vec<u8>,
    run: usize,
}

impl<K: Key> Merged<K> {
    fn of(mut runs: Vec<Run<K>>) -> io::Result<Self> {
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (run, entries) in runs.iter_mut().enumerate() {
            let mut bytes = Vec::new();
            if let Some(key) = entries.next(&mut bytes)? {
                heads.push(Reverse(Head { key, bytes, run }));
            }
        }
        Ok(Self { runs, heads, given: false })
    }

    /// The next entry; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(K, &[u8])>> {
        self.advance().map_err(|error| unsorted(&error))
    }

    fn advance(&mut self) -> io::Result<Option<(K, &[u8])>> {
        if std::mem::replace(&mut self.given, true)
            && let Some(mut top) = self.heads.peek_mut()
        {
            let head = &mut top.0;
            match self.runs[head.run].next(&mut head.bytes)? {
                Some(key) => head.key = key,
                None => _ = PeekMut::pop(top),
            }
        }
        Ok(self.heads.peek().map(|Reverse(head)| (head.key, &head.bytes[..])))
    }
}

impl<K: Ord> Ord for Head<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| self.bytes.cmp(&other.bytes))
    }
}

impl<K: Ord> PartialOrd for Head<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Head<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Ord> Eq for Head<K> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_come_back_in_order_and_memory_holds_no_more_than_its_limit(
            entries in proptest::collection::vec(
                (0..9_u64, proptest::collection::vec(0..3_u8, 0..5)), 0..90,
            ),
            limit in prop_oneof![Just(1_usize), Just(200), Just(1 << 20)],
        ) {
            let mut runs = Runs::new(limit);
            let mut most = 0;
            for (key, bytes) in &entries {
                let pushed = runs.push(*key, |to| {
                    to.extend(bytes);
                    Ok(())
                });
                prop_assert_eq!(pushed.unwrap(), Ok(()));
                most = most.max(runs.held());
            }
            prop_assert!(most < limit);
            let on_disk = runs.count();
            prop_assert!(runs.levels.iter().all(|level| level.len() < FAN));
            prop_assert!(limit > 1 || entries.is_empty() || on_disk > 0);
            let mut merged = runs.merge().unwrap();
            let mut found = Vec::new();
            while let Some((key, bytes)) = merged.next().unwrap() {
                found.push((key, bytes.to_vec()));
            }
            let mut expected = entries;
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
