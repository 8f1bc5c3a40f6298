//! Coat: matrices of ratings, of propensities and of item features.

use foretaste_import::Options;

use super::{read, read_with, refused, skipping, step, steps};

const RATINGS: &str = "0 3 0 1\r\n0 0 0 0\r\n5 0 0 2\r\n";
const PROPENSITIES: &str =
    "5.0e-02 2.5e-01 1.0e-02 1.250000000000000000e-01\n0.1 0.1 0.1 0.1\n1.0 0.5 0.5 0.0625\n";

#[test]
fn a_rating_of_the_users_choice_has_its_own_propensity() {
    let (dataset, report) = read(&[("train.ascii", RATINGS), ("propensities.ascii", PROPENSITIES)]);
    let expected = [("1", 3.0), ("3", 1.0), ("0", 5.0), ("3", 2.0)]
        .map(|(item, rating)| [step(item, item, rating)]);
    assert_eq!(steps(&dataset), expected);
    let propensity = |session: usize| dataset.log.session(session).step(0).propensity.map(|p| p[0]);
    assert_eq!([0, 1, 2, 3].map(propensity), [Some(0.25), Some(0.125), Some(1.0), Some(0.0625)]);
    let users: Vec<String> = dataset
        .log
        .iter()
        .filter_map(|session| session.user().map(|user| dataset.user_name(user)))
        .collect();
    assert_eq!(users, ["0", "0", "2", "2"]);
    assert_eq!((report.reading.rows, dataset.catalogue.features()), (3, None));
}

#[test]
fn a_rating_at_random_has_the_share_that_was_drawn() {
    let (dataset, _) = read(&[("test.ascii", RATINGS)]);
    assert!(dataset.log.iter().all(|session| session.step(0).propensity == Some(&[0.5])));
    assert_eq!(dataset.log.steps(), 4);
}

#[test]
fn items_have_their_features_where_they_lie_beside() {
    let features = "1 0 0\n0 1 0\n1 1 1\n0 0 1\n";
    let (dataset, _) = read(&[("test.ascii", RATINGS), ("features/item_features.ascii", features)]);
    // Items are numbered as they appear: 1, 3, 0; no one rated item 2.
    let expected: &[f32] = &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    assert_eq!(dataset.catalogue.features(), Some((expected, 3)));
    let bad =
        refused(&[("test.ascii", RATINGS), ("features/item_features.ascii", "1 0 0\n0 2 0\n")]);
    assert!(bad.ends_with("item_features.ascii:2: feature: expected 0 or 1, found 2"), "{bad}");
    let few =
        refused(&[("test.ascii", RATINGS), ("features/item_features.ascii", "1 0 0\n0 1 0\n")]);
    assert!(few.ends_with("item_features.ascii: has 2 rows and none of item 3"), "{few}");
}

#[test]
fn a_bad_row_names_file_line_field_and_finding() {
    let row = "0.1 0.1 0.1 0.1\n";
    let cases = [
        (
            "0 0 0 6\n",
            row,
            "train.ascii:4: rating: expected a whole number from 0 to 5, where 0 means no rating, found 6",
        ),
        (
            "0 0 x 0\n",
            row,
            "train.ascii:4: rating: expected a whole number from 0 to 5, where 0 means no rating, found \"x\"",
        ),
        (
            "0 0 2.5 0\n",
            row,
            "train.ascii:4: rating: expected a whole number from 0 to 5, where 0 means no rating, found 2.5",
        ),
        (
            "0 0 1\n",
            row,
            "train.ascii:4: row: expected as many fields as columns, found 3 fields for 4",
        ),
        (
            "0 0 1 0\n",
            "0.1 0.1 0 0.1\n",
            "propensities.ascii:4: propensity: expected a probability above 0 and at most 1, found 0",
        ),
        (
            "0 0 1 0\n",
            "0.1\n",
            "propensities.ascii:4: row: expected as many fields as columns, found 1 fields for 4",
        ),
    ];
    for (rating, propensity, expected) in cases {
        let (ratings, propensities) =
            (format!("{RATINGS}{rating}"), format!("{PROPENSITIES}{propensity}"));
        let files =
            [("train.ascii", ratings.as_str()), ("propensities.ascii", propensities.as_str())];
        let error = refused(&files);
        assert!(error.ends_with(expected), "{error}");
        let (_, report) = skipping(&files);
        assert_eq!((report.summary.steps, report.reading.dropped.values().sum::<u64>()), (4, 1));
    }
}

#[test]
fn a_train_file_needs_as_many_propensities() {
    let error = read_with(&[("train.ascii", RATINGS)], Options::default()).unwrap_err().to_string();
    assert!(error.contains("propensities.ascii"), "{error}");
    for propensities in ["0.1 0.1 0.1 0.1\n", &format!("{PROPENSITIES}0.1 0.1 0.1 0.1\n")] {
        let error = refused(&[("train.ascii", RATINGS), ("propensities.ascii", propensities)]);
        assert!(error.contains("propensities.ascii: has not as many rows as"), "{error}");
    }
    let error = refused(&[("train.ascii", RATINGS), ("propensities.ascii", "1 1\n1 1\n1 1\n")]);
    assert!(error.contains("propensities.ascii:1: row"), "{error}");
}
