//! Logs as people have them: names of columns, lists, times, order, several clicks, files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use foretaste_data::{Choice, Dataset, EventKind, PropensityKind, TimeUnit};
use foretaste_import::{
    Clicks, Format, Input, Layout, OffSlate, Options, Propensities, Repeated, Report, Result,
    export, guess, import,
};

/// Imports a file of this name and content.
fn read_as(name: &str, content: &[u8], layout: Layout) -> Result<(Dataset, Report)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    import(&path, Options { layout, ..Options::default() })
}

fn read(csv: &str, layout: Layout) -> (Dataset, Report) {
    read_as("shop.csv", csv.as_bytes(), layout).unwrap()
}

fn plain(csv: &str) -> (Dataset, Report) {
    read(csv, Layout::default())
}

fn refused(csv: &str, layout: Layout) -> String {
    read_as("shop.csv", csv.as_bytes(), layout).unwrap_err().to_string()
}

pub fn columns(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(ours, theirs)| (ours.to_string(), theirs.to_string())).collect()
}

/// The steps of a session: slate, choice (`-` for none, `!` for leaving) and reward.
fn steps(dataset: &Dataset, session: usize) -> Vec<(String, String, f32)> {
    let raw = |item| dataset.catalogue.raw(item).to_owned();
    let step = |step: foretaste_data::Step<'_>| {
        let slate: Vec<String> = step.slate.iter().map(|&item| raw(item)).collect();
        let choice = match step.choice {
            Choice::Item(item) => raw(item),
            Choice::Skip => "-".into(),
            Choice::Leave => "!".into(),
        };
        (slate.join(" "), choice, step.reward)
    };
    dataset.log.session(session).steps().map(step).collect()
}

pub fn shown(dataset: &Dataset) -> Vec<String> {
    let sessions = (0..dataset.log.sessions()).map(|session| {
        let steps = steps(dataset, session);
        let steps: Vec<String> = steps
            .iter()
            .map(|(slate, choice, reward)| format!("{slate}>{choice}={reward}"))
            .collect();
        format!("{}: {}", dataset.session_name(session), steps.join(", "))
    });
    sessions.collect()
}

const HEADER: &str = "session,step,shown,chosen,reward\n";

#[test]
fn several_clicks_are_one_slate_or_each_a_step() {
    let csv = format!("{HEADER}a,0,k1 k2 k3 k4,k3 k1,1\na,1,k1 k5 k6,,0\n");
    let (first, report) = plain(&csv);
    assert_eq!(shown(&first), ["a: k1 k2 k3 k4>k3=1, k1 k5 k6>!=0"]);
    assert_eq!(report.summary.several_clicks, (1, 2));
    assert!(report.to_string().contains("several clicks        2 on 1 slates"), "{report}");
    let (each, _) = read(&csv, Layout { clicks: Clicks::Each, ..Layout::default() });
    assert_eq!(shown(&each), ["a: k1 k2 k3 k4>k3=1, k1 k2 k4>k1=0, k2 k4>-=0, k1 k5 k6>!=0"]);
    // Each click with its own reward, and a reward for each place.
    for reward in ["0.25 2", "2 0 0.25 0", "[0.25, 2.0]"] {
        let csv = format!("{HEADER}a,0,k1 k2 k3 k4,k3 k1,\"{reward}\"\n");
        let (dataset, _) = plain(&csv);
        assert_eq!(shown(&dataset), ["a: k1 k2 k3 k4>k3=2.25"], "{reward}");
        let own: Vec<f32> =
            dataset.log.session(0).extras(0).clicks.iter().map(|(_, own)| *own).collect();
        assert_eq!(own, [0.25, 2.0]);
    }
    let error = refused(&format!("{HEADER}a,0,k1 k2 k3 k4,k3 k1,1 2 3\n"), Layout::default());
    assert!(error.contains("3 for 2 choices and 4 items"), "{error}");
}

#[test]
fn clicks_may_be_flags_of_the_places() {
    let csv = "session,shown,clicked\na,k1 k2 k3,0 1 1\na,k1 k2,0 0\n";
    let (dataset, _) = plain(csv);
    assert_eq!(shown(&dataset), ["a: k1 k2 k3>k2=2, k1 k2>!=0"]);
    let error = refused("session,shown,clicked\na,k1 k2 k3,0 1\n", Layout::default());
    assert!(error.contains("shop.csv:2: clicked") && error.contains("2 for 3 items"), "{error}");
}

#[test]
fn an_item_that_stands_twice_is_an_error_or_has_its_first_place() {
    let csv = format!("{HEADER}a,0,q7 q7 q2 q9,q2,1\n");
    let error = refused(&csv, Layout::default());
    assert!(error.contains("\"q7\" twice") && error.contains("--repeated first"), "{error}");
    let (dataset, report) = read(&csv, Layout { repeated: Repeated::First, ..Layout::default() });
    assert_eq!(shown(&dataset), ["a: q7 q2 q9>q2=1"]);
    assert!(report.to_string().contains("1 slates showed an item more than once"), "{report}");
    // The propensities of the other places stay with them.
    let csv = "session,step,shown,chosen,reward,propensity\na,0,q7 q7 q2,q2,1,0.5 0.1 0.25\n";
    let (dataset, _) = read(csv, Layout { repeated: Repeated::First, ..Layout::default() });
    assert_eq!(dataset.log.session(0).step(0).propensity, Some(&[0.5, 0.25][..]));
}

#[test]
fn padding_is_no_item_and_no_click_is_none() {
    let csv = format!("{HEADER}a,0,5 9 0 0,-1,0\na,1,5 4 3 0,4,1\n");
    let layout =
        Layout { padding: vec!["0".into()], no_click: vec!["-1".into()], ..Layout::default() };
    let (dataset, _) = read(&csv, layout);
    assert_eq!(shown(&dataset), ["a: 5 9>-=0, 5 4 3>4=1"]);
    assert_eq!(dataset.catalogue.len(), 4);
    let error = refused(&format!("{HEADER}a,0,5 9 7,-1,0\n"), Layout::default());
    assert!(error.contains("\"-1\"") && error.contains("--no-click -1"), "{error}");
}

#[test]
fn a_choice_that_is_not_on_its_slate_is_refused_dropped_or_appended() {
    let csv = format!("{HEADER}a,0,k1 k2,k9,1\na,1,k1 k2,k1,1\n");
    let error = refused(&csv, Layout::default());
    assert!(error.contains("shop.csv:2: chosen") && error.contains("\"k9\""), "{error}");
    assert!(error.contains("--off-slate drop") && error.contains("append"), "{error}");
    let (dataset, report) = read(&csv, Layout { off_slate: OffSlate::Drop, ..Layout::default() });
    assert_eq!((shown(&dataset), dataset.catalogue.len()), (vec!["a: k1 k2>k1=1".into()], 2));
    // What a session ended with is then not known.
    let last = format!("{HEADER}a,0,k1 k2,,0\na,1,k1 k2,k9,1\n");
    let (other, _) = read(&last, Layout { off_slate: OffSlate::Drop, ..Layout::default() });
    assert_eq!(shown(&other), ["a: k1 k2>-=0"]);
    assert_eq!(report.reading.dropped.values().sum::<u64>(), 1);
    let (dataset, report) = read(&csv, Layout { off_slate: OffSlate::Append, ..Layout::default() });
    assert_eq!(shown(&dataset), ["a: k1 k2 k9>k9=1, k1 k2>k1=1"]);
    assert!(report.to_string().contains("1 choices were not on their slate"), "{report}");
}

#[test]
fn ids_with_blanks_need_a_separator_or_brackets_and_the_error_says_so() {
    let row = "\"\"\"odd name\"\" of a band|abba\"";
    let csv = format!("{HEADER}s1,0,{row},abba,1\n");
    let error = refused(&csv, Layout::default());
    for part in ["--list-separator '|'", "JSON Lines", "blanks"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let (dataset, _) = read(&csv, Layout { list_separator: Some('|'), ..Layout::default() });
    assert_eq!(dataset.catalogue.raw(foretaste_data::ItemId(0)), "\"odd name\" of a band");
    for list in ["['odd name', 'abba']", "[\"\"odd name\"\", \"\"abba\"\"]"] {
        let (dataset, _) = plain(&format!("{HEADER}s1,0,\"{list}\",abba,1\n"));
        assert_eq!(dataset.catalogue.names().iter().collect::<Vec<_>>(), ["odd name", "abba"]);
    }
    // And back: what is exported is read as it was.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("back.csv");
    export(&dataset, Format::Csv, &path).unwrap();
    assert_eq!(shown(&import(&path, Options::default()).unwrap().0), shown(&dataset));
}

#[test]
fn numbers_that_became_floats_are_the_numbers_that_they_were() {
    let csv = "session,step,shown,chosen,reward,user,left\n\
        1,0.0,12 7 9,7.0,1.0,42.0,False\n1,1.0,3 12 5,,0.0,42.0,True\n";
    let (dataset, _) = plain(csv);
    assert_eq!(shown(&dataset), ["1: 12 7 9>7=1, 3 12 5>!=0"]);
    assert_eq!(dataset.user_name(0), "42");
    let csv = format!("{HEADER}1,0,12.0 7.0,7,1\n2,0,\"[12.0, 7.0]\",7.0,1\n");
    assert_eq!(shown(&plain(&csv).0), ["1: 12.0 7.0>7.0=1", "2: 12 7>7=1"]);
}

#[test]
fn sessions_without_a_user_are_kept() {
    let csv = "session,step,shown,chosen,reward,user\n\
        n0,0,a b,b,1,\nn1,0,a b,b,1,u1\nn2,0,a b,b,1,u2\n";
    let (dataset, report) = plain(csv);
    assert_eq!((dataset.log.sessions(), report.summary.users), (3, Some(2)));
    assert_eq!(dataset.log.sessions_with_users(), 2);
}

#[test]
fn interleaved_rows_are_sorted_or_an_error_that_says_how() {
    let csv = format!("{HEADER}s1,0,a b,a,1\ns2,0,a b,b,1\ns1,1,b c,c,1\n");
    let error = refused(&csv, Layout::default());
    assert!(error.contains("shop.csv:4: session") && error.contains("--sort"), "{error}");
    let sort = Layout { sort: true, ..Layout::default() };
    let (dataset, _) = read(&csv, sort.clone());
    assert_eq!(shown(&dataset), ["s1: a b>a=1, b c>c=1", "s2: a b>b=1"]);
    // A bad row is at fault where it stands.
    let error = refused(&format!("{csv}s2,1,a b,x,1\n"), sort);
    assert!(error.contains("shop.csv:5: chosen") && error.contains("\"x\""), "{error}");
}

#[test]
fn times_that_fall_within_a_session_are_sorted_or_an_error_that_says_how() {
    let csv = "session,step,shown,chosen,reward,timestamp\n\
        s1,0,a b,a,1,300\ns1,1,b c,c,1,100\ns1,2,c d,d,1,100\n";
    let error = refused(csv, Layout::default());
    assert!(error.contains("shop.csv:3: timestamp") && error.contains("--sort"), "{error}");
    assert!(error.contains("100 after 300"), "{error}");
    let (dataset, _) = read(csv, Layout { sort: true, ..Layout::default() });
    assert_eq!(shown(&dataset), ["s1: b c>c=1, c d>d=1, a b>a=1"]);
}

#[test]
fn steps_of_one_time_are_two_and_exact_duplicates_are_counted() {
    let header = "session,step,shown,chosen,reward,timestamp\n";
    let csv = format!("{header}m,0,w,w,1,1598930863599\nm,1,w,w,1,1598930863599\n");
    let (dataset, report) = plain(&csv);
    assert_eq!((dataset.log.steps(), report.reading.notes.len()), (2, 0));
    assert_eq!(dataset.log.facts().time_unit, Some(TimeUnit::Milliseconds));
    // The same step, written twice.
    let twice = format!("{header}m,0,w,w,1,5\nm,0,w,w,1,5\nm,1,w,w,1,5\n");
    for sort in [false, true] {
        let (dataset, report) = read(&twice, Layout { sort, ..Layout::default() });
        assert_eq!(dataset.log.steps(), 2);
        assert!(report.to_string().contains("1 rows repeat the row before"), "{report}");
    }
    let other = format!("{header}m,0,w v,w,1,5\nm,0,w v,v,1,5\n");
    assert!(refused(&other, Layout::default()).contains("step"));
}

#[test]
fn pauses_cut_the_rows_of_a_user_into_sessions() {
    let csv = "user,shown,chosen,timestamp\n\
        ann,a b,a,2024-03-10T02:00:00+01:00\nbob,a b,b,2024-03-10T01:10:00Z\n\
        ann,b c,c,2024-03-10T01:20:00Z\nann,c d,,2024-03-10T02:00:00Z\n";
    let gap = Some("30m".parse().unwrap());
    let (dataset, _) = read(csv, Layout { session_gap: gap, ..Layout::default() });
    assert_eq!(shown(&dataset), ["ann#1: a b>a=1, b c>c=1", "ann#2: c d>!=0", "bob#1: a b>b=1"]);
    assert_eq!(dataset.log.sessions_with_users(), 3);
    let error = refused(csv, Layout::default());
    assert!(error.contains("--session-gap 30m"), "{error}");
    let all = Layout { columns: columns(&[("session", "user")]), sort: true, ..Layout::default() };
    assert_eq!(read(csv, all).0.log.sessions(), 2);
    let own = csv.replace("2024-03-10T0", "").replace("+01:00", "").replace(['Z', ':'], "");
    let error = refused(&own, Layout { session_gap: gap, ..Layout::default() });
    assert!(error.contains("--time-unit"), "{error}");
}

#[test]
fn rows_of_one_item_each_join_into_slates() {
    let csv = "user_id,video_id,time_ms,is_click,is_rand\n\
        7,v1,1650000000000,0,0\n7,v2,1650000000000,1,0\n7,v9,1650000000000,1,0\n\
        7,v3,1650000090000,0,0\n8,v1,1650000000000,0,1\n";
    let layout = Layout {
        columns: columns(&[
            ("session", "user_id"),
            ("item", "video_id"),
            ("timestamp", "time_ms"),
            ("clicked", "is_click"),
        ]),
        ..Layout::default()
    };
    let (dataset, report) = read(csv, layout);
    assert_eq!(shown(&dataset), ["7: v1 v2 v9>v2=2, v3>!=0", "8: v1>!=0"]);
    assert_eq!(report.summary.several_clicks, (1, 2));
    assert_eq!(report.reading.ignored_columns, ["is_rand"]);
    // A slate of which a row is bad is dropped as a whole.
    let bad = "session,slate,item,clicked\ns,q1,a,0\ns,q1,b,maybe\ns,q1,c,1\ns,q2,d,1\n";
    let folder = folder_of(&[("shop.csv", bad.as_bytes())]);
    let options = Options { skip_bad_rows: true, max_bad: 1.0, ..Options::default() };
    let (dataset, report) = import(&folder.path().join("shop.csv"), options).unwrap();
    assert_eq!((shown(&dataset), dataset.catalogue.len()), (vec!["s: d>d=1".to_owned()], 1));
    assert_eq!(report.reading.dropped.values().sum::<u64>(), 3);
    // In the order of their places, with their propensities.
    let csv = "session,slate,item,position,chosen,propensity\n\
        s,q1,b,2,,0.5\ns,q1,a,1,x,0.25\ns,q2,a,1,,1\n";
    let (dataset, _) = plain(csv);
    assert_eq!(shown(&dataset), ["s: a b>a=1, a>!=0"]);
    assert_eq!(dataset.log.session(0).step(0).propensity, Some(&[0.25, 0.5][..]));
}

#[test]
fn columns_have_other_names_and_others_are_named_and_not_read() {
    let csv = "Unnamed: 0;sid;list;click;query\n0;s1;a|b;b;shoes\n1;s1;a|c;;hats\n";
    let layout = Layout {
        columns: columns(&[("session", "sid"), ("shown", "list"), ("chosen", "click")]),
        list_separator: Some('|'),
        ..Layout::default()
    };
    let (dataset, report) = read(csv, layout.clone());
    assert_eq!(shown(&dataset), ["s1: a b>b=1, a c>!=0"]);
    assert!(report.to_string().contains("columns not read      Unnamed: 0, query"), "{report}");
    let bad = csv.replace("a|b;b", "a|b;z");
    let error = refused(&bad, layout.clone());
    assert!(error.contains("shop.csv:2: chosen: column \"click\": expected"), "{error}");
    let json = "{\"sid\":\"s1\",\"list\":[\"a\",\"b\"],\"click\":\"b\",\"query\":{\"q\":[1]}}\n";
    let (dataset, report) = read_as("shop.jsonl", json.as_bytes(), layout.clone()).unwrap();
    assert_eq!(
        (shown(&dataset), report.reading.ignored_columns),
        (vec!["s1: a b>b=1".into()], vec!["query".into()])
    );
    let missing = Layout { columns: columns(&[("user", "uid")]), ..layout };
    assert!(refused(csv, missing).contains("no column \"uid\", which was given as user"));
}

#[test]
fn any_delimiter_is_found() {
    for delimiter in [",", "\t", ";", "|"] {
        let csv = format!("{HEADER}a,0,k1 k2,k1,1\n").replace(',', delimiter);
        assert_eq!(shown(&plain(&csv).0), ["a: k1 k2>k1=1"], "{delimiter:?}");
    }
    let csv = format!("{HEADER}a,0,k1 k2,k1,1\n").replace(',', ":");
    let layout = Layout { delimiter: Some(':'), format: Some(Format::Csv), ..Layout::default() };
    assert_eq!(shown(&read(&csv, layout).0), ["a: k1 k2>k1=1"]);
}

#[test]
fn propensities_mean_what_is_declared() {
    let csv = "session,step,shown,chosen,reward,propensity\na,0,x y z,,0,0.5 0.25 0.0625\n";
    let (dataset, _) =
        read(csv, Layout { propensities: Some(Propensities::Cumulative), ..Layout::default() });
    assert_eq!(dataset.log.session(0).step(0).propensity, Some(&[0.5, 0.5, 0.25][..]));
    assert_eq!(dataset.log.facts().propensity, PropensityKind::Conditional);
    let (dataset, _) =
        read(csv, Layout { propensities: Some(Propensities::Marginal), ..Layout::default() });
    assert_eq!(dataset.log.facts().propensity, PropensityKind::Marginal);
    let slate = Layout { propensities: Some(Propensities::Slate), ..Layout::default() };
    assert!(refused(csv, slate.clone()).contains("one number for the whole slate"));
    let csv = csv.replace("0.5 0.25 0.0625", "0.125");
    let error = refused(&csv, Layout::default());
    assert!(error.contains("1 for 3 items") && error.contains("--propensities slate"), "{error}");
    let (dataset, _) = read(&csv, slate.clone());
    assert_eq!(dataset.log.session(0).step(0).propensity, Some(&[0.125, 1.0, 1.0][..]));
    for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("back");
        export(&dataset, format, &path).unwrap();
        // The name of the column says what they are, with the option and without.
        for layout in [slate.clone(), Layout::default()] {
            let (back, _) = import(&path, Options { layout, ..Options::default() }).unwrap();
            assert_eq!(back.log, dataset.log, "{format}");
        }
        let layout = Layout { propensities: Some(Propensities::Marginal), ..Layout::default() };
        let error = import(&path, Options { layout, ..Options::default() }).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("slate propensities in the column \"slate_propensity\"")
                && error.contains("said to be marginal"),
            "{error}"
        );
    }
}

#[test]
fn a_log_has_one_kind_of_propensities() {
    let row = |column: &str, session: &str| {
        format!("session,shown,chosen,{column}\n{session},x y,,0.5 0.5\n")
    };
    let both = "session,shown,chosen,propensity,marginal_propensity\na,x y,,0.5 1,0.5 0.5\n";
    assert!(refused(both, Layout::default()).contains("leave one out with --ignore-columns"));
    let layout = Layout { ignore_columns: vec!["propensity".into()], ..Layout::default() };
    assert_eq!(read(both, layout).0.log.facts().propensity, PropensityKind::Marginal);
    let lines = "{\"session\":1,\"shown\":[1],\"chosen\":1,\"marginal_propensity\":0.5}\n\
        {\"session\":2,\"shown\":[1],\"chosen\":1,\"propensity\":0.5}\n";
    let folder = folder_of(&[
        ("two/a.csv", row("marginal_propensity", "a").as_bytes()),
        ("two/b.csv", row("propensity", "b").as_bytes()),
        ("two.jsonl", lines.as_bytes()),
    ]);
    for (name, place) in [("two", "two/b.csv: "), ("two.jsonl", "two.jsonl:2: ")] {
        let error = import_at(&folder.path().join(name)).unwrap_err().to_string();
        let what = "expected one kind of propensities in a log, found conditional ones after \
                    marginal ones";
        assert!(error.contains(place) && error.contains(what), "{error}");
    }
}

const RICH: &str = "session,step,shown,chosen,reward,timestamp,candidates,event\n\
    s1,0,,k9,,1710034100000,,addtocart\n\
    s1,0,k1 k2 k3,k3 k1,1 2,1710034200000,k1 k2 k3 k7,\n\
    s1,1,,k3,,1710034300000,,order\n\
    s1,1,k1 k2,,-1,1710034400000,k2 k1,\n\
    s2,0,k2,,0,1710034500000,,\n";

#[test]
fn what_is_beside_slates_survives_every_format_of_ours() {
    let (dataset, report) = plain(RICH);
    assert_eq!(shown(&dataset), ["s1: k1 k2 k3>k3=3, k1 k2>!=-1", "s2: k2>!=0"]);
    let events: Vec<_> = dataset
        .log
        .session(0)
        .events()
        .map(|event| (dataset.catalogue.raw(event.item), event.kind, event.after))
        .collect();
    assert_eq!(events, [("k9", EventKind::Cart, 0), ("k3", EventKind::Order, 1)]);
    let pool = |t| dataset.log.session(0).candidates(t).map(<[_]>::len);
    assert_eq!((pool(0), pool(1), dataset.log.session(1).candidates(0)), (Some(4), Some(2), None));
    assert_eq!((report.summary.events, report.summary.steps, report.summary.candidates), (2, 3, 2));
    for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("back");
        export(&dataset, format, &path).unwrap();
        let name = Some(dataset.name.clone());
        let (back, _) = import(&path, Options { name, ..Options::default() }).unwrap();
        assert_eq!(back, dataset, "{format}");
    }
    let (sorted, _) = read(RICH, Layout { sort: true, ..Layout::default() });
    assert_eq!(sorted.log, dataset.log);
}

#[test]
fn what_is_no_event_and_what_has_no_slate_is_refused() {
    let error = refused(&RICH.replace("addtocart", "teleport"), Layout::default());
    assert!(error.contains("shop.csv:2: event") && error.contains("\"teleport\""), "{error}");
    let csv = "session,item,event\na,k1,view\n";
    assert!(refused(csv, Layout::default()).contains("has no slate"));
}

#[test]
fn long_sessions_are_left_out_and_leave_no_items() {
    let bot: String = (0..9).map(|step| format!("bot,{step},z{step} k1,,0\n")).collect();
    let csv = format!("{HEADER}{bot}a,0,k1 k2,k1,1\n");
    let (dataset, report) = read(&csv, Layout { max_session_steps: Some(8), ..Layout::default() });
    assert_eq!((shown(&dataset), dataset.catalogue.len()), (vec!["a: k1 k2>k1=1".into()], 2));
    assert_eq!(report.reading.long_sessions, 1);
}

pub fn folder_of(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn import_at(path: &Path) -> Result<(Dataset, Report)> {
    import(path, Options::default())
}

#[test]
fn a_folder_a_pattern_and_several_files_are_one_log() {
    let part = |rows: &str| format!("{HEADER}{rows}").into_bytes();
    let (one, two) = (part("a,0,k1 k2,k1,1\n"), part("a,1,k1 k2,,0\nb,0,k3,k3,1\n"));
    let folder = folder_of(&[
        ("day=2024-03-10/part-00000.csv", &one),
        ("day=2024-03-11/part-00001.csv", &two),
        ("day=2024-03-11/.part-00001.csv.crc", b"\x01"),
        ("_SUCCESS", b""),
        ("day=2024-03-12/part-00002.csv", b""),
    ]);
    let expected = ["a: k1 k2>k1=1, k1 k2>!=0", "b: k3>k3=1"];
    let (dataset, report) = import_at(folder.path()).unwrap();
    assert_eq!((shown(&dataset), report.reading.rows), (expected.map(String::from).to_vec(), 3));
    let (dataset, _) = import_at(&folder.path().join("day=*/part-0000[01].csv")).unwrap();
    assert_eq!(shown(&dataset), expected);
    let paths: Vec<PathBuf> = ["day=2024-03-10", "day=2024-03-11/part-00001.csv"]
        .map(|name| folder.path().join(name))
        .into();
    let (dataset, _) = Input::open_all(&paths).unwrap().import(Options::default()).unwrap();
    assert_eq!(shown(&dataset), expected);
    // An error names the file in which the row stands.
    let bad = folder_of(&[("p0.csv", &one), ("p1.csv", &part("c,0,k1,zz,1\n"))]);
    let error = import_at(bad.path()).unwrap_err().to_string();
    assert!(error.contains("p1.csv:2: chosen"), "{error}");
    let nothing = import_at(&folder.path().join("day=2023*")).unwrap_err().to_string();
    assert!(nothing.contains("no file matches"), "{nothing}");
}

#[test]
fn folders_say_what_their_files_lack() {
    let rows = b"step,shown,chosen,reward,user\n0,k1 k2,k1,1,\n1,k1 k2,,0,\n";
    let folder = folder_of(&[("session=x%3A1/p.csv", rows), ("session=y/p.csv", rows)]);
    let (dataset, _) = import_at(folder.path()).unwrap();
    assert_eq!(shown(&dataset), ["x:1: k1 k2>k1=1, k1 k2>!=0", "y: k1 k2>k1=1, k1 k2>!=0"]);
}

#[test]
fn compressed_files_are_seen_through_and_truncated_ones_are_told() {
    let rows: String = (0..300).map(|s| format!("s{s},0,k{} k{},k{s},1\n", s, s + 1)).collect();
    let csv = format!("{HEADER}{rows}");
    let zst = zstd::encode_all(csv.as_bytes(), 1).unwrap();
    let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz2.write_all(csv.as_bytes()).unwrap();
    let bz2 = bz2.finish().unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("inside/shop.csv", options).unwrap();
    zip.write_all(csv.as_bytes()).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let expected = shown(&plain(&csv).0);
    for (name, bytes) in [("shop.csv.zst", &zst), ("shop.csv.bz2", &bz2), ("shop.zip", &zip)] {
        let (dataset, report) = read_as(name, bytes, Layout::default()).unwrap();
        assert_eq!((shown(&dataset), report.summary.name.as_str()), (expected.clone(), "shop"));
        let half = &bytes[..bytes.len() / 2];
        let error = read_as(name, half, Layout::default()).unwrap_err().to_string();
        let told = ["truncated", "damaged", "cannot be unpacked"];
        assert!(told.iter().any(|part| error.contains(part)), "{name}: {error}");
    }
    // What is wrong in an archive is named within it.
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a.csv", options).unwrap();
    zip.write_all(csv.replace(",k7,1", ",q,1").as_bytes()).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let error = read_as("shop.zip", &zip, Layout::default()).unwrap_err().to_string();
    assert!(error.contains("shop.zip/a.csv:9: chosen"), "{error}");
}

/// The layout that is guessed for a file, and what it reads.
pub fn guessed(name: &str, content: &[u8]) -> (String, Dataset) {
    let folder = folder_of(&[(name, content)]);
    let path = folder.path().join(name);
    let text = guess(&Input::open(&path).unwrap(), &Layout::default())
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(content)));
    let toml = folder.path().join("layout.toml");
    std::fs::write(&toml, &text).unwrap();
    let layout = Layout::read(&toml).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (dataset, _) = import(&path, Options { layout, ..Options::default() })
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, dataset)
}

#[test]
fn slates_are_guessed_from_their_cells_whatever_they_are_called() {
    let expected = ["s1: a b c>b=1, c d>!=0", "s2: b d>d=1, a c d>a=1"];
    let lists = [["a", "b", "c"].as_slice(), &["c", "d"], &["b", "d"], &["a", "c", "d"]];
    let quoted = |quote: &str, list: &[&str]| {
        let ids: Vec<String> = list.iter().map(|id| format!("{quote}{id}{quote}")).collect();
        format!("[{}]", ids.join(", "))
    };
    type Cell<'a> = &'a dyn Fn(&[&str]) -> String;
    let cells: [Cell<'_>; 9] = [
        &|list| list.join(";"),
        &|list| list.join("|"),
        &|list| list.join(" "),
        &|list| list.join(","),
        &|list| list.join(", "),
        &|list| list.join("/"),
        &|list| quoted("'", list),
        &|list| quoted("\"", list),
        &|list| quoted("", list).replace(", ", " "),
    ];
    for names in ["products_shown,picked", "products_shown,clicked", "vitrine,item_id"] {
        for cell in cells {
            // Only a column that is called a choice tells separators that are not common.
            if names != "products_shown,clicked" && cell(&["a", "b"]) == "a/b" {
                continue;
            }
            let mut csv = format!("session_id,step,{names},weight\n");
            for (at, (list, chosen)) in lists.iter().zip(["b", "", "d", "a"]).enumerate() {
                let list = cell(list).replace('"', "\"\"");
                csv += &format!("s{},{},\"{list}\",{chosen},{at}\n", 1 + at / 2, at % 2);
            }
            let (text, dataset) = guessed("shop.csv", csv.as_bytes());
            assert_eq!(shown(&dataset), expected, "{csv}\n{text}");
        }
    }
    let rows = lists.iter().zip(["\"b\"", "null", "\"d\"", "\"a\""]).enumerate();
    let json: String = rows
        .map(|(at, (list, chosen))| {
            let (session, list) = (1 + at / 2, quoted("\"", list));
            format!(
                "{{\"sid\": 7, \"session\": \"s{session}\", \"put\": {list}, \"got\": {chosen}}}\n"
            )
        })
        .collect();
    assert_eq!(shown(&guessed("shop.jsonl", json.as_bytes()).1), expected);
    // A list of what could have been shown holds what was chosen, too.
    let csv = "sess,available_now,on_page,clicked\ns1,a;b;c;d,b;a,a\ns1,a;b;c;d,d;c,\n";
    assert_eq!(shown(&guessed("shop.csv", csv.as_bytes()).1), ["s1: b a>a=1, d c>!=0"]);
    // A column that is called a list, and holds numbers of results.
    let csv = "sess,results,on_page,clicked\ns1,2,b;a,a\ns1,2,d;c,c\n";
    assert_eq!(shown(&guessed("shop.csv", csv.as_bytes()).1), ["s1: b a>a=1, d c>c=1"]);
    // Ids of several words end in no padding.
    let csv =
        "sess,on_page,clicked\ns1,red shoe|old shoe shoe|hat,red shoe\ns1,hat|shoe shoe shoe,\n";
    let (text, _) = guessed("shop.csv", csv.as_bytes());
    assert!(!text.contains("padding"), "{text}");
}

#[test]
fn a_guessed_layout_reads_the_file() {
    let cases: [(&str, &str, &[&str]); 5] = [
        (
            "a.csv",
            "visit_id;ts;impressions;clicked_item;price;query\n\
             v1;1710034200;k1|k2|k3;k2;0.5;x\nv1;1710034300;k1|k4|k5;;0;x\n",
            &["v1: k1 k2 k3>k2=0.5, k1 k4 k5>!=0"],
        ),
        (
            "b.csv",
            "user_id,item_id,time_ms,is_click,rank\n1,k1,1710034200000,0,1\n1,k2,1710034200000,1,2\n",
            &["1#1: k1 k2>k2=1"],
        ),
        (
            "c.jsonl",
            "{\"sessionId\":5,\"recs\":[1,2],\"click\":2}\n{\"sessionId\":5,\"recs\":[3,2],\"click\":null}\n",
            &["5: 1 2>2=1, 3 2>!=0"],
        ),
        (
            "d.csv",
            "sess,slate,click\ns1,\"['a b', 'c']\",c\ns2,\"['a b']\",\ns1,\"['c']\",\n",
            &["s1: a b c>c=1, c>!=0", "s2: a b>!=0"],
        ),
        (
            "e.csv",
            "session_id,items,choice\ns1,5 9 0 0,-1\ns1,5 8 0 0,8\n",
            &["s1: 5 9>-=0, 5 8>8=1"],
        ),
    ];
    for (name, content, expected) in cases {
        let (text, dataset) = guessed(name, content.as_bytes());
        assert_eq!(shown(&dataset), expected, "{text}");
    }
    let folder = folder_of(&[("x.csv", b"a,b\n1,2\n")]);
    let error = guess(&Input::open(&folder.path().join("x.csv")).unwrap(), &Layout::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("looks like a session or a user"), "{error}");
}

#[test]
fn columns_that_are_given_are_not_guessed() {
    let csv = b"who,at,thing,clicked\nann,2024-03-10,k1,0\nann,2024-03-10,k2,1\n";
    let folder = folder_of(&[("shop.csv", csv)]);
    let input = Input::open(&folder.path().join("shop.csv")).unwrap();
    let given = |columns: &[(&str, &str)]| {
        let columns = columns.iter().map(|(role, name)| ((*role).into(), (*name).into()));
        guess(&input, &Layout { columns: columns.collect(), ..Layout::default() })
    };
    let text = given(&[("user", "who"), ("item", "thing"), ("timestamp", "at")]).unwrap();
    for line in ["user = \"who\"", "item = \"thing\"", "clicked = \"clicked\"", "session-gap"] {
        assert!(text.contains(line), "{text}");
    }
    for (columns, expected) in [
        (("user", "whom"), "has no column \"whom\", which was given as user; its columns are who"),
        (("users", "who"), "the schema has no column \"users\""),
    ] {
        let error = given(&[columns]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_field_that_no_object_has_is_not_read_as_one_without_a_value() {
    let json = "{\"session\":1,\"step\":0,\"shown\":[1,2],\"chosen\":1,\"revenue\":8}\n";
    let read = |layout: Layout| read_as("shop.jsonl", json.as_bytes(), layout);
    let named = |role: &str, name: &str| {
        read(Layout { columns: [(role.into(), name.into())].into(), ..Layout::default() })
    };
    assert!(named("reward", "revenue").is_ok());
    let error = named("reward", "revenu").unwrap_err().to_string();
    assert!(
        error.contains(
            "has no field \"revenu\" in any object, which was given as reward; other \
                        fields are revenue"
        ),
        "{error}"
    );
    let error = named("chosen", "clicc").unwrap_err().to_string();
    assert!(error.contains("which was given as chosen"), "{error}");
    let layout = Layout { context: vec!["devise".into()], ..Layout::default() };
    let error = read(layout).unwrap_err().to_string();
    assert!(error.contains("\"devise\" in any object, which was given as context"), "{error}");
    let other = json.replace("session", "visit");
    let error = read_as("shop.jsonl", other.as_bytes(), Layout::default()).unwrap_err().to_string();
    assert!(error.contains("--column session=NAME") && error.contains("--guess"), "{error}");
}

#[test]
fn what_earned_nothing_needs_no_reward_and_what_was_chosen_does() {
    let csv = format!("{HEADER}a,0,k1 k2,,\na,1,k1 k2,k1,2\n");
    assert_eq!(shown(&plain(&csv).0), ["a: k1 k2>-=0, k1 k2>k1=2"]);
    let error = refused(&format!("{HEADER}a,0,k1 k2,k1,\n"), Layout::default());
    assert!(
        error.contains("shop.csv:2: reward") && error.contains("the reward of a click is 1"),
        "{error}"
    );
    // What Hive writes for nothing; and what no choice is called.
    let csv = format!("{HEADER}a,0,k1 k2,\\N,\\N\na,1,k1 k2,none,\n");
    let layout = Layout { no_click: vec!["none".into()], ..Layout::default() };
    assert_eq!(shown(&read(&csv, layout).0), ["a: k1 k2>-=0, k1 k2>!=0"]);
    let error = refused(&csv, Layout::default());
    assert!(error.contains("shop.csv:3: chosen") && error.contains("--no-click none"), "{error}");
    let line = |step: u8, reward: &str| {
        format!("{{\"session\":\"a\",\"step\":{step},\"shown\":[1,2],\"chosen\":2{reward}}}\n")
    };
    let json = |text: String| read_as("shop.jsonl", text.as_bytes(), Layout::default());
    let without = json(line(0, "") + &line(1, "")).unwrap().0;
    assert_eq!(shown(&without), ["a: 1 2>2=1, 1 2>2=1"]);
    let error = json(line(0, ",\"reward\":3") + &line(1, ",\"reward\":null")).unwrap_err();
    assert!(error.to_string().contains("shop.jsonl:2: reward"), "{error}");
}

#[test]
fn an_array_of_objects_is_read_as_lines_are() {
    let rows = [
        "{\"session\": \"a\", \"shown\": [\"}{[\", \"k2\"], \"chosen\": \"}{[\", \"more\": {\"x\": [{}]}}",
        "{\"session\": \"a\",\n \"shown\": [\"q\\\"]\", \"k2\"], \"chosen\": null}",
    ];
    for text in [format!("[{}]", rows.join(", ")), format!(" [\n{}\n]\n", rows.join(",\n"))] {
        let (dataset, _) = read_as("shop.json", text.as_bytes(), Layout::default()).unwrap();
        assert_eq!(shown(&dataset), ["a: }{[ k2>}{[=1, q\"] k2>!=0"], "{text}");
    }
    let bad = format!("[{},{}]", rows[0], rows[1].replace("null", "\"k9\""));
    let error = read_as("shop.json", bad.as_bytes(), Layout::default()).unwrap_err().to_string();
    assert!(error.contains("shop.json:2: chosen"), "{error}");
}

#[test]
fn the_lists_of_json_hold_strings_numbers_or_objects() {
    let read = |shown: &str, chosen: &str| {
        let line =
            format!("{{\"session\":1,\"shown\":{shown},\"chosen\":{chosen},\"reward\":1}}\n");
        read_as("shop.jsonl", line.as_bytes(), Layout::default())
            .map(|(dataset, _)| shown_of(&dataset))
            .map_err(|error| error.to_string())
    };
    let text = "[ \"a,b\" , 12, \"q\\\"x\\\\\", \"[{\", 7.0, \"\\u00fc\" ]";
    assert_eq!(read(text, "\"a,b\"").unwrap(), "a,b|12|q\"x\\|[{|7|ü>a,b");
    let objects = "[{\"id\": 5, \"score\": [1]}, {\"score\": 2, \"id\": \"k}\"}]";
    assert_eq!(read(objects, "[\"k}\", 5]").unwrap(), "5|k}>k}");
    for (bad, part) in [
        ("[1, 2.5]", "\"2.5\""),
        ("[1, null]", "null"),
        ("[[1], 2]", "[1]"),
        ("[1, \"\"]", "an empty one"),
        ("\"1 2\"", "a list of ids"),
        ("[{\"a\": 1}]", "{"),
    ] {
        let error = read(bad, "null").unwrap_err();
        assert!(
            error.contains("shop.jsonl:1: shown") && error.contains(part.trim_matches('"')),
            "{error}"
        );
    }
}

/// The first step: its slate, and what was chosen.
fn shown_of(dataset: &Dataset) -> String {
    let step = dataset.log.session(0).step(0);
    let raw = |item| dataset.catalogue.raw(item);
    let slate: Vec<&str> = step.slate.iter().map(|&item| raw(item)).collect();
    format!("{}>{}", slate.join("|"), step.choice.item().map_or("-", raw))
}

#[test]
fn clicks_and_orders_in_files_of_their_own_join_their_slates() {
    let impressions = "impression;sid;uid;shown_at;items\n\
        1;s1;ann;2024-03-10 10:00:00;k1|k2|k3\n3;s2;bob;2024-03-10 10:01:00;k9|k4\n\
        2;s1;ann;2024-03-10 10:05:00;k1|k4\n";
    let clicks = "impression,item,timestamp\n1,k3,2024-03-10 10:00:30\n1,k1,2024-03-10 10:00:10\n\
        3,k4,2024-03-10 10:02:00\n8,k1,2024-03-10 10:02:00\n";
    let orders = "uid,item,timestamp,reward\nann,k1,2024-03-10 11:00:00,9.5\n\
        ann,k3,2024-03-10 09:00:00,7\nbob,k4,2024-03-12 11:00:00,3\n";
    let folder = folder_of(&[
        ("impressions.csv", impressions.as_bytes()),
        ("clicks.csv", clicks.as_bytes()),
        ("orders.csv", orders.as_bytes()),
    ]);
    let at = |name: &str| folder.path().join(name);
    let pairs = [
        ("slate", "impression"),
        ("session", "sid"),
        ("user", "uid"),
        ("shown", "items"),
        ("timestamp", "shown_at"),
    ];
    let layout = Layout {
        columns: columns(&pairs),
        list_separator: Some('|'),
        sort: true,
        clicks_file: Some(at("clicks.csv")),
        orders_file: Some(at("orders.csv")),
        order_window: Some("1d".parse().unwrap()),
        ..Layout::default()
    };
    let read = |layout: &Layout| {
        let options = Options { layout: layout.clone(), ..Options::default() };
        import(&at("impressions.csv"), options)
    };
    let (dataset, report) = read(&layout).unwrap();
    assert_eq!(shown(&dataset), ["s1: k1 k2 k3>k1=9.5, k1 k4>!=0", "s2: k9 k4>k4=0"]);
    assert_eq!(dataset.log.session(0).extras(0).clicks.len(), 2);
    assert!(report.to_string().contains("3 of 4 clicks are of a slate of the log"), "{report}");
    let ever = Layout { order_window: None, ..layout.clone() };
    assert_eq!(shown(&read(&ever).unwrap().0)[1], "s2: k9 k4>k4=3");
    let clicks_alone = Layout { orders_file: None, ..layout.clone() };
    assert_eq!(shown(&read(&clicks_alone).unwrap().0)[0], "s1: k1 k2 k3>k1=2, k1 k4>!=0");
    std::fs::write(at("clicks.csv"), "impression,item,timestamp\n1,k8,2024-03-10 10:00:30\n")
        .unwrap();
    let error = read(&layout).unwrap_err().to_string();
    assert!(error.contains("impressions.csv:2: chosen") && error.contains("\"k8\""), "{error}");
    std::fs::write(at("clicks.csv"), "impression,what\n1,k1\n").unwrap();
    let error = read(&layout).unwrap_err().to_string();
    assert!(error.contains("clicks.csv: has no column \"item\""), "{error}");
    // Files seldom have the same names for the same things.
    let clicks = "impression_id,sku,clicked_at\n1,k1,2024-03-10 10:00:10\n";
    std::fs::write(at("clicks.csv"), clicks).unwrap();
    let orders = "customer_id,product_id,bought_at,amount\nann,k1,2024-03-10 11:00:00,4\n";
    std::fs::write(at("orders.csv"), orders).unwrap();
    assert_eq!(shown(&read(&layout).unwrap().0)[0], "s1: k1 k2 k3>k1=4, k1 k4>!=0");
}

#[test]
fn a_click_belongs_to_the_row_of_its_item_and_counts_once() {
    let folder = folder_of(&[
        ("impressions.csv", b"session,slate,item\ns,1,k1\ns,1,k2\ns,2,k3\n"),
        ("clicks.csv", b"slate,item,timestamp\n1,k2,20\n1,k2,10\n2,k9,30\n"),
        ("orders.csv", b"session,item,timestamp,reward\ns,k2,15,2.5\n"),
    ]);
    let at = |name: &str| Some(folder.path().join(name));
    let layout = Layout {
        clicks_file: at("clicks.csv"),
        orders_file: at("orders.csv"),
        ..Layout::default()
    };
    let options = Options { layout, ..Options::default() };
    let (dataset, report) = import(&folder.path().join("impressions.csv"), options).unwrap();
    assert_eq!(shown(&dataset), ["s: k1 k2>k2=2.5, k3>!=0"]);
    assert!(report.to_string().contains("2 of 3 clicks are of a slate of the log"), "{report}");
}

#[test]
fn a_layout_that_is_wrong_says_on_which_line() {
    let folder = folder_of(&[
        ("a.toml", b"sort = true\noff-slate = \"keep\"\n"),
        ("b.toml", b"[columns]\nsession = 7\n"),
        ("c.toml", b"colums = 1\n"),
        ("d.toml", b"session-gap = \"soon\"\n"),
    ]);
    for (name, line, part) in [
        ("a.toml", 2, "keep"),
        ("b.toml", 2, "string"),
        ("c.toml", 1, "colums"),
        ("d.toml", 1, "30m"),
    ] {
        let error = Layout::read(&folder.path().join(name)).unwrap_err().to_string();
        assert!(error.contains(&format!("line {line}: ")) && error.contains(part), "{error}");
    }
}

#[test]
fn a_layout_is_for_our_own_schema() {
    let irecgan = "session_num;query_num;click_item;rec_list;purchase\n1;1;5;4,5;0\n";
    let error = refused(irecgan, Layout { sort: true, ..Layout::default() });
    assert!(error.contains("has a fixed layout"), "{error}");
    let (dataset, _) = read(irecgan, Layout { clicks: Clicks::Each, ..Layout::default() });
    assert_eq!(shown(&dataset), ["1: 4 5>5=0, 4>-=0"]);
}
