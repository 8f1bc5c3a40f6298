//! What holds of the parts, and that they learn.

mod agent;
mod algorithm;
mod baselines;
mod learning;
mod simulation;

use candle_core::{DType, Device};
use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};
use foretaste_disc::DiscriminatorConfig;
use foretaste_nn::Params;
use foretaste_random::Seed;
use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout, policies::UniformRandom};
use foretaste_user_model::behaviour::{BehaviourConfig, clicked_sessions};

use crate::{Agent, AgentConfig, Buffer, IRecGan, IRecGanConfig};

/// Networks of a few numbers for `items` items.
fn tiny(items: usize, k: usize) -> IRecGanConfig {
    let (embedding, hidden, layers) = (3, 4, 2);
    IRecGanConfig {
        users: BehaviourConfig {
            embedding,
            hidden,
            layers,
            purchase_weight: 1.0,
            ..BehaviourConfig::new(items)
        },
        agent: AgentConfig { embedding, hidden, layers, ..AgentConfig::new(items) },
        discriminator: DiscriminatorConfig {
            embedding,
            hidden,
            layers,
            ..DiscriminatorConfig::new(items)
        },
        ..IRecGanConfig::new(items, k)
    }
}

/// Items of [`agent`] and [`buffer`].
const ITEMS: usize = 5;

fn agent(seed: u64, dtype: DType) -> Agent {
    Agent::with_type(tiny(ITEMS, 2).agent, Seed::new(seed), &Device::Cpu, dtype).unwrap()
}

fn buffer() -> Buffer {
    Buffer::real(log_of(&[
        vec![
            (vec![0, 1, 2], Some(1), 1.0),
            (vec![3, 4, 0], Some(4), 0.0),
            (vec![1, 0, 2], None, 0.0),
        ],
        vec![(vec![4, 2, 1], None, 0.0)],
        vec![(vec![1, 2, 0], Some(2), 0.0), (vec![4, 3, 0], Some(3), 1.0)],
    ]))
}

fn start(config: IRecGanConfig) -> IRecGan {
    IRecGan::new(config, Seed::new(1), &Device::Cpu).unwrap()
}

/// Makes an untrained network sharp, so that what it does depends on what it saw.
pub(crate) fn sharpen(params: &Params, factor: f64) {
    for (_, var) in params.iter() {
        var.set(&(var.as_tensor() * factor).unwrap()).unwrap();
    }
}

fn values(params: &Params) -> Vec<Vec<f32>> {
    params
        .snapshot()
        .unwrap()
        .into_values()
        .map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

/// A log of `sessions` users of the paper's MDP with `items` items.
fn offline(items: usize, sessions: u64, k: usize) -> Log {
    let mdp = Mdp::new(&MdpConfig { items, ..MdpConfig::default() }).unwrap();
    let log = Rollout::new(Seed::new(2), 0..sessions, k)
        .run(&mdp, &Blind(UniformRandom { items }))
        .unwrap();
    clicked_sessions(&log, &(0..log.sessions()).collect::<Vec<_>>(), items, Seed::new(3)).unwrap()
}

/// A step: the slate, the clicked item (none is leaving), the reward.
pub(crate) type Taken = (Vec<u32>, Option<u32>, f32);

pub(crate) fn log_of(sessions: &[Vec<Taken>]) -> Log {
    let mut builder = LogBuilder::default();
    for session in sessions {
        for (slate, clicked, reward) in session {
            let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
            let choice = clicked.map_or(Choice::Leave, |item| Choice::Item(ItemId(item)));
            builder.push(Step::new(&slate, choice, *reward)).unwrap();
        }
        builder.end_session(None).unwrap();
    }
    builder.build()
}

fn on_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}
