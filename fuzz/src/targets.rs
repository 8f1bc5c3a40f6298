//! What is fuzzed: one kind of file each.

mod cached;
mod grammar;
mod imports;
mod parquet;
mod saved;
mod texts;

use foretaste_data::Dataset;
use foretaste_import::Format;

use crate::Place;

/// A reader of one kind of file, with what must hold of whatever it reads. It panics where that
/// does not hold.
pub trait Target {
    /// Its name, which is that of its folder in the corpus.
    fn name(&self) -> &str;

    /// Inputs to begin with, beside the corpus.
    fn seeds(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Reads the file that these bytes are or stand for.
    ///
    /// # Errors
    /// The message with which it is refused.
    fn read(&self, input: &[u8], place: &Place) -> Result<(), String>;
}

/// All targets.
pub fn targets() -> Vec<Box<dyn Target>> {
    let mut targets: Vec<Box<dyn Target>> = Vec::new();
    for format in Format::ALL {
        targets.push(Box::new(imports::Import::of(Some(format))));
    }
    targets.push(Box::new(imports::Import::of(None)));
    targets.push(Box::new(grammar::Csv));
    targets.push(Box::new(parquet::Parquet));
    targets.push(Box::new(cached::Cache));
    targets.push(Box::new(saved::Saved::recommenders()));
    targets.push(Box::new(saved::Saved::users()));
    targets.extend(texts::all());
    targets
}

/// Looks at everything that a log holds: it is valid by construction.
fn look_at(dataset: &Dataset) {
    let items = dataset.catalogue.len();
    for session in dataset.log.iter() {
        drop(dataset.session_name(session.index()));
        session.user().into_iter().for_each(|user| drop(dataset.user_name(user)));
        for (t, step) in session.steps().enumerate() {
            assert!(!step.slate.is_empty() && step.reward.is_finite());
            assert!(step.slate.iter().all(|item| item.index() < items));
            assert!(step.choice.item().is_none_or(|item| step.slate.contains(&item)));
            let extras = session.extras(t);
            assert!(extras.clicks.iter().all(|(item, _)| item.index() < items));
        }
        assert!(session.events().all(|event| event.item.index() < items));
    }
    (0..items as u32).for_each(|item| {
        dataset.catalogue.raw(foretaste_data::ItemId(item));
    });
}

/// A message is for people: no word of the language that wrote it.
fn plain(message: String) -> String {
    for word in
        ["Os {", "kind:", "Custom {", "unwrap", "RUST_BACKTRACE", "panicked", "Some(", "ErrorKind"]
    {
        assert!(!message.contains(word), "a message holds {word:?}: {message}");
    }
    message
}
