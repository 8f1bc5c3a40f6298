//! What policies in a user's own files would do on the judged slates.

mod whole;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::bail;
use foretaste_data::{Fault, ItemId, PropensityKind, UnknownItems};
use foretaste_import::{ExpectedReward, OfSlate, PolicyFile, PolicyRows};

use super::columns::{Alone, Columns, NO_MARGINALS, Unseen};
use super::logged::{Items, Logged};
use super::reward_model::RewardModels;

/// What a file is read with.
pub struct Beside<'a> {
    pub logged: &'a Logged<'a>,
    pub models: &'a RewardModels,
    /// The raw ids of all sessions of the log, with their number among the judged, if they are.
    pub sessions: &'a HashMap<String, Option<usize>>,
}

/// A file whose items have been found among those of the log and of the reward model.
pub struct Found {
    file: PolicyFile,
    policy: Policy,
    /// Raw ids that neither knows.
    unknown: Vec<String>,
}

enum Policy {
    Logged(Vec<OfSlate<f64>>),
    Slates(Vec<OfSlate<ItemId>>),
    Table(Tree),
    Marginals(Vec<Place>),
}

/// A whole policy: what may follow some items, with its probability.
type Tree = BTreeMap<Vec<ItemId>, Vec<(ItemId, f64)>>;

/// The probability of items at a place: by the policy, and by the log's.
type Place = BTreeMap<ItemId, (f64, f64)>;

impl Found {
    /// Reads a policy. Items that are not among `items` become new ones where `rule` allows them,
    /// and are refused else.
    pub fn read(path: &Path, items: &mut Items, rule: UnknownItems) -> anyhow::Result<Self> {
        let mut file = PolicyFile::read(path)?;
        let rows = file.take_rows();
        let mut unknown = BTreeSet::new();
        let mut find = |line: u64, raw: &str, field: &'static str| match items.get(raw) {
            Some(item) if items.knows(item) => Ok(item),
            _ if rule == UnknownItems::DropSteps => {
                unknown.insert(raw.to_owned());
                Ok(items.add(raw))
            }
            _ => {
                let expected = "an item that the log or the reward model knows";
                let advice = "a policy with other items cannot be judged; if it is meant to show \
                              new items, --unknown-items drop-steps counts them among what the log \
                              cannot answer";
                Err(file.error(line, &Fault::value(field, expected, raw).advise(advice)))
            }
        };
        let policy = match rows {
            PolicyRows::Logged(rows) => Policy::Logged(rows),
            PolicyRows::Slates(rows) => {
                let mut slates = Vec::with_capacity(rows.len());
                for row in rows {
                    let places = row.places.iter().map(|raw| find(row.line, raw, "slate"));
                    let places = places.collect::<Result<_, _>>()?;
                    let OfSlate { line, session, step, .. } = row;
                    slates.push(OfSlate { line, session, step, places });
                }
                Policy::Slates(slates)
            }
            PolicyRows::Table(rows) => {
                let mut tree = Tree::new();
                for row in rows {
                    let before = row.before.iter().map(|raw| find(row.line, raw, "before"));
                    let before = before.collect::<Result<Vec<_>, _>>()?;
                    let item = find(row.line, &row.item, "item")?;
                    tree.entry(before).or_default().push((item, row.prob));
                }
                Policy::Table(tree)
            }
            PolicyRows::Marginals(rows) => {
                let mut places =
                    vec![Place::new(); rows.iter().map(|row| row.place + 1).max().unwrap_or(0)];
                for row in rows {
                    let item = find(row.line, &row.item, "item")?;
                    places[row.place].insert(item, (row.policy, row.logging));
                }
                Policy::Marginals(places)
            }
        };
        Ok(Self { file, policy, unknown: unknown.into_iter().collect() })
    }

    /// What is to be known of it.
    pub fn notes(&self) -> Vec<String> {
        let Some(first) = self.unknown.first() else { return Vec::new() };
        let count = self.unknown.len();
        vec![format!("the log does not have {count} of its items, such as {first:?}")]
    }

    /// The policy's columns.
    ///
    /// # Errors
    /// Where the file is not of the judged slates: a session or a step that lacks or that the log
    /// does not have, a list of another length, places that the log has and the file has not.
    pub fn columns(&self, beside: &Beside<'_>, items: &Items) -> anyhow::Result<Columns> {
        let columns = match &self.policy {
            Policy::Logged(rows) => self.of_logged(rows, beside),
            Policy::Slates(rows) => self.of_slates(rows, beside),
            Policy::Table(tree) => self.of_table(tree, beside, items),
            Policy::Marginals(places) => self.of_marginals(places, beside, items),
        }?;
        let Some(first) = self.unknown.first() else { return Ok(columns) };
        let unknown = || {
            let count = self.unknown.len();
            Err(format!("q̂ has no value for {count} items of the policy, such as {first:?}"))
        };
        Ok(Columns { expected: unknown(), ahead: unknown(), ..columns })
    }

    fn of_logged(&self, rows: &[OfSlate<f64>], beside: &Beside<'_>) -> anyhow::Result<Columns> {
        let logged = beside.logged;
        let rows = self.in_order(rows, beside)?;
        let given: Vec<f64> = rows.iter().flat_map(|row| row.places.iter().copied()).collect();
        let alone = match logged.single() {
            true => Ok(Alone::by_log(&logged.logging, given.clone())),
            false => Err(match logged.kind {
                PropensityKind::Marginal => "the file has the probability of an item conditional \
                                             on those before it, and these estimators need it \
                                             regardless of those"
                    .to_owned(),
                _ => NO_MARGINALS.to_owned(),
            }),
        };
        let others = || {
            Err("these estimators need the probability of every item, and the file has only those \
                 of the logged items; a file with the columns place,before,item,prob or \
                 session,step,slate has more"
                .to_owned())
        };
        Ok(Columns {
            given: Ok(given),
            alone,
            expected: others(),
            ahead: others(),
            unseen: Err("the file has nothing but what was logged".to_owned()),
        })
    }

    fn of_slates(&self, rows: &[OfSlate<ItemId>], beside: &Beside<'_>) -> anyhow::Result<Columns> {
        let Beside { logged, models, .. } = beside;
        let rows = self.in_order(rows, beside)?;
        let (mut given, mut policy, mut expected, mut ahead) = (vec![], vec![], vec![], vec![]);
        let (mut unseen_places, mut unseen_slates) = (0.0, 0.0);
        for (row, (session, slate)) in rows.iter().zip(logged.each()) {
            let (own, model) = (&row.places, models.of(session));
            let agree = slate.iter().zip(own).take_while(|(a, b)| a == b).count();
            let certain = |is: bool| f64::from(u8::from(is));
            for (place, item) in slate.iter().enumerate() {
                given.push(certain(place < agree));
                policy.push(certain(own[place] == *item));
                ahead.push(if place <= agree { model.of_item(own[place]) } else { 0.0 });
            }
            expected.push(model.of_slate(own));
            let unseen = (0..).zip(own).filter(|&(at, &item)| !logged.shown.at(at, item)).count();
            unseen_places += unseen as f64 / own.len() as f64;
            unseen_slates += certain(!logged.shown.slate(own));
        }
        let alone = match (logged.kind, logged.single()) {
            (PropensityKind::Marginal, _) | (_, true) => Ok(Alone::by_log(&logged.logging, policy)),
            _ => Err(NO_MARGINALS.to_owned()),
        };
        let slates = logged.slates() as f64;
        Ok(Columns {
            given: Ok(given),
            alone,
            expected: Ok(expected),
            ahead: Ok(ahead),
            unseen: Ok(Unseen {
                places: unseen_places / slates,
                slates: Some(unseen_slates / slates),
            }),
        })
    }

    /// The rows of the judged slates, in their order.
    fn in_order<'r, T>(
        &self,
        rows: &'r [OfSlate<T>],
        beside: &Beside<'_>,
    ) -> anyhow::Result<Vec<&'r OfSlate<T>>> {
        let log = beside.logged.log;
        let mut of_session: Vec<Vec<&OfSlate<T>>> = Vec::new();
        of_session.resize_with(log.sessions(), Vec::new);
        for row in rows {
            match beside.sessions.get(&row.session) {
                Some(&Some(session)) => of_session[session].push(row),
                // It is there, and not judged by.
                Some(None) => {}
                None => {
                    let fault = Fault::value("session", "a session of the log", &row.session);
                    return Err(self.file.error(row.line, &fault).into());
                }
            }
        }
        let name = |session: usize| {
            let named = beside.sessions.iter().find(|(_, at)| **at == Some(session));
            named.map_or("", |(name, _)| name.as_str())
        };
        let mut in_order = Vec::with_capacity(log.steps());
        for (session, mut rows) in log.iter().zip(of_session) {
            rows.sort_by_key(|row| row.step);
            if rows.is_empty() {
                let name = name(session.index());
                let problem = format!(
                    "session: the file has no row of {name:?}, which is used to judge the policy"
                );
                return Err(self.file.unfit(problem).into());
            }
            if rows.len() != session.len() {
                let steps: Vec<String> = rows.iter().map(|row| row.step.to_string()).collect();
                let problem = format!(
                    "step: session {:?} has {} slates in the log and {} rows, of steps {}",
                    name(session.index()),
                    session.len(),
                    rows.len(),
                    steps.join(", ")
                );
                return Err(self.file.unfit(problem).into());
            }
            for (row, step) in rows.into_iter().zip(session.steps()) {
                if row.places.len() != step.slate.len() {
                    let found = format!(
                        "{}, where the log's slate has {}",
                        row.places.len(),
                        step.slate.len()
                    );
                    let fault = Fault::new("row", "a value for each place of the slate", found);
                    return Err(self.file.error(row.line, &fault).into());
                }
                in_order.push(row);
            }
        }
        Ok(in_order)
    }
}

/// A model of the rewards in a file, which must contain every item of `items`; items that only it
/// knows become known.
pub fn reward_model(path: &Path, items: &mut Items) -> anyhow::Result<RewardModels> {
    let rows = ExpectedReward::read(path)?;
    let of: HashMap<ItemId, f64> =
        rows.iter().map(|row| (items.add(&row.item), row.reward)).collect();
    let mut rewards = Vec::with_capacity(of.len());
    for item in (0..items.len() as u32).map(ItemId) {
        let Some(&reward) = of.get(&item) else {
            bail!(
                "{}: item: the file has no row of {:?}, which is in the log; expected one row for \
                 every item",
                path.display(),
                items.name(item)
            );
        };
        rewards.push(reward);
    }
    items.know_all();
    Ok(RewardModels::given(rewards))
}
