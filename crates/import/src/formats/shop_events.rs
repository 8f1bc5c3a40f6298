//! Events of shops as choices: each is a choice, and an order earns 1. What the formats of such
//! events share.

use foretaste_data::{EventKind, Fault};
use hashbrown::HashSet;

use crate::Result;
use crate::nearest::Pool;
use crate::reader::{Checked, Collector};
use crate::slates::{Choices, Pick, SimulatedSlates};

/// The events of a file.
#[derive(Default)]
pub(super) struct ShopEvents {
    choices: Choices,
    orders: HashSet<Pick>,
}

impl ShopEvents {
    /// Adds an event, at a time in seconds since 1970.
    pub(super) fn add(&mut self, user: &str, item: &str, time: i64, is_order: bool) {
        let pick = self.choices.add(user, item, time);
        if is_order {
            self.orders.insert(pick);
        }
    }

    /// Collects them with simulated slates.
    pub(super) fn simulate(
        self,
        slates: &SimulatedSlates,
        collector: &mut Collector,
    ) -> Result<()> {
        let Self { choices, orders } = self;
        let choices = choices.in_order();
        let pool = Pool::new(choices.picks.iter().map(|pick| (pick.day(), pick.item)).collect());
        let reward = |pick: &Pick| f32::from(u8::from(orders.contains(pick)));
        choices.simulate(pool, Pick::day, reward, slates, collector)
    }
}

/// Whether an event that is called so is an order; another name than those of events is a fault of
/// the field.
pub(super) fn is_order(name: &str, field: &'static str) -> Checked<bool> {
    let kind = EventKind::of(name);
    let kind = kind.ok_or_else(|| Fault::value(field, "a view, a cart or an order", name))?;
    Ok(kind == EventKind::Order)
}
