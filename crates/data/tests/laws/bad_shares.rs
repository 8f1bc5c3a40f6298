//! A log with few bad rows is read without them; one with many is an error.

use understudy_data::Error;
use understudy_data::import::{Options, import};

use crate::bad_input::{CSV, with_file};

/// Sessions of one user each, one of them perhaps unknown.
fn users(unknown: bool) -> String {
    let user = |session: usize| if unknown && session == 0 { String::new() } else { format!("u{session}") };
    let rows: String = (0..6).map(|session| format!("s{session},0,a b c,b,1,{}\n", user(session))).collect();
    CSV.replace("reward", "reward,user") + &rows
}

#[test]
fn a_session_without_a_user_stands_among_others() {
    for skip_bad_rows in [false, true] {
        let options = Options { skip_bad_rows, ..Options::default() };
        let (dataset, summary) = with_file(users(true).as_bytes(), |path| import(path, options).unwrap());
        assert_eq!((summary.sessions, summary.users), (6, Some(5)));
        assert_eq!((dataset.log.session(0).user(), dataset.session_name(5).as_ref()), (None, "s5"));
        assert!(summary.to_string().contains("sessions with users   5 of 6\n"), "{summary}");
    }
}

#[test]
fn more_bad_rows_than_the_limit_are_an_error_with_counts_reasons_and_rows() {
    let refused = |content: &str, max_bad| {
        let options = Options { skip_bad_rows: true, max_bad, ..Options::default() };
        with_file(content.as_bytes(), |path| import(path, options).map(|(_, summary)| summary))
    };
    let bad = users(false).replace("s1,0,a b c,b", "s1,0,a b c,d").replace("s2,0,a b c", "s2,0,a b b");
    let bad = bad.replace("s3,0", "s3,x").replace("s4,0", "s4,y") + "s0,1,a b,a,1,u0\n";
    let error = refused(&bad, 0.05).unwrap_err().to_string();
    for part in [
        "given.log: 5 of its 7 sessions (71.4 %) cannot be used, more than the 5 % that may be skipped",
        "1 × chosen: expected an item of the slate; 1 × session: expected all rows of a session together; 1 × shown: \
         expected every item once; 2 × step: expected a whole number",
        "line 3, session \"s1\": chosen: expected an item of the slate, found \"d\"; line 4, session \"s2\": shown: \
         expected every item once, found \"b\" twice; line 5, session \"s3\": step: expected a whole number, found \"x\";",
        "--max-bad",
    ] {
        assert!(error.contains(part), "{part}\nis not in\n{error}");
    }
    assert!(!error.contains("line 6"), "{error}");
    assert!(refused(&bad, 0.7).is_err());
    let summary = refused(&bad, 0.75).unwrap();
    assert_eq!((summary.sessions, summary.reading.as_ref().unwrap().refused_sessions), (2, 1));

    // Sessions that keep a step are not lost, but a share of the rows may be.
    let rows = |good: usize| -> String { (0..good).map(|step| format!("a,{step},1 2,1,1\n")).collect() };
    let spoiled = |good: usize| format!("{CSV}{}a,x,1 2,1,1\n", rows(good));
    assert_eq!(refused(&spoiled(19), 0.05).unwrap().steps, 19);
    let error = refused(&spoiled(18), 0.05).unwrap_err().to_string();
    assert!(error.contains("1 of its 19 rows (5.3 %) cannot be used"), "{error}");
    // The session of a row that does not name it is not guessed.
    let error = refused(&format!("{CSV}{},0,1 2,1,1\n", rows(1)), 0.0).unwrap_err().to_string();
    assert!(error.contains("the first: line 3: session: expected an id"), "{error}");
    for max_bad in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(refused(&spoiled(19), max_bad), Err(Error::Setting(_))));
    }
}
