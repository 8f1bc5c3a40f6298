//! Features of a shown item that are counted in the training sessions. Learned users and click
//! models take the same ones, so comparisons between them are about the models and not about their
//! inputs.

use std::collections::BTreeMap;
use std::fmt::Debug;

use candle_core::{DType, Device, Tensor};
use foretaste_data::{Entry, ItemId, Log, Session};
use foretaste_nn::TABLE;
use foretaste_nn::checkpoint::Shapes;
use foretaste_random::Seed;
use foretaste_settings::Setting;
use rand::seq::SliceRandom;

use crate::Result;
use crate::counts::{CoClicks, Counts};

/// Numbers of an item that is shown at a place to a user with a history, which a model may take
/// in addition to the item's own features.
pub trait ContextFeatures: Debug + Send + Sync {
    /// How many numbers an item has.
    fn dim(&self) -> usize;

    /// Appends the numbers of each item of a slate, `[items, dim]` row-major, for a user whose
    /// clicks so far are `history`, oldest first.
    fn rows(&self, history: &[ItemId], slate: &[ItemId], rows: &mut Vec<f32>);

    /// The numbers of every item that a session was shown, in order. An organic event is a click of
    /// the history.
    fn session_rows(&self, session: Session<'_>, rows: &mut Vec<f32>) {
        let mut history = Vec::new();
        for entry in session.entries() {
            match entry {
                Entry::Event(event) => history.push(event.item),
                Entry::Step(_, step) => {
                    self.rows(&history, step.slate, rows);
                    history.extend(step.choice.item());
                }
            }
        }
    }
}

/// Strength, in showings, of the prior that draws the click rate of rarely shown items to that of
/// all.
const PRIOR: f64 = 10.0;
/// Parts of the training sessions for counting out of fold.
const FOLDS: usize = 10;

/// Counts of a log, and what they say of an item after some clicks.
///
/// | feature | |
/// |---|---|
/// | clicks, showings | ln(1 + clicks on a), ln(1 + slates that showed a) |
/// | rate | clicks on a per showing, drawn to the rate of all items as by 10 showings |
/// | similarity to the history | sum and largest of the cosines of a and each distinct click h, and the cosine of a and the last click: n_ah / √(n_a n_h) for n_a sessions that clicked a and n_ah that clicked both |
/// | repeats | how often a was clicked before in the session |
/// | history length | number of clicks before |
#[derive(Clone, Debug, PartialEq)]
pub struct CountFeatures {
    counts: Counts,
    co_clicks: CoClicks,
}

impl CountFeatures {
    /// How many numbers an item has.
    pub const DIM: usize = 8;
    /// Which of them is the click rate.
    pub const RATE: usize = 2;

    /// Of counts of the same sessions.
    pub fn new(counts: Counts, co_clicks: CoClicks) -> Self {
        Self { counts, co_clicks }
    }

    /// Of some sessions of a log.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if they hold an item that is none of `items`.
    pub fn counted(log: &Log, sessions: &[usize], items: usize) -> Result<Self> {
        let steps = sessions.iter().flat_map(|&session| log.session(session).steps());
        let counts = Counts::new(
            steps.map(|step| {
                let clicked = step.choice.item();
                (step.slate, step.slate.iter().position(|&item| clicked == Some(item)))
            }),
            items,
        )?;
        let clicks = |&session: &usize| {
            let session = log.session(session);
            let on_slates = session.steps().filter_map(|step| step.choice.item());
            on_slates.chain(session.events().map(|event| event.item)).collect::<Vec<_>>()
        };
        let clicks: Vec<_> = sessions.iter().map(clicks).collect();
        Ok(Self { counts, co_clicks: CoClicks::new(clicks.iter().map(Vec::as_slice), items)? })
    }

    /// Number of items that the features know.
    pub fn items(&self) -> usize {
        self.counts.clicks.len()
    }

    /// The features of each of some items after some clicks, oldest first.
    pub fn of_items<'a>(
        &'a self,
        history: &'a [ItemId],
        items: &'a [ItemId],
    ) -> impl Iterator<Item = [f64; Self::DIM]> + 'a {
        let distinct: Vec<ItemId> = (0..history.len())
            .filter(|&at| !history[..at].contains(&history[at]))
            .map(|at| history[at])
            .collect();
        items.iter().map(move |item| {
            let (mut sum, mut largest) = (0.0, 0f64);
            for click in &distinct {
                let similarity = self.co_clicks.cosine(click.0, item.0);
                sum += similarity;
                largest = largest.max(similarity);
            }
            [
                f64::from(self.counts.clicks[item.index()]).ln_1p(),
                f64::from(self.counts.shown[item.index()]).ln_1p(),
                self.rate(item.index()),
                sum,
                largest,
                history.last().map_or(0.0, |last| self.co_clicks.cosine(item.0, last.0)),
                history.iter().filter(|&clicked| clicked == item).count() as f64,
                history.len() as f64,
            ]
        })
    }

    /// It as tensors on the CPU, to be saved: `counts` `[items, 3]` (clicks, showings, sessions
    /// with a click) and `together` `[pairs, 3]` (two items, sessions that clicked both).
    ///
    /// # Errors
    /// An error of the network if there is no memory for them.
    pub fn tables(&self) -> Result<BTreeMap<String, Tensor>> {
        let Self { counts, co_clicks } = self;
        let of_item =
            |item: usize| [counts.clicks[item], counts.shown[item], co_clicks.sessions[item]];
        let of_items: Vec<u32> = (0..self.items()).flat_map(of_item).collect();
        let pairs = co_clicks.together.iter().zip(0u32..).flat_map(|(others, item)| {
            let rising = others.iter().filter(move |&&(other, _)| other > item);
            rising.flat_map(move |&(other, both)| [item, other, both])
        });
        let pairs: Vec<u32> = pairs.collect();
        let of_items = Tensor::from_vec(of_items, (self.items(), 3), &Device::Cpu)?;
        let mut tables = BTreeMap::from([(COUNTS.to_owned(), of_items)]);
        if !pairs.is_empty() {
            let shape = (pairs.len() / 3, 3);
            tables.insert(TOGETHER.to_owned(), Tensor::from_vec(pairs, shape, &Device::Cpu)?);
        }
        Ok(tables)
    }

    /// Refuses weights with more entries in tables than so many items can have, and others, before
    /// they are read.
    ///
    /// # Errors
    /// A [`Setting`] that names both numbers.
    pub fn check_tables(
        shapes: &Shapes,
        items: usize,
        others: usize,
    ) -> std::result::Result<(), Setting> {
        let pairs = items.saturating_mul(items.saturating_sub(1)) / 2;
        let counts = items.saturating_add(pairs).saturating_mul(3);
        let most = counts.saturating_add(2 * (Self::DIM + 1)).saturating_add(others);
        let found = shapes.below(TABLE).entries();
        if found > most {
            let problem = format!("{found} entries, expected at most {most} for {items} items");
            return Err(Setting::new("tables", problem));
        }
        Ok(())
    }

    /// What [`tables`](Self::tables) made, found among saved weights, for so many items.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a table is missing or its content does not fit.
    pub fn from_tables(weights: &BTreeMap<String, Tensor>, items: usize) -> Result<Self> {
        let counts = table(weights, COUNTS, [Some(items), Some(3)], DType::U32)?;
        let counts = counts.to_vec2::<u32>()?;
        let pairs = match weights.contains_key(TOGETHER) {
            true => table(weights, TOGETHER, [None, Some(3)], DType::U32)?.to_vec2::<u32>()?,
            false => Vec::new(),
        };
        let mut together = vec![Vec::new(); items];
        for pair in &pairs {
            let [a, b] = [pair[0], pair[1]];
            if a >= b || b as usize >= items {
                let problem = format!("clicks on {a} and {b}, expected two of {items} items");
                return Err(Setting::new(TOGETHER, problem).into());
            }
            together[a as usize].push((b, pair[2]));
            together[b as usize].push((a, pair[2]));
        }
        together.iter_mut().for_each(|others| others.sort_unstable());
        let column = |at: usize| counts.iter().map(|row| row[at]).collect::<Vec<u32>>();
        Ok(Self {
            counts: Counts::of(column(0), column(1)),
            co_clicks: CoClicks { sessions: column(2), together },
        })
    }

    fn rate(&self, item: usize) -> f64 {
        (f64::from(self.counts.clicks[item]) + PRIOR * self.counts.rate)
            / (f64::from(self.counts.shown[item]) + PRIOR)
    }
}

/// Sessions dealt into parts, each of which is to see the counts of the others alone: a row that
/// saw its own click would give it away.
#[derive(Clone, Debug)]
pub struct Folds {
    of: Vec<usize>,
}

impl Folds {
    /// So many sessions, dealt from `seed`.
    pub fn deal(sessions: usize, seed: Seed) -> Self {
        let mut of: Vec<usize> = (0..sessions).map(|session| session % FOLDS).collect();
        of.shuffle(&mut seed.derive("folds").stream(0));
        Self { of }
    }

    /// Number of folds that hold a session.
    pub fn len(&self) -> usize {
        FOLDS.min(self.of.len())
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The fold of a session, by its position.
    pub fn of(&self, session: usize) -> usize {
        self.of[session]
    }

    /// Those of `sessions`, by their positions, that are not in a fold.
    pub fn others(&self, sessions: &[usize], fold: usize) -> Vec<usize> {
        let others = sessions.iter().zip(&self.of).filter(|&(_, &other)| other != fold);
        others.map(|(&session, _)| session).collect()
    }
}

/// [`CountFeatures`], and the place if it is wanted, each less its mean and in units of its
/// standard deviation over the training sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct CountContext {
    features: CountFeatures,
    place: bool,
    mean: Vec<f64>,
    sd: Vec<f64>,
    places_alike: bool,
}

/// A context that was counted in training sessions.
pub struct CountedContext {
    /// For all other sessions.
    pub context: CountContext,
    /// The rows of each training session, in their order, counted in sessions other than its own.
    pub training: Vec<Vec<f32>>,
}

impl CountContext {
    /// Counts in these sessions of a log. Their own rows are counted out of fold, in ten folds that
    /// are dealt from `seed`.
    ///
    /// # Errors
    /// As [`CountFeatures::counted`].
    pub fn count(
        log: &Log,
        sessions: &[usize],
        items: usize,
        place: bool,
        seed: Seed,
    ) -> Result<CountedContext> {
        let dim = Self::width(place);
        let unscaled = |features| {
            let (mean, sd) = (vec![0.0; dim], vec![1.0; dim]);
            Self { features, place, mean, sd, places_alike: false }
        };
        let folds = Folds::deal(sessions.len(), seed);
        let mut training = vec![Vec::new(); sessions.len()];
        for fold in 0..folds.len() {
            let others = folds.others(sessions, fold);
            let context = unscaled(CountFeatures::counted(log, &others, items)?);
            for (at, rows) in
                training.iter_mut().enumerate().filter(|(at, _)| folds.of(*at) == fold)
            {
                context.session_rows(log.session(sessions[at]), rows);
            }
        }
        let mut context = unscaled(CountFeatures::counted(log, sessions, items)?);
        (context.mean, context.sd) = moments(&training, dim);
        for row in training.iter_mut().flat_map(|rows| rows.chunks_exact_mut(dim)) {
            for (at, value) in row.iter_mut().enumerate() {
                *value = context.scaled(at, f64::from(*value));
            }
        }
        Ok(CountedContext { context, training })
    }

    /// How many numbers an item has, with the place or without.
    pub fn width(place: bool) -> usize {
        CountFeatures::DIM + usize::from(place)
    }

    /// Number of items that it knows.
    pub fn items(&self) -> usize {
        self.features.items()
    }

    /// It as tensors on the CPU, to be saved: those of [`CountFeatures::tables`] and `scale` `[2,
    /// dim]` (means and standard deviations).
    ///
    /// # Errors
    /// An error of the network if there is no memory for them.
    pub fn tables(&self) -> Result<BTreeMap<String, Tensor>> {
        let scale = [&self.mean[..], &self.sd[..]].concat();
        let mut tables = self.features.tables()?;
        let scale = Tensor::from_vec(scale, (2, self.dim()), &Device::Cpu)?;
        tables.insert(SCALE.to_owned(), scale);
        Ok(tables)
    }

    /// What [`tables`](Self::tables) made, found among saved weights, for so many items.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a table is missing or its content does not fit.
    pub fn from_tables(
        weights: &BTreeMap<String, Tensor>,
        items: usize,
        place: bool,
    ) -> Result<Self> {
        let dim = Self::width(place);
        let features = CountFeatures::from_tables(weights, items)?;
        let scale = table(weights, SCALE, [Some(2), Some(dim)], DType::F64)?.to_vec2::<f64>()?;
        if let Some(sd) = scale[1].iter().find(|&&sd| !(sd > 0.0 && sd.is_finite())) {
            let problem = format!("a standard deviation of {sd}, expected a positive number");
            return Err(Setting::new(SCALE, problem).into());
        }
        let [mean, sd] = [scale[0].clone(), scale[1].clone()];
        Ok(Self { features, place, mean, sd, places_alike: false })
    }

    /// The same, to which all places are the mean place of the training sessions: for a model that
    /// is asked of items that stand at none.
    #[must_use]
    pub fn with_places_alike(self) -> Self {
        Self { places_alike: true, ..self }
    }

    fn scaled(&self, at: usize, value: f64) -> f32 {
        ((value - self.mean[at]) / self.sd[at]) as f32
    }
}

impl ContextFeatures for CountContext {
    fn dim(&self) -> usize {
        Self::width(self.place)
    }

    fn rows(&self, history: &[ItemId], slate: &[ItemId], rows: &mut Vec<f32>) {
        for (place, features) in self.features.of_items(history, slate).enumerate() {
            let place = if self.places_alike { self.mean[self.dim() - 1] } else { place as f64 };
            let values = features.into_iter().chain(self.place.then_some(place));
            rows.extend(values.enumerate().map(|(at, value)| self.scaled(at, value)));
        }
    }
}

// Names that start with `foretaste_nn::TABLE`.
const COUNTS: &str = "table.context.counts";
const TOGETHER: &str = "table.context.together";
const SCALE: &str = "table.context.scale";

/// The table of this name, if it is of this shape, where that is given, and type.
fn table<'a>(
    weights: &'a BTreeMap<String, Tensor>,
    name: &'static str,
    shape: [Option<usize>; 2],
    dtype: DType,
) -> Result<&'a Tensor> {
    let found = weights.get(name);
    let fits = |tensor: &&Tensor| {
        let dims = tensor.dims();
        let same =
            |(found, expected): (&usize, Option<usize>)| expected.is_none_or(|e| e == *found);
        tensor.dtype() == dtype && dims.len() == 2 && dims.iter().zip(shape).all(same)
    };
    found.filter(fits).ok_or_else(|| {
        let found = found.map(|tensor| (tensor.dims(), tensor.dtype()));
        let problem = format!("{found:?}, expected {shape:?} of {dtype:?}");
        Setting::new(name, problem).into()
    })
}

/// Mean and standard deviation of each column, the latter 1 where a column does not vary.
fn moments(training: &[Vec<f32>], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = || training.iter().flat_map(|rows| rows.chunks_exact(dim));
    let count = rows().count().max(1) as f64;
    let (mut mean, mut square) = (vec![0.0; dim], vec![0.0; dim]);
    for row in rows() {
        mean.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / count);
    }
    for row in rows() {
        for ((square, &value), mean) in square.iter_mut().zip(row).zip(&mean) {
            *square += (f64::from(value) - mean).powi(2) / count;
        }
    }
    let sd = square.into_iter().map(|square: f64| if square > 1e-12 { square.sqrt() } else { 1.0 });
    (mean, sd.collect())
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, LogBuilder, Step};
    use proptest::prelude::*;

    use super::*;

    /// Sessions of slates with the item clicked on each.
    fn log(sessions: &[Vec<(Vec<u32>, Option<u32>)>]) -> Log {
        let mut log = LogBuilder::default();
        for session in sessions {
            for (slate, clicked) in session {
                let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
                let choice = clicked.map_or(Choice::Skip, |item| Choice::Item(ItemId(item)));
                log.push(Step::new(&slate, choice, 0.0)).unwrap();
            }
            log.end_session(None).unwrap();
        }
        log.build()
    }

    /// Clicks {1, 4, 5}, {4} and {3, 0, 2}.
    #[test]
    fn counts_of_a_small_log() {
        let small = log(&[
            vec![(vec![0, 1, 4], Some(1)), (vec![4, 5], Some(4)), (vec![5, 2], Some(5))],
            vec![(vec![4, 1], Some(4)), (vec![1, 3], None)],
            vec![(vec![3], Some(3)), (vec![0, 1], Some(0)), (vec![2], Some(2))],
        ]);
        let CountFeatures { counts, co_clicks } =
            CountFeatures::counted(&small, &[0, 1, 2], 6).unwrap();
        assert_eq!(counts.clicks, [1, 1, 1, 1, 2, 1]);
        assert_eq!(counts.shown, [2, 4, 2, 2, 3, 2]);
        assert_eq!(counts.rate, 7.0 / 15.0);
        assert_eq!(co_clicks.sessions, [1, 1, 1, 1, 2, 1]);
        assert_eq!(co_clicks.together[4], [(1, 1), (5, 1)]);
        assert_eq!(co_clicks.cosine(4, 1), 1.0 / 2f64.sqrt());
        assert_eq!((co_clicks.cosine(4, 4), co_clicks.cosine(4, 0)), (0.0, 0.0));
        let regularised: Vec<_> = co_clicks.cosines(4, 2.0).collect();
        assert_eq!(regularised, [(1, 1.0 / 12f64.sqrt()), (5, 1.0 / 12f64.sqrt())]);
        let unknown = CountFeatures::counted(&small, &[0, 1, 2], 5).unwrap_err().to_string();
        assert!(unknown.contains("item 5"), "{unknown}");
    }

    fn sessions() -> impl Strategy<Value = Vec<Vec<(Vec<u32>, Option<u32>)>>> {
        let step = (
            prop::sample::subsequence((0..8).collect::<Vec<u32>>(), 1..5),
            any::<prop::sample::Index>(),
            any::<bool>(),
        )
            .prop_map(|(slate, at, clicks)| {
                let clicked = clicks.then(|| slate[at.index(slate.len())]);
                (slate, clicked)
            });
        prop::collection::vec(prop::collection::vec(step, 1..5), 12..30)
    }

    proptest! {
        /// Rows of training do not change with what the session itself clicked last: neither its
        /// counts nor its history see that click.
        #[test]
        fn a_training_row_does_not_see_its_own_click(
            mut sessions in sessions(), changed in any::<prop::sample::Index>()
        ) {
            let all: Vec<usize> = (0..sessions.len()).collect();
            let rows = |sessions: &[Vec<_>]| {
                let features = |fold: usize, folds: &Folds| {
                    CountFeatures::counted(&log(sessions), &folds.others(&all, fold), 8).unwrap()
                };
                let folds = Folds::deal(all.len(), Seed::new(3));
                let at = changed.index(all.len());
                let found = features(folds.of(at), &folds);
                let history: Vec<ItemId> = sessions[at][..sessions[at].len() - 1]
                    .iter().filter_map(|(_, clicked)| clicked.map(ItemId)).collect();
                let slate: Vec<ItemId> =
                    sessions[at].last().unwrap().0.iter().copied().map(ItemId).collect();
                found.of_items(&history, &slate).collect::<Vec<_>>()
            };
            let before = rows(&sessions);
            let at = changed.index(sessions.len());
            let last = sessions[at].last_mut().unwrap();
            last.1 = if last.1.is_some() { None } else { Some(last.0[0]) };
            prop_assert_eq!(before, rows(&sessions));
        }

        /// Over the training rows every column has mean 0 and variance 1, or does not vary.
        #[test]
        fn training_rows_are_standardised(sessions in sessions(), place in any::<bool>()) {
            let (log, all) = (log(&sessions), (0..sessions.len()).collect::<Vec<_>>());
            let CountedContext { context, training } =
                CountContext::count(&log, &all, 8, place, Seed::new(5)).unwrap();
            let (mean, sd) = moments(&training, context.dim());
            for (mean, sd) in mean.into_iter().zip(sd) {
                prop_assert!(mean.abs() < 1e-4 && (sd - 1.0).abs() < 1e-3, "{} {}", mean, sd);
            }
            let tables = context.tables().unwrap();
            prop_assert_eq!(CountContext::from_tables(&tables, 8, place).unwrap(), context);
            prop_assert!(CountContext::from_tables(&tables, 7, place).is_err());
            prop_assert!(CountContext::from_tables(&tables, 8, !place).is_err());
        }
    }
}
