use std::io::Write;
use std::path::Path;

use super::{check_ids, unheld};
use crate::import::gan_cdqn::HEADER;
use crate::split::Side;
use crate::{Dataset, Error, Result};

pub(super) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let io = |source| Error::io(path, source);
    let separates = |c: char| matches!(c, '\t' | '\n' | '\r');
    check_ids(path, dataset.catalogue.names().iter().chain(dataset.users.iter()), separates)?;
    let (log, by_id) = (&dataset.log, dataset.sessions.are_numbers());
    let mut sides = vec![Side::Train; log.sessions()];
    if let Some(split) = &dataset.split {
        split.validation.iter().for_each(|&session| sides[session] = Side::Validation);
        split.test.iter().for_each(|&session| sides[session] = Side::Test);
    }
    writeln!(file, "{}", HEADER.join("\t")).map_err(io)?;
    let mut row = 0_u64;
    for session in log.iter() {
        let index = session.index();
        let number = if by_id { dataset.session_name(index) } else { index.to_string().into() };
        let user = match session.user() {
            Some(user) => dataset.user_name(user),
            None if dataset.users.get(&number).is_some() => {
                let problem = format!(
                    "a session without a user in whose place {number:?} stands, which is the id \
                     of a user"
                );
                return Err(unheld(dataset, path, session, 0, &problem));
            }
            None => number.to_string(),
        };
        let mut last = None;
        for (t, step) in session.steps().enumerate() {
            let Some(clicked) = step.choice.item() else {
                return Err(unheld(dataset, path, session, t, "a step without a click"));
            };
            if step.reward != 1.0 {
                return Err(unheld(dataset, path, session, t, "a reward other than 1"));
            }
            let time = step.timestamp.unwrap_or(t as i64);
            if last.is_some_and(|last| last >= time) {
                return Err(unheld(
                    dataset,
                    path,
                    session,
                    t,
                    "a time that is not above the one before it",
                ));
            }
            last = Some(time);
            for &item in step.slate {
                let (raw, click) = (dataset.catalogue.raw(item), u8::from(item == clicked));
                let side = sides[index] as u8;
                writeln!(
                    file,
                    "{user}\t{time}\t{raw}\t{click}\t{row}\t{number}\t{}\t{side}",
                    item.0
                )
                .map_err(io)?;
                row += 1;
            }
        }
    }
    Ok(())
}
