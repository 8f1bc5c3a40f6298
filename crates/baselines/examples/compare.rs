//! Chooses and judges every baseline on a log with a split, in the GAN-CDQN authors' format, and prints a table as CSV.
//!
//! `cargo run --release -p understudy-baselines --example compare -- FILE [SEED [MODEL..]]` (default: seed 1,
//! all models).

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use understudy_baselines::{Data, Displays, ModelKind, evaluate, select};
use understudy_data::import::{self, Options};
use understudy_data::{Fractions, Split};
use understudy_random::Seed;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which file?")?;
    let seed = Seed::new(arguments.next().map_or(Ok(1), |text| text.parse())?);
    let names: Vec<String> = arguments.collect();
    let (dataset, _) = import::import(Path::new(&path), Options { skip_bad_rows: true, ..Options::default() })?;
    let split = match dataset.split {
        Some(split) => split,
        None => Split::by_session(&dataset.log, Fractions::default(), seed.derive("split"))?,
    };
    let data = Data::new(&dataset.log, dataset.catalogue.len(), &split);
    let test = Displays::new(&dataset.log, &split.test);

    println!("model,likelihood,precision@1,precision@2,NLL,validation precision@1,validation NLL,seconds,chosen");
    let (mut chance, mut clicks) = ([0.0; 3], 0.0);
    for (slate, _) in test.slates().filter(|(_, clicked)| clicked.is_some()) {
        let n = slate.len() as f64;
        chance = [chance[0] + 1.0 / n, chance[1] + (2.0 / n).min(1.0), chance[2] + n.ln()];
        clicks += 1.0;
    }
    println!("chance,,{:.4},{:.4},{:.4},,,,", chance[0] / clicks, chance[1] / clicks, chance[2] / clicks);
    for kind in ModelKind::ALL.into_iter().filter(|kind| names.is_empty() || names.contains(&kind.name().into())) {
        let start = Instant::now();
        let selection = select(kind, &data, seed.derive(kind.name()), |_| ControlFlow::Continue(()))?;
        let seconds = start.elapsed().as_secs_f64();
        let figures = evaluate(&*selection.model, &test)?;
        let chosen = &selection.candidates[selection.chosen];
        let nll = |nll: Option<f64>| nll.map_or(String::new(), |nll| format!("{nll:.4}"));
        println!(
            "{},{:?},{:.4},{:.4},{},{:.4},{},{seconds:.2},\"{:?}\"",
            kind.name(),
            selection.model.likelihood(),
            figures.precision_at_1,
            figures.precision_at_2,
            nll(figures.nll_given_click),
            chosen.validation.precision_at_1,
            nll(chosen.validation.nll_given_click),
            chosen.settings,
        );
    }
    Ok(())
}
