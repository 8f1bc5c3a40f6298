//! Learned users, as commands that take them know them.

use std::path::Path;

use anyhow::{Context, bail};
use foretaste_data::{Catalogue, Dataset, Origin, UnknownItems};
use foretaste_nn::checkpoint::MANIFEST;
use foretaste_recommender::{USERS, Users};
use foretaste_train::run;

use crate::saved::LIMIT;

/// What the settings in the origin call the number of items that most slates have.
pub const SLATE: &str = "slate";
/// The same of the number of steps of the longest session.
pub const LONGEST: &str = "longest_session";
/// And the settings that the users were fitted with, with which `trust` fits others.
pub const SETTINGS: &str = "fit";

/// What the settings in the origin of a recommender call the [`digest`] of the users that it was
/// given to learn in.
pub const LEARNED_IN: &str = "users";

/// Steps after which sessions are cut where the users do not say how long the longest was.
const LONG: usize = 1_000;
/// Items that a message names at most.
const NAMED: usize = 5;

/// What tells the users at this place from others.
pub fn digest(path: &Path) -> anyhow::Result<String> {
    let manifest = [USERS, MANIFEST].map(|name| path.join(name));
    let manifest = manifest.iter().find(|path| path.exists()).unwrap_or(&manifest[0]);
    Ok(run::digest(&foretaste_files::read(manifest, LIMIT)?))
}

/// What users learned from, which must be known wherever a policy is judged.
///
/// # Errors
/// Where they do not say so, as those do that were not fitted by this program.
pub fn origin<'a>(users: &'a Users, path: &Path) -> anyhow::Result<&'a Origin> {
    users.origin().with_context(|| {
        format!(
            "{} has no list of the sessions that the users learned from, so no policy could be \
             judged by other sessions; fit users with `foretaste fit`",
            path.display()
        )
    })
}

/// How many items most slates had that the users learned from, if they say so.
pub fn usual_slate(users: &Users) -> Option<usize> {
    learned_from(users, SLATE)
}

/// How many slates the longest session had that the users learned from.
pub fn longest_session(users: &Users) -> usize {
    learned_from(users, LONGEST).unwrap_or(LONG)
}

/// A number above 0 of the log that the users learned from, if they say so.
fn learned_from(users: &Users, what: &str) -> Option<usize> {
    let number = users.origin()?.settings.get(what)?.as_u64()?;
    usize::try_from(number).ok().filter(|&number| number > 0)
}

/// The data set in the users' numbering of the same items.
///
/// # Errors
/// Where they know other items, or fewer.
pub fn in_items_of(users: &Users, dataset: Dataset, path: &Path) -> anyhow::Result<Dataset> {
    let (known, name) = (users.catalogue(), dataset.name.clone());
    check_known(&dataset.catalogue, known, &format!("the log {name}"))?;
    let others = unknown(known, &dataset.catalogue);
    if !others.is_empty() {
        bail!(
            "{} knows {} items that the log {name} does not have: {}; a recommender would show \
             them; fit users to this log",
            path.display(),
            others.len(),
            listed(&others)
        );
    }
    Ok(dataset.mapped_to(known, UnknownItems::Refuse)?.0)
}

/// Refuses items that the users do not know.
pub fn check_known(items: &Catalogue, known: &Catalogue, whose: &str) -> anyhow::Result<()> {
    let unknown = unknown(items, known);
    if unknown.is_empty() {
        return Ok(());
    }
    bail!(
        "{whose} has {} items that the users never saw, so their response to them is not known: \
         {}; fit users to a log that shows these items",
        unknown.len(),
        listed(&unknown)
    )
}

/// Those of some items that a catalogue does not know.
pub fn unknown<'a>(items: &'a Catalogue, known: &Catalogue) -> Vec<&'a str> {
    items.names().iter().filter(|raw| known.item(raw).is_none()).collect()
}

/// The first of these names.
pub fn listed(names: &[&str]) -> String {
    let rest = if names.len() > NAMED { ", .." } else { "" };
    names[..names.len().min(NAMED)].join(", ") + rest
}
