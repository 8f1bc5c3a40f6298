//! trivago 2019: actions as CSV and as Parquet.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use foretaste_data::Dataset;
use foretaste_import::{Report, import};
use parquet::arrow::ArrowWriter;

use super::{read, refused, skipping, step, steps};

const HEADER: &str = "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters,impressions,prices\n";
/// Two users have a session of the same id; the second click-out of the first is on no item of its
/// list, and the item of the last is withheld.
const ROWS: &str = "00RL8Z82B2Z1,aff3928535f48,1541037460,1,search for poi,Newtown,AU,\"Sydney, Australia\",mobile,,,\n\
    00RL8Z82B2Z1,aff3928535f48,1541037522,2,interaction item image,666856,AU,\"Sydney, Australia\",mobile,,,\n\
    00RL8Z82B2Z1,aff3928535f48,1541037532,3,clickout item,109038,AU,\"Sydney, Australia\",mobile,Focus on Distance|Best Value,3400638|109038|666856,95|66|501\n\
    00RL8Z82B2Z1,aff3928535f48,1541037543,4,clickout item,7,AU,\"Sydney, Australia\",mobile,,3400638|109038,95|66\n\
    00RL8Z82B2Z1,aff3928535f48,1541037643,5,clickout item,3400638,AU,\"Sydney, Australia\",mobile,,3400638|8,95|66\n\
    01UXZ5K5RZ5Q,aff3928535f48,1541037700,1,clickout item,8,DE,\"Berlin, Germany\",desktop,,8,95\n\
    01UXZ5K5RZ5Q,bff3928535f48,1541037800,1,filter selection,Resort,DE,\"Berlin, Germany\",desktop,Resort,,\n\
    02SRUT1NQYH2,cff3928535f48,1541037900,1,clickout item,,DE,\"Berlin, Germany\",desktop,,8|9,95|4\n";

fn check(dataset: &Dataset, report: &Report) {
    let first =
        vec![step("3400638 109038 666856", "109038", 1.0), step("3400638 8", "3400638", 1.0)];
    assert_eq!(steps(dataset), [first, vec![step("8", "8", 1.0)]]);
    assert_eq!(dataset.users.iter().collect::<Vec<_>>(), ["00RL8Z82B2Z1", "01UXZ5K5RZ5Q"]);
    let times: Vec<_> = dataset.log.session(0).steps().map(|step| step.timestamp).collect();
    assert_eq!(times, [Some(1_541_037_532), Some(1_541_037_643)]);
    // Items of a click-out that is left out are not in the catalogue.
    assert_eq!((report.summary.items, dataset.catalogue.item("9")), (4, None));
    let reading = &report.reading;
    let dropped: Vec<(&str, u64)> =
        reading.dropped.iter().map(|(why, &count)| (why.as_str(), count)).collect();
    let expected = [
        ("reference: expected an item of the impressions", 1),
        ("reference: expected the item clicked, which a test file withholds", 1),
    ];
    assert_eq!((dropped, reading.rows, reading.empty_sessions), (expected.to_vec(), 8, 2));
    assert!(reading.notes.contains(&"3 rows are of other actions than click-outs".to_owned()));
}

#[test]
fn click_outs_are_steps_in_csv() {
    let (dataset, report) = read(&[("train.csv", &format!("{HEADER}{ROWS}"))]);
    check(&dataset, &report);
    assert!(report.to_string().contains("rows read             8  (expected 15932992)"));
}

/// The same rows as Parquet, as pandas writes them: what is empty is null.
fn parquet() -> Vec<u8> {
    let text = format!("{HEADER}{ROWS}");
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = rows.headers().unwrap().iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let column = |at: usize| -> ArrayRef {
        let fields = records.iter().map(|record| record.get(at).filter(|field| !field.is_empty()));
        match names[at].as_str() {
            "timestamp" | "step" => Arc::new(
                fields
                    .map(|field| field.map(|field| field.parse().unwrap()))
                    .collect::<Int64Array>(),
            ),
            _ => Arc::new(fields.collect::<StringArray>()),
        }
    };
    let columns = names.iter().enumerate().map(|(at, name)| (name, column(at), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn click_outs_are_steps_in_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    std::fs::write(&path, parquet()).unwrap();
    let (dataset, report) = import(&path, foretaste_import::Options::default()).unwrap();
    check(&dataset, &report);
}

#[test]
fn a_bad_row_names_file_line_field_and_finding() {
    let row = |user: &str, session: &str, time: &str, number: &str, impressions: &str| {
        format!(
            "{user},{session},{time},{number},clickout item,8,DE,\"Berlin, Germany\",desktop,,{impressions},9\n"
        )
    };
    let cases = [
        (
            row("u", "s", "noon", "1", "8|9"),
            "train.csv:10: timestamp: expected a whole number, found \"noon\"",
        ),
        (
            row("u", "s", "1", "one", "8|9"),
            "train.csv:10: step: expected a whole number, found \"one\"",
        ),
        (row("", "s", "1", "1", "8|9"), "train.csv:10: user_id: expected an id, found nothing"),
        (row("u", "", "1", "1", "8|9"), "train.csv:10: session_id: expected an id, found nothing"),
        (
            row("u", "s", "1", "1", ""),
            "train.csv:10: impressions: expected the items shown, separated by |, found nothing",
        ),
        (
            row("u", "s", "1", "1", "8||9"),
            "train.csv:10: impressions: expected ids that are not empty, found \"8||9\"",
        ),
        (
            row("u", "s", "1", "1", "8|9|8"),
            "train.csv:10: shown: expected every item once, found \"8\" twice",
        ),
        (
            row("00RL8Z82B2Z1", "aff3928535f48", "1", "9", "8|9"),
            "train.csv:10: session: expected all rows of a session together, found \"00RL8Z82B2Z1 aff3928535f48\"",
        ),
        (
            "u,s\n".to_owned(),
            "train.csv:10: row: expected as many fields as columns, found 2 fields for 12",
        ),
    ];
    for (bad, expected) in cases {
        let content = format!("{HEADER}{ROWS}{bad}");
        let error = refused(&[("train.csv", &content)]);
        assert!(error.ends_with(expected), "{error}");
        let (_, report) = skipping(&[("train.csv", &content)]);
        assert_eq!(
            (
                report.summary.steps,
                report.summary.items,
                report.reading.dropped.values().sum::<u64>()
            ),
            (3, 4, 3)
        );
    }
    let missing = refused(&[("train.csv", "action_type,impressions\nclickout item,8\n")]);
    assert!(missing.contains("no column \"user_id\""), "{missing}");
}
