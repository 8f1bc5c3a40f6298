//! A process that measures cases on request: another library's script, or this program again,
//! because candle reads its number of threads from the environment once.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::workspace_root;

/// A peer's first line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// What answers.
    pub name: String,
}

/// A peer's line for a request.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The median time of a run.
    Seconds(f64),
    /// Why there is none.
    Error(String),
}

/// A running process. It ends with this value.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    complaints: File,
}

impl Peer {
    /// This program, serving the benchmark of this name with so many threads.
    pub fn ours(benchmark: &str, threads: usize) -> anyhow::Result<Self> {
        let mut command =
            Command::new(std::env::current_exe().context("cannot find this program's own file")?);
        command.args(["bench", benchmark, "--serve"]);
        for pool in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
            command.env(pool, threads.to_string());
        }
        Self::start(command)
    }

    /// A script of `benches/peers`, on the processor.
    ///
    /// # Errors
    /// Where Python does not start or lacks a package: what to do, and why.
    pub fn script(python: &Path, name: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(python);
        let script = workspace_root().join("benches/peers").join(name);
        command.arg(script).arg("--serve").env("CUDA_VISIBLE_DEVICES", "");
        Self::start(command).with_context(|| {
            format!(
                "{name} cannot measure; `python3 -m venv target/peers && target/peers/bin/pip \
                 install -r benches/peers/requirements.txt` installs what it needs for \
                 `--peer-python target/peers/bin/python`"
            )
        })
    }

    fn start(mut command: Command) -> anyhow::Result<Self> {
        let complaints = tempfile::tempfile().context("cannot make a temporary file")?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(complaints.try_clone()?);
        let program = command.get_program().display().to_string();
        let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, answers) = pipes.context("a child process has no pipes")?;
        let mut peer =
            Self { name: program, child, requests, answers: BufReader::new(answers), complaints };
        peer.name = peer.read::<Hello>()?.name;
        Ok(peer)
    }

    /// What answers, and its version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The median seconds of a run of what is asked for, which errors call `case`.
    pub fn ask(&mut self, request: &impl Serialize, case: impl Display) -> anyhow::Result<f64> {
        let line = serde_json::to_string(request)?;
        if writeln!(self.requests, "{line}").is_err() {
            return Err(self.ended());
        }
        match self.read()? {
            Answer::Seconds(seconds) => Ok(seconds),
            Answer::Error(problem) => bail!("{} on {case}: {problem}", self.name),
        }
    }

    fn read<T: for<'a> Deserialize<'a>>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        if self
            .answers
            .read_line(&mut line)
            .with_context(|| format!("cannot read from {}", self.name))?
            == 0
        {
            return Err(self.ended());
        }
        serde_json::from_str(&line)
            .with_context(|| format!("{} answered {:?}", self.name, line.trim_end()))
    }

    /// Says how the process ended, with the last line of what it complained about.
    fn ended(&mut self) -> anyhow::Error {
        let status =
            self.child.wait().map_or_else(|reason| reason.to_string(), |status| status.to_string());
        let mut text = Vec::new();
        let read = self.complaints.rewind().and_then(|()| self.complaints.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().rfind(|line| !line.trim().is_empty()).filter(|_| read.is_ok());
        anyhow!("{} ended early ({status}): {}", self.name, last.unwrap_or("it gave no reason"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Failing means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers each request with the seconds that `seconds` measures for its line, until there are no
/// more.
pub fn serve(
    requests: impl BufRead,
    mut answers: impl Write,
    seconds: impl Fn(&str) -> anyhow::Result<f64>,
) -> anyhow::Result<()> {
    let mut say = |line: String| writeln!(answers, "{line}").and_then(|()| answers.flush());
    say(serde_json::to_string(&Hello { name: "Foretaste".to_owned() })?)?;
    for line in requests.lines() {
        let answer = match seconds(&line?) {
            Ok(seconds) => Answer::Seconds(seconds),
            Err(reason) => Answer::Error(format!("{reason:#}")),
        };
        say(serde_json::to_string(&answer)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foretaste_console::terminal::reasons;

    #[test]
    fn answers_are_read_as_they_are_written() {
        let read = |text| serde_json::from_str::<Answer>(text).unwrap();
        assert_eq!(read(r#"{"seconds": 0.25}"#), Answer::Seconds(0.25));
        assert_eq!(read(r#"{"error": "no"}"#), Answer::Error("no".to_owned()));
    }

    #[test]
    fn a_python_that_is_not_there_is_named_with_the_remedy() {
        let error = Peer::script(Path::new("/no/such/python"), "torch_nn.py").unwrap_err();
        let message = reasons(&error);
        for part in
            ["pip install -r benches/peers/requirements.txt", "cannot start /no/such/python"]
        {
            assert!(message.contains(part), "{message}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_peer_that_ends_early_is_quoted() {
        let start = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Peer::start(command)
        };
        let message =
            reasons(&start("echo first >&2; echo No module named torch >&2; exit 3").unwrap_err());
        assert!(
            message.contains("exit status: 3") && message.ends_with("No module named torch"),
            "{message}"
        );

        let mut peer = start(
            r#"echo '{"name": "x"}'; read line; echo '{"seconds": 2}'; read line; echo gone >&2"#,
        )
        .unwrap();
        assert_eq!(peer.name(), "x");
        assert_eq!(peer.ask(&(), "sums").unwrap(), 2.0);
        assert!(peer.ask(&(), "sums").unwrap_err().to_string().ends_with("gone"));
    }
}
