//! Clicks and orders that lie in files of their own, joined to the slates that they are of.

use std::path::Path;

use foretaste_data::TimeUnit;
use hashbrown::HashMap;

use crate::features::Cells;
use crate::guess::alias;
use crate::reader::Collector;
use crate::reader::record::{Record, Strings, whole};
use crate::reader::times::Times;
use crate::{Error, Layout, Result};

/// Milliseconds where the unit is known, else the log's own.
type Moment = i64;

/// The clicks of every slate, and the orders of every user or session, in memory.
#[derive(Default)]
pub(crate) struct Joins {
    clicks: HashMap<String, Vec<(Moment, String)>>,
    /// By owner and item.
    orders: HashMap<(String, String), Vec<(Moment, f32)>>,
    has_orders: bool,
    /// Whether orders name sessions; else they name users.
    by_session: bool,
    window: Option<Moment>,
    joined: usize,
    all: usize,
}

impl Joins {
    /// Reads what the layout names; `None` if it names no clicks.
    ///
    /// # Errors
    /// [`Error::File`] for a file without the columns that it needs, or with a time that is none.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>> {
        let Some(path) = &layout.clicks_file else { return Ok(None) };
        let mut joins = Self::default();
        let cells = Cells::read(path)?;
        let [slate, item] = ["slate", "item"].map(|name| needed(path, &cells, layout, name));
        let (slate, item) = (slate?, item?);
        let times = moments(path, &cells, layout)?;
        for (row, &time) in times.iter().enumerate() {
            let id = whole(&cells.columns[slate][row]).to_owned();
            let click = (time, whole(&cells.columns[item][row]).to_owned());
            joins.clicks.entry(id).or_default().push(click);
            joins.all += 1;
        }
        joins.clicks.values_mut().for_each(|clicks| clicks.sort_by_key(|click| click.0));
        if let Some(path) = &layout.orders_file {
            joins.read_orders(path, layout)?;
        }
        Ok(Some(joins))
    }

    fn read_orders(&mut self, path: &Path, layout: &Layout) -> Result<()> {
        let cells = Cells::read(path)?;
        let session = place(&cells, layout, "session");
        let owner = session.map_or_else(|| needed(path, &cells, layout, "user"), Ok)?;
        let item = needed(path, &cells, layout, "item")?;
        needed(path, &cells, layout, "timestamp")?;
        let reward = place(&cells, layout, "reward");
        let times = moments(path, &cells, layout)?;
        for (row, &time) in times.iter().enumerate() {
            let reward = match reward.map(|at| cells.columns[at][row].trim()) {
                None => 1.0,
                Some(text) => text.parse().map_err(|_| {
                    let problem =
                        format!("row {}: reward: expected a number, found {text:?}", row + 1);
                    Error::file(path, problem)
                })?,
            };
            let key = [owner, item].map(|at| whole(&cells.columns[at][row]).to_owned());
            self.orders.entry(key.into()).or_default().push((time, reward));
        }
        (self.has_orders, self.by_session) = (true, session.is_some());
        self.window = layout.order_window.map(|gap| 1000 * gap.seconds);
        Ok(())
    }

    /// What was clicked on the slate of a row, in order, and what each click earned: an order of
    /// the item from the click on, within the window, or 1 where there are no orders.
    pub(crate) fn of(
        &mut self,
        record: &Record<'_>,
        session: &str,
        user: Option<&str>,
        to: (&mut Strings, &mut Vec<f32>),
    ) {
        let (chosen, rewards) = to;
        chosen.clear();
        rewards.clear();
        let slate = record.slate.map(whole);
        let Some(clicks) = slate.and_then(|slate| self.clicks.get(slate)) else { return };
        let owner = if self.by_session { session } else { user.unwrap_or(session) };
        for (time, item) in clicks {
            self.joined += 1;
            chosen.push(item);
            let orders = self.orders.get(&(owner.to_owned(), item.clone()));
            let within = |ordered: Moment| {
                let after = ordered.saturating_sub(*time);
                after >= 0 && self.window.is_none_or(|window| after <= window)
            };
            rewards.push(match self.has_orders {
                false => 1.0,
                true => orders
                    .iter()
                    .flat_map(|orders| orders.iter())
                    .filter(|(ordered, _)| within(*ordered))
                    .fold(0.0, |sum, (_, reward)| sum + reward),
            });
        }
    }

    /// Says how much found its slate.
    pub(crate) fn note(&self, collector: &mut Collector) {
        collector.note(format!("{} of {} clicks are of a slate of the log", self.joined, self.all));
    }
}

/// The column that is called so, as the layout says, as the schema does, or as others do: the three
/// files seldom have the same names.
fn place(cells: &Cells, layout: &Layout, name: &str) -> Option<usize> {
    let of = |wanted: &str| cells.names.iter().position(|column| column == wanted);
    layout
        .columns
        .get(name)
        .and_then(|wanted| of(wanted))
        .or_else(|| of(name))
        .or_else(|| alias(&cells.names, name))
}

fn needed(path: &Path, cells: &Cells, layout: &Layout, name: &str) -> Result<usize> {
    place(cells, layout, name).ok_or_else(|| {
        let problem = format!(
            "has no column {name:?} and none of its other common names; its columns are {}",
            cells.names.join(", ")
        );
        Error::file(path, problem)
    })
}

/// The times of a file; all 0 where it has none, so that its order counts.
fn moments(path: &Path, cells: &Cells, layout: &Layout) -> Result<Vec<Moment>> {
    let Some(at) = place(cells, layout, "timestamp") else { return Ok(vec![0; cells.rows()]) };
    let mut times = Times::new(layout)?;
    let mut moments = Vec::with_capacity(cells.rows());
    for (row, text) in cells.columns[at].iter().enumerate() {
        let time = times
            .parse(text, "timestamp")
            .map_err(|fault| Error::file(path, format!("row {}: {}", row + 1, fault.finding())))?;
        let scale = times.unit().map(TimeUnit::per_second);
        moments
            .push(scale.map_or(time, |unit| (i128::from(time) * 1000 / i128::from(unit)) as i64));
    }
    Ok(moments)
}
