//! The IRecGAN authors' processed CSV: one row per step,
//! `session_num;query_num;click_item;rec_list;purchase`.

use super::collector::{Answer, Collector, Place};
use super::{Source, table};
use crate::error::Fault;
use crate::{Error, Result};

/// The header, in the order of the files.
pub(crate) const HEADER: [&str; 5] =
    ["session_num", "query_num", "click_item", "rec_list", "purchase"];

pub(super) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let path = source.path();
    let fraction = source.fraction();
    let (mut reader, header) = table::open(source, b';', false)?;
    for name in HEADER {
        table::column(&path, &header, name)?;
    }
    if header.len() != HEADER.len() {
        let (found, expected) = (header.join(";"), HEADER.join(";"));
        return Err(Error::file(&path, format!("its header is {found:?}, expected {expected:?}")));
    }
    let columns =
        HEADER.map(|name| header.iter().position(|field| field == name).unwrap_or_default());
    let names: Vec<&'static str> =
        header.iter().filter_map(|name| HEADER.into_iter().find(|column| column == name)).collect();
    let mut open = Open::default();
    let mut record = csv::ByteRecord::new();
    while table::next(&path, &mut reader, &mut record)? {
        collector.count_row(&fraction);
        let place = Place::Byte(table::byte(&record));
        let row = table::Text::new(&record, &names);
        let row = row
            .and_then(|row| Ok((row, row.number::<u64>(columns[0], HEADER[0], "a whole number")?)));
        match row {
            Ok((row, session)) => {
                if let Err(fault) = open.take(row, session, columns, collector)? {
                    collector.reject(place, 1, Some(&session.to_string()), fault)?;
                }
            }
            Err(fault) => {
                let named =
                    table::lone_number(&record, columns[0]).map(|session| session.to_string());
                collector.reject(place, 1, named.as_deref(), fault)?;
            }
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
        row: table::Text<'_>,
        session: u64,
        columns: [usize; HEADER.len()],
        collector: &mut Collector,
    ) -> Result<std::result::Result<(), Fault>> {
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
    row: table::Text<'_>,
    [_, query, click, list, purchase]: [usize; HEADER.len()],
    last_query: &mut Option<u64>,
    collector: &mut Collector,
) -> std::result::Result<(), Fault> {
    let query = row.number::<u64>(query, "query_num", "a whole number")?;
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
