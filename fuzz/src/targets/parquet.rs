//! Parquet files that are valid but for a few bytes, since random bytes do not get past the footer.

use std::fs::File;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use arrow_array::builder::{
    Float64Builder, Int64Builder, ListBuilder, StringBuilder, StringDictionaryBuilder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use foretaste_import::{Format, Input, Layout, Options, guess, import};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};

use super::{Target, look_at, plain};
use crate::Place;

/// A Parquet file that its writer wrote of drawn columns, and then a few bytes of it changed.
pub(super) struct Parquet;

const NAMES: [&str; 12] = [
    "session",
    "shown",
    "chosen",
    "step",
    "reward",
    "timestamp",
    "user",
    "candidates",
    "propensity",
    "item",
    "clicked",
    "context_device",
];
const WORDS: [&str; 7] = ["1", "2", "hat", "shoe", "", "a", "1 2"];

impl Target for Parquet {
    fn name(&self) -> &str {
        "import-parquet-damaged"
    }

    fn read(&self, input: &[u8], place: &Place) -> std::result::Result<(), String> {
        let mut bytes = Unstructured::new(input);
        let path = place.path().join("log.parquet");
        let batch = batch(&mut bytes).map_err(|error| error.to_string())?;
        let properties = properties(&mut bytes).map_err(|error| error.to_string())?;
        let file = File::create(&path).expect("temporary files can be written");
        let writer = ArrowWriter::try_new(file, batch.schema(), Some(properties));
        let written = writer.and_then(|mut writer| {
            writer.write(&batch)?;
            writer.close()
        });
        written.map_err(|error| error.to_string())?;
        let mut file = std::fs::read(&path).expect("temporary files can be read");
        damage(&mut file, &mut bytes).map_err(|error| error.to_string())?;
        place.file("log.parquet", &file);
        // A proposal of how to read it, or an error: either will do.
        if let Ok(input) = Input::open(&path) {
            guess(&input, &Layout::default()).ok();
        }
        let options = Options {
            format: Some(Format::Parquet),
            skip_bad_rows: input.len().is_multiple_of(2),
            max_bad: 1.0,
            ..Options::default()
        };
        let (dataset, report) = import(&path, options).map_err(|error| plain(error.to_string()))?;
        look_at(&dataset);
        plain(report.to_string());
        Ok(())
    }
}

fn batch(bytes: &mut Unstructured<'_>) -> Result<RecordBatch> {
    let rows = bytes.int_in_range(1..=12)?;
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for (at, name) in NAMES.into_iter().enumerate() {
        if at < 3 || bytes.ratio(1, 3)? {
            columns.push((name, column(name, rows, bytes)?));
        }
    }
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .map_err(|_| arbitrary::Error::IncorrectFormat)
}

fn column(name: &str, rows: usize, bytes: &mut Unstructured<'_>) -> Result<ArrayRef> {
    let is_list = matches!(name, "shown" | "candidates" | "propensity");
    let kind = match bytes.ratio(3, 4)? {
        true if name == "propensity" => 4,
        true if is_list => *bytes.choose(&[2, 3])?,
        true if matches!(name, "step" | "timestamp") => 0,
        true if name == "reward" => 1,
        true => 5,
        false => bytes.int_in_range(0..=7)?,
    };
    let word = |bytes: &mut Unstructured<'_>| bytes.choose(&WORDS).copied();
    Ok(match kind {
        0 => {
            let mut builder = Int64Builder::new();
            for row in 0..rows {
                let value = if bytes.ratio(7, 8)? { row as i64 } else { bytes.arbitrary()? };
                builder.append_option(bytes.ratio(15, 16)?.then_some(value));
            }
            Arc::new(builder.finish())
        }
        1 => {
            let mut builder = Float64Builder::new();
            for _ in 0..rows {
                builder.append_option(Some(*bytes.choose(&[
                    0.0,
                    1.0,
                    2.5,
                    1e30,
                    1e300,
                    f64::NAN,
                ])?));
            }
            Arc::new(builder.finish())
        }
        2 => {
            let mut builder = ListBuilder::new(Int64Builder::new());
            for _ in 0..rows {
                for item in 0..bytes.int_in_range(0..=4)? {
                    let other = bytes.ratio(1, 16)?;
                    builder.values().append_value(if other { bytes.arbitrary()? } else { item });
                }
                builder.append(bytes.ratio(15, 16)?);
            }
            Arc::new(builder.finish())
        }
        3 => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for _ in 0..rows {
                for _ in 0..bytes.int_in_range(0..=4)? {
                    builder.values().append_value(word(bytes)?);
                }
                builder.append(true);
            }
            Arc::new(builder.finish())
        }
        4 => {
            let mut builder = ListBuilder::new(Float64Builder::new());
            for _ in 0..rows {
                for _ in 0..bytes.int_in_range(0..=4)? {
                    builder.values().append_value(*bytes.choose(&[
                        0.5,
                        1.0,
                        0.0,
                        2.0,
                        f64::NAN,
                    ])?);
                }
                builder.append(bytes.ratio(15, 16)?);
            }
            Arc::new(builder.finish())
        }
        5 => {
            let mut builder = StringBuilder::new();
            for _ in 0..rows {
                builder.append_option(Some(word(bytes)?).filter(|word| !word.is_empty()));
            }
            Arc::new(builder.finish())
        }
        6 => {
            let mut builder = StringDictionaryBuilder::<Int32Type>::new();
            for _ in 0..rows {
                builder.append_value(word(bytes)?);
            }
            Arc::new(builder.finish())
        }
        _ => {
            let values = (0..rows).map(|_| bytes.arbitrary::<Option<bool>>());
            Arc::new(BooleanArray::from(values.collect::<Result<Vec<_>>>()?))
        }
    })
}

fn properties(bytes: &mut Unstructured<'_>) -> Result<WriterProperties> {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
        Compression::GZIP(Default::default()),
    ];
    let versions = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
    Ok(WriterProperties::builder()
        .set_compression(*bytes.choose(&codecs)?)
        .set_writer_version(*bytes.choose(&versions)?)
        .set_dictionary_enabled(bytes.arbitrary()?)
        .set_data_page_row_count_limit(bytes.int_in_range(1..=12)?)
        .set_write_batch_size(bytes.int_in_range(1..=12)?)
        .set_max_row_group_row_count(Some(bytes.int_in_range(1..=12)?))
        .build())
}

/// Changes up to six bytes, most of them in the footer, whose length is in the last eight bytes, or
/// in the headers of pages.
fn damage(file: &mut Vec<u8>, bytes: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..bytes.int_in_range(0..=6)? {
        let end = file.len().saturating_sub(1);
        let footer = file.len().saturating_sub(8).saturating_sub(600);
        let start = if bytes.ratio(1, 2)? { footer.min(end) } else { 0 };
        let at = bytes.int_in_range(start..=end)?;
        match bytes.int_in_range(0..=3)? {
            0 => file[at] ^= 1 << bytes.int_in_range(0..=7)?,
            1 => file[at] = *bytes.choose(&[0, 1, 0x15, 0x7f, 0x80, 0xff])?,
            2 => file[at] = bytes.arbitrary()?,
            _ if bytes.ratio(1, 4)? => file.truncate(at + 1),
            _ => {
                file.remove(at);
            }
        }
        if file.is_empty() {
            break;
        }
    }
    Ok(())
}
