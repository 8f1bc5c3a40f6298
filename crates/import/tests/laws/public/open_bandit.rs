//! The Open Bandit Dataset: a row per item shown at a position.

use foretaste_import::{Options, import};

use super::{read, refused, skipping, step, steps};

/// The header of a campaign of so many items: the first column, of row numbers, has no name.
fn header(items: usize) -> String {
    let features: Vec<String> = (0..4).map(|at| format!("user_feature_{at}")).collect();
    let affinities: Vec<String> = (0..items).map(|at| format!("user-item_affinity_{at}")).collect();
    format!(
        ",timestamp,item_id,position,click,propensity_score,{},{}\n",
        features.join(","),
        affinities.join(",")
    )
}

fn row(number: u32, fields: &str) -> String {
    let features = "81ce123cbb5bd8ce818f60fb3586bba5,f1c2d6a32ec39249160cf784b63f4c6f";
    format!("{number},{fields},{features},{features},0.0,2.0,0.0\n")
}

fn log() -> String {
    let rows = [
        row(0, "2019-11-24 00:01:29.788335+00:00,2,1,0,0.3333333333333333"),
        row(1, "2019-11-24 00:01:43.188876+00:00,0,3,1,0.25"),
        row(2, "2019-11-24 00:01:44+00:00,2,3,0,1e-06"),
    ];
    header(3) + &rows.concat()
}

#[test]
fn a_row_is_a_session_with_one_item_its_propensity_and_its_position() {
    let (dataset, report) = read(&[("obd/random/men/men.csv", &log())]);
    assert_eq!(
        steps(&dataset),
        [[step("2", "", 0.0)], [step("0", "0", 1.0)], [step("2", "", 0.0)]]
    );
    let propensities: Vec<f32> =
        dataset.log.iter().filter_map(|session| session.step(0).propensity.map(|p| p[0])).collect();
    assert_eq!(propensities, [1.0 / 3.0, 0.25, 1e-6]);
    let positions: Vec<String> = dataset
        .log
        .iter()
        .filter_map(|session| session.user().map(|user| dataset.user_name(user)))
        .collect();
    assert_eq!(positions, ["position 1", "position 3", "position 3"]);
    // `date -u -d '2019-11-24 00:01:29' +%s`
    assert_eq!(dataset.log.session(0).start(), Some(1_574_553_689));
    let table = report.to_string();
    assert!(table.contains(
        "users of this log are positions on the page: position 1: 1, position 2: 0, position 3: 2"
    ));
    assert!(table.contains("steps                 3  (expected 10000)"), "{table}");
}

#[test]
fn what_is_known_of_users_is_context_and_features_of_items_lie_beside() {
    let items = ",item_id,item_feature_0,item_feature_1\n0,0,-0.5,a1\n1,1,0.25,b2\n2,2,2,a1\n";
    let files = [("men/men.csv", &*log()), ("men/item_context.csv", items)];
    let folder = crate::layouts::folder_of(&files.map(|(name, text)| (name, text.as_bytes())));
    for path in ["men", "men/men.csv"] {
        let (dataset, report) = import(&folder.path().join(path), Options::default()).unwrap();
        let names: Vec<&str> = dataset.contexts.iter().map(|context| &*context.name).collect();
        let features = ["81ce123cbb5bd8ce818f60fb3586bba5", "f1c2d6a32ec39249160cf784b63f4c6f"];
        let affinities = [0, 1, 2].map(|item| format!("user-item_affinity_{item}"));
        assert_eq!(names[..4], [0, 1, 2, 3].map(|at| format!("user_feature_{at}")));
        assert_eq!(names[4..], affinities);
        let known = |column: usize| dataset.contexts[column].values.iter().collect::<Vec<_>>();
        assert_eq!([known(0), known(3)], [[features[0]], [features[1]]]);
        assert_eq!([known(4), known(5), known(6)], [["0.0"], ["2.0"], ["0.0"]]);
        assert_eq!([3, 5].map(|column| dataset.log.steps_with_context(column)), [3, 3]);
        // Items 2 and 0: feature 0, whether feature 1 is a1.
        let expected = [2.0, 1.0, -0.5, 1.0];
        let (values, dim) = dataset.catalogue.features().unwrap();
        assert_eq!((dim, [values[0], values[1], values[3], values[4]]), (3, expected));
        assert!(report.reading.ignored_columns.is_empty());
    }
}

#[test]
fn affinities_are_numbers_or_not_known() {
    let (dataset, _) = read(&[("men.csv", &log().replacen("0.0,2.0,0.0", "0.0,,1", 1))]);
    let shown = crate::context::shown(&dataset);
    assert!(shown[0].ends_with(" user-item_affinity_0=0.0 user-item_affinity_2=1"), "{shown:?}");
    assert!(shown[1].ends_with(" user-item_affinity_1=2.0 user-item_affinity_2=0.0"), "{shown:?}");
    let error = refused(&[("men.csv", &log().replacen("2.0", "much", 1))]);
    let expected = "men.csv:2: user-item_affinity: expected a number, found \"much\"";
    assert!(error.ends_with(expected), "{error}");
    // A table does not show the columns of all items.
    let nine =
        row(0, "2019-11-24 00:01:29+00:00,2,1,0,0.1").replace("0.0,2.0,0.0", &["0.0"; 9].join(","));
    let (dataset, report) = read(&[("men.csv", &(header(9) + &nine))]);
    assert_eq!(dataset.contexts.len(), 13);
    let table = report.to_string();
    assert!(table.contains("user-item_affinity_7: 1 value"), "{table}");
    assert!(table.contains("and 1 more") && !table.contains("affinity_8"), "{table}");
}

#[test]
fn a_bad_row_names_file_line_field_and_finding() {
    let cases = [
        (
            "2019-11-24,2,1,0,0.3",
            "men.csv:5: timestamp: expected a time such as 2019-11-24 00:01:03.979311+00:00, found \"2019-11-24\"",
        ),
        ("2019-11-24 00:01:44+00:00,,1,0,0.3", "men.csv:5: item_id: expected an id, found nothing"),
        (
            "2019-11-24 00:01:44+00:00,7,4,0,0.3",
            "men.csv:5: position: expected 1, 2 or 3, found \"4\"",
        ),
        ("2019-11-24 00:01:44+00:00,7,1,2,0.3", "men.csv:5: click: expected 0 or 1, found \"2\""),
        (
            "2019-11-24 00:01:44+00:00,7,1,0,often",
            "men.csv:5: propensity_score: expected a number, found \"often\"",
        ),
        (
            "2019-11-24 00:01:44+00:00,7,1,0,0",
            "men.csv:5: propensity: expected a probability above 0 and at most 1, found 0",
        ),
        (
            "2019-11-24 00:01:44+00:00,7,1,0",
            "men.csv:5: row: expected as many fields as columns, found 12 fields for 13",
        ),
    ];
    for (bad, expected) in cases {
        let content = log() + &row(3, bad) + &row(4, "2019-11-24 00:01:50+00:00,1,2,0,0.3");
        let error = refused(&[("men.csv", &content)]);
        assert!(error.ends_with(expected), "{error}");
        let (_, report) = skipping(&[("men.csv", &content)]);
        assert_eq!(
            (report.summary.sessions, report.summary.items, report.summary.users),
            (4, 3, Some(3))
        );
        assert_eq!(report.reading.dropped.values().sum::<u64>(), 1);
    }
}
