//! Laws of the crate, and what bad input gives.

mod bad_input;
mod batches;
mod caches;
mod displays;
mod formats;
mod generate;
mod mapping;
mod origin;
mod parquet;
mod public;
mod splits;
