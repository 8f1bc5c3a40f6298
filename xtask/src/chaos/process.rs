//! A process of a program under attack, and how it ended.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

/// A process that was started.
pub struct Running {
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
}

/// How a process ended.
#[derive(Debug)]
pub enum End {
    /// With success and this answer.
    Well(String),
    /// Before its work was done, with the reason in one line.
    Refused(String),
    /// By a signal.
    Killed,
}

impl End {
    /// The answer, or the reason of a refusal.
    ///
    /// # Errors
    /// Where a signal ended the process.
    pub fn by_itself(self) -> anyhow::Result<Result<String, String>> {
        match self {
            Self::Well(answer) => Ok(Ok(answer)),
            Self::Refused(error) => Ok(Err(error)),
            Self::Killed => bail!("expected an end by itself, found an end by a signal"),
        }
    }
}

/// After this time a process does not end by itself.
const LONGEST: Duration = Duration::from_secs(300);
/// Time between two looks at a process.
pub const PAUSE: Duration = Duration::from_micros(200);

impl Running {
    /// Starts a process whose answer and messages are kept.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.with_context(|| format!("cannot start {command:?}"))?;
        let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
        Ok(Self { child, stdout, stderr })
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait().context("cannot wait for a process")?.is_some())
    }

    /// Kills it.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("cannot kill a process")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it panicked, did not end, or ended otherwise than our programs end.
    pub fn end(mut self) -> anyhow::Result<End> {
        let begin = Instant::now();
        while !self.ended()? {
            if begin.elapsed() > LONGEST {
                self.kill()?;
                bail!("the process had not ended after {} s", LONGEST.as_secs());
            }
            thread::sleep(PAUSE);
        }
        let status = self.child.wait().context("cannot wait for a process")?;
        let text = |said: JoinHandle<Vec<u8>>| {
            let bytes = said.join().map_err(|_| anyhow!("cannot read what a process writes"))?;
            anyhow::Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (answer, messages) = (text(self.stdout)?, text(self.stderr)?);
        if messages.contains("panicked at") {
            bail!("the process panicked: {messages}");
        }
        // A command says in one line why it did not end well.
        let lines = |begin: &str| -> Vec<String> {
            let lines = messages.lines().filter(|line| line.starts_with(begin));
            lines.map(str::to_owned).collect()
        };
        match (status.code(), lines("error: ").as_slice(), lines("interrupted: ").as_slice()) {
            (Some(0), ..) => Ok(End::Well(answer)),
            (Some(1), [said], []) | (Some(130), [], [said]) => Ok(End::Refused(said.clone())),
            (None, ..) => Ok(End::Killed),
            _ => bail!(
                "the process ended with {status}, expected one line with an error: {messages}"
            ),
        }
    }
}

fn reader(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What a killed process has written until then.
        let _ = from.map(|mut from| from.read_to_end(&mut bytes));
        bytes
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn end(script: &str) -> anyhow::Result<End> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        Running::start(shell).unwrap().end()
    }

    #[test]
    fn an_end_is_that_of_our_programs_or_a_finding() {
        assert!(matches!(end("echo 7").unwrap(), End::Well(answer) if answer == "7\n"));
        let refused = end("echo 'error: no' >&2; exit 1").unwrap();
        assert!(matches!(refused, End::Refused(error) if error == "error: no"));
        let stopped = end("echo 'interrupted: go on' >&2; exit 130").unwrap();
        assert!(matches!(stopped, End::Refused(said) if said == "interrupted: go on"));
        assert!(matches!(end("kill -9 $$").unwrap(), End::Killed));
        for script in [
            "exit 1",
            "exit 101",
            "echo 'error: no' >&2; exit 2",
            "echo \"thread 'main' panicked at a.rs\" >&2",
            "echo 'error: one' >&2; echo 'error: two' >&2; exit 1",
        ] {
            assert!(end(script).is_err(), "{script}");
        }
    }
}
