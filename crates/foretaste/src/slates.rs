//! How to simulate slates for logs that recorded none.

use anyhow::Context;
use foretaste_import::{Around, Format, Input, SimulatedSlates};
use foretaste_random::Seed;

/// Options of the simulated slates; the defaults are those of the paper.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Simulated slates (formats that recorded none)")]
pub struct SlateArgs {
    /// Seed of users and slates, or of the split of cikm [default: 1].
    #[arg(long)]
    pub seed: Option<u64>,
    /// Largest number of active users to keep [default: 1000 for MovieLens, all for others].
    #[arg(long)]
    pub users: Option<usize>,
    /// Smallest number of choices of an active user [default: 20 for MovieLens, 1 for others].
    #[arg(long)]
    pub min_choices: Option<usize>,
    /// Number of items of a slate [default: 40 for MovieLens, 10 for others].
    #[arg(long, value_name = "ITEMS", alias = "display-size")]
    pub slate_size: Option<usize>,
    /// Fill slates with items near the day of the choice, or near the release of the chosen film
    /// [default: choice].
    #[arg(long, value_parser = around)]
    pub around: Option<Around>,
}

impl SlateArgs {
    /// Whether any of them is given.
    pub fn given(&self) -> bool {
        let Self { seed, users, min_choices, slate_size, around } = self;
        seed.is_some()
            || users.is_some()
            || min_choices.is_some()
            || slate_size.is_some()
            || around.is_some()
    }

    /// The slates of a log in `format`, or in the one that its first bytes tell, and the seed of
    /// its split; `None` if nothing is given that concerns them.
    pub fn settle(
        &self,
        input: &Input,
        format: Option<Format>,
    ) -> anyhow::Result<(Option<SimulatedSlates>, Option<Seed>)> {
        if !self.given() {
            return Ok((None, None));
        }
        let format = format.map_or_else(|| input.format(), Ok)?;
        if format == Format::Cikm && !(Self { seed: None, ..self.clone() }).given() {
            return Ok((None, self.seed.map(Seed::new)));
        }
        let paper = SimulatedSlates::of(format).with_context(|| {
            let given = input.given().display();
            format!(
                "{given} is in the format {format}, which has its own slates; leave out the \
                 options of simulated slates"
            )
        })?;
        let slates = SimulatedSlates {
            size: self.slate_size.unwrap_or(paper.size),
            users: self.users.or(paper.users),
            min_choices: self.min_choices.unwrap_or(paper.min_choices),
            around: self.around.unwrap_or(paper.around),
            seed: self.seed.map_or(paper.seed, Seed::new),
        };
        Ok((Some(slates), None))
    }
}

fn around(name: &str) -> Result<Around, String> {
    match name {
        "choice" => Ok(Around::Choice),
        "release" => Ok(Around::Release),
        _ => Err("expected choice or release".into()),
    }
}
