//! Event files, the format that TensorBoard reads: records of protobuf messages, each between
//! checksums.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that is being written.
pub struct EventFile(File);

/// How the name of an event file begins.
const PREFIX: &str = "events.out.tfevents.";

impl EventFile {
    /// Begins the event file of `folder`, which is created where it is missing; event files that
    /// are there are removed.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                fs::remove_file(entry.path())?;
            }
        }
        let now = wall_time();
        // Readers take files in the order of their names.
        let mut file = File::create(folder.join(format!("{PREFIX}{:010}.foretaste", now as u64)))?;
        file.write_all(&record(&version(now)))?;
        Ok(Self(file))
    }

    /// Appends an event with one scalar for each tag; a reader of the file sees it at once.
    /// TensorBoard keeps single precision.
    pub fn write(&mut self, step: u64, scalars: &[(String, f64)]) -> io::Result<()> {
        self.0.write_all(&record(&event(wall_time(), step, scalars)))
    }
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The message `Event` that a file begins with: `wall_time = 1`, `file_version = 3`.
fn version(wall_time: f64) -> Vec<u8> {
    let mut message = double(1, wall_time);
    message.extend(bytes(3, b"brain.Event:2"));
    message
}

/// The message `Event`: `wall_time = 1`, `step = 2`, `summary = 5`; in `Summary` a `Value` for each
/// scalar, `value = 1`; in that `tag = 1`, `simple_value = 2`.
fn event(wall_time: f64, step: u64, scalars: &[(String, f64)]) -> Vec<u8> {
    let value = |(tag, value): &(String, f64)| {
        let mut message = bytes(1, tag.as_bytes());
        message.push(key(2, FIXED_32));
        message.extend((*value as f32).to_le_bytes());
        bytes(1, &message)
    };
    let mut message = double(1, wall_time);
    message.push(key(2, VARINT));
    message.extend(varint(step));
    message.extend(bytes(5, &scalars.iter().flat_map(value).collect::<Vec<_>>()));
    message
}

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

/// What precedes a field: its number and how it is written.
const fn key(field: u8, wire: u8) -> u8 {
    field << 3 | wire
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut written = Vec::new();
    while value >= 0x80 {
        written.push(value as u8 | 0x80);
        value >>= 7;
    }
    written.push(value as u8);
    written
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[key(field, FIXED_64)][..], &value.to_le_bytes()].concat()
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [&[key(field, BYTES)][..], &varint(value.len() as u64), value].concat()
}

/// A message in its frame: its length, the checksum of the length, the message, its checksum.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), message, &checksum(message)].concat()
}

/// CRC-32C, rotated and moved by a constant so that a checksum of checksums is none of itself.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc_32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn crc_32c(bytes: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { REVERSED_POLYNOMIAL } else { 0 }
        })
    })
}

#[cfg(test)]
#[path = "../../../tests/common/events.rs"]
mod reading;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The record that TensorBoard 2.21 writes:
    ///
    /// ```python
    /// value = summary_pb2.Summary.Value(tag="train_nll", simple_value=0.7)
    /// event = event_pb2.Event(wall_time=1.7e9, step=300, summary=summary_pb2.Summary(value=[value]))
    /// record_writer.RecordWriter(open("record", "wb")).write(event.SerializeToString())
    /// ```
    const BY_TENSORBOARD: &str = "200000000000000029eda9500900000040fc54d94110ac022a120a100a09747261696e5f6e6c6c153333333fa92250b1";

    #[test]
    fn a_record_is_the_one_that_tensorboard_writes() {
        let found = record(&event(1.7e9, 300, &[("train_nll".into(), 0.7)]));
        assert_eq!(
            found.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            BY_TENSORBOARD
        );
    }

    /// The check value of the catalogue of parametrised CRC algorithms, CRC-32/ISCSI.
    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(crc_32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_new_file_takes_the_place_of_the_old_one() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("events.out.tfevents.1.other"), "old").unwrap();
        fs::write(temp.path().join("notes"), "mine").unwrap();
        for step in [5, 6] {
            EventFile::create(temp.path()).unwrap().write(step, &[("x".into(), 1.0)]).unwrap();
            assert_eq!(reading::scalars(temp.path()), [(step, "x".into(), 1.0)]);
        }
        assert_eq!(fs::read_to_string(temp.path().join("notes")).unwrap(), "mine");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            rows in proptest::collection::vec(
                (any::<u64>(), proptest::collection::vec((".{0,40}", -1e30..1e30), 0..4)),
                0..4,
            ),
        ) {
            let temp = tempfile::tempdir().unwrap();
            let mut file = EventFile::create(temp.path()).unwrap();
            for (step, scalars) in &rows {
                file.write(*step, scalars).unwrap();
            }
            let single = |(step, scalars): (u64, Vec<(String, f64)>)| {
                scalars.into_iter().map(move |(tag, value)| (step, tag, value as f32))
            };
            prop_assert_eq!(reading::scalars(temp.path()), rows.into_iter().flat_map(single).collect::<Vec<_>>());
        }
    }
}
