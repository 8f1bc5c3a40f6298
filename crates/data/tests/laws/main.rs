//! Laws of the crate, and what bad input gives.

mod batches;
mod caches;
mod edges;
mod extras;
mod generate;
mod mapping;
mod origin;
mod slices;
mod splits;
