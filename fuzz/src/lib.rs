//! Files from strangers, made up by the thousand.
//!
//! A [`Target`] reads one kind of file and checks what must hold whatever is in it. What it is
//! given are bytes: a file of the corpus, or one of these after some [mutations](mutated). Where
//! bytes alone would never get past a header, a target draws a valid file from them (by
//! [`arbitrary::Unstructured`]) and damages that: CSV of a small grammar, Parquet by its writer, a
//! saved recommender whose digests are made right again.
//!
//! [`hunt`] looks for inputs that panic, abort or do not end. It keeps those that a target answers
//! in a new way, and mutates these further. All is drawn from a seed. `cargo xtask fuzz` hunts in
//! processes of little memory, and a test [replays](replay) the corpus.

mod hunt;
mod mutate;
mod place;
mod signature;
mod targets;

pub use self::hunt::{Budget, Found, hunt, replay};
pub use self::mutate::mutated;
pub use self::place::Place;
pub use self::targets::{Target, targets};
