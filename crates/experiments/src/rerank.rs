//! The experiment `rerank`: recommenders rerank the lists of a log, and the clicked items are to
//! come first (IRecGAN §7.2, Table 1).

use anyhow::Context;
use foretaste_baselines::{self as baselines, Data, Impressions, ModelKind, select_among};
use foretaste_data::Log;
use foretaste_disc::DiscriminatorConfig;
use foretaste_eval::Metric;
use foretaste_eval::metrics::precision_at;
use foretaste_irecgan::{IRecGanConfig, ImportanceSampling};
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Scale, Watch, in_own_pool};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_report::{By, DataSet, Figures, Kind, View};
use foretaste_user_model::behaviour::{BehaviourConfig, first_clicks_given};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::epochs::Row;
use crate::learned::{grid_callback, interruptible};
use crate::rerank_lists::{List, Ranker, judged, later};
use crate::rerank_logs::{self, PUBLIC, Source, SplitLogs};
use crate::rerank_task::{Plan, Task};
use crate::rerank_training::Trainings;
use crate::user_model::grid;

/// The experiment `rerank`.
pub struct Rerank {
    cells: Vec<Cell>,
    sources: Vec<Source>,
    missing: Vec<String>,
    trainings: Trainings,
}

/// What a cell's result depends on, in addition to its data set and seed.
#[derive(Serialize, Deserialize)]
struct Config {
    /// The seed of the split and the networks where the cell's is 0.
    first_seed: u64,
    data: String,
    device: String,
    method: Method,
    plan: Option<Box<Plan>>,
    grid: Vec<baselines::Settings>,
    /// Whether training has the first click of a session as an input and does not predict it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    first_click_given: bool,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Lstm,
    Lstmd,
    Pg,
    Pgis,
    Ac,
    Pgu,
    Acu,
    IRecGan,
    Popularity,
    Position,
}

impl Method {
    /// Those of Table 1 in its order, and two that any of them should beat.
    const ALL: [Self; 10] = [
        Self::Lstm,
        Self::Lstmd,
        Self::Pg,
        Self::Pgis,
        Self::Ac,
        Self::Pgu,
        Self::Acu,
        Self::IRecGan,
        Self::Popularity,
        Self::Position,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Lstm => "LSTM",
            Self::Lstmd => "LSTMD",
            Self::Pg => "PG",
            Self::Pgis => "PGIS",
            Self::Ac => "AC",
            Self::Pgu => "PGU",
            Self::Acu => "ACU",
            Self::IRecGan => "IRecGAN",
            Self::Popularity => "popularity",
            Self::Position => "position",
        }
    }

    fn counted(self) -> Option<ModelKind> {
        match self {
            Self::Popularity => Some(ModelKind::Popularity),
            Self::Position => Some(ModelKind::Position),
            _ => None,
        }
    }
}

/// Methods that are also trained with the first click given, as in the authors' code.
const FIRST_CLICK_GIVEN: [(Method, &str); 3] = [
    (Method::Lstm, "LSTM, first click given"),
    (Method::Pg, "PG, first click given"),
    (Method::IRecGan, "IRecGAN, first click given"),
];

/// Seeds where claims are to be decided.
const SEEDS: u64 = 10;
const NAME: &str = "rerank";
/// Items on a slate that A and U make.
const K: usize = 10;
/// Rewards of clicks below this share are rare: purchases, whose class is weighted.
const RARE: f64 = 0.2;

impl Rerank {
    /// Reads the data and lays out the grid of cells: data sets x methods x seeds.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let (sources, missing) = rerank_logs::read(settings)?;
        let mut cells = Grid::new(NAME, settings.seeds(SEEDS));
        for source in &sources {
            let usual = Method::ALL.map(|method| (method, method.name(), false));
            let given = FIRST_CLICK_GIVEN.map(|(method, name)| (method, name, true));
            for (method, name, first_click_given) in usual.into_iter().chain(given) {
                let counted = method.counted();
                let config = Config {
                    first_seed: settings.first_seed(),
                    data: source.digest.clone(),
                    device: settings.device.to_string(),
                    method,
                    plan: counted.is_none().then(|| Box::new(plan(source, settings.scale))),
                    grid: counted.map_or(Vec::new(), |kind| grid(kind, settings.scale)),
                    first_click_given,
                };
                cells.arm(&source.name, name, "", config)?;
            }
        }
        // At the published size a training leaves networks of 600 MB.
        let kept = if settings.scale == Scale::Paper { 2 } else { 256 };
        Ok(Self {
            cells: cells.into_cells(),
            sources,
            missing,
            trainings: Trainings::new(kept, settings.device.open()?),
        })
    }
}

/// Sizes of the networks and lengths of the training. The paper gives sizes and rates, not epochs;
/// at `quick` networks are small, and rates higher so that they need fewer epochs.
fn plan(source: &Source, scale: Scale) -> Plan {
    let published = IRecGanConfig::new(source.items, K.min(source.items));
    let rare = source.clicks().1 < RARE;
    let purchase_weight = if rare { published.users.purchase_weight } else { 1.0 };
    let mut networks = IRecGanConfig {
        users: BehaviourConfig { purchase_weight, ..published.users },
        discriminator: DiscriminatorConfig { leaving: source.leaving(), ..published.discriminator },
        users_epochs: 100,
        agent_epochs: 100,
        discriminator_epochs: 20,
        epochs: 50,
        ..published
    };
    let (hidden, patience) = match scale {
        Scale::Smoke => (8, 1),
        Scale::Quick | Scale::Decide => (64, 3),
        Scale::Paper => (512, 5),
    };
    if scale != Scale::Paper {
        (networks.users.hidden, networks.agent.hidden, networks.discriminator.hidden) =
            (hidden, hidden, hidden);
        let rate = |optimiser: AdamConfig| AdamConfig { learning_rate: 1e-3, ..optimiser };
        networks.users_training.optimiser = rate(networks.users_training.optimiser);
        networks.agent_training.optimiser = rate(networks.agent_training.optimiser);
        networks.discriminator_training.optimiser = rate(networks.discriminator_training.optimiser);
        let (epochs, adversarial) = if scale == Scale::Smoke { (2, 1) } else { (10, 5) };
        networks = IRecGanConfig {
            users_epochs: epochs,
            agent_epochs: epochs,
            epochs: adversarial,
            ..networks
        };
    }
    let metric = source.metric();
    Plan { networks, sampling: ImportanceSampling::default(), metric, patience }
}

impl Experiment for Rerank {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, watch: &Watch) -> anyhow::Result<Outcome> {
        let source = self
            .sources
            .iter()
            .find(|source| source.name == cell.dataset)
            .context("a data set of this run")?;
        let config: Config = cell.config()?;
        let seed = config.first_seed + cell.seed;
        let mut logs = source.split_logs(Seed::new(seed))?;
        let mut trained_on = cell.dataset.clone();
        if config.first_click_given {
            logs.train = first_clicks_given(&logs.train)?;
            trained_on += ", first click given";
        }
        match (config.plan, config.method.counted()) {
            (Some(plan), None) => {
                let task = Task { log: &trained_on, logs: &logs, plan: &plan, seed, watch };
                in_own_pool(|| self.learned(config.method, &task))
            }
            _ => counted(source, &logs, &config.grid, Seed::new(seed), watch),
        }
    }

    fn columns(&self) -> &'static [Metric] {
        &[
            Metric::PrecisionAt10,
            Metric::PrecisionAt1,
            Metric::PrecisionAt10First,
            Metric::PrecisionAt1First,
        ]
    }

    fn further_metrics(&self) -> Vec<Metric> {
        vec![Metric::Known, Metric::PrecisionAt1Known, Metric::PrecisionAt10Known]
    }

    fn public_datasets(&self) -> &'static [&'static str] {
        &PUBLIC
    }

    fn curve_label(&self) -> &'static str {
        "share of clicks that are not among the 10 best of their list (1 best where lists are \
         short)"
    }

    fn question(&self) -> &'static str {
        "Which model ranks the clicked item of a result list first (IRecGAN, Table 1)?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        self.sources.iter().map(Source::data_set).collect()
    }

    fn views(&self) -> Vec<View> {
        vec![
            View {
                title: "Reranking result lists (IRecGAN, Table 1)",
                over: "method",
                metrics: vec![
                    (Metric::PrecisionAt10, "precision@10"),
                    (Metric::PrecisionAt1, "precision@1"),
                ],
                panels: Some(By::Dataset),
                groups: Some(By::Method),
                series: Some(By::Metric),
                ..View::default()
            },
            View {
                kind: Kind::Dots,
                name: "precision-10",
                title: "Reranking long lists",
                axis: "precision@10 (share of clicks)",
                metrics: vec![(Metric::PrecisionAt10, "precision@10")],
                panels: Some(By::Dataset),
                groups: Some(By::Method),
                ..View::default()
            },
            View {
                kind: Kind::Dots,
                name: "precision-1",
                title: "Reranking lists",
                axis: "precision@1 (share of clicks)",
                metrics: vec![(Metric::PrecisionAt1, "precision@1")],
                panels: Some(By::Dataset),
                groups: Some(By::Method),
                ..View::default()
            },
        ]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.sources.iter().map(Source::note).chain(self.missing.clone()).collect();
        notes.push(
            "precision@r: share of test clicks, but the first of each session, whose item is among \
             the r best scored of its logged list, after the clicks before it; ties share places by \
             expectation. *_first: the first clicks. *_known: clicks on lists all of whose items the \
             training sessions show."
                .into(),
        );
        notes.extend(self.sources.iter().map(|source| match unknown(source) {
            Ok(text) => text,
            Err(error) => format!("{}: {error}", source.name),
        }));
        notes.push(
            "For comparison: the paper's Table 1 (CIKM, p@10 / p@1 in %): LSTM 32.89 / 8.20, LSTMD \
             33.42 / 8.55, PG 33.28 / 6.25, PGIS 28.13 / 4.61, AC 31.93 / 6.54, PGU 34.12 / 6.44, \
             ACU 32.43 / 6.63, IRecGAN 35.06 / 6.79; a public re-run of the authors' code: agent \
             p@10 32.8 to 32.9, p@1 6.4 to 6.9."
                .into(),
        );
        notes
    }
}

/// What the test sessions under seed 0 show that training does not, and what choosing blindly would
/// score.
fn unknown(source: &Source) -> anyhow::Result<String> {
    let logs = source.split_logs(Seed::new(0))?;
    let (mut clicks, mut clicked, mut places, mut shown, mut whole) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut blind = Vec::new();
    for step in logs.test.iter().flat_map(|session| session.steps().collect::<Vec<_>>()) {
        let Some(item) = step.choice.item() else { continue };
        let known = step.slate.iter().filter(|item| logs.shown[item.index()]).count();
        clicks += 1.0;
        clicked += f64::from(u8::from(logs.shown[item.index()]));
        places += step.slate.len() as f64;
        shown += known as f64;
        whole += f64::from(u8::from(known == step.slate.len()));
        blind.push((vec![0.0; step.slate.len()], 0));
    }
    let blind = judged(&blind, &logs.test)?;
    let constant = |r| precision_at(r, blind.iter().map(|(scores, place)| (&scores[..], *place)));
    Ok(format!(
        "{}, seed 0: training shows {:.1}% of the items on test lists, {:.1}% of those clicked, \
         all items of {:.1}% of the lists. Choosing uniformly scores precision@10 {:.3}, \
         precision@1 {:.3}.",
        source.name,
        100.0 * shown / places,
        100.0 * clicked / clicks,
        100.0 * whole / clicks,
        constant(10)?,
        constant(1)?,
    ))
}

impl Rerank {
    fn learned(&self, method: Method, task: &Task<'_>) -> anyhow::Result<Outcome> {
        let judge = |ranker: Ranker<'_>, curve: Vec<Row>| {
            let metrics = figures(&ranker.rerank(&task.logs.test)?, task.logs)?;
            Ok(Outcome { metrics, curve })
        };
        match method {
            Method::Lstm => {
                let fitted = self.trainings.users(task)?;
                judge(Ranker::Users(fitted.learner.model()), fitted.first())
            }
            Method::Lstmd => {
                let fitted = self.trainings.adversarial(task)?;
                judge(Ranker::Users(fitted.learner.users()), fitted.first())
            }
            Method::Pg => {
                let fitted = self.trainings.agent(task)?;
                judge(Ranker::Agent(fitted.learner.agent()), fitted.first())
            }
            Method::Pgis => {
                let fitted = self.trainings.importance(task)?;
                judge(Ranker::Agent(fitted.learner.agent()), fitted.first())
            }
            Method::Ac => {
                let fitted = self.trainings.actor_critic(task)?;
                judge(Ranker::Agent(fitted.learner.actor().agent()), fitted.first())
            }
            Method::Pgu => {
                let fitted = self.trainings.agent_with_users(task)?;
                judge(Ranker::Agent(fitted.learner.agent()), fitted.first())
            }
            Method::Acu => {
                let fitted = self.trainings.actor_critic_with_users(task)?;
                judge(Ranker::Agent(fitted.learner.actor().agent()), fitted.first())
            }
            Method::IRecGan => {
                let fitted = self.trainings.adversarial(task)?;
                judge(Ranker::Agent(fitted.learner.agent()), fitted.last())
            }
            Method::Popularity | Method::Position => unreachable!("they are counted, not learned"),
        }
    }
}

/// Popularity or position, fitted on the training sessions and chosen on the validation sessions.
fn counted(
    source: &Source,
    logs: &SplitLogs,
    grid: &[baselines::Settings],
    seed: Seed,
    watch: &Watch,
) -> anyhow::Result<Outcome> {
    let data = Data::new(&source.log, source.items, &logs.split);
    let selected = select_among(grid, &data, seed.derive("baseline"), grid_callback(watch));
    let impressions = Impressions::new(&source.log, &logs.split.test);
    let scores = interruptible(selected)?.model.scores(&impressions)?;
    let lists = scores
        .into_iter()
        .zip(impressions.slates())
        .filter_map(|(scores, (_, clicked))| Some((scores, clicked?)));
    Ok(Outcome { metrics: figures(&lists.collect::<Vec<_>>(), logs)?, curve: Vec::new() })
}

/// The figures of reranked test lists, in the order of the clicks. First clicks of sessions stand
/// apart.
fn figures(lists: &[List], logs: &SplitLogs) -> anyhow::Result<Figures> {
    let (known, later) = (known(&logs.test, &logs.shown), later(&logs.test));
    let main = judged(lists, &logs.test)?;
    let none_later = !later.contains(&true);
    let pick = |chosen: &dyn Fn(usize) -> bool| -> Vec<&List> {
        lists.iter().enumerate().filter(|(at, _)| chosen(*at)).map(|(_, list)| list).collect()
    };
    let first = pick(&|at| !later[at]);
    let of_known = pick(&|at| known[at] && (later[at] || none_later));
    let mut metrics = Figures::from([(Metric::Known, of_known.len() as f64 / main.len() as f64)]);
    for (lists, names) in [
        (main, [Metric::PrecisionAt1, Metric::PrecisionAt10]),
        (first, [Metric::PrecisionAt1First, Metric::PrecisionAt10First]),
        (of_known, [Metric::PrecisionAt1Known, Metric::PrecisionAt10Known]),
    ] {
        if lists.is_empty() {
            continue;
        }
        for (r, metric) in [1, 10].into_iter().zip(names) {
            let precision =
                precision_at(r, lists.iter().map(|(scores, clicked)| (&scores[..], *clicked)))?;
            metrics.insert(metric, precision);
        }
    }
    Ok(metrics)
}

/// Of every click whether training shows all items of its list.
fn known(test: &Log, shown: &[bool]) -> Vec<bool> {
    let steps = test.iter().flat_map(|session| session.steps().collect::<Vec<_>>());
    let clicks = steps.filter(|step| step.choice.item().is_some());
    clicks.map(|step| step.slate.iter().all(|item| shown[item.index()])).collect()
}
