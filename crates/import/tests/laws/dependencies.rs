//! Who needs a log alone compiles no file formats.

use std::process::Command;

/// The packages that a package of the workspace is built or tested with.
fn compiled_with(package: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments = ["tree", "--offline", "--edges", "normal,dev", "--prefix", "none", "--format"];
    let output = Command::new(cargo)
        .args(arguments)
        .args(["{p}", "--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    String::from_utf8(output.stdout).unwrap().lines().map(name).collect()
}

#[test]
fn only_this_crate_compiles_file_formats() {
    const FORMATS: [&str; 4] = ["arrow-array", "parquet", "zstd-sys", "flate2"];
    let ours = compiled_with("foretaste-import");
    assert!(FORMATS.iter().all(|format| ours.iter().any(|package| package == format)));
    for package in ["foretaste-data", "foretaste-sim", "foretaste-eval", "foretaste-irecgan"] {
        let packages = compiled_with(package);
        assert!(packages.iter().any(|other| other == package));
        for format in FORMATS.iter().chain(&["foretaste-import"]) {
            assert!(packages.iter().all(|other| other != format), "{package} compiles {format}");
        }
    }
}
