//! CIKM Cup 2016, Track 2: the three raw files.

use foretaste_data::{Dataset, Split};
use foretaste_import::{Format, Options, Report};
use foretaste_random::Seed;

use super::{read, read_with, refused, skipping, step, steps};

const QUERIES: &str = "queryId;sessionId;userId;timeframe;duration;eventdate;searchstring.tokens;categoryId;items;is.test\n";
const CLICKS: &str = "queryId;timeframe;itemId\n";
const PURCHASES: &str = "sessionId;userId;timeframe;eventdate;ordernumber;itemId\n";

/// Query 3 has two clicks and query 6 none; session 30 has one query; the rows of session 12 do not
/// stand together; the click of query 5 is not on its list, which has an item twice; no one ever
/// clicks items 998 and 999.
const HAND_MADE: [&str; 3] = [
    "1;12;;0;327;2016-05-09;;10;101,102,103;FALSE\n\
     4;7;9;100;10;1970-01-02;;3;106,107;FALSE\n\
     2;12;;61500;201;2016-05-09;71,8;;104,105,101;FALSE\n\
     3;12;;90000;201;2016-05-09;;10;101,102;FALSE\n\
     5;7;9;99999;10;1970-01-02;;3;101,102,101;FALSE\n\
     6;7;9;200000;10;1970-01-02;;3;101;TRUE\n\
     7;30;;0;1;2016-05-09;;1;101,102;FALSE\n\
     8;31;;0;5;2016-05-09;;1;999,103,998;FALSE\n\
     9;31;;7;5;2016-05-09;;1;101;FALSE\n",
    "1;500;102\n2;62000;104\n3;91000;101\n3;91000;101\n4;300;107\n5;100500;108\n7;9;101\n8;9;103\n9;10;101\n",
    "12;;99000;2016-05-09;1;104\n7;9;300000;1970-01-02;2;101\n12;;99000;2016-05-09;1;105\n31;;9;2016-05-09;3;102\n",
];

/// 80 sessions of two queries, whose clicks go round the items 101 to 110; every tenth also clicks
/// an item of its own.
fn fill() -> [String; 3] {
    let [mut queries, mut clicks] = [String::new(), String::new()];
    for session in 0..80 {
        for step in 0..3 {
            let query = 1000 + 3 * session + step;
            let item = if step == 2 { 5000 + session } else { 101 + (session + step) % 10 };
            if step == 2 && session % 10 != 0 {
                continue;
            }
            let list = "101,102,103,104,105,106,107,108,109,110";
            queries += &format!(
                "{query};{};;{step};1;2016-05-09;;1;{list},{item};FALSE\n",
                1000 + session
            );
            clicks += &format!("{query};{step};{item}\n");
        }
    }
    [queries, clicks, String::new()]
}

fn files(parts: &[[String; 3]]) -> [(&'static str, String); 3] {
    let part = |file: usize| parts.iter().map(|part| part[file].as_str()).collect::<String>();
    [
        ("train-queries.csv", format!("{QUERIES}{}", part(0))),
        ("train-clicks.csv", format!("{CLICKS}{}", part(1))),
        ("train-purchases.csv", format!("{PURCHASES}{}", part(2))),
    ]
}

fn all(seed: Option<u64>) -> (Dataset, Report) {
    let files = files(&[HAND_MADE.map(str::to_owned), fill()]);
    let files = files.each_ref().map(|(name, content)| (*name, content.as_str()));
    read_with(&files, Options { seed: seed.map(Seed::new), ..Options::default() }).unwrap()
}

#[test]
fn queries_clicks_and_purchases_are_joined() {
    let (dataset, report) = all(None);
    let steps = steps(&dataset);
    // In the order of the session numbers; the reward is for what was clicked and bought.
    assert_eq!(steps[0], [step("106 107", "107", 0.0), step("101 102 108", "108", 0.0)]);
    assert_eq!(steps[1], [step("101 102 103", "102", 0.0), step("104 105 101", "104", 1.0)]);
    assert_eq!(steps[2], [step("other 103", "103", 0.0), step("101", "101", 0.0)]);
    let times: Vec<i64> =
        dataset.log.session(0).steps().filter_map(|step| step.timestamp).collect();
    assert_eq!(times, [86_400, 86_400 + 99]);
    assert!(!dataset.log.has_users() && !dataset.log.has_propensities());

    let reading = &report.reading;
    assert_eq!(
        (report.summary.sessions, report.summary.steps, reading.rows),
        (83, 6 + 168, 9 + 168)
    );
    assert!(reading.dropped.is_empty());
    let table = report.to_string();
    for note in [
        "175 of 177 queries have exactly one click",
        "1 of these clicks are not on their list",
        "83 of 84 sessions have 2 to 40 such queries",
        "split                 76 / 2 / 5 sessions  (expected 65284 / 1718 / 1720 sessions)",
        "sessions              83  (expected 68722)",
        "mean session length   2.096  (expected 2.81)",
    ] {
        assert!(table.contains(note), "{note}: {table}");
    }
}

#[test]
fn items_not_clicked_in_training_are_one() {
    let (dataset, _) = all(None);
    let split = dataset.split.as_ref().unwrap();
    let steps = steps(&dataset);
    // Sessions 3 to 82 are those that fill; of them, every tenth ends with a click on an item of
    // its own.
    for session in (0..80).step_by(10) {
        let last = &steps[3 + session][2];
        assert_eq!(last.0.len(), 11);
        let own = split.train.contains(&(3 + session));
        let expected = if own { (5000 + session).to_string() } else { "other".to_owned() };
        assert_eq!(last.1.as_ref(), Some(&expected));
    }
    // Some seed puts more of them out of training, or fewer.
    assert!((0..9).any(|seed| all(Some(seed)).1.summary.items != all(None).1.summary.items));
}

#[test]
fn the_steps_of_a_session_are_in_the_order_of_their_times() {
    let [mut queries, mut clicks, _] = fill();
    for (query, time, item) in [(1, 70_000, 103), (2, 900, 101), (3, 300_000, 102)] {
        queries += &format!("{query};12;;{time};1;2016-05-09;;1;101,102,103;FALSE\n");
        clicks += &format!("{query};{time};{item}\n");
    }
    let (dataset, _) = read(&[
        ("train-queries.csv", &format!("{QUERIES}{queries}")),
        ("train-clicks.csv", &format!("{CLICKS}{clicks}")),
        ("train-purchases.csv", PURCHASES),
    ]);
    let session = (0..dataset.log.sessions()).find(|&s| dataset.session_name(s) == "12").unwrap();
    let chosen: Vec<_> = steps(&dataset)[session].iter().map(|(_, item, _)| item.clone()).collect();
    assert_eq!(chosen, ["101", "103", "102"].map(|item| Some(item.to_owned())));
}

#[test]
fn the_split_is_38_1_and_1_of_40_folds_by_seed() {
    let (dataset, report) = all(Some(3));
    assert_eq!(report.summary.split, Some([76, 2, 5]));
    let by_fold =
        |seed| Split::by_fold(dataset.log.sessions(), 40, 38, 1, Seed::new(seed)).unwrap();
    assert_eq!(dataset.split.as_ref(), Some(&by_fold(3)));
    assert_ne!(by_fold(3), by_fold(4));
    assert_eq!(all(None).0.split, Some(by_fold(1)));
    let refused = read_with(
        &[("test.ascii", "0 1 2\n")],
        Options { seed: Some(Seed::new(1)), ..Options::default() },
    );
    assert!(refused.unwrap_err().to_string().contains("leave out --seed"));
}

#[test]
fn sessions_are_2_to_40_steps_long() {
    let session = |number: usize, queries: std::ops::Range<usize>| {
        let rows = queries
            .clone()
            .map(|query| format!("{query};{number};;{query};1;2016-05-09;;1;5,6;FALSE\n"));
        [rows.collect(), queries.map(|query| format!("{query};1;5\n")).collect(), String::new()]
    };
    let files = files(&[session(1, 0..1), session(2, 1..3), session(3, 3..43), session(4, 43..84)]);
    let (dataset, _) = read(&files.each_ref().map(|(name, content)| (*name, content.as_str())));
    assert_eq!(dataset.log.iter().map(|session| session.len()).collect::<Vec<_>>(), [2, 40]);
}

#[test]
fn a_bad_row_names_file_line_field_and_finding() {
    let [queries, clicks, purchases] = HAND_MADE;
    let cases = [
        (
            ["x;1;;0;1;2016-05-09;;1;5;FALSE\n", "", ""],
            "train-queries.csv:11: queryId: expected a whole number, found \"x\"",
        ),
        (
            ["9;1;;0;1;2016-05-32;;1;5;FALSE\n", "", ""],
            "train-queries.csv:11: eventdate: expected a date such as 2016-05-09, found \"2016-05-32\"",
        ),
        (
            ["9;1;;0;1;2016-05-09;;1;5;FALSE\n", "", ""],
            "train-queries.csv:11: queryId: expected a query once, found 9",
        ),
        (
            ["10;1;;0;1;2016-05-09;;1;5,a;FALSE\n", "", ""],
            "train-queries.csv:11: items: expected an item, which is a whole number, found \"a\"",
        ),
        (
            ["10;1;;0;1;2016-05-09;;1;5\n", "", ""],
            "train-queries.csv:11: row: expected as many fields as columns, found 9 fields for 10",
        ),
        (
            ["", "9;1;\n", ""],
            "train-clicks.csv:11: itemId: expected an item, which is a whole number, found nothing",
        ),
        (
            ["", "", "a;;0;2016-05-09;1;5\n"],
            "train-purchases.csv:6: sessionId: expected a whole number, found \"a\"",
        ),
    ];
    for (bad, expected) in cases {
        let parts = [[queries, clicks, purchases].map(str::to_owned), bad.map(str::to_owned)];
        let files = files(&parts);
        let files = files.each_ref().map(|(name, content)| (*name, content.as_str()));
        let error = refused(&files);
        assert!(error.ends_with(expected), "{error}");
        let (_, report) = skipping(&files);
        assert_eq!((report.summary.sessions, report.reading.dropped.values().sum::<u64>()), (3, 1));
    }
}

#[test]
fn files_that_are_missing_or_of_another_kind_are_refused() {
    let files = files(&[HAND_MADE.map(str::to_owned)]);
    let [queries, clicks, purchases] =
        files.each_ref().map(|(name, content)| (*name, content.as_str()));
    assert!(refused(&[queries, purchases]).contains("train-clicks.csv"));
    assert!(refused(&[queries, clicks]).contains("train-purchases.csv"));
    let swapped = refused(&[queries, ("train-clicks.csv", purchases.1), purchases]);
    assert!(swapped.contains("train-clicks.csv: has no column \"queryId\""), "{swapped}");
    let options = Options { format: Some(Format::Cikm), ..Options::default() };
    let error =
        read_with(&[("train-clicks.csv", clicks.1), purchases], options).unwrap_err().to_string();
    assert!(error.contains("no column \"sessionId\""), "{error}");
}
