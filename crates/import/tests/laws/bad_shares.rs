//! A log with few bad rows is read without them; one with many is an error.

use foretaste_import::{Error, Options, Report, Result, import};

use crate::bad_input::{CSV, GAN, IRECGAN, with_file};

fn skipping(content: &str, max_bad: f64) -> Result<Report> {
    let options = Options { skip_bad_rows: true, max_bad, ..Options::default() };
    with_file(content.as_bytes(), |path| import(path, options).map(|(_, report)| report))
}

/// Sessions of one user each, one of them perhaps unknown.
fn users(unknown: bool) -> String {
    let user = |session: usize| {
        if unknown && session == 0 { String::new() } else { format!("u{session}") }
    };
    let rows: String =
        (0..6).map(|session| format!("s{session},0,a b c,b,1,{}\n", user(session))).collect();
    CSV.replace("reward", "reward,user") + &rows
}

#[test]
fn a_session_without_a_user_stands_among_others() {
    for skip_bad_rows in [false, true] {
        let options = Options { skip_bad_rows, ..Options::default() };
        let (dataset, report) =
            with_file(users(true).as_bytes(), |path| import(path, options).unwrap());
        assert_eq!((report.summary.sessions, report.summary.users), (6, Some(5)));
        assert_eq!((dataset.log.session(0).user(), dataset.session_name(5).as_ref()), (None, "s5"));
        assert!(report.to_string().contains("sessions with users   5 of 6\n"), "{report}");
    }
}

#[test]
fn more_bad_rows_than_the_limit_are_an_error_with_counts_reasons_and_rows() {
    let refused = |content: &str, max_bad| {
        let options = Options { skip_bad_rows: true, max_bad, ..Options::default() };
        with_file(content.as_bytes(), |path| import(path, options).map(|(_, report)| report))
    };
    let bad =
        users(false).replace("s1,0,a b c,b", "s1,0,a b c,d").replace("s2,0,a b c", "s2,0,a b b");
    let bad = bad.replace("s3,0", "s3,x").replace("s4,0", "s4,y") + "s0,1,a b,a,1,u0\n";
    let error = refused(&bad, 0.05).unwrap_err().to_string();
    for part in [
        "given.log: 5 of its 7 sessions (71.4 %) cannot be used, more than the 5.0 % that may be skipped",
        "1 × chosen: expected an item of the slate; 1 × session: expected all rows of a session \
         together; 1 × shown: expected every item once; 2 × step: expected a whole number",
        "line 3, session \"s1\": chosen: expected an item of the slate, found \"d\"; line 4, \
         session \"s2\": shown: expected every item once, found \"b\" twice; line 5, session \"s3\": step: expected a whole number, found \"x\";",
        "--max-bad",
    ] {
        assert!(error.contains(part), "{part}\nis not in\n{error}");
    }
    assert!(!error.contains("line 6"), "{error}");
    assert!(refused(&bad, 0.7).is_err());
    let report = refused(&bad, 0.75).unwrap();
    assert_eq!((report.summary.sessions, report.reading.refused_sessions), (2, 1));

    // Sessions that keep a step are not lost, but a share of the rows may be.
    let rows =
        |good: usize| -> String { (0..good).map(|step| format!("a,{step},1 2,1,1\n")).collect() };
    let spoiled = |good: usize| format!("{CSV}{}a,x,1 2,1,1\n", rows(good));
    assert_eq!(refused(&spoiled(19), 0.05).unwrap().summary.steps, 19);
    let error = refused(&spoiled(18), 0.05).unwrap_err().to_string();
    assert!(error.contains("1 of its 19 rows (5.3 %) cannot be used"), "{error}");
    // The session of a row that does not name it is not guessed.
    let error = refused(&format!("{CSV}{},0,1 2,1,1\n", rows(1)), 0.0).unwrap_err().to_string();
    assert!(error.contains("the first: line 3: session: expected an id"), "{error}");
    for max_bad in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(refused(&spoiled(19), max_bad), Err(Error::Setting(_))));
    }
}

/// 20 sessions of ten good rows each, then 10 of one row with too few fields or of one that cannot
/// be read for another reason: a row in 21 is bad, and a session in three.
#[test]
fn a_session_of_unreadable_rows_is_lost_where_they_name_it() {
    let log = |header: &str, good: fn(usize, usize) -> String, bad: fn(usize) -> String| {
        let good: String =
            (0..20).flat_map(|session| (0..10).map(move |step| good(session, step))).collect();
        header.to_owned() + &good + &(20..30).map(bad).collect::<String>()
    };
    let trivago = "user_id,session_id,timestamp,step,action_type,reference,impressions\n";
    let click_out = |session, step| format!("u,t{session},{step},{step},clickout item,1,1|2\n");
    let json = |session, step| {
        format!(
            "{{\"session\":\"s{session}\",\"step\":{step},\"shown\":[1,2],\"chosen\":1,\"reward\":1}}\n"
        )
    };
    let row = "row: expected as many fields as columns";
    let cases = [
        (
            log(
                CSV,
                |session, step| format!("s{session},{step},1 2,1,1\n"),
                |session| format!("s{session},0,1 2\n"),
            ),
            row,
        ),
        (
            log(
                IRECGAN,
                |session, step| format!("{session};{step};1;1,2;1\n"),
                |session| format!("{session};1;1\n"),
            ),
            row,
        ),
        (log(trivago, click_out, |session| format!("u,t{session},1\n")), row),
        (
            log(trivago, click_out, |session| format!("u,t{session},noon,1,clickout item,1,1|2\n")),
            "timestamp: expected a whole number",
        ),
        (
            log("", json, |session| format!("{{\"session\":\"s{session}\",\"seen\":[1,2]}}\n")),
            "shown: expected a value",
        ),
    ];
    for (content, reason) in cases {
        let error = skipping(&content, 0.05).unwrap_err().to_string();
        assert!(error.contains("10 of its 30 sessions (33.3 %) cannot be used"), "{error}");
        let reading = skipping(&content, 0.34).unwrap().reading;
        assert_eq!(
            (reading.empty_sessions, reading.dropped.get(reason)),
            (10, Some(&10)),
            "{content}"
        );
    }
}

/// In these files such a row spoils the sessions before and after it, too.
#[test]
fn a_session_of_unreadable_rows_is_lost_in_a_gan_cdqn_file() {
    let row = |session: usize| format!("u{session}\t7\ti\t1\t0\t{session}");
    let content = [0, 2, 3].map(|session| row(session) + "\t0\t0\n");
    let content = format!("{GAN}{}{}\n{}{}", content[0], row(1), content[1], content[2]);
    let error = skipping(&content, 0.7).unwrap_err().to_string();
    assert!(error.contains("3 of its 4 sessions (75.0 %) cannot be used"), "{error}");
    assert_eq!(skipping(&content, 0.75).unwrap().reading.empty_sessions, 3);
}

/// A row that names a session which has rows of its own, before or after, loses none.
#[test]
fn a_session_that_keeps_a_step_is_not_lost_with_an_unreadable_row() {
    let rows = |session: &str| -> String {
        (1..15).map(|step| format!("{session},{step},1 2,1,1\n")).collect()
    };
    let content = format!("{CSV}b,0\n{}{}a,20\nb,20\n,9\n", rows("a"), rows("b"));
    let reading = skipping(&content, 0.15).unwrap().reading;
    assert_eq!((reading.empty_sessions, reading.refused_sessions, reading.rows), (0, 0, 32));
}

#[test]
fn as_large_a_share_as_may_be_skipped_is_not_more() {
    for percent in [29_usize, 57, 58] {
        let content: String = (0..100)
            .map(|session| {
                format!("s{session},{},1 2,1,1\n", if session < percent { "x" } else { "0" })
            })
            .collect();
        let content = format!("{CSV}{content}");
        assert_eq!(
            skipping(&content, percent as f64 / 100.0).unwrap().summary.sessions,
            100 - percent
        );
        let error = skipping(&content, (percent - 1) as f64 / 100.0).unwrap_err().to_string();
        let shares =
            format!("({percent}.0 %) cannot be used, more than the {}.0 % that", percent - 1);
        assert!(error.contains(&shares), "{error}");
    }
}
