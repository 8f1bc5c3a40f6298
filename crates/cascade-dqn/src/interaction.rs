use foretaste_data::RecentClicks;
use foretaste_random::Seed;
use foretaste_sim::{Environment, Error, Responses, Slates};

use crate::Result;

/// A recommender that learns while it acts.
pub(crate) trait Learner {
    /// The slates that it shows to users with these clicks.
    fn recommend(&mut self, clicks: &RecentClicks, step: usize) -> Result<Slates>;

    /// Takes note of what came back; `clicks` are those before.
    fn learn(
        &mut self,
        clicks: &RecentClicks,
        slates: &Slates,
        responses: &Responses,
        step: usize,
    ) -> Result<()>;
}

/// What came of some sessions together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub steps: u64,
    pub clicks: u64,
    pub reward: f64,
}

/// Opens a session for each row of `clicks`, which holds none yet, and has the learner act in them
/// together until all have ended, at most `steps` times.
///
/// # Errors
/// What the learner and the environment return; [`Error::Contract`] if the responses have the wrong
/// shape.
pub(crate) fn interact<E: Environment + ?Sized>(
    environment: &E,
    learner: &mut impl Learner,
    mut clicks: RecentClicks,
    steps: usize,
    seed: Seed,
) -> Result<Tally> {
    let mut streams = seed.streams(0..clicks.rows() as u64);
    let mut state = environment.reset(&mut streams)?;
    let (mut responses, mut tally) = (Responses::default(), Tally::default());
    for step in 0..steps {
        if streams.is_empty() {
            break;
        }
        let slates = learner.recommend(&clicks, step)?;
        environment.step(&mut state, &slates, &mut streams, &mut responses)?;
        let found = [responses.choice.len(), responses.reward.len(), responses.ended.len()];
        if found != [streams.len(); 3] {
            let problem = format!(
                "the environment gave {found:?} choices, rewards and ends for {} sessions",
                streams.len()
            );
            return Err(Error::Contract(problem).into());
        }
        learner.learn(&clicks, &slates, &responses, step)?;
        tally.steps += streams.len() as u64;
        tally.clicks +=
            responses.choice.iter().filter(|choice| choice.item().is_some()).count() as u64;
        tally.reward += responses.reward.iter().map(|&reward| f64::from(reward)).sum::<f64>();
        clicks.observe(&responses.choice);
        let live: Vec<usize> = (0..streams.len()).filter(|&row| !responses.ended[row]).collect();
        if live.len() < streams.len() {
            state = environment.select(&state, &live)?;
            clicks = clicks.select(&live);
            streams = live.iter().map(|&row| streams[row].clone()).collect();
        }
    }
    Ok(tally)
}
