//! From any log to the sessions of IRecGAN §3, where each step is a click and the last one is END.
//! U, A and D all learn from this form, so what it leaves out is decided once.

use foretaste_data::{Choice, Entry, Event, EventKind, ItemId, Log, LogBuilder, Step};
use foretaste_random::Seed;
use foretaste_settings::Setting;

use crate::Result;

/// Some sessions as IRecGAN sees them, τ (§3): at each step the user clicks an
/// item, on the last one END instead.
///
/// Steps on which the user chose nothing and stayed are left out, and with them sessions that have
/// no other. A log in which no session ends with [`Choice::Leave`] lacks the slates on which its
/// users left: each session gets one of random items, as many as its last slate holds, drawn from
/// its own stream of `seed`. In a log that has them, a session without one was cut, and stays so.
/// The reward of a step without a choice is ignored, and is 0 in what is made of it. Organic events
/// stay.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if a slate holds an item that is not below `items`.
pub fn clicked_sessions(log: &Log, sessions: &[usize], items: usize, seed: Seed) -> Result<Log> {
    let leaving_is_logged = log.iter().any(|session| session.left());
    let mut builder = LogBuilder::default();
    for &index in sessions {
        let mut places = 0;
        for entry in log.session(index).entries() {
            let (t, step) = match entry {
                Entry::Event(event) => {
                    builder.event(event);
                    continue;
                }
                Entry::Step(_, Step { choice: Choice::Skip, .. }) => continue,
                Entry::Step(t, step) => (t, step),
            };
            check(&step, items).map_err(|problem| {
                Setting::new("sessions", format!("session {index}, step {t}: {problem}"))
            })?;
            let reward = if step.choice.item().is_some() { step.reward } else { 0.0 };
            builder.push(Step::new(step.slate, step.choice, reward))?;
            places = step.slate.len();
        }
        if places > 0 && !leaving_is_logged {
            let slate = rand::seq::index::sample(&mut seed.stream(index as u64), items, places);
            let slate: Vec<ItemId> = slate.into_iter().map(|item| ItemId(item as u32)).collect();
            let choice = Choice::Leave;
            builder.push(Step::new(&slate, choice, 0.0))?;
        }
        match places {
            0 => builder.abandon_session(),
            _ => builder.end_session(None)?,
        }
    }
    Ok(builder.build())
}

/// Sessions of [`clicked_sessions`] whose first click is given and not predicted, as in the public
/// code of IRecGAN's authors: it becomes an organic event, which U, A and D have as an input, and
/// its slate is left out. Sessions without a click, and those of which nothing else is left, are
/// left out too.
///
/// # Errors
/// [`Error::Log`](crate::Error::Log) if a session cannot stand in a log, which none of a log can.
pub fn first_clicks_given(log: &Log) -> Result<Log> {
    let mut builder = LogBuilder::default();
    for session in log.iter() {
        let (mut given, mut steps) = (false, 0);
        for entry in session.entries() {
            match entry {
                Entry::Event(event) => builder.event(event),
                Entry::Step(_, Step { choice: Choice::Item(item), timestamp, .. }) if !given => {
                    builder.event(Event { item, kind: EventKind::View, after: 0, timestamp });
                    given = true;
                }
                Entry::Step(_, step) => {
                    builder.push(step)?;
                    steps += 1;
                }
            }
        }
        match given && steps > 0 {
            true => builder.end_session(session.user())?,
            false => builder.abandon_session(),
        }
    }
    Ok(builder.build())
}

/// The same sessions with rewards divided by `unit`.
///
/// # Errors
/// [`Error::Log`](crate::Error::Log) if a reward is then not finite.
pub fn in_unit(log: Log, unit: f32) -> Result<Log> {
    if unit == 1.0 {
        return Ok(log);
    }
    let mut builder = LogBuilder::default();
    for session in log.iter() {
        for entry in session.entries() {
            match entry {
                Entry::Event(event) => builder.event(event),
                Entry::Step(_, step) => {
                    builder.push(Step { reward: step.reward / unit, ..step })?;
                }
            }
        }
        builder.end_session(session.user())?;
    }
    Ok(builder.build())
}

fn check(step: &Step<'_>, items: usize) -> std::result::Result<(), String> {
    match step.slate.iter().find(|item| item.index() >= items) {
        Some(item) => Err(format!("item {} is shown, expected less than {items}", item.0)),
        None => Ok(()),
    }
}
