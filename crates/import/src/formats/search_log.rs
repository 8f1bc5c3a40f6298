//! Search logs as Yandex published them and PyClick reads them: tab-separated, a row per query with
//! its results and a row per click.
//!
//! Chuklin, Markov, de Rijke, "Click models for web search", 2015, and Yandex's relevance
//! prediction challenge, 2011.

use foretaste_data::Fault;

use super::steps::{Key, Steps};
use crate::reader::record::{List, Record, Strings};
use crate::reader::{Checked, Collector, Place, Row, Source, Table, WHOLE};
use crate::{Layout, Result};

/// A query's columns; those behind are its results.
const QUERY: [&str; 5] = ["SessionID", "TimePassed", "TypeOfRecord", "QueryID", "RegionID"];
/// What a query's session, time and type are followed by is its context.
const CONTEXT: [&str; 2] = ["query", "region"];
const CLICK: [&str; 4] = ["SessionID", "TimePassed", "TypeOfRecord", "URLID"];

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let layout = Layout::default();
    let mut steps = Steps::new(&layout);
    let mut table = Table::without_header(source, b'\t', &QUERY);
    let mut open = Session::default();
    CONTEXT.iter().for_each(|name| _ = collector.context_column(name));
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        if open.id.as_deref() != row.lone_field(0) {
            open.close(&mut steps, collector)?;
            open.id = row.lone_field(0).map(str::to_owned);
        }
        if let Err(fault) = open.take(row) {
            collector.reject(row.place(), 1, row.lone_field(0), fault)?;
        }
    }
    open.close(&mut steps, collector)?;
    collector.note(format!("{} clicks are on no result of their session's queries", open.lost));
    steps.finish(collector)
}

/// The queries of the session being read.
#[derive(Default)]
struct Session {
    id: Option<String>,
    queries: Vec<Query>,
    lost: u64,
}

struct Query {
    place: Place,
    time: i64,
    results: Strings,
    clicks: Strings,
    context: Strings,
}

impl Session {
    fn take(&mut self, row: Row<'_>) -> Checked {
        if row.bytes(2) == b"C" {
            let text = row.text_of(&CLICK)?;
            text.number::<i64>(1, CLICK[1], WHOLE)?;
            let url = text.id(3, CLICK[3])?;
            // Users go back to the results of earlier queries.
            let shows = |query: &&mut Query| query.results.iter().any(|result| result == url);
            match self.queries.iter_mut().rev().find(shows) {
                Some(query) => query.clicks.push(url),
                None => self.lost += 1,
            }
            return Ok(());
        }
        let names: Vec<&'static str> =
            (0..row.len()).map(|at| QUERY.get(at).copied().unwrap_or("URLID")).collect();
        let text = row.text_of(&names)?;
        let kind = text.field(2.min(names.len() - 1), QUERY[2])?;
        if kind != "Q" || names.len() <= QUERY.len() {
            let expected = "Q followed by results, or C";
            return Err(Fault::value(QUERY[2], expected, kind));
        }
        let mut results = Strings::default();
        for at in QUERY.len()..names.len() {
            results.push(text.id(at, "URLID")?);
        }
        let mut context = Strings::default();
        context.push(text.id(3, QUERY[3])?);
        context.push(text.field(4, QUERY[4])?);
        let (time, clicks) = (text.number(1, QUERY[1], WHOLE)?, Strings::default());
        self.queries.push(Query { place: row.place(), time, results, clicks, context });
        Ok(())
    }

    fn close(&mut self, steps: &mut Steps<'_>, collector: &mut Collector) -> Result<()> {
        for query in self.queries.drain(..) {
            let key = Ok(Key { session: self.id.as_deref(), user: None });
            steps.row(collector, query.place, key, None, |record| {
                *record = Record {
                    time: Some(query.time),
                    shown: List::Owned(&query.results),
                    chosen: List::Owned(&query.clicks),
                    context: Some(&query.context),
                    ..Record::default()
                };
                Ok(())
            })?;
        }
        Ok(())
    }
}
