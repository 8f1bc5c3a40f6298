//! Every estimator that a policy and a log allow, and why the others are left out.

use foretaste_data::PropensityKind;
use foretaste_eval::counterfactual::{
    Diagnostics, Examination, MarginalSlates, PolicyValue, PositionSlates, Predictions,
    SequentialSlates, cascade_dr, clipped_dr, clipped_ips, dm, dr, iips, ips, pbm, rips, sips,
    sndr, sniips, snips, snpbm, snrips,
};
use foretaste_eval::{Error, Estimate, NoInterval};

use super::columns::{Columns, Known};
use super::logged::Logged;
use super::reward_model::RewardModels;

/// What must hold of users for an estimator to be right: the more, the less a log is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Assume {
    /// Nothing: a slate is weighted as a whole.
    #[default]
    Nothing,
    /// Users read from the top: the reward of a place depends on its item and those above it.
    FromTheTop,
    /// The reward of a place depends on its own item alone.
    PlacesAlone,
}

/// What one estimator makes of a policy.
pub struct Estimated {
    /// Its name.
    pub name: String,
    /// The estimate, with the interval of independent sessions.
    pub value: PolicyValue,
    /// The same of the rewards of each place, where it adds up from these.
    pub by_place: Option<Vec<f64>>,
    /// What a reader must know about it.
    pub mark: Option<&'static str>,
}

/// What is known of a policy's worth.
pub struct Estimates {
    /// By estimator.
    pub values: Vec<Estimated>,
    /// Estimators that are left out, and why.
    pub left_out: Vec<(String, String)>,
    /// What the weights say, by what is assumed; or why there are none.
    diagnostics: [Known<Diagnostics>; 3],
    /// The weights of whole slates.
    pub weights: Known<Vec<f64>>,
    /// The names of the self-normalized estimators, by what is assumed.
    deciding: [String; 3],
}

impl Estimates {
    /// All of them; weights are clipped at `cap` in those that clip.
    pub fn new(
        logged: &Logged<'_>,
        columns: &Columns,
        models: &RewardModels,
        cap: f64,
    ) -> anyhow::Result<Self> {
        let single = logged.single();
        let name = |name: &str, what: &str| match single {
            true => name.to_owned(),
            false => format!("{name}, {what}"),
        };
        let whole = |of: &str| name(of, "whole slates");
        let mut all = Self {
            values: Vec::new(),
            left_out: Vec::new(),
            diagnostics: std::array::from_fn(|_| Err(String::new())),
            weights: Err(String::new()),
            deciding: [whole("SNIPS"), name("SNRIPS", TOP), name("SNIIPS", ALONE)],
        };
        all.by_weights(logged, columns, models, cap, &whole)?;
        if single {
            all.diagnostics[1] = all.diagnostics[0].clone();
            all.diagnostics[2] = all.diagnostics[0].clone();
            all.deciding = std::array::from_fn(|_| "SNIPS".to_owned());
            all.leave_out(
                &["RIPS", "cascade-DR", "IIPS", "PBM and their self-normalized forms"],
                "slates of one item: the same as IPS, DR and SNIPS",
            );
            return Ok(all);
        }
        all.read_from_the_top(logged, columns, models)?;
        all.places_alone(logged, columns)?;
        Ok(all)
    }

    /// What the weights say of the log's power to answer, under an assumption.
    pub fn diagnostics(&self, assume: Assume) -> &Known<Diagnostics> {
        &self.diagnostics[assume as usize]
    }

    /// The estimator that decides under an assumption: the self-normalized one.
    pub fn deciding(&self, assume: Assume) -> Known<&Estimated> {
        let name = &self.deciding[assume as usize];
        self.values.iter().find(|estimated| estimated.name == *name).ok_or_else(|| {
            let why = self.left_out.iter().find(|(other, _)| other == name);
            why.map_or_else(
                || format!("there is no {name}"),
                |(name, why)| format!("{name}: {why}"),
            )
        })
    }

    fn leave_out(&mut self, names: &[impl AsRef<str>], why: impl Into<String>) {
        let why = why.into();
        self.left_out.extend(names.iter().map(|name| (name.as_ref().to_owned(), why.clone())));
    }

    /// Adds an estimate, or why there is none: where the weights by which it divides are all 0.
    fn add(
        &mut self,
        logged: &Logged<'_>,
        name: String,
        value: foretaste_eval::Result<PolicyValue>,
        by_place: Option<Vec<f64>>,
        mark: Option<&'static str>,
    ) -> anyhow::Result<()> {
        match value {
            Err(Error::NoOverlap { .. }) => self.left_out.push((
                name,
                "undefined (0/0): the weights that it divides by are all 0".to_owned(),
            )),
            Err(reason @ Error::Unexamined { .. }) => {
                self.left_out.push((name, reason.to_string()));
            }
            value => {
                let mut value = logged.sessions.value(&value?)?;
                if !self.deciding.contains(&name) {
                    // It is not used to compare.
                    value.terms = Vec::new();
                }
                self.values.push(Estimated { name, value, by_place, mark });
            }
        }
        Ok(())
    }

    /// The estimators of whole slates, each one action.
    fn by_weights(
        &mut self,
        logged: &Logged<'_>,
        columns: &Columns,
        models: &RewardModels,
        cap: f64,
        name: &impl Fn(&str) -> String,
    ) -> anyhow::Result<()> {
        let clipped =
            [name(&format!("IPS clipped at {cap}")), name(&format!("DR clipped at {cap}"))];
        let logged_q: Vec<f64> =
            logged.each().map(|(session, slate)| models.of(session).of_slate(slate)).collect();
        let model = match &columns.expected {
            Ok(expected) => Ok(Predictions::new(&logged_q, expected)?),
            Err(why) => Err(why.clone()),
        };
        let given = match (&columns.given, logged.kind) {
            (Ok(_), PropensityKind::Marginal) if !logged.single() => Err(MARGINAL.to_owned()),
            (Ok(given), _) => Ok(given),
            (Err(why), _) => Err(why.clone()),
        };
        let given = match given {
            Ok(given) => given,
            Err(why) => {
                self.leave_out(
                    &[
                        name("IPS"),
                        name("SNIPS"),
                        clipped[0].clone(),
                        name("DR"),
                        clipped[1].clone(),
                        name("SNDR"),
                    ],
                    why.clone(),
                );
                match model {
                    Ok(model) => self.add(logged, name("DM"), dm(&model), None, None)?,
                    Err(why) => self.leave_out(&[name("DM")], why),
                }
                self.diagnostics[0] = Err(why.clone());
                self.weights = Err(why);
                return Ok(());
            }
        };
        let places =
            SequentialSlates::new(&logged.lengths, &logged.by_place, &logged.logging, given)?;
        let slates = places.whole(&logged.earned)?;
        let ones = vec![1.0; logged.slates()];
        let mean_weight = of_sessions(logged, ips(&places.whole(&ones)?))?;
        let diagnostics = Diagnostics { mean_weight, ..slates.diagnostics()? };
        let nothing = diagnostics.largest_weight == 0.0;
        let (zero, opinion) = match nothing {
            true => (
                Some("all weights are 0, so this is no evidence"),
                Some("all weights are 0, so this is the prediction of q̂ alone"),
            ),
            false => (None, None),
        };
        let by_place = match logged.kind {
            PropensityKind::Slate => None,
            _ => self.of_places(logged, |reward| {
                sips(&SequentialSlates::new(&logged.lengths, reward, &logged.logging, given)?)
            })?,
        };
        self.add(logged, name("IPS"), ips(&slates), by_place, zero)?;
        self.add(logged, name("SNIPS"), snips(&slates), None, None)?;
        self.add(logged, clipped[0].clone(), clipped_ips(&slates, cap), None, zero)?;
        match model {
            Ok(model) => {
                // Without weights nothing of the log is in it: no interval but that of q̂.
                let or_dm = |value| if nothing { dm(&model) } else { value };
                self.add(logged, name("DM"), dm(&model), None, None)?;
                self.add(logged, name("DR"), or_dm(dr(&slates, &model)), None, opinion)?;
                let value = or_dm(clipped_dr(&slates, &model, cap));
                self.add(logged, clipped[1].clone(), value, None, opinion)?;
                self.add(logged, name("SNDR"), sndr(&slates, &model), None, None)?;
            }
            Err(why) => {
                self.leave_out(&[name("DM"), name("DR"), clipped[1].clone(), name("SNDR")], why);
            }
        }
        self.diagnostics[0] = Ok(diagnostics);
        self.weights = Ok(places.weights());
        Ok(())
    }

    /// Those of users who read from the top.
    fn read_from_the_top(
        &mut self,
        logged: &Logged<'_>,
        columns: &Columns,
        models: &RewardModels,
    ) -> anyhow::Result<()> {
        let [plain, normalised, with_model] =
            ["RIPS", "SNRIPS", "cascade-DR"].map(|name| format!("{name}, {TOP}"));
        let why = match (&columns.given, logged.kind, logged.rewards_of_no_item()) {
            (Err(why), ..) => Some(why.clone()),
            (_, PropensityKind::Marginal, _) => Some(MARGINAL.to_owned()),
            (_, PropensityKind::Slate, _) => Some(
                "the log's propensities are of whole slates, and these estimators need those of \
                 each place"
                    .to_owned(),
            ),
            (_, _, slates) if slates > 0 => Some(no_items(logged, slates)),
            _ => None,
        };
        let (None, Ok(given)) = (&why, &columns.given) else {
            let why = why.unwrap_or_default();
            self.leave_out(&[plain, normalised, with_model], why.clone());
            self.diagnostics[1] = Err(why);
            return Ok(());
        };
        let places =
            SequentialSlates::new(&logged.lengths, &logged.by_place, &logged.logging, given)?;
        let by_place = self.of_places(logged, |reward| {
            rips(&SequentialSlates::new(&logged.lengths, reward, &logged.logging, given)?)
        })?;
        self.add(logged, plain, rips(&places), by_place, None)?;
        self.add(logged, normalised, snrips(&places), None, None)?;
        match &columns.ahead {
            Ok(ahead) => {
                let of_place = |(session, slate): (usize, &'_ [foretaste_data::ItemId])| {
                    let model = models.of(session);
                    slate.iter().map(|&item| model.of_item(item)).collect::<Vec<f64>>()
                };
                let of_logged: Vec<f64> = logged.each().flat_map(of_place).collect();
                let value = cascade_dr(&places, &Predictions::new(&of_logged, ahead)?);
                self.add(logged, with_model, value, None, None)?;
            }
            Err(why) => self.leave_out(&[with_model], why.clone()),
        }
        let shares = shares(logged);
        let weights = SequentialSlates::new(&logged.lengths, &shares, &logged.logging, given)?;
        let mean_weight = of_sessions(logged, rips(&weights))?;
        self.diagnostics[1] = Ok(Diagnostics { mean_weight, ..places.diagnostics_by_place()? });
        Ok(())
    }

    /// Those of users whose places are independent, and of those who look at places more or less.
    fn places_alone(&mut self, logged: &Logged<'_>, columns: &Columns) -> anyhow::Result<()> {
        let [plain, normalised] = ["IIPS", "SNIIPS"].map(|name| format!("{name}, {ALONE}"));
        let examined = ["PBM", "SNPBM"].map(|name| format!("{name}, examined places"));
        let why = match (&columns.alone, logged.rewards_of_no_item()) {
            (Err(why), _) => Some(why.clone()),
            (Ok(_), slates) if slates > 0 => Some(no_items(logged, slates)),
            _ => None,
        };
        let (None, Ok(alone)) = (&why, &columns.alone) else {
            let why = why.unwrap_or_default();
            self.leave_out(&[plain, normalised], why.clone());
            self.leave_out(&examined, why.clone());
            self.diagnostics[2] = Err(why);
            return Ok(());
        };
        let by_place = self.of_places(logged, |reward| {
            iips(&MarginalSlates::new(&logged.lengths, reward, &alone.logging, &alone.policy)?)
        })?;
        let places =
            MarginalSlates::new(&logged.lengths, &logged.by_place, &alone.logging, &alone.policy)?;
        self.add(logged, plain, iips(&places), by_place, None)?;
        self.add(logged, normalised, sniips(&places), None, None)?;
        match &alone.everywhere {
            Ok([logging, policy]) => {
                let slates =
                    PositionSlates::new(logged.longest(), &logged.by_place, logging, policy)?;
                let [plain, normalised] = examined;
                self.add(logged, plain, pbm(&slates, Examination::FromLog), None, None)?;
                self.add(logged, normalised, snpbm(&slates, Examination::FromLog), None, None)?;
            }
            Err(why) => self.leave_out(&examined, why.clone()),
        }
        let shares = shares(logged);
        let weights = MarginalSlates::new(&logged.lengths, &shares, &alone.logging, &alone.policy)?;
        let mean_weight = of_sessions(logged, iips(&weights))?;
        self.diagnostics[2] = Ok(Diagnostics { mean_weight, ..places.diagnostics()? });
        Ok(())
    }

    /// What an estimator that adds up over places makes of each place's rewards alone.
    fn of_places(
        &self,
        logged: &Logged<'_>,
        estimate: impl Fn(&[f64]) -> foretaste_eval::Result<PolicyValue>,
    ) -> anyhow::Result<Option<Vec<f64>>> {
        if logged.single() || logged.rewards_of_no_item() > 0 {
            return Ok(None);
        }
        let of_place = |place: usize| {
            let at = logged.lengths.iter().flat_map(|&length| 0..length);
            let rewards = at.zip(&logged.by_place);
            let own = rewards.map(|(at, &reward)| if at == place { reward } else { 0.0 });
            estimate(&own.collect::<Vec<f64>>()).map(|value| value.estimate.mean)
        };
        Ok(Some((0..logged.longest()).map(of_place).collect::<foretaste_eval::Result<_>>()?))
    }
}

/// A reward of 1 a slate, shared by its places: what weighs it is the mean weight.
fn shares(logged: &Logged<'_>) -> Vec<f64> {
    let of_slate = |&length: &usize| std::iter::repeat_n(1.0 / length as f64, length);
    logged.lengths.iter().flat_map(of_slate).collect()
}

/// A mean with the interval of independent sessions.
fn of_sessions(
    logged: &Logged<'_>,
    value: foretaste_eval::Result<PolicyValue>,
) -> anyhow::Result<Estimate> {
    Ok(logged.sessions.value(&value?)?.estimate)
}

/// Whether an estimate knows nothing of the log's rewards but through q̂.
pub fn is_opinion(value: &PolicyValue) -> bool {
    value.standard_error == Err(NoInterval::ModelError)
}

const TOP: &str = "read from the top";
const ALONE: &str = "places alone";
const MARGINAL: &str = "the log's propensities are of each place regardless of the others \
                        (marginal), and these estimators need those of whole slates, or of each \
                        place conditional on the items before it";

fn no_items(logged: &Logged<'_>, slates: usize) -> String {
    format!(
        "{slates} of {} slates have a reward although nothing was chosen, so it belongs to no \
         place",
        logged.slates()
    )
}
