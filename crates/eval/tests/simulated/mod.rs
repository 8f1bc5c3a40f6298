//! Values for simulated experiments.

use foretaste_random::Stream;
use rand::Rng;

/// A standard normal value (Box & Muller 1958).
pub fn normal(draws: &mut Stream) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - draws.random::<f64>(), draws.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
