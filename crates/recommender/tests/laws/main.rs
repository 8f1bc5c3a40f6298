//! Laws of recommenders and learned users of all kinds.

mod acting;
mod assortment;
mod damage;
mod forged;
mod policies;
mod support;
mod training;
mod truth;
mod users;
