//! Random changes of an input that knows nothing of its format, with the words that readers treat
//! specially. A seed gives the same inputs, so a finding can be repeated.

use foretaste_random::Stream;
use rand::Rng;
use rand::seq::IndexedRandom;

/// Inputs longer than this are cut: what a format makes of bytes shows in short files.
const LONGEST: usize = 1 << 14;

/// Bytes and words that readers treat in their own way.
const WORDS: [&[u8]; 34] = [
    b"\n",
    b"\r\n",
    b"\r",
    b",",
    b";",
    b"\t",
    b"|",
    b" ",
    b"\"",
    b"\"\"",
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"=",
    b"-",
    b".",
    b"0",
    b"-1",
    b"1e309",
    b"NaN",
    b"inf",
    b"18446744073709551616",
    b"9223372036854775807",
    b"4294967295",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\0",
    b"\xf0\x9f\x98\x80",
    b"null",
    b"\x1f\x8b",
];

/// `input` after one to eight changes; `other` is what parts are taken from.
pub fn mutated(input: &[u8], other: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..stream.random_range(1..=8) {
        change(&mut bytes, other, stream);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], stream: &mut Stream) {
    let at = stream.random_range(0..=bytes.len());
    let length = 1usize << stream.random_range(0..8);
    let end = bytes.len().min(at + stream.random_range(0..=length));
    match stream.random_range(0..10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << stream.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = stream.random(),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let copy = bytes[at..end].to_vec();
            let to = stream.random_range(0..=bytes.len());
            bytes.splice(to..to, copy);
        }
        4 => {
            let word = WORDS.choose(stream).copied().unwrap_or_default();
            bytes.splice(at..at, word.iter().copied());
        }
        5 => {
            let word = WORDS.choose(stream).copied().unwrap_or_default();
            bytes.splice(at..end, word.iter().copied());
        }
        6 if !other.is_empty() => {
            let from = stream.random_range(0..other.len());
            let to = other.len().min(from + length);
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        7 => bytes.truncate(at),
        8 => number(bytes, at, stream),
        _ => {
            let many = stream.random_range(1..=64);
            let byte = bytes.get(at).copied().unwrap_or(b'a');
            bytes.splice(at..at, std::iter::repeat_n(byte, many));
        }
    }
}

/// Puts another in the place of the decimal number at or after a place.
fn number(bytes: &mut Vec<u8>, at: usize, stream: &mut Stream) {
    let Some(start) = (at..bytes.len()).find(|&at| bytes[at].is_ascii_digit()) else { return };
    let end = (start..bytes.len()).find(|&at| !bytes[at].is_ascii_digit()).unwrap_or(bytes.len());
    let power = 1u64 << stream.random_range(0..64);
    let number = power.wrapping_add(stream.random_range(0..3)).wrapping_sub(1);
    bytes.splice(start..end, number.to_string().into_bytes());
}

#[cfg(test)]
mod tests {
    use foretaste_random::Seed;

    use super::*;

    #[test]
    fn one_seed_gives_the_same_inputs_and_others_differ() {
        let of = |seed| {
            let mut stream = Seed::new(seed).stream(0);
            (0..200)
                .map(|_| mutated(b"session,step\na,0\n", b"x\ty", &mut stream))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!(of(1).iter().all(|input| input.len() <= LONGEST));
    }
}
