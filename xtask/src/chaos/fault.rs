//! Which fault strikes which command: drawn from a seed and a number.

use std::fmt;

use clap::ValueEnum;
use foretaste_random::{Seed, Stream};
use rand::Rng;

use super::target::TARGETS;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// The process is killed at random moments, and the same command is run again.
    Kill,
    /// The process ends within a write, at a random byte.
    TornWrite,
    /// A file of a finished result is cut, and read again.
    Cut,
    /// The disk is full at a random byte.
    FullDisk,
    /// The folder cannot be written to.
    ReadOnly,
    /// The folder, or the unfinished work in it, is removed while the command is running.
    Deleted,
    /// The clock jumps to the past or the future whenever it is read, and so do the times of all
    /// files while a command is interrupted.
    Clock,
    /// Two to eight processes run the same command in the same folder at the same time, where locks
    /// work, are refused, or are granted to everyone.
    Processes,
}

/// How many of 24 faults are of a kind.
const SHARES: [(Kind, usize); 8] = [
    (Kind::Kill, 6),
    (Kind::TornWrite, 4),
    (Kind::Cut, 4),
    (Kind::FullDisk, 4),
    (Kind::ReadOnly, 1),
    (Kind::Deleted, 2),
    (Kind::Clock, 1),
    (Kind::Processes, 2),
];

impl Kind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        SHARES.into_iter().map(|(kind, _)| kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// A fault, but for its details, which the [`Stream`] of its number decides.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its number, from 0.
    pub number: u64,
    /// What happens.
    pub kind: Kind,
    /// To which command, an index of [`TARGETS`].
    pub target: usize,
    stream: Stream,
}

impl Fault {
    /// What its details are drawn from.
    pub fn stream(&self) -> Stream {
        self.stream.clone()
    }
}

/// The faults of a seed, without end.
pub fn faults(seed: Seed) -> impl Iterator<Item = Fault> {
    let seed = seed.derive("chaos");
    (0..).map(move |number| draw(number, seed.stream(number)))
}

fn draw(number: u64, mut stream: Stream) -> Fault {
    let kinds: Vec<Kind> =
        SHARES.iter().flat_map(|&(kind, share)| std::iter::repeat_n(kind, share)).collect();
    let kind = kinds[stream.random_range(0..kinds.len())];
    let suited: Vec<usize> =
        (0..TARGETS.len()).filter(|&target| TARGETS[target].suits(kind)).collect();
    let target = suited[stream.random_range(0..suited.len())];
    Fault { number, kind, target, stream }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn drawn(seed: u64, count: usize) -> Vec<(Kind, usize, u64)> {
        let faults = faults(Seed::new(seed)).take(count);
        faults.map(|fault| (fault.kind, fault.target, fault.stream().random())).collect()
    }

    #[test]
    fn a_fault_follows_from_its_seed_and_number() {
        assert_eq!(drawn(1, 100), drawn(1, 100));
        assert_ne!(drawn(1, 100), drawn(2, 100));
        let tenth = faults(Seed::new(1)).nth(10).unwrap();
        assert_eq!(tenth.number, 10);
        assert_eq!((tenth.kind, tenth.target, tenth.stream().random()), drawn(1, 11)[10]);
    }

    #[test]
    fn every_kind_strikes_every_command_that_it_suits() {
        let struck: BTreeSet<(Kind, usize)> =
            drawn(1, 3_000).into_iter().map(|(kind, target, _)| (kind, target)).collect();
        for kind in Kind::all() {
            for (at, target) in TARGETS.iter().enumerate() {
                assert_eq!(struck.contains(&(kind, at)), target.suits(kind), "{kind} {at}");
            }
        }
    }
}
