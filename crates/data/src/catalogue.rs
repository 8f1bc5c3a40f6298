//! The items of a data set with their raw ids and features. Models are saved with a catalogue, so
//! it has a digest and a text form that are independent of the file from which it came.

use crate::{Error, Features, ItemId, Result, Vocabulary};
use serde::{Deserialize, Serialize};

/// The items that can be recommended: raw ids to dense [`ItemId`]s and back, and item features
/// where known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    names: Vocabulary,
    features: Option<Features>,
}

impl Catalogue {
    /// A catalogue of the given raw ids, without features.
    pub fn new(names: Vocabulary) -> Self {
        Self { names, features: None }
    }

    /// A catalogue of `items` items whose raw ids are the numbers from 0.
    pub fn numbered(items: usize) -> Self {
        let mut names = Vocabulary::default();
        for item in 0..items {
            names.intern(&item.to_string());
        }
        Self::new(names)
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.names.len() == 0
    }

    /// The item with this raw id.
    pub fn item(&self, raw: &str) -> Option<ItemId> {
        self.names.get(raw).map(ItemId)
    }

    /// The raw id of an item; panics if the item is not of this catalogue.
    pub fn raw(&self, item: ItemId) -> &str {
        self.names.name(item.0)
    }

    /// The raw ids in the order of the dense ones.
    pub fn names(&self) -> &Vocabulary {
        &self.names
    }

    /// A digest of raw ids and features. Hexadecimal.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.names.digest().as_bytes());
        if let Some((values, dim)) = self.features() {
            hasher.update(&(dim as u64).to_le_bytes());
            for value in values {
                hasher.update(&value.to_le_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Item features, row-major `[items, dim]`, and `dim`.
    pub fn features(&self) -> Option<(&[f32], usize)> {
        self.features.as_ref().map(|features| (features.values(), features.dim()))
    }

    /// The raw ids as JSON Lines: one string a line, in the order of the items.
    pub(crate) fn vocabulary_jsonl(&self) -> Vec<u8> {
        jsonl(self.names.iter())
    }

    /// The item features as JSON Lines: a list of numbers a line, in the order of the items; none
    /// where there are none.
    pub(crate) fn features_jsonl(&self) -> Option<Vec<u8>> {
        self.features().map(|(values, dim)| jsonl(values.chunks(dim)))
    }

    /// Reads what [`Catalogue::vocabulary_jsonl`] and [`Catalogue::features_jsonl`] wrote.
    ///
    /// # Errors
    /// [`Error::Saved`] with the line that cannot be read, for an id that stands twice, and for
    /// features that do not fit the items.
    pub(crate) fn from_jsonl(vocabulary: &[u8], features: Option<&[u8]>) -> Result<Self> {
        let mut names = Vocabulary::default();
        for (line, raw) in lines::<String>("vocabulary", vocabulary)? {
            let raw = raw?;
            if names.intern(&raw) as usize != line - 1 {
                let problem = format!("line {line} of the vocabulary: {raw:?} appears twice");
                return Err(Error::Saved(problem));
            }
        }
        let Some(features) = features else { return Ok(Self::new(names)) };
        let (mut values, mut dim) = (Vec::new(), 0);
        for (line, row) in lines::<Vec<f32>>("item features", features)? {
            let row = row?;
            dim = if line == 1 { row.len() } else { dim };
            if row.len() != dim {
                let found = row.len();
                let problem =
                    format!("line {line} of the item features: {found} numbers, expected {dim}");
                return Err(Error::Saved(problem));
            }
            values.extend(row);
        }
        Self::new(names).with_features(values, dim)
    }

    /// The same catalogue without item features.
    pub(crate) fn without_features(self) -> Self {
        Self { names: self.names, features: None }
    }

    /// Checks the features of a catalogue that was read from a file.
    pub(crate) fn check(&self) -> Result<()> {
        self.features.as_ref().map_or(Ok(()), |features| features.check(self.len(), "item"))
    }

    /// The same catalogue with item features, row-major `[items, dim]`.
    ///
    /// # Errors
    /// [`Error::Log`] if `values` is not `items · dim` long or holds a number that is not finite.
    pub fn with_features(self, values: Vec<f32>, dim: usize) -> Result<Self> {
        let features = Features::new(values, dim, self.len(), "item")?;
        Ok(Self { names: self.names, features: Some(features) })
    }
}

fn jsonl(rows: impl Iterator<Item = impl Serialize>) -> Vec<u8> {
    rows.flat_map(|row| (serde_json::json!(row).to_string() + "\n").into_bytes()).collect()
}

/// What the lines of a text hold, with their numbers, one after the other: a row in memory may take
/// more than its line.
fn lines<'a, T: Deserialize<'a>>(
    what: &str,
    bytes: &'a [u8],
) -> Result<impl Iterator<Item = (usize, Result<T>)>> {
    let wrong = move |line: usize, reason: &dyn std::fmt::Display| {
        Error::Saved(format!("line {line} of the {what}: {reason}"))
    };
    let text = std::str::from_utf8(bytes).map_err(|reason| wrong(1, &reason))?;
    let read = move |(line, text)| {
        (line, serde_json::from_str(text).map_err(|reason| wrong(line, &reason)))
    };
    Ok((1..).zip(text.lines()).map(read))
}
