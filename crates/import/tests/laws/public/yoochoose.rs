//! YooChoose: clicks and buys without headers, and slates simulated around the clicks.

use foretaste_import::{Around, Error, Format, Options, SimulatedSlates};

use super::{read, read_with, refused, skipping, steps};

const CLICKS: &str = "11,2014-04-01T03:00:25.575Z,714821275,0\n\
     11,2014-04-01T03:05:31.743Z,714821275,0\n\
     12,2014-04-01T10:30:13.438Z,714717867,S\n\
     12,2014-04-01T10:33:12.621Z,714717860,7\n\
     15,2014-04-02T07:12:54.055Z,714826705,1205614087\n\
     12,2014-04-01T10:31:59.200Z,714826900,0\n";
const BUYS: &str = "12,2014-04-01T10:41:00.000Z,714717860,1046,2\n\
     12,2014-04-01T10:41:00.000Z,714821275,523,1\n\
     11,2014-04-01T10:41:00.000Z,714717860,1046,1\n\
     77,2014-04-01T10:41:00.000Z,714717860,1046,1\n";

fn files<'a>(clicks: &'a str, buys: &'a str) -> [(&'static str, &'a str); 2] {
    [("yoochoose-clicks.dat", clicks), ("yoochoose-buys.dat", buys)]
}

#[test]
fn a_click_earns_what_was_bought_in_its_session() {
    let (dataset, report) = read(&files(CLICKS, BUYS));
    let sessions = steps(&dataset);
    let chosen = |session: usize| -> Vec<(&str, f32)> {
        sessions[session].iter().map(|step| (step.1.as_deref().unwrap(), step.2)).collect()
    };
    assert_eq!(chosen(0), [("714821275", 0.0), ("714821275", 0.0)]);
    // In the order of time, not of the file.
    assert_eq!(chosen(1), [("714717867", 0.0), ("714826900", 0.0), ("714717860", 1.0)]);
    assert_eq!(chosen(2), [("714826705", 0.0)]);
    // Five items in all: every slate of ten holds them all, the chosen among them.
    assert!(
        sessions
            .iter()
            .flatten()
            .all(|(slate, chosen, _)| slate.len() == 5 && slate.contains(chosen.as_ref().unwrap()))
    );
    assert_eq!(dataset.log.session(1).start(), Some(1_396_348_213));
    assert_eq!(dataset.users.iter().collect::<Vec<_>>(), ["11", "12", "15"]);
    let table = report.to_string();
    assert!(
        table.contains("1 of 4 buys are of sessions or items without a click in this file"),
        "{table}"
    );
    assert!(table.contains("rows read             6  (expected 33003944)"), "{table}");
}

#[test]
fn a_slate_holds_items_clicked_on_the_nearest_days() {
    let slates = SimulatedSlates { size: 4, ..SimulatedSlates::of(Format::YooChoose).unwrap() };
    let (dataset, report) =
        read_with(&files(CLICKS, BUYS), Options { slates: Some(slates), ..Options::default() })
            .unwrap();
    assert_eq!(report.expected, None);
    for (slate, chosen, _) in steps(&dataset).iter().flatten() {
        // Four items were clicked on 1 April.
        assert_eq!(slate.contains(&"714826705".to_owned()), chosen.as_deref() == Some("714826705"));
    }
    let release = SimulatedSlates { around: Around::Release, ..slates };
    let error =
        read_with(&files(CLICKS, BUYS), Options { slates: Some(release), ..Options::default() });
    assert!(matches!(error, Err(Error::Setting(_))));
}

#[test]
fn a_bad_row_names_file_line_field_and_finding() {
    let cases = [
        (
            "9,2014-04-01 10:30,7,0\n",
            "",
            "yoochoose-clicks.dat:7: Timestamp: expected a time such as 2014-04-07T10:51:09.277Z, found \"2014-04-01 10:30\"",
        ),
        (
            "9,2014-04-01T10:30:13.438Z,7\n",
            "",
            "yoochoose-clicks.dat:7: row: expected as many fields as columns, found 3 fields for 4",
        ),
        (
            ",2014-04-01T10:30:13.438Z,7,0\n",
            "",
            "yoochoose-clicks.dat:7: Session ID: expected an id, found nothing",
        ),
        (
            "",
            "12,2014-04-01T10:30:13.438Z,,1,1\n",
            "yoochoose-buys.dat:5: Item ID: expected an id, found nothing",
        ),
    ];
    for (clicks, buys, expected) in cases {
        let (clicks, buys) = (format!("{CLICKS}{clicks}"), format!("{BUYS}{buys}"));
        let error = refused(&files(&clicks, &buys));
        assert!(error.ends_with(expected), "{error}");
        let (_, report) = skipping(&files(&clicks, &buys));
        assert_eq!((report.summary.steps, report.reading.dropped.values().sum::<u64>()), (6, 1));
    }
    assert!(refused(&files(CLICKS, BUYS)[..1]).contains("yoochoose-buys.dat: is missing"));
}

#[test]
fn a_session_of_which_no_row_can_be_read_is_lost() {
    let clicks =
        format!("{CLICKS}90,2014-04-01T10:30:13.438Z,7\n91,noon,7,0\n12,noon,714717867,0\n");
    let lost = |slates| {
        let options = Options { skip_bad_rows: true, max_bad: 0.4, slates, ..Options::default() };
        read_with(&files(&clicks, BUYS), options).unwrap().1.reading.empty_sessions
    };
    assert_eq!(lost(None), 2);
    let options = Options { skip_bad_rows: true, max_bad: 0.35, ..Options::default() };
    let error = read_with(&files(&clicks, BUYS), options).unwrap_err().to_string();
    assert!(error.contains("2 of its 5 sessions (40.0 %) cannot be used"), "{error}");
    // Of those who would be drawn from all, nothing is known.
    assert_eq!(
        lost(Some(SimulatedSlates {
            users: Some(3),
            ..SimulatedSlates::of(Format::YooChoose).unwrap()
        })),
        0
    );
}
