//! Laws of the crate, and what bad input gives.

mod bad_input;
mod bad_shares;
mod bounds;
mod context;
mod dependencies;
mod features;
mod formats;
#[path = "../../../data/tests/laws/generate.rs"]
mod generate;
mod layouts;
mod parquet;
#[cfg(unix)]
mod pipes;
mod public;
mod slates;
