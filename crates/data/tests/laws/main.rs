//! Laws of the crate, and what bad input gives.

mod bad_input;
mod bad_shares;
mod batches;
mod caches;
mod displays;
mod edges;
mod formats;
mod generate;
mod mapping;
mod origin;
mod parquet;
#[cfg(unix)]
mod pipes;
mod public;
mod splits;
