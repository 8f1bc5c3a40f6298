use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use super::check_ids;
use crate::{Choice, Dataset, Error, Part, Result};

pub(super) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let failed = |error: csv::Error| Error::file(path, format!("cannot be written: {error}"));
    check_ids(path, dataset.catalogue.names().iter(), |c| c.is_ascii_whitespace())?;
    let breaks = |c| matches!(c, '\n' | '\r');
    check_ids(path, dataset.users.iter(), breaks)?;
    let log = &dataset.log;
    check_ids(
        path,
        (0..log.sessions()).filter_map(|session| dataset.sessions.get(session)),
        breaks,
    )?;
    let (timestamps, users) = (dataset.has(Part::Timestamps), dataset.has(Part::Users));
    let propensities = dataset.has(Part::Propensities);
    let mut header = vec!["session", "step", "shown", "chosen", "reward", "left"];
    header.extend(timestamps.then_some("timestamp"));
    header.extend(users.then_some("user"));
    header.extend(propensities.then_some("propensity"));
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(&header).map_err(failed)?;
    let (mut shown, mut propensity) = (String::new(), String::new());
    for session in log.iter() {
        let name = dataset.session_name(session.index());
        let user = session.user().map(|user| dataset.user_name(user)).unwrap_or_default();
        for (t, step) in session.steps().enumerate() {
            shown.clear();
            for (place, &item) in step.slate.iter().enumerate() {
                shown.push_str(if place == 0 { "" } else { " " });
                shown.push_str(dataset.catalogue.raw(item));
            }
            let chosen = step.choice.item().map_or("", |item| dataset.catalogue.raw(item));
            let left = if step.choice == Choice::Leave { "true" } else { "false" };
            let fields = [&*name, &t.to_string(), &shown, chosen, &step.reward.to_string(), left];
            fields.iter().try_for_each(|field| writer.write_field(field)).map_err(failed)?;
            if timestamps {
                let time = step.timestamp.map(|time| time.to_string()).unwrap_or_default();
                writer.write_field(time).map_err(failed)?;
            }
            if users {
                writer.write_field(&user).map_err(failed)?;
            }
            if propensities {
                propensity.clear();
                for (place, number) in step.propensity.unwrap_or_default().iter().enumerate() {
                    // Writing into a string cannot fail.
                    let _ = write!(propensity, "{}{number}", if place == 0 { "" } else { " " });
                }
                writer.write_field(&propensity).map_err(failed)?;
            }
            writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
    }
    writer.flush().map_err(|source| Error::io(path, source))
}
