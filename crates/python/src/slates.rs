//! What an action shows: slates of distinct items out of those that may be shown.

use foretaste_data::ItemId;
use foretaste_settings::Setting;
use foretaste_sim::Result;

/// The actions of `n` environments, in one of three forms.
#[derive(Clone, Copy, Debug)]
pub enum Actions<'a> {
    /// The items of each slate, `[n, k]`.
    Slates(&'a [i64]),
    /// A score of every item, `[n, items]`; the k highest are shown, the highest first, and of
    /// equals the one of the smaller id.
    Scores(&'a [f32]),
    /// The next item of each slate, `[n]`.
    Items(&'a [i64]),
}

impl Actions<'_> {
    /// Refuses items that do not exist and scores that are no numbers, but for environments whose
    /// action is ignored.
    ///
    /// # Errors
    /// [`Error::Setting`](foretaste_sim::Error::Setting), which names the first.
    pub fn check(&self, items: usize, k: usize, ignored: impl Fn() -> Vec<bool>) -> Result<()> {
        let outside = |item: &i64| !(0..items as i64).contains(item);
        let (wrong, width): (Box<dyn Fn(usize) -> bool>, _) = match *self {
            Self::Slates(actions) | Self::Items(actions) if !actions.iter().any(outside) => {
                return Ok(());
            }
            Self::Scores(scores) if !scores.iter().any(|score| score.is_nan()) => return Ok(()),
            Self::Slates(actions) => (Box::new(move |at| outside(&actions[at])), k),
            Self::Items(actions) => (Box::new(move |at| outside(&actions[at])), 1),
            Self::Scores(scores) => (Box::new(move |at| scores[at].is_nan()), items),
        };
        let ignored = ignored();
        let entries = (0..ignored.len() * width).filter(|at| !ignored[at / width]);
        let Some(at) = entries.into_iter().find(|&at| wrong(at)) else { return Ok(()) };
        let (environment, place) = (at / width, at % width);
        let problem = match *self {
            Self::Scores(_) => {
                format!(
                    "environment {environment}: the score of item {place} is NaN; expected a number"
                )
            }
            Self::Slates(actions) | Self::Items(actions) => format!(
                "environment {environment}, place {place}: item {}; expected one of 0 to {}",
                actions[at],
                items - 1
            ),
        };
        Err(Setting::new("action", problem).into())
    }
}

/// One slate after the other, made from actions that were [checked](Actions::check).
#[derive(Clone, Debug)]
pub struct Slate {
    k: usize,
    items: Vec<ItemId>,
    /// Of each item, the last slate that held it.
    marks: Vec<u32>,
    slate: u32,
    /// Places whose item cannot be shown there.
    wrong: Vec<usize>,
    order: Vec<u32>,
}

impl Slate {
    /// Slates of `k` items.
    pub fn new(k: usize) -> Self {
        let items = Vec::with_capacity(k);
        Self { k, items, marks: Vec::new(), slate: 0, wrong: Vec::new(), order: Vec::new() }
    }

    /// The items so far; all of them, where the slate is [full](Self::is_full).
    pub fn items(&self) -> &[ItemId] {
        &self.items
    }

    /// Whether it holds k items.
    pub fn is_full(&self) -> bool {
        self.items.len() == self.k
    }

    /// Takes all items off.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// Takes an environment's action, and returns how many places had to be repaired. The first of
    /// equal items keeps its place. A repeated item, or one that may not be shown, is replaced by
    /// the smallest that may be shown and is nowhere on the slate.
    pub fn take(&mut self, actions: Actions<'_>, environment: usize, allowed: &[bool]) -> usize {
        match actions {
            Actions::Slates(slates) => {
                self.fill(&slates[environment * self.k..][..self.k], allowed)
            }
            Actions::Scores(scores) => {
                self.rank(&scores[environment * allowed.len()..][..allowed.len()], allowed);
                0
            }
            Actions::Items(items) => self.append(items[environment], allowed),
        }
    }

    /// The first items that may be shown: what those see whose action is ignored.
    pub fn any(&mut self, allowed: &[bool]) {
        self.items.clear();
        let items = (0..allowed.len()).filter(|&item| allowed[item]).take(self.k);
        self.items.extend(items.map(|item| ItemId(item as u32)));
    }

    fn fill(&mut self, wanted: &[i64], allowed: &[bool]) -> usize {
        self.marks.resize(allowed.len(), 0);
        self.slate = self.slate.wrapping_add(1);
        if self.slate == 0 {
            self.marks.fill(0);
            self.slate = 1;
        }
        self.items.clear();
        self.wrong.clear();
        for (place, &item) in wanted.iter().enumerate() {
            let mark = &mut self.marks[item as usize];
            if *mark == self.slate || !allowed[item as usize] {
                self.wrong.push(place);
            } else {
                *mark = self.slate;
            }
            self.items.push(ItemId(item as u32));
        }
        let mut free = 0;
        for &place in &self.wrong {
            while !allowed[free] || self.marks[free] == self.slate {
                free += 1;
            }
            self.marks[free] = self.slate;
            self.items[place] = ItemId(free as u32);
        }
        self.wrong.len()
    }

    fn rank(&mut self, scores: &[f32], allowed: &[bool]) {
        self.order.clear();
        self.order.extend((0..allowed.len() as u32).filter(|&item| allowed[item as usize]));
        let higher = |&a: &u32, &b: &u32| {
            let (of_a, of_b) = (scores[a as usize], scores[b as usize]);
            of_b.partial_cmp(&of_a).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b))
        };
        if self.k < self.order.len() {
            self.order.select_nth_unstable_by(self.k, higher);
            self.order.truncate(self.k);
        }
        self.order.sort_unstable_by(higher);
        self.items.clear();
        self.items.extend(self.order.iter().map(|&item| ItemId(item)));
    }

    fn append(&mut self, wanted: i64, allowed: &[bool]) -> usize {
        let wanted = ItemId(wanted as u32);
        let fits = |item: &ItemId| allowed[item.index()] && !self.items.contains(item);
        let repaired = !fits(&wanted);
        let item = if repaired {
            (0..allowed.len() as u32).map(ItemId).find(fits).unwrap_or(wanted)
        } else {
            wanted
        };
        self.items.push(item);
        usize::from(repaired)
    }
}
