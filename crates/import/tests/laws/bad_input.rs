//! What bad input gives: an error with file, line and field, or a count if bad rows are skipped.

use std::path::Path;

use foretaste_data::Part;
use foretaste_import::{Error, Format, Options, Report, export, import};

pub const CSV: &str = "session,step,shown,chosen,reward\n";
pub const IRECGAN: &str = "session_num;query_num;click_item;rec_list;purchase\n";
pub const GAN: &str =
    "SessionId\tTime\tItemId\tis_click\traw_index\tsession_new_index\titem_new_index\ttr_val_tst\n";

pub fn with_file<T>(content: &[u8], use_it: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.log");
    std::fs::write(&path, content).unwrap();
    use_it(&path)
}

fn refused(content: &[u8]) -> Error {
    with_file(content, |path| import(path, Options::default()).unwrap_err())
}

fn row_error(content: &[u8]) -> (u64, &'static str, String) {
    match refused(content) {
        Error::Row { path, line, field, problem } => {
            assert!(path.ends_with("given.log"));
            (line, field, problem)
        }
        other => panic!("{other}"),
    }
}

fn skipped(content: &[u8]) -> Report {
    with_file(content, |path| {
        import(path, Options { skip_bad_rows: true, max_bad: 1.0, ..Options::default() }).unwrap().1
    })
}

#[test]
fn a_bad_row_names_line_field_and_finding() {
    let good = "a,0,1 2,1,1\n";
    let cases: [(String, u64, &str, &str); 15] = [
        (format!("{CSV}{good}a,x,1 2,1,1\n"), 3, "step", "\"x\""),
        (format!("{CSV}{good}a,1,1 2,1,much\n"), 3, "reward", "\"much\""),
        (format!("{CSV}{good}a,1,1 2,1,inf\n"), 3, "reward", "inf"),
        (format!("{CSV}{good}a,1,1 2,3,1\n"), 3, "chosen", "\"3\""),
        (format!("{CSV}{good}a,1,,,1\n"), 3, "shown", "an empty slate"),
        (format!("{CSV}{good}a,1,j7 2 j7,2,1\n"), 3, "shown", "\"j7\" twice"),
        (format!("{CSV}{good}a,0,1 2,2,1\n"), 3, "step", "0 after 0"),
        (format!("{CSV}{good}b,0,1,1,1\na,1,1 2,1,1\n"), 4, "session", "\"a\""),
        (format!("{CSV}{good}a,1,1 2,1\n"), 3, "row", "4 fields for 5"),
        (format!("{CSV}{good},1,1 2,1,1\n"), 3, "session", "nothing"),
        (format!("{IRECGAN}x;1;5;4,5;0\n"), 2, "session_num", "\"x\""),
        (format!("{IRECGAN}1;1;6;4,5;0\n"), 2, "chosen", "\"6\""),
        (format!("{IRECGAN}1;1;5;4,5;2\n"), 2, "purchase", "\"2\""),
        (format!("{IRECGAN}1;1;5;;0\n"), 2, "shown", "an empty slate"),
        (format!("{IRECGAN}1;1;5;4,5,4;0\n"), 2, "shown", "twice"),
    ];
    for (content, line, field, finding) in cases {
        let (at, named, problem) = row_error(content.as_bytes());
        assert_eq!((at, named), (line, field), "{content:?}: {problem}");
        assert!(problem.contains(finding), "{content:?}: {problem}");
    }
}

#[test]
fn a_bad_row_of_a_gan_cdqn_file_names_line_field_and_finding() {
    let row = |time: &str, item: &str, click: &str, session: &str, split: &str| {
        format!("u\t{time}\t{item}\t{click}\t0\t{session}\t0\t{split}\n")
    };
    let good = row("0", "a", "1", "0", "0");
    let cases = [
        (row("0", "b", "1", "0", "0"), 2, "is_click", "\"b\""),
        (row("1", "b", "0", "0", "0"), 3, "is_click", "none"),
        (row("0", "b", "yes", "0", "0"), 3, "is_click", "\"yes\""),
        (row("0", "b", "0", "first", "0"), 3, "session_new_index", "\"first\""),
        (row("noon", "b", "0", "0", "0"), 3, "Time", "\"noon\""),
        (row("0", "b", "0", "0", "3"), 3, "tr_val_tst", "\"3\""),
        (row("0", "b", "0", "0", "1"), 3, "tr_val_tst", "1"),
        (row("0", "", "0", "0", "0"), 3, "ItemId", "nothing"),
        (row("0", "b", "1", "1", "0") + &good, 4, "session", "\"0\""),
    ];
    for (bad, line, field, finding) in cases {
        let (at, named, problem) = row_error(format!("{GAN}{good}{bad}").as_bytes());
        assert_eq!((at, named), (line, field), "{bad:?}: {problem}");
        assert!(problem.contains(finding), "{bad:?}: {problem}");
    }
}

#[test]
fn a_bad_json_line_names_line_field_and_finding() {
    let good = "{\"session\":1,\"step\":0,\"shown\":[1,2],\"chosen\":1,\"reward\":1}\n";
    let cases = [
        (
            "{\"session\":1,\"step\":1,\"shown\":[1,2],\"chosen\":1,\"reward\":\"1\"}",
            "reward",
            "\"1\"",
        ),
        ("{\"session\":1,\"step\":1.5,\"shown\":[1,2],\"reward\":1}", "step", "1.5"),
        ("{\"session\":1,\"step\":1,\"shown\":[1,2.5],\"reward\":1}", "shown", "2.5"),
        ("{\"session\":1,\"step\":1,\"shown\":7,\"reward\":1}", "shown", "7"),
        ("{\"session\":1,\"step\":1,\"reward\":1}", "shown", "nothing"),
        (
            "{\"session\":1,\"step\":1,\"shown\":[1],\"reward\":1,\"propensities\":[1]}",
            "row",
            "--column propensity=propensities",
        ),
        ("{\"session\":1,", "row", "EOF"),
        ("{\"session\":1,\"step\":1,\"shown\":[1],\"reward\":1,\"left\":1}", "left", "1"),
        (
            "{\"session\":1,\"step\":1,\"shown\":[1],\"reward\":1,\"left\":true}",
            "left",
            "the first value",
        ),
        (
            "{\"session\":1,\"step\":1,\"shown\":[1],\"reward\":1,\"timestamp\":4}",
            "timestamp",
            "the first value",
        ),
        ("{\"session\":1,\"step\":1,\"shown\":[1],\"reward\":1,\"user\":\"u\"}", "user", "\"u\""),
    ];
    for (bad, field, finding) in cases {
        let (at, named, problem) = row_error(format!("{good}{bad}\n").as_bytes());
        assert_eq!((at, named), (2, field), "{bad}: {problem}");
        assert!(problem.contains(finding), "{bad}: {problem}");
    }
}

#[test]
fn propensities_are_checked() {
    let header = "session,step,shown,chosen,reward,propensity\n";
    for (propensity, finding) in
        [("0.5", "1 for 2"), ("0.5 0", "0"), ("0.5 1.5", "1.5"), ("0.5 x", "\"x\""), ("", "none")]
    {
        let content = format!("{header}a,0,1 2,1,1,0.5 0.5\na,1,1 2,1,1,{propensity}\n");
        let (line, field, problem) = row_error(content.as_bytes());
        assert_eq!((line, field), (3, "propensity"), "{problem}");
        assert!(problem.contains(finding), "{propensity:?}: {problem}");
    }
    let single = format!("{header}a,0,1,1,1,0.5\n");
    assert_eq!(skipped(single.as_bytes()).summary.steps, 1);
}

#[test]
fn leaving_with_a_choice_or_before_the_end_is_refused() {
    let header = "session,step,shown,chosen,reward,left\n";
    let (line, field, _) = row_error(format!("{header}a,0,1 2,1,1,true\n").as_bytes());
    assert_eq!((line, field), (2, "left"));
    let (line, field, _) =
        row_error(format!("{header}a,0,1 2,,0,true\na,1,1 2,,0,false\n").as_bytes());
    assert_eq!((line, field), (3, "session"));
}

#[test]
fn text_that_is_not_utf8_is_located() {
    let mut content = format!("{CSV}a,0,1 2,1,1\na,1,1 ").into_bytes();
    content.extend(b"\xff,1,1\n");
    let (line, field, problem) = row_error(&content);
    assert_eq!((line, field), (3, "shown"));
    assert!(
        problem.contains("byte 0xff at place 2") && problem.contains("starts at byte 45"),
        "{problem}"
    );

    let mut content = b"{\"session\":1,\"step\":0,\"shown\":[\"".to_vec();
    content.extend(b"\xe9\"],\"reward\":1}\n");
    let (line, field, problem) = row_error(&content);
    assert_eq!((line, field), (1, "row"));
    assert!(problem.contains("byte 0xe9 at place 32"), "{problem}");

    let mut header = b"session,step,shown,chosen,".to_vec();
    header.extend(b"\xff\n");
    assert!(refused(&header).to_string().contains("header is not UTF-8"));
    // A file in UTF-16.
    let wide: Vec<u8> = CSV.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(refused(&wide), Error::File { .. }));
}

#[test]
fn a_file_that_is_wrong_as_a_whole_says_why() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "is empty"),
        (CSV.as_bytes(), "has a header and no rows"),
        (IRECGAN.as_bytes(), "has a header and no rows"),
        (GAN.as_bytes(), "has a header and no rows"),
        (b"session,step,shown,reward\na,0,1,1\n", "no column \"chosen\""),
        (b"session,step,shown,chosen,rewards\na,0,1,1,1\n", "--column reward=rewards"),
        (b"session,step,shown,chosen,reward,step\n", "column \"step\" twice"),
        (b"session_num;query_num;click_item;rec_list\n1;1;1;1\n", "no column \"purchase\""),
        (b"user,item,rating\n1,2,3\n", "not the header of a known format"),
    ];
    for (content, expected) in cases {
        let error = refused(content).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let missing = GAN.replace("\titem_new_index", "");
    assert!(refused(missing.as_bytes()).to_string().contains("no column \"item_new_index\""));
}

#[test]
fn a_directory_or_nothing_in_a_files_place_is_refused_by_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for format in [None].into_iter().chain(Format::ALL.map(Some)) {
        let read =
            |path: &Path| import(path, Options { format, ..Options::default() }).unwrap_err();
        assert!(read(folder.path()).to_string().contains("is a directory"));
        assert!(matches!(read(&folder.path().join("none")), Error::Files(_)));
        assert!(with_file(b"", |path| read(path)).to_string().contains("is empty"));
    }
}

#[test]
fn a_truncated_archive_is_refused() {
    use std::io::Write;
    let rows: String =
        (0..500).map(|step| format!("a,{step},{} {},{step},1\n", step, step + 7)).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(format!("{CSV}{rows}").as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let error = refused(&gzip[..gzip.len() / 2]).to_string();
    assert!(error.contains("truncated") || error.contains("damaged"), "{error}");

    let parquet = with_file(format!("{CSV}{rows}").as_bytes(), |path| {
        let (dataset, _) = import(path, Options::default()).unwrap();
        let to = path.with_extension("parquet");
        export(&dataset, Format::Parquet, &to).unwrap();
        std::fs::read(to).unwrap()
    });
    for length in [4, 20, parquet.len() / 2, parquet.len() - 1] {
        let error = refused(&parquet[..length]).to_string();
        assert!(error.contains("not a complete Parquet file"), "{error}");
    }
}

#[test]
fn skipped_rows_are_counted_by_reason_and_leave_no_trace() {
    let content = format!(
        "{CSV}a,0,1 2,1,1\na,1,1 9,8,1\na,2,1 2,,0\nb,0,7,,x\na,3,1 2,1,1\nc,x,5 6,5,1\nc,1,3 4,,0\nc,2,1 2,3,0\n"
    );
    let report = skipped(content.as_bytes());
    // Session b had one row and it was bad; item 9, 7, 5 and 6 were only on rows that were dropped.
    assert_eq!((report.summary.sessions, report.summary.steps, report.summary.items), (2, 3, 4));
    // The last row of c was dropped, so the null before it says nothing about leaving.
    assert_eq!(report.summary.left, 1);
    let reading = &report.reading;
    assert_eq!((reading.rows, reading.empty_sessions), (8, 1));
    let dropped: Vec<(&str, u64)> =
        reading.dropped.iter().map(|(why, &count)| (why.as_str(), count)).collect();
    let expected = [
        ("chosen: expected an item of the slate", 2),
        ("reward: expected a finite number", 1),
        ("session: expected all rows of a session together", 1),
        ("step: expected a whole number", 1),
    ];
    assert_eq!(dropped, expected);
    let table = report.to_string();
    assert!(
        table.contains("rows dropped          5\n") && table.contains("2 × chosen: expected"),
        "{table}"
    );
}

#[test]
fn a_skipped_row_drops_its_whole_slate() {
    let row =
        |time: &str, item: &str, click: &str| format!("u\t{time}\t{item}\t{click}\t0\t0\t0\t0\n");
    let slates =
        [row("0", "a", "1"), row("0", "b", "?"), row("1", "c", "1"), row("2", "d", "0")].concat();
    let other = "v\t0\ta\t1\t0\t1\t0\t1\n";
    let report = skipped(format!("{GAN}{slates}{other}").as_bytes());
    assert_eq!(
        (report.summary.sessions, report.summary.steps, report.summary.items, report.summary.split),
        (2, 2, 2, Some([1, 1, 0]))
    );
    assert_eq!(report.reading.dropped.values().sum::<u64>(), 3);

    // A row without a readable time may have belonged to any slate of the user.
    let report =
        skipped(format!("{GAN}{}{}{other}", row("0", "a", "1"), row("?", "b", "0")).as_bytes());
    assert_eq!(
        (report.summary.sessions, report.summary.steps, report.summary.split),
        (1, 1, Some([0, 1, 0]))
    );
}

#[test]
fn a_file_of_bad_rows_only_is_an_error_with_the_reasons() {
    let error = with_file(format!("{CSV}a,0,1 2,3,1\n").as_bytes(), |path| {
        import(path, Options { skip_bad_rows: true, ..Options::default() }).unwrap_err()
    });
    assert!(
        error
            .to_string()
            .contains("none of its 1 rows could be used (1 × chosen: expected an item"),
        "{error}"
    );
}

#[test]
fn progress_ends_at_the_length_of_the_file() {
    let rows: String = (0..200_000).map(|step| format!("a,{step},1 2,1,1\n")).collect();
    with_file(format!("{CSV}{rows}").as_bytes(), |path| {
        let mut reads = Vec::new();
        let progress: foretaste_import::Progress<'_> =
            Box::new(|read, total| reads.push((read, total)));
        import(path, Options { progress: Some(progress), ..Options::default() }).unwrap();
        let length = std::fs::metadata(path).unwrap().len();
        assert!(reads.len() > 1 && reads.is_sorted());
        assert_eq!(reads.last(), Some(&(length, length)));
    });
}

#[test]
fn a_quote_that_is_not_closed_is_an_error_even_if_bad_rows_are_skipped() {
    let middle = format!("{CSV}a,0,1 2,1,1\nb,0,\"1 2,1,1\nc,0,1 2,1,1\nd,0,\"1\" 2,1,1\n");
    let last =
        format!("{}a,0,1 2,1,1,\"ann\nb,0,1 2,1,1,bob\n", CSV.replace("reward", "reward,user"));
    let unended = last.trim_end().to_owned();
    for (content, line) in [(middle, 3), (last.replace('\n', "\r"), 2), (last, 2), (unended, 2)] {
        for skip_bad_rows in [false, true] {
            let options = Options { skip_bad_rows, ..Options::default() };
            let error = with_file(content.as_bytes(), |path| import(path, options).unwrap_err())
                .to_string();
            assert!(
                error.contains(&format!("given.log:{line}: row: line break inside a field")),
                "{error}"
            );
        }
    }
    assert!(
        refused(b"session,step,shown,chosen,\"reward\na,0,1 2,1,1\n")
            .to_string()
            .contains("line break")
    );
}

#[test]
fn lines_are_counted_whatever_ends_them_and_wherever_they_are_blank() {
    let bad = "a,1,1 2,x,1";
    for (before, line) in
        [("a,0,1 2,1,1\n", 3), ("\n\na,0,1 2,1,1\n\n", 6), ("a,0,1 2,1,1\n\n\n\n", 6)]
    {
        for end in ["\n", "\r\n", "\r"] {
            for mark in ["", "\u{feff}"] {
                let content = format!("{mark}{CSV}{before}{bad}\n").replace('\n', end);
                assert_eq!(row_error(content.as_bytes()).0, line, "{content:?}");
            }
        }
    }
    let gan =
        format!("{GAN}\nu\t0\ta\t1\t0\t0\t0\t0\n\nu\t1\tb\t0\t0\t0\t0\t0\n").replace('\n', "\r\n");
    assert_eq!(row_error(gan.as_bytes()).0, 5);
}

#[test]
fn a_row_of_unknown_session_spoils_the_session_on_either_side() {
    let row = |time: &str, item: &str, click: &str, session: &str| {
        format!("u\t{time}\t{item}\t{click}\t0\t{session}\t0\t0\n")
    };
    let (first, second, third) =
        (row("0", "a", "1", "0"), row("0", "b", "1", "1"), row("0", "c", "1", "2"));
    let lost = row("0", "d", "0", "?");
    let report = skipped(format!("{GAN}{first}{lost}{second}{third}").as_bytes());
    assert_eq!((report.summary.sessions, report.summary.items), (1, 1));
    // Between two rows of a session it belongs to that session.
    let report = skipped(format!("{GAN}{first}{lost}{first}{second}{third}").as_bytes());
    assert_eq!((report.summary.sessions, report.summary.items), (2, 2));
    let report = skipped(format!("{GAN}{lost}{first}{second}").as_bytes());
    assert_eq!((report.summary.sessions, report.summary.items), (1, 1));
}

#[test]
fn a_large_slate_takes_linear_time() {
    let rows: String = (0..200_000)
        .map(|item| format!("u\t0\t{item}\t{}\t0\t0\t0\t0\n", u8::from(item == 7)))
        .collect();
    assert_eq!(skipped(format!("{GAN}{rows}").as_bytes()).summary.items, 200_000);
}

#[test]
fn a_repeated_irecgan_row_is_refused() {
    let (line, field, _) = row_error(format!("{IRECGAN}1;4;5;4,5;0\n1;4;5;4,5;0\n").as_bytes());
    assert_eq!((line, field), (3, "query_num"));
    let report = skipped(
        format!("{IRECGAN}1;4;5;4,5;0\n1;4;5;4,5;0\n1;5;4;4,5;0\n2;1;4;4,5;0\n").as_bytes(),
    );
    assert_eq!((report.summary.sessions, report.summary.steps), (2, 3));
}

#[test]
fn an_id_that_is_empty_is_refused_in_json_too() {
    for (session, item, named) in [("", "a", "session"), ("s", "", "shown")] {
        let content = format!(
            "{{\"session\":\"{session}\",\"step\":0,\"shown\":[\"b\",\"{item}\"],\"reward\":1}}\n"
        );
        assert_eq!(row_error(content.as_bytes()).1, named);
    }
}

#[test]
fn a_user_without_a_name_is_none_in_json_too() {
    let line = |session: &str, user: &str| {
        format!(
            "{{\"session\":\"{session}\",\"step\":0,\"shown\":[1],\"reward\":1,\"user\":\"{user}\"}}\n"
        )
    };
    let report = skipped((line("a", "") + &line("b", "") + &line("c", "ann")).as_bytes());
    assert_eq!((report.summary.users, report.summary.of_some), (Some(1), vec![(Part::Users, 1)]));
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let json = "{\"session\":1,\"step\":0,\"shown\":[1,2],\"chosen\":1,\"reward\":1}\n";
    for content in [format!("{CSV}a,0,1 2,1,1\n"), json.to_owned()] {
        assert_eq!(skipped(format!("\u{feff}{content}").as_bytes()).summary.steps, 1);
    }
}

#[test]
fn items_are_separated_by_any_white_space() {
    let report = skipped(format!("{CSV}a,0,1\t2 \t3,2,1\n").as_bytes());
    assert_eq!((report.summary.items, report.summary.mean_slate), (3, 3.0));
}
