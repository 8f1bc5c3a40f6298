use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Serialize};

/// Raw ids (strings; integers as their decimal digits) to dense numbers from 0, in order of first appearance, and back.
///
/// All names stand in one arena: about `bytes + 12` bytes a name and no allocation per name.
///
/// ```
/// use understudy_data::Vocabulary;
///
/// let mut items = Vocabulary::default();
/// assert_eq!((items.intern("214821275"), items.intern("shoe"), items.intern("214821275")), (0, 1, 0));
/// assert_eq!((items.name(1), items.get("hat")), ("shoe", None));
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Names", into = "Names")]
pub struct Vocabulary {
    names: Names,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Names {
    arena: String,
    ends: Vec<u32>,
}

impl Names {
    fn name(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        &self.arena[start..self.ends[number] as usize]
    }
}

impl Vocabulary {
    /// Number of names.
    pub fn len(&self) -> usize {
        self.names.ends.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.names.ends.is_empty()
    }

    /// The number of a name, if it is known.
    pub fn get(&self, name: &str) -> Option<u32> {
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

    /// The number of a name, which is added if it is new. Panics when the names together exceed 4 GiB.
    pub fn intern(&mut self, name: &str) -> u32 {
        let Self { names, numbers, hasher } = self;
        let hash = hasher.hash_one(name);
        let entry = numbers.entry(
            hash,
            |&number| names.name(number as usize) == name,
            |&number| hasher.hash_one(names.name(number as usize)),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                let number = names.ends.len() as u32;
                entry.insert(number);
                names.arena.push_str(name);
                names.ends.push(u32::try_from(names.arena.len()).expect("raw ids fit into 4 GiB"));
                number
            }
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

impl From<Names> for Vocabulary {
    fn from(names: Names) -> Self {
        let mut vocabulary = Self::default();
        for number in 0..names.ends.len() {
            vocabulary.intern(names.name(number));
        }
        vocabulary
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
