//! Reads event files as TensorBoard does, to check those that are written.

use std::fs;
use std::path::Path;

/// Step, tag and value of every scalar in the only event file of `folder`, in order; panics at a
/// wrong checksum or a field that no scalar has.
pub fn scalars(folder: &Path) -> Vec<(u64, String, f32)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_string_lossy().contains("tfevents")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let whole = fs::read(files.remove(0)).unwrap();
    let (mut rest, mut scalars) = (&whole[..], Vec::new());
    while !rest.is_empty() {
        let length = checked(&mut rest, 8);
        let message = checked(&mut rest, u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (mut step, mut summary) = (0, &[][..]);
        for (field, value) in fields(message) {
            match (field, value) {
                (1, Value::Fixed(wall_time)) => {
                    assert!(f64::from_le_bytes(wall_time.try_into().unwrap()) > 0.0)
                }
                (2, Value::Varint(value)) => step = value,
                (3, Value::Bytes(version)) => {
                    assert_eq!((version, scalars.len()), (&b"brain.Event:2"[..], 0))
                }
                (5, Value::Bytes(value)) => summary = value,
                other => panic!("an event with {other:?}"),
            }
        }
        scalars.extend(fields(summary).into_iter().map(|(field, value)| {
            let (1, Value::Bytes(message)) = (field, &value) else {
                panic!("a summary with {field}, {value:?}")
            };
            match &fields(message)[..] {
                [(1, Value::Bytes(tag)), (2, Value::Fixed(value))] => (
                    step,
                    String::from_utf8(tag.to_vec()).unwrap(),
                    f32::from_le_bytes((*value).try_into().unwrap()),
                ),
                other => panic!("a value with {other:?}"),
            }
        }));
    }
    scalars
}

#[derive(Debug)]
enum Value<'a> {
    Varint(u64),
    Fixed(&'a [u8]),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message.
fn fields(mut message: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let value = match key % 8 {
            0 => Value::Varint(varint(&mut message)),
            1 => Value::Fixed(take(&mut message, 8)),
            2 => {
                let length = varint(&mut message) as usize;
                Value::Bytes(take(&mut message, length))
            }
            5 => Value::Fixed(take(&mut message, 4)),
            wire => panic!("wire type {wire}"),
        };
        fields.push((key / 8, value));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0.. {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte % 128) << (7 * place);
        if byte < 128 {
            break;
        }
    }
    value
}

/// So many bytes and their checksum.
fn checked<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let taken = take(bytes, count);
    let found = u32::from_le_bytes(take(bytes, 4).try_into().unwrap());
    assert_eq!(found.wrapping_sub(0xa282_ead8).rotate_left(15), remainder(taken), "checksum");
    taken
}

/// CRC-32C by its definition: the message, its first 32 bits and the result inverted, bits of a
/// byte from the lowest, modulo the polynomial.
fn remainder(message: &[u8]) -> u32 {
    const POLYNOMIAL: u64 = 0x1_1edc_6f41;
    let inverted = message
        .iter()
        .chain(&[0; 4])
        .enumerate()
        .map(|(at, byte)| if at < 4 { !byte } else { *byte });
    let bits = inverted.flat_map(|byte| (0..8).map(move |bit| u64::from(byte >> bit & 1)));
    let rest = bits.fold(0u64, |rest, bit| {
        let rest = rest << 1 | bit;
        if rest >> 32 == 1 { rest ^ POLYNOMIAL } else { rest }
    });
    !(rest as u32).reverse_bits()
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    bytes.split_off(..count).expect("the file ends within a record")
}
