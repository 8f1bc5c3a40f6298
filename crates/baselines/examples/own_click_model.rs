//! Luce's choice: P(click on i) = w_i over the sum of w in the slate, fitted by the iteration of
//! Hunter (2004) and Caron & Doucet (2012), prior Gamma(2, 1), and compared with popularity, which
//! overlooks what an item competed with.
//!
//! `cargo run --release -p foretaste-baselines --example own_click_model`

use std::ops::ControlFlow::Continue;

use foretaste_baselines::{ClickModel, Data, Impressions, Likelihood, ModelKind, Result, select};
use foretaste_data::{Fractions, ItemId, Split};
use foretaste_eval::choice::evaluate;
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_sim::{Blind, ChoiceUsers, Rollout, policies::UniformRandom};

struct Luce(Vec<f32>);

fn fit(data: &Data<'_>) -> Luce {
    let mut w = vec![1.0; data.items];
    for _ in 0..50 {
        let (mut clicks, mut exposure) = (vec![1.0; data.items], vec![1.0; data.items]);
        for (slate, clicked) in Impressions::new(data.log, data.train).slates() {
            let Some(place) = clicked else { continue };
            let total: f32 = slate.iter().map(|item| w[item.index()]).sum();
            slate.iter().for_each(|item| exposure[item.index()] += 1.0 / total);
            clicks[slate[place].index()] += 1.0;
        }
        w = clicks.iter().zip(exposure).map(|(clicks, exposure)| clicks / exposure).collect();
    }
    Luce(w)
}

impl ClickModel for Luce {
    fn scores(&self, impressions: &Impressions<'_>) -> Result<Vec<Vec<f32>>> {
        let unknown = |item: &ItemId| Setting::new("items", format!("item {} is new", item.0));
        let score = |item: &ItemId| {
            self.0.get(item.index()).map(|w: &f32| w.ln()).ok_or_else(|| unknown(item).into())
        };
        impressions.slates().map(|(slate, _)| slate.iter().map(score).collect()).collect()
    }
    fn likelihood(&self) -> Likelihood {
        Likelihood::Fitted
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let users = ChoiceUsers::new(&Default::default())?;
    let random = Blind(UniformRandom { items: 50 });
    let log = Rollout::new(Seed::new(1), 0..400, 4).run(&users, &random)?;
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2))?;
    let data = Data::new(&log, 50, &split);
    let popularity = select(ModelKind::Popularity, &data, Seed::new(3), |_| Continue(()))?;
    println!("popularity: {:.4?}", evaluate(&*popularity.model, &log, &split.test)?);
    println!("Luce: {:.4?}", evaluate(&fit(&data) as &dyn ClickModel, &log, &split.test)?);
    Ok(())
}
