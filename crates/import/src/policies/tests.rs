//! Files of policies and reward models: every kind is recognized by its columns, and a bad row is
//! named with what was expected.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use super::*;

fn read(text: &str) -> Result<PolicyFile> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.csv");
    std::fs::write(&path, text).unwrap();
    PolicyFile::read(&path)
}

fn refused(text: &str) -> String {
    let message = read(text).unwrap_err().to_string();
    message.split_once("policy.csv").unwrap().1.to_owned()
}

#[test]
fn every_kind_is_known_by_its_columns_in_any_order_among_others() {
    let PolicyRows::Logged(rows) = read("step,policy,session,x\n3,0.5 1,a b,\n").unwrap().rows
    else {
        panic!("another kind")
    };
    let expected = OfSlate { line: 2, session: "a b".into(), step: 3, places: vec![0.5, 1.0] };
    assert_eq!(rows, [expected]);
    let PolicyRows::Slates(rows) = read("session,step,slate\n7.0,0,9 4\n").unwrap().rows else {
        panic!("another kind")
    };
    assert_eq!(
        (rows[0].session.as_str(), &rows[0].places[..]),
        ("7", &["9".into(), "4".into()][..])
    );
    let table = "place,before,item,prob\n0,,a,0.1\n0,,b,.9\n1,a,b,1\n1,b,a,1e0\n";
    let PolicyRows::Table(rows) = read(table).unwrap().rows else { panic!("another kind") };
    assert_eq!((rows.len(), rows[3].line, &rows[3].before[..]), (4, 5, &["b".to_owned()][..]));
    let marginals = "place;item;policy;logging\n0;a;0.25;0.5\n0;b;0.75;0.5\n";
    let PolicyRows::Marginals(rows) = read(marginals).unwrap().rows else { panic!("another kind") };
    assert_eq!((rows[1].policy, rows[1].logging), (0.75, 0.5));
}

#[test]
fn a_bad_row_is_named_with_what_was_expected() {
    for (text, message) in [
        (
            "a,b\n1,2\n",
            ": its columns are a,b, expected those of a policy: session,step,policy; or",
        ),
        ("session,step,policy\n", ": has no rows"),
        (
            "session,step,policy\na,0,0.5\nb,0,1.5\n",
            ":3: policy: expected a probability in [0, 1], found \"1.5\"",
        ),
        (
            "session,step,policy\na,0,nan\n",
            ":2: policy: expected a probability in [0, 1], found \"nan\"",
        ),
        ("session,step,policy\na,0,-0.1\n", ":2: policy: expected a probability"),
        ("session,step,policy\na,x,0.1\n", ":2: step: expected a whole number, found \"x\""),
        (
            "session,step,policy\na,0,0.1\na,0,0.1\n",
            ":3: step: expected a step of a session once, found step 0 of session \"a\" a second time",
        ),
        (
            "session,step,slate\na,0,x y x\n",
            ":2: slate: expected every item once, found \"x\" twice",
        ),
        ("session,step,slate\n,0,x\n", ":2: session: expected an id, found nothing"),
        (
            "place,before,item,prob\n0,,a,0.5\n0,,b,0.4\n",
            ":2: prob: expected probabilities that add up to 1 after the same items, found a sum of 0.9 at the first place",
        ),
        (
            "place,before,item,prob\n0,,a,1\n1,a,b,0.7\n",
            ":3: prob: expected probabilities that add up to 1 after the same items, found a sum of 0.7 after \"a\"",
        ),
        (
            "place,before,item,prob\n1,,a,1\n",
            ":2: before: expected as many items as there are places before, found 0 of them at place 1",
        ),
        (
            "place,before,item,prob\n1,a,a,1\n",
            ":2: item: expected an item that is not at an earlier place, found \"a\"",
        ),
        (
            "place,before,item,prob\n0,,a,0.5\n0,,a,0.5\n",
            ":3: item: expected an item once after the same items, found \"a\" a second time",
        ),
        (
            "place,before,item,prob\n-1,,a,1\n",
            ":2: place: expected a place, counted from 0, found -1",
        ),
        (
            "place,item,policy,logging\n0,a,1,0.5\n",
            ":2: logging: expected probabilities that add up to 1 at a place, found a sum of 0.5 at place 0",
        ),
        (
            "place,item,policy,logging\n0,a,1,1\n1,a,1,1\n",
            ":2: policy: expected an item at no more than one place of a slate, found a sum of 2 for item \"a\" over all places",
        ),
        ("place,item,policy,logging\n1,a,1,1\n", ": has rows of later places and none of 0"),
        (
            "place,item,policy,logging\n0,a,1\n",
            ":2: row: expected as many fields as columns, found 3 fields for 4",
        ),
    ] {
        let found = refused(text);
        assert!(found.starts_with(message), "{text:?}: {found}");
    }
}

#[test]
fn a_reward_model_is_finite_and_has_an_item_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.csv");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        ExpectedReward::read(&path)
    };
    let rows = read("item,expected_reward\nx,0.3\ny,-2\n").unwrap();
    assert_eq!((rows[1].line, rows[1].item.as_str(), rows[1].reward), (3, "y", -2.0));
    for text in ["x,0.3\nx,0.4\n", "x,inf\n", "x,\n", ""] {
        assert!(read(&format!("item,expected_reward\n{text}")).is_err(), "{text}");
    }
    assert!(read("item,reward\nx,1\n").is_err());
}

fn parquet(path: &Path, policy: [&[Option<f64>]; 2]) {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for list in policy {
        lists.append_value(list.iter().copied());
    }
    let columns: [(&str, ArrayRef); 3] = [
        ("session", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("step", Arc::new(Int64Array::from(vec![0, 0]))),
        ("policy", Arc::new(lists.finish())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_is_read_to_the_last_bit_and_its_nulls_and_nans_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.parquet");
    let exact = 1.0 / 3.0;
    parquet(&path, [&[Some(exact), Some(1.0)], &[Some(0.0)]]);
    let PolicyRows::Logged(rows) = PolicyFile::read(&path).unwrap().rows else {
        panic!("another kind")
    };
    assert_eq!((rows[0].places[0].to_bits(), rows[1].line), (exact.to_bits(), 2));
    for bad in [None, Some(f64::NAN), Some(1.01)] {
        parquet(&path, [&[Some(0.5)], &[bad]]);
        let message = PolicyFile::read(&path).unwrap_err().to_string();
        assert!(message.contains("policy.parquet:2: policy: expected"), "{message}");
    }
}
