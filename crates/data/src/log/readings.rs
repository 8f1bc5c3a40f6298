//! What the clicks of a slate are to a model that sees one choice a step.

use super::{Choice, Entry, Extras, ItemId, Log, LogBuilder, Step};

impl Log {
    /// The log in which every click is a step of its own: a slate with n clicks becomes n steps,
    /// each on the items not clicked before, and one on which nothing more was chosen, unless all
    /// were. So the likelihood of a choice model is that of drawing without replacement until
    /// nothing is drawn. Each click has its own reward, and what the slate earned beyond them is
    /// the first one's.
    ///
    /// Propensities are of whole slates: the log has none. Candidates are those of the slate, less
    /// what was clicked before.
    pub fn each_click(&self) -> Self {
        let mut log = LogBuilder::new(self.facts());
        let (mut slate, mut candidates) = (Vec::<ItemId>::new(), Vec::<ItemId>::new());
        for session in self.iter() {
            for entry in session.entries() {
                let (t, step) = match entry {
                    Entry::Event(event) => {
                        log.event(event);
                        continue;
                    }
                    Entry::Step(t, step) => (t, step),
                };
                let extras = session.extras(t);
                let context = extras.context;
                slate.clear();
                slate.extend_from_slice(step.slate);
                candidates.clear();
                candidates.extend_from_slice(extras.candidates);
                let single = step.choice.item().map(|item| (item, step.reward));
                let clicks = match extras.clicks {
                    [] => single.as_slice(),
                    several => several,
                };
                let beyond = step.reward - clicks.iter().map(|(_, reward)| reward).sum::<f32>();
                let Step { timestamp, .. } = step;
                for (place, &(item, reward)) in clicks.iter().enumerate() {
                    let reward = if place == 0 { reward + beyond } else { reward };
                    let choice = Choice::Item(item);
                    let extras = Extras { clicks: &[], candidates: &candidates, context };
                    let one = Step { slate: &slate, choice, reward, propensity: None, timestamp };
                    log.append(&one, &extras);
                    slate.retain(|&other| other != item);
                    candidates.retain(|&other| other != item);
                }
                if !slate.is_empty() {
                    let (choice, reward) = match clicks {
                        [] => (step.choice, step.reward),
                        _ => (Choice::Skip, 0.0),
                    };
                    let extras = Extras { clicks: &[], candidates: &candidates, context };
                    let none = Step { slate: &slate, choice, reward, propensity: None, timestamp };
                    log.append(&none, &extras);
                }
            }
            log.close_session(session.user());
        }
        log.build()
    }
}
