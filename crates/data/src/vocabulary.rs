//! The mapping from raw ids to dense numbers. An import looks up every id that it reads here, so it
//! allocates nothing for a name and has a short cut for decimal numbers.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Serialize};

/// Raw ids (strings; integers as their decimal digits) to dense numbers from 0, in order of first
/// appearance, and back.
///
/// All names stand in one arena: about `bytes + 16` bytes a name and no allocation per name.
///
/// ```
/// use foretaste_data::Vocabulary;
///
/// let mut items = Vocabulary::default();
/// assert_eq!((items.intern("214821275"), items.intern("shoe"), items.intern("214821275")), (0, 1, 0));
/// assert_eq!((items.name(1), items.get("hat")), ("shoe", None));
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Names", into = "Names")]
pub struct Vocabulary {
    names: Names,
    numbers: HashTable<u32>,
    /// The numbers of names that are short decimal numbers, by their value: most raw ids are, and a
    /// hash costs more than this look-up. [`UNKNOWN`] where there is no such name.
    decimals: Vec<u32>,
    hasher: DefaultHashBuilder,
}

const UNKNOWN: u32 = u32::MAX;
/// Longest decimal number in the table, which then holds at most 4 MB.
const DIGITS: usize = 6;

/// Texts one after the other in one arena.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    arena: String,
    ends: Vec<u64>,
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn name(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        &self.arena[start..self.ends[number] as usize]
    }

    /// Whether the ends fit the arena, which those read from a file may not.
    pub(crate) fn fit(&self) -> bool {
        let mut start = 0;
        let each = self.ends.iter().all(|&end| {
            let fits = self.arena.get(start..end as usize).is_some();
            start = end as usize;
            fits
        });
        each && start == self.arena.len()
    }

    pub(crate) fn push(&mut self, name: &str) -> u32 {
        let number = self.ends.len() as u32;
        self.arena.push_str(name);
        self.ends.push(self.arena.len() as u64);
        number
    }
}

impl Vocabulary {
    /// Number of names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.names.ends.is_empty()
    }

    /// The number of a name, if it is known.
    pub fn get(&self, name: &str) -> Option<u32> {
        if let Some(value) = decimal(name) {
            return self.decimals.get(value).copied().filter(|&number| number != UNKNOWN);
        }
        let hash = self.hasher.hash_one(name);
        self.numbers.find(hash, |&number| self.names.name(number as usize) == name).copied()
    }

    /// The name of a number; panics if there is no such number.
    pub fn name(&self, number: u32) -> &str {
        self.names.name(number as usize)
    }

    /// The names in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|number| self.names.name(number))
    }

    /// The number of a name, which is added if it is new.
    pub fn intern(&mut self, name: &str) -> u32 {
        let Some(value) = decimal(name) else { return self.intern_by_hash(name) };
        match self.decimals.get(value) {
            Some(&number) if number != UNKNOWN => number,
            _ => {
                if value >= self.decimals.len() {
                    self.decimals.resize(value + 1, UNKNOWN);
                }
                self.decimals[value] = self.names.push(name);
                self.decimals[value]
            }
        }
    }

    /// Interns the words of a list that is separated by ASCII white space, and passes the number of
    /// each to `each`. It takes one pass over the bytes.
    pub fn intern_words(&mut self, list: &str, mut each: impl FnMut(u32)) {
        let bytes = list.as_bytes();
        let mut start = 0;
        while start < bytes.len() {
            let (mut end, mut value, mut digits) = (start, 0_u32, true);
            while end < bytes.len() && (bytes[end] > b' ' || !bytes[end].is_ascii_whitespace()) {
                let digit = bytes[end].wrapping_sub(b'0');
                digits &= digit <= 9;
                value = value.wrapping_mul(10).wrapping_add(u32::from(digit));
                end += 1;
            }
            let canonical =
                digits && end - start <= DIGITS && (bytes[start] != b'0' || end - start == 1);
            match self.decimals.get(value as usize) {
                _ if end == start => {}
                Some(&number) if canonical && number != UNKNOWN => each(number),
                _ => each(self.intern(&list[start..end])),
            }
            start = end + 1;
        }
    }

    fn intern_by_hash(&mut self, name: &str) -> u32 {
        let Self { names, numbers, hasher, .. } = self;
        let hash = hasher.hash_one(name);
        let entry = numbers.entry(
            hash,
            |&number| names.name(number as usize) == name,
            |&number| hasher.hash_one(names.name(number as usize)),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                let number = names.push(name);
                entry.insert(number);
                number
            }
        }
    }

    /// Forgets all names but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        let Self { names, numbers, decimals, hasher } = self;
        while names.ends.len() > len {
            let number = names.ends.len() - 1;
            let name = names.name(number);
            if let Some(value) = decimal(name) {
                decimals[value] = UNKNOWN;
            } else if let Ok(entry) =
                numbers.find_entry(hasher.hash_one(name), |&other| other as usize == number)
            {
                entry.remove();
            }
            names.ends.pop();
            names.arena.truncate(names.ends.last().map_or(0, |&end| end as usize));
        }
    }

    /// A digest of all names in order: equal digests mean equal vocabularies. Hexadecimal.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for end in &self.names.ends {
            hasher.update(&end.to_le_bytes());
        }
        hasher.update(self.names.arena.as_bytes());
        hasher.finalize().to_hex().to_string()
    }
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl TryFrom<Names> for Vocabulary {
    type Error = &'static str;

    fn try_from(names: Names) -> Result<Self, Self::Error> {
        if !names.fit() {
            return Err("the names' ends do not fit the names");
        }
        let mut vocabulary = Self::default();
        for number in 0..names.len() {
            if vocabulary.intern(names.name(number)) as usize != number {
                return Err("a name appears twice in a vocabulary");
            }
        }
        Ok(vocabulary)
    }
}

impl From<Vocabulary> for Names {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.names
    }
}

impl<'a> FromIterator<&'a str> for Vocabulary {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut vocabulary = Self::default();
        for name in names {
            vocabulary.intern(name);
        }
        vocabulary
    }
}

/// The value of a name of at most six decimal digits, written as Rust would write it.
fn decimal(name: &str) -> Option<usize> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > DIGITS || (bytes[0] == b'0' && bytes.len() > 1) {
        return None;
    }
    let mut value = 0;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + usize::from(digit);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> impl Strategy<Value = Vec<String>> {
        let name = prop_oneof!["[0-9]{1,7}", "[0-9a-c]{0,3}", ".{0,4}"];
        proptest::collection::vec(name, 0..40)
    }

    proptest! {
        #[test]
        fn a_name_keeps_the_number_of_its_first_appearance(names in names()) {
            let mut distinct: Vec<&str> = Vec::new();
            let mut vocabulary = Vocabulary::default();
            for name in &names {
                let expected = distinct.iter().position(|known| known == name).unwrap_or(distinct.len());
                if expected == distinct.len() {
                    prop_assert_eq!(vocabulary.get(name), None);
                    distinct.push(name);
                }
                prop_assert_eq!(vocabulary.intern(name), expected as u32);
                prop_assert_eq!(vocabulary.get(name), Some(expected as u32));
            }
            prop_assert_eq!(vocabulary.iter().collect::<Vec<_>>(), distinct);
        }

        #[test]
        fn the_words_of_a_list_are_its_names(lists in proptest::collection::vec("[ \t\n0-9a]{0,12}|[ \r\u{1}ü0-9]{0,9}", 0..12)) {
            let (mut words, mut names) = (Vocabulary::default(), Vocabulary::default());
            for list in &lists {
                let mut found = Vec::new();
                words.intern_words(list, |number| found.push(number));
                let expected = list.split_ascii_whitespace().map(|word| names.intern(word));
                prop_assert_eq!(found, expected.collect::<Vec<_>>());
            }
            prop_assert_eq!(words, names);
        }

        #[test]
        fn a_truncated_vocabulary_is_as_if_the_rest_had_never_come(names in names(), cut in 0.0..1.0_f64) {
            let full: Vocabulary = names.iter().map(String::as_str).collect();
            let len = (full.len() as f64 * cut) as usize;
            let mut truncated = full.clone();
            truncated.truncate(len);
            prop_assert_eq!(&truncated, &full.iter().take(len).collect());
            for (number, name) in full.iter().enumerate() {
                prop_assert_eq!(truncated.get(name), (number < len).then_some(number as u32));
            }
        }
    }

    #[test]
    fn names_that_are_damaged_are_refused() {
        let damaged = [
            Names { arena: "ab".into(), ends: vec![1] },
            Names { arena: "ab".into(), ends: vec![2, 1] },
            Names { arena: "ab".into(), ends: vec![3] },
            Names { arena: "aa".into(), ends: vec![1, 2] },
            Names { arena: "é".into(), ends: vec![1, 2] },
        ];
        for names in damaged {
            assert!(Vocabulary::try_from(names.clone()).is_err(), "{names:?}");
        }
    }
}
