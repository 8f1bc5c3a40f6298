//! The blocks of a document: the text between two marker comments.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

/// What an opening marker asks for.
#[derive(Debug, PartialEq)]
pub struct Block {
    /// Whose results.
    pub kind: Kind,
    /// The folder in docs/results, the file of speeds, or the experiments whose verdicts are
    /// counted.
    pub run: String,
    /// The experiment, the plot, the part of the speeds, or whose claims are counted.
    pub experiment: String,
    /// The rest, `name=value` or `name="value"`.
    pub options: BTreeMap<String, String>,
}

/// What a block shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Means of an experiment.
    Results,
    /// The claims that it decides.
    Claims,
    /// How many claims have which verdict.
    Verdicts,
    /// A plot of a run.
    Plot,
    /// What `bench all` measured.
    Speed,
}

/// A document with its blocks filled in.
#[derive(Debug)]
pub struct Filled {
    /// The document.
    pub text: String,
    /// The lines, from 1, of the opening markers of blocks that were otherwise.
    pub changed: Vec<usize>,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Results, Self::Claims, Self::Verdicts, Self::Plot, Self::Speed];

    fn name(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Claims => "claims",
            Self::Verdicts => "verdicts",
            Self::Plot => "plot",
            Self::Speed => "speed",
        }
    }

    fn opens(self, line: &str) -> bool {
        line.starts_with(&format!("<!-- {} ", self.name()))
    }

    fn closes(self, line: &str) -> bool {
        line.trim_end() == format!("<!-- end of {} -->", self.name())
    }
}

/// The document with what `content` says in every block. Markers in fenced code are none; an
/// opening marker may take several lines.
///
/// # Errors
/// Where a marker cannot be read, has no end, or `content` fails; with the document's `name` and
/// the line.
pub fn fill(
    text: &str,
    name: &str,
    content: impl Fn(&Block) -> anyhow::Result<String>,
) -> anyhow::Result<Filled> {
    let mut filled = Filled { text: String::new(), changed: Vec::new() };
    let mut lines = (1..).zip(text.split_inclusive('\n'));
    let mut fenced = false;
    while let Some((number, line)) = lines.next() {
        let at = || format!("{name}, line {number}");
        filled.text.push_str(line);
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.closes(line)) {
            bail!("{}: this is the end of a block of {} that has no beginning", at(), kind.name());
        }
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.opens(line)) else { continue };
        let mut marker = line.to_owned();
        while !marker.trim_end().ends_with("-->") {
            let (_, line) = lines.next().with_context(|| format!("{}: `-->` is missing", at()))?;
            filled.text.push_str(line);
            marker.push_str(line);
        }
        let mut found = String::new();
        let end = loop {
            match lines.next() {
                Some((_, line)) if kind.closes(line) => break line,
                Some((_, line)) if !Kind::ALL.iter().any(|other| other.opens(line)) => {
                    found.push_str(line);
                }
                _ => bail!("{}: `<!-- end of {} -->` is missing", at(), kind.name()),
            }
        };
        let block = Block::parse(kind, &marker).with_context(at)?;
        let expected = format!("\n{}\n", content(&block).with_context(at)?);
        if found != expected {
            filled.changed.push(number);
        }
        filled.text.push_str(&expected);
        filled.text.push_str(end);
    }
    Ok(filled)
}

impl Block {
    fn parse(kind: Kind, marker: &str) -> anyhow::Result<Self> {
        let inner = marker.trim().trim_start_matches("<!--").trim_end_matches("-->");
        let words = words(inner)?;
        let [_, run, experiment, options @ ..] = words.as_slice() else {
            bail!("expected `<!-- {} RUN EXPERIMENT .. -->`", kind.name());
        };
        let mut block = Self {
            kind,
            run: run.clone(),
            experiment: experiment.clone(),
            options: BTreeMap::new(),
        };
        for option in options {
            let (name, value) = option
                .split_once('=')
                .with_context(|| format!("`{option}` is not an option, expected name=\"value\""))?;
            if block.options.insert(name.into(), value.into()).is_some() {
                bail!("`{name}` is given twice");
            }
        }
        Ok(block)
    }
}

/// The words of a marker; blanks within quotes part none.
fn words(text: &str) -> anyhow::Result<Vec<String>> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            _ if letter.is_whitespace() && !quoted => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            '\n' => word.push(' '),
            _ => word.push(letter),
        }
    }
    if quoted {
        bail!("a quotation mark is missing");
    }
    words.extend((!word.is_empty()).then_some(word));
    Ok(words)
}
