//! The experiment `trust`: the record of the verdict on learned users, in worlds whose users are
//! known.

mod evidence;
mod rightful;
mod world;

use candle_core::Device;
use foretaste_data::Log;
use foretaste_eval::Metric;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Watch, in_own_pool};
use foretaste_random::Seed;
use foretaste_report::{DataSet, Figures, View};
use foretaste_sim::{Environment, Mdp};
use foretaste_user_model::trust::{Evidence, Verdict};

use self::evidence::{Learned, evidence};
use self::rightful::Truth;
use self::world::{Config, Population, World};
use crate::Settings;
use crate::learned::LEARNED_USERS;

/// The experiment `trust`.
pub struct Trust {
    cells: Vec<Cell>,
    device: Device,
}

const NAME: &str = "trust";
/// Worlds of each kind where the record is made: a hundred in all.
const SEEDS: u64 = 5;
/// What a level costs that is wrongly permitted; one that is withheld costs 1.
const WRONG: f64 = 4.0;

impl Trust {
    /// Lays out the grid of cells: kinds of worlds x seeds.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut grid = Grid::new(NAME, settings.seeds(SEEDS)).version(LEARNED_USERS);
        let kinds = world::kinds();
        let kept = match settings.scale {
            Scale::Smoke => 1,
            Scale::Quick => 4,
            Scale::Decide | Scale::Paper => kinds.len(),
        };
        // Kinds of every sort, whatever their number.
        for kind in kinds.iter().step_by(kinds.len() / kept) {
            let config = Config::new(kind, settings);
            grid.arm(kind.family, &kind.method(), &kind.setting(settings.scale), config)?;
        }
        Ok(Self { cells: grid.into_cells(), device: settings.device.open()? })
    }

    fn figures(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Figures> {
        let config: Config = cell.config()?;
        let seed = config.seed(cell);
        match World::new(&config, seed)? {
            World::Choice(users) => {
                let liking = world::liking(&users);
                let features = Some((users.features().to_vec(), users.config().dims));
                self.examined(&*users, &liking, features, &config, seed, watch)
            }
            World::Mdp(users) => {
                let liking = users.rewards(0).to_vec();
                self.examined::<Mdp>(&users, &liking, None, &config, seed, watch)
            }
        }
    }

    /// What is found of users who are learned from a log of these, and what may rightly be asked of
    /// them.
    fn examined<E: Environment>(
        &self,
        users: &E,
        liking: &[f64],
        features: Option<(Vec<f32>, usize)>,
        config: &Config,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<Figures> {
        let log: Log = config.log(users, liking, seed)?;
        let learned = Learned::new(config, &log, features, seed, &self.device, watch)?;
        let found = evidence(config, &log, &learned, seed, watch)?;
        let truth = Truth::new(config, users, liking, &log, &learned, seed)?;
        Ok(figures(&found, &truth))
    }
}

/// What the verdict costs where the truth allows `rightful`.
fn loss(verdict: Verdict, rightful: Verdict) -> f64 {
    let level = |verdict: Verdict| f64::from(verdict as u8);
    let above = level(verdict) - level(rightful);
    if above > 0.0 { WRONG * above } else { -above }
}

fn figures(found: &Evidence, truth: &Truth) -> Figures {
    let (verdict, rightful) = (found.verdict(), truth.rightful());
    let costs = |verdict| loss(verdict, rightful);
    let known = [
        (Metric::TrustAuc, found.told_apart),
        (Metric::TrustClickRateError, found.click_rate_error),
        (Metric::TrustFormGain, found.form_gain),
        (Metric::TrustFormGreed, found.form_greed),
        (Metric::TrustFormOrder, found.form_order),
        (Metric::TrustFormRegret, found.form_regret),
        (Metric::TrustGreed, found.greed),
        (Metric::TrustHalvesAgree, found.halves_agree),
        (Metric::TrustLengthError, found.length_error),
        (Metric::TrustNllGain, found.nll_gain),
        (Metric::TrustOrder, found.order),
        (Metric::TrustRegret, found.regret),
        (Metric::TrustRewardError, found.reward_error),
        (Metric::TrustUniformGain, found.uniform_gain),
        (Metric::TrustUnseen, found.unseen),
        (Metric::TrustTrueOrder, truth.order),
    ];
    let all = [
        (Metric::TrustLoss, costs(verdict)),
        (Metric::TrustLossNothing, costs(Verdict::Nothing)),
        (Metric::TrustLossSimulate, costs(Verdict::OnlySimulate)),
        (Metric::TrustLossRank, costs(Verdict::RankPolicies)),
        (Metric::TrustLossTune, costs(Verdict::Tune)),
        (Metric::TrustRightful, f64::from(rightful as u8)),
        (Metric::TrustTrueRateError, truth.rate_error),
        (Metric::TrustTrueRegret, truth.regret),
        (Metric::TrustTrueTuned, truth.tuned),
        (Metric::TrustVerdict, f64::from(verdict as u8)),
        (Metric::TrustWrong, f64::from(u8::from(verdict > rightful))),
    ];
    known.into_iter().filter_map(|(metric, value)| Some((metric, value?))).chain(all).collect()
}

impl Experiment for Trust {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        in_own_pool(|| Ok(Outcome { metrics: self.figures(cell, watch)?, curve: Vec::new() }))
    }

    fn columns(&self) -> &'static [Metric] {
        &[Metric::TrustVerdict, Metric::TrustRightful, Metric::TrustWrong, Metric::TrustLoss]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![
            Metric::TrustAuc,
            Metric::TrustClickRateError,
            Metric::TrustFormGain,
            Metric::TrustFormGreed,
            Metric::TrustFormOrder,
            Metric::TrustFormRegret,
            Metric::TrustGreed,
            Metric::TrustHalvesAgree,
            Metric::TrustLengthError,
            Metric::TrustLossNothing,
            Metric::TrustLossRank,
            Metric::TrustLossSimulate,
            Metric::TrustLossTune,
            Metric::TrustNllGain,
            Metric::TrustOrder,
            Metric::TrustRegret,
            Metric::TrustRewardError,
            Metric::TrustTrueOrder,
            Metric::TrustTrueRateError,
            Metric::TrustTrueRegret,
            Metric::TrustTrueTuned,
            Metric::TrustUniformGain,
            Metric::TrustUnseen,
        ]
    }

    fn question(&self) -> &'static str {
        "How often does the verdict on learned users permit what they are not good for?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        let data_set = |name: &str| DataSet {
            name: name.to_owned(),
            caveat: "simulated users".into(),
            test_per_train: 0.0,
        };
        Population::NAMES
            .into_iter()
            .filter(|name| self.cells.iter().any(|cell| cell.dataset == *name))
            .map(data_set)
            .collect()
    }

    fn views(&self) -> Vec<View> {
        Vec::new()
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "Every seed has users, a log and models of its own. Verdict and rightful: 0 nothing, 1 \
             only simulate, 2 rank policies, 3 tune. Wrong: the verdict is above what the truth \
             allows. Loss: 4 a level wrongly permitted, 1 a level withheld. docs/trust.md says what \
             the truth allows."
                .into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_wrongly_permitted_costs_four_and_one_withheld_costs_one() {
        assert_eq!(loss(Verdict::Tune, Verdict::OnlySimulate), 8.0);
        assert_eq!(loss(Verdict::Nothing, Verdict::RankPolicies), 2.0);
        assert_eq!(loss(Verdict::Tune, Verdict::Tune), 0.0);
    }
}
