//! Measures the argmax over catalogues of 10^3 to 10^6 items, and prints how its time grows with K.
//!
//! `cargo run --release -p foretaste-cascade-dqn --example argmax -- [LARGEST_K]` (default 1000000,
//! which takes some 10 GB)

use candle_core::Device;
use foretaste_cascade_dqn::bench::{Sizes, agreement, measure, measure_candle};
use foretaste_cascade_dqn::{Result, Storage};

fn main() -> Result<()> {
    let largest =
        std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of items"));
    let at = |items| Sizes { items, features: 64, hidden: 128, k: 10, users: 1 };
    println!("d = 64, l = 128, k = 10; ms, medians; threads: {}", rayon::current_num_threads());
    println!(
        "storage        K users   freeze    slates      read  slates/read   GB/s read    candle"
    );
    for storage in [Storage::Single, Storage::Half] {
        let mut before: Option<(usize, f64)> = None;
        for items in
            [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|items| *items <= largest)
        {
            let repetitions = if items < 100_000 { 21 } else { 5 };
            let found = measure(at(items), storage, repetitions, &Device::Cpu)?;
            let candle = match storage {
                Storage::Single => format!("{:9.1}", 1e3 * measure_candle(at(items), 3)?),
                Storage::Half => String::new(),
            };
            print!(
                "{storage:?} {items:>9} {:>5} {:>8.1} {:>9.3} {:>9.3} {:>12.2} {:>11.1} {candle}",
                1,
                1e3 * found.freeze,
                1e3 * found.slates,
                1e3 * found.read,
                found.slates / found.read,
                found.bytes as f64 / found.read / 1e9
            );
            match before.replace((items, found.slates)) {
                Some((k, seconds)) => {
                    println!(
                        "  slope {:.2}",
                        (found.slates / seconds).ln() / (items as f64 / k as f64).ln()
                    )
                }
                None => println!(),
            }
        }
    }
    let small = Sizes { items: 1_000, features: 16, hidden: 64, k: 3, users: 128 };
    let found = measure(small, Storage::Single, 21, &Device::Cpu)?;
    println!(
        "K = 1000, d = 16, l = 64, k = 3, 128 users: freeze {:.2} ms, slates {:.2} ms",
        1e3 * found.freeze,
        1e3 * found.slates
    );
    for items in [10_000, 100_000].into_iter().filter(|items| *items <= largest) {
        let found = agreement(Sizes { users: 500, ..at(items) })?;
        println!(
            "16-bit halves at K = {items}: {:.1}% of slates and {:.1}% of items as with single precision",
            100.0 * found.slates,
            100.0 * found.items
        );
    }
    Ok(())
}
