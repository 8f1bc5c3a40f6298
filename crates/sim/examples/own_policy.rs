//! Thompson sampling within a session, over a catalogue of so many items: shows the k items of the
//! largest click rates, drawn from the posterior Beta(1 + clicks, 1 + slates without a click).
//! What it earns, compared with random slates and the most that can be earned.
//!
//! `cargo run --release -p foretaste-sim --example own_policy`

use foretaste_data::ItemId;
use foretaste_random::{Seed, Stream};
use foretaste_sim::{bounds::ChoiceOracle, policies::UniformRandom, *};
use rand_distr::{Beta, Distribution};

struct Thompson(usize);
impl Policy for Thompson {
    type Memory = Vec<Vec<[f64; 2]>>;
    fn begin(&self, rows: usize) -> Result<Self::Memory> {
        Ok(vec![vec![[1.0; 2]; self.0]; rows])
    }
    fn rank(
        &self,
        m: &Self::Memory,
        allowed: Option<&Candidates>,
        k: usize,
        rng: &mut [Stream],
        out: &mut Slates,
    ) -> Result<()> {
        out.clear(k);
        for (row, (counts, stream)) in m.iter().zip(rng).enumerate() {
            let rate = |[a, b]: &[f64; 2]| Beta::new(*a, *b).expect("positive").sample(stream);
            let mut drawn: Vec<_> = counts.iter().map(rate).zip((0..).map(ItemId)).collect();
            drawn.retain(|&(_, item)| allowed.is_none_or(|allowed| allowed.admits(row, item)));
            drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
            let slate: Vec<ItemId> = drawn.into_iter().map(|(_, item)| item).take(k).collect();
            out.push(&slate, None);
        }
        Ok(())
    }
    fn observe(&self, m: &mut Self::Memory, slates: &Slates, seen: &Responses) -> Result<()> {
        for ((row, counts), choice) in m.iter_mut().enumerate().zip(&seen.choice) {
            for item in slates.row(row) {
                counts[item.index()][usize::from(choice.item() != Some(*item))] += 1.0;
            }
        }
        Ok(())
    }
    fn select(&self, m: &Self::Memory, rows: &[usize]) -> Result<Self::Memory> {
        Ok(rows.iter().map(|&row| m[row].clone()).collect())
    }
}

fn main() -> Result<()> {
    let config = ChoiceUsersConfig { items: 20, base: -3.0, preference: 3.0, ..Default::default() };
    let users = ChoiceUsers::new(&config)?;
    let rollout = Rollout::new(Seed::new(1), 0..2_000, 3).max_steps(30);
    let mean = |all: Vec<Outcome>| all.iter().map(|session| session.reward).sum::<f64>() / 2e3;
    let random = mean(rollout.outcomes(&users, &Blind(UniformRandom { items: 20 }))?);
    let thompson = mean(rollout.outcomes(&users, &Blind(Thompson(20)))?);
    let most = ChoiceOracle::new(&users, 3, 30)?.value();
    println!("clicks a session: random {random:.2}, Thompson {thompson:.2}, at most {most:.2}");
    Ok(())
}
