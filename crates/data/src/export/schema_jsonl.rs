use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::check_ids;
use crate::{Choice, Dataset, Error, Result};

#[derive(Serialize)]
struct Line<'a> {
    session: Id<'a>,
    step: usize,
    shown: &'a [&'a str],
    chosen: Option<&'a str>,
    reward: f32,
    left: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    propensity: Option<&'a [f32]>,
}

/// A number where the ids of all sessions are.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Id<'a> {
    Number(u64),
    Text(&'a str),
}

pub(super) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    check_ids(path, dataset.catalogue.names().iter().chain(dataset.users.iter()), |_| false)?;
    let numbers = dataset.sessions.are_numbers();
    let mut shown = Vec::new();
    for session in dataset.log.iter() {
        let name = dataset.session_name(session.index());
        let id = match name.parse() {
            Ok(number) if numbers => Id::Number(number),
            _ => Id::Text(&name),
        };
        let user = session.user().map(|user| dataset.user_name(user));
        for (t, step) in session.steps().enumerate() {
            shown.clear();
            shown.extend(step.slate.iter().map(|&item| dataset.catalogue.raw(item)));
            let line = Line {
                session: id,
                step: t,
                shown: &shown,
                chosen: step.choice.item().map(|item| dataset.catalogue.raw(item)),
                reward: step.reward,
                left: step.choice == Choice::Leave,
                timestamp: step.timestamp,
                user: user.as_deref(),
                propensity: step.propensity,
            };
            serde_json::to_writer(&mut *file, &line)
                .map_err(|error| Error::io(path, error.into()))?;
            file.write_all(b"\n").map_err(|source| Error::io(path, source))?;
        }
    }
    Ok(())
}
