//! Columns and files that other programs write as Parquet.

use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::{Float16Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, Float32Array, Int64Array, NullArray, PrimitiveArray,
    RecordBatch, StringArray, UInt16Array, UInt64Array,
};
use arrow_schema::{Field, Schema};
use foretaste_data::Dataset;
use foretaste_import::{Options, Result, import};
use parquet::arrow::ArrowWriter;

fn slates() -> ArrayRef {
    let mut slates = ListBuilder::new(StringBuilder::new());
    slates.append_value([Some("1"), Some("2")]);
    slates.append_value([Some("1"), Some("3")]);
    Arc::new(slates.finish())
}

/// A good file of two steps, with some of its columns replaced and others added.
fn file(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let good: [(&str, ArrayRef); 5] = [
        ("session", Arc::new(StringArray::from(vec!["a", "a"]))),
        ("step", Arc::new(Int64Array::from(vec![0, 1]))),
        ("shown", slates()),
        ("chosen", Arc::new(StringArray::from(vec![Some("1"), None]))),
        ("reward", Arc::new(Float32Array::from(vec![1.0, 0.0]))),
    ];
    let kept = good.iter().filter(|(name, _)| columns.iter().all(|(other, _)| other != name));
    let columns: Vec<_> = kept.chain(columns).collect();
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(
        schema.clone(),
        columns.iter().map(|(_, column)| column.clone()).collect(),
    );
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
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
