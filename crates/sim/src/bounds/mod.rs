//! What a policy could reach at best, and how long sessions last at random.
//!
//! An **oracle** sees the user's hidden state and plays the best slate for it: no policy that sees
//! slates and clicks alone can do better, and usually none can do as well. It is a ceiling. A
//! **belief** policy sees what any recommender sees and knows the environment: it filters the
//! hidden state from the clicks by Bayes' rule and plays a slate that is best if the state were
//! revealed after this step (QMDP). What it earns can be earned, so it is a reference that a
//! learner may approach and even, since QMDP never explores, beat; it is not a ceiling.

mod choice;
mod length;
mod linear;
mod mdp;
mod slate;

pub use choice::{
    Appeal, ChoiceBelief, ChoiceBeliefMemory, ChoiceGreedy, ChoiceOracle, Histories, ShortMemory,
};
pub use length::{expected_length, expected_length_of_slates};
pub use mdp::{MdpBelief, MdpOracle};
pub use slate::{BestSlate, best_slate};
