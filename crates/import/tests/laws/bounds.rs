//! What is larger than any log has it is an error that names the bound and the option.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::{ArrayRef, LargeStringArray, RecordBatch};
use flate2::write::GzEncoder;
use foretaste_import::{Format, Layout, Limits, Options, export, import};
use parquet::arrow::ArrowWriter;
use tempfile::tempdir;

use crate::bad_input::{CSV, with_file};

fn within(limits: Limits) -> Options<'static> {
    Options { layout: Layout { limits, ..Layout::default() }, ..Options::default() }
}

/// Steps, or why there are none.
fn read(path: &Path, limits: Limits) -> Result<usize, String> {
    let read = import(path, within(limits)).map_err(|error| error.to_string());
    read.map(|(dataset, _)| dataset.log.steps())
}

/// A line break that is missing, a quote that is not closed, an object that does not end.
#[test]
fn a_row_beyond_its_bound_is_refused_with_its_line() {
    let long = "x".repeat(2 << 20);
    let json = r#"{"session":"a","step":0,"shown":["1"],"chosen":"1","reward":1}"#;
    let otto = r#"{"session":1,"events":[{"aid":5,"ts":1,"type":"clicks"}]}"#;
    let shared = format!("shared |u a b\n{}", "0:1:0.5 | c\n".repeat(200_000));
    let cases = [
        format!("{CSV}a,0,1 2,1,1\na,1,1 2,{long},1\n"),
        format!("{CSV}a,0,1 2,1,1\n\"a,1,1 2,{}", "x,y\n".repeat(1 << 19)),
        format!("{json}\n{{\"session\":\"{long}\"}}\n"),
        format!("[{json},\n{{\"session\":\"{long}\"}}]"),
        format!("{otto}\n{{\"session\":\"{long}\"}}\n"),
        format!("0:1:0.5 | c\n\n{shared}"),
    ];
    for (case, content) in cases.iter().enumerate() {
        let limits = Limits { row_bytes: 1 << 20, ..Limits::default() };
        let format = (case == 5).then_some(Format::VowpalWabbit);
        let refused = with_file(content.as_bytes(), |path| {
            import(path, Options { format, ..within(limits) }).unwrap_err().to_string()
        });
        let line = if case == 5 { 3 } else { 2 + usize::from(case < 2) };
        assert!(
            refused.contains(&format!("log:{line}: row: more than 1048576 bytes")),
            "{refused}"
        );
        assert!(refused.contains("--max-row-bytes raises the bound"), "{refused}");
        let error = with_file(content.as_bytes(), |path| {
            import(path, Options { format, ..within(Limits::default()) }).map(drop)
        });
        let error = error.map_or_else(|error| error.to_string(), |()| String::new());
        assert!(!error.contains("--max-row-bytes"), "{error}");
    }
}

#[test]
fn a_field_beyond_its_bound_is_refused_in_every_format() {
    let id = "x".repeat(2_000);
    let csv = format!("{CSV}a,0,1 {id},1,1\n");
    let dataset = with_file(csv.as_bytes(), |path| import(path, Options::default()).unwrap().0);
    let folder = tempdir().unwrap();
    for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
        let path = folder.path().join(format!("{format}"));
        export(&dataset, format, &path).unwrap();
        let limits = |field_bytes| Limits { field_bytes, ..Limits::default() };
        let refused = read(&path, limits(1_000)).unwrap_err();
        assert!(refused.contains("shown"), "{refused}");
        assert!(refused.contains("--max-field-bytes raises the bound"), "{refused}");
        assert_eq!(read(&path, limits(3_000)), Ok(1));
    }
}

#[test]
fn slates_ids_and_sessions_beyond_their_bounds_are_refused_in_every_format() {
    let steps: String = (0..20).map(|t| format!("a,{t},1 2 {},1,1\n", t + 3)).collect();
    let csv = format!("{CSV}{steps}b,0,1 2,1,1\n");
    let dataset = with_file(csv.as_bytes(), |path| import(path, Options::default()).unwrap().0);
    let folder = tempdir().unwrap();
    let usual = Limits::default;
    let cases = [
        (Limits { slate_items: 2, ..usual() }, Limits { slate_items: 3, ..usual() }, "slate-items"),
        (Limits { ids: 21, ..usual() }, Limits { ids: 22, ..usual() }, "ids"),
        (
            Limits { session_steps: 19, ..usual() },
            Limits { session_steps: 20, ..usual() },
            "session-steps",
        ),
    ];
    for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
        let path = folder.path().join(format!("{format}"));
        export(&dataset, format, &path).unwrap();
        for (below, at, option) in cases {
            let refused = read(&path, below).unwrap_err();
            assert!(refused.contains(&format!("--max-{option} raises the bound")), "{refused}");
            assert_eq!(read(&path, at), Ok(21));
        }
    }
    // Long sessions can be left out as well.
    let path = folder.path().join("csv");
    let mut options = within(Limits { session_steps: 5, ..usual() });
    options.layout.max_session_steps = Some(10);
    assert_eq!(import(&path, options).unwrap().0.log.steps(), 1);
}

#[test]
fn a_slate_of_rows_of_one_item_has_the_same_bound() {
    let rows: String = (0..30).map(|item| format!("a,7,{item},0\n")).collect();
    let content = format!("session,slate,item,clicked\n{rows}");
    with_file(content.as_bytes(), |path| {
        let refused = read(path, Limits { slate_items: 29, ..Limits::default() }).unwrap_err();
        assert!(refused.contains("--max-slate-items raises the bound"), "{refused}");
        assert_eq!(read(path, Limits { slate_items: 30, ..Limits::default() }), Ok(1));
    });
}

/// 300 MB of rows in a file of less than a hundredth of that.
#[test]
fn what_unpacks_to_far_more_than_its_size_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("log.csv.gz");
    let mut packed = GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
    packed.write_all(CSV.as_bytes()).unwrap();
    let row = format!("a,0,1 {} 2,1,1\n", " ".repeat(1 << 20));
    (0..300).for_each(|_| packed.write_all(row.as_bytes()).unwrap());
    packed.finish().unwrap();
    let refused = read(&path, Limits { unpacked: 2, ..Limits::default() }).unwrap_err();
    assert!(refused.contains("unpacks to more than 2 times its size"), "{refused}");
    assert!(refused.contains("--max-unpacked raises the bound"), "{refused}");
}

/// Begins again in a process that may take so many KiB of addresses, and must say nothing of
/// panics; whether it is that one.
fn in_little_memory(test: &str, kib: u64) -> bool {
    const INSIDE: &str = "FORETASTE_IN_LITTLE_MEMORY";
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let run = Command::new("sh")
        .args(["-c", &format!("ulimit -v {kib} && exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap())
        .args(["--exact", &format!("bounds::{test}"), "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.contains("1 passed"), "{said}\n{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    false
}

/// 2 MB that hold one field of 2 GB.
#[test]
#[cfg(unix)]
fn a_field_of_two_gigabytes_takes_no_such_memory() {
    if !in_little_memory("a_field_of_two_gigabytes_takes_no_such_memory", 600_000) {
        return;
    }
    let folder = tempdir().unwrap();
    for name in ["log.csv.gz", "log.jsonl.gz"] {
        let path = folder.path().join(name);
        let mut packed =
            GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
        let head = if name == "log.csv.gz" { CSV } else { "{\"session\":\"a\"}\n" };
        packed.write_all(head.as_bytes()).unwrap();
        io::copy(&mut io::repeat(b'a').take(2 << 30), &mut packed).unwrap();
        packed.finish().unwrap();
        let format = (name == "log.jsonl.gz").then_some(Format::JsonLines);
        let options = Options { format, skip_bad_rows: true, ..Options::default() };
        let refused = import(&path, options).unwrap_err().to_string();
        assert!(refused.contains("--max-row-bytes raises the bound"), "{refused}");
    }
}

fn write(path: &Path, columns: &[(&str, ArrayRef)]) {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A text of 8 MB that stands in 300 rows, and a list of 34 million items, each in a file of a few
/// pages.
#[test]
#[cfg(unix)]
fn a_parquet_file_takes_no_memory_for_what_repeats() {
    if !in_little_memory("a_parquet_file_takes_no_memory_for_what_repeats", 1_800_000) {
        return;
    }
    let folder = tempdir().unwrap();
    let [texts, lists] = ["texts", "lists"].map(|name| folder.path().join(name));
    let text = "y".repeat(8 << 20);
    let file = fs::File::create(&texts).unwrap();
    let rows = |count: usize| {
        let ids = LargeStringArray::from_iter_values((0..count).map(|_| "1"));
        let ids: ArrayRef = Arc::new(ids);
        let text = LargeStringArray::from_iter_values((0..count).map(|_| &*text));
        let text: ArrayRef = Arc::new(text);
        let [session, chosen] = ["session", "chosen"].map(|name| (name, ids.clone()));
        RecordBatch::try_from_iter([session, ("shown", text), chosen]).unwrap()
    };
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_dictionary_page_size_limit(64 << 20)
        .build();
    let mut writer = ArrowWriter::try_new(file, rows(1).schema(), Some(properties)).unwrap();
    (0..100).for_each(|_| writer.write(&rows(3)).unwrap());
    writer.close().unwrap();
    assert!(texts.metadata().unwrap().len() < 100 << 20);
    let options = Options { format: Some(Format::Parquet), ..Options::default() };
    let refused = import(&texts, options).unwrap_err().to_string();
    assert!(refused.contains("--max-row-bytes raises the bound"), "{refused}");

    let mut items = ListBuilder::new(Int32Builder::new());
    (0..34_000_000).for_each(|_| items.values().append_value(1));
    items.append(true);
    let id: ArrayRef = Arc::new(LargeStringArray::from(vec!["1"]));
    let [session, chosen] = ["session", "chosen"].map(|name| (name, id.clone()));
    write(&lists, &[session, ("shown", Arc::new(items.finish())), chosen]);
    let options = Options { format: Some(Format::Parquet), ..Options::default() };
    let refused = import(&lists, options).unwrap_err().to_string();
    assert!(refused.contains("--max-unpacked raises the bound"), "{refused}");
}

/// A page that says that it unpacks to almost 2 GiB is refused before it is. The header is that of
/// the first page, after the file's magic: its type, and its sizes as varints of one byte, the
/// first of which grows to five.
#[test]
#[cfg(unix)]
fn a_page_takes_no_memory_for_the_size_that_it_claims() {
    if !in_little_memory("a_page_takes_no_memory_for_the_size_that_it_claims", 1_000_000) {
        return;
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join("log.parquet");
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let id: ArrayRef = Arc::new(LargeStringArray::from(ids.to_vec()));
    let column = |name| (name, id.clone());
    let batch = ["session", "shown", "chosen"].map(column);
    let batch = RecordBatch::try_from_iter(batch).unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .build();
    let file = fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let whole = fs::read(&path).unwrap();
    let size = 7;
    assert!(whole[4] == 0x15 && whole[6] == 0x15 && whole[size] < 0x80, "{:x?}", &whole[..16]);
    // The page is four bytes shorter, so that the others are where they were.
    let mut forged = whole.clone();
    forged[size + 2] -= 2 * 4;
    forged.splice(size..size + 1, [0xfe, 0xff, 0xff, 0xff, 0x0f]);
    forged.drain(size + 30..size + 34);
    fs::write(&path, &forged).unwrap();
    let options = || Options { format: Some(Format::Parquet), ..Options::default() };
    let refused = import(&path, options()).unwrap_err().to_string();
    assert!(refused.contains("unpacks to 2147483647"), "{refused}");
    assert!(refused.contains("--max-unpacked raises the bound"), "{refused}");
}

/// Each byte of its end becomes a few others: among these are a negative offset, and others at
/// which the decoder panics.
#[test]
#[cfg(unix)]
fn a_damaged_parquet_file_is_an_error_without_a_backtrace() {
    if !in_little_memory("a_damaged_parquet_file_is_an_error_without_a_backtrace", 1_500_000) {
        return;
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join("log.parquet");
    let csv = format!("{CSV}a,0,1 2,1,1\n");
    let dataset = with_file(csv.as_bytes(), |path| import(path, Options::default()).unwrap().0);
    export(&dataset, Format::Parquet, &path).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut panics = 0;
    let footer = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap()) as usize;
    for at in whole.len() - 8 - footer..whole.len() - 8 {
        for byte in [whole[at] ^ 1, 0x01, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            fs::write(&path, &damaged).unwrap();
            let options = Options { format: Some(Format::Parquet), ..Options::default() };
            if let Err(error) = import(&path, options) {
                panics += u32::from(error.to_string().contains("it cannot be decoded"));
            }
        }
    }
    assert!(panics > 0, "the decoder panics no more: what guards against it can go");
}
