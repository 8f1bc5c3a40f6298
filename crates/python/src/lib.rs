//! The extension module of the Python package `foretaste`: users as environments that Python steps,
//! logs, and the commands of the program.
//!
//! The module `vector` is the core of the environments and does not know Python; `environments`
//! makes the Python classes. Long computations release the interpreter's lock (`errors`).

mod commands;
mod environments;
mod errors;
mod estimators;
mod logs;
mod recommenders;
mod slates;
mod users;
mod vector;

/// Training allocates much; see the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The compiled part of `foretaste`.
#[pyo3::pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::commands::{command, program};
    #[pymodule_export]
    use crate::environments::Environments;
    #[pymodule_export]
    use crate::estimators::{of_actions, of_positions, of_slates};
    #[pymodule_export]
    use crate::logs::Log;
    #[pymodule_export]
    use crate::recommenders::Recommender;
    #[pymodule_export]
    use crate::users::Users;

    /// Panics, so that a test can see what becomes of it.
    #[pyfunction]
    fn _panic(py: Python<'_>) -> PyResult<()> {
        crate::errors::compute(py, || panic!("asked for"))
    }
}
