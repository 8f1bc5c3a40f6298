//! What the formats share that are ours to write.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use foretaste_data::{Context, Dataset, Extras, PropensityKind, Session, Step};

use super::schema::CONTEXT;
use crate::{Error, Result};

/// What a format of the papers writes as the id of a session: its own where all ids are `numbers`,
/// its index otherwise.
pub(super) fn session_number<'d>(
    dataset: &'d Dataset,
    session: Session<'_>,
    numbers: bool,
) -> Cow<'d, str> {
    match numbers {
        true => dataset.session_name(session.index()),
        false => session.index().to_string().into(),
    }
}

/// The rewards of a step as our schema writes them: that of the slate, or one for each click where
/// more than the first earned something.
pub(super) fn own_rewards(step: &Step<'_>, extras: &Extras<'_>) -> Vec<f32> {
    match extras.clicks {
        [_, others @ ..] if others.iter().any(|(_, reward)| *reward != 0.0) => {
            extras.clicks.iter().map(|(_, reward)| *reward).collect()
        }
        _ => vec![step.reward],
    }
}

/// The column of our schema that holds the propensities: its name says what they are.
pub(super) fn propensity_column(dataset: &Dataset) -> &'static str {
    match dataset.log.facts().propensity {
        PropensityKind::Conditional => "propensity",
        PropensityKind::Slate => "slate_propensity",
        PropensityKind::Marginal => "marginal_propensity",
    }
}

/// The columns of the context as our schema writes them.
pub(super) fn context_columns(dataset: &Dataset) -> Vec<String> {
    dataset.contexts.iter().map(|context| format!("{CONTEXT}{}", context.name)).collect()
}

/// What stands in each column of the context; `None` where it is not known.
pub(super) fn context_texts<'d>(
    dataset: &'d Dataset,
    extras: &Extras<'d>,
) -> impl Iterator<Item = Option<&'d str>> {
    let known = extras.context;
    let text = |(column, context): (usize, &'d Context)| context.text(*known.get(column)?);
    dataset.contexts.iter().enumerate().map(text)
}

/// The propensities of a step as our schema writes them: one number where they are of slates.
pub(super) fn written_propensity<'d>(dataset: &Dataset, step: &Step<'d>) -> Option<&'d [f32]> {
    let of_slates = dataset.log.facts().propensity == PropensityKind::Slate;
    step.propensity.map(|numbers| if of_slates { &numbers[..1] } else { numbers })
}

/// A step that the format cannot hold.
pub(super) fn unheld(
    dataset: &Dataset,
    path: &Path,
    session: Session<'_>,
    t: usize,
    problem: &str,
) -> Error {
    let name = dataset.session_name(session.index());
    Error::file(path, format!("session {name:?}, step {t}: the format cannot hold {problem}"))
}

/// Raw ids must not hold a character that the format gives another meaning.
pub(crate) fn check_ids<'a>(
    path: &Path,
    ids: impl Iterator<Item = &'a str>,
    forbidden: impl Fn(char) -> bool,
) -> Result<()> {
    for id in ids {
        if id.is_empty() || id.contains(&forbidden) {
            return Err(Error::file(path, format!("the format cannot hold the id {id:?}")));
        }
    }
    Ok(())
}

/// Why a file was not written: the system's reason, or what the format cannot hold.
pub(super) fn not_written(path: &Path, reason: io::Error) -> Error {
    match reason.kind() {
        io::ErrorKind::Other => Error::file(path, format!("cannot be written: {reason}")),
        _ => foretaste_files::Error::io(path, reason).into(),
    }
}
