//! Public data sets: small files of our own making in exactly the published formats.

mod cikm;
mod coat;
mod named;
mod open_bandit;
mod trivago;
mod yoochoose;

use std::path::Path;

use foretaste_data::{Choice, Dataset};
use foretaste_import::{BESIDE, Error, Expected, Format, Options, Report, Result, export, import};

/// Imports the first of the files, with the others next to it.
fn read_with(files: &[(&str, &str)], options: Options<'_>) -> Result<(Dataset, Report)> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    import(&folder.path().join(files[0].0), options)
}

fn read(files: &[(&str, &str)]) -> (Dataset, Report) {
    read_with(files, Options::default()).unwrap()
}

fn skipping(files: &[(&str, &str)]) -> (Dataset, Report) {
    read_with(files, Options { skip_bad_rows: true, max_bad: 1.0, ..Options::default() }).unwrap()
}

fn refused(files: &[(&str, &str)]) -> String {
    read_with(files, Options::default()).unwrap_err().to_string()
}

/// A step by raw ids: the slate, the item chosen or nothing, the reward.
type RawStep = (Vec<String>, Option<String>, f32);

fn steps(dataset: &Dataset) -> Vec<Vec<RawStep>> {
    let raw = |item| dataset.catalogue.raw(item).to_owned();
    let step = |step: foretaste_data::Step<'_>| {
        assert_ne!(step.choice, Choice::Leave, "no public data set says when users left");
        (
            step.slate.iter().map(|&item| raw(item)).collect(),
            step.choice.item().map(raw),
            step.reward,
        )
    };
    dataset.log.iter().map(|session| session.steps().map(step).collect()).collect()
}

fn step(slate: &str, chosen: &str, reward: f32) -> RawStep {
    let chosen = (!chosen.is_empty()).then(|| chosen.to_owned());
    (slate.split(' ').map(str::to_owned).collect(), chosen, reward)
}

#[test]
fn what_is_expected_stands_beside_what_was_found() {
    // As many users, items and ratings as are published.
    let row = |user: usize, rated: usize| -> String {
        let ratings: Vec<&str> = (0..300)
            .map(|item| if (item + 300 - user) % 300 < rated { "3" } else { "0" })
            .collect();
        ratings.join(" ") + "\r\n"
    };
    let test: String = (0..290).map(|user| row(user, 16)).collect();
    let (_, report) = read(&[("test.ascii", &test)]);
    assert_eq!(report.expected, Expected::of(Path::new("coat/test.ascii"), Format::Coat));
    let table = report.to_string();
    assert!(table.contains("sessions              4640  (as expected)\n"), "{table}");
    assert!(
        table.contains("rows read             290  (as expected)\n")
            && !table.contains("(expected"),
        "{table}"
    );

    let (_, report) = read(&[("test.ascii", "0 1 2\n5 0 0\n")]);
    let table = report.to_string();
    assert!(table.contains("steps                 3  (expected 4640)\n"), "{table}");
    assert!(table.contains("items                 3  (expected 300)\n"), "{table}");
    let (_, report) = read_with(&[("test.other", "0 1 2\n")], Options::default()).unwrap();
    assert!(report.expected.is_none() && !report.to_string().contains("expected"));
}

#[test]
fn what_is_expected_goes_by_format_and_published_folder() {
    let of = |path: &str, format| Expected::of(Path::new(path), format);
    assert_eq!(
        of("any/where/train-queries.csv", Format::Cikm).unwrap().split,
        Some([65_284, 1_718, 1_720])
    );
    assert_eq!(of("any/where/train-queries.csv", Format::Csv), None);
    assert_eq!(of("obd/random/men/men.csv", Format::OpenBandit).unwrap().items, Some(34));
    // The full data set has other counts than the sample.
    assert_eq!(of("open_bandit_dataset/random/men/men.csv", Format::OpenBandit), None);
    assert_eq!(of("ml-25m/ratings.csv", Format::MovieLens), None);
}

#[test]
fn formats_of_public_data_sets_are_read_only() {
    let (dataset, _) = read(&[("test.ascii", "0 1 2\n")]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    for format in
        [Format::Cikm, Format::YooChoose, Format::Trivago, Format::OpenBandit, Format::Coat]
    {
        assert!(
            export(&dataset, format, &path).unwrap_err().to_string().contains("can be read only"),
            "{format}"
        );
        assert_eq!(format.name().parse::<Format>().unwrap(), format);
    }
    assert!(!path.exists());
}

/// Every file that is read with a log, and no other, is one of which the importer says that it is
/// empty.
#[test]
fn what_importers_read_beside_a_log_is_listed() {
    let (ratings, clicks) = ("0 3\n", "queryId;itemId\n1;1\n");
    let queries = "queryId;sessionId;timeframe;eventdate;items\n1;1;0;2016-05-09;1\n";
    let bandit = "timestamp,item_id,position,click,propensity_score\n\
        2019-11-24 00:01:29+00:00,2,1,0,0.3\n";
    let cases: [(Format, &[(&str, &str)]); 9] = [
        (Format::MovieLens100k, &[("u.data", "1\t1\t3\t5\n"), ("u.item", "")]),
        (
            Format::MovieLens,
            &[("ratings.csv", "userId,movieId,rating,timestamp\n1,1,3,5\n"), ("movies.csv", "")],
        ),
        (Format::MovieLens1M, &[("ratings.dat", "1::1::3::5\n"), ("movies.dat", "")]),
        (
            Format::YooChoose,
            &[("clicks.dat", "11,2014-04-01T03:00:25.575Z,7,0\n"), ("yoochoose-buys.dat", "")],
        ),
        (Format::Cikm, &[("train-queries.csv", queries), ("train-clicks.csv", "")]),
        (
            Format::Cikm,
            &[
                ("train-queries.csv", queries),
                ("train-clicks.csv", clicks),
                ("train-purchases.csv", ""),
            ],
        ),
        (Format::Coat, &[("train.ascii", ratings), ("propensities.ascii", "")]),
        (
            Format::Coat,
            &[
                ("train.ascii", ratings),
                ("propensities.ascii", "1 1\n"),
                ("features/item_features.ascii", ""),
            ],
        ),
        (Format::OpenBandit, &[("men.csv", bandit), ("item_context.csv", "")]),
    ];
    let mut named = Vec::new();
    for (format, files) in cases {
        let beside = files.last().unwrap().0;
        match read_with(files, Options { format: Some(format), ..Options::default() }).unwrap_err()
        {
            Error::File { path, problem } => {
                assert!(path.ends_with(beside) && problem == "is empty", "{problem}")
            }
            other => panic!("{other}"),
        }
        named.push(beside);
    }
    named.sort_unstable();
    let mut listed = BESIDE.to_vec();
    listed.sort_unstable();
    assert_eq!(named, listed);
}
