//! The one place where rows of any format become a log. It numbers ids, counts what is dropped, and
//! enforces the limits, so a format only says what a row contains.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault};
use std::path::{Path, PathBuf};

use foretaste_data::{
    Catalogue, Category, Choice, Context, Dataset, Event, Extras, Facts, Fault, ItemId, LogBuilder,
    SessionIds, Step, Vocabulary,
};
use hashbrown::HashSet;

use super::Reading;
use super::bad_rows::BadRows;
use super::record::{List, Strings, whole};
use super::{Checked, Place, Row, Table, Text};
use crate::limits::{Limits, beyond};
use crate::{Error, Result};

/// A step about to be collected; its slate has been shown by [`Collector::show`].
pub(crate) struct Answer<'a> {
    /// The raw id of the chosen item, or what else the user did.
    pub(crate) choice: std::result::Result<&'a str, Choice>,
    pub(crate) reward: f32,
    pub(crate) propensity: Option<&'a [f32]>,
    pub(crate) timestamp: Option<i64>,
}

/// A step of our schema about to be collected, whose choices are known items of the slate.
pub(crate) struct Taken<'a> {
    pub(crate) choice: Choice,
    pub(crate) reward: f32,
    pub(crate) propensity: Option<&'a [f32]>,
    pub(crate) timestamp: Option<i64>,
    /// All clicks, where there are several.
    pub(crate) clicks: &'a [(ItemId, f32)],
    pub(crate) candidates: &'a List<'a>,
    /// A text for each column of the context, empty where it is not known.
    pub(crate) context: Option<&'a Strings>,
}

/// What every reader builds: the log, its vocabularies, and the count of what was dropped.
pub(crate) struct Collector {
    /// The files that are read, and which of them is.
    parts: Vec<PathBuf>,
    part: usize,
    /// The share of all files that was read before this one, and that this one is.
    scale: (f64, f64),
    /// Sessions of more steps are left out.
    max_session_steps: Option<usize>,
    limits: Limits,
    /// Whether the files say nothing of users who leave.
    leaving_is_unknown: bool,
    log: LogBuilder,
    items: Vocabulary,
    users: Vocabulary,
    sessions: SessionIds,
    /// The raw id of the open session.
    session: String,
    /// Whether the open session lost a row.
    spoiled: bool,
    /// Sessions without a step left that lost a row.
    lost_sessions: u64,
    /// Sessions that bad rows named while another was open: lost, unless they have rows of their
    /// own.
    named: HashSet<String>,
    slate: Vec<ItemId>,
    pool: Vec<ItemId>,
    contexts: Vec<KnownContext>,
    /// The categories of the step about to be collected.
    categories: Vec<Category>,
    /// How many items were known when the open session began.
    items_before: usize,
    /// How many items the collected steps know; those beyond belong to a step that may yet be
    /// rejected.
    known_items: usize,
    seen: Seen,
    bad: BadRows,
    reading: Reading,
}

impl Collector {
    /// `max_bad` is the largest share of rows, and of sessions, that may be bad; `None` if none
    /// may. `max_session_steps` is how many steps a session may have that is kept.
    pub(crate) fn new(
        parts: Vec<PathBuf>,
        max_bad: Option<f64>,
        max_session_steps: Option<usize>,
        limits: Limits,
    ) -> Self {
        let path = parts.first().cloned().unwrap_or_default();
        Self {
            parts,
            part: 0,
            scale: (0.0, 1.0),
            max_session_steps,
            limits,
            leaving_is_unknown: false,
            log: LogBuilder::default(),
            items: Vocabulary::default(),
            users: Vocabulary::default(),
            sessions: SessionIds::default(),
            session: String::new(),
            spoiled: false,
            lost_sessions: 0,
            named: HashSet::new(),
            slate: Vec::new(),
            pool: Vec::new(),
            contexts: Vec::new(),
            categories: Vec::new(),
            items_before: 0,
            known_items: 0,
            seen: Seen::default(),
            bad: BadRows::new(&path, max_bad),
            reading: Reading::default(),
        }
    }

    /// How large what is read may be.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The file that is read.
    pub(crate) fn path(&self) -> &Path {
        &self.parts[self.part]
    }

    /// Which of the files is read.
    pub(crate) fn part(&self) -> usize {
        self.part
    }

    /// Goes to another of the files.
    pub(crate) fn set_part(&mut self, part: usize) {
        if part != self.part {
            self.part = part;
            self.bad.go_to(&self.parts[part]);
        }
    }

    /// Says what share of all files was read before this one, and which share this one is.
    pub(crate) fn scale(&mut self, before: f64, own: f64) {
        self.scale = (before, own);
    }

    /// Says what the numbers of the log mean.
    pub(crate) fn declare(&mut self, facts: Facts) {
        self.log.declare(facts);
    }

    /// The number of a column of the context, which is added if it is new.
    pub(crate) fn context_column(&mut self, name: &str) -> usize {
        let known = self.contexts.iter().position(|known| known.context.name == name);
        known.unwrap_or_else(|| {
            let context = Context { name: name.to_owned(), values: Vocabulary::default() };
            self.contexts.push(KnownContext { context, known: 0, before: 0 });
            self.contexts.len() - 1
        })
    }

    /// Columns of the context in the order of their numbers; `None` for those that are not among
    /// them.
    pub(crate) fn in_order<T>(&mut self, columns: Vec<(String, T)>) -> Vec<Option<T>> {
        let mut ordered: Vec<Option<T>> = Vec::new();
        for (name, column) in columns {
            let at = self.context_column(&name);
            ordered.resize_with(ordered.len().max(at + 1), || None);
            ordered[at] = Some(column);
        }
        ordered
    }

    /// Counts a row, and makes room for the rest of the file once in a while: `fraction` of it has
    /// been read.
    pub(crate) fn count_row(&mut self, fraction: f64) {
        const RESERVE_EVERY: u64 = 1 << 15;
        self.reading.rows += 1;
        if self.reading.rows.is_multiple_of(RESERVE_EVERY) {
            let fraction = self.scale.0 + self.scale.1 * fraction;
            self.log.reserve_for(fraction, RESERVE_EVERY as f64 / self.reading.rows as f64);
        }
    }

    /// Opens a session. One that was seen before is a fault.
    pub(crate) fn open(&mut self, session: &str) -> Checked {
        self.session.clear();
        self.session.push_str(session);
        self.spoiled = false;
        self.items_before = self.items.len();
        self.contexts.iter_mut().for_each(|known| known.before = known.known);
        if !self.seen.insert(session) {
            self.reading.refused_sessions += 1;
            return Err(Fault::value("session", "all rows of a session together", session));
        }
        Ok(())
    }

    /// Begins a slate. Items of a step that is not collected in the end do not enter the catalogue.
    pub(crate) fn begin_slate(&mut self) {
        self.slate.clear();
    }

    /// Shows an item at the slate's next place.
    pub(crate) fn show(&mut self, item: &str) {
        self.slate.push(ItemId(self.items.intern(item)));
    }

    /// Shows a list of items that is separated by blanks.
    pub(crate) fn show_words(&mut self, list: &str) {
        let Self { items, slate, .. } = self;
        items.intern_words(list, |item| slate.push(ItemId(item)));
    }

    /// The slate so far.
    pub(crate) fn slate(&self) -> &[ItemId] {
        &self.slate
    }

    /// How many places the slate has so far.
    pub(crate) fn places(&self) -> usize {
        self.slate.len()
    }

    /// The item at a place of the slate.
    pub(crate) fn at(&self, place: usize) -> Option<ItemId> {
        self.slate.get(place).copied()
    }

    /// The item of the slate that has this id, be it that one of the two was written as a float:
    /// `7.0` is 7.
    pub(crate) fn find(&self, raw: &str) -> Option<ItemId> {
        let on_slate =
            |raw: &str| self.items.get(raw).map(ItemId).filter(|item| self.slate.contains(item));
        on_slate(raw).or_else(|| {
            let digits = raw.bytes().all(|byte| byte.is_ascii_digit());
            match whole(raw) {
                _ if digits => on_slate(&format!("{raw}.0")),
                other if other != raw => on_slate(other),
                _ => None,
            }
        })
    }

    /// Whether the slate and what is said of it are the same as on the last step of the open
    /// session.
    pub(crate) fn repeats(&self, choice: Choice, reward: f32, timestamp: Option<i64>) -> bool {
        self.log.last().is_some_and(|last| {
            last.slate == self.slate
                && last.choice == choice
                && last.reward == reward
                && last.timestamp == timestamp
        })
    }

    /// Adds an organic event to the open session.
    pub(crate) fn event(&mut self, item: &str, event: Event) {
        let item = ItemId(self.items.intern(item));
        self.known_items = self.items.len();
        self.log.event(Event { item, ..event });
    }

    /// Collects the step that the slate and the answer make.
    pub(crate) fn push(&mut self, answer: &Answer<'_>) -> Checked {
        let choice = match answer.choice {
            Ok(raw) => match self.find(raw) {
                Some(item) => Choice::Item(item),
                None if self.slate.is_empty() => Choice::Skip,
                None => return Err(Fault::value("chosen", "an item of the slate", raw)),
            },
            Err(choice) => choice,
        };
        let Answer { reward, propensity, timestamp, .. } = *answer;
        let (clicks, candidates, context) = (&[][..], &List::Empty, None);
        self.collect(&Taken { choice, reward, propensity, timestamp, clicks, candidates, context })
    }

    /// Collects a step of the slate.
    pub(crate) fn collect(&mut self, taken: &Taken<'_>) -> Checked {
        let Taken { choice, reward, propensity, timestamp, clicks, candidates, context } = *taken;
        let Self { items, pool, .. } = self;
        pool.clear();
        candidates.each("candidates", |item| {
            pool.push(ItemId(items.intern(item)));
            Ok(())
        })?;
        self.check_sizes()?;
        let Self { contexts, categories, .. } = self;
        categories.clear();
        let texts = context.into_iter().flat_map(Strings::iter).zip(contexts);
        categories.extend(texts.map(|(text, known)| match text {
            "" => Category::UNKNOWN,
            text => Category::new(known.context.values.intern(text)),
        }));
        let step = Step { slate: &self.slate, choice, reward, propensity, timestamp };
        let extras = Extras { clicks, candidates: &self.pool, context: &self.categories };
        self.log.try_push_with(&step, &extras).map_err(|fault| {
            // The builder knows the numbers of items only.
            let mut seen = HashSet::new();
            match self.slate.iter().find(|&&item| !seen.insert(item)) {
                Some(item) => {
                    let found = format!("{:?} twice", self.items.name(item.0));
                    Fault::new("shown", "every item once", found)
                }
                None => fault,
            }
        })?;
        self.known_items = self.items.len();
        self.contexts.iter_mut().for_each(|known| known.known = known.context.values.len());
        Ok(())
    }

    /// Refuses a step of too many items, and an item beyond those that a log may have.
    fn check_sizes(&self) -> Checked {
        let Limits { slate_items, ids, session_steps, .. } = self.limits;
        for (field, items) in [("shown", self.slate.len()), ("candidates", self.pool.len())] {
            if items > slate_items {
                let found = format!("{items} items");
                return Err(beyond(field, found, slate_items, "--max-slate-items"));
            }
        }
        if self.items.len() > ItemId::MAX_ITEMS {
            return Err(Fault::new("shown", "fewer than 2^32 - 1 different items", "more"));
        }
        if self.items.len() > ids {
            let found = format!("the {} of different items", self.items.len());
            return Err(beyond("shown", found, ids, "--max-ids"));
        }
        if self.max_session_steps.is_none() && self.log.open_steps() >= session_steps {
            let found = format!("step {} of a session", self.log.open_steps() + 1);
            return Err(beyond("session", found, session_steps, "--max-session-steps"));
        }
        Ok(())
    }

    /// A null on the last step of a session means that the user left, where the file does not say.
    pub(crate) fn leave_on_last_step(&mut self) {
        if !self.leaving_is_unknown {
            self.log.leave_on_last_step();
        }
    }

    /// Says that a session ends where its log does, not with its user's leaving.
    pub(crate) fn leaving_is_unknown(&mut self) {
        self.leaving_is_unknown = true;
    }

    /// Closes the open session; one without a step is dropped.
    pub(crate) fn close(&mut self, user: Option<&str>) -> Result<()> {
        if self.max_session_steps.is_some_and(|most| self.log.open_steps() > most) {
            self.log.abandon_session();
            self.items.truncate(self.items_before);
            self.known_items = self.items.len();
            self.contexts.iter_mut().for_each(|known| known.known = known.before);
            self.forget_categories();
            self.reading.long_sessions += 1;
            return Ok(());
        }
        if self.log.open_steps() == 0 {
            self.log.abandon_session();
            self.reading.empty_sessions += 1;
            self.lost_sessions += u64::from(self.spoiled);
            return Ok(());
        }
        let user = user.map(|user| self.users.intern(user));
        self.log.end_session(user)?;
        self.sessions.push(self.log.sessions() - 1, &self.session);
        let (path, ids) = (self.path(), self.limits.ids);
        let context = self.contexts.iter().map(|known| known.context.values.len());
        let different = context.chain([self.users.len(), self.log.sessions()]).max();
        match different.filter(|&different| different > ids) {
            None => Ok(()),
            Some(_) => {
                let problem = format!(
                    "has more than {ids} different sessions, users or values of the context; \
                     --max-ids raises the bound"
                );
                Err(Error::file(path, problem))
            }
        }
    }

    /// Takes note of `rows` rows that cannot be used, of a session if it is known: an error, or a
    /// count if bad rows are skipped. A session that is not open, and never will be, is lost.
    pub(crate) fn reject(
        &mut self,
        place: Place,
        rows: u64,
        session: Option<&str>,
        fault: Fault,
    ) -> Result<()> {
        self.items.truncate(self.known_items);
        self.forget_categories();
        match session.filter(|session| *session != self.session) {
            Some(other) => _ = self.named.insert(other.to_owned()),
            None => self.spoiled = true,
        }
        self.bad.reject(place, rows, session, fault)
    }

    /// Reads a table of which every row is one of the log's; rows that cannot be used are rejected.
    /// `session` is the column of the sessions, if one of which no row can be read is lost.
    pub(crate) fn read_rows(
        &mut self,
        mut table: Table<'_>,
        session: Option<usize>,
        mut take: impl FnMut(Text<'_>) -> Checked,
    ) -> Result<()> {
        while let Some(row) = table.next()? {
            self.count_row(row.fraction);
            if let Err(fault) = row.text().and_then(&mut take) {
                let named = session.and_then(|column| row.lone_field(column));
                self.reject(row.place(), 1, named, fault)?;
            }
        }
        Ok(())
    }

    /// Reads a file that is next to the log, row by row; rows that cannot be used are an error, or
    /// are counted and limited as those of the log are.
    pub(crate) fn read_beside(
        &mut self,
        mut table: Table<'_>,
        mut take: impl FnMut(Row<'_>) -> Checked,
    ) -> Result<()> {
        let (mut bad, mut rows) = (self.bad_rows_beside(table.path()), 0);
        while let Some(row) = table.next()? {
            rows += 1;
            if let Err(fault) = take(row) {
                bad.reject(row.place(), 1, None, fault)?;
            }
        }
        self.finish_beside(bad, rows)
    }

    /// The bad rows of a file that is next to the log, to be given to
    /// [`Collector::finish_beside`].
    pub(crate) fn bad_rows_beside(&self, path: &Path) -> BadRows {
        self.bad.beside(path)
    }

    /// Checks and counts the bad ones among the `rows` rows of a file that is next to the log.
    pub(crate) fn finish_beside(&mut self, bad: BadRows, rows: u64) -> Result<()> {
        bad.check(rows, None)?;
        self.count_dropped(bad);
        Ok(())
    }

    /// Forgets the categories of a step that is not collected.
    fn forget_categories(&mut self) {
        self.contexts.iter_mut().for_each(|known| known.context.values.truncate(known.known));
    }

    fn count_dropped(&mut self, bad: BadRows) {
        let dropped = &mut self.reading.dropped;
        bad.into_reasons()
            .into_iter()
            .for_each(|(why, count)| *dropped.entry(why).or_default() += count);
    }

    /// Leaves out a row of a kind that the data set is known to hold and a log cannot: counted,
    /// never an error.
    pub(crate) fn leave_out(&mut self, fault: &Fault) {
        self.items.truncate(self.known_items);
        self.forget_categories();
        *self.reading.dropped.entry(fault.reason()).or_default() += 1;
    }

    /// Takes note of columns that are not read.
    pub(crate) fn ignore(&mut self, columns: &[String]) {
        for column in columns {
            if !self.reading.ignored_columns.contains(column) {
                self.reading.ignored_columns.push(column.clone());
            }
        }
    }

    /// Says what the file calls the columns of the schema, for errors.
    pub(crate) fn name_columns(&mut self, columns: &BTreeMap<String, String>) {
        self.bad.name_columns(columns);
    }

    /// Adds a remark to the summary.
    pub(crate) fn note(&mut self, note: String) {
        self.reading.notes.push(note);
    }

    /// The data set, and what was read.
    ///
    /// # Errors
    /// [`Error::File`] if no session is left, or more rows or sessions were dropped than may be.
    pub(crate) fn finish(mut self, name: String) -> Result<(Dataset, Reading)> {
        let never_open =
            self.named.iter().filter(|session| self.seen.insert(session)).count() as u64;
        self.lost_sessions += never_open;
        self.reading.empty_sessions += never_open;
        let Reading { rows, empty_sessions, refused_sessions, .. } = self.reading;
        let bad = std::mem::replace(&mut self.bad, BadRows::new(&self.parts[0], None));
        let kept = self.log.sessions() as u64;
        if kept > 0 {
            bad.check(
                rows,
                Some((
                    self.lost_sessions + refused_sessions,
                    kept + empty_sessions + refused_sessions,
                )),
            )?;
        }
        self.count_dropped(bad);
        if kept == 0 {
            return Err(Error::file(&self.parts[0], nothing_left(&self.reading)));
        }
        let (log, catalogue) = (self.log.build(), Catalogue::new(self.items));
        let dataset = Dataset {
            name,
            log,
            catalogue,
            users: self.users,
            sessions: self.sessions,
            contexts: self.contexts.into_iter().map(|known| known.context).collect(),
            ..Dataset::default()
        };
        Ok((dataset, self.reading))
    }
}

fn nothing_left(reading: &Reading) -> String {
    if reading.rows == 0 {
        return "has a header and no rows".into();
    }
    if reading.dropped.is_empty() && reading.long_sessions > 0 {
        return "has no session of as few steps as --max-session-steps allows".into();
    }
    if reading.dropped.is_empty() {
        return "has no slate; events without a slate are kept only together with slates".into();
    }
    let reasons: Vec<String> =
        reading.dropped.iter().map(|(why, count)| format!("{count} × {why}")).collect();
    format!("none of its {} rows could be used ({})", reading.rows, reasons.join("; "))
}

/// A column of the context, and how many of its values the collected steps know; those beyond
/// belong to a step that may yet be rejected.
struct KnownContext {
    context: Context,
    known: usize,
    /// How many were known when the open session began.
    before: usize,
}

/// The sessions seen so far.
#[derive(Default)]
struct Seen {
    /// Those whose ids are whole numbers above all before them: the usual case, and cheap to
    /// remember.
    rising: Vec<u64>,
    /// Hashes of all others. 64 bits: among 10⁷ sessions two share a hash with probability 3·10⁻⁶,
    /// which would be reported as a session that reappears.
    others: HashSet<u64>,
    hashing: BuildHasherDefault<DefaultHasher>,
}

impl Seen {
    /// Whether the session is new.
    fn insert(&mut self, session: &str) -> bool {
        // "07" and "+7" are other ids than "7".
        let plain = session.bytes().all(|byte| byte.is_ascii_digit())
            && (session == "0" || !session.starts_with('0'));
        if let Some(number) = session.parse().ok().filter(|_| plain) {
            if self.rising.last().is_none_or(|&last| last < number) {
                self.rising.push(number);
                return true;
            }
            if self.rising.binary_search(&number).is_ok() {
                return false;
            }
        }
        self.others.insert(self.hashing.hash_one(session))
    }
}
