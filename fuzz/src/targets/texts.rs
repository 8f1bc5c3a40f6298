//! The text files that users write or take from others, such as settings, layouts, claims and
//! policies, each read by the function that the program reads it with.

use foretaste_import::{ExpectedReward, Format, Layout, Options, PolicyFile, guess, import};
use foretaste_report::{Claim, Decided, Means, Results};

use super::{Target, look_at, plain};
use crate::Place;

/// A text that a function reads from a file.
struct Text {
    name: &'static str,
    seeds: &'static [&'static str],
    read: fn(&[u8], &Place) -> Result<(), String>,
}

impl Target for Text {
    fn name(&self) -> &str {
        self.name
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
    }

    fn read(&self, input: &[u8], place: &Place) -> Result<(), String> {
        (self.read)(input, place).map_err(plain)
    }
}

const RESULTS: &str = "experiment,dataset,method,setting,seed,metric,value\n\
    clicks,yelp,ours,,0,precision@1,0.71\nclicks,yelp,theirs,,0,precision@1,0.61\n";
const CLAIMS: &str = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,\
    settings\nA,§7,clicks,ours predicts better,precision@1,larger,ours,theirs,beats the best,,\n";
const LAYOUT: &str = "format = \"csv\"\ndelimiter = \";\"\ntime-zone = \"Europe/Berlin\"\n\
    no-click = [\"-1\"]\nsession-gap = \"30m\"\nclicks = \"each\"\n[columns]\nsession = \"visit\"\n\
    [limits]\nrow-bytes = 1000\n";

pub(super) fn all() -> impl Iterator<Item = Box<dyn Target>> {
    let texts = [
        Text {
            name: "foretaste-toml",
            seeds: &[
                include_str!("../../../crates/foretaste/src/run/foretaste.toml"),
                "seed = 1\npercent = 60\n",
            ],
            read: |input, _| {
                let text = String::from_utf8_lossy(input);
                foretaste::check_settings(&text).map_err(|error| format!("{error:#}"))
            },
        },
        Text {
            name: "layout",
            seeds: &[LAYOUT],
            read: |input, place| {
                let layout = Layout::read(&place.file("layout.toml", input));
                let layout = layout.map_err(|error| error.to_string())?;
                let log = "visit;step;shown;chosen;reward\na;0;1 2;1;1\na;1;2 3;;0\n";
                let path = place.file("log.csv", log.as_bytes());
                let options = Options { layout, format: Some(Format::Csv), ..Options::default() };
                let (dataset, _) = import(&path, options).map_err(|error| error.to_string())?;
                look_at(&dataset);
                Ok(())
            },
        },
        Text {
            name: "guess",
            seeds: &["visit;n;list;click\na;0;1 2;1\n", "{\"session\":\"a\",\"items\":[1,2]}\n"],
            read: |input, place| {
                let input = foretaste_import::Input::open(&place.file("log", input));
                let guessed = input.and_then(|input| guess(&input, &Layout::default()));
                let guessed = guessed.map_err(|error| error.to_string())?;
                let read = Layout::read(&place.file("guessed.toml", guessed.as_bytes()));
                assert!(read.is_ok(), "a layout that was guessed is none: {guessed}");
                Ok(())
            },
        },
        Text {
            name: "results",
            seeds: &[RESULTS],
            read: |input, _| {
                let read = Results::read_anyones(input, "results.csv");
                let results = read.map_err(|error| error.to_string())?;
                results.to_csv().map(drop).map_err(|error| error.to_string())
            },
        },
        Text {
            name: "claims",
            seeds: &[CLAIMS],
            read: |input, _| {
                let claims = Claim::read_anyones(input, "claims.csv");
                let claims = claims.map_err(|error| error.to_string())?;
                claims.iter().for_each(|claim| drop(claim.not_run()));
                Ok(())
            },
        },
        Text {
            name: "decided",
            seeds: &[],
            read: |input, _| {
                Decided::read(input, "claims.csv").map(drop).map_err(|e| e.to_string())
            },
        },
        Text {
            name: "means",
            seeds: &[],
            read: |input, _| Means::read(input, "means.csv").map(drop).map_err(|e| e.to_string()),
        },
        Text {
            name: "policies",
            seeds: &[
                "place,before,item,prob\n0,,hat,0.25\n0,,shoe,0.75\n1,hat,shoe,1\n",
                "session,step,policy\na,0,0.5 0.25\na,1,1 1\n",
                "session,step,slate\na,0,hat shoe\na,1,shoe hat\n",
                "place,item,policy,logging\n0,hat,0.5,0.5\n0,shoe,0.5,0.5\n",
            ],
            read: |input, place| {
                let policy = PolicyFile::read(&place.file("policy.csv", input));
                policy.map(drop).map_err(|error| error.to_string())
            },
        },
        Text {
            name: "expected-rewards",
            seeds: &["session,step,item,reward\na,0,hat,0.5\na,0,shoe,1.5\n"],
            read: |input, place| {
                let rewards = ExpectedReward::read(&place.file("rewards.csv", input));
                rewards.map(drop).map_err(|error| error.to_string())
            },
        },
        Text {
            name: "item-features",
            seeds: &["item,price,color\n1,2.5,red\n2,1e3,blue\n3,-1,red\n"],
            read: |input, place| {
                let log = "session,step,shown,chosen,reward\na,0,1 2,1,1\na,1,2 3,,0\n";
                let path = place.file("log.csv", log.as_bytes());
                let features = place.file("features.csv", input);
                let options = Options { item_features: Some(features), ..Options::default() };
                let (dataset, _) = import(&path, options).map_err(|error| error.to_string())?;
                look_at(&dataset);
                Ok(())
            },
        },
    ];
    texts.into_iter().map(|text| Box::new(text) as Box<dyn Target>)
}
