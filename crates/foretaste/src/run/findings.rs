//! What a run found, in sentences.

use foretaste_user_model::trust::Evidence;
use serde_json::{Value, json};

use super::Outcome;
use super::stages::Done;

/// What came of all stages.
pub struct Findings {
    /// The log as it was given.
    pub log: String,
    /// What `describe` says of it.
    pub describe: Done,
    /// The learned users, or why there are none.
    pub fit: Outcome,
    /// What may be asked of them, or why that is not known.
    pub trust: Outcome,
    /// The recommenders by their methods.
    pub trained: Vec<(String, Outcome)>,
    /// What they would earn.
    pub judge: Outcome,
}

/// A question with its answer.
pub struct Answered {
    pub question: &'static str,
    pub sentences: Vec<String>,
}

/// A policy as it was judged.
#[derive(Clone, Debug)]
pub struct Row {
    pub policy: String,
    /// What the log says that it earns on a slate.
    pub by_log: Option<Figure>,
    /// The same less what the logging policy earned.
    pub difference: Option<Figure>,
    /// What the learned users pay on a slate.
    pub by_users: Option<Figure>,
    pub verdict: String,
    /// Why the log does not decide.
    pub reasons: Vec<String>,
}

/// A figure with its interval, where there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    pub value: f64,
    pub interval: Option<[f64; 2]>,
}

/// What the policies are put in order by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By the log: it can decide on all of them.
    Log,
    /// By the learned users, who may be asked.
    Users,
    /// By nothing.
    Nothing,
}

const BETTER: &str = "better";
const WORSE: &str = "worse";
const ALIKE: &str = "cannot be distinguished";
const UNDECIDED: &str = "do not decide by this log";

impl Findings {
    /// The rows of all policies, in the order of [`by`](Self::by), the best first.
    pub fn rows(&self) -> Vec<Row> {
        let Ok(judge) = &self.judge else { return Vec::new() };
        let policies = judge.answer.json["policies"].as_array();
        let mut rows: Vec<Row> = policies.into_iter().flatten().map(Row::new).collect();
        let by = self.by();
        rows.sort_by(|a, b| b.key(by).total_cmp(&a.key(by)));
        rows
    }

    /// What the policies are put in order by.
    pub fn by(&self) -> By {
        let Ok(judge) = &self.judge else { return By::Nothing };
        let policies = judge.answer.json["policies"].as_array();
        let rows: Vec<Row> = policies.into_iter().flatten().map(Row::new).collect();
        if rows.iter().all(|row| row.is_decided() && row.by_log.is_some()) {
            By::Log
        } else if self.users_may_rank() && rows.iter().all(|row| row.by_users.is_some()) {
            By::Users
        } else {
            By::Nothing
        }
    }

    /// What the logging policy earned on a judged slate.
    pub fn logger(&self) -> Option<Figure> {
        let judge = self.judge.as_ref().ok()?;
        figure(&judge.answer.json["logger"], "reward_per_slate", "interval")
    }

    /// The steps that failed.
    pub fn failed(&self) -> Vec<String> {
        let trained = self.trained.iter().map(|(name, of)| (format!("train-{name}"), of));
        let steps = [("fit", &self.fit), ("trust", &self.trust)];
        let steps = steps.map(|(name, of)| (name.to_owned(), of)).into_iter().chain(trained);
        let steps = steps.chain([("judge".to_owned(), &self.judge)]);
        steps.filter(|(_, outcome)| outcome.is_err()).map(|(name, _)| name).collect()
    }

    fn users_may_rank(&self) -> bool {
        self.permitted().is_some_and(|verdict| ["rank_policies", "tune"].contains(&verdict))
    }

    /// What may be asked of the learned users, by the rule of `trust`.
    fn permitted(&self) -> Option<&str> {
        self.trust.as_ref().ok()?.answer.json["verdict"].as_str()
    }

    /// The questions that a reader has, in order, with their answers.
    pub fn answers(&self) -> Vec<Answered> {
        vec![
            Answered { question: "What does the log contain?", sentences: self.of_log() },
            Answered {
                question: "How good are the learned users, and what may they be used for?",
                sentences: self.of_users(),
            },
            Answered {
                question: "What would each recommender earn?",
                sentences: self.of_policies(),
            },
            Answered { question: "Which estimates can be trusted?", sentences: self.of_belief() },
            Answered { question: "What to do next?", sentences: self.of_next_step() },
        ]
    }

    /// What a reader wants to know first: what was asked, what came out, and how sure it is.
    pub fn in_short(&self) -> [Answered; 3] {
        let rows = self.rows();
        let compared = match rows.len() {
            0 => String::new(),
            1 => format!(" One policy was compared: {}.", rows[0].policy),
            number => format!(" {number} policies were compared: {}.", names_of(rows.iter())),
        };
        let logger = self.logger().map_or(String::new(), |logger| {
            format!(" The policy that made the log earned {logger} a slate.")
        });
        let asked = format!(
            "Would a recommender earn more than the policy that made the log {}?{compared}{logger}",
            self.log
        );
        let mut sure = Vec::new();
        if !rows.is_empty() {
            let decided = rows.iter().filter(|row| row.is_decided()).count();
            sure.push(format!(
                "The log can decide on {decided} of {}. Intervals in parentheses are 95% \
                 confidence intervals.",
                rows.len()
            ));
        }
        if self.fit.is_ok() {
            let verdict = self.of_trust().into_iter().next().unwrap_or_default();
            sure.push(format!(
                "The users that were learned from the log: {}",
                first_small(&verdict)
            ));
        }
        let failed = self.failed();
        if !failed.is_empty() {
            sure.push(format!("Steps that failed: {}.", failed.join(", ")));
        }
        let wrong = self.wrong().len();
        if wrong > 0 {
            sure.push(format!("Problems of the log that were found: {wrong}."));
        }
        [
            Answered { question: "What was asked", sentences: vec![asked] },
            Answered { question: "What came out", sentences: self.of_belief() },
            Answered { question: "How sure it is", sentences: sure },
        ]
    }

    /// The answers as lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Answered { question, sentences } in self.answers() {
            lines.push(question.to_owned());
            lines.extend(sentences.into_iter().map(|sentence| format!("  {sentence}")));
        }
        lines
    }

    /// The same for programs, with the answers of all stages.
    pub fn json(&self) -> Value {
        let answers = self.answers();
        let answers =
            answers.iter().map(|of| json!({ "question": of.question, "answer": of.sentences }));
        let stage = |outcome: &Outcome| match outcome {
            Ok(done) => json!({ "command": done.command, "answer": done.answer.json }),
            Err(reason) => json!({ "failed": reason }),
        };
        let of = |figure: Option<Figure>| {
            figure.map(
                |figure| json!({ "reward_per_slate": figure.value, "interval": figure.interval }),
            )
        };
        let rows = self.rows();
        let ranking = rows.iter().map(|row| {
            json!({
                "policy": row.policy,
                "by_log": of(row.by_log),
                "less_the_logger": of(row.difference),
                "by_users": of(row.by_users),
                "verdict": row.verdict,
            })
        });
        let trained = self.trained.iter().map(|(name, outcome)| {
            let mut stage = stage(outcome);
            stage["method"] = name.as_str().into();
            stage
        });
        json!({
            "answers": answers.collect::<Vec<_>>(),
            "ranked_by": self.by().name(),
            "policies": ranking.collect::<Vec<_>>(),
            "describe": { "command": self.describe.command, "answer": self.describe.answer.json },
            "fit": stage(&self.fit),
            "trust": stage(&self.trust),
            "train": trained.collect::<Vec<_>>(),
            "judge": stage(&self.judge),
        })
    }

    fn of_log(&self) -> Vec<String> {
        let log = &self.describe.answer.json;
        let number = |name: &str| log[name].as_f64().unwrap_or(f64::NAN);
        let mut sentences = vec![format!(
            "{} sessions with {} slates of {:.1} items on average, out of {} items; {:.2}% of the \
             slates are clicked, and the mean reward of a slate is {:.4}.",
            log["sessions"],
            log["steps"],
            number("mean_slate"),
            log["items"],
            100.0 * number("click_rate"),
            number("reward_rate"),
        )];
        for finding in self.wrong() {
            let [found, advice] = ["found", "advice"].map(|name| text(&finding[name]));
            sentences.push(format!("Problem: {found}; {advice}."));
        }
        if self.wrong().is_empty() {
            sentences.push("No problem was found in it.".into());
        }
        sentences
    }

    /// What is wrong with the log.
    fn wrong(&self) -> Vec<&Value> {
        let findings = self.describe.answer.json["findings"].as_array();
        findings.into_iter().flatten().filter(|finding| finding["wrong"] == true).collect()
    }

    fn of_users(&self) -> Vec<String> {
        let fit = match &self.fit {
            Ok(fit) => &fit.answer.json,
            Err(reason) => return vec![format!("There are no learned users: {reason}.")],
        };
        let users = &fit["users"];
        let mut sentences = Vec::new();
        if let Some(precision) = users["precision_at_1"].as_f64() {
            sentences.push(format!(
                "The learned users ({}) rank the clicked item first on {:.1}% of {} clicked slates \
                 that they did not learn from.",
                text(&users["name"]),
                100.0 * precision,
                users["clicks"],
            ));
        }
        let better = names(&fit["predict_better"]);
        sentences.push(match better.is_empty() {
            true => "No simpler model predicts these clicks significantly better.".into(),
            false => format!("Simpler models predict these clicks better: {}.", better.join(", ")),
        });
        let rate = |name: &str| fit["click_rate"][name].as_f64();
        if let (Some(expected), Some(logged)) = (rate("expected"), rate("logged")) {
            sentences.push(format!(
                "On the logged slates they click at a rate of {expected:.4}, real users at \
                 {logged:.4}."
            ));
        }
        sentences.extend(self.of_trust());
        sentences
    }

    /// What may be asked of the learned users, and what holds more back.
    fn of_trust(&self) -> Vec<String> {
        let trust = match &self.trust {
            Ok(trust) => &trust.answer.json,
            Err(reason) => {
                return vec![format!("What they may be used for is not known: {reason}.")];
            }
        };
        let verdict = self.permitted().unwrap_or_default();
        let (wrong, worlds) = Evidence::RECORD;
        let mut sentences = vec![match verdict {
            "tune" => {
                "Nothing in the log is evidence against training policies in them.".to_owned()
            }
            "rank_policies" => {
                "Nothing in the log is evidence against ranking clearly different policies by \
                 them, but do not train policies in them."
                    .into()
            }
            "only_simulate" => {
                "Use them for click rates and session lengths on slates like the logged ones, and \
                 for nothing else."
                    .into()
            }
            _ => "Do not use them: the figures do not allow it.".into(),
        }];
        let failed = trust["conditions"].as_array().into_iter().flatten();
        let failed = failed.filter(|condition| condition["holds"] == false);
        let mut shown: Vec<String> = Vec::new();
        for condition in failed {
            let found = condition["found"].as_f64();
            let found = found.map_or("not known".into(), |found| format!("{found:.3}"));
            let least = if condition["limit_is"] == "least" { "at least" } else { "at most" };
            let asked = text(&condition["asked"]);
            let asked = asked.trim_end_matches(", at least").trim_end_matches(", at most");
            let limit = condition["limit"].as_f64().unwrap_or(f64::NAN);
            shown.push(format!("{asked} is {found}, but {least} {limit} is required"));
        }
        const SHOWN: usize = 3;
        let more = match shown.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("; and {more} more, which `foretaste trust` lists"),
        };
        shown.truncate(SHOWN);
        if !shown.is_empty() {
            let figures = shown.join("; ");
            sentences.push(format!("The figures that do not allow more: {figures}{more}."));
        }
        sentences.push(format!(
            "The rule of this verdict permitted too much in {wrong} of {worlds} simulated worlds."
        ));
        sentences
    }

    fn of_policies(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for (name, outcome) in &self.trained {
            if let Err(reason) = outcome {
                sentences.push(format!("{name} is left out: {reason}."));
            }
        }
        match &self.judge {
            Err(reason) => {
                sentences.push(format!("This cannot be estimated: {reason}."));
                return sentences;
            }
            Ok(judge) => {
                if judge.answer.json.get("estimated_propensities").is_some() {
                    sentences.push(
                        "The log has no probabilities of its slates. They are estimated here, \
                         which is right only if the logging policy took nothing into account but \
                         the place and the item."
                            .into(),
                    );
                }
            }
        }
        if let Some(logger) = self.logger() {
            sentences.push(format!("The policy that made the log earned {logger} a slate."));
        }
        for row in self.rows() {
            let by_log = match row.by_log {
                None => "the log gives no estimate".to_owned(),
                Some(figure) if !row.is_decided() => {
                    format!("{figure} by the log, which is not reliable")
                }
                Some(figure) => format!("{figure} by the log"),
            };
            let by_users = row.by_users;
            let by_users = by_users.map(|figure| format!("; {figure} by the learned users"));
            sentences.push(format!("{}: {by_log}{}.", row.policy, by_users.unwrap_or_default()));
        }
        sentences
    }

    fn of_belief(&self) -> Vec<String> {
        let rows = self.rows();
        if rows.is_empty() {
            return vec!["No policy could be judged.".into()];
        }
        let mut sentences = Vec::new();
        for (verdict, says) in [
            (BETTER, "Better than the logging policy, by the log"),
            (WORSE, "Worse than the logging policy, by the log"),
            (ALIKE, "Cannot be distinguished from the logging policy by the log"),
            (UNDECIDED, "Not to be decided by this log"),
        ] {
            let names = names_of(rows.iter().filter(|row| row.verdict == verdict));
            if !names.is_empty() {
                sentences.push(format!("{says}: {names}."));
            }
        }
        sentences.push(
            match self.by() {
                By::Log => "The log can judge every policy, so they are ordered by the log.",
                By::Users => {
                    "The log cannot judge every policy. The learned users may be used to rank \
                     them, so they are ordered by their reward from the learned users."
                }
                By::Nothing => {
                    "The policies are not ordered: the log cannot judge all of them, and the \
                     learned users may not be used to rank them."
                }
            }
            .into(),
        );
        sentences
    }

    fn of_next_step(&self) -> Vec<String> {
        let failed = self.failed();
        let mut sentences = Vec::new();
        if !failed.is_empty() {
            sentences.push(format!(
                "These steps failed, for the reasons above: {}. Settle them and run the same \
                 command again; the other steps are kept.",
                failed.join(", ")
            ));
        }
        if self.judge.is_ok() || !self.wrong().is_empty() {
            sentences.push(self.advice());
        }
        sentences
    }

    fn advice(&self) -> String {
        let rows = self.rows();
        let best = rows.iter().filter(|row| row.verdict == BETTER).max_by(|a, b| {
            let mean = |row: &Row| row.difference.map_or(f64::NEG_INFINITY, |figure| figure.value);
            mean(a).total_cmp(&mean(b))
        });
        if !self.wrong().is_empty() {
            return "Fix the problems of the log first; everything else depends on it.".into();
        }
        if let Some(best) = best {
            let gain =
                best.difference.map_or(String::new(), |figure| format!(" of {figure} a slate"));
            return format!(
                "Show {} to a part of your users, and log the probability of every place of every \
                 slate: by the log, expect a gain{gain} over the logging policy.",
                best.policy
            );
        }
        if !has_propensities(&self.describe) {
            return "Log the probability with which every item was shown at its place, and show \
                    some slates at random: without this, no other policy can be judged."
                .into();
        }
        let undecided = || rows.iter().filter(|row| !row.is_decided());
        if undecided().next().is_some() {
            let few = format!(
                "this log has too few slates like those of {} to estimate what they earn",
                names_of(undecided())
            );
            let promising =
                undecided().filter(|row| row.policy != "uniform" && self.users_may_rank());
            let promising = promising.max_by(|a, b| a.key(By::Users).total_cmp(&b.key(By::Users)));
            return match promising {
                Some(promising) => format!(
                    "Let {} choose a share of the slates, mixed with random ones, and log the \
                     probability of every place: {few}.",
                    promising.policy
                ),
                None => format!(
                    "Collect a longer log in which a share of the slates is drawn at random, or by \
                     the policy that you want to judge, with the probability of every place: \
                     {few}, and the learned users may not be used to choose among them."
                ),
            };
        }
        let open = rows.iter().filter(|row| row.verdict == ALIKE);
        let needed = open
            .filter_map(|row| Some((row, row.more_sessions()?)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        match needed {
            Some((row, times)) => format!(
                "No policy is significantly better. If the true difference of {} is the estimated \
                 one, about {times:.0} times as many sessions would show it.",
                row.policy
            ),
            None => "No policy is significantly better: keep the one that you have.".into(),
        }
    }
}

/// A sentence that follows a colon.
fn first_small(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

impl By {
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Log => Some("log"),
            Self::Users => Some("users"),
            Self::Nothing => None,
        }
    }
}

impl Row {
    fn new(policy: &Value) -> Self {
        let decided = &policy["decided"];
        Self {
            policy: text(&policy["policy"]).to_owned(),
            by_log: figure(decided, "reward_per_slate", "interval"),
            difference: figure(decided, "less_the_logger", "interval_of_difference"),
            by_users: figure(&policy["users"], "reward_per_slate", "interval"),
            verdict: text(&policy["verdict"]).to_owned(),
            reasons: names(&policy["reasons"]),
        }
    }

    /// Whether the log decides on it.
    pub fn is_decided(&self) -> bool {
        self.verdict != UNDECIDED
    }

    /// By what it is put in order.
    fn key(&self, by: By) -> f64 {
        let figure = match by {
            By::Users => self.by_users,
            By::Log => self.by_log,
            By::Nothing => self.by_log.filter(|_| self.is_decided()),
        };
        figure.map_or(f64::NEG_INFINITY, |figure| figure.value)
    }

    /// How many times as many sessions would show a difference above 0 that is as large as it
    /// seems.
    fn more_sessions(&self) -> Option<f64> {
        let Figure { value, interval } = self.difference?;
        let [low, high] = interval?;
        let half = (high - low) / 2.0;
        (value > 0.0 && half > value).then(|| (half / value).powi(2).ceil())
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some([low, high]) = self.interval else { return write!(f, "{:.4}", self.value) };
        // Two digits of the interval's width.
        let digits = (1.0 - ((high - low).max(1e-12)).log10().floor()).clamp(0.0, 8.0) as usize;
        write!(f, "{:.digits$} ({low:.digits$} to {high:.digits$})", self.value)
    }
}

fn figure(of: &Value, value: &str, interval: &str) -> Option<Figure> {
    let ends = of[interval]
        .as_array()
        .and_then(|ends| Some([ends.first()?.as_f64()?, ends.get(1)?.as_f64()?]));
    Some(Figure { value: of[value].as_f64()?, interval: ends })
}

/// Whether a log that was described has propensities.
pub fn has_propensities(describe: &Done) -> bool {
    let findings = describe.answer.json["findings"].as_array();
    findings.into_iter().flatten().all(|finding| finding["code"] != "no-propensities")
}

fn names_of<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    rows.map(|row| row.policy.as_str()).collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn names(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|name| text(name).to_owned()).collect()
}
