//! What is saved with the tensors of a model: its items, and what it was fitted on.

use crate::{Catalogue, Error, Origin, Result};

/// The names of the files.
const VOCABULARY: &str = "vocabulary.jsonl";
const FEATURES: &str = "features.jsonl";
const ORIGIN: &str = "origin.jsonl";

/// What a model that is saved says of its items and of its training.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// Its items, in its own numbering.
    pub catalogue: &'a Catalogue,
    /// What it was fitted on; none for a model that was fitted on no log, or is not yet fitted.
    pub origin: Option<&'a Origin>,
}

/// What a saved model said of its items and of its training.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Its items, in its own numbering.
    pub catalogue: Catalogue,
    /// What it was fitted on, if it says so.
    pub origin: Option<Origin>,
}

impl<'a> From<&'a Catalogue> for Provenance<'a> {
    fn from(catalogue: &'a Catalogue) -> Self {
        Self { catalogue, origin: None }
    }
}

impl Provenance<'_> {
    /// The files by name, as [`Saved::read`] reads them.
    pub fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        let features = self.catalogue.features_jsonl().map(|bytes| (FEATURES, bytes));
        let origin = self.origin.map(|origin| (ORIGIN, origin.to_jsonl()));
        [Some((VOCABULARY, self.catalogue.vocabulary_jsonl())), features, origin]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl Saved {
    /// Reads the files of a saved model, which `file` gives by name.
    ///
    /// Models of earlier versions have none: their items are those of `known`, the catalogue at
    /// hand, if `is_known` finds that it is the one that they were saved with.
    ///
    /// # Errors
    /// [`Error::Saved`] for a file that cannot be read, and for a model without files that was
    /// saved with other items.
    pub fn read<'a>(
        file: impl Fn(&str) -> Option<&'a [u8]>,
        known: &Catalogue,
        is_known: impl FnOnce() -> bool,
    ) -> Result<Self> {
        let origin = file(ORIGIN).map(Origin::from_jsonl).transpose()?;
        let catalogue = match file(VOCABULARY) {
            Some(vocabulary) => Catalogue::from_jsonl(vocabulary, file(FEATURES))?,
            None if is_known() => known.clone(),
            None => {
                let problem = "it was saved without the raw ids of its items, by an earlier \
                               version, and the log's items are not the same in the same order; \
                               use it with the log that it was trained on, or train it again";
                return Err(Error::Saved(problem.into()));
            }
        };
        Ok(Self { catalogue, origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    #[test]
    fn files_come_back() {
        let items = Catalogue::new(["a b", "\"", "7", "7.0", "ü\n"].into_iter().collect());
        let features = items
            .clone()
            .with_features((0..10).map(|n| 1.0 / (n as f32 - 4.5)).collect(), 2)
            .unwrap();
        let log = Dataset { name: "empty".into(), catalogue: items.clone(), ..Dataset::default() };
        let origin = Origin::new(&log, &[], serde_json::json!({ "epochs": 3 }), 7, "v1");
        for (catalogue, origin) in [(&items, None), (&features, Some(&origin))] {
            let files = Provenance { catalogue, origin }.files();
            let file = |name: &str| {
                files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| &bytes[..])
            };
            let saved = Saved::read(file, &Catalogue::default(), || panic!("it has its own items"))
                .unwrap();
            assert_eq!(saved, Saved { catalogue: catalogue.clone(), origin: origin.cloned() });
        }
    }

    #[test]
    fn a_model_of_an_earlier_version_has_the_items_at_hand_or_none() {
        let known = Catalogue::numbered(3);
        assert_eq!(
            Saved::read(|_| None, &known, || true).unwrap(),
            Saved { catalogue: known.clone(), origin: None }
        );
        assert!(
            Saved::read(|_| None, &known, || false)
                .unwrap_err()
                .to_string()
                .contains("earlier version")
        );
    }

    #[test]
    fn damaged_files_name_their_line() {
        let broken = [
            (VOCABULARY, "\"a\"\nb\n", "line 2 of the vocabulary"),
            (VOCABULARY, "\"a\"\n\"a\"\n", "appears twice"),
            (FEATURES, "[1]\n[1,2]\n", "line 2 of the item features: 2 numbers, expected 1"),
            (FEATURES, "[1]\n", "1 feature values for 2 items"),
            (ORIGIN, "{}", "line 1 of what a model was fitted on"),
        ];
        for (broken, text, problem) in broken {
            let file = |name: &str| match name {
                _ if name == broken => Some(text.as_bytes()),
                VOCABULARY => Some(&b"\"a\"\n\"b\"\n"[..]),
                _ => None,
            };
            let message =
                Saved::read(file, &Catalogue::default(), || false).unwrap_err().to_string();
            assert!(message.contains(problem), "{message}");
        }
    }
}
