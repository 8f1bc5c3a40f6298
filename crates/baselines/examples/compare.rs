//! Chooses and judges every baseline on a cached log, which `foretaste import` makes, by its
//! split or one by sessions, and prints a table as CSV.
//!
//! `cargo run --release -p foretaste-baselines --example compare -- LOG [SEED [full|coarse [MODEL..]]]`
//! (default: seed 1, full grids, all models). Every point of a grid goes to the standard error: its
//! validation figures, where it stopped, seconds.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use foretaste_baselines::{Data, Impressions, ModelKind, Progress, select_among};
use foretaste_data::{Fractions, Split, cache};
use foretaste_eval::choice::evaluate;
use foretaste_random::Seed;

/// glibc gives freed pages back, and every intermediate tensor then pays for them again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which log?")?;
    let seed = Seed::new(arguments.next().map_or(Ok(1), |text| text.parse())?);
    let coarse = match arguments.next().as_deref() {
        None | Some("full") => false,
        Some("coarse") => true,
        Some(other) => return Err(format!("{other}: expected full or coarse").into()),
    };
    let names: Vec<String> = arguments.collect();
    let dataset = cache::load(Path::new(&path))?;
    let split = match dataset.split {
        Some(split) => split,
        None => Split::by_session(&dataset.log, Fractions::default(), seed.derive("split"))?,
    };
    let data = Data::new(&dataset.log, dataset.catalogue.len(), &split);
    let test = Impressions::new(&dataset.log, &split.test);

    println!(
        "model,likelihood,precision@1,precision@2,NLL,validation precision@1,validation NLL,seconds,chosen"
    );
    let (mut chance, mut clicks) = ([0.0; 3], 0.0);
    for (slate, _) in test.slates().filter(|(_, clicked)| clicked.is_some()) {
        let n = slate.len() as f64;
        chance = [chance[0] + 1.0 / n, chance[1] + (2.0 / n).min(1.0), chance[2] + n.ln()];
        clicks += 1.0;
    }
    println!(
        "chance,,{:.4},{:.4},{:.4},,,,",
        chance[0] / clicks,
        chance[1] / clicks,
        chance[2] / clicks
    );
    for kind in ModelKind::ALL
        .into_iter()
        .filter(|kind| names.is_empty() || names.contains(&kind.name().into()))
    {
        let start = Instant::now();
        let mut begun = Vec::new();
        let callback = |progress: Progress| {
            if progress.iteration == 0 && progress.seen.is_none() {
                begun.push(start.elapsed().as_secs_f64());
            }
            ControlFlow::Continue(())
        };
        let grid = if coarse { kind.coarse_grid() } else { kind.grid() };
        let selection = select_among(&grid, &data, seed.derive(kind.name()), callback)?;
        let seconds = start.elapsed().as_secs_f64();
        begun.push(seconds);
        for (candidate, span) in selection.candidates.iter().zip(begun.windows(2)) {
            let best = candidate
                .curve
                .iter()
                .min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss));
            let (best, last) = (
                best.map(|point| point.iteration),
                candidate.curve.last().map(|point| point.iteration),
            );
            let (seconds, figures) = (span[1] - span[0], candidate.validation);
            eprintln!(
                "{seconds:.2} s, best {best:?} of {last:?}, {figures:?}, {:?}",
                candidate.settings
            );
        }
        let figures = evaluate(&*selection.model, &dataset.log, &split.test)?;
        let chosen = &selection.candidates[selection.chosen];
        let text = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
        println!(
            "{},{:?},{},{},{},{},{},{seconds:.2},\"{:?}\"",
            kind.name(),
            selection.model.likelihood(),
            text(figures.precision_at_1),
            text(figures.precision_at_2),
            text(figures.nll_given_choice),
            text(chosen.validation.precision_at_1),
            text(chosen.validation.nll_given_choice),
            chosen.settings,
        );
    }
    Ok(())
}
