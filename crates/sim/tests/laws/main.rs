//! The laws of the simulators: what holds for every environment, policy and seed, and, at stated
//! false-alarm rates, what holds of their frequencies.

mod bounds;
mod environments;
mod policies;
mod rollouts;
mod support;
