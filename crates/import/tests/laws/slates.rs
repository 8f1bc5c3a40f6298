//! Logs of choices without slates: MovieLens and LastFM, and the slates that are simulated for
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use foretaste_data::{Choice, Dataset};
use foretaste_import::{
    Around, Error, Format, Options, Report, Result, SimulatedSlates, export, import,
};
use foretaste_random::Seed;
use proptest::collection::vec;
use proptest::prelude::*;

const DAY: i64 = 86_400;
/// 1 January 1995, in days since 1970.
const NEW_YEAR: i64 = 9131;
const TAGS: &str = "userID\tartistID\ttagID\tday\tmonth\tyear\n";
const RATINGS: &str = "userId,movieId,rating,timestamp\r\n";
const MOVIES: &str = "movieId,title,genres\r\n";

/// Imports the first of the files, with the others next to it.
fn read_with(files: &[(&str, &[u8])], options: Options<'_>) -> Result<(Dataset, Report)> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    import(&folder.path().join(files[0].0), options)
}

fn read(files: &[(&str, &[u8])], slates: SimulatedSlates) -> Dataset {
    read_with(files, Options { slates: Some(slates), ..Options::default() }).unwrap().0
}

fn everyone(format: Format, size: usize) -> SimulatedSlates {
    SimulatedSlates { size, users: None, min_choices: 1, ..SimulatedSlates::of(format).unwrap() }
}

/// A row of `u.item` as it is published: title in Latin-1, date, no video date, URL, genres.
fn film(id: &str, date: &str) -> Vec<u8> {
    let mut row = format!("{id}|Cit").into_bytes();
    row.extend(b"\xe9 \xfc\xbb");
    row.extend(
        format!("  (1995)|{date}||http://example.org/?{id}%20(1995){}\n", "|0".repeat(19)).bytes(),
    );
    row
}

/// A choice: user, item, seconds.
type Pick = (u32, u32, i64);

fn u_data(picks: &[Pick]) -> String {
    picks.iter().map(|(user, item, time)| format!("{user}\t{item}\t3\t{time}\n")).collect()
}

/// Choices within eight weeks around New Year 1995.
fn picks() -> impl Strategy<Value = Vec<Pick>> {
    vec((0..6_u32, 0..12_u32, (NEW_YEAR - 28) * DAY..(NEW_YEAR + 28) * DAY), 1..40)
}

/// Days within the first week of January 1995, so that many are equally far: `None` is a film
/// without a date.
fn releases() -> impl Strategy<Value = Vec<Option<i64>>> {
    vec(proptest::option::weighted(0.8, 0..7_i64), 12)
}

/// A slate by raw ids, the chosen item, and the time.
type RawStep = (Vec<u32>, u32, i64);

fn steps(dataset: &Dataset) -> BTreeMap<String, Vec<RawStep>> {
    let raw = |item| dataset.catalogue.raw(item).parse().unwrap();
    let sessions = dataset.log.iter().map(|session| {
        let steps = session.steps().map(|step| {
            let Choice::Item(chosen) = step.choice else { panic!("every step has a choice") };
            assert_eq!(step.reward, 1.0);
            (
                step.slate.iter().map(|&item| raw(item)).collect(),
                raw(chosen),
                step.timestamp.unwrap(),
            )
        });
        (dataset.user_name(session.user().unwrap()), steps.collect())
    });
    sessions.collect()
}

/// Checks every slate against all items with all their days, less those that the user chose before
/// where no user chooses an item again.
fn check_nearest(
    dataset: &Dataset,
    size: usize,
    dated: &[(u32, i64)],
    around: impl Fn(u32, i64) -> i64,
) -> std::result::Result<(), TestCaseError> {
    let sessions = steps(dataset);
    let once = |steps: &Vec<RawStep>| {
        steps.iter().map(|step| step.1).collect::<BTreeSet<_>>().len() == steps.len()
    };
    let never_again = sessions.values().all(once);
    let steps = sessions
        .values()
        .flat_map(|steps| steps.iter().enumerate().map(|(at, step)| (step, &steps[..at])));
    for (&(ref slate, chosen, time), before) in steps {
        let day = around(chosen, time);
        let left_out = |item| never_again && before.iter().any(|step| step.1 == item);
        let mut far: BTreeMap<u32, u64> = BTreeMap::new();
        for &(item, other) in dated.iter().filter(|dated| !left_out(dated.0)) {
            let distance = (other - day).unsigned_abs();
            let known = far.entry(item).or_insert(distance);
            *known = distance.min(*known);
        }
        let distinct: BTreeSet<u32> = slate.iter().copied().collect();
        prop_assert_eq!(distinct.len(), slate.len());
        prop_assert!(distinct.contains(&chosen));
        prop_assert_eq!(slate.len(), size.min(far.len()));
        far.remove(&chosen);
        let mut others: Vec<u64> =
            distinct.iter().filter_map(|item| far.get(item).copied()).collect();
        let mut nearest: Vec<u64> = far.into_values().collect();
        others.sort_unstable();
        nearest.sort_unstable();
        nearest.truncate(size - 1);
        prop_assert_eq!(others, nearest);
    }
    Ok(())
}

/// The choices that a data set must hold, by user and time.
fn check_choices(dataset: &Dataset, picks: &[Pick]) -> std::result::Result<(), TestCaseError> {
    let sessions = steps(dataset);
    let mut found = Vec::new();
    for (user, steps) in &sessions {
        prop_assert!(steps.is_sorted_by_key(|step| step.2));
        found.extend(steps.iter().map(|&(_, item, time)| (user.parse().unwrap(), item, time)));
    }
    let mut expected = picks.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    expected.dedup();
    prop_assert_eq!(found, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_slate_holds_the_chosen_film_and_those_released_nearest(
        picks in picks(), released in releases(), size in 1..9_usize, seed: u64, release: bool,
    ) {
        let items: Vec<u8> = (0..).zip(&released).flat_map(|(id, day): (u32, _)| {
            film(&id.to_string(), &day.map_or(String::new(), |day| format!("{:02}-Jan-1995", day + 1)))
        }).collect();
        let around = if release { Around::Release } else { Around::Choice };
        let slates = SimulatedSlates { around, seed: Seed::new(seed), ..everyone(Format::MovieLens100k, size) };
        let dataset = read(&[("u.data", u_data(&picks).as_bytes()), ("u.item", &items)], slates);
        check_choices(&dataset, &picks)?;
        // Only films that were rated; one without a date takes the day of its first rating.
        let first = |item| picks.iter().filter(|pick| pick.1 == item).map(|pick| pick.2).min();
        let day = |item: u32| released[item as usize].map_or(first(item).unwrap() / DAY, |day| NEW_YEAR + day);
        let rated: BTreeSet<u32> = picks.iter().map(|pick| pick.1).collect();
        let dated: Vec<(u32, i64)> = rated.iter().map(|&item| (item, day(item))).collect();
        check_nearest(&dataset, size, &dated, |item, time| if release { day(item) } else { time / DAY })?;
    }

    #[test]
    fn a_slate_holds_the_tagged_artist_and_those_tagged_nearest(
        picks in vec((0..6_u32, 0..12_u32, 0..9_i64, 0..3_u32), 1..60), size in 1..9_usize, seed: u64,
    ) {
        let rows: String = picks.iter().map(|(user, artist, day, tag)| {
            format!("{user}\t{artist}\t{tag}\t{}\t1\t1995\n", day + 1)
        }).collect();
        let slates = SimulatedSlates { seed: Seed::new(seed), ..everyone(Format::LastFm, size) };
        let dataset = read(&[("user_taggedartists.dat", format!("{TAGS}{rows}").as_bytes())], slates);
        // Several tags for an artist on a day are one choice.
        let picks: Vec<Pick> = picks.into_iter().map(|(user, item, day, _)| (user, item, (NEW_YEAR + day) * DAY)).collect();
        check_choices(&dataset, &picks)?;
        let dated: Vec<(u32, i64)> = picks.iter().map(|&(_, item, time)| (item, time / DAY)).collect();
        check_nearest(&dataset, size, &dated, |_, time| time / DAY)?;
    }

    #[test]
    fn a_users_slates_do_not_depend_on_who_else_is_kept(picks in picks(), most in 0..7_usize, min_choices in 1..9_usize) {
        let kept = |users| {
            let slates = SimulatedSlates { users, min_choices, ..everyone(Format::MovieLens, 4) };
            let rows: String = picks.iter().map(|(user, item, time)| format!("{user},{item},3.5,{time}\r\n")).collect();
            let options = Options { slates: Some(slates), ..Options::default() };
            read_with(&[("ratings.csv", format!("{RATINGS}{rows}").as_bytes())], options).map(|read| steps(&read.0))
        };
        let distinct: BTreeSet<Pick> = picks.iter().copied().collect();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        distinct.iter().for_each(|pick| *counts.entry(pick.0.to_string()).or_default() += 1);
        let active: BTreeSet<String> = counts.into_iter().filter(|user| user.1 >= min_choices).map(|user| user.0).collect();
        if active.is_empty() || most == 0 {
            prop_assert!(kept(Some(most)).unwrap_err().to_string().contains("users is to be kept"));
            return Ok(());
        }
        let (all, some) = (kept(None).unwrap(), kept(Some(most)).unwrap());
        prop_assert_eq!(all.keys().cloned().collect::<BTreeSet<_>>(), active);
        prop_assert_eq!(some.len(), most.min(all.len()));
        prop_assert!(some.iter().all(|(user, steps)| all[user] == *steps));
    }
}

/// 4,000 users who tag one of 40 artists each, on one day.
fn crowd() -> String {
    (0..4000).fold(TAGS.to_owned(), |rows, user| {
        rows + &format!("{user}\t{}\t1\t1\t1\t1995\n", user % 40)
    })
}

#[test]
fn the_chosen_item_stands_at_every_place_alike() {
    let dataset = read(&[("tags", crowd().as_bytes())], everyone(Format::LastFm, 10));
    let mut places = [0.0_f64; 10];
    for (slate, chosen, _) in steps(&dataset).into_values().flatten() {
        places[slate.iter().position(|&item| item == chosen).unwrap()] += 1.0;
    }
    let chi_square: f64 = places.iter().map(|count| (count - 400.0).powi(2) / 400.0).sum();
    // Pearson's statistic with 9 degrees of freedom is above 45.1 once in 1.1 million.
    assert!(chi_square < 45.1, "{places:?}: {chi_square}");
}

/// Standard deviations between a count and its mean under a binomial law; beyond 5 once in 1.7
/// million.
fn deviation(count: usize, trials: usize, probability: f64) -> f64 {
    let (trials, count) = (trials as f64, count as f64);
    (count - trials * probability).abs() / (trials * probability * (1.0 - probability)).sqrt()
}

#[test]
fn items_of_equal_distance_are_drawn_alike_before_and_after() {
    // Artists 1, 2 and 3 are tagged a day before the others choose artist 0, artist 4 by two users
    // a day after.
    let row = |user: &str, artist: u32, day: u32| format!("{user}\t{artist}\t1\t{day}\t1\t1995\n");
    let near =
        [row("a", 1, 1), row("b", 2, 1), row("b", 3, 1), row("c", 4, 3), row("d", 4, 3)].concat();
    let rows: String = (0..4000).map(|user| row(&user.to_string(), 0, 2)).collect();
    let dataset =
        read(&[("tags", format!("{TAGS}{near}{rows}").as_bytes())], everyone(Format::LastFm, 2));
    let steps = steps(&dataset);
    for other in 1..5 {
        let shown =
            steps.values().flatten().filter(|step| step.1 == 0 && step.0.contains(&other)).count();
        assert!(deviation(shown, 4000, 0.25) < 5.0, "{other}: {shown}");
    }
}

#[test]
fn simultaneous_choices_come_in_any_order() {
    let rows: String = (0..2000)
        .flat_map(|user| [1, 2].map(|item| format!("{user}\t{item}\t1\t1\t1\t1995\n")))
        .collect();
    let dataset =
        read(&[("tags", format!("{TAGS}{rows}").as_bytes())], everyone(Format::LastFm, 2));
    let steps = steps(&dataset);
    let first = steps.values().filter(|steps| steps[0].1 == 1).count();
    assert!(deviation(first, steps.len(), 0.5) < 5.0, "{first} of {}", steps.len());
}

#[test]
fn users_are_drawn_alike() {
    let rows: String = (0..10).map(|user| format!("{user}\t{user}\t1\t1\t1\t1995\n")).collect();
    let log = format!("{TAGS}{rows}");
    let mut counts = [0; 10];
    for seed in 0..200 {
        let slates = SimulatedSlates {
            users: Some(3),
            seed: Seed::new(seed),
            ..everyone(Format::LastFm, 1)
        };
        let kept = steps(&read(&[("tags", log.as_bytes())], slates));
        assert_eq!(kept.len(), 3);
        kept.keys().for_each(|user| counts[user.parse::<usize>().unwrap()] += 1);
    }
    // Ten counts, each beyond 5 deviations once in 1.7 million.
    assert!(counts.iter().all(|&count| deviation(count, 200, 0.3) < 5.0), "{counts:?}");
}

#[test]
fn the_same_seed_gives_the_same_slates_in_every_release() {
    let log = "7,1,4.0,964982703\n7,3,4.0,964982703\n5,2,1.0,964982600\n7,2,0.5,964982600\n5,4,5.0,964982600\n";
    let slates = |seed| SimulatedSlates {
        users: Some(1),
        seed: Seed::new(seed),
        ..everyone(Format::MovieLens, 3)
    };
    let read =
        |seed| steps(&read(&[("ratings.csv", format!("{RATINGS}{log}").as_bytes())], slates(seed)));
    let expected = vec![
        (vec![2, 3, 1], 2, 964_982_600),
        (vec![3, 1, 4], 1, 964_982_703),
        (vec![4, 3], 3, 964_982_703),
    ];
    assert_eq!(read(1), BTreeMap::from([("7".into(), expected)]));
    assert!((2..9).any(|seed| read(seed) != read(1)));
}

#[test]
fn films_have_the_years_of_their_titles_where_movies_csv_lies_beside() {
    let rows =
        "1,10,4.0,789000000\r\n2,20,3.5,789000000\r\n3,30,0.5,789000000\r\n4,40,5.0,889000000\r\n";
    let movies = "10,\"Cité, La (1994)\",Drama\r\n20,Later (1996),Comedy|War\r\n30,\"Last, The (2005)\",War\r\n99,Other (1995),War\r\n";
    let (log, movies) = (format!("{RATINGS}{rows}"), format!("{MOVIES}{movies}40,Undated,War\r\n"));
    let others = |files: &[(&str, &[u8])]| -> BTreeMap<u32, u32> {
        let slates = SimulatedSlates { around: Around::Release, ..everyone(Format::MovieLens, 2) };
        let steps = steps(&read(files, slates));
        steps
            .into_values()
            .flatten()
            .map(|(slate, chosen, _)| (chosen, slate[usize::from(slate[0] == chosen)]))
            .collect()
    };
    // Film 40 takes the day of its first rating, in 1998; no one rated film 99.
    let with = others(&[("ratings.csv", log.as_bytes()), ("movies.csv", movies.as_bytes())]);
    assert_eq!(with, BTreeMap::from([(10, 20), (20, 10), (30, 40), (40, 20)]));
    let notes = |files: &[(&str, &[u8])]| {
        let slates = Some(everyone(Format::MovieLens, 2));
        read_with(files, Options { slates, ..Options::default() }).unwrap().1.to_string()
    };
    let table = notes(&[("ratings.csv", log.as_bytes()), ("movies.csv", movies.as_bytes())]);
    assert!(
        table.contains("1 of 4 films have no date of release") && !table.contains("no movies.csv"),
        "{table}"
    );
    let table = notes(&[("ratings.csv", log.as_bytes())]);
    assert!(table.contains("4 of 4 films") && table.contains("no movies.csv"), "{table}");
}

#[test]
fn the_summary_says_how_many_choices_give_themselves_away() {
    // Of films of one age, those released long ago are shown only where they were rated.
    let items =
        [film("1", "01-Jan-1995"), film("2", "02-Jan-1995"), film("3", "01-Jan-1950")].concat();
    let log = u_data(&[
        (1, 1, NEW_YEAR * DAY),
        (1, 3, NEW_YEAR * DAY),
        (2, 2, NEW_YEAR * DAY),
        (2, 3, NEW_YEAR * DAY),
        (3, 1, 0),
    ]);
    let slates = SimulatedSlates { min_choices: 2, ..everyone(Format::MovieLens100k, 2) };
    let options = Options { slates: Some(slates), ..Options::default() };
    let table = read_with(&[("u.data", log.as_bytes()), ("u.item", &items)], options)
        .unwrap()
        .1
        .to_string();
    assert!(table.contains("simulated slates; 2 of 3 users kept"), "{table}");
    assert!(
        table.contains("50.0 % of the choices are of items that are shown only where chosen"),
        "{table}"
    );
}

#[test]
fn the_formats_are_told_from_their_first_lines() {
    let detect = |content: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log"), content).unwrap();
        Format::detect(&folder.path().join("log"))
    };
    assert_eq!(detect("196\t242\t3\t881250949\n").unwrap(), Format::MovieLens100k);
    assert_eq!(detect(&format!("{RATINGS}1,1,4.0,964982703\r\n")).unwrap(), Format::MovieLens);
    assert_eq!(detect(TAGS).unwrap(), Format::LastFm);
    assert!(detect("196\t242\t3\n").is_err() && detect("a\tb\tc\td\n").is_err());
    for format in Format::ALL {
        assert_eq!(format.name().parse::<Format>().unwrap(), format);
    }
}

fn refused(files: &[(&str, &[u8])]) -> String {
    let format = (files[0].0 == "u.data").then_some(Format::MovieLens100k);
    read_with(files, Options { format, ..Options::default() }).unwrap_err().to_string()
}

#[test]
fn a_bad_row_names_file_line_field_and_finding() {
    let items = film("1", "01-Jan-1995");
    let cases = [
        (
            "1\t1\t3\t1\n1\t1\t3\n",
            "u.data:2: row: expected as many fields as columns, found 3 fields for 4",
        ),
        ("1\t1\t3\tnoon\n", "u.data:1: timestamp: expected a whole number, found \"noon\""),
        ("1\t\t3\t1\n", "u.data:1: item id: expected an id, found nothing"),
        ("\t1\t3\t1\n", "u.data:1: user id: expected an id, found nothing"),
        ("1\t1\tNaN\t1\n", "u.data:1: rating: expected a number, found NaN"),
    ];
    for (rows, expected) in cases {
        let error = refused(&[("u.data", rows.as_bytes()), ("u.item", &items)]);
        assert!(error.ends_with(expected), "{error}");
    }
    let row = |fields: &str| {
        refused(&[("tags", format!("{TAGS}1\t1\t1\t1\t1\t2009\n{fields}\n").as_bytes())])
    };
    assert!(
        row("1\t1\t1\t31\t4\t2009")
            .ends_with("tags:3: day: expected a day of the calendar, found \"31-4-2009\"")
    );
    assert!(
        row("1\t1\tx\t1\t4\t2009").ends_with("tags:3: tagID: expected a whole number, found \"x\"")
    );
    let error = refused(&[("ratings.csv", format!("{RATINGS}1,,4.0,9\r\n").as_bytes())]);
    assert!(error.ends_with("ratings.csv:2: movieId: expected an id, found nothing"), "{error}");
}

#[test]
fn a_bad_row_beside_the_log_names_its_own_file() {
    let good = film("1", "");
    let cases = [
        (
            film("2", "01-01-1995"),
            "u.item:2: release date: expected a date such as 01-Jan-1995, or nothing, found \"01-01-1995\"",
        ),
        (film("1", ""), "u.item:2: movie id: expected a film once, found \"1\""),
        (
            b"2|Title|01-Jan-1995\n".to_vec(),
            "u.item:2: row: expected 24 fields separated by |, found 3",
        ),
    ];
    for (bad, expected) in cases {
        let items = [&good[..], &bad].concat();
        let files: [(&str, &[u8]); 2] = [("u.data", b"1\t1\t3\t1\n"), ("u.item", &items)];
        let error = refused(&files);
        assert!(error.ends_with(expected), "{error}");
        let slates = Some(everyone(Format::MovieLens100k, 2));
        let (_, report) = read_with(
            &files,
            Options { slates, skip_bad_rows: true, max_bad: 1.0, ..Options::default() },
        )
        .unwrap();
        let reading = &report.reading;
        assert_eq!(
            (report.summary.steps, reading.rows, reading.dropped.values().sum::<u64>()),
            (1, 1, 1)
        );
    }
    let mut movies = format!("{MOVIES}1,").into_bytes();
    movies.extend(b"\xe9 (1995),Drama\r\n");
    let error = refused(&[
        ("ratings.csv", format!("{RATINGS}1,1,4.0,9\r\n").as_bytes()),
        ("movies.csv", &movies),
    ]);
    assert!(error.contains("movies.csv:2: title: expected UTF-8 text"), "{error}");
}

#[test]
fn skipped_rows_leave_no_trace_in_the_slates() {
    let rows = "1\t1\t1\t1\t1\t1995\n1\t2\t1\t30\t2\t1995\n2\t3\t1\t2\t1\t1995\n";
    let slates = Some(everyone(Format::LastFm, 5));
    let options = Options { slates, skip_bad_rows: true, max_bad: 1.0, ..Options::default() };
    let (dataset, report) =
        read_with(&[("tags", format!("{TAGS}{rows}").as_bytes())], options).unwrap();
    assert_eq!(
        (report.summary.sessions, report.summary.items, report.summary.mean_slate),
        (2, 2, 2.0)
    );
    assert_eq!(dataset.catalogue.item("2"), None);
}

#[test]
fn what_is_missing_as_a_whole_is_said() {
    let error = refused(&[("u.data", b"1\t1\t3\t1\n")]);
    assert!(error.contains("u.item: is missing; expected it in the folder of u.data"), "{error}");
    assert!(refused(&[("u.data", b"1\t1\t3\t1\n"), ("u.item", b"")]).contains("u.item: is empty"));
    let listened = refused(&[("user_artists.dat", b"userID\tartistID\tweight\n2\t51\t13883\n")]);
    assert!(listened.contains("no column \"tagID\""), "{listened}");
    // No one has rated 20 films.
    let few = refused(&[("u.data", b"1\t1\t3\t1\n"), ("u.item", &film("1", ""))]);
    assert!(
        few.contains("none of its 1 users is to be kept; active are those with 20 choices or more"),
        "{few}"
    );
}

#[test]
fn slates_that_cannot_be_simulated_are_refused() {
    let refused = |file: (&str, &[u8]), slates| {
        let error =
            read_with(&[file], Options { slates: Some(slates), ..Options::default() }).unwrap_err();
        assert!(matches!(error, Error::Setting(_)), "{error}");
    };
    let tags = format!("{TAGS}1\t1\t1\t1\t1\t1995\n");
    refused(("tags", tags.as_bytes()), everyone(Format::LastFm, 0));
    refused(
        ("tags", tags.as_bytes()),
        SimulatedSlates { around: Around::Release, ..everyone(Format::LastFm, 2) },
    );
    refused(
        ("shop.csv", b"session,step,shown,chosen,reward\na,0,1 2,1,1\n"),
        everyone(Format::LastFm, 2),
    );
}

#[test]
fn formats_without_slates_are_read_only() {
    let dataset = read(
        &[("tags", format!("{TAGS}1\t1\t1\t1\t1\t1995\n").as_bytes())],
        everyone(Format::LastFm, 2),
    );
    let folder = tempfile::tempdir().unwrap();
    let to = |name: &str| -> Box<Path> { folder.path().join(name).into() };
    for format in Format::ALL.into_iter().filter(|&format| SimulatedSlates::of(format).is_some()) {
        let written = export(&dataset, format, &to("log"));
        assert!(written.unwrap_err().to_string().contains("can be read only"));
    }
    for format in [Format::GanCdqn, Format::Csv, Format::JsonLines, Format::Parquet] {
        export(&dataset, format, &to("log")).unwrap();
    }
}
