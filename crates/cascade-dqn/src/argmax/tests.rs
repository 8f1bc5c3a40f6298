//! The cascaded argmax must choose what a naive evaluation of every stage chooses, and, where the
//! Q-networks are exact maxima, what a search through all slates finds.

use candle_core::{Device, Tensor};
use foretaste_data::{ItemId, RecentClicks};
use foretaste_nn::Activation;
use foretaste_random::Seed;
use proptest::prelude::*;
use rand::Rng;

use super::panels::Widen;
use super::*;
use crate::config::{Architecture, ItemFeatures, StateEncoder};
use crate::{Error, QNetworks};

pub(super) fn config(items: usize, k: usize, hidden: usize, activation: Activation) -> QConfig {
    QConfig {
        features: ItemFeatures::Learned { dim: 3 },
        state: StateEncoder::PositionWeights { history: 2, columns: 2 },
        hidden,
        activation,
        ..QConfig::new(items, k)
    }
}

fn clicks(networks: &QNetworks, rows: usize, seed: u64) -> RecentClicks {
    let (mut clicks, mut stream) = (networks.no_clicks(rows), Seed::new(seed).stream(0));
    for row in 0..rows {
        for _ in 0..row % 4 {
            clicks.push(row, ItemId(stream.random_range(0..networks.config().items as u32)));
        }
    }
    clicks
}

pub(super) fn states(networks: &QNetworks, rows: usize, seed: u64) -> Tensor {
    networks.states(&clicks(networks, rows, seed)).unwrap()
}

/// Random subsets of the items, at least `least` in each.
pub(super) fn subsets(rows: usize, items: usize, least: usize, seed: u64) -> Vec<Vec<ItemId>> {
    let mut stream = Seed::new(seed).derive("subsets").stream(0);
    let mut subset = || {
        let mut all: Vec<ItemId> = (0..items as u32).map(ItemId).collect();
        for at in 0..items {
            all.swap(at, stream.random_range(at..items));
        }
        all.truncate(stream.random_range(least..=items));
        all
    };
    (0..rows).map(|_| subset()).collect()
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![Just(Activation::Elu), Just(Activation::Tanh), Just(Activation::Identity)]
}

/// What the cascade should do, one user, stage and item at a time, from the stages' matrices: the
/// whole hidden layer, then the output, on scalars.
fn naive(
    cascade: &Cascade,
    activation: Activation,
    states: &Tensor,
    admits: impl Fn(usize, ItemId) -> bool,
) -> Vec<ItemId> {
    let items = |stage: usize, item: usize, unit: usize| match &cascade.panels[stage] {
        Panels::Single(panels) => panels.panel(item / WIDTH)[unit / 2][unit % 2][item % WIDTH],
        Panels::Half(_) => unreachable!(),
    };
    let sigma = |x: f32| match activation {
        Activation::Elu => kernel::Sigma::apply(kernel::Elu, pulp::Scalar, x),
        Activation::Tanh => kernel::Sigma::apply(kernel::Tanh, pulp::Scalar, x),
        Activation::Identity => x,
    };
    let mut slates = Vec::new();
    for row in 0..states.dim(0).unwrap() {
        let mut slate: Vec<ItemId> = Vec::new();
        for (stage, frozen) in cascade.frame.stages.iter().enumerate() {
            let sums = cascade
                .frame
                .sums(stage, &states.narrow(0, row, 1).unwrap(), &[slate.clone()])
                .unwrap();
            let value = |item: &ItemId| {
                let hidden = frozen.output.iter().zip(&sums).enumerate();
                hidden.fold(0f32, |chain, (unit, (output, sum))| {
                    output.mul_add(sigma(items(stage, item.index(), unit) + sum), chain)
                })
            };
            let mut left: Vec<ItemId> = (0..cascade.frame.items as u32).map(ItemId).collect();
            left.retain(|item| !slate.contains(item) && admits(row, *item));
            left.sort_by(|a, b| value(b).total_cmp(&value(a)).then(a.cmp(b)));
            slate.extend(&left[..cascade.frame.k / cascade.panels.len()]);
        }
        slates.extend(slate);
    }
    slates
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_cascade_equals_the_naive_evaluation_of_every_stage(
        items in 4usize..70, k in 1usize..4, hidden in 1usize..20, rows in 1usize..5, greedy: bool,
        activation in activations(), seed: u64,
    ) {
        let architecture = if greedy { Architecture::Greedy } else { Architecture::Cascade };
        let config = QConfig { architecture, ..config(items, k, hidden, activation) };
        let networks = QNetworks::new(config, None, Seed::new(seed)).unwrap();
        let (cascade, states) = (networks.freeze(Storage::Single).unwrap(), states(&networks, rows, seed));
        let all = cascade.slates(&states, None).unwrap();
        prop_assert_eq!(&all.items, &naive(&cascade, activation, &states, |_, _| true));

        let only = subsets(rows, items, k, seed);
        let chosen = cascade.slates(&states, Some(&Candidates::only_by_row(only.clone()))).unwrap();
        prop_assert_eq!(&chosen.items, &naive(&cascade, activation, &states, |row, item| only[row].contains(&item)));

        let without: Vec<Vec<ItemId>> = subsets(rows, items, k, !seed).into_iter().map(|mut list| list.split_off(k)).collect();
        let without: Vec<Vec<ItemId>> = without.into_iter().map(|mut list| { list.truncate(items - k); list }).collect();
        let chosen = cascade.slates(&states, Some(&Candidates::default().without_by_row(without.clone()))).unwrap();
        prop_assert_eq!(&chosen.items, &naive(&cascade, activation, &states, |row, item| !without[row].contains(&item)));
    }

    /// The same values as the networks that are trained, which candle multiplies in another order.
    #[test]
    fn slates_are_worth_what_the_networks_say(
        items in 4usize..70, k in 1usize..4, hidden in 1usize..20, greedy: bool, activation in activations(), seed: u64,
    ) {
        let architecture = if greedy { Architecture::Greedy } else { Architecture::Cascade };
        let config = QConfig { architecture, ..config(items, k, hidden, activation) };
        let networks = QNetworks::new(config, None, Seed::new(seed)).unwrap();
        let states = states(&networks, 4, seed);
        let chosen = networks.freeze(Storage::Single).unwrap().slates(&states, None).unwrap();
        let expected = networks.slate_values(&states, &chosen.items).unwrap().to_vec1::<f32>().unwrap();
        for (found, expected) in chosen.values.iter().zip(expected) {
            prop_assert!((found - expected).abs() < 2e-5 * (1.0 + expected.abs()), "{found} {expected}");
        }
    }

    /// Q^j are exact maxima of a random Q*, small whole numbers so that there are ties: the slate
    /// is the first of all ordered slates, in lexicographic order, among the best.
    #[test]
    fn with_exact_maxima_the_cascade_is_brute_force(items in 1usize..6, k in 1usize..4, range in 1i32..40, seed: u64) {
        let k = k.min(items);
        let mut stream = Seed::new(seed).stream(0);
        let slates = ordered_slates(items, k);
        let worth: Vec<i32> = slates.iter().map(|_| stream.random_range(-range..range)).collect();
        let networks = exact_maxima(items, k, &slates, &worth);
        let states = networks.states(&networks.no_clicks(1)).unwrap();
        let chosen = networks.freeze(Storage::Single).unwrap().slates(&states, None).unwrap();
        let best = worth.iter().max().unwrap();
        let first = worth.iter().position(|worth| worth == best).unwrap();
        prop_assert_eq!(chosen.items, slates[first].iter().map(|&item| ItemId(item as u32)).collect::<Vec<_>>());
    }

    #[test]
    fn permuting_the_catalogue_permutes_the_slates(items in 4usize..70, k in 1usize..4, seed: u64) {
        let config = QConfig { features: ItemFeatures::Given { dim: 3 }, ..config(items, k, 8, Activation::Elu) };
        let mut stream = Seed::new(seed).stream(0);
        let features: Vec<f32> = (0..items * 3).map(|_| stream.random_range(-1.0..1.0)).collect();
        let order = &subsets(1, items, items, seed)[0];
        let moved: Vec<f32> = order.iter().flat_map(|item| &features[item.index() * 3..][..3]).copied().collect();
        let slates = |features: &[f32], place: &dyn Fn(ItemId) -> ItemId| {
            let networks = QNetworks::new(config.clone(), Some(features), Seed::new(seed)).unwrap();
            let (mut renamed, clicks) = (networks.no_clicks(4), clicks(&networks, 4, seed));
            for row in 0..4 {
                clicks.row(row).iter().rev().for_each(|&item| renamed.push(row, place(item)));
            }
            let states = networks.states(&renamed).unwrap();
            networks.freeze(Storage::Single).unwrap().slates(&states, None).unwrap()
        };
        let place = |item: ItemId| ItemId(order.iter().position(|other| *other == item).unwrap() as u32);
        let (straight, permuted) = (slates(&features, &|item| item), slates(&moved, &place));
        prop_assert_eq!(straight.items.into_iter().map(place).collect::<Vec<_>>(), permuted.items);
        prop_assert_eq!(straight.values, permuted.values);
    }

    /// To the last bit, more than one piece of items too.
    #[test]
    fn networks_frozen_in_the_memory_of_others_are_those_frozen_alone(
        items in prop_oneof![4usize..70, 1_000usize..1_100], hidden in 1usize..20, greedy: bool,
        seed: u64,
    ) {
        let architecture = if greedy { Architecture::Greedy } else { Architecture::Cascade };
        let config = QConfig { architecture, ..config(items, 2, hidden, Activation::Elu) };
        let networks = |seed| QNetworks::new(config.clone(), None, Seed::new(seed)).unwrap();
        let (networks, others) = (networks(seed), networks(!seed));
        for storage in [Storage::Single, Storage::Half] {
            let alone = networks.freeze(storage).unwrap();
            let mut cascade = others.freeze(storage).unwrap();
            let more = QConfig { items: items + 1, ..config.clone() };
            let more = QNetworks::new(more, None, Seed::new(seed)).unwrap();
            prop_assert!(more.renew(&mut cascade).is_err());
            prop_assert_ne!(cascade.checksum(), alone.checksum());
            networks.renew(&mut cascade).unwrap();
            prop_assert_eq!(cascade.checksum(), alone.checksum());
            let states = states(&networks, 3, seed);
            let slates = |frozen: &Cascade| frozen.slates(&states, None).unwrap();
            prop_assert_eq!(slates(&cascade), slates(&alone));
        }
    }

    #[test]
    fn halves_of_sixteen_bits_are_off_by_half_a_step(items in 1usize..40, hidden in 1usize..6, seed: u64) {
        let mut stream = Seed::new(seed).stream(0);
        let values: Vec<f32> = (0..items * hidden).map(|_| stream.random_range(-2.0..2.0)).collect();
        let build = |storage| {
            let mut panels = Panels::zeros(items, hidden, storage);
            let rows = |first, count| {
                Ok::<_, Error>(values[first * hidden..][..count * hidden].to_vec())
            };
            panels.fill((items, hidden), rows).unwrap();
            panels
        };
        let half = build(Storage::Half);
        prop_assert_eq!(2 * half.bytes(), build(Storage::Single).bytes());
        for unit in 0..hidden {
            // The identity of one unit reads the stored value.
            let mut output = vec![0.0; hidden.next_multiple_of(2)];
            output[unit] = 1.0;
            let sums = vec![0.0; output.len()];
            let column = || (0..items).map(|item| values[item * hidden + unit]);
            let step = column().fold(0f32, |largest, value| largest.max(value.abs())) / 32_767.0;
            let row = |_| Row { sums: &sums, output: &output };
            pass(&half, Activation::Identity, 0..half.count(), 1, row, |_, panel, found| {
                for (found, expected) in found.iter().zip(column().skip(panel * WIDTH)) {
                    assert!((found - expected).abs() <= 0.51 * step, "{found} {expected} {step}");
                }
            });
        }
    }
}

/// All ordered slates of k of the items below n, in lexicographic order.
fn ordered_slates(n: usize, k: usize) -> Vec<Vec<usize>> {
    let mut slates = vec![Vec::new()];
    for _ in 0..k {
        slates = slates
            .iter()
            .flat_map(|slate: &Vec<usize>| {
                (0..n)
                    .filter(|item| !slate.contains(item))
                    .map(|item| [&slate[..], &[item]].concat())
            })
            .collect();
    }
    slates
}

/// Networks that hold Q^j(a_1..j) = max over the rest of Q*: a hidden unit for every beginning of a
/// slate, which is 1 there and -1 elsewhere, so that twice the value less a constant comes out. All
/// numbers are whole, so nothing is rounded.
fn exact_maxima(items: usize, k: usize, slates: &[Vec<usize>], worth: &[i32]) -> QNetworks {
    const STEEP: f32 = 64.0;
    let hidden = slates.len();
    let config = QConfig {
        features: ItemFeatures::Given { dim: items },
        ..config(items, k, hidden, Activation::Elu)
    };
    let one_hot: Vec<f32> =
        (0..items * items).map(|at| f32::from(u8::from(at / items == at % items))).collect();
    let networks = QNetworks::new(config, Some(&one_hot), Seed::new(0)).unwrap();
    let set = |name: String, values: Vec<f32>| {
        let var = networks.params().get(&name).unwrap();
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    };
    let width = 2 * items;
    for stage in 0..k {
        let places = stage + 1;
        let mut weight = vec![0f32; (width + places * items) * hidden];
        let (mut bias, mut output) = (vec![0f32; hidden], vec![0f32; hidden]);
        for (unit, beginning) in ordered_slates(items, places).iter().enumerate() {
            for (place, item) in beginning.iter().enumerate() {
                weight[(width + place * items + item) * hidden + unit] = STEEP;
            }
            bias[unit] = 1.0 - STEEP * places as f32;
            let of_beginning =
                slates.iter().zip(worth).filter(|(slate, _)| slate.starts_with(beginning));
            output[unit] = of_beginning.map(|(_, &worth)| worth).max().unwrap() as f32;
        }
        set(format!("stage.{stage}.weight"), weight);
        set(format!("stage.{stage}.bias"), bias);
        set(format!("stage.{stage}.output"), output);
    }
    networks
}

/// 20,000 items of 16 units: shared out among threads where there are some.
#[test]
fn slates_do_not_depend_on_the_threads_or_the_batch() {
    let networks =
        QNetworks::new(config(20_000, 3, 16, Activation::Elu), None, Seed::new(5)).unwrap();
    let cascade = networks.freeze(Storage::Single).unwrap();
    let states = states(&networks, 9, 6);
    let on = |threads, states: &Tensor| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| cascade.slates(states, None).unwrap())
    };
    let whole = on(1, &states);
    assert_eq!(on(3, &states), whole);
    let alone = on(2, &states.narrow(0, 7, 1).unwrap());
    assert_eq!((&alone.items[..], alone.values[0]), (&whole.items[21..24], whole.values[7]));
}

#[test]
fn candidates_that_do_not_fit_are_named() {
    let networks = QNetworks::new(config(5, 3, 4, Activation::Elu), None, Seed::new(5)).unwrap();
    let (cascade, states) = (networks.freeze(Storage::Single).unwrap(), states(&networks, 2, 6));
    let all: Vec<ItemId> = (0..5).map(ItemId).collect();
    let problem = |only: &[Vec<ItemId>]| {
        let allowed = Candidates::only_by_row(only.to_vec());
        cascade.slates(&states, Some(&allowed)).unwrap_err().to_string()
    };
    assert!(problem(std::slice::from_ref(&all)).contains("1 lists for 2 rows"));
    assert!(problem(&[all.clone(), vec![ItemId(5)]]).contains("item 5 of a catalogue of 5"));
    let twice = vec![ItemId(1), ItemId(2), ItemId(1)];
    assert!(
        problem(&[all, twice])
            .contains("row 1 has 0 items left whose values are numbers, expected 1 at place 2")
    );

    let bias = networks.params().get("stage.0.bias").unwrap();
    bias.set(&Tensor::full(f32::NAN, 4, &Device::Cpu).unwrap()).unwrap();
    let broken = networks.freeze(Storage::Single).unwrap();
    assert!(broken.slates(&states, None).unwrap_err().to_string().contains("values are numbers"));
}
