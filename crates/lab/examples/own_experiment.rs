//! The share of the optimum that the greedy policy and random slates earn, in users without and
//! with boredom. The run keeps its cells in a folder, and writes tables, a verdict and a page.
//!
//! `cargo run --release -p foretaste-lab --example own_experiment -- [FOLDER]` (default out/own)

use foretaste_eval::Metric;
use foretaste_lab::*;
use foretaste_random::Seed;
use foretaste_report::DataSet;
use foretaste_sim::bounds::{ChoiceGreedy, ChoiceOracle};
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout, policies::UniformRandom};

const CLAIMS: &str = "\
paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings,margin,effect
ours,,own,greedy beats random slates,oracle_share,larger,greedy,random,beats the best,,,,
";
struct Own(Vec<Cell>);

impl Experiment for Own {
    fn name(&self) -> &'static str {
        "own"
    }
    fn question(&self) -> &'static str {
        "Is it boredom that makes greed short-sighted?"
    }
    fn cells(&self) -> &[Cell] {
        &self.0
    }
    fn datasets(&self) -> Vec<DataSet> {
        let named = |name: &str| DataSet { name: name.into(), ..DataSet::default() };
        vec![named("no boredom"), named("boredom")]
    }
    fn columns(&self) -> &'static [Metric] {
        &[Metric::OracleShare]
    }
    fn run(&self, cell: &Cell, _: &Watch) -> anyhow::Result<Outcome> {
        let users = ChoiceUsers::new(&ChoiceUsersConfig { seed: cell.seed, ..cell.config()? })?;
        let rollout = Rollout::new(Seed::new(cell.seed), 0..1_000, 3).max_steps(5);
        let played = match cell.method.as_str() {
            "greedy" => rollout.outcomes(&users, &Blind(ChoiceGreedy::new(users.clone())?))?,
            _ => rollout.outcomes(&users, &Blind(UniformRandom { items: 20 }))?,
        };
        let reward = played.iter().map(|session| session.reward).sum::<f64>() / 1e3;
        let share = reward / ChoiceOracle::new(&users, 3, 5)?.value();
        Ok(Outcome { metrics: [(Metric::OracleShare, share)].into(), ..Outcome::default() })
    }
}

fn main() -> anyhow::Result<()> {
    let mut grid = Grid::new("own", 4);
    for (users, boredom) in [("no boredom", 0.0), ("boredom", 1.5)] {
        let config = ChoiceUsersConfig { items: 20, boredom, ..ChoiceUsersConfig::default() };
        grid.arm(users, "greedy", "slates of 3", &config)?;
        grid.arm(users, "random", "slates of 3", &config)?;
    }
    let program = Program { experiments: &["own"], claims: CLAIMS, ..Default::default() };
    let experiments: [Box<dyn Experiment>; 1] = [Box::new(Own(grid.into_cells()))];
    let out = std::env::args().nth(1).unwrap_or("out/own".into());
    Run::new(program, &experiments, 4, out).run(&Default::default(), Default::default())
}
