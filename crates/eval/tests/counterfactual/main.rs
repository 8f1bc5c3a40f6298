//! Counterfactual evaluation: laws, agreement with the Open Bandit Pipeline, and coverage on
//! simulated users.

mod errors;
mod laws;
mod pipeline;
mod policies;
mod population;
mod repetitions;
mod simulated;
mod standard_errors;
