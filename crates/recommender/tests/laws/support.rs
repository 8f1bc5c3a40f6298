//! A recommender of every kind.

use std::ops::ControlFlow;

use candle_core::Device;
use foretaste_baselines::{
    Data, Loss, NetworkConfig, Settings as ClickModelSettings, Training, TreesConfig,
};
use foretaste_cascade_dqn::{Architecture, ItemFeatures, LinUcb, LinUcbConfig, QConfig, QNetworks};
use foretaste_data::{Catalogue, Choice, Dataset, ItemId, Origin, Split};
use foretaste_irecgan::{Agent, AgentConfig, Selection};
use foretaste_random::Seed;
use foretaste_recommender::{Content, Memory, Recommender};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{
    Blind, Candidates, ChoiceUsers, ChoiceUsersConfig, Policy, Responses, Rollout, Slates,
};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourModel};
use foretaste_user_model::{Context, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit};

pub const ITEMS: usize = 8;
/// Items on a slate, for the kinds that are made for one length.
pub const K: usize = 3;

/// The items, with two features each.
pub fn catalogue() -> Catalogue {
    let names = (0..ITEMS).map(|item| format!("item {item}")).collect::<Vec<_>>();
    let features = (0..2 * ITEMS).map(|n| (n as f32 * 0.7).sin()).collect();
    let items = Catalogue::new(names.iter().map(String::as_str).collect());
    items.with_features(features, 2).unwrap()
}

/// Sessions of simulated users on random slates.
pub fn shop(sessions: u64) -> Dataset {
    let rollout = Rollout::new(Seed::new(1), 0..sessions, K).max_steps(6);
    let log = rollout.run(&simulated(), &Blind(UniformRandom { items: ITEMS })).unwrap();
    Dataset { name: "shop".into(), log, catalogue: catalogue(), ..Dataset::default() }
}

fn simulated() -> ChoiceUsers {
    ChoiceUsers::new(&ChoiceUsersConfig { items: ITEMS, ..ChoiceUsersConfig::default() }).unwrap()
}

pub fn agent() -> Agent {
    let config = AgentConfig { embedding: 4, hidden: 6, layers: 1, ..AgentConfig::new(ITEMS) };
    Agent::new(config, Seed::new(1), &Device::Cpu).unwrap()
}

pub fn behaviour() -> BehaviourModel {
    let config =
        BehaviourConfig { embedding: 4, hidden: 6, layers: 1, ..BehaviourConfig::new(ITEMS) };
    BehaviourModel::new(config, Seed::new(2), &Device::Cpu).unwrap()
}

pub fn user_model() -> UserModel {
    let config = UserModelConfig { head: vec![5], ..UserModelConfig::new(ITEMS) };
    UserModel::new(config, &catalogue(), Seed::new(3), &Device::Cpu).unwrap()
}

pub fn q_networks(given: bool) -> QNetworks {
    let features =
        if given { ItemFeatures::Given { dim: 2 } } else { ItemFeatures::Learned { dim: 3 } };
    let config = QConfig { features, hidden: 5, ..QConfig::new(ITEMS, K) };
    let catalogue = catalogue();
    let values = catalogue.features().map(|(values, _)| values).filter(|_| given);
    QNetworks::new(config, values, Seed::new(4)).unwrap()
}

fn single_network() -> QNetworks {
    let architecture = Architecture::Greedy;
    let config = QConfig { architecture, hidden: 5, ..QConfig::new(ITEMS, K) };
    QNetworks::new(config, None, Seed::new(4)).unwrap()
}

fn network() -> ClickModelSettings {
    let training = Training { iterations: 10, ..Training::default() };
    ClickModelSettings::Network(NetworkConfig {
        loss: Loss::Logistic,
        dim: 4,
        buckets: 64,
        context: true,
        training,
        ..NetworkConfig::default()
    })
}

fn trees() -> ClickModelSettings {
    ClickModelSettings::Trees(TreesConfig { trees: 10, alone: true, ..TreesConfig::default() })
}

fn click_model(settings: ClickModelSettings) -> foretaste_recommender::Result<Content> {
    let (shop, split) = (shop(40), split(40));
    let data = Data::new(&shop.log, ITEMS, &split);
    let go_on = |_| ControlFlow::Continue(());
    let model = settings.fit(&data, Seed::new(6), go_on)?;
    Content::click_model(&settings, &*model, 5)
}

fn split(sessions: usize) -> Split {
    let train = (0..sessions - 10).collect();
    Split { train, validation: (sessions - 10..sessions).collect(), test: Vec::new() }
}

/// Users who know items by counts and places too.
pub fn fitted_users() -> UserModel {
    let shop = shop(40);
    let context = Some(Context::Counts { place: true });
    let state = StateEncoder::position_weights();
    let config = UserModelConfig { head: vec![5], context, state, ..UserModelConfig::new(ITEMS) };
    let mut model = UserModel::new(config, &catalogue(), Seed::new(3), &Device::Cpu).unwrap();
    let training = TrainConfig { iterations: 5, ..TrainConfig::default() };
    let go_on = |_| ControlFlow::Continue(());
    fit(&mut model, &shop.log, &split(40), &training, Seed::new(4), go_on).unwrap();
    model
}

fn lin_ucb(features: &[f32]) -> LinUcb {
    let mut policy = LinUcb::new(LinUcbConfig::default(), K, ITEMS, features).unwrap();
    policy.learn(&simulated(), 10, 4, Seed::new(5)).unwrap();
    policy
}

/// Of every kind at least one.
pub fn contents() -> Vec<Content> {
    let weights: Vec<f64> = (0..ITEMS).map(|item| 1.0 / (item as f64 + 1.5)).collect();
    let scores: Vec<f64> = (0..ITEMS).map(|item| (item as f64 * 1.3).cos()).collect();
    [
        Content::agent(&agent(), Selection::Sampled),
        Content::agent(&agent(), Selection::Top),
        Content::policy_gradient(&agent()),
        Content::ranking(&behaviour()),
        Content::q_networks(&q_networks(false)),
        Content::q_networks(&q_networks(true)),
        Content::q_networks(&single_network()),
        Content::lin_ucb(&lin_ucb(catalogue().features().unwrap().0)),
        Content::lin_ucb(&lin_ucb(&[])),
        Content::greedy(&user_model(), 5),
        Content::greedy(&fitted_users(), 5),
        Content::assortment(&fitted_users(), 5),
        click_model(network()),
        click_model(trees()),
        Content::popularity(weights),
        Content::top_items(scores),
        Content::random(),
    ]
    .map(Result::unwrap)
    .into()
}

pub fn recommenders() -> Vec<Recommender> {
    let shop = shop(4);
    let settings = serde_json::json!({ "epochs": 3, "rate": 1.0 / 3.0 });
    let origin = Origin::new(&shop, &[0, 2], settings, 7, "v1");
    let provenance =
        foretaste_data::Provenance { catalogue: &shop.catalogue, origin: Some(&origin) };
    let new = |content| Recommender::new(content, provenance, &Device::Cpu).unwrap();
    contents().into_iter().map(new).collect()
}

/// Three users: one who begins, one who clicked items 2 and 5, one who clicked item 7 and skipped.
pub fn memory<P: Policy>(policy: &P) -> P::Memory {
    let mut memory = policy.begin(3).unwrap();
    let item = |item| Choice::Item(ItemId(item));
    for choices in [[Choice::Skip, item(2), item(7)], [Choice::Skip, item(5), Choice::Skip]] {
        let (mut slates, mut responses) = (Slates::with_k(K), Responses::default());
        for choice in choices {
            slates.push(&[2, 5, 7].map(ItemId), None);
            responses.push(choice, 1.0, false);
        }
        policy.observe(&mut memory, &slates, &responses).unwrap();
    }
    memory
}

/// The slates that the three users are shown.
pub fn slates(
    policy: &Recommender,
    memory: &Memory,
    allowed: Option<&Candidates>,
) -> foretaste_sim::Result<Slates> {
    let (mut slates, mut streams) = (Slates::default(), Seed::new(6).streams(0..3));
    policy.rank(memory, allowed, K, &mut streams, &mut slates)?;
    Ok(slates)
}
