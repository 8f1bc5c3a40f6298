//! How a policy is named on the command line: who it is, what it is called, and how it acts.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use candle_core::Device;
use foretaste_data::Dataset;
use foretaste_recommender::{Acting, Effort, Job, Method, Recommender, TrainingLog, Way};

/// A policy as it is asked for: `[NAME=]WHAT[,act=WAY][,temperature=T][,epsilon=E]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// What it is called, if that was said.
    name: Option<String>,
    /// Who it is.
    pub source: Source,
    /// How it acts, where it is a recommender of ours.
    pub acting: Acting,
}

/// Who a policy is.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The policy that made the log.
    Logger,
    /// Items drawn in proportion to their clicks.
    Popularity,
    /// All items alike.
    Uniform,
    /// What `train` wrote, or a file of probabilities or slates.
    At(PathBuf),
}

impl PolicySpec {
    /// What it is called: as was said, or after its file, with its way of acting.
    pub fn name(&self) -> String {
        let own = match (&self.name, &self.source) {
            (Some(name), _) => return name.clone(),
            (None, Source::Logger) => "logger".to_owned(),
            (None, Source::Popularity) => "popularity".to_owned(),
            (None, Source::Uniform) => "uniform".to_owned(),
            (None, Source::At(path)) => file_name(path),
        };
        let Acting { way, epsilon } = self.acting;
        let way = match way {
            Way::Own => String::new(),
            Way::Top => ",act=top".to_owned(),
            Way::Softmax { temperature } => format!(",temperature={temperature}"),
        };
        let epsilon = if epsilon > 0.0 { format!(",epsilon={epsilon}") } else { String::new() };
        own + &way + &epsilon
    }
}

/// Items drawn in proportion to their clicks in these sessions.
pub fn popularity(
    dataset: &Dataset,
    sessions: &[usize],
    device: &Device,
) -> anyhow::Result<Recommender> {
    let log = TrainingLog { dataset, sessions, users: None };
    let method = Method::named("popularity")?;
    let settings = method.settings(&log, &Effort::default())?;
    let job = Job { settings: &settings, seed: 0, device, origin: None, unfinished: None };
    let trained = method.train(&log, &job, &mut ())?;
    Ok(Recommender::new(trained.content, &dataset.catalogue, device)?)
}

fn file_name(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

impl FromStr for PolicySpec {
    type Err = String;

    /// Options follow commas at the end, a name before the first `=`: both are words, so that
    /// most paths need no care. `./` before a path ends all doubt.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut rest, mut act, mut temperature, mut epsilon) = (text, None, None, None);
        while let Some((before, option)) = rest.rsplit_once(',') {
            let slot = match option.split_once('=') {
                Some(("act", value)) => (&mut act, value),
                Some(("temperature", value)) => (&mut temperature, value),
                Some(("epsilon", value)) => (&mut epsilon, value),
                _ => break,
            };
            if slot.0.replace(slot.1).is_some() {
                return Err(format!("{option}: this option is given twice"));
            }
            rest = before;
        }
        let word = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let (name, what) = match rest.split_once('=') {
            Some((name, what)) if word(name) => (Some(name.to_owned()), what),
            _ => (None, rest),
        };
        let source = match what {
            "" => {
                return Err("expected a recommender, a file, logger, popularity or uniform".into());
            }
            "logger" => Source::Logger,
            "popularity" => Source::Popularity,
            "uniform" => Source::Uniform,
            path => Source::At(PathBuf::from(path)),
        };
        let number = |name: &str, text: &str| {
            text.parse::<f64>().map_err(|_| format!("{name}={text}: expected a number"))
        };
        let temperature = temperature.map(|text| number("temperature", text)).transpose()?;
        let way = match (act, temperature) {
            (None | Some("softmax"), Some(temperature)) => Way::Softmax { temperature },
            (Some("softmax"), None) => Way::Softmax { temperature: 1.0 },
            (None | Some("own"), None) => Way::Own,
            (Some("top"), None) => Way::Top,
            (Some("own" | "top"), Some(_)) => {
                return Err("temperature is for act=softmax".into());
            }
            (Some(other), _) => {
                return Err(format!("act={other}: expected own, top or softmax"));
            }
        };
        let epsilon = epsilon.map(|text| number("epsilon", text)).transpose()?.unwrap_or(0.0);
        let acting = Acting { way, epsilon };
        if source == Source::Logger && acting != Acting::default() {
            return Err("act, temperature and epsilon are for recommenders, not for the logger; \
                        leave them out"
                .into());
        }
        Ok(Self { name, source, acting })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<String>, Source, Acting) {
        let PolicySpec { name, source, acting } = text.parse().unwrap();
        (name, source, acting)
    }

    #[test]
    fn a_policy_is_a_name_a_place_and_a_way_of_acting() {
        let at = |path: &str| Source::At(path.into());
        let own = Acting::default();
        let acting = |way, epsilon| Acting { way, epsilon };
        for (text, expected) in [
            ("logger", (None, Source::Logger, own)),
            ("p=popularity,act=top", (Some("p"), Source::Popularity, acting(Way::Top, 0.0))),
            ("uniform", (None, Source::Uniform, own)),
            ("./uniform", (None, at("./uniform"), own)),
            (r"C:\models\new one", (None, at(r"C:\models\new one"), own)),
            ("./day=3/a,b", (None, at("./day=3/a,b"), own)),
            (
                "new=a/b.parquet,epsilon=0.25,act=softmax,temperature=0.5",
                (Some("new"), at("a/b.parquet"), acting(Way::Softmax { temperature: 0.5 }, 0.25)),
            ),
            ("x,temperature=2", (None, at("x"), acting(Way::Softmax { temperature: 2.0 }, 0.0))),
        ] {
            let (name, source, acting) = parsed(text);
            assert_eq!((name.as_deref(), source, acting), expected, "{text}");
        }
        let name = |text: &str| text.parse::<PolicySpec>().unwrap().name();
        assert_eq!(name("dir/policy.csv"), "policy");
        assert_eq!(name("dir/new,act=top,epsilon=0.1"), "new,act=top,epsilon=0.1");
        assert_eq!(name("A=dir/new,act=top"), "A");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "a=",
            "x,act=best",
            "x,epsilon=much",
            "x,act=top,temperature=2",
            "x,act=top,act=own",
            "logger,act=top",
        ] {
            assert!(text.parse::<PolicySpec>().is_err(), "{text}");
        }
    }
}
