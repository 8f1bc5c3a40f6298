//! Columns and files that other programs write as Parquet.

use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use arrow_array::builder::{
    Float32Builder, ListBuilder, StringBuilder, StringDictionaryBuilder, StructBuilder,
};
use arrow_array::types::{Float16Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int64Array, NullArray, PrimitiveArray, RecordBatch, StringArray,
    TimestampMillisecondArray, TimestampNanosecondArray, UInt16Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use foretaste_data::{Dataset, TimeUnit};
use foretaste_import::{Format, Options, Result, export, import};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

fn slates() -> ArrayRef {
    let mut slates = ListBuilder::new(StringBuilder::new());
    slates.append_value([Some("1"), Some("2")]);
    slates.append_value([Some("1"), Some("3")]);
    Arc::new(slates.finish())
}

/// A good file of two steps, with some of its columns replaced and others added.
fn file(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    file_with(columns, Compression::UNCOMPRESSED)
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn file_with(columns: &[(&str, ArrayRef)], codec: Compression) -> Vec<u8> {
    let good: [(&str, ArrayRef); 5] = [
        ("session", Arc::new(StringArray::from(vec!["a", "a"]))),
        ("step", Arc::new(Int64Array::from(vec![0, 1]))),
        ("shown", slates()),
        ("chosen", Arc::new(StringArray::from(vec![Some("1"), None]))),
        ("reward", Arc::new(Float32Array::from(vec![1.0, 0.0]))),
    ];
    let kept = good.iter().filter(|(name, _)| columns.iter().all(|(other, _)| other != name));
    file_of(&kept.chain(columns).cloned().collect::<Vec<_>>(), codec)
}

fn file_of(columns: &[(&str, ArrayRef)], codec: Compression) -> Vec<u8> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(
        schema.clone(),
        columns.iter().map(|(_, column)| column.clone()).collect(),
    );
    let properties = WriterProperties::builder().set_compression(codec).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    writer.write(&batch.unwrap()).unwrap();
    writer.into_inner().unwrap()
}

fn read(bytes: &[u8]) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.parquet");
    std::fs::write(&path, bytes).unwrap();
    import(&path, Options::default()).map(|(dataset, _)| dataset)
}

#[test]
fn numbers_may_have_any_width() {
    let good = read(&file(&[])).unwrap().log;
    type Half = <Float16Type as ArrowPrimitiveType>::Native;
    let half = PrimitiveArray::<Float16Type>::from_iter_values([Half::ONE, Half::ZERO]);
    let cases: [(&str, ArrayRef); 4] = [
        ("reward", Arc::new(UInt16Array::from(vec![1, 0]))),
        ("reward", Arc::new(UInt64Array::from(vec![1, 0]))),
        ("reward", Arc::new(half)),
        ("step", Arc::new(UInt64Array::from(vec![0, 1]))),
    ];
    for case in cases {
        assert_eq!(read(&file(&[case])).unwrap().log, good);
    }
    let error =
        read(&file(&[("step", Arc::new(UInt64Array::from(vec![0, u64::MAX])))])).unwrap_err();
    assert!(error.to_string().contains("whole numbers below 2^63"), "{error}");
}

#[test]
fn pandas_and_spark_write_the_same_numbers_in_other_types() {
    let good = read(&file(&[])).unwrap().log;
    let decimal = Decimal128Array::from(vec![100_i128, 0]).with_precision_and_scale(10, 2).unwrap();
    let ids: [&[u8]; 2] = [b"a", b"a"];
    let cases: [(&str, ArrayRef); 7] = [
        ("reward", Arc::new(decimal)),
        ("step", Arc::new(Float64Array::from(vec![0.0, 1.0]))),
        ("chosen", Arc::new(Float64Array::from(vec![Some(1.0), None]))),
        ("chosen", Arc::new(Float64Array::from(vec![1.0, f64::NAN]))),
        ("session", Arc::new(BinaryArray::from(ids.to_vec()))),
        ("__index_level_0__", Arc::new(Int64Array::from(vec![7, 9]))),
        ("left", Arc::new(Int64Array::from(vec![0, 1]))),
    ];
    for case in cases {
        let name = case.0;
        assert_eq!(read(&file(&[case])).unwrap().log, good, "{name}");
    }
    let halves = ("step", Arc::new(Float64Array::from(vec![0.0, 0.5])) as ArrayRef);
    let error = read(&file(&[halves])).unwrap_err().to_string();
    assert!(error.contains("column \"step\" has type Float64, expected whole numbers"), "{error}");
}

#[test]
fn several_clicks_are_a_list_and_structs_hold_an_item() {
    let mut chosen = ListBuilder::new(StringBuilder::new());
    chosen.append_value([Some("2"), Some("1")]);
    chosen.append(false);
    let dataset = read(&file(&[("chosen", Arc::new(chosen.finish()))])).unwrap();
    assert_eq!(dataset.log.session(0).extras(0).clicks.len(), 2);
    assert_eq!(dataset.catalogue.raw(dataset.log.session(0).clicks().next().unwrap()), "2");

    let fields = [("item_id", DataType::Utf8), ("score", DataType::Float32)];
    let fields = fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec();
    let mut shown = ListBuilder::new(StructBuilder::from_fields(fields, 4));
    for slate in [["1", "2"], ["1", "3"]] {
        for item in slate {
            let row = shown.values();
            row.field_builder::<StringBuilder>(0).unwrap().append_value(item);
            row.field_builder::<Float32Builder>(1).unwrap().append_value(0.5);
            row.append(true);
        }
        shown.append(true);
    }
    let shown = shown.finish();
    let dataset = read(&file(&[("shown", Arc::new(shown))])).unwrap();
    assert_eq!(dataset.log, read(&file(&[])).unwrap().log);
}

#[test]
fn a_wall_time_is_the_same_in_every_unit_and_its_unit_survives() {
    const SECONDS: i64 = 1_710_034_200;
    let cases: [(ArrayRef, TimeUnit, i64); 5] = [
        (
            Arc::new(TimestampNanosecondArray::from(vec![SECONDS * 1_000_000_000; 2])),
            TimeUnit::Nanoseconds,
            1_000_000_000,
        ),
        (
            Arc::new(TimestampMillisecondArray::from(vec![SECONDS * 1000; 2]).with_timezone("UTC")),
            TimeUnit::Milliseconds,
            1000,
        ),
        (Arc::new(Int64Array::from(vec![SECONDS; 2])), TimeUnit::Seconds, 1),
        (Arc::new(Float64Array::from(vec![SECONDS as f64 + 0.5; 2])), TimeUnit::Milliseconds, 1000),
        (
            Arc::new(StringArray::from(vec!["2024-03-10T01:30:00Z"; 2])),
            TimeUnit::Milliseconds,
            1000,
        ),
    ];
    for (column, unit, per_second) in cases {
        let dataset = read(&file(&[("timestamp", column)])).unwrap();
        assert_eq!(dataset.log.facts().time_unit, Some(unit));
        let time = dataset.log.session(0).start().unwrap();
        assert_eq!(time.div_euclid(per_second), SECONDS, "{unit}");
        let shown = foretaste_import::time_text(time, Some(unit));
        assert!(shown.starts_with("2024-03-10T01:30:00"), "{shown}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("back.parquet");
        export(&dataset, Format::Parquet, &path).unwrap();
        assert_eq!(import(&path, Options::default()).unwrap().0.log, dataset.log, "{unit}");
    }
    let day = ("timestamp", Arc::new(Date32Array::from(vec![19_792; 2])) as ArrayRef);
    let dataset = read(&file(&[day])).unwrap();
    let start = dataset.log.session(0).start().unwrap();
    let unit = dataset.log.facts().time_unit;
    assert_eq!(foretaste_import::time_text(start, unit), "2024-03-10T00:00:00Z");
}

#[test]
fn a_folder_as_spark_writes_it_is_read_whatever_the_codec() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("_SUCCESS"), "").unwrap();
    let session =
        |id: &'static str| ("session", Arc::new(StringArray::from(vec![id, id])) as ArrayRef);
    for (part, codec) in [
        ("a", Compression::SNAPPY),
        ("b", Compression::BROTLI(Default::default())),
        ("c", Compression::ZSTD(Default::default())),
    ] {
        let path = folder.path().join(format!("part-0000{part}.parquet"));
        std::fs::write(path, file_with(&[session(part)], codec)).unwrap();
    }
    let (dataset, report) = import(folder.path(), Options::default()).unwrap();
    assert_eq!((dataset.log.sessions(), report.reading.rows), (3, 6));
    assert_eq!(dataset.session_name(1), "b");
}

#[test]
fn columns_of_nulls_are_as_absent() {
    let good = read(&file(&[])).unwrap().log;
    let nulls = |name| (name, Arc::new(NullArray::new(2)) as ArrayRef);
    assert_eq!(
        read(&file(&["propensity", "user", "timestamp", "left"].map(nulls))).unwrap().log,
        good
    );
}

#[test]
fn a_dictionary_may_be_empty() {
    let mut chosen = StringDictionaryBuilder::<Int32Type>::new();
    chosen.append_nulls(2);
    let dataset = read(&file(&[("chosen", Arc::new(chosen.finish()))])).unwrap();
    assert_eq!(dataset.log.session(0).clicks().count(), 0);
    let mut shown = ListBuilder::new(StringDictionaryBuilder::<Int32Type>::new());
    shown.append(true);
    shown.append(true);
    let error = read(&file(&[("shown", Arc::new(shown.finish()))])).unwrap_err();
    assert!(error.to_string().contains("an empty slate"), "{error}");
}

#[test]
fn a_column_that_stands_twice_is_refused() {
    let reward = || ("reward", Arc::new(Float32Array::from(vec![1.0, 0.0])) as ArrayRef);
    let error = read(&file(&[reward(), reward()])).unwrap_err();
    assert!(error.to_string().contains("column \"reward\" twice"), "{error}");
}

#[test]
fn a_damaged_file_is_an_error_or_another_log_and_never_a_panic() {
    let whole = file(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.parquet");
    std::fs::write(&path, &whole).unwrap();
    // A byte is changed in place: thousands of new files would take many times as long.
    let mut open = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut put = |at: usize, byte: u8| {
        open.seek(SeekFrom::Start(at as u64)).and_then(|_| open.write_all(&[byte])).unwrap();
    };
    for (at, &byte) in whole.iter().enumerate() {
        for flip in [0x01, 0x80, 0xff] {
            put(at, byte ^ flip);
            let _ = import(&path, Options::default());
        }
        put(at, byte);
    }
}

/// Four rows of two sessions: slates and choices in columns that are called so.
fn shop(shown: (&str, ArrayRef), chosen: (&str, ArrayRef)) -> Vec<u8> {
    let times = TimestampMillisecondArray::from(vec![1_710_034_200_000_i64; 4]);
    let columns: [(&str, ArrayRef); 5] = [
        ("visit", Arc::new(Int64Array::from(vec![7, 7, 8, 8]))),
        ("created_at", Arc::new(times)),
        shown,
        chosen,
        ("weight", Arc::new(Float64Array::from(vec![0.5, 1.5, 0.25, 2.0]))),
    ];
    file_of(&columns, Compression::UNCOMPRESSED)
}

#[test]
fn slates_are_guessed_from_lists_and_from_texts() {
    let lists = [["a", "b", "c d"].as_slice(), &["c d", "e"], &["b", "e"], &["a", "c d", "e"]];
    let expected = ["7: a b c d>b=1, c d e>!=0", "8: b e>e=1, a c d e>a=1"];
    let mut of_lists = ListBuilder::new(StringBuilder::new());
    lists.iter().for_each(|list| of_lists.append_value(list.iter().map(Some)));
    let of_lists: ArrayRef = Arc::new(of_lists.finish());
    let joined = |separator: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(lists.iter().map(|list| list.join(separator))))
    };
    let json: ArrayRef =
        Arc::new(StringArray::from_iter_values(lists.iter().map(|list| format!("{list:?}"))));
    let mut coded = StringDictionaryBuilder::<Int32Type>::new();
    lists.iter().for_each(|list| coded.append_value(list.join(";")));
    let coded: ArrayRef = Arc::new(coded.finish());
    let chosen: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("e"), Some("a")]));
    let mut several = ListBuilder::new(StringBuilder::new());
    [&["b"][..], &[], &["e"], &["a"]].iter().for_each(|list| {
        several.append_value(list.iter().map(Some));
    });
    let several: ArrayRef = Arc::new(several.finish());
    // Without a usual name of either, what was chosen is found on the lists.
    for names in [("vitrine", "picked"), ("vitrine", "clicked_item"), ("recs", "picked")] {
        for shown in [&of_lists, &joined("|"), &joined(", "), &json, &coded] {
            for chosen in [&chosen, &several] {
                let bytes = shop((names.0, shown.clone()), (names.1, chosen.clone()));
                let (text, dataset) = crate::layouts::guessed("shop.parquet", &bytes);
                assert_eq!(crate::layouts::shown(&dataset), expected, "{text}");
                assert!(text.contains("session = \"visit\" # 7 · 7 · 8"), "{text}");
                let time = "timestamp = \"created_at\" # 1710034200000 ·";
                assert!(text.contains(time), "{text}");
            }
        }
    }
    // Numbers are ids, too, and what no column of the schema can hold is not read.
    let mut nested = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    (0..4).for_each(|_| nested.append(true));
    let ids = texts(&["5 9 0 0", "5 8 0 0", "9 8 0 0", "8 5 0 0"]);
    let chosen: ArrayRef = Arc::new(Int64Array::from(vec![-1, 8, 9, -1]));
    let columns = [
        ("sess", texts(&["a", "a", "b", "b"])),
        ("put", ids),
        ("got", chosen),
        ("tree", Arc::new(nested.finish()) as ArrayRef),
    ];
    let bytes = file_of(&columns, Compression::UNCOMPRESSED);
    let (text, dataset) = crate::layouts::guessed("shop.parquet", &bytes);
    let expected = ["a: 5 9>-=0, 5 8>8=1", "b: 9 8>9=1, 8 5>!=0"];
    assert_eq!(crate::layouts::shown(&dataset), expected, "{text}");
    assert!(text.contains("# not read: \"tree\""), "{text}");
}

/// Clicks are rare: the rows that are looked at may have none.
#[test]
fn a_column_of_choices_is_guessed_by_its_name_where_it_is_empty() {
    let shown = texts(&["a;b", "b;c", "a;c", "a;b"]);
    let none: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 4]));
    let bytes = shop(("shown", shown), ("clicked_item", none));
    let (text, dataset) = crate::layouts::guessed("shop.parquet", &bytes);
    assert!(text.contains("chosen = \"clicked_item\""), "{text}");
    assert_eq!(dataset.log.steps(), 4);
}

#[test]
fn slates_and_candidates_may_be_texts_as_in_delimited_text() {
    let good = read(&file(&[])).unwrap().log;
    for shown in [["1 2", "1 3"], ["[1, 2]", "['1', '3']"]] {
        assert_eq!(read(&file(&[("shown", texts(&shown))])).unwrap().log, good);
    }
    let candidates = ("candidates", texts(&["1 2 3", "[3, 1]"]));
    let log = read(&file(&[candidates])).unwrap().log;
    assert_eq!(log.session(0).candidates(1).unwrap().len(), 2);
    // Several clicks, where the slates are text; ids with blanks, where they are lists.
    let dataset =
        read(&file(&[("shown", texts(&["1 2", "1 3"])), ("chosen", texts(&["2 1", ""]))]));
    assert_eq!(dataset.unwrap().log.session(0).extras(0).clicks.len(), 2);
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("red shoe"), Some("hat")]);
    lists.append_value([Some("hat"), Some("cap")]);
    let columns =
        [("shown", Arc::new(lists.finish()) as ArrayRef), ("chosen", texts(&["red shoe", "cap"]))];
    let clicks = read(&file(&columns)).unwrap();
    let clicked: Vec<&str> =
        clicks.log.session(0).clicks().map(|item| clicks.catalogue.raw(item)).collect();
    assert_eq!(clicked, ["red shoe", "cap"]);
    let numbers = ("shown", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef);
    let error = read(&file(&[numbers])).unwrap_err().to_string();
    assert!(error.contains("column \"shown\" has type Int64, expected lists"), "{error}");
}
