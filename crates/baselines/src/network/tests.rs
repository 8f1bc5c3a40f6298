//! The networks are checked against the formulas of their papers and against finite differences,
//! for both architectures and both losses.

use super::*;
use crate::Training;
use crate::testing::{log, small};
use foretaste_nn::check_gradients;

fn configs() -> Vec<NetworkConfig> {
    let mut configs = Vec::new();
    for architecture in [Architecture::WideDeep, Architecture::DeepFm] {
        for loss in [Loss::Logistic, Loss::Competitive] {
            for place in [false, true] {
                configs.push(NetworkConfig {
                    architecture,
                    loss,
                    place,
                    context: false,
                    dim: 2,
                    initial: 0.7,
                    hidden: vec![3],
                    history: 2,
                    buckets: 5,
                    training: Training::default(),
                });
            }
        }
    }
    configs
}

/// A network whose every parameter is drawn, those that start at zero too.
fn network(config: &NetworkConfig) -> Network {
    let network = Network::untrained(config, 6, Seed::new(1), DType::F64).unwrap();
    for (at, (_, var)) in network.params.iter().enumerate() {
        let values =
            (0..var.elem_count()).map(|entry| ((7 * at + entry) as f64).sin()).collect::<Vec<_>>();
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    network
}

#[test]
fn gradients_match_finite_differences() {
    let log = small();
    let impressions = Impressions::new(&log, &[0, 1, 2]);
    for config in configs() {
        let network = network(&config);
        check_gradients(&network.params, || {
            Ok(network.loss(&impressions, &impressions.with_click()).unwrap())
        });
    }
}

#[test]
fn gradients_match_finite_differences_with_context_features() {
    let (log, all) = (small(), [0, 1, 2]);
    let data = Data { log: &log, items: 6, train: &all, validation: &all };
    for config in configs() {
        let mut network = network(&NetworkConfig { context: true, ..config.clone() });
        network.context = Some(Context::count(&data, config.place, Seed::new(2)).unwrap());
        let impressions = data.training();
        check_gradients(&network.params, || {
            Ok(network.loss(&impressions, &impressions.with_click()).unwrap())
        });
    }
}

/// The logits by loops over numbers, from the formulas of both papers.
#[test]
fn logits_equal_the_formulas_of_the_papers() {
    let log = small();
    let impressions = Impressions::new(&log, &[0, 1, 2]);
    for config in configs() {
        let network = network(&config);
        let get = |name: &str| {
            let var = network.params.get(&format!("network.{name}")).unwrap();
            (
                var.flatten_all().unwrap().to_vec1::<f64>().unwrap(),
                var.dims()[1..].iter().product::<usize>(),
            )
        };
        let row = |name: &str, row: usize| {
            let (values, width) = get(name);
            values[row * width..(row + 1) * width].to_vec()
        };
        let deep = |x: &[f64]| {
            let layer = |x: &[f64], name: &str, width: usize| -> Vec<f64> {
                let (weight, bias) =
                    (get(&format!("deep.{name}.weight")).0, get(&format!("deep.{name}.bias")).0);
                let dot =
                    |o: usize| (0..x.len()).map(|i| weight[o * x.len() + i] * x[i]).sum::<f64>();
                (0..width).map(|o| bias[o] + dot(o)).collect()
            };
            let hidden: Vec<f64> = layer(x, "first", 3)
                .iter()
                .map(|&x| if x > 0.0 { x } else { x.exp() - 1.0 })
                .collect();
            layer(&hidden, "rest.0", 1)[0]
        };
        let scores = network.scores(&impressions).unwrap();
        for (impression, scores) in impressions.iter().zip(&scores) {
            let history = impressions.history(impression);
            let recent = &history[history.len().saturating_sub(2)..];
            let mean = |name: &str| {
                let mut mean = vec![0.0; get(name).1];
                for click in recent {
                    let click = row(name, click.index());
                    mean.iter_mut()
                        .zip(click)
                        .for_each(|(mean, x)| *mean += x / recent.len() as f64);
                }
                mean
            };
            let length = (history.len() as f64 + 1.0).ln();
            for (place, (item, score)) in impression.slate.iter().zip(scores).enumerate() {
                let expected = match config.architecture {
                    Architecture::WideDeep => {
                        let mut wide = row("wide.items", item.index())[0];
                        let mut distinct = recent.to_vec();
                        distinct.dedup();
                        for click in distinct {
                            let bucket = fields::bucket(click.0, item.0, 5) as usize;
                            wide += row("wide.pairs", bucket)[0];
                        }
                        let mut x = row("items", item.index());
                        if config.place {
                            wide += row("wide.places", place)[0];
                            x.extend(row("places", place));
                        }
                        x.extend([mean("clicks"), vec![length]].concat());
                        wide + deep(&x)
                    }
                    Architecture::DeepFm => {
                        let scaled = |name: &str| {
                            row(name, 0).iter().map(|x| x * length).collect::<Vec<_>>()
                        };
                        let mut fields = vec![(
                            row("items.weight", item.index())[0],
                            row("items.vector", item.index()),
                        )];
                        if config.place {
                            fields.push((
                                row("places.weight", place)[0],
                                row("places.vector", place),
                            ));
                        }
                        fields.push((mean("clicks.weight")[0], mean("clicks.vector")));
                        fields.push((scaled("length.weight")[0], scaled("length.vector")));
                        let mut z = fields.iter().map(|(weight, _)| weight).sum::<f64>();
                        for (i, (_, a)) in fields.iter().enumerate() {
                            for (_, b) in &fields[..i] {
                                z += a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                            }
                        }
                        z + deep(
                            &fields.into_iter().flat_map(|(_, vector)| vector).collect::<Vec<_>>(),
                        )
                    }
                };
                assert!(
                    (f64::from(*score) - expected).abs() < 1e-5,
                    "{config:?}: {score} {expected}"
                );
            }
        }
    }
}

/// Both losses from the scores: the mean over all shown items of log(1 + eᶻ) - y z, and the
/// mean over the slates with a click of log Σ eᶻ - z of the clicked item.
#[test]
fn losses_equal_their_definitions() {
    let log = small();
    let impressions = Impressions::new(&log, &[0, 1, 2]);
    for config in configs() {
        let network = network(&config);
        let scores = network.scores(&impressions).unwrap();
        let scored = impressions.iter().zip(&scores);
        let (examples, losses): (Vec<usize>, Vec<f64>) = match config.loss {
            Loss::Logistic => {
                let of_item = |clicked: bool, z: f32| {
                    (1.0 + f64::from(z).exp()).ln() - if clicked { z.into() } else { 0.0 }
                };
                let losses = scored.flat_map(|(impression, scores)| {
                    let items = scores.iter().enumerate();
                    items
                        .map(|(place, &z)| of_item(impression.clicked == Some(place), z))
                        .collect::<Vec<_>>()
                });
                ((0..impressions.len()).collect(), losses.collect())
            }
            Loss::Competitive => {
                let of_impression = |scores: &[f32], place: usize| {
                    scores.iter().map(|&z| f64::from(z).exp()).sum::<f64>().ln()
                        - f64::from(scores[place])
                };
                let losses = scored.filter_map(|(impression, scores)| {
                    Some(of_impression(scores, impression.clicked?))
                });
                (impressions.with_click(), losses.collect())
            }
        };
        let loss = network.loss(&impressions, &examples).unwrap().to_scalar::<f64>().unwrap();
        let expected = losses.iter().sum::<f64>() / losses.len() as f64;
        assert!((loss - expected).abs() < 1e-6, "{config:?}: {loss} {expected}");
    }
}

#[test]
fn impressions_do_not_depend_on_their_batch() {
    let small = small();
    let long = log(&[&[(&[0, 1, 2, 3, 4, 5], Some(1)), (&[3, 4], None)]]);
    for config in configs() {
        let network = network(&config);
        let together = network.scores(&Impressions::new(&small, &[2, 0, 1])).unwrap();
        let alone: Vec<_> = [2, 0, 1]
            .iter()
            .flat_map(|&s| network.scores(&Impressions::new(&small, &[s])).unwrap())
            .collect();
        assert_eq!(together.len(), alone.len());
        let close =
            |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(together.iter().zip(&alone).all(close));
        assert_eq!(network.scores(&Impressions::new(&long, &[0])).unwrap()[1].len(), 2);
    }
}
