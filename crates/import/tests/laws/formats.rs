//! Import -> export -> import is the identity, for every format.

use std::path::Path;

use foretaste_data::{
    Catalogue, Category, Choice, Context, Dataset, Extras, Facts, LogBuilder, Part, PropensityKind,
    Split, Step,
};
use foretaste_import::{Error, Format, Options, export, import, replaced_ids};
use proptest::prelude::*;

use crate::generate::{Holds, ODD_NAMES, any_dataset, datasets};

/// Item ids that every format can hold.
const PLAIN_NAMES: [&str; 8] = ["7", "007", "1234567", "-3", "ü", "x", "q\"t", "NaN"];
/// Session ids that are numbers, as in the papers' files.
const NUMBERED_SESSIONS: [&str; 8] =
    ["0", "1", "7", "2", "18446744073709551615", "1000000", "3", "5"];

fn read(path: &Path) -> Dataset {
    import(path, Options { name: Some("generated".into()), ..Options::default() }).unwrap().0
}

/// A session with raw ids instead of numbers, so that renumbering does not show.
type RawStep = (Vec<String>, String, f32, Option<Vec<f32>>, Option<i64>);

fn raw(dataset: &Dataset) -> Vec<(String, Option<String>, Vec<RawStep>)> {
    let name = |item| dataset.catalogue.raw(item).to_owned();
    let session = |session: foretaste_data::Session<'_>| {
        let steps = session.steps().map(|step| {
            let choice = match step.choice {
                Choice::Item(item) => format!("item {}", name(item)),
                other => format!("{other:?}"),
            };
            let slate = step.slate.iter().map(|&item| name(item)).collect();
            (slate, choice, step.reward, step.propensity.map(<[f32]>::to_vec), step.timestamp)
        });
        let user = session.user().map(|user| dataset.user_name(user));
        (dataset.session_name(session.index()).into_owned(), user, steps.collect())
    };
    dataset.log.iter().map(session).collect()
}

/// Exports, imports, exports and imports again.
fn there_and_back(dataset: &Dataset, format: Format) -> (Dataset, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["first", "second"].map(|name| folder.path().join(name));
    export(dataset, format, &paths[0]).unwrap();
    assert_eq!(Format::detect(&paths[0]).unwrap(), format);
    let first = read(&paths[0]);
    export(&first, format, &paths[1]).unwrap();
    let second = read(&paths[1]);
    (first, second)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn csv_import_export_import_is_the_identity(dataset in any_dataset()) {
        let (first, second) = there_and_back(&dataset, Format::Csv);
        prop_assert_eq!(raw(&first), raw(&dataset));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn json_lines_import_export_import_is_the_identity(dataset in any_dataset()) {
        let (first, second) = there_and_back(&dataset, Format::JsonLines);
        prop_assert_eq!(raw(&first), raw(&dataset));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn parquet_import_export_import_is_the_identity(dataset in any_dataset()) {
        let (first, second) = there_and_back(&dataset, Format::Parquet);
        prop_assert_eq!(raw(&first), raw(&dataset));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn irecgan_import_export_import_is_the_identity(
        dataset in datasets(Holds {
            names: PLAIN_NAMES,
            sessions: NUMBERED_SESSIONS,
            of_some: false,
            only_clicks: true,
            rewards: |r| f32::from(u8::from(r > 0.0)),
            users: false,
            timestamps: false,
            propensities: false,
        }),
    ) {
        let (first, second) = there_and_back(&dataset, Format::IRecGan);
        prop_assert_eq!(raw(&first), raw(&dataset));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn gan_cdqn_import_export_import_is_the_identity(
        mut dataset in datasets(Holds {
            names: ODD_NAMES,
            sessions: NUMBERED_SESSIONS,
            of_some: false,
            only_clicks: true,
            rewards: |_| 1.0,
            users: true,
            timestamps: true,
            propensities: false,
        }),
        parts in proptest::collection::vec(0..3, 8),
    ) {
        let part = |wanted: i32| (0..dataset.log.sessions()).filter(|&session| parts[session] == wanted).collect();
        dataset.split = Some(Split { train: part(0), validation: part(1), test: part(2) });
        let (first, second) = there_and_back(&dataset, Format::GanCdqn);
        prop_assert_eq!(raw(&first), raw(&dataset));
        prop_assert_eq!(&first.split, &dataset.split);
        prop_assert_eq!(first, second);
    }
}

/// Values and names that a file may stumble over.
const VALUES: [&str; 6] = ["phone", "7", "7.0", "a b,c\"", "true", "NaN"];
const COLUMNS: [&str; 3] = ["device", "a,b \"q\"", "ü"];

/// A data set whose propensities mean this, and each of whose steps has a context: of the steps in
/// order, the numbers of the values.
fn with_more(dataset: &Dataset, kind: PropensityKind, context: &[[Option<u32>; 3]]) -> Dataset {
    let mut log = LogBuilder::new(Facts { propensity: kind, ..Facts::default() });
    let mut context = context.iter().cycle();
    for session in dataset.log.iter() {
        for step in session.steps() {
            let mut numbers = step.propensity.map(<[f32]>::to_vec);
            if kind == PropensityKind::Slate {
                numbers.iter_mut().for_each(|numbers| numbers[1..].fill(1.0));
            }
            let values = context.next().unwrap();
            let values = values.map(|value| value.map_or(Category::UNKNOWN, Category::new));
            let extras = Extras { context: &values, ..Extras::default() };
            let step = Step { propensity: numbers.as_deref(), ..step };
            log.try_push_with(&step, &extras).unwrap();
        }
        log.end_session(session.user()).unwrap();
    }
    let values = || VALUES.into_iter().collect();
    let columns = COLUMNS.map(|name| Context { name: name.into(), values: values() });
    Dataset { log: log.build(), contexts: columns.into(), ..dataset.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_export_says_what_propensities_are_and_what_slates_were_shown_in(
        dataset in any_dataset(),
        kind in proptest::sample::select(vec![
            PropensityKind::Conditional, PropensityKind::Slate, PropensityKind::Marginal]),
        context in proptest::collection::vec(
            proptest::array::uniform3(proptest::option::of(0..6_u32)), 1..9),
        format in proptest::sample::select(vec![Format::Csv, Format::JsonLines, Format::Parquet]),
    ) {
        let dataset = with_more(&dataset, kind, &context);
        let (first, second) = there_and_back(&dataset, format);
        prop_assert_eq!(raw(&first), raw(&dataset));
        if dataset.has(Part::Propensities) {
            prop_assert_eq!(first.log.facts().propensity, kind);
        }
        prop_assert_eq!(crate::context::shown(&first), crate::context::shown(&dataset));
        let names = |dataset: &Dataset| -> Vec<String> {
            dataset.contexts.iter().map(|column| column.name.clone()).collect()
        };
        prop_assert_eq!(names(&first), names(&dataset));
        prop_assert_eq!(first, second);
    }
}

fn small(csv: &str) -> Dataset {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.csv");
    std::fs::write(&path, csv).unwrap();
    read(&path)
}

#[test]
fn what_a_format_cannot_hold_is_an_error() {
    let leaving = "session,step,shown,chosen,reward\na,0,1 2,,0\n";
    let skipping = "session,step,shown,chosen,reward,left\na,0,1 2,,0,false\n";
    let rewarded = "session,step,shown,chosen,reward\na,0,1 2,1,0.5\n";
    let random = "session,step,shown,chosen,reward,propensity\na,0,1 2,1,1,0.5 0.5\n";
    let timed = "session,step,shown,chosen,reward,timestamp\na,0,1 2,1,1,5\na,1,1 2,1,1,5\n";
    let named = "session,step,shown,chosen,reward,user\na,0,1 2,1,1,ann\n";
    let cases = [
        (leaving, Format::GanCdqn, "a step without a click"),
        (skipping, Format::IRecGan, "a step without a click"),
        (rewarded, Format::GanCdqn, "a reward other than 1"),
        (rewarded, Format::IRecGan, "a reward other than 0 and 1"),
        (random, Format::GanCdqn, "propensities"),
        (random, Format::IRecGan, "propensities"),
        (timed, Format::GanCdqn, "a time that is not above"),
        (timed, Format::IRecGan, "timestamps"),
        (named, Format::IRecGan, "users"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (csv, format, expected) in cases {
        let path = folder.path().join("exported");
        let error = export(&small(csv), format, &path).unwrap_err().to_string();
        assert!(error.contains(expected), "{format}: {error}");
        assert!(!path.exists(), "a failed export leaves no file");
    }
}

#[test]
fn leaving_a_part_out_is_advised_where_the_format_cannot_hold_it_and_nowhere_else() {
    let dataset = small("session,step,shown,chosen,reward,user,timestamp\na,0,1 2,1,1,ann,5\n");
    let folder = tempfile::tempdir().unwrap();
    let error =
        export(&dataset, Format::IRecGan, &folder.path().join("exported")).unwrap_err().to_string();
    assert!(error.ends_with(
        "cannot hold the data set's users, timestamps; --without users,timestamps exports the rest"
    ));
    let nowhere = folder.path().join("no such folder").join("exported");
    let rewarded = small("session,step,shown,chosen,reward\na,0,1 2,1,0.5\n");
    for error in [
        export(&dataset, Format::Csv, &nowhere),
        export(&rewarded, Format::IRecGan, &folder.path().join("e")),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(!error.contains("--without"), "{error}");
    }
}

#[test]
fn an_id_that_would_not_come_back_is_an_error() {
    let log = small("session,step,shown,chosen,reward,user\na,0,1 2,1,1,ann\n").log;
    let folder = tempfile::tempdir().unwrap();
    let fails = |item: &str, user: &str, format| {
        let catalogue = Catalogue::new([item, "b"].into_iter().collect());
        let users = [user].into_iter().collect();
        let dataset = Dataset {
            name: "odd".into(),
            log: log.clone(),
            catalogue,
            users,
            ..Dataset::default()
        };
        export(&dataset, format, &folder.path().join("exported")).is_err()
    };
    for item in ["", "a\nb", "a\rb"] {
        assert!(fails(item, "ann", Format::Csv), "{item:?}");
    }
    for item in ["a b", "a\tb", "[a]", "(a"] {
        assert!(!fails(item, "ann", Format::Csv), "{item:?}");
    }
    assert!(fails("a", "a\nb", Format::Csv) && !fails("a", "a b", Format::Csv));
    for format in [Format::JsonLines, Format::Parquet] {
        assert!(fails("", "ann", format) && !fails("a b", "a\nb", format));
    }
}

#[test]
fn a_part_that_is_dropped_on_purpose_does_not_hinder_an_export() {
    let mut dataset = small(
        "session,step,shown,chosen,reward,user,timestamp,propensity\n7,0,1 2,1,1,ann,3,1 1\n",
    );
    dataset.split = Some(Split { train: vec![0], ..Split::default() });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exported");
    assert!(matches!(export(&dataset, Format::IRecGan, &path), Err(Error::File { .. })));
    let bare = Part::ALL.into_iter().fold(dataset, Dataset::without);
    export(&bare, Format::IRecGan, &path).unwrap();
    assert_eq!(raw(&read(&path)), raw(&bare));
}

#[test]
fn ids_of_sessions_that_are_no_numbers_give_way_to_indices_in_the_papers_formats() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exported");
    let names = |ids: [&str; 2], format| {
        let [first, second] = ids;
        let csv =
            format!("session,step,shown,chosen,reward\n{first},0,1 2,1,1\n{second},0,1 2,2,1\n");
        let given = small(&csv);
        export(&given, format, &path).unwrap();
        let dataset = read(&path);
        let names = [0, 1].map(|session| dataset.session_name(session).into_owned());
        let replaced = ids.iter().zip(&names).filter(|(id, name)| *id != name).count();
        assert_eq!(replaced_ids(&given, format), replaced);
        names
    };
    for format in [Format::GanCdqn, Format::IRecGan] {
        assert_eq!(names(["70", "4"], format), ["70", "4"]);
        assert_eq!(names(["70", "x"], format), ["0", "1"]);
        // As indices where one alone would be the id of another.
        assert_eq!(names(["1", "07"], format), ["0", "1"]);
        // One of them is its index already.
        assert_eq!(names(["0", "07"], format), ["0", "1"]);
    }
    for format in [Format::Csv, Format::JsonLines] {
        assert_eq!(names(["1", "07"], format), ["1", "07"]);
    }
    let unheld = small("session,step,shown,chosen,reward\nw41,0,1 2,1,0.5\n");
    let error = export(&unheld, Format::IRecGan, &path).unwrap_err().to_string();
    assert!(error.contains("session \"w41\", step 0: the format cannot hold a reward"), "{error}");
}

#[test]
fn a_session_without_a_user_is_none_of_the_users_in_a_gan_cdqn_file() {
    let some = |user: &str| {
        small(&format!("session,step,shown,chosen,reward,user\n5,0,1 2,1,1,{user}\n6,0,1 2,2,1,\n"))
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exported");
    export(&some("ann"), Format::GanCdqn, &path).unwrap();
    let users: Vec<_> = raw(&read(&path)).into_iter().map(|(_, user, _)| user.unwrap()).collect();
    assert_eq!(users, ["ann", "6"]);
    let error = export(&some("6"), Format::GanCdqn, &path).unwrap_err().to_string();
    assert!(error.contains("\"6\" is also the id of a user"), "{error}");
    assert!(
        export(&some("ann"), Format::IRecGan, &path).unwrap_err().to_string().contains("users")
    );
}

#[test]
fn a_column_is_each_sessions_to_give() {
    let header = "session,step,shown,chosen,reward,user,timestamp,propensity,left\n";
    let rows = "a,0,1 2,1,1,ann,5,0.5 1,false\na,1,1 2,,0,ann,6,0.5 1,false\nb,0,1 2,2,1,,,,\nb,1,1 2,,0,,,,\nc,0,1,1,1,,-7,,\n";
    let dataset = small(&format!("{header}{rows}"));
    let log = &dataset.log;
    let parts = log.iter().map(|session| {
        let step = session.step(0);
        (session.user().is_some(), session.start(), step.propensity.is_some(), session.left())
    });
    let expected =
        [(true, Some(5), true, false), (false, None, false, true), (false, Some(-7), false, false)];
    assert_eq!(parts.collect::<Vec<_>>(), expected);
    assert!(!log.has_users() && !log.has_timestamps() && !log.has_propensities());
    let counts = [
        log.sessions_with_users(),
        log.sessions_with_timestamps(),
        log.sessions_with_propensities(),
    ];
    assert_eq!(counts, [1, 2, 1]);
    let table = foretaste_data::Summary::new(&dataset).to_string();
    for part in [
        "users                 1\n",
        "sessions with users   1 of 3\n",
        "sessions with times   2 of 3\n",
        "with propensities     1 of 3\n",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let whole = dataset.select(&[0]).unwrap();
    assert!(whole.log.has_users() && whole.log.has_timestamps() && whole.log.has_propensities());
    assert_eq!(foretaste_data::Summary::new(&whole).of_some, []);
    // A column that is all empty is none.
    assert_eq!(
        dataset.select(&[1]).unwrap().log,
        small("session,step,shown,chosen,reward\nb,0,1 2,2,1\nb,1,1 2,,0\n").log
    );
}

#[test]
fn columns_may_stand_in_any_order_and_ids_be_numbers_or_strings() {
    let csv = small("reward,chosen,shown,step,session\n1,b,a b,3,s\n0,,b c,9,s\n");
    let json = "{\"session\":\"s\",\"step\":3,\"shown\":[\"a\",\"b\"],\"chosen\":\"b\",\"reward\":1}\n\
                {\"reward\":0,\"shown\":[\"b\",\"c\"],\"step\":9,\"session\":\"s\",\"chosen\":null}\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.jsonl");
    std::fs::write(&path, json).unwrap();
    assert_eq!(raw(&read(&path)), raw(&csv));
    assert!(csv.log.session(0).left());

    std::fs::write(
        &path,
        "{\"session\":1,\"step\":0,\"shown\":[5,\"6\"],\"chosen\":6,\"reward\":1,\"propensity\":[1,0.5]}\n",
    )
    .unwrap();
    let (shown, chosen, ..) = raw(&read(&path)).remove(0).2.remove(0);
    assert_eq!((shown, chosen), (vec!["5".to_owned(), "6".to_owned()], "item 6".to_owned()));
}

#[test]
fn a_null_choice_leaves_at_the_end_of_a_session_and_skips_before() {
    let dataset = small("session,step,shown,chosen,reward\na,0,1 2,,0\na,1,1 2,,0\nb,0,1,,0\n");
    let choices: Vec<Choice> =
        dataset.log.iter().flat_map(|s| s.steps().map(|step| step.choice)).collect();
    assert_eq!(choices, [Choice::Skip, Choice::Leave, Choice::Leave]);
}

#[test]
fn repeated_rows_of_an_item_are_one_and_slates_come_in_time_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repeats.tsv");
    let header = "SessionId\tTime\tItemId\tis_click\traw_index\tsession_new_index\titem_new_index\ttr_val_tst\n";
    let rows = "u\t5\tx\t1\t0\t0\t0\t2\nu\t2\ta\t0\t1\t0\t1\t2\nu\t2\tb\t0\t2\t0\t2\t2\nu\t2\ta\t1\t3\t0\t1\t2\nu\t5\ty\t0\t4\t0\t3\t2\n";
    std::fs::write(&path, format!("{header}{rows}")).unwrap();
    let dataset = read(&path);
    let steps = raw(&dataset).remove(0).2;
    let seen: Vec<_> = steps
        .iter()
        .map(|(slate, choice, _, _, time)| (slate.join(" "), choice.as_str(), *time))
        .collect();
    assert_eq!(seen, [("a b".into(), "item a", Some(2)), ("x y".into(), "item x", Some(5))]);
    assert_eq!(dataset.split.unwrap().test, [0]);
}

#[test]
fn gzip_is_seen_through() {
    use std::io::Write;
    let csv = "session,step,shown,chosen,reward\na,0,1 2,1,1\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.csv.gz");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(csv.as_bytes()).unwrap();
    std::fs::write(&path, gzip.finish().unwrap()).unwrap();
    let (dataset, report) = import(&path, Options::default()).unwrap();
    assert_eq!((report.summary.name.as_str(), raw(&dataset)), ("small", raw(&small(csv))));
}
