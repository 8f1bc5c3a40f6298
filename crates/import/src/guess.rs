//! A proposal of how a file is laid out, from its header and its first rows, for a person to check.

mod columns;
mod lists;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::value::RawValue;

use self::lists::{Lists, NOTHING};
use crate::detect::is_json;
use crate::formats::schema::COLUMNS;
use crate::reader::lines::Lines;
use crate::reader::{Source, Table};
use crate::{Error, Format, Input, Layout, Propensities, Result};

/// Rows that are looked at.
const ROWS: usize = 1000;

/// Proposes how to read a log in columns of its own: a [`Layout`] as TOML, with what the columns
/// hold as comments. The columns that `given` names, and those that it ignores, are not guessed.
///
/// # Errors
/// [`Error::File`] for a file in which nothing looks like sessions with slates and choices, or that
/// lacks a column that is given: the error says what was found; [`Error::Files`] when the system
/// refuses.
pub fn guess(input: &Input, given: &Layout) -> Result<String> {
    let path = input.path();
    let sample = Sample::of(path)?;
    let roles = sample.roles(&sample.given(path, given)?, &given.ignore_columns);
    let role = |name: &str| roles.iter().find(|(role, _)| *role == name).map(|(_, at)| *at);
    let missing = match (role("session"), role("user"), role("shown").or(role("item"))) {
        (None, None, _) => Some("a session or a user"),
        (_, _, None) => Some("a list of items shown, or an item"),
        _ if role("chosen").or(role("clicked")).is_none() => Some("what was chosen"),
        _ => None,
    };
    if let Some(missing) = missing {
        let problem = format!(
            "no column looks like {missing}; its columns are {}; name those that are not found \
             with --column session=NAME (or user=NAME, whose rows are separated at long pauses), \
             shown=NAME and chosen=NAME (or item=NAME and clicked=NAME)",
            sample.names.join(", ")
        );
        return Err(Error::file(path, problem));
    }
    let mut text = String::new();
    // Writing into a string cannot fail.
    let mut line = |args: std::fmt::Arguments<'_>| _ = writeln!(text, "{args}");
    let log = input.given().display();
    line(format_args!("# How to read {log}, guessed from its header and its first rows."));
    line(format_args!(
        "# Check every line, then pass this file to `foretaste import {log} --to LOG` by --layout."
    ));
    line(format_args!("format = {:?}", sample.format.name()));
    if let Some(delimiter) = sample.delimiter {
        line(format_args!("delimiter = {:?}", delimiter.to_string()));
    }
    let slates = role("shown")
        .map(|at| Lists::best(&sample.values[at], role("chosen").map(|at| &sample.values[at][..])));
    if let Some(separator) = slates.as_ref().and_then(|slates| slates.separator) {
        line(format_args!("list-separator = {:?}", separator.to_string()));
    }
    if let Some(padding) = slates.as_ref().and_then(padding) {
        line(format_args!("padding = [{padding:?}] # it ends slates, again and again"));
    }
    if let Some(none) = role("chosen").and_then(|at| sample.no_click(at)) {
        line(format_args!("no-click = [{none:?}] # chosen, and never shown"));
    }
    let named = |at: &usize| roles.iter().any(|(_, taken)| taken == at);
    let unread: Vec<usize> = (0..sample.names.len()).filter(|at| !named(at)).collect();
    let (context, unread): (Vec<usize>, Vec<usize>) =
        unread.into_iter().partition(|&at| CONTEXTS.contains(&&*plain(&sample.names[at])));
    if !context.is_empty() {
        let names: Vec<&str> = context.iter().map(|&at| &*sample.names[at]).collect();
        line(format_args!("context = {names:?} # what slates were shown in, as categories"));
    }
    if let Some(kind) = role("propensity").and_then(|at| Propensities::of_column(&sample.names[at]))
    {
        line(format_args!("propensities = \"{kind}\""));
    }
    let session = role("session");
    if session.is_none() && role("timestamp").is_some() {
        line(format_args!(
            "session-gap = \"30m\" # no column names sessions: such a pause of a user ends one"
        ));
    } else if session.or(role("user")).is_some_and(|at| !sample.in_order(at, role("timestamp"))) {
        line(format_args!(
            "sort = true # the rows of a session are not consecutive, or not in order of time"
        ));
    }
    line(format_args!(""));
    line(format_args!("[columns]"));
    for name in COLUMNS {
        let at = match role(name) {
            None if name == "session" && role("timestamp").is_none() => role("user"),
            at => at,
        };
        if let Some(at) = at {
            let shown = &sample.names[at];
            line(format_args!("{name} = {shown:?}{}", sample.examples(at)));
        }
    }
    let unread: Vec<String> =
        unread.into_iter().map(|at| format!("{:?}", sample.names[at])).collect();
    if !unread.is_empty() {
        line(format_args!("# not read: {}", unread.join(", ")));
    }
    Ok(text)
}

/// The column whose name is one that others give to a column of the schema; of times also one that
/// ends in `_at` or `time`.
pub(crate) fn alias(names: &[String], column: &str) -> Option<usize> {
    let (_, aliases) = ALIASES.iter().find(|(role, _)| *role == column)?;
    let known = aliases.split(' ').find_map(|alias| {
        names.iter().position(|name| !alias.is_empty() && plain(name) == plain(alias))
    });
    let time = |name: &String| {
        let name = name.to_lowercase();
        column == "timestamp" && (name.ends_with("_at") || name.ends_with("time"))
    };
    known.or_else(|| names.iter().position(time))
}

/// The first rows of a file, by columns.
struct Sample {
    format: Format,
    delimiter: Option<char>,
    names: Vec<String>,
    /// `[columns][rows]`.
    values: Vec<Vec<String>>,
}

impl Sample {
    fn of(path: &Path) -> Result<Self> {
        let start = Source::open(path, None)?.start(path)?;
        if start.starts_with(b"PAR1") {
            let (names, values) = columns::of_parquet(path, ROWS)?;
            return Ok(Self { format: Format::Parquet, delimiter: None, names, values });
        }
        match is_json(&String::from_utf8_lossy(&start)) {
            true => Self::of_json(path),
            false => Self::of_table(path),
        }
    }

    fn of_table(path: &Path) -> Result<Self> {
        let (source, delimiter) = Source::open(path, None)?.delimiter()?;
        let mut table = Table::open(source, delimiter as u8, true, &[])?;
        let names: Vec<String> = table.header().to_vec();
        let mut values = vec![Vec::new(); names.len()];
        for _ in 0..ROWS {
            let Some(row) = table.next()? else { break };
            for (at, column) in values.iter_mut().enumerate() {
                column.push(row.lone_field(at).unwrap_or_default().to_owned());
            }
        }
        Ok(Self { format: Format::Csv, delimiter: Some(delimiter), names, values })
    }

    fn of_json(path: &Path) -> Result<Self> {
        let (mut names, mut values): (Vec<String>, Vec<Vec<String>>) = Default::default();
        for line in Lines::of(Source::open(path, None)?).take(ROWS) {
            let (_, line) = line?;
            let Ok(fields) = serde_json::from_str::<HashMap<String, &RawValue>>(&line) else {
                continue;
            };
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            for (name, value) in fields {
                let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                    names.push(name);
                    values.push(Vec::new());
                    names.len() - 1
                });
                let text = value.get().trim_matches('"');
                values[at].push(if text == "null" { String::new() } else { text.to_owned() });
            }
        }
        Ok(Self { format: Format::JsonLines, delimiter: None, names, values })
    }

    /// Which columns of the schema the file's are, by what is given.
    fn given(&self, path: &Path, layout: &Layout) -> Result<Vec<(&'static str, usize)>> {
        let mut roles = Vec::new();
        for (column, name) in &layout.columns {
            let problem = |what: String| {
                Error::file(path, format!("{what}; its columns are {}", self.names.join(", ")))
            };
            let role = COLUMNS.into_iter().find(|known| known == column).ok_or_else(|| {
                let known = COLUMNS.join(", ");
                problem(format!("the schema has no column {column:?}, only {known}"))
            })?;
            let at = self.names.iter().position(|known| known == name).ok_or_else(|| {
                problem(format!("has no column {name:?}, which was given as {column}"))
            })?;
            roles.push((role, at));
        }
        Ok(roles)
    }

    /// Which columns of the schema the file's look like: those that are given, and others that are
    /// not ignored.
    fn roles(
        &self,
        given: &[(&'static str, usize)],
        ignored: &[String],
    ) -> Vec<(&'static str, usize)> {
        let is_given = |role: &str| given.iter().any(|(known, _)| *known == role);
        let mut roles = given.to_vec();
        for name in COLUMNS.into_iter().filter(|name| !is_given(name)) {
            let taken = |at: usize| {
                roles.iter().any(|(_, other)| *other == at) || ignored.contains(&self.names[at])
            };
            let known =
                ALIASES.iter().find(|(role, _)| *role == name).map_or("", |(_, names)| names);
            let found = std::iter::once(name).chain(known.split(' ')).find_map(|alias| {
                let alias = plain(alias);
                (0..self.names.len()).find(|&at| {
                    !alias.is_empty()
                        && !taken(at)
                        && plain(&self.names[at]) == alias
                        && self.fits(name, at)
                })
            });
            roles.extend(found.map(|at| (name, at)));
        }
        let settled = is_given("shown") || is_given("chosen") || is_given("clicked");
        if !settled && let Some((shown, chosen)) = self.slates_by_cells(&roles) {
            roles.retain(|(role, at)| {
                !["shown", "chosen"].contains(role) && *at != shown && *at != chosen
            });
            roles.extend([("shown", shown), ("chosen", chosen)]);
        }
        // A file with a list of what was shown has no row per item.
        let lists = roles.iter().any(|(role, _)| *role == "shown");
        let flags = roles.iter().any(|(role, _)| *role == "clicked");
        roles.retain(|(role, _)| match *role {
            role if is_given(role) => true,
            "item" | "position" | "slate" => !lists,
            "chosen" => lists || !flags,
            _ => true,
        });
        roles
    }

    /// Whether what a column holds can be what its name says.
    fn fits(&self, role: &str, at: usize) -> bool {
        let mut values = self.values[at].iter().filter(|value| !value.is_empty());
        let flag = |value: &String| {
            matches!(&*value.to_ascii_lowercase(), "0" | "1" | "0.0" | "1.0" | "true" | "false")
        };
        let number = |value: &String| value.parse::<f64>().is_ok() || flag(value);
        match role {
            "clicked" => values.all(flag),
            "chosen" => values.clone().next().is_none() || values.any(|value| !flag(value)),
            "step" | "position" => values.all(number),
            _ => true,
        }
    }

    /// The columns of slates and of what was chosen from them, by their cells: most cells of the
    /// one hold several ids, of which the other has one. What the names say of either is kept,
    /// unless a column that is called so has no choice on its lists.
    fn slates_by_cells(&self, roles: &[(&'static str, usize)]) -> Option<(usize, usize)> {
        let role = |name: &str| roles.iter().find(|(role, _)| *role == name).map(|(_, at)| *at);
        let chosen = role("chosen");
        let given = chosen.map(|at| &self.values[at][..]);
        let fits = |&at: &usize| {
            given.is_none_or(|chosen| {
                let hits = Lists::best(&self.values[at], given).hits(chosen);
                hits.on_list > 0 || hits.chosen == 0
            })
        };
        let shown = role("shown").filter(fits);
        let per_item = role("item").and(role("clicked")).is_some();
        if shown.and(chosen).is_some() || shown.is_none() && per_item {
            return None;
        }
        // A file of one row per slate may call the chosen item an item.
        let free: Vec<usize> = (0..self.names.len())
            .filter(|at| {
                let other = |role: &str| !["item", "shown"].contains(&role);
                !roles.iter().any(|(role, taken)| taken == at && other(role))
            })
            .collect();
        let lists = shown.map_or_else(|| free.clone(), |at| vec![at]);
        let choices = chosen.map_or(free, |at| vec![at]);
        let mut best: Option<(usize, (usize, usize))> = None;
        for list in lists {
            let slates = Lists::best(&self.values[list], given);
            if shown.is_none() && !slates.are_lists() {
                continue;
            }
            for &choice in choices.iter().filter(|&&choice| choice != list) {
                let hits = slates.hits(&self.values[choice]);
                let least = if chosen.is_some() { hits.chosen / 2 + 1 } else { hits.chosen };
                // What could have been shown holds the slate: the shorter lists are the slates.
                let shorter = best.is_none_or(|(size, _)| slates.size() < size);
                if hits.chosen > 0 && hits.on_list >= least && shorter {
                    best = Some((slates.size(), (list, choice)));
                }
            }
        }
        best.map(|(_, pair)| pair)
    }

    /// What stands for no choice.
    fn no_click(&self, chosen: usize) -> Option<String> {
        let stands = |value: &&String| NOTHING.contains(&&*value.to_ascii_lowercase());
        self.values[chosen].iter().find(stands).cloned()
    }

    /// Whether the rows of a session stand together, in the order of their times.
    fn in_order(&self, session: usize, time: Option<usize>) -> bool {
        let sessions = &self.values[session];
        let mut seen = HashSet::new();
        let mut last: Option<&String> = None;
        let together = sessions.iter().all(|id| {
            let goes_on = last == Some(id);
            last = Some(id);
            goes_on || seen.insert(id)
        });
        let number =
            |at: usize, row: usize| -> Option<f64> { self.values[at].get(row)?.parse().ok() };
        let rising = time.is_none_or(|at| {
            (1..sessions.len()).all(|row| {
                sessions[row] != sessions[row - 1]
                    || number(at, row).zip(number(at, row - 1)).is_none_or(|(b, a)| a <= b)
            })
        });
        together && rising
    }

    fn examples(&self, at: usize) -> String {
        let values: Vec<String> = self.values[at]
            .iter()
            .filter(|value| !value.is_empty())
            .take(3)
            .map(|value| value.chars().take(30).filter(|c| !c.is_control()).collect())
            .collect();
        if values.is_empty() { String::new() } else { format!(" # {}", values.join(" · ")) }
    }
}

/// An id that stands at the end of slates more than once in a row.
fn padding(slates: &Lists) -> Option<String> {
    let repeated = |ids: &Vec<String>| match &ids[..] {
        [.., before, last] if ids.len() > 2 && before == last => Some(last.clone()),
        _ => None,
    };
    slates.rows.iter().find_map(repeated)
}

/// A name without what differs between styles of writing names.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What columns are called that say what a slate was shown in.
const CONTEXTS: [&str; 17] = [
    "query",
    "searchquery",
    "keyword",
    "device",
    "devicetype",
    "platform",
    "os",
    "browser",
    "app",
    "locale",
    "language",
    "country",
    "region",
    "city",
    "channel",
    "surface",
    "referrer",
];

/// What others call the columns of the schema, the likelier first.
const ALIASES: [(&str, &str); 15] = [
    ("session", "session_id sessionid sess_id sess visit_id visit session_num session_key"),
    (
        "user",
        "user_id userid uid u visitor_id visitorid visitor customer_id customer member_id \
         account_id client_id client shopper_id shopper profile_id anonymous_id cookie_id cookie",
    ),
    (
        "timestamp",
        "time ts time_ms timestamp_ms datetime event_time eventtime created_at date when",
    ),
    (
        "shown",
        "impressions impression slate slate_items items_shown shown_items items item_ids \
         displayed_items displayed recommended_items recommendations recs rec_list list exposed \
         exposures results ranking",
    ),
    (
        "chosen",
        "clicked_item clicked_items chosen_item click_item click clicks clicked selected choice \
         selection reference response_item target",
    ),
    ("clicked", "is_click isclick is_clicked click label clicks response was_clicked"),
    ("reward", "revenue value purchase purchased gmv amount sales rating price conversion"),
    (
        "item",
        "item_id itemid aid video_id product_id productid sku article_id movie_id doc_id asin",
    ),
    (
        "propensity",
        "propensity_score slate_propensity marginal_propensity propensities pscore prob probability probs logging_prob ps p behavior_prob",
    ),
    ("position", "pos rank place slot index_in_slate"),
    ("event", "event_type action_type action type event_name"),
    ("step", "step_id turn query_num seq sequence step_num request_num"),
    ("candidates", "pool candidate_items candidate_ids available actions action_set"),
    ("left", "has_left is_end ended leave"),
    ("slate", "slate_id impression_id request_id query_id queryid search_id page_id"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_its_aliases_and_no_alias_is_another_column() {
        for column in COLUMNS {
            assert!(ALIASES.iter().any(|(role, _)| *role == column), "{column}");
        }
        for (role, names) in ALIASES {
            for name in names.split(' ') {
                let other = COLUMNS.iter().find(|column| **column != role && **column == name);
                assert!(
                    other.is_none_or(|other| *other == "slate" || *other == "clicked"),
                    "{role}: {name}"
                );
            }
        }
    }
}
