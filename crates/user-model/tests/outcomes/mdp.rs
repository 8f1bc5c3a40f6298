//! Learned users of the bundled logs pay and leave as these logs show, and would not by utilities
//! alone.

use foretaste_data::{Catalogue, Dataset, Log, LogBuilder, UnknownItems};
use foretaste_random::Seed;
use foretaste_sim::policies::{TopItems, UniformRandom};
use foretaste_sim::{Blind, Environment, Mdp, MdpConfig, Outcome, Privileged, Rollout};
use foretaste_user_model::{LearnedUsers, Outside, Pays};

use crate::{Means, fitted, fitted_with};

/// The simulation of the bundled logs: sessions under random slates, on whose last step users
/// leave.
fn simulated() -> Log {
    let mdp = Mdp::new(&MdpConfig { seed: 1, ..MdpConfig::default() }).unwrap();
    let seed = Seed::new(1).derive("bundled logs").derive("mdp");
    let policy = Blind(UniformRandom { items: mdp.items() });
    Rollout::new(seed, 0..250, 10).run(&mdp, &policy).unwrap()
}

/// The same without the steps on which users left.
fn clicks_alone() -> Log {
    let mut clicks = LogBuilder::default();
    for session in simulated().iter() {
        let steps = session.steps().filter(|step| step.choice.item().is_some());
        steps.for_each(|step| clicks.push(step).unwrap());
        if clicks.open_steps() > 0 {
            clicks.end_session(None).unwrap();
        }
    }
    clicks.build()
}

/// A log with its items numbered by their first appearance, as an import numbers them.
fn numbered(log: Log) -> (Log, Catalogue) {
    let shown = || log.iter().flat_map(|session| session.steps()).flat_map(|step| step.slate);
    let names: Vec<String> = shown().map(|item| item.index().to_string()).collect();
    let items = Catalogue::new(names.iter().map(String::as_str).collect());
    let catalogue = Catalogue::numbered(shown().max().map_or(0, |last| last.index() + 1));
    let given = Dataset { log, catalogue, ..Dataset::default() };
    let Dataset { log, catalogue, .. } = given.mapped_to(&items, UnknownItems::Refuse).unwrap().0;
    (log, catalogue)
}

fn most_clicked(log: &Log, items: usize) -> TopItems {
    let mut clicks = vec![0.0; items];
    log.iter().flat_map(|session| session.clicks()).for_each(|item| clicks[item.index()] += 1.0);
    TopItems::new(&clicks)
}

/// Slates of 10, as in the logs; the rollout's own cut is 1,000 steps.
fn played<E: Environment, P: Privileged<E>>(users: &E, policy: &P) -> Means {
    Means::of(&Rollout::new(Seed::new(4), 0..1_500, 10).run(users, policy).unwrap())
}

fn reward<E: Environment, P: Privileged<E>>(users: &E, policy: &P) -> f64 {
    let outcomes: Vec<Outcome> =
        Rollout::new(Seed::new(5), 0..1_500, 10).outcomes(users, policy).unwrap();
    outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / 1.5e3
}

/// The 169 sessions pay 3.06 on average. A session's length has a standard error of 0.06 in 1,500
/// sessions; the tolerance is 10% of the log's mean.
#[test]
fn the_bundled_log_of_clicks_alone_pays_a_session_what_it_paid() {
    let (log, catalogue) = numbered(clicks_alone());
    assert_eq!(Outside::observed(&log), Outside::Absent);
    let users = LearnedUsers::new(fitted(&log, &catalogue, 100)).unwrap();
    let items = catalogue.len();
    let (logged, learned) = (Means::of(&log), played(&users, &Blind(UniformRandom { items })));
    assert!((learned.reward / logged.reward - 1.0).abs() < 0.1, "{logged:?} {learned:?}");
    assert!((learned.steps / logged.steps - 1.0).abs() < 0.1, "{logged:?} {learned:?}");
    // Nothing in this log says that a session's end depends on what is shown: every policy earns
    // the same.
    assert!(
        reward(&users, &Blind(most_clicked(&log, items)))
            >= reward(&users, &Blind(UniformRandom { items }))
    );
}

/// What the outcomes are for. An outside option that this log never shows is hardly ever chosen and
/// never ends a session, and r_θ, whose level the log leaves open, is no reward of the log's: such
/// users earn more than ten times the log's 3.06 in sessions cut at 40 steps.
#[test]
fn bare_utilities_and_an_option_that_is_never_shown_pay_the_wrong_reward() {
    let (log, catalogue) = numbered(clicks_alone());
    let model = fitted_with(Outside::Nothing { leaving: 0.0 }, &log, &catalogue, 100);
    let users = LearnedUsers::paying(model, Pays::Utility).unwrap().leaving_by_choice_alone();
    let rollout = Rollout::new(Seed::new(5), 0..200, 10).max_steps(40);
    let played =
        Means::of(&rollout.run(&users, &Blind(UniformRandom { items: catalogue.len() })).unwrap());
    assert!(played.steps == 40.0 && played.reward > 30.0, "{played:?}");
}

/// The log that shows its users leave. Its 250 sessions pay 2.07 with a standard error of 0.15, of
/// which the model knows what the log shows; that of the 1,500 learned ones is 0.06. The tolerances
/// are 15%, and 0.05 for the click rate.
#[test]
fn the_bundled_log_with_leaving_pays_a_session_what_it_paid() {
    let (log, catalogue) = numbered(simulated());
    assert_eq!(Outside::observed(&log), Outside::Nothing { leaving: 1.0 });
    let users = LearnedUsers::new(fitted(&log, &catalogue, 100)).unwrap();
    let (logged, learned) =
        (Means::of(&log), played(&users, &Blind(UniformRandom { items: catalogue.len() })));
    assert!((learned.reward / logged.reward - 1.0).abs() < 0.15, "{logged:?} {learned:?}");
    assert!((learned.steps / logged.steps - 1.0).abs() < 0.15, "{logged:?} {learned:?}");
    assert!((learned.click_rate - logged.click_rate).abs() < 0.05, "{logged:?} {learned:?}");
}
