//! The program `foretaste`; what it does is in the library of the same name.

use std::process::ExitCode;

/// glibc hands freed pages back at once and faults them in again on the next tensor, which costs
/// training a third of its time; mimalloc keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    foretaste::main(std::env::args_os())
}
