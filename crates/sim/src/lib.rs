//! Environments and policies. (being written)
mod error;
mod traits;

pub use error::{Error, Result};
pub use traits::{Environment, Policy, Responses, Slates};
