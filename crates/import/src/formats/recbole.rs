//! RecBole's atomic files: `NAME.inter`, tab-separated, whose header says of each column its type.
//! Every row is a choice.
//!
//! Zhao et al., "RecBole", CIKM 2021.

use foretaste_data::Fault;

use crate::Result;
use crate::nearest::Pool;
use crate::reader::{Checked, Collector, Source, Table, Text};
use crate::slates::{Choices, Pick, SimulatedSlates};

/// The columns that are read.
pub(crate) const COLUMNS: [&str; 3] = ["user_id:token", "item_id:token", "timestamp:float"];

pub(crate) fn read(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let table = Table::open(source, b'\t', false, &COLUMNS)?;
    let columns = table.columns(COLUMNS)?;
    let user = slates.keep_all().then_some(columns[0]);
    let choices = Choices::read(table, user, collector, |row| choice(row, columns))?;
    let pool = Pool::new(choices.picks.iter().map(|pick| (pick.day(), pick.item)).collect());
    choices.simulate(pool, Pick::day, |_| 1.0, slates, collector)
}

fn choice(row: Text<'_>, [user, item, time]: [usize; 3]) -> Checked<(&str, &str, i64)> {
    let seconds: f64 = row.number(time, COLUMNS[2], "a number of seconds since 1970")?;
    if seconds.is_nan() || seconds.abs() >= 1e12 {
        return Err(Fault::new(COLUMNS[2], "a number of seconds since 1970", seconds.to_string()));
    }
    Ok((row.id(user, COLUMNS[0])?, row.id(item, COLUMNS[1])?, seconds.floor() as i64))
}
