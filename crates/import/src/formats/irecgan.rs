//! The IRecGAN authors' processed CSV: one row per step,
//! `session_num;query_num;click_item;rec_list;purchase`.

use std::io::Write;
use std::path::Path;

use foretaste_data::{Dataset, Fault};

use super::writing::{check_ids, session_number, unheld};
use crate::reader::{Answer, Checked, Collector, Source, Table, Text, WHOLE};
use crate::{Error, Result};

/// The header, in the order of the files.
const HEADER: [&str; 5] = ["session_num", "query_num", "click_item", "rec_list", "purchase"];

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let mut table = Table::open(source, b';', false, &HEADER)?;
    let columns = table.columns(HEADER)?;
    if table.header().len() != HEADER.len() {
        let (found, expected) = (table.header().join(";"), HEADER.join(";"));
        let problem = format!("its header is {found:?}, expected {expected:?}");
        return Err(Error::file(table.path(), problem));
    }
    let mut open = Open::default();
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        let text = row.text();
        let text = text.and_then(|text| Ok((text, text.number(columns[0], HEADER[0], WHOLE)?)));
        let taken = match text {
            Ok((text, session)) => open.take(text, session, columns, collector)?,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = taken {
            let named = row.lone_number(columns[0]).map(|session| session.to_string());
            collector.reject(row.place(), 1, named.as_deref(), fault)?;
        }
    }
    open.close(collector)
}

#[derive(Default)]
struct Open {
    session: Option<u64>,
    refused: Option<Fault>,
    last_query: Option<u64>,
}

impl Open {
    /// Takes a row of a session.
    fn take(
        &mut self,
        row: Text<'_>,
        session: u64,
        columns: [usize; HEADER.len()],
        collector: &mut Collector,
    ) -> Result<Checked> {
        if self.session != Some(session) {
            self.close(collector)?;
            self.session = Some(session);
            self.last_query = None;
            self.refused = collector.open(&session.to_string()).err();
        }
        Ok(match &self.refused {
            Some(fault) => Err(fault.clone()),
            None => step(row, columns, &mut self.last_query, collector),
        })
    }

    fn close(&mut self, collector: &mut Collector) -> Result<()> {
        match (self.session.take(), self.refused.take()) {
            (Some(_), None) => collector.close(None),
            _ => Ok(()),
        }
    }
}

fn step(
    row: Text<'_>,
    [_, query, click, list, purchase]: [usize; HEADER.len()],
    last_query: &mut Option<u64>,
    collector: &mut Collector,
) -> Checked {
    let query = row.number::<u64>(query, "query_num", WHOLE)?;
    if last_query.is_some_and(|last| query <= last) {
        return Err(Fault::new("query_num", "a number above the one before it", query.to_string()));
    }
    let click = row.field(click, "click_item")?.trim();
    if click.is_empty() {
        return Err(Fault::value("click_item", "an item", click));
    }
    let reward = match row.field(purchase, "purchase")?.trim() {
        "0" => 0.0,
        "1" => 1.0,
        other => return Err(Fault::value("purchase", "0 or 1", other)),
    };
    collector.begin_slate();
    let list = row.field(list, "rec_list")?;
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .for_each(|item| collector.show(item));
    collector.push(&Answer { choice: Ok(click), reward, propensity: None, timestamp: None })?;
    *last_query = Some(query);
    Ok(())
}

pub(crate) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let io = |source| foretaste_files::Error::io(path, source);
    let names = dataset.catalogue.names();
    check_ids(path, names.iter(), |c| c == ';' || c == ',' || c.is_whitespace())?;
    writeln!(file, "{}", HEADER.join(";")).map_err(io)?;
    let numbers = dataset.sessions.are_numbers();
    let mut query = 0_u64;
    for session in dataset.log.iter() {
        let number = session_number(dataset, session, numbers);
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
