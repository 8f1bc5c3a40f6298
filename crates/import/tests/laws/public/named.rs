//! Formats that are one small file each: small logs of our own making in their shape.

use foretaste_data::{Choice, Dataset, EventKind, PropensityKind, TimeUnit};
use foretaste_import::{Clicks, Format, Layout, Options};

use super::{read, read_with, refused, step, steps};

fn events(dataset: &Dataset, session: usize) -> Vec<(String, EventKind, u32)> {
    let events = dataset.log.session(session).events();
    let raw = |item| dataset.catalogue.raw(item).to_owned();
    events.map(|event| (raw(event.item), event.kind, event.after)).collect()
}

fn names(dataset: &Dataset) -> Vec<String> {
    (0..dataset.log.sessions()).map(|session| dataset.session_name(session).into_owned()).collect()
}

#[test]
fn mind_is_impressions_of_users_in_time_with_what_they_read_before() {
    let rows = "1\tU1\t11/15/2019 10:22:32 AM\tN3 N8\tN1-0 N2-1 N5-1\n\
        2\tU2\t11/15/2019 1:02:07 PM\t\tN1-0 N4-0\n\
        3\tU1\t11/14/2019 9:00:00 PM\tN3 N8\tN1-1 N4-0\n";
    let (dataset, report) = read(&[("behaviors.tsv", rows)]);
    assert_eq!(Format::Mind.to_string(), "mind");
    assert_eq!(names(&dataset), ["U1", "U2"]);
    let first = dataset.log.session(0);
    assert_eq!((dataset.log.steps(), report.reading.rows), (3, 3));
    assert_eq!(
        events(&dataset, 0),
        [("N3", 0), ("N8", 0)].map(|(id, at)| (id.into(), EventKind::View, at))
    );
    assert_eq!(events(&dataset, 1), []);
    let clicks: Vec<usize> = (0..2).map(|t| first.extras(t).clicks.len()).collect();
    assert_eq!(clicks, [0, 2]);
    assert_eq!(first.step(0).reward, 1.0);
    // `date -u -d 2019-11-14T21:00:00Z +%s`.
    assert_eq!(first.start(), Some(1_573_765_200_000));
    assert_eq!(dataset.log.facts().time_unit, Some(TimeUnit::Milliseconds));
    assert_eq!(dataset.log.session(1).step(0).choice, Choice::Skip, "leaving is not observed");
    // A test file withholds the clicks; whose news have other ids is no MIND file.
    let withheld =
        "1\tU1\t11/15/2019 10:22:32 AM\tN3\tN1 N2\n2\tU2\t11/15/2019 1:02:07 PM\t\tN1-0 N4-1\n";
    let (dataset, report) = read(&[("behaviors.tsv", withheld)]);
    assert_eq!((dataset.log.steps(), report.reading.dropped.values().sum::<u64>()), (1, 1));
    let error = refused(&[("behaviors.tsv", &rows.replace("1:02:07 PM", "noon"))]);
    assert!(error.contains("behaviors.tsv:2: time"), "{error}");
    let error = refused(&[("behaviors.tsv", &rows.replace("N2-1", "N2-2"))]);
    assert!(error.contains("behaviors.tsv"), "{error}");
}

#[test]
fn kuairand_joins_the_videos_of_a_moment() {
    let header = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_rand,tab\n";
    let rows = "0,101,20220422,600,1650600000000,1,0,1,1\n0,102,20220422,600,1650600000000,1,0,1,1\n\
        5,101,20220422,610,1650600600000,0,0,1,1\n0,103,20220422,500,1650596400000,0,0,1,1\n";
    let (dataset, report) = read(&[("log_random.csv", &format!("{header}{rows}"))]);
    assert_eq!(names(&dataset), ["0", "5"]);
    let first = dataset.log.session(0);
    assert_eq!((first.len(), first.step(0).slate.len(), first.step(1).slate.len()), (2, 1, 2));
    assert_eq!((first.extras(1).clicks.len(), dataset.log.sessions_with_users()), (2, 2));
    assert_eq!(report.reading.ignored_columns, ["date", "hourmin", "is_like", "is_rand", "tab"]);
    let layout = Layout { clicks: Clicks::Each, ..Layout::default() };
    let options = Options { layout, ..Options::default() };
    let (each, _) = read_with(&[("log.csv", &format!("{header}{rows}"))], options).unwrap();
    assert_eq!(each.log.steps(), 4);
}

#[test]
fn the_events_of_otto_and_retail_rocket_are_choices_and_orders_earn() {
    let otto = "{\"session\": 0, \"events\": [{\"aid\": 5, \"ts\": 1661724000278, \"type\": \"clicks\"}, \
        {\"aid\": 6, \"ts\": 1661724060278, \"type\": \"carts\"}, {\"aid\": 6, \"ts\": 1661724070278, \"type\": \"orders\"}]}\n";
    let rocket = "timestamp,visitorid,event,itemid,transactionid\n1661724000278,0,view,5,\n\
        1661724070278,0,transaction,6,4000\n1661724060278,0,addtocart,6,\n";
    for (name, file) in [("train.jsonl", otto), ("events.csv", rocket)] {
        let (dataset, _) = read(&[(name, file)]);
        let found: Vec<_> =
            steps(&dataset)[0].iter().map(|(_, item, reward)| (item.clone(), *reward)).collect();
        let expected = [("5", 0.0), ("6", 0.0), ("6", 1.0)]
            .map(|(item, reward)| (Some(item.to_owned()), reward));
        assert_eq!((names(&dataset), found), (vec!["0".to_owned()], expected.to_vec()), "{name}");
        assert_eq!(dataset.log.session(0).start(), Some(1_661_724_000));
    }
    let error = refused(&[("events.csv", &rocket.replace("addtocart", "stare"))]);
    assert!(error.contains("events.csv:4: event") && error.contains("\"stare\""), "{error}");
    let error = refused(&[("train.jsonl", &otto.replace("carts", "stares"))]);
    assert!(error.contains("train.jsonl:1: type"), "{error}");
}

#[test]
fn events_of_ones_own_are_choices_whatever_their_columns_are_called() {
    let rows = "uid;sku;when;what;page\nann;k1;2024-03-10T01:30:00Z;view;1\n\
        bob;7.0;2024-03-10T01:31:00Z;view;1\nann;k2;2024-03-10T01:32:00Z;purchase;2\n";
    let columns = [("user", "uid"), ("item", "sku"), ("timestamp", "when"), ("event", "what")];
    let columns = columns.map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())).into();
    let layout = Layout { columns, format: Some(Format::Events), ..Layout::default() };
    let options = || Options { layout: layout.clone(), ..Options::default() };
    let (dataset, report) = read_with(&[("log.csv", rows)], options()).unwrap();
    assert_eq!((names(&dataset), dataset.log.steps()), (vec!["ann".into(), "bob".into()], 3));
    let ann: Vec<_> =
        steps(&dataset)[0].iter().map(|(_, item, reward)| (item.clone(), *reward)).collect();
    assert_eq!(ann, [(Some("k1".to_owned()), 0.0), (Some("k2".to_owned()), 1.0)]);
    assert_eq!(dataset.log.session(0).start(), Some(1_710_034_200));
    assert_eq!(report.reading.ignored_columns, ["page"]);
    let bad = rows.replace(";purchase", ";teleport");
    let error = read_with(&[("log.csv", &bad)], options()).unwrap_err().to_string();
    assert!(
        error.contains("log.csv:4: event: column \"what\"") && error.contains("teleport"),
        "{error}"
    );
    let options = Options { format: Some(Format::Events), ..Options::default() };
    let error = read_with(&[("log.csv", rows)], options).unwrap_err().to_string();
    assert!(error.contains("--column user=NAME"), "{error}");
}

#[test]
fn movielens_1m_and_recbole_are_choices() {
    let ratings = "1::1193::5::978300760\n1::661::3::978302109\n2::1193::4::978298413\n";
    let (dataset, report) = read(&[("ratings.dat", ratings)]);
    assert_eq!((dataset.log.steps(), names(&dataset)), (3, vec!["1".to_owned(), "2".to_owned()]));
    assert!(
        report.to_string().contains("there is no movies.dat in the folder of the ratings"),
        "{report}"
    );
    // Titles are in Latin-1, and hold colons.
    let mut movies = b"1193::A: B (1975)::Drama\n661::Caf".to_vec();
    movies.extend(b"\xe9 (1996)::Comedy\n");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ratings.dat"), ratings).unwrap();
    std::fs::write(folder.path().join("movies.dat"), movies).unwrap();
    // The folder stands for what is the log in it.
    let (dataset, report) = foretaste_import::import(folder.path(), Options::default()).unwrap();
    assert_eq!(dataset.log.steps(), 3);
    assert!(!report.to_string().contains("date of release"), "{report}");
    let error = refused(&[("ratings.dat", &ratings.replace("::3::", "::good::"))]);
    assert!(error.contains("ratings.dat"), "{error}");

    let inter =
        "user_id:token\titem_id:token\ttimestamp:float\n1\t10\t874965478.0\n1\t11\t874965479.5\n";
    let (dataset, _) = read(&[("ml.inter", inter)]);
    let found: Vec<_> =
        steps(&dataset)[0].iter().map(|(_, item, _)| item.clone().unwrap()).collect();
    assert_eq!((names(&dataset), found), (vec!["1".into()], vec!["10".into(), "11".into()]));
    let error = refused(&[("ml.inter", &inter.replace("874965479.5", "noon"))]);
    assert!(error.contains("ml.inter:3: timestamp:float"), "{error}");
}

#[test]
fn recogym_has_slates_of_one_between_organic_views() {
    let rows = ",t,u,z,v,a,c,r,ps,ps-a\n0,0.0,0,organic,1,,,,,\n1,1.0,0,bandit,,2.0,0.0,0.0,0.1,()\n\
        2,2.0,0,bandit,,3,1.0,2.5,0.1,()\n3,3.0,0,sale,3.0,,,,,\n";
    let (dataset, _) = read(&[("log.csv", rows)]);
    assert_eq!(steps(&dataset), [[step("2", "", 0.0), step("3", "3", 2.5)]]);
    assert_eq!(dataset.log.session(0).step(1).propensity, Some(&[0.1][..]));
    let expected = [("1", EventKind::View, 0), ("3", EventKind::Order, 2)];
    assert_eq!(events(&dataset, 0), expected.map(|(id, kind, at)| (id.to_owned(), kind, at)));
    let error =
        refused(&[("log.csv", &rows.replace("2,2.0,0,bandit,,3,1.0", "2,2.0,0,bandit,,3,maybe"))]);
    assert!(error.contains("log.csv:4: c"), "{error}");
}

#[test]
fn vowpal_wabbit_says_what_could_have_been_shown() {
    let adf = "shared |User u=1\n|Action sports\n0:-1:0.25 |Action news now\n|Action music\n\n\
        shared |User u=2\n1:0.5:0.5 |Action sports\n|Action music\n";
    let (dataset, report) = read(&[("log.vw", adf)]);
    assert_eq!((dataset.log.sessions(), report.reading.rows), (2, 2));
    let first = dataset.log.session(0);
    let pool: Vec<&str> =
        first.candidates(0).unwrap().iter().map(|&item| dataset.catalogue.raw(item)).collect();
    assert_eq!(pool, ["Action sports", "Action news now", "Action music"]);
    assert_eq!((first.step(0).reward, first.step(0).propensity), (1.0, Some(&[0.25][..])));
    assert!(first.step(0).choice.item().is_some());
    let second = dataset.log.session(1).step(0);
    assert_eq!((second.reward, second.choice.item()), (-0.5, None));

    let ccb = "ccb shared |User u=1\nccb action |a x\nccb action |a y\nccb action |a z\n\
        ccb slot 2:-1:0.5,0:0:0.3,1:0:0.2 |s one\nccb slot 0:0:0.25 |s two\n";
    let (dataset, _) = read(&[("log.vw", ccb)]);
    let step = dataset.log.session(0).step(0);
    let slate: Vec<&str> = step.slate.iter().map(|&item| dataset.catalogue.raw(item)).collect();
    assert_eq!((slate, step.reward), (vec!["a z", "a x"], 1.0));
    assert_eq!(step.propensity, Some(&[0.5, 0.25][..]));
    for (bad, part) in [("0:-1 |", "log.vw:1: label"), ("7:x:1 |", "log.vw:1: label")] {
        let error = refused(&[("log.vw", &adf.replace("0:-1:0.25 |", bad))]);
        assert!(error.contains(part), "{error}");
    }
    let error = refused(&[("log.vw", "shared |u\n|a x\n")]);
    assert!(error.contains("one action with a label"), "{error}");
}

const BANNERS: &str = "example 77: 9f 1 0.0625 2 3 1:300 2:250 9:7\n1 exid:77 11:1 12:a\n\
    0 exid:77 11:2 12:b\n0 exid:77 11:1 12:a\nexample 78: a0 0 0.5 1 2 1:728 2:90\n\
    0 exid:78 11:3\n0 exid:78 11:2 12:b\n";

#[test]
fn criteo_banners_are_slates_of_their_candidates() {
    let (dataset, report) = read(&[("banners.txt", BANNERS)]);
    assert_eq!(names(&dataset), ["77", "78"]);
    assert_eq!(
        steps(&dataset),
        [
            [(vec!["11:1 12:a".into(), "11:2 12:b".into()], Some("11:1 12:a".into()), 1.0)],
            [step("11:3", "", 0.0)]
        ]
    );
    let pools = [0, 1].map(|session| {
        let pool = dataset.log.session(session).candidates(0).unwrap();
        pool.iter().map(|&item| dataset.catalogue.raw(item)).collect::<Vec<_>>()
    });
    assert_eq!(pools[0], ["11:1 12:a", "11:2 12:b", "11:1 12:a #2"]);
    assert_eq!(pools[1], ["11:3", "11:2 12:b"]);
    assert_eq!(dataset.log.facts().propensity, PropensityKind::Slate);
    let first = |session: usize| dataset.log.session(session).step(0);
    assert_eq!(first(0).propensity, Some(&[0.0625, 1.0][..]));
    assert_eq!(first(1).choice, Choice::Skip, "leaving is not observed");
    let context = ["display_1=300 display_2=250 display_9=7", "display_1=728 display_2=90"];
    assert_eq!(crate::context::shown(&dataset), context);
    assert_eq!((report.reading.rows, dataset.catalogue.len()), (2, 4));
    for (from, to, problem) in [
        (
            "1 2 1:728",
            "1 3 1:728",
            "banners.txt:5: candidates: expected as many lines as the first",
        ),
        ("2 3 1:300", "4 3 1:300", "found 3 of 3, for 4 slots"),
        ("0 exid:78 11:3", "no exid:78 11:3", "banners.txt:5: clicked: expected 0 or 1"),
        ("0.5 1", "half 1", "propensity: expected a number"),
        ("a0 0 0.5 1 2 1:728 2:90", "a0", "clicked: expected a value, found nothing"),
        ("0 exid:78 11:2", "1 exid:78 11:2", "chosen: expected an item of the slate"),
    ] {
        let error = refused(&[("banners.txt", &BANNERS.replace(from, to))]);
        assert!(error.contains(problem), "{error}");
    }
}

/// What the description of the format allows and the fixture above has not: tabs, line ends of
/// Windows, features without a value and more than once, products without features, several
/// clicks, a click on the banner beside its products, small propensities, a banner of one
/// candidate.
#[test]
fn criteo_banners_come_in_all_forms_that_their_description_allows() {
    let rows = "example 5: ff 1 3.1e-12 3 3 1:300 1:320 8\r\n1\texid:5\t7:1\t7:2\r\n\
        0 exid:5 9\r\n1 exid:5\r\nexample 6: fe 1 1 1 1\n0 exid:6 7:1  7:2 \n\n";
    let (dataset, _) = read(&[("banners.txt", rows)]);
    assert_eq!(
        steps(&dataset),
        [
            [(
                vec!["7:1 7:2".into(), "9".into(), "no features".into()],
                Some("7:1 7:2".into()),
                1.0
            )],
            [(vec!["7:1 7:2".into()], None, 1.0)]
        ]
    );
    assert_eq!(dataset.log.session(0).extras(0).clicks.len(), 2);
    assert_eq!(dataset.log.session(0).step(0).propensity, Some(&[3.1e-12, 1.0, 1.0][..]));
    assert_eq!(crate::context::shown(&dataset), ["display_1=320 display_8=1", "-"]);
    let error = refused(&[("banners.txt", &BANNERS.replace("0 exid:78 11:3", "0 exid:77 11:3"))]);
    let problem = "banners.txt:5: exid: expected the id of the impression, found \"77\" in";
    assert!(error.contains(problem), "{error}");
}

/// The form of the challenge at NIPS 2017: the first candidate was shown, its weight is the inverse
/// of the propensity.
#[test]
fn banners_of_the_criteo_challenge_are_slates_of_one() {
    let rows = "68 |l 0.999 |p 4.0 |f 0:300 1:600 17:1\n68 |f 0:300 1:600 18:1\n\
        68 |f 0:300 1:600 17:1\n69 |l 0.001 |p 1.0 |f 0:728 1:90\n";
    let (dataset, report) = read(&[("train.txt", rows)]);
    assert_eq!((names(&dataset), report.reading.rows), (vec!["68".into(), "69".into()], 2));
    assert_eq!(
        steps(&dataset),
        [
            [(vec!["0:300 1:600 17:1".into()], None, 0.0)],
            [(vec!["0:728 1:90".into()], Some("0:728 1:90".into()), 1.0)]
        ]
    );
    let first = dataset.log.session(0);
    assert_eq!(
        (first.step(0).propensity, first.candidates(0).unwrap().len()),
        (Some(&[0.25][..]), 3)
    );
    assert!(dataset.contexts.is_empty());
    for (from, to, problem) in [
        ("0.999", "0.5", "train.txt:1: l: expected 0.001 for a click or 0.999 for none"),
        ("|p 4.0", "|p much", "train.txt:1: p: expected a number, found \"much\""),
        ("68 |f 0:300 1:600 18:1", "70 |f 0:300", "expected lines of one impression, with |f"),
        ("68 |f 0:300 1:600 18:1", "68 0:300", "expected lines of one impression, with |f"),
        ("|p 4.0", "|p 0.5", "train.txt:1: propensity"),
    ] {
        let error = refused(&[("train.txt", &rows.replace(from, to))]);
        assert!(error.contains(problem), "{error}");
    }
    // The file that the challenge was judged by says neither what was shown nor what was clicked.
    let error = refused(&[("test.txt", "68 |f 0:300\n68 |f 0:600\n")]);
    assert!(error.contains("not the header of a known format"), "{error}");
}

#[test]
fn a_search_log_gives_clicks_to_the_query_that_showed_them() {
    let rows = "0\t0\tQ\t8\t0\t7\t103\t51\n0\t9\tC\t103\n0\t20\tQ\t9\t0\t4\t5\n0\t30\tC\t51\n\
        0\t31\tC\t99\n1\t0\tQ\t8\t0\t7\t103\n";
    let (dataset, report) = read(&[("clicks.txt", rows)]);
    assert_eq!(
        steps(&dataset),
        [vec![step("7 103 51", "103", 2.0), step("4 5", "", 0.0)], vec![step("7 103", "", 0.0)]]
    );
    assert_eq!(dataset.log.session(0).extras(0).clicks.len(), 2);
    let queries = ["query=8 region=0", "query=9 region=0", "query=8 region=0"];
    assert_eq!(crate::context::shown(&dataset), queries);
    assert!(report.to_string().contains("1 clicks are on no result"), "{report}");
    let error = refused(&[("clicks.txt", &rows.replace("9\tC", "9\tX"))]);
    assert!(error.contains("clicks.txt:2: TypeOfRecord"), "{error}");
}
