use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use super::check_ids;
use crate::{Choice, Dataset, Error, Result};

pub(super) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let failed = |error: csv::Error| Error::file(path, format!("cannot be written: {error}"));
    check_ids(path, dataset.catalogue.names().iter(), |c| c.is_ascii_whitespace())?;
    check_ids(path, dataset.users.iter(), |c| matches!(c, '\n' | '\r'))?;
    let log = &dataset.log;
    let mut header = vec!["session", "step", "shown", "chosen", "reward", "left"];
    header.extend(log.has_timestamps().then_some("timestamp"));
    header.extend(log.has_users().then_some("user"));
    header.extend(log.has_propensities().then_some("propensity"));
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(&header).map_err(failed)?;
    let (mut shown, mut propensity) = (String::new(), String::new());
    for session in log.iter() {
        for (t, step) in session.steps().enumerate() {
            shown.clear();
            for (place, &item) in step.slate.iter().enumerate() {
                shown.push_str(if place == 0 { "" } else { " " });
                shown.push_str(dataset.catalogue.raw(item));
            }
            let chosen = step.choice.item().map_or("", |item| dataset.catalogue.raw(item));
            let left = if step.choice == Choice::Leave { "true" } else { "false" };
            let fields = [&session.index().to_string(), &t.to_string(), &shown, chosen, &step.reward.to_string(), left];
            fields.iter().try_for_each(|field| writer.write_field(field)).map_err(failed)?;
            if let Some(time) = step.timestamp {
                writer.write_field(time.to_string()).map_err(failed)?;
            }
            if let Some(user) = session.user() {
                writer.write_field(dataset.user_name(user)).map_err(failed)?;
            }
            if let Some(numbers) = step.propensity {
                propensity.clear();
                for (place, number) in numbers.iter().enumerate() {
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
