use std::io::Write;
use std::path::Path;

use super::{check_ids, unheld};
use crate::import::irecgan::HEADER;
use crate::{Dataset, Error, Result};

pub(super) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let io = |source| Error::io(path, source);
    let names = dataset.catalogue.names();
    check_ids(path, names.iter(), |c| c == ';' || c == ',' || c.is_whitespace())?;
    writeln!(file, "{}", HEADER.join(";")).map_err(io)?;
    let by_id = dataset.sessions.are_numbers();
    let mut query = 0_u64;
    for session in dataset.log.iter() {
        let number = if by_id {
            dataset.session_name(session.index())
        } else {
            session.index().to_string().into()
        };
        for (t, step) in session.steps().enumerate() {
            let Some(clicked) = step.choice.item() else {
                return Err(unheld(dataset, path, session, t, "a step without a click"));
            };
            let purchase = match step.reward {
                0.0 => '0',
                1.0 => '1',
                _ => return Err(unheld(dataset, path, session, t, "a reward other than 0 and 1")),
            };
            query += 1;
            write!(file, "{number};{query};{};", dataset.catalogue.raw(clicked)).map_err(io)?;
            for (place, &item) in step.slate.iter().enumerate() {
                let comma = if place == 0 { "" } else { "," };
                write!(file, "{comma}{}", dataset.catalogue.raw(item)).map_err(io)?;
            }
            writeln!(file, ";{purchase}").map_err(io)?;
        }
    }
    Ok(())
}
