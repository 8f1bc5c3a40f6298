//! Thompson sampling within a session, over a catalogue of so many items: shows the k items of the
//! largest click rates, drawn from the posterior Beta(1 + clicks, 1 + displays without a click).
//! What it earns beside random slates, and the most that can be earned.
//!
//! `cargo run --release -p foretaste-sim --example own_policy`

use foretaste_random::{Seed, Stream};
use foretaste_sim::{bounds::ChoiceOracle, policies::UniformRandom, *};
use rand_distr::{Beta, Distribution};

struct Thompson(usize);
impl<E: Environment + ?Sized> Policy<E> for Thompson {
    type Memory = Vec<Vec<[f64; 2]>>;
    fn begin(&self, rows: usize) -> Result<Self::Memory> {
        Ok(vec![vec![[1.0; 2]; self.0]; rows])
    }
    fn recommend(
        &self,
        m: &Self::Memory,
        _: &E::State,
        k: usize,
        rng: &mut [Stream],
        out: &mut Slates,
    ) -> Result<()> {
        out.clear(k);
        for (counts, stream) in m.iter().zip(rng) {
            let rate = |[a, b]: &[f64; 2]| Beta::new(*a, *b).expect("positive").sample(stream);
            let mut drawn: Vec<(f64, u32)> = counts.iter().map(rate).zip(0..).collect();
            drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
            out.push_with(None, |slate| {
                slate.iter_mut().zip(&drawn).for_each(|(place, (_, item))| place.0 = *item)
            });
        }
        Ok(())
    }
    fn observe(&self, m: &mut Self::Memory, slates: &Slates, seen: &Responses) -> Result<()> {
        for ((row, counts), choice) in m.iter_mut().enumerate().zip(&seen.choice) {
            slates
                .row(row)
                .iter()
                .for_each(|i| counts[i.index()][usize::from(choice.item() != Some(*i))] += 1.0);
        }
        Ok(())
    }
    fn select(&self, m: &Self::Memory, rows: &[usize]) -> Result<Self::Memory> {
        Ok(rows.iter().map(|&row| m[row].clone()).collect())
    }
}

fn main() -> Result<()> {
    let users = ChoiceUsers::new(&ChoiceUsersConfig {
        items: 20,
        base: -3.0,
        preference: 3.0,
        ..Default::default()
    })?;
    let rollout = Rollout { max_steps: 30, ..Rollout::new(Seed::new(1), 0..2_000, 3) };
    let mean =
        |outcomes: Vec<Outcome>| outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / 2e3;
    println!(
        "random slates: {:.2} clicks a session",
        mean(rollout.outcomes(&users, &UniformRandom { items: 20 })?)
    );
    println!("Thompson sampling: {:.2}", mean(rollout.outcomes(&users, &Thompson(20))?));
    println!("at most: {:.2}", ChoiceOracle::new(&users, 3, 30)?.value());
    Ok(())
}
