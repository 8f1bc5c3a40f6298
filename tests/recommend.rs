//! Recommendations on the command line and through pipes: `foretaste recommend`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A shop of seven items and the recommenders that learned from its log.
struct Shop {
    temp: TempDir,
}

const ITEMS: [&str; 7] = ["bread", "butter", "jam", "honey", "cheese", "tea", "milk"];

impl Shop {
    /// After bread, butter is chosen more often than jam, and jam more often than honey.
    fn new(method: &str, more: &[&str]) -> Self {
        let shop = Self { temp: TempDir::new().unwrap() };
        let mut log = String::from("session,step,shown,chosen,reward\n");
        for session in 0..80 {
            let next =
                ["butter", "butter", "jam", "butter", "honey", "jam", "butter", "tea"][session % 8];
            log += &format!("f{session},0,milk jam bread,bread,1\n");
            log += &format!("f{session},1,{next} cheese,{next},1\n");
        }
        fs::write(shop.place("log.csv"), log).unwrap();
        let train =
            ["train", &shop.place("log.csv"), "--to", &shop.place("policy"), "--method", method];
        let output = shop.run(&[&train[..], more].concat(), b"");
        assert!(output.status.success(), "{output:?}");
        shop
    }

    fn place(&self, name: &str) -> String {
        self.temp.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
        program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = program.spawn().unwrap();
        let _ = running.stdin.take().unwrap().write_all(input);
        running.wait_with_output().unwrap()
    }

    /// The answers to requests, a line each.
    fn answers(&self, policy: &str, requests: &[Value]) -> Vec<Value> {
        let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
        let output = self.run(&["recommend", policy, "--requests", "-"], lines.as_bytes());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn items(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// In the shape of public reports (benfred/implicit #736, #198, #507): however few are left, there
/// are as many as are left and no more, in the order that they have without the others.
#[test]
fn exactly_k_items_or_all_that_are_left_in_the_order_of_the_whole_ranking() {
    let quick = ["--epochs", "2", "--hidden", "8"];
    for (method, more, acting) in [
        ("popularity", &[][..], ",act=top"),
        ("popularity", &[], ""),
        ("random", &[], ""),
        ("lstm", &quick, ""),
        ("irecgan", &["--epochs", "1", "--adversarial", "1", "--hidden", "8"], ",epsilon=0.3"),
    ] {
        let shop = Shop::new(method, more);
        let policy = shop.place("policy") + acting;
        let request = |more: Value| {
            let mut request = json!({ "history": ["bread"] });
            let more = more.as_object().unwrap().clone();
            more.into_iter().for_each(|(key, value)| request[key] = value);
            request
        };
        for (more, k, left) in [
            (json!({ "k": 3, "exclude": ["butter"] }), 3, 6),
            (json!({ "k": 3, "exclude": ["bread", "butter", "milk"] }), 3, 4),
            (json!({ "k": 5, "candidates": ["jam", "tea"] }), 5, 2),
            (json!({ "k": 2, "candidates": ["jam", "tea", "honey"], "exclude": ["honey"] }), 2, 2),
            (json!({ "k": 9, "exclude": ["tea", "tea"] }), 9, 6),
            (json!({ "k": 3, "exclude": ITEMS }), 3, 0),
            (json!({ "k": 3, "candidates": [] }), 3, 0),
            (json!({ "k": 0 }), 0, 7),
            (json!({ "k": 2, "candidates": ["jam", "jam", "honey"] }), 2, 2),
        ] {
            // Each request is the first: what is drawn is drawn alike.
            let all = shop.answers(&policy, &[request(json!({ "k": 7 }))]);
            let barred = |item: &str| {
                let holds = |list: &Value| list.as_array().map(|list| list.contains(&item.into()));
                holds(&more["exclude"]).unwrap_or(false)
                    || !holds(&more["candidates"]).unwrap_or(true)
            };
            let expected: Vec<&str> =
                items(&all[0]).into_iter().filter(|item| !barred(item)).take(k).collect();
            let found = shop.answers(&policy, &[request(more.clone())]);
            assert_eq!(items(&found[0]), expected, "{method}: {more}");
            assert_eq!(expected.len(), k.min(left), "{method}: {more}");
        }
    }
}

#[test]
fn a_history_is_answered_alone_and_in_any_company_alike() {
    let shop = Shop::new("lstm", &["--epochs", "3", "--hidden", "8"]);
    let policy = shop.place("policy");
    let alone = shop.run(&["recommend", &policy, "--history", "bread,jam", "-k", "3"], b"");
    let text = String::from_utf8(alone.stdout).unwrap();
    let requests: Vec<Value> = (0..600)
        .map(|row| match row % 3 {
            0 => json!({ "history": ["bread", "jam"], "k": 3 }),
            1 => json!({ "history": ["tea"], "candidates": ["milk"] }),
            _ => json!({}),
        })
        .collect();
    let answers = shop.answers(&policy, &requests);
    assert_eq!(answers.len(), 600);
    for (row, answer) in answers.iter().enumerate() {
        match row % 3 {
            0 => assert_eq!(items(answer), text.lines().collect::<Vec<_>>()),
            1 => assert_eq!(items(answer), ["milk"]),
            // All seven are fewer than the ten that are shown where nothing is said.
            _ => assert_eq!(items(answer).len(), 7),
        }
    }
}

#[test]
fn unknown_ids_are_named_and_taken_as_not_given() {
    let shop = Shop::new("popularity", &[]);
    let policy = shop.place("policy") + ",act=top";
    let requests = [
        json!({ "history": ["bread", 12, "new"], "k": 1 }),
        json!({ "candidates": ["jam", "nowhere", "nowhere"], "exclude": ["gone"] }),
        json!({ "k": 1 }),
    ];
    let answers = shop.answers(&policy, &requests);
    assert_eq!(answers[0]["unknown"], json!({ "history": ["12", "new"] }));
    assert_eq!(
        answers[1],
        json!({ "items": ["jam"], "unknown": { "candidates": ["nowhere"], "exclude": ["gone"] } })
    );
    assert_eq!((&answers[2]["items"], answers[2].get("unknown")), (&answers[0]["items"], None));
    let said = shop.run(&["recommend", &policy, "--history", "new", "-k", "1"], b"");
    assert!(said.status.success());
    let stderr = String::from_utf8(said.stderr).unwrap();
    assert!(stderr.contains("unknown ids are ignored: clicks on new"), "{stderr}");
}

#[test]
fn a_bad_line_is_named_after_those_before_it_are_answered() {
    let shop = Shop::new("random", &[]);
    let policy = shop.place("policy");
    for (line, message) in [
        ("{\"k\":1", "<standard input>:3: expected a request such as"),
        ("{\"k\":-1}", "invalid value: integer `-1`"),
        ("{\"n\":1}", "unknown field `n`"),
        ("{\"history\":[[1]]}", "expected ids: strings or whole numbers"),
        ("[1]", "<standard input>:3"),
    ] {
        let input = format!("{{\"k\":1}}\n\n{line}\n{{\"k\":1}}\n");
        let output = shop.run(&["recommend", &policy, "--requests", "-"], input.as_bytes());
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(message), "{line}: {stderr}");
    }
    for (arguments, message) in [
        (&["recommend", "uniform"][..], "expected the folder of a recommender"),
        (&["recommend", "nowhere"], "cannot load the recommender nowhere"),
        (&["recommend", &policy, "--requests", "nowhere"], "cannot open nowhere"),
    ] {
        let output = shop.run(arguments, b"");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains(message), "{arguments:?}");
    }
}

/// A program that asks one thing after the other gets each answer before it asks again; when it has
/// gone, nothing goes on.
#[test]
#[cfg(unix)]
fn whoever_asks_is_answered_at_once_and_who_has_gone_is_not_waited_for() {
    let shop = Shop::new("random", &[]);
    let mut program = Command::new(env!("CARGO_BIN_EXE_foretaste"));
    program.args(["recommend", &shop.place("policy"), "--requests", "-"]);
    let mut running = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut asks, mut answers) =
        (running.stdin.take().unwrap(), BufReader::new(running.stdout.take().unwrap()));
    for k in [2, 5] {
        writeln!(asks, "{{\"k\":{k}}}").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert_eq!(items(&serde_json::from_str(&line).unwrap()).len(), k);
    }
    drop(answers);
    writeln!(asks, "{{\"k\":1}}").unwrap();
    // The input stays open: it ends because the output is not read.
    assert_eq!(running.wait().unwrap().code(), Some(0));
    drop(asks);
}
