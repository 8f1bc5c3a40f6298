//! What a report says of the worlds.

use foretaste_report::DataSet;
use foretaste_user_model::level::{RANDOM_CLICK_RATE, SLATE};

use super::{Worlds, choice_users, users};

impl Worlds {
    /// The logs as data sets of a report.
    pub fn data_sets(&self) -> Vec<DataSet> {
        self.all.iter().map(|world| world.source.data_set()).collect()
    }

    /// What is to be said of the logs and of the users who are learned from them.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.all.iter().map(|world| world.source.note()).chain(self.missing.clone()).collect();
        notes.push(format!(
            "Learned users are GAN-PW under Shannon's entropy. Recommenders are trained in a model \
             of the training users and judged in one of the test users (50 / 25 / 25, drawn again \
             for every seed); the validation users say when to stop in both fits. {}: {} sessions \
             of users whose reward is known, with slates of 5 of {} items at random.",
            choice_users::NAME,
            choice_users::SESSIONS,
            choice_users::ITEMS
        ));
        notes.push(format!(
            "Where every slate of a log has a click, the level of r_θ is not identified, and \
             click rates as fitted are near 1. Rewards are then moved by a constant, in both \
             models, so that users without clicks click {:.0}% of the slates of {SLATE} random \
             items: an ordinary item is then worth as much as none.",
            100.0 * RANDOM_CLICK_RATE
        ));
        if let Some(items) = users::most_items(self.scale) {
            notes.push(format!(
                "All policies choose among the {items} items that were shown most often to the \
                 training users."
            ));
        }
        notes
    }
}
