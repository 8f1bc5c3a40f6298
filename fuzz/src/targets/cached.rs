//! Cached logs behind a valid header. Random changes would fail at its checksum, so the header is
//! made to fit after the payload was changed.

use foretaste_data::{Dataset, cache};
use foretaste_import::{Options, bundled};
use foretaste_train::run::digest;

use super::{Target, look_at, plain};
use crate::Place;

/// A cached log whose payload is the input, behind a header that fits it: its checksum finds damage
/// and no forgery.
pub(super) struct Cache;

const MAGIC: &[u8] = b"USTUDY\0\n";
const HEADER: usize = 8 + 4 + 8 + 32;

impl Target for Cache {
    fn name(&self) -> &str {
        "cache"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let place = Place::new().expect("temporary folders can be made");
        let of = |dataset: &Dataset| {
            let path = place.path().join("log");
            cache::save(dataset, &path).expect("a log can be cached");
            let whole = std::fs::read(&path).expect("temporary files can be read");
            [&[0][..], &whole[HEADER..]].concat()
        };
        let few = |name: &str| {
            let (dataset, _) = bundled::open(name)
                .and_then(|input| input.import(Options::default()))
                .expect("bundled logs can be read");
            dataset.select(&[0, 1, 2]).expect("there are three sessions")
        };
        ["simulated-mdp.csv", "simulated-mdp-clicks.csv", "simulated-choice.tsv"]
            .map(|name| of(&few(name)))
            .into()
    }

    fn read(&self, input: &[u8], place: &Place) -> Result<(), String> {
        let (first, payload) = input.split_first().unwrap_or((&0, &[]));
        // The version is mostly the present one.
        let version = [5u32, 5, 5, 4, 3, 2][usize::from(*first) % 6];
        let mut file = MAGIC.to_vec();
        file.extend(version.to_le_bytes());
        file.extend((payload.len() as u64).to_le_bytes());
        let digest = digest(payload);
        file.extend((0..32).filter_map(|at| u8::from_str_radix(&digest[2 * at..][..2], 16).ok()));
        file.extend(payload);
        let dataset =
            cache::load(&place.file("log", &file)).map_err(|error| plain(error.to_string()))?;
        look_at(&dataset);
        Ok(())
    }
}
