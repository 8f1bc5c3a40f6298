//! Fits every baseline to a cached log, which `foretaste import` makes, by its split or one by
//! sessions; chooses its settings on the validation sessions; and prints test figures as CSV.
//! Without a log, to one of simulated users, by coarse grids.
//!
//! `cargo run --release -p foretaste-baselines --example compare -- [LOG [SEED [full|coarse
//! [MODEL..]]]]` (default: seed 1, full grids, all models)

use std::{ops::ControlFlow::Continue, path::Path};

use foretaste_baselines::{Data, ModelKind, select_among};
use foretaste_data::{Fractions, Split, cache};
use foretaste_eval::choice::evaluate;
use foretaste_random::Seed;
use foretaste_sim::{Blind, ChoiceUsers, Rollout, policies::UniformRandom};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seed = Seed::new(arguments.get(1).map_or(Ok(1), |text| text.parse())?);
    let (log, items, split, grids) = match arguments.first() {
        Some(path) => {
            let dataset = cache::load(Path::new(path))?;
            let grids = arguments.get(2).map_or("full", String::as_str);
            (dataset.log, dataset.catalogue.len(), dataset.split, grids)
        }
        None => {
            let random = Blind(UniformRandom { items: 50 });
            let rollout = Rollout::new(seed, 0..200, 4);
            (rollout.run(&ChoiceUsers::new(&Default::default())?, &random)?, 50, None, "coarse")
        }
    };
    let by_session = || Split::by_session(&log, Fractions::default(), seed.derive("split"));
    let split = split.map_or_else(by_session, Ok)?;
    let data = Data::new(&log, items, &split);

    println!("model,likelihood,precision@1,precision@2,NLL,validation NLL,settings");
    let steps = || split.test.iter().flat_map(|&session| log.session(session).steps());
    let sizes = || steps().filter(|step| step.choice.item().is_some()).map(|step| step.slate.len());
    let mean = |of: fn(f64) -> f64| {
        sizes().map(|size| of(size as f64)).sum::<f64>() / sizes().count() as f64
    };
    let chance = [mean(f64::recip), mean(|size| (2.0 / size).min(1.0)), mean(f64::ln)];
    println!("chance,,{},,", chance.map(|value| format!("{value:.4}")).join(","));
    let text = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let chosen = |kind: &ModelKind| match arguments.get(3..) {
        None | Some([]) => true,
        Some(names) => names.iter().any(|name| name == kind.name()),
    };
    for kind in ModelKind::ALL.into_iter().filter(chosen) {
        let grid = if grids == "coarse" { kind.coarse_grid() } else { kind.grid() };
        let found = select_among(&grid, &data, seed.derive(kind.name()), |_| Continue(()))?;
        let figures = evaluate(&*found.model, &log, &split.test)?;
        let best = &found.candidates[found.chosen];
        let test = [figures.precision_at_1, figures.precision_at_2, figures.nll_given_choice];
        let (test, validation) = (test.map(text).join(","), text(best.validation.nll_given_choice));
        let (name, likelihood) = (kind.name(), found.model.likelihood());
        println!("{name},{likelihood:?},{test},{validation},\"{:?}\"", best.settings);
    }
    Ok(())
}
