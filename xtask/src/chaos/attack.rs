//! What a fault of each kind does, and what must come of it.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use foretaste_random::Stream;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::fault::{Fault, Kind};
use super::files;
use super::machine::{LEFT, Limit, Machine};
use super::process::{End, PAUSE, Running};
use super::shims::Shim;
use super::target::{PLACE, Prepared};

/// What came of a fault that lost and changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The command ended well in spite of it.
    Survived,
    /// The command ended early, and the same command again ended well.
    WentOn,
    /// What was left was refused by a message, and a new start ended well.
    Refused,
}

/// A fault that strikes a command in a folder.
pub struct Attack<'a> {
    fault: &'a Fault,
    target: &'a Prepared,
    machine: &'a Machine,
    folder: &'a Path,
    stream: Stream,
    steps: Vec<String>,
    processes: usize,
    /// What processes load before the libraries of the system.
    library: Option<PathBuf>,
}

/// A moment at which a fault strikes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After this time.
    After(Duration),
    /// When the names or sizes of the files have changed so often, as far as that is noticed.
    Change(usize),
}

/// Files of at most so many bytes are cut at each of them, and others at so few.
const EACH: usize = 400;
const FEW: usize = 24;
const PAGE: u64 = 4096;
/// What errors say of a full disk, and of a file that is too large.
const FULL: [&str; 2] = ["disk is full", "File too large"];

impl<'a> Attack<'a> {
    /// Makes the folder ready.
    pub fn new(
        fault: &'a Fault,
        target: &'a Prepared,
        machine: &'a Machine,
        folder: &'a Path,
    ) -> anyhow::Result<Self> {
        target.lay_out(folder)?;
        let (stream, steps) = (fault.stream(), Vec::new());
        Ok(Self { fault, target, machine, folder, stream, steps, processes: 0, library: None })
    }

    /// What was done, a line for each step.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// How many processes were started.
    pub fn processes(&self) -> usize {
        self.processes
    }

    /// Strikes.
    ///
    /// # Errors
    /// Where something is lost or changed, or a program ends otherwise than ours may.
    pub fn strike(&mut self) -> anyhow::Result<Outcome> {
        match self.fault.kind {
            Kind::Kill => self.kill(4, |_| Ok(())),
            Kind::TornWrite => self.torn_write(),
            Kind::Cut => self.cut(),
            Kind::FullDisk => self.full_disk(),
            Kind::ReadOnly => self.read_only(),
            Kind::Deleted => self.deleted(),
            Kind::Clock => self.clock(),
            Kind::Processes => self.several(),
        }
    }

    /// Kills the command up to `most` times, and does something `between`.
    fn kill(
        &mut self,
        most: usize,
        between: impl Fn(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<Outcome> {
        for _ in 0..self.stream.random_range(1..=most) {
            let moment = self.moment();
            let mut running = self.start(Limit::None)?;
            self.wait(&mut running, moment)?;
            running.kill()?;
            let end = self.end(running, &format!("killed {moment}"))?;
            between(self)?;
            match end {
                End::Killed => {}
                End::Well(answer) => return self.must_be_whole(&answer, Outcome::Survived),
                End::Refused(_) => break,
            }
        }
        self.go_on()
    }

    fn torn_write(&mut self) -> anyhow::Result<Outcome> {
        let limit = Limit::EndsAt(self.byte_of_a_file());
        let running = self.start(limit)?;
        match self.end(running, &format!("{limit:?}"))? {
            End::Well(answer) => self.must_be_whole(&answer, Outcome::Survived),
            End::Killed => self.go_on(),
            End::Refused(error) => bail!("expected an end within a write, found: {error}"),
        }
    }

    fn full_disk(&mut self) -> anyhow::Result<Outcome> {
        let bytes = self.byte_of_a_file();
        let pages = self.target.expected.values().map(|file| file.len() as u64 / PAGE + 1);
        let pages = self.stream.random_range(2..=pages.sum::<u64>() + 4);
        let limit = match self.stream.random::<bool>() && self.machine.mounts() {
            true => Limit::Space(pages * PAGE),
            false => Limit::FailsAt(bytes),
        };
        let running = self.start(limit)?;
        let end = self.end(running, &format!("{limit:?}"))?;
        if let Limit::Space(_) = limit {
            let place = self.place();
            fs::remove_dir_all(&place).context("cannot remove the place")?;
            let left = self.folder.join(LEFT);
            fs::rename(&left, &place).with_context(|| format!("{} is missing", left.display()))?;
        }
        match end.by_itself()? {
            // A run says on its page what failed, and does that again.
            Ok(_) if self.target.target().name == "run" && self.differs()?.is_some() => {
                self.go_on()
            }
            Ok(answer) => self.must_be_whole(&answer, Outcome::Survived),
            Err(error) if FULL.iter().any(|said| error.contains(said)) => self.go_on(),
            Err(error) => {
                bail!("expected an error that says that the disk is full, found: {error}")
            }
        }
    }

    fn read_only(&mut self) -> anyhow::Result<Outcome> {
        if self.stream.random() {
            let moment = self.moment();
            let mut running = self.start(Limit::None)?;
            self.wait(&mut running, moment)?;
            running.kill()?;
            self.end(running, &format!("killed {moment}"))?;
        }
        let before = self.all_files()?;
        let running = self.start(Limit::ReadOnly)?;
        let end = self.end(running, "in a folder that cannot be written to")?;
        if before != self.all_files()? {
            bail!("the folder that cannot be written to has changed");
        }
        match end.by_itself()? {
            Err(_) => self.go_on(),
            Ok(_) => bail!("the command ended well where nothing can be written"),
        }
    }

    fn deleted(&mut self) -> anyhow::Result<Outcome> {
        let (moment, everything) = (self.moment(), self.stream.random::<bool>());
        let mut running = self.start(Limit::None)?;
        self.wait(&mut running, moment)?;
        let removed = self.remove(everything)?;
        let end = self.end(running, &format!("removed {moment}: {}", removed.join(" ")))?;
        self.target.give(self.folder)?;
        if let Ok(answer) = end.by_itself()?
            && self.differs()?.is_none()
        {
            return self.must_be_whole(&answer, Outcome::Survived);
        }
        match self.again()? {
            Ok(answer) => self.must_be_whole(&answer, Outcome::WentOn),
            Err(_) if self.differs_but_for_unfinished_work()?.is_none() => Ok(Outcome::Survived),
            Err(_) => {
                self.read_again()?;
                fs::remove_dir_all(self.place()).context("cannot remove the place")?;
                self.target.give(self.folder)?;
                self.go_on()?;
                Ok(Outcome::Refused)
            }
        }
    }

    fn clock(&mut self) -> anyhow::Result<Outcome> {
        self.load(Shim::Clock);
        let outcome = self.kill(2, Self::jump)?;
        self.jump()?;
        if let Some(error) = self.read_again()? {
            bail!("what is whole is refused: {error}");
        }
        self.go_on()?;
        Ok(outcome)
    }

    fn several(&mut self) -> anyhow::Result<Outcome> {
        let shims = [None, Some(Shim::LocksRefused), Some(Shim::LocksGranted)];
        if let Some(&Some(shim)) = shims.choose(&mut self.stream) {
            self.load(shim);
        }
        let count = self.stream.random_range(2..=8);
        let mut running = Vec::new();
        for _ in 0..count {
            running.push(self.start(Limit::None)?);
            let pause = self.target.duration.as_secs_f64() * self.stream.random_range(0.0..0.3);
            thread::sleep(Duration::from_secs_f64(pause));
        }
        let mut answers = Vec::new();
        for (number, running) in running.into_iter().enumerate() {
            let end = self.end(running, &format!("process {} of {count}", number + 1))?;
            answers.extend(end.by_itself()?.ok());
        }
        if answers.is_empty() {
            return self.go_on();
        }
        answers
            .iter()
            .try_for_each(|answer| self.must_be_whole(answer, Outcome::Survived).map(drop))?;
        Ok(Outcome::Survived)
    }

    fn cut(&mut self) -> anyhow::Result<Outcome> {
        let place = self.place();
        let read = self.target.target().read;
        let mut names = files::paths(&self.target.whole)?;
        names.retain(|name| read.iter().any(|part| name.starts_with(part)) && !is_hidden(name));
        let name = names.choose(&mut self.stream).context("the result has no files")?;
        let whole = self.target.whole.join(name);
        let bytes = fs::read(&whole).with_context(|| format!("cannot read {}", whole.display()))?;
        self.steps.push(format!("cut {name} of {} bytes", bytes.len()));
        let cuts: Vec<usize> = match self.target.read {
            None => vec![self.stream.random_range(0..bytes.len())],
            Some(_) if bytes.len() <= EACH => (0..bytes.len()).collect(),
            Some(_) => (0..FEW).map(|_| self.stream.random_range(0..bytes.len())).collect(),
        };
        let mut outcome = Outcome::Survived;
        for cut in cuts {
            fs::remove_dir_all(&place).context("cannot remove the place")?;
            files::copy(&self.target.whole, &place)?;
            let file = place.join(name);
            fs::write(&file, &bytes[..cut])
                .with_context(|| format!("cannot write {}", file.display()))?;
            outcome = outcome.max(self.read_cut(name).with_context(|| format!("cut at {cut}"))?);
        }
        Ok(outcome)
    }

    /// Reads a result of which one file is cut.
    fn read_cut(&mut self, name: &str) -> anyhow::Result<Outcome> {
        let refusal = match self.target.read {
            Some(_) => self.read_again()?,
            None => match self.again()? {
                Ok(answer) => return self.must_be_whole(&answer, Outcome::WentOn),
                Err(error) => Some(error),
            },
        };
        let file = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
        match refusal {
            None => Ok(Outcome::Survived),
            Some(error) if error.contains(&*file) => Ok(Outcome::Refused),
            Some(error) => bail!("expected an error that names {file}, found: {error}"),
        }
    }

    /// Reads the result by the command that is there for it: the error of a refusal, or nothing
    /// where the answer is that of the whole result.
    fn read_again(&mut self) -> anyhow::Result<Option<String>> {
        let Some(reader) = self.target.reader()? else { return Ok(None) };
        let command = self.machine.command(&reader, Limit::None);
        match self.start_in_folder(command)?.end()?.by_itself()? {
            Err(error) => Ok(Some(error)),
            Ok(answer) if Some(&answer) == self.target.read.as_ref() => Ok(None),
            Ok(answer) => bail!("the result is read with another answer: {answer}"),
        }
    }

    fn again(&mut self) -> anyhow::Result<Result<String, String>> {
        let running = self.start(Limit::None)?;
        self.end(running, "again")?.by_itself()
    }

    /// Runs the same command again, which must end well, or refuse what is whole.
    fn go_on(&mut self) -> anyhow::Result<Outcome> {
        match self.again()? {
            Ok(answer) => self.must_be_whole(&answer, Outcome::WentOn),
            Err(error) => match self.differs_but_for_unfinished_work()? {
                None => Ok(Outcome::Survived),
                Some(difference) => bail!("cannot go on: {error}; {difference}"),
            },
        }
    }

    fn must_be_whole(&self, answer: &str, outcome: Outcome) -> anyhow::Result<Outcome> {
        if self.target.expected.is_empty() && *answer != self.target.answer {
            bail!("the command answered otherwise than without a fault: {answer}");
        }
        match self.differs()? {
            None => Ok(outcome),
            Some(difference) => bail!("the command ended well, but {difference}"),
        }
    }

    /// How the result differs from that without a fault. In the folder of a file, which is the
    /// user's, a half-written file may be left.
    fn differs(&self) -> anyhow::Result<Option<String>> {
        let mut found = files::read(&self.place())?;
        found.retain(|name, _| name.contains('/') || !name.starts_with(UNFINISHED));
        Ok(files::difference(&self.target.expected, &found))
    }

    /// The same where a command was not repeated, because its result is there: one that was killed
    /// after that leaves unfinished work next to it.
    fn differs_but_for_unfinished_work(&self) -> anyhow::Result<Option<String>> {
        let mut found = files::read(&self.place())?;
        found.retain(|name, _| !name.contains("unfinished-"));
        Ok(files::difference(&self.target.expected, &found))
    }

    fn all_files(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let read = |name: String| Ok((name.clone(), fs::read(self.place().join(name))?));
        files::paths(&self.place())?.into_iter().map(read).collect()
    }

    /// Has all processes from now on load a library before those of the system.
    fn load(&mut self, shim: Shim) {
        self.library = self.machine.library(shim);
        self.steps.extend(self.library.iter().map(|_| format!("{shim:?}")));
    }

    fn start(&mut self, limit: Limit) -> anyhow::Result<Running> {
        let command = self.machine.command(&self.target.command()?, limit);
        self.start_in_folder(command)
    }

    /// Temporary files of killed processes go with the folder.
    fn start_in_folder(&mut self, mut command: Command) -> anyhow::Result<Running> {
        command.current_dir(self.folder).env("TMPDIR", self.folder);
        command.envs(self.library.iter().map(|library| ("LD_PRELOAD", library)));
        self.processes += 1;
        Running::start(command)
    }

    /// How a process ended, which is noted.
    fn end(&mut self, running: Running, what: &str) -> anyhow::Result<End> {
        let end = running.end().with_context(|| what.to_owned())?;
        let said = match &end {
            End::Well(_) => "it ended well",
            End::Refused(error) => error,
            End::Killed => "it was ended by a signal",
        };
        self.steps.push(format!("{what}: {said}"));
        Ok(end)
    }

    fn place(&self) -> PathBuf {
        self.folder.join(PLACE)
    }

    fn moment(&mut self) -> Moment {
        let (share, change) = (self.stream.random_range(0.0..1.1), self.stream.random_range(1..24));
        match self.stream.random::<bool>() {
            true => Moment::After(self.target.duration.mul_f64(share)),
            false => Moment::Change(change),
        }
    }

    /// Waits until the moment, or until the process ends.
    fn wait(&self, running: &mut Running, moment: Moment) -> anyhow::Result<()> {
        let begin = Instant::now();
        let (mut state, mut changes) = (state(&self.place()), 0);
        while !running.ended()? {
            match moment {
                Moment::After(time) if begin.elapsed() >= time => break,
                Moment::After(_) => {}
                Moment::Change(count) => {
                    let now = self::state(&self.place());
                    changes += usize::from(now != state);
                    state = now;
                    if changes >= count {
                        break;
                    }
                }
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// A byte at or before the end of one of the files of the result.
    fn byte_of_a_file(&mut self) -> u64 {
        let sizes: Vec<usize> = self.target.expected.values().map(Vec::len).collect();
        let size = sizes.choose(&mut self.stream).copied().unwrap_or_default();
        self.stream.random_range(0..=size as u64)
    }

    /// Removes all that is in the place, or only unfinished work. What the process writes at the
    /// same time may stay.
    fn remove(&self, everything: bool) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let unfinished = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ["unfinished-", UNFINISHED].iter().any(|begin| name.starts_with(begin))
                || ["cells", "stages"].contains(&&*name)
        };
        // A folder that changes meanwhile cannot be listed to its end.
        let _ = files::walk(&self.place(), &mut |path, _| {
            let is_top = path.parent() == Some(&self.place());
            if if everything { is_top } else { unfinished(path) } {
                found.push(path.to_owned());
            }
            Ok(())
        });
        for path in &found {
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        let name = |path: &PathBuf| {
            path.strip_prefix(self.folder).unwrap_or(path).to_string_lossy().into_owned()
        };
        Ok(found.iter().map(name).collect())
    }

    /// Sets the times of all files to some in the past and the future.
    fn jump(&mut self) -> anyhow::Result<()> {
        const DAY: u64 = 24 * 60 * 60;
        let mut paths = Vec::new();
        files::walk(self.folder, &mut |path, is_folder| {
            if !is_folder {
                paths.push(path.to_owned());
            }
            Ok(())
        })?;
        for path in &paths {
            // From 1970 to 2104, or a day before or after now.
            let time = match self.stream.random::<bool>() {
                true => {
                    let seconds = self.stream.random_range(0..49_000 * DAY);
                    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
                }
                false => {
                    let seconds = self.stream.random_range(0..2 * DAY);
                    SystemTime::now() + Duration::from_secs(seconds) - Duration::from_secs(DAY)
                }
            };
            let file = File::options().append(true).open(path);
            let set = file.and_then(|file| file.set_modified(time));
            set.with_context(|| format!("cannot set the time of {}", path.display()))?;
        }
        self.steps.push(format!("the times of {} files jumped", paths.len()));
        Ok(())
    }
}

/// How the names of files begin that are not whole yet.
const UNFINISHED: &str = ".unfinished-";

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::After(time) => write!(f, "after {} ms", time.as_millis()),
            Self::Change(count) => write!(f, "at change {count} of the files"),
        }
    }
}

fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

/// A number that differs where the names or sizes of the files in a folder do.
fn state(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let _ = files::walk(folder, &mut |path, is_folder| {
        path.hash(&mut hasher);
        if !is_folder {
            path.metadata().map(|found| found.len()).ok().hash(&mut hasher);
        }
        Ok(())
    });
    hasher.finish()
}
