//! `cargo xtask reproduce` end to end, on the bundled logs: what a run leaves behind, and what it
//! makes of the remains of an earlier one.

#[path = "common/events.rs"]
mod events;
#[path = "reproduce/page.rs"]
mod page;
#[path = "reproduce/parts.rs"]
mod parts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn a_rerun_runs_only_what_is_missing_or_corrupt() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["--seeds", "1", "--jobs", "1"]).succeeds();
    let first = cells(&out).len();

    reproduce(&out, &["--seeds", "2", "--jobs", "1"]).succeeds();
    let straight = Tables::read(&out);
    let all = cells(&out);
    assert_eq!(count(&out), Count { total: all.len(), run: all.len() - first, resumed: first });

    fs::remove_file(&all[0]).unwrap();
    let text = fs::read(&all[1]).unwrap();
    fs::write(&all[1], &text[..text.len() / 2]).unwrap();
    let stderr = reproduce(&out, &["--seeds", "2", "--jobs", "1"]).succeeds();
    assert!(stderr.contains(all[1].to_str().unwrap()), "{stderr}");
    assert_eq!(count(&out), Count { total: all.len(), run: 2, resumed: all.len() - 2 });
    assert_eq!(Tables::read(&out), straight);

    reproduce(&out, &["--seeds", "2"]).succeeds();
    assert_eq!(count(&out), Count { total: all.len(), run: 0, resumed: all.len() });
    assert_eq!(Tables::read(&out), straight);
}

#[test]
fn the_cells_of_some_methods_run_before_the_others() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    let only = |methods: &[&str]| {
        let methods = methods.iter().flat_map(|method| ["--method", method]);
        let options: Vec<&str> = ["--seeds", "1"].into_iter().chain(methods).collect();
        run_experiments(&["planning"], &out, &options)
    };
    only(&["planing"]).fails_with("there is no method `planing`, expected one of `GAN-CDQN`");
    only(&["random", "plan*"]).succeeds();
    let some = cells(&out).len();
    let tables = Tables::read(&out);
    assert!(tables.results.contains("random") && !tables.results.contains("GAN-CDQN"));
    run_experiments(&["planning"], &out, &["--seeds", "1"]).succeeds();
    let all = cells(&out).len();
    assert_eq!(count(&out), Count { total: all, run: all - some, resumed: some });
}

/// TensorBoard is shown the learning curves of `curves.csv`, in single precision, and the metrics
/// of `results.csv`; and the norms of gradients, which no table has.
#[test]
fn events_hold_the_curves_and_metrics_of_the_tables() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    let stderr = reproduce(&out, &["--seeds", "1", "--jobs", "2"]).succeeds();
    let first = stderr.lines().find(|line| line.starts_with("[1/")).unwrap();
    assert!(first.contains(", about ") && first.ends_with(" left"), "{stderr}");
    let tables = Tables::read(&out);

    // By cell: what the tables say, as the event file is to say it.
    let mut expected: BTreeMap<String, Vec<(u64, String, f32)>> = BTreeMap::new();
    let rows = |table: &str| -> Vec<csv::StringRecord> {
        csv::Reader::from_reader(table.as_bytes()).records().map(Result::unwrap).collect()
    };
    let cell = |row: &csv::StringRecord| {
        let method = row[2].replace(',', "%2C");
        format!("{}/{}/{method}, {}/seed-{}", &row[0], &row[1], &row[3], &row[4])
    };
    let mut step = 0;
    // A row's figures are sorted by name, and in this experiment none sorts before `iteration`.
    for row in rows(&tables.curves) {
        let value: f64 = row[7].parse().unwrap();
        match &row[6] {
            "iteration" => step = value as u64,
            name => expected.entry(cell(&row)).or_default().push((step, name.into(), value as f32)),
        }
    }
    for row in rows(&tables.results) {
        let value: f64 = row[6].parse().unwrap();
        expected.entry(cell(&row)).or_default().push((
            0,
            format!("metrics/{}", &row[5]),
            value as f32,
        ));
    }
    for (cell, expected) in &expected {
        let found = events::scalars(&out.join("events").join(cell));
        let (norms, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(_, tag, _)| tag == "gradient_norm");
        let rest: Vec<_> =
            rest.into_iter().filter(|(_, tag, _)| !tag.starts_with("grid-")).collect();
        assert_eq!(rest, *expected, "{cell}");
        let updates = expected.iter().filter(|(_, tag, _)| tag == "train_nll").count();
        assert!(
            norms.len() == updates && norms.iter().all(|(_, _, norm)| *norm > 0.0),
            "{cell}: {norms:?}"
        );
        let log = fs::read_to_string(out.join("logs").join(format!("{cell}.log"))).unwrap();
        assert!(log.contains("finished in") && log.contains("metrics/precision@1 = "), "{log}");
    }
    assert!(
        expected.keys().any(|cell| cell.contains("GAN-LSTM"))
            && expected.len() == cells(&out).len()
    );
}

#[test]
fn two_jobs_give_the_results_of_one() {
    let temp = TempDir::new().unwrap();
    let tables = |jobs: &str| {
        let out = temp.path().join(jobs);
        reproduce(&out, &["--seeds", "2", "--jobs", jobs]).succeeds();
        Tables::read(&out)
    };
    let (one, two) = (tables("1"), tables("2"));
    assert!(
        one.results.starts_with("experiment,dataset,method,setting,seed,metric,value\nuser-model,")
    );
    assert_eq!(one, two);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_goes_on_to_the_results_of_a_straight_one() {
    use std::process::Stdio;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    let temp = TempDir::new().unwrap();
    let (broken, straight) = (temp.path().join("broken"), temp.path().join("straight"));
    let options = ["--seeds", "3", "--jobs", "1"];
    let mut child =
        command(&broken, &options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !broken.join("cells").is_dir() || cells(&broken).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before a cell was finished");
        assert!(begin.elapsed() < Duration::from_secs(120), "no cell was finished in two minutes");
        sleep(Duration::from_millis(5));
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("run the same command again"), "{stderr}");
    let kept = cells(&broken).len();
    assert_eq!(record(&broken)["status"], "interrupted");

    reproduce(&broken, &options).succeeds();
    let Count { total, run, resumed } = count(&broken);
    assert_eq!(resumed, kept);
    assert_eq!(run, total - kept);
    assert!(run > 0);
    reproduce(&straight, &options).succeeds();
    assert_eq!(Tables::read(&broken), Tables::read(&straight));
}

#[test]
fn the_results_of_another_configuration_are_refused_and_left_alone() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["--seeds", "1", "--device", "cpu"]).succeeds();
    let before = Tables::read(&out);

    reproduce(&out, &["--scale", "quick", "--seeds", "1", "--device", "cpu"])
        .fails_with("scale `quick` instead of `smoke`");
    assert_eq!(Tables::read(&out), before);
    assert_eq!(record(&out)["status"], "complete");
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn auto_is_filed_under_the_device_that_it_becomes() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["--seeds", "1", "--device", "cpu"]).succeeds();
    let Count { total, .. } = count(&out);
    reproduce(&out, &["--seeds", "1", "--device", "auto"]).succeeds();
    assert_eq!(count(&out), Count { total, run: 0, resumed: total });
    assert_eq!(record(&out)["config"]["device"], "cpu");
}

#[test]
fn remains_of_a_run_that_was_killed_at_its_start_are_swept() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    fs::create_dir(&out).unwrap();
    fs::write(out.join(".unfinished-x1"), "{").unwrap();
    reproduce(&out, &["--seeds", "1"]).succeeds();
    assert!(!out.join(".unfinished-x1").exists());
}

#[test]
fn readers_that_have_gone_away_do_not_end_a_run() {
    use std::process::Stdio;

    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["--seeds", "1"]).succeeds();
    fs::write(&cells(&out)[0], "{").unwrap();
    let mut child = command(&out, &["--seeds", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert!(child.wait().unwrap().success());
    assert_eq!(record(&out)["status"], "complete");
}

#[test]
fn cells_of_another_revision_are_kept_and_named() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["--seeds", "1"]).succeeds();
    assert!(!summary(&out).contains("of another revision"));
    let record = record(&out);
    let built_from = record["git_revision"].as_str().unwrap();
    let all = cells(&out);
    let text = fs::read_to_string(&all[0]).unwrap();
    fs::write(&all[0], text.replace(built_from, "0123abc")).unwrap();
    let output = command(&out, &["--seeds", "1"]).output().unwrap();
    for told in [String::from_utf8_lossy(&output.stdout).into_owned(), summary(&out)] {
        assert!(told.contains("of another revision"), "{told}");
        assert!(told.contains("0123abc made 1"), "{told}");
        assert!(told.contains(&format!("{built_from} made {}", all.len() - 1)), "{told}");
    }
    assert_eq!(count(&out).run, 0);
}

#[test]
fn a_rerun_with_fewer_seeds_says_what_its_tables_leave_out() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["--seeds", "3"]).succeeds();
    assert!(!summary(&out).contains("not in these tables"));
    let all = cells(&out).len();
    let output = command(&out, &["--seeds", "1"]).output().unwrap();
    let left_out = format!(
        "not in these tables: {}. To include them, run `user-model` with `--seeds 3`",
        all - count(&out).total
    );
    for told in [String::from_utf8_lossy(&output.stdout).into_owned(), summary(&out)] {
        assert!(told.contains(&left_out), "{told}");
    }
}

#[test]
fn a_directory_that_holds_something_else_is_refused() {
    let temp = TempDir::new().unwrap();
    fs::write(temp.path().join("thesis.tex"), "dear reader").unwrap();
    reproduce(temp.path(), &[]).fails_with("not a results directory");
    reproduce(&temp.path().join("thesis.tex"), &[])
        .fails_with("is a file, but results are written to a directory");

    let damaged = temp.path().join("damaged");
    fs::create_dir(&damaged).unwrap();
    fs::write(damaged.join("run.json"), "{\"config\":").unwrap();
    reproduce(&damaged, &[]).fails_with("run.json has no record of the run");
}

#[test]
fn a_directory_in_the_place_of_a_file_is_named() {
    let temp = TempDir::new().unwrap();
    let record = temp.path().join("record");
    fs::create_dir_all(record.join("run.json")).unwrap();
    reproduce(&record, &[]).fails_with("run.json");

    let table = temp.path().join("table");
    reproduce(&table, &["--seeds", "1"]).succeeds();
    fs::remove_file(table.join("results.csv")).unwrap();
    fs::create_dir(table.join("results.csv")).unwrap();
    reproduce(&table, &["--seeds", "1"]).fails_with("results.csv is a directory");

    fs::remove_dir(table.join("results.csv")).unwrap();
    let cell = cells(&table).remove(0);
    fs::remove_file(&cell).unwrap();
    fs::create_dir(&cell).unwrap();
    let stderr = reproduce(&table, &["--seeds", "1"])
        .fails_with("is a directory, but a file is to be written there");
    assert!(stderr.contains("1 of"), "{stderr}");
    assert_eq!(self::record(&table)["status"], "failed");
    assert!(summary(&table).contains("**Incomplete: "));
}

#[test]
fn a_rerun_removes_plots_of_experiments_and_nothing_else() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["--seeds", "1"]).succeeds();
    let place = |name: &str| out.join("plots").join(name);
    let [old, mine] = [["cdqn-old.svg", "learning-bias-old.png"], ["my.png", "cdqnotes.svg"]];
    for name in old.iter().chain(&mine) {
        fs::write(place(name), "drawn").unwrap();
    }
    reproduce(&out, &["--seeds", "1"]).succeeds();
    assert!(
        old.iter().all(|name| !place(name).exists())
            && mine.iter().all(|name| place(name).exists())
    );
}

#[test]
#[cfg(unix)]
fn a_link_in_the_place_of_a_table_is_not_replaced() {
    let temp = TempDir::new().unwrap();
    let [out, elsewhere] = ["results", "elsewhere"].map(|name| temp.path().join(name));
    reproduce(&out, &["--seeds", "1"]).succeeds();
    for name in ["results.csv", "run.json"] {
        fs::rename(out.join(name), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, out.join(name)).unwrap();
        reproduce(&out, &["--seeds", "1"])
            .fails_with(&format!("{name} is a link, but a file is to be written there"));
        assert!(out.join(name).is_symlink());
        fs::remove_file(out.join(name)).unwrap();
        fs::rename(&elsewhere, out.join(name)).unwrap();
    }
}

#[test]
fn wrong_arguments_are_named() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    let missing = temp.path().join("no-such-folder");
    let missing = missing.to_str().unwrap();
    reproduce(&out, &["--data-dir", missing]).fails_with(missing);
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    reproduce(&out, &["--data-dir", here]).fails_with("there is no such directory");
    reproduce(&out, &["user-modle"])
        .fails_with("there is no experiment `user-modle`; the experiments are: user-model");
    assert!(!out.exists());

    for seeds in ["0", "99999999999999"] {
        let output = command(&out, &["--seeds", seeds]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
    let bench = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["bench", "sim", "--threads", "0"])
        .output()
        .unwrap();
    assert_eq!(bench.status.code(), Some(2));
}

/// A data folder that lacks the data sets is an error, not a silent run on the bundled logs.
#[test]
fn a_data_folder_without_data_is_an_error() {
    let temp = TempDir::new().unwrap();
    let (out, data) = (temp.path().join("results"), temp.path().join("data"));
    fs::create_dir(&data).unwrap();
    reproduce(&out, &["--data-dir", data.to_str().unwrap()]).fails_with(data.to_str().unwrap());
}

/// Every policy at both sizes of a slate, judged in learned and in true users, below their optimum;
/// the claims are there, and two runs agree.
#[test]
fn recommenders_are_judged_and_meet_new_users() {
    let temp = TempDir::new().unwrap();
    let (out, again) = (temp.path().join("one"), temp.path().join("two"));
    let experiments = ["cdqn", "planning", "trust", "adaptation"];
    run_experiments(&experiments, &out, &["--seeds", "1", "--jobs", "2"]).succeeds();
    run_experiments(&experiments, &again, &["--seeds", "1", "--jobs", "1"]).succeeds();
    let tables = Tables::read(&out);
    assert_eq!(tables, Tables::read(&again));

    let policies =
        ["GAN-CDQN", "GAN-GDQN", "GAN-RWD1", "GAN-Greedy", "W&D-LR", "W&D-CCF", "LinUCB", "random"];
    for setting in ["k = 3", "k = 5"] {
        for policy in policies {
            let figure = |metric: &str| {
                tables.figure(&format!("cdqn,choice-users,{policy},{setting},0,{metric}"))
            };
            for rate in ["ctr", "simulator_ctr", "true_ctr"] {
                // Some click and some do not, in sessions that have more than one step.
                assert!(
                    figure(rate) > 0.0 && figure(rate) < 1.0,
                    "{policy} {rate}: {}",
                    figure(rate)
                );
            }
            // Ten sessions: what is above the optimum by chance is not above it by much.
            assert!(figure("true_reward") < 2.0 * figure("true_optimum"), "{policy}");
        }
    }
    for method in ["CDQN warm start", "CDQN from scratch", "LinUCB", "GAN-Greedy", "random"] {
        let figure = |metric: &str| {
            tables.figure(&format!("adaptation,choice-users,{method},k = 3,0,{metric}"))
        };
        assert!((0.0..=8.0).contains(&figure("interactions")), "{method}");
        assert_eq!(figure("level"), tables.figure("adaptation,choice-users,random,k = 3,0,level"));
    }
    assert!(
        tables.curves.contains("adaptation,choice-users,CDQN from scratch,k = 3,0,2,click_rate,")
    );
    let share = |method: &str| {
        tables.figure(&format!("planning,no boredom,{method},60 sessions,0,oracle_share"))
    };
    // The optimum is an expectation, of which 20 sessions may earn a little more.
    let planned = share("\"plan, true users\"");
    assert!(share("random") < planned && planned < 1.3, "{planned}");
    for level in ["trust_verdict", "trust_rightful"] {
        let level =
            tables.figure(&format!("trust,boredom,\"uniform, features\",80 sessions,0,{level}"));
        assert!([0.0, 1.0, 2.0, 3.0].contains(&level), "{level}");
    }

    let claims = fs::read_to_string(out.join("claims.csv")).unwrap();
    for sentence in [
        "GAN-GDQN), reward of a session, k = 3",
        "GAN-RWD1), reward of a session, k = 5",
        "5 times fewer",
    ] {
        assert!(claims.contains(sentence), "{claims}");
    }
    assert!(summary(&out).contains("experiment C") && out.join("cells").is_dir());
}

/// IRecGAN's experiments: within the bounds of who sees the users' state, sums that are sums, and
/// two runs that agree.
#[test]
fn irecgan_meets_simulated_users() {
    let temp = TempDir::new().unwrap();
    let (out, again) = (temp.path().join("one"), temp.path().join("two"));
    let names = ["online-eval", "online-learning", "bias"];
    run_experiments(&names, &out, &["--seeds", "2", "--jobs", "2"]).succeeds();
    run_experiments(&names, &again, &["--seeds", "2", "--jobs", "1"]).succeeds();
    let tables = Tables::read(&out);
    assert_eq!(tables, Tables::read(&again));

    for world in ["mdp", "mdp-dirichlet"] {
        let cell =
            |method: &str, setting: &str| format!("online-eval,{world},{method},{setting},1");
        let oracle = tables.figure(&format!("{},coverage_1", cell("oracle", "no log")));
        assert_eq!(oracle, 1.0, "the best item is on the best slate");
        for method in ["LSTM", "PG", "LSTMD", "IRecGAN"] {
            for log in ["random(100)", "max(100)", "mix(100)"] {
                let figure =
                    |metric: &str| tables.figure(&format!("{},{metric}", cell(method, log)));
                assert!(figure("reward") > 0.0);
                for slates in ["", "_top"] {
                    let by_rank = (1..=10).map(|r| figure(&format!("coverage_{r}{slates}")));
                    assert!(
                        (by_rank.sum::<f64>() / 10.0 - figure(&format!("coverage{slates}"))).abs()
                            < 1e-12
                    );
                    // The optimum is that of the users, whatever the policy.
                    let optimum = figure(&format!("reward{slates}"))
                        / figure(&format!("oracle_share{slates}"));
                    let of_oracle = ["reward", "oracle_share"].map(|metric| {
                        tables.figure(&format!("{},{metric}{slates}", cell("oracle", "no log")))
                    });
                    assert!(
                        (optimum - of_oracle[0] / of_oracle[1]).abs() < 1e-9,
                        "{method} {log}{slates}"
                    );
                }
                // Twenty sessions: what is above the optimum by chance is not above it by much.
                assert!(figure("oracle_share") < 2.0, "{method} {log}");
            }
        }
        for when in ["before", "after"] {
            let figure =
                |metric: &str| tables.figure(&format!("bias,{world},{when},mix(100),0,{metric}"));
            let terms = ["from_delta", "from_data", "from_weights"].map(figure);
            assert!((terms.iter().sum::<f64>() - figure("bias")).abs() < 1e-9);
            assert!((figure("value") + figure("bias") - figure("estimate")).abs() < 1e-9);
            let sizes = ["abs_from_delta", "abs_from_data", "abs_from_weights"].map(figure);
            assert_eq!(sizes, terms.map(f64::abs));
            assert!(
                ["delta_1", "delta_2", "reached"]
                    .map(figure)
                    .iter()
                    .all(|share| (0.0..=1.0).contains(share))
            );
        }
        assert!(tables.curves.contains(&format!(
            "online-learning,{world},PG-online&offline,rate 0.003,0,2,coverage_10,"
        )));
        let plot = format!("plots/online-learning-coverage-drawn-{world}-rate-0.003.svg");
        assert!(out.join(plot).is_file());
    }
    // What is the same recommender in two experiments earns the same.
    let parts = temp.path().join("parts");
    run_experiments(&["irecgan-parts"], &parts, &["--seeds", "2"]).succeeds();
    let parts = Tables::read(&parts);
    for (here, there) in [("PG", "PG"), ("LSTMD", "LSTMD 1:10"), ("IRecGAN", "IRecGAN 1:10")] {
        let there = parts.figure(&format!("irecgan-parts,mdp,{there},random(100),1,reward"));
        assert_eq!(tables.figure(&format!("online-eval,mdp,{here},random(100),1,reward")), there);
    }
    let claims = fs::read_to_string(out.join("claims.csv")).unwrap();
    for sentence in
        ["k likeliest items", "LSTM-offline ends below", "adversarial training at 1:10 lowers δ₁"]
    {
        assert!(claims.contains(sentence), "{claims}");
    }
}

#[test]
fn a_run_ends_with_claims_and_plots() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["regularisers", "--seeds", "2"]).succeeds();
    let claims = fs::read_to_string(out.join("claims.csv")).unwrap();
    let mut lines = claims.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("paper,section,experiment,claim,verdict,caveats,dataset,metric,")
    );
    let (run, others): (Vec<_>, Vec<_>) = lines.partition(|line| {
        [",user-model,", ",regularisers,"].iter().any(|experiment| line.contains(experiment))
    });
    // Both learned users against each of seven baselines and their best, both with context features
    // against all baselines' best and themselves without, L2 against Shannon, and L2 from the most
    // precise checkpoint against L2; one data set.
    assert_eq!(run.len(), 2 * 8 + 4 + 2 + 2);
    for line in run {
        assert!(!line.contains(",not run,") && line.contains(",simulated,precision@1,"), "{line}");
        assert!(line.contains("simulated users, not the paper's"), "{line}");
    }
    assert!(
        !others.is_empty() && others.iter().all(|line| line.contains(",not run,")),
        "{others:?}"
    );
    assert!(summary(&out).contains("## Claims"));
    for plot in ["learning-user-model-simulated", "learning-regularisers-simulated"] {
        let svg = fs::read_to_string(out.join("plots").join(format!("{plot}.svg"))).unwrap();
        assert!(svg.contains("GAN-LSTM") && svg.contains("<polyline"), "{plot}");
        assert!(
            fs::read(out.join("plots").join(format!("{plot}.png")))
                .unwrap()
                .starts_with(b"\x89PNG")
        );
    }
}

#[test]
fn a_run_says_what_it_ran_on() {
    let temp = TempDir::new().unwrap();
    let out = temp.path().join("results");
    reproduce(&out, &["--seeds", "1"]).succeeds();
    let record = record(&out);
    for known in [
        "/git_revision",
        "/machine/cpu",
        "/machine/cores",
        "/versions/candle",
        "/wall_s",
        "/command/0",
    ] {
        assert!(record.pointer(known).is_some_and(|value| !value.is_null()), "{known}: {record}");
    }
    let summary = summary(&out);
    assert!(summary.contains("## user-model") && summary.contains("bundled logs"), "{summary}");
}

/// Runs at scale smoke, unless the options name another.
fn reproduce(out: &Path, options: &[&str]) -> Run {
    let output = command(out, options).output().unwrap();
    Run { options: options.join(" "), output }
}

/// As [`reproduce`], of other experiments.
fn run_experiments(names: &[&str], out: &Path, options: &[&str]) -> Run {
    let output = command_of(names, out, options).output().unwrap();
    Run { options: options.join(" "), output }
}

fn command(out: &Path, options: &[&str]) -> Command {
    command_of(&["user-model"], out, options)
}

fn command_of(names: &[&str], out: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("reproduce").args(names).arg("--out").arg(out);
    let scale = if options.contains(&"--scale") { &[][..] } else { &["--scale", "smoke"] };
    command.args(scale).args(options);
    command
}

struct Run {
    options: String,
    output: Output,
}

impl Run {
    /// Checks that the run succeeded; its stderr.
    fn succeeds(self) -> String {
        let stderr = self.stderr();
        assert!(
            self.output.status.success(),
            "{}: {:?}\n{stderr}",
            self.options,
            self.output.status
        );
        stderr
    }

    /// Checks that the run failed with exit code 1 and a message that holds `reason`; its stderr.
    fn fails_with(self, reason: &str) -> String {
        let stderr = self.stderr();
        assert_eq!(self.output.status.code(), Some(1), "{}\n{stderr}", self.options);
        assert!(stderr.contains(reason), "{}: expected `{reason}` in\n{stderr}", self.options);
        stderr
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

#[derive(Debug, PartialEq)]
struct Tables {
    results: String,
    curves: String,
}

impl Tables {
    fn read(out: &Path) -> Self {
        let read = |name| fs::read_to_string(out.join(name)).unwrap();
        Self { results: read("results.csv"), curves: read("curves.csv") }
    }

    /// The value of the row of `results.csv` that begins so, up to the metric.
    fn figure(&self, row: &str) -> f64 {
        let line = self.results.lines().find(|line| line.starts_with(&format!("{row},")));
        let line = line.unwrap_or_else(|| panic!("no {row} in\n{}", self.results));
        line.rsplit(',').next().unwrap().parse().unwrap()
    }
}

#[derive(Debug, PartialEq)]
struct Count {
    total: usize,
    run: usize,
    resumed: usize,
}

fn count(out: &Path) -> Count {
    let cells = &record(out)["cells"];
    let number = |name: &str| cells[name].as_u64().unwrap() as usize;
    Count { total: number("total"), run: number("run"), resumed: number("resumed") }
}

fn summary(out: &Path) -> String {
    fs::read_to_string(out.join("summary.md")).unwrap()
}

fn record(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap()
}

/// The files of finished cells, in a fixed order.
fn cells(out: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(out.join("cells")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect();
    paths.sort();
    paths
}
