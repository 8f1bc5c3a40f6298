//! Users who get bored: what a slate of one category and one of three earn from them. They read
//! from the top and take an item with chance 0.7 / (1 + b), b their boredom with its category, item
//! mod 3. A click adds 1 to it, and the next slate halves it. Who takes nothing leaves.
//!
//! `cargo run --release -p foretaste-sim --example own_environment`

use foretaste_data::{Choice, ItemId};
use foretaste_random::{Seed, Stream};
use foretaste_sim::{Blind, Environment, Responses, Result, Rollout, Slates, policies::TopItems};
use rand::Rng;

struct Bored;

impl Environment for Bored {
    type State = Vec<[f64; 3]>;
    fn items(&self) -> usize {
        30
    }
    fn reset(&self, streams: &mut [Stream]) -> Result<Self::State> {
        Ok(vec![[0.0; 3]; streams.len()])
    }
    fn step(
        &self,
        all: &mut Self::State,
        slates: &Slates,
        streams: &mut [Stream],
        out: &mut Responses,
    ) -> Result<()> {
        out.clear();
        for (row, (b, stream)) in all.iter_mut().zip(streams).enumerate() {
            b.iter_mut().for_each(|b| *b /= 2.0);
            let takes = |item: &&ItemId| stream.random_bool(0.7 / (1.0 + b[item.index() % 3]));
            let taken = slates.row(row).iter().find(takes).copied();
            taken.iter().for_each(|item| b[item.index() % 3] += 1.0);
            let choice = taken.map_or(Choice::Leave, Choice::Item);
            out.push(choice, if taken.is_some() { 1.0 } else { 0.0 }, taken.is_none());
        }
        Ok(())
    }
    fn select(&self, all: &Self::State, rows: &[usize]) -> Result<Self::State> {
        Ok(rows.iter().map(|&row| all[row]).collect())
    }
    fn replace(&self, all: &mut Self::State, rows: &[usize], _: &mut [Stream]) -> Result<()> {
        rows.iter().for_each(|&row| all[row] = [0.0; 3]);
        Ok(())
    }
}

fn main() -> Result<()> {
    for (slate, kinds) in [("one category", 3), ("three categories", 30)] {
        let scores: Vec<f64> = (0..30).map(|item| f64::from(item % kinds)).collect();
        let policy = Blind(TopItems::new(&scores));
        let sessions = Rollout::new(Seed::new(1), 0..10_000, 3).outcomes(&Bored, &policy)?;
        let clicks: f64 = sessions.iter().map(|session| session.reward).sum();
        println!("{slate}: {:.2} clicks a session", clicks / 1e4);
    }
    Ok(())
}
