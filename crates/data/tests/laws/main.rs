//! Laws of the crate, and what bad input gives.

mod batches;
mod caches;
mod edges;
mod generate;
mod mapping;
mod origin;
mod slices;
mod splits;
