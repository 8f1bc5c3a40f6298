use rand::seq::SliceRandom;
use understudy_data::{Log, Split};
use understudy_random::Seed;

use crate::Displays;

/// What a model is fitted to and chosen by. The test sessions are not in it.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The log.
    pub log: &'a Log,
    /// Number of items of the catalogue.
    pub items: usize,
    /// The training sessions.
    pub train: &'a [usize],
    /// The validation sessions.
    pub validation: &'a [usize],
}

impl<'a> Data<'a> {
    /// The training and validation sessions of `split`.
    pub fn new(log: &'a Log, items: usize, split: &'a Split) -> Self {
        Self { log, items, train: &split.train, validation: &split.validation }
    }

    pub(crate) fn training(&self) -> Displays<'a> {
        Displays::new(self.log, self.train)
    }

    pub(crate) fn validation(&self) -> Displays<'a> {
        Displays::new(self.log, self.validation)
    }

    /// The displays of validation sessions drawn from `seed` until they hold `displays`, or all.
    pub(crate) fn validation_sample(&self, displays: usize, seed: Seed) -> Displays<'a> {
        let mut sessions = self.validation.to_vec();
        sessions.shuffle(&mut seed.derive("validation sample").stream(0));
        let mut held = 0;
        let enough = |session: &usize| {
            let before = held;
            held += self.log.session(*session).len();
            before < displays
        };
        Displays::new(self.log, &sessions.into_iter().take_while(enough).collect::<Vec<_>>())
    }
}

/// `wanted` of `count` numbers from 0, drawn without replacement from `seed`, rising; all of them if there are no more.
pub(crate) fn sample(count: usize, wanted: usize, seed: Seed) -> Vec<usize> {
    if wanted >= count {
        return (0..count).collect();
    }
    let mut drawn = rand::seq::index::sample(&mut seed.derive("sample").stream(0), count, wanted).into_vec();
    drawn.sort_unstable();
    drawn
}
