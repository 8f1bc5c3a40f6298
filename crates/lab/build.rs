//! Tells the crate which version of candle the networks of a run are built with, for the record of
//! the run. The crate does not depend on candle, so the version is that of the lock file: of the
//! workspace, or unknown where the crate is built alone.

use std::path::Path;

fn main() {
    println!("cargo:rustc-env=FORETASTE_CANDLE={}", candle().as_deref().unwrap_or("unknown"));
}

fn candle() -> Option<String> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")?;
    let mut locks = Path::new(&package).ancestors().map(|folder| folder.join("Cargo.lock"));
    let lock = locks.find(|lock| lock.exists())?;
    println!("cargo:rerun-if-changed={}", lock.display());
    let lock = std::fs::read_to_string(lock).ok()?;
    let (_, entry) = lock.split_once("name = \"candle-core\"\nversion = \"")?;
    entry.split('"').next().map(str::to_owned)
}
