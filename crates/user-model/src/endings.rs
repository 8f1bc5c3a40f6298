//! When sessions end that end by no choice. Many logs do not show users leaving; without what is
//! counted here, sessions of users who were learned from such a log would have no end.

use foretaste_data::{Choice, Log};
use serde::{Deserialize, Serialize};

/// Steps that have a hazard of their own; later ones share the last.
const ROWS: usize = 64;

/// How sessions end other than by a user who chose nothing and left ([`Choice::Leave`]): a life
/// table of the log's sessions.
///
/// The hazard of a step is the probability that the session is over after it, given its number and
/// whether an item was chosen: (e + h) / (n + 1), where e of n such steps were the last of their
/// session and h is the hazard of all steps of that choice, itself drawn in the same way towards
/// that of all steps. A log that sees every user leave has hazards of 0.
///
/// *Sessions that were cut.* Whether the last step of a session of the greatest length ended it, or
/// its maker cut it there, the log does not say, so such steps count neither as endings
/// nor as none. If the log never saw a user leave, no learned user goes beyond that length either;
/// if it did, users go on until they leave, or the rollout cuts them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endings {
    /// Hazards after step t, from 0, of a click and of choosing nothing: `[steps, 2]`, the last row
    /// for later steps too; empty where all are 0.
    pub hazards: Vec<[f32; 2]>,
    /// The number of steps after which every session is over, where there is one.
    #[serde(rename = "longest")]
    pub max_session_length: Option<usize>,
}

impl Endings {
    /// No session ends but by a user who leaves.
    pub const NONE: Self = Self { hazards: Vec::new(), max_session_length: None };

    /// The endings of these sessions of a log.
    pub fn observed(log: &Log, sessions: &[usize]) -> Self {
        let sessions = || sessions.iter().map(|&session| log.session(session));
        let longest = sessions().map(|session| session.len()).max().unwrap_or(0);
        let mut cells = vec![[Cell::default(); 2]; longest.saturating_sub(1).min(ROWS)];
        let (mut by_choice, mut all) = ([Cell::default(); 2], Cell::default());
        for session in sessions() {
            for (t, step) in session.steps().enumerate().take(longest - 1) {
                if let Some(choice) = column(step.choice) {
                    let last = t + 1 == session.len();
                    for cell in
                        [&mut cells[t.min(ROWS - 1)][choice], &mut by_choice[choice], &mut all]
                    {
                        cell.steps += 1.0;
                        cell.ended += f64::from(last);
                    }
                }
            }
        }
        let of_choice = by_choice.map(|cell| cell.hazard(all.ended / all.steps.max(1.0)));
        let hazard =
            |cells: &[Cell; 2]| [0, 1].map(|choice| cells[choice].hazard(of_choice[choice]) as f32);
        let hazards = if all.ended > 0.0 { cells.iter().map(hazard).collect() } else { Vec::new() };
        let left = sessions().any(|session| session.left());
        Self { hazards, max_session_length: (longest > 0 && !left).then_some(longest) }
    }

    /// The probability that the session is over after step `t`, from 0; 0 after [`Choice::Leave`],
    /// which has ended it.
    pub fn probability(&self, t: usize, choice: Choice) -> f64 {
        match column(choice) {
            None => 0.0,
            Some(_) if self.max_session_length.is_some_and(|longest| t + 1 >= longest) => 1.0,
            Some(choice) => {
                let row = self.hazards.get(t).or(self.hazards.last());
                row.map_or(0.0, |row| f64::from(row[choice]))
            }
        }
    }

    /// What is wrong with the numbers, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let wrong = self.hazards.iter().flatten().find(|hazard| !(0.0..=1.0).contains(*hazard));
        match wrong {
            Some(hazard) => Some(format!("an ending of probability {hazard}, expected 0 to 1")),
            None => (self.max_session_length == Some(0))
                .then(|| "sessions of at most 0 steps, expected at least 1".to_owned()),
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Cell {
    steps: f64,
    ended: f64,
}

impl Cell {
    fn hazard(self, prior: f64) -> f64 {
        (self.ended + prior) / (self.steps + 1.0)
    }
}

fn column(choice: Choice) -> Option<usize> {
    match choice {
        Choice::Item(_) => Some(0),
        Choice::Skip => Some(1),
        Choice::Leave => None,
    }
}

#[cfg(test)]
mod tests {
    use foretaste_data::{ItemId, LogBuilder, Step};
    use proptest::prelude::*;

    use super::*;

    const CLICK: Choice = Choice::Item(ItemId(0));

    fn log(sessions: &[Vec<Choice>]) -> Log {
        let mut log = LogBuilder::default();
        for session in sessions {
            for &choice in session {
                let slate = &[ItemId(0)];
                log.push(Step::new(slate, choice, 0.0)).unwrap();
            }
            log.end_session(None).unwrap();
        }
        log.build()
    }

    fn endings(sessions: &[Vec<Choice>]) -> Endings {
        Endings::observed(&log(sessions), &(0..sessions.len()).collect::<Vec<_>>())
    }

    /// Mean number of steps of users who always choose thus.
    fn mean_length(endings: &Endings, choice: Choice, cut: usize) -> f64 {
        let (mut alive, mut sum) = (1.0, 0.0);
        for t in 0..cut {
            sum += alive;
            alive *= 1.0 - endings.probability(t, choice);
        }
        sum
    }

    proptest! {
        /// All that is lost is the pseudo-step of each hazard: of 240 sessions or more, less than
        /// 3% of the mean length, and of the single longest session at most all of it.
        #[test]
        fn sessions_that_never_choose_nothing_keep_their_mean_length(
            lengths in prop::collection::vec(1usize..8, 4..12), longest in 8usize..90
        ) {
            let lengths = lengths.repeat(60).into_iter().chain([longest]);
            let sessions: Vec<_> = lengths.map(|length| vec![CLICK; length]).collect();
            let logged = sessions.iter().map(Vec::len).sum::<usize>() as f64 / sessions.len() as f64;
            let found = mean_length(&endings(&sessions), CLICK, 200);
            let lost = 0.03 * logged + longest as f64 / sessions.len() as f64;
            prop_assert!((found - logged).abs() < lost, "{found}, logged {logged}");
        }
    }

    #[test]
    fn sessions_of_one_length_end_there_and_nowhere_else() {
        for length in [1, 10, 100] {
            let found = endings(&vec![vec![CLICK; length]; 30]);
            assert_eq!(found, Endings { hazards: vec![], max_session_length: Some(length) });
            assert_eq!(mean_length(&found, CLICK, 1_000), length as f64);
            assert_eq!(mean_length(&found, Choice::Skip, 1_000), length as f64);
        }
    }

    #[test]
    fn where_every_end_was_seen_or_cut_nothing_else_ends_a_session() {
        let sessions = [
            vec![CLICK, Choice::Leave],
            vec![CLICK; 4],
            vec![Choice::Skip, CLICK, CLICK, Choice::Leave],
        ];
        assert_eq!(endings(&sessions), Endings { hazards: vec![], max_session_length: None });
        assert_eq!(endings(&sessions).probability(99, CLICK), 0.0);
        assert_eq!(endings(&sessions).probability(1, Choice::Leave), 0.0);
    }

    /// A log in which one user in a hundred was seen to leave: the others' sessions end too.
    #[test]
    fn sessions_that_end_unseen_among_some_that_leave_count_as_endings() {
        let mut sessions = vec![vec![CLICK; 3]; 99];
        sessions.push(vec![CLICK, CLICK, CLICK, CLICK, Choice::Leave]);
        let found = endings(&sessions);
        assert_eq!(found.max_session_length, None);
        assert!(
            (found.probability(2, CLICK) - 0.98).abs() < 0.02 && found.probability(1, CLICK) < 0.01,
            "{found:?}"
        );
    }

    /// By hand: after step 0, 1 of 2 clicks ends and 1 of 1 skip; sessions of the greatest length,
    /// 3, tell of their first two steps alone. h = 2/4 over all, (1 + ½) / (3 + 1) of clicks, (1 +
    /// ½) / (1 + 1) of skips.
    #[test]
    fn hazards_are_shares_with_one_step_of_the_pooled_hazard_more() {
        let found = endings(&[vec![CLICK], vec![Choice::Skip], vec![CLICK; 3]]);
        let (click, skip): (f64, f64) = (1.5 / 4.0, 1.5 / 2.0);
        let expected = [[(1.0 + click) / 3.0, (1.0 + skip) / 2.0], [click / 2.0, skip]];
        assert_eq!(
            found,
            Endings {
                hazards: expected.map(|row| row.map(|hazard| hazard as f32)).to_vec(),
                max_session_length: Some(3)
            }
        );
        assert_eq!(found.probability(2, CLICK), 1.0);
    }

    #[test]
    fn no_session_is_no_ending() {
        assert_eq!(
            Endings::observed(&log(&[vec![CLICK]]), &[]),
            Endings { hazards: vec![], max_session_length: None }
        );
    }
}
