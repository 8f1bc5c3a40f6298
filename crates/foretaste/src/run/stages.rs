//! The stages of a run: each is a command of this program, whose answer is kept.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use foretaste_console::Interrupted;
use foretaste_console::terminal::eprint_line;
use foretaste_files::what_is_at;
use indicatif::MultiProgress;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::Answer;
use crate::{Cli, REVISION, misuse};

/// Runs stages, and keeps what they answered.
pub struct Stages<'a> {
    folder: PathBuf,
    bars: &'a MultiProgress,
    quiet: bool,
}

/// A stage that is done.
pub struct Done {
    /// Of everything that its answer depends on.
    key: String,
    /// The command, to do it again by hand.
    pub command: String,
    /// What it answered.
    pub answer: Answer,
}

/// What is kept of a stage.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    /// Nothing until it is done.
    answer: Option<(String, Value)>,
    /// Digests of the files and folders that it made.
    made: Vec<String>,
}

/// More than any answer takes.
const LIMIT: u64 = 1 << 30;

impl<'a> Stages<'a> {
    /// Keeps answers in the folder `stages` of a run's, which no other run is using; what killed
    /// ones left half-written goes.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn new(folder: &Path, bars: &'a MultiProgress, quiet: bool) -> anyhow::Result<Self> {
        let folder = folder.join("stages");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        foretaste_files::sweep(&folder);
        Ok(Self { folder, bars, quiet })
    }

    /// The answer of a command that reads what `needs` made and writes the files `makes`: the one
    /// that is kept, where nothing has changed that it depends on.
    ///
    /// # Errors
    /// What the command returns.
    pub fn run(
        &self,
        name: &str,
        needs: &[&Done],
        makes: &[&str],
        command: &[String],
    ) -> anyhow::Result<Done> {
        let needs = needs.iter().map(|done| done.key.clone()).collect();
        self.unless_kept(name, needs, makes, command)
    }

    /// The same of the first command, which reads `input` and makes one file; what needs it depends
    /// on the content of that file. What is no regular file, such as a pipe or a folder, is read
    /// again each time.
    ///
    /// # Errors
    /// What the command returns; where the input cannot be read.
    pub fn run_on(
        &self,
        input: &Path,
        name: &str,
        makes: &str,
        command: &[String],
    ) -> anyhow::Result<Done> {
        let digest_of_input = if input.is_file() { digest(input)? } else { String::new() };
        if digest_of_input.is_empty() && what_is_at(&self.place(name))?.is_some() {
            fs::remove_file(self.place(name))?;
        }
        let done = self.unless_kept(name, vec![digest_of_input], &[makes], command)?;
        Ok(Done { key: digest(Path::new(makes))?, ..done })
    }

    fn unless_kept(
        &self,
        name: &str,
        needs: Vec<String>,
        makes: &[&str],
        command: &[String],
    ) -> anyhow::Result<Done> {
        let key = serde_json::to_string(&(REVISION, command, needs))?;
        let key = blake3::hash(key.as_bytes()).to_hex().to_string();
        let shown = format!("foretaste {}", command.join(" "));
        let found = self.read(name).filter(|kept| kept.key == key);
        let mut begun = found.is_some();
        if let Some(Kept { answer: Some((text, json)), made, .. }) = found {
            let there = makes.iter().map(|path| digest_of_all(Path::new(path)));
            if there.map(Result::ok).eq(made.into_iter().map(Some)) {
                return Ok(Done { key, command: shown, answer: Answer { text, json } });
            }
            let made = makes.join(" and ");
            eprint_line(format_args!("{made} was changed or removed, so it is made again"));
            begun = false;
        }
        eprint_line(format_args!("{name}: {shown}"));
        self.write(name, &Kept { key: key.clone(), answer: None, made: vec![] })?;
        let mut words = vec!["foretaste".to_owned()];
        words.extend(command.iter().cloned());
        if !makes.is_empty() {
            words.push("--force".into());
        }
        // What another command has begun is no use to this one.
        if ["fit", "train"].contains(&&*command[0]) && !begun {
            words.push("--fresh".into());
        }
        let cli = Cli::try_parse_from(words).map_err(misuse);
        let (answer, _) =
            cli.and_then(|cli| cli.command.run(self.bars, self.quiet)).map_err(|error| {
                match error.is::<Interrupted>() {
                    true => error.context("interrupted: run the same command again to continue"),
                    false => error.context(format!("{name} failed")),
                }
            })?;
        let kept = (answer.text.clone(), answer.json.clone());
        let made = makes.iter().map(|path| digest_of_all(Path::new(path)));
        let made = made.collect::<anyhow::Result<_>>()?;
        self.write(name, &Kept { key: key.clone(), answer: Some(kept), made })?;
        Ok(Done { key, command: shown, answer })
    }

    fn read(&self, name: &str) -> Option<Kept> {
        // What is damaged is done again.
        serde_json::from_slice(&foretaste_files::read(&self.place(name), LIMIT).ok()?).ok()
    }

    fn write(&self, name: &str, kept: &Kept) -> anyhow::Result<()> {
        Ok(foretaste_files::write(&self.place(name), &serde_json::to_vec(kept)?)?)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// The digest of a file, or of the names and contents of a folder's files.
fn digest_of_all(path: &Path) -> anyhow::Result<String> {
    if !path.is_dir() {
        return digest(path);
    }
    let files = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<anyhow::Result<Vec<PathBuf>>>()?;
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(file.as_os_str().as_encoded_bytes());
        hasher.update(digest_of_all(&file)?.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn digest(path: &Path) -> anyhow::Result<String> {
    let shown = || format!("cannot read {}", path.display());
    let mut file = fs::File::open(path).with_context(shown)?;
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).with_context(shown)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => hasher.update(&buffer[..read]),
        };
    }
}
