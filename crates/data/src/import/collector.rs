use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault};
use std::path::{Path, PathBuf};

use hashbrown::HashSet;

use super::table;
use crate::error::Fault;
use crate::{Catalogue, Choice, Dataset, Error, ItemId, LogBuilder, Reading, Result, Step, Vocabulary};

/// A step about to be collected; its slate has been shown by [`Collector::show`].
pub(super) struct Answer<'a> {
    /// The raw id of the chosen item, or what else the user did.
    pub(super) choice: std::result::Result<&'a str, Choice>,
    pub(super) reward: f32,
    pub(super) propensity: Option<&'a [f32]>,
    pub(super) timestamp: Option<i64>,
}

/// Where a row stands: what an error needs to name its line.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The line, or the row of a file without lines, from 1.
    Line(u64),
    /// The byte of a delimited file, see [`table::line_at`].
    Byte(u64),
}

/// What every reader builds: the log, its vocabularies, and the count of what was dropped.
pub(super) struct Collector {
    path: PathBuf,
    skip_bad_rows: bool,
    log: LogBuilder,
    items: Vocabulary,
    users: Vocabulary,
    slate: Vec<ItemId>,
    /// How many items the collected steps know; those beyond belong to a step that may yet be rejected.
    known_items: usize,
    seen: Seen,
    reading: Reading,
}

impl Collector {
    pub(super) fn new(path: &Path, skip_bad_rows: bool) -> Self {
        Self {
            path: path.to_owned(),
            skip_bad_rows,
            log: LogBuilder::default(),
            items: Vocabulary::default(),
            users: Vocabulary::default(),
            slate: Vec::new(),
            known_items: 0,
            seen: Seen::default(),
            reading: Reading::default(),
        }
    }

    /// The file that is read.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file that lies beside it.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// Counts a row, and makes room for the rest of the file once in a while.
    pub(super) fn count_row(&mut self, fraction: &impl Fn() -> f64) {
        const RESERVE_EVERY: u64 = 1 << 15;
        self.reading.rows += 1;
        if self.reading.rows.is_multiple_of(RESERVE_EVERY) {
            self.log.reserve_for(fraction(), RESERVE_EVERY as f64 / self.reading.rows as f64);
        }
    }

    /// Opens a session. One that was seen before is a fault, and so is one with a user among sessions without.
    pub(super) fn open(&mut self, session: &str, has_user: bool) -> std::result::Result<(), Fault> {
        if !self.seen.insert(session) {
            return Err(Fault::value("session", "all rows of a session together", session));
        }
        if self.log.log().sessions() > 0 && self.log.log().has_users() != has_user {
            return Err(Fault::all_or_none("user", "session", has_user));
        }
        Ok(())
    }

    /// Begins a slate. Items of a step that is not collected in the end do not enter the catalogue.
    pub(super) fn begin_slate(&mut self) {
        self.slate.clear();
    }

    /// Shows an item at the slate's next place.
    pub(super) fn show(&mut self, item: &str) {
        self.slate.push(ItemId(self.items.intern(item)));
    }

    /// Shows a list of items that is separated by blanks.
    pub(super) fn show_words(&mut self, list: &str) {
        let Self { items, slate, .. } = self;
        items.intern_words(list, |item| slate.push(ItemId(item)));
    }

    /// Collects the step that the slate and the answer make.
    pub(super) fn push(&mut self, answer: &Answer<'_>) -> std::result::Result<(), Fault> {
        let choice = match answer.choice {
            Ok(raw) => match self.items.get(raw).map(ItemId).filter(|item| self.slate.contains(item)) {
                Some(item) => Choice::Item(item),
                None if self.slate.is_empty() => Choice::Skip,
                None => return Err(Fault::value("chosen", "an item of the slate", raw)),
            },
            Err(choice) => choice,
        };
        if self.items.len() > ItemId::MAX_ITEMS {
            return Err(Fault::new("shown", "fewer than 2^32 - 1 different items", "more"));
        }
        let Answer { reward, propensity, timestamp, .. } = *answer;
        self.log.try_push(&Step { slate: &self.slate, choice, reward, propensity, timestamp })?;
        self.known_items = self.items.len();
        Ok(())
    }

    /// A null on the last step of a session means that the user left, where the file does not say.
    pub(super) fn leave_on_last_step(&mut self) {
        self.log.leave_on_last_step();
    }

    /// Closes the open session; one without a step is dropped.
    pub(super) fn close(&mut self, user: Option<&str>) -> Result<()> {
        if self.log.open_steps() == 0 {
            self.reading.empty_sessions += 1;
            return Ok(());
        }
        let user = user.map(|user| self.users.intern(user));
        self.log.end_session(user)
    }

    /// Takes note of `rows` rows that cannot be used: an error, or a count if bad rows are skipped.
    pub(super) fn reject(&mut self, place: Place, rows: u64, fault: Fault) -> Result<()> {
        self.items.truncate(self.known_items);
        self.reject_in(&self.path.clone(), place, rows, fault)
    }

    /// The same for rows of a file that lies beside the log.
    pub(super) fn reject_in(&mut self, path: &Path, place: Place, rows: u64, fault: Fault) -> Result<()> {
        if !self.skip_bad_rows {
            let line = match place {
                Place::Line(line) => line,
                Place::Byte(byte) => table::line_at(path, byte),
            };
            return Err(Error::row(path, line, fault));
        }
        *self.reading.dropped.entry(fault.reason()).or_default() += rows;
        Ok(())
    }

    /// Leaves out a row of a kind that the data set is known to hold and a log cannot: counted, never an error.
    pub(super) fn leave_out(&mut self, fault: &Fault) {
        self.items.truncate(self.known_items);
        *self.reading.dropped.entry(fault.reason()).or_default() += 1;
    }

    /// Adds a remark to the summary.
    pub(super) fn note(&mut self, note: String) {
        self.reading.notes.push(note);
    }

    pub(super) fn finish(self, name: String) -> (Dataset, Reading) {
        let (log, catalogue) = (self.log.build(), Catalogue::new(self.items));
        (Dataset { name, log, catalogue, users: self.users, split: None }, self.reading)
    }
}

/// The sessions seen so far.
#[derive(Default)]
struct Seen {
    /// Those whose ids are whole numbers above all before them: the usual case, and cheap to remember.
    rising: Vec<u64>,
    /// Hashes of all others. 64 bits: among 10⁷ sessions two share a hash with probability 3·10⁻⁶, which would be
    /// reported as a session that reappears.
    others: HashSet<u64>,
    hashing: BuildHasherDefault<DefaultHasher>,
}

impl Seen {
    /// Whether the session is new.
    fn insert(&mut self, session: &str) -> bool {
        // "07" and "+7" are other ids than "7".
        let plain = session.bytes().all(|byte| byte.is_ascii_digit()) && (session == "0" || !session.starts_with('0'));
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
