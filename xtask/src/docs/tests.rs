//! From a run of a toy experiment to the blocks of a document: what is taken over, what a block
//! shows, and which markers are refused.

use std::collections::BTreeMap;
use std::fs;

use foretaste_eval::Metric;
use foretaste_experiments::Settings;
use foretaste_lab::{Cell, Experiment, Grid, Outcome, Program, Run, Scale, Watch};
use foretaste_nn::DeviceKind;
use foretaste_report::DataSet;
use indicatif::MultiProgress;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// Two methods in three settings, which earn as much as the setting says: A a bit more, but for
/// one seed in the last.
struct Toy {
    cells: Vec<Cell>,
}

impl Toy {
    fn new(seeds: u64) -> Self {
        let mut grid = Grid::new("toy", seeds);
        for setting in ["few(10)", "few(100)", "many"] {
            for method in ["A", "B"] {
                grid.arm("users", method, setting, json!({})).unwrap();
            }
        }
        Self { cells: grid.into_cells() }
    }
}

impl Experiment for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn run(&self, cell: &Cell, _: &Watch) -> anyhow::Result<Outcome> {
        let seed = cell.seed as f64;
        let more = match (cell.method.as_str(), cell.setting.as_str()) {
            ("A", "many") => seed - 0.5,
            ("A", _) => 0.5 + 0.01 * seed,
            _ => 0.0,
        };
        let reward = cell.setting.len() as f64 + 0.1 * seed + more;
        let metrics = [("reward", reward), ("ctr", reward / 100.0)];
        let metrics = metrics.map(|(name, value)| (name.parse().unwrap(), value));
        Ok(Outcome { metrics: BTreeMap::from(metrics), curve: Vec::new() })
    }

    fn question(&self) -> &'static str {
        "does it run?"
    }

    fn datasets(&self) -> Vec<DataSet> {
        vec![DataSet { name: "users".into(), test_per_train: 0.0, caveat: String::new() }]
    }

    fn columns(&self) -> &'static [Metric] {
        &[Metric::Reward, Metric::Ctr]
    }
}

const CLAIMS: &str = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,\
    settings,margin,effect\n\
    P,§1,toy,A earns more after few,reward,larger,A,B,beats the best,,few(*),,\n\
    P,§1,toy,A earns more everywhere,reward,larger,A,B,beats the best,,,,0.5\n\
    P,§2,other,C earns more,reward,larger,A,C,beats the best,,,,\n";

/// What the markers of the README ask for; its folder is the root.
const README: &str = "# Toy\n\n\
    <!-- results smoke toy metric=reward dataset=users methods=\"B | A\"\n     \
    settings=\"few(*) | many\" -->\n<!-- end of results -->\n\nText.\n";

/// A directory of results of the toy under these seeds, and the root of a workspace.
fn folders(seeds: u64) -> (TempDir, TempDir) {
    let (out, root) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let settings = Settings {
        scale: Scale::Smoke,
        seeds: Some(seeds),
        data_dir: None,
        device: DeviceKind::Cpu,
    };
    let program = Program {
        experiments: &["toy"],
        claims: CLAIMS,
        revision: "0123456789abcdef-dirty",
        ..Program::default()
    };
    let experiments: [Box<dyn Experiment>; 1] = [Box::new(Toy::new(seeds))];
    let run = Run {
        config: settings.config(),
        quiet: true,
        ..Run::new(program, &experiments, seeds, out.path())
    };
    run.run(&MultiProgress::new(), Default::default()).unwrap();
    let command = "target/xtask reproduce --scale smoke --seeds 3 --out=here --jobs 2 --quiet \
                   --device auto";
    edit(out.path(), |record| {
        record["command"] = command.split(' ').collect();
        record["started_unix_s"] = 1_796_000_000.into();
    });
    fs::create_dir_all(root.path().join("docs")).unwrap();
    fs::write(root.path().join("README.md"), README).unwrap();
    (out, root)
}

/// Changes `run.json` of a directory of results.
fn edit(out: &Path, change: impl FnOnce(&mut Value)) {
    let path = out.join("run.json");
    let mut record: Value = serde_json::from_str(&read(&path).unwrap()).unwrap();
    change(&mut record);
    fs::write(&path, record.to_string()).unwrap();
}

/// The files of docs/results/smoke with what is in them.
fn taken(root: &Path) -> BTreeMap<String, String> {
    let folder = root.join("docs/results/smoke");
    let names = names_in(&folder, "").unwrap();
    names.into_iter().map(|name| (name.clone(), read(&folder.join(name)).unwrap())).collect()
}

/// What a document without results that asks for a block becomes, or why not.
fn block(root: &Path, marker: &str, end: &str) -> Result<String, String> {
    let page = root.join("docs/page.md");
    fs::write(&page, format!("# Page\n\n{marker}\nold\n{end}\n")).unwrap();
    let done = fill(root).map_err(|error| format!("{error:#}"));
    let text = read(&page).unwrap();
    fs::remove_file(page).unwrap();
    done.map(|_| text)
}

#[test]
fn what_a_run_left_is_taken_over_the_same_bytes_each_time() {
    let (out, root) = folders(3);
    let said = take::take(out.path(), root.path(), None).unwrap();
    assert!(
        said.starts_with("docs/results/smoke: toy; 18 cells in 0 h of computing, all"),
        "{said}"
    );
    let files = taken(root.path());
    assert_eq!(files.keys().collect::<Vec<_>>(), ["claims.csv", "run.json", "toy.csv"]);
    assert_eq!(files["claims.csv"], read(&out.path().join("claims.csv")).unwrap());
    let lines: Vec<_> = files["toy.csv"].lines().collect();
    assert_eq!(lines[0], "dataset,setting,method,metric,mean,low,high,seeds");
    assert_eq!(lines.len(), 1 + 3 * 2 * 2);
    assert!(lines[1].starts_with("users,few(10),A,ctr,0.076"), "{}", lines[1]);
    assert!(lines.is_sorted_by_key(|line| line.strip_prefix("dataset").is_none()));
    let source: kept::Source = serde_json::from_str(&files["run.json"]).unwrap();
    assert_eq!(source.command, "cargo xtask reproduce --scale smoke --seeds 3 --device cpu");
    assert_eq!(source.revisions, [("0123456789abcdef-dirty".to_owned(), 18)].into());
    assert!(source.complete && source.planned == Some(18), "{source:?}");

    fs::write(root.path().join("docs/results/smoke/gone.csv"), "").unwrap();
    take::take(out.path(), root.path(), None).unwrap();
    assert_eq!(taken(root.path()), files);
}

#[test]
fn runs_of_one_scale_may_have_a_folder_each() {
    let (out, root) = folders(2);
    take::take(out.path(), root.path(), None).unwrap();
    let first = taken(root.path());
    let said = take::take(out.path(), root.path(), Some("smoke-toy")).unwrap();
    assert!(said.starts_with("docs/results/smoke-toy: toy; 12 cells"), "{said}");
    assert_eq!(taken(root.path()), first);
    assert!(root.path().join("docs/results/smoke-toy/claims.csv").is_file());
    let refused = take::take(out.path(), root.path(), Some("../smoke")).unwrap_err().to_string();
    assert_eq!(refused, "--name ../smoke: expected letters, digits and hyphens");
}

#[test]
fn a_run_that_has_not_ended_is_marked_and_has_no_claims() {
    let (out, root) = folders(2);
    take::take(out.path(), root.path(), None).unwrap();
    edit(out.path(), |record| record["status"] = "running".into());
    let said = take::take(out.path(), root.path(), None).unwrap();
    assert!(
        said.ends_with("unfinished: the run has not ended, so there are no claims yet"),
        "{said}"
    );
    assert_eq!(taken(root.path()).keys().collect::<Vec<_>>(), ["run.json", "toy.csv"]);
    fill(root.path()).unwrap();
    let readme = read(&root.path().join("README.md")).unwrap();
    assert!(readme.contains("unfinished: 12 cells so far."), "{readme}");
    let error = block(root.path(), "<!-- claims smoke toy -->", "<!-- end of claims -->");
    assert!(error.unwrap_err().contains("smoke has no claims.csv: the run had not ended"));

    edit(out.path(), |record| {
        record["status"] = "failed".into();
        record["cells"]["total"] = 20.into();
    });
    take::take(out.path(), root.path(), None).unwrap();
    fill(root.path()).unwrap();
    let readme = read(&root.path().join("README.md")).unwrap();
    assert!(readme.contains("unfinished: 12 of 20 cells."), "{readme}");
}

#[test]
fn a_directory_without_results_of_the_program_is_refused() {
    let (out, root) = folders(1);
    let refused = || format!("{:#}", take::take(out.path(), root.path(), None).unwrap_err());
    edit(out.path(), |record| record["command"] = json!(["xtask", "ci"]));
    assert!(refused().contains("`xtask ci` is not a run of experiments"), "{}", refused());
    edit(out.path(), |record| record["command"] = json!(["xtask", "reproduce", "--sale"]));
    assert!(
        refused().contains("cannot read the command `xtask reproduce --sale`"),
        "{}",
        refused()
    );
    fs::remove_file(out.path().join("run.json")).unwrap();
    assert!(refused().contains("has no run.json"), "{}", refused());
}

#[test]
fn a_block_of_results_is_a_table_and_where_it_comes_from() {
    let (out, root) = folders(3);
    take::take(out.path(), root.path(), None).unwrap();
    assert_eq!(fill(root.path()).unwrap(), ["README.md"]);
    let readme = read(&root.path().join("README.md")).unwrap();
    let (head, _) = README.split_once("<!-- end").unwrap();
    let expected = format!(
        "{head}
| users, reward | few(10) | few(100) | many |
|---|---|---|---|
| B | 7.10 ± 0.25 | 8.10 ± 0.25 | 4.10 ± 0.25 |
| A | 7.61 ± 0.27 | 8.61 ± 0.27 | 4.6 ± 2.7 |

[docs/results/smoke/toy.csv](docs/results/smoke/toy.csv), revision 0123456-dirty, 2026-11-30, 3
seeds, by `cargo xtask reproduce --scale smoke --seeds 3 --device cpu`.

<!-- end of results -->\n\nText.\n"
    );
    assert_eq!(readme, expected);
}

#[test]
fn a_block_of_claims_has_the_verdicts_of_its_experiment() {
    let (out, root) = folders(3);
    take::take(out.path(), root.path(), None).unwrap();
    let page = block(root.path(), "<!-- claims smoke toy -->", "<!-- end of claims -->").unwrap();
    let expected = "# Page

<!-- claims smoke toy -->

| claim | verdict | by how much ours is better, 95% interval | detects at 80% power |
|---|---|---|---|
| A earns more after few | reproduced | few(10) 0.510 ± 0.025; few(100) 0.510 ± 0.025 |  |
| A earns more everywhere | inconclusive | few(10) 0.510 ± 0.025; few(100) 0.510 ± 0.025; \
                    many 0.5 ± 2.5 | many 3.3; an effect of 0.50 needs 34 seeds |

[docs/results/smoke/claims.csv](results/smoke/claims.csv), revision 0123456-dirty, 2026-11-30, 3
seeds, by `cargo xtask reproduce --scale smoke --seeds 3 --device cpu`.

<!-- end of claims -->\n";
    assert_eq!(page, expected);
}

#[test]
fn a_block_of_verdicts_counts_the_claims_of_experiments() {
    let (out, root) = folders(3);
    take::take(out.path(), root.path(), None).unwrap();
    let show = |marker: &str| block(root.path(), marker, "<!-- end of verdicts -->");
    let page = show("<!-- verdicts \"smoke/toy smoke/other\" papers -->").unwrap();
    assert!(
        page.contains(
            "| claims of | experiment | verdicts | seeds | run |
|---|---|---|---|---|
| P, §1 | [toy](experiments/toy.md) | 1 reproduced, 1 inconclusive | 3 seeds | `smoke` |
| P, §2 | [other](experiments/other.md) | 1 not run |  | `smoke` |
"
        ),
        "{page}"
    );
    assert_eq!(page.matches("[docs/results/smoke/claims.csv]").count(), 1, "{page}");
    for (marker, message) in [
        ("<!-- verdicts smoke papers -->", "`smoke` is not RUN/EXPERIMENT"),
        ("<!-- verdicts quick/toy papers -->", "no run in docs/results `quick`"),
        ("<!-- verdicts smoke/tea papers -->", "no experiment with claims `tea`"),
        ("<!-- verdicts smoke/toy ours -->", "no claims `ours`, expected `papers` or `all`"),
        ("<!-- verdicts smoke/toy all rows=a -->", "blocks of verdicts have no options"),
    ] {
        let error = show(marker).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_block_of_a_plot_shows_it_and_where_it_comes_from() {
    let (out, root) = folders(3);
    fs::create_dir_all(out.path().join("plots")).unwrap();
    fs::write(out.path().join("plots/map.svg"), "<svg/>").unwrap();
    let marker = "<!-- plot smoke map says=x -->\n<!-- end of plot -->\n";
    fs::write(root.path().join("docs/page.md"), marker).unwrap();
    take::take(out.path(), root.path(), None).unwrap();
    let show = |marker: &str| block(root.path(), marker, "<!-- end of plot -->");
    let page = show("<!-- plot smoke map says=\"What it shows\" -->").unwrap();
    let origin = "[docs/results/smoke/map.svg](results/smoke/map.svg), revision 0123456-dirty, ";
    assert!(page.contains("\n![What it shows](results/smoke/map.svg)\n"), "{page}");
    assert!(page.contains(origin), "{page}");
    for (marker, message) in [
        ("<!-- plot smoke map -->", "expected says="),
        ("<!-- plot smoke chart says=x -->", "there is no plot `chart`, expected one of `map`"),
        ("<!-- plot smoke map says=x size=y -->", "there is no option `size`, expected `says`"),
    ] {
        let error = show(marker).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn plots_that_documents_show_are_taken_along() {
    let (out, root) = folders(3);
    for name in ["map.svg", "other.svg"] {
        fs::create_dir_all(out.path().join("plots")).unwrap();
        fs::write(out.path().join("plots").join(name), "<svg/>").unwrap();
    }
    let (page, folder) = (root.path().join("docs/page.md"), root.path().join("docs/results/smoke"));
    fs::write(&page, "![a plot](results/smoke/map.svg)\n").unwrap();
    take::take(out.path(), root.path(), None).unwrap();
    assert_eq!(names_in(&folder, ".svg").unwrap(), ["map"]);
    fs::write(&page, "No plot.\n").unwrap();
    take::take(out.path(), root.path(), None).unwrap();
    assert!(names_in(&folder, ".svg").unwrap().is_empty());
    fs::write(&page, "![a plot](results/smoke/nothing.svg)\n").unwrap();
    let refused = format!("{:#}", take::take(out.path(), root.path(), None).unwrap_err());
    assert!(refused.contains("a document shows docs/results/smoke/nothing.svg"), "{refused}");
}

#[test]
fn rows_can_be_of_other_parts_and_markers_in_code_are_none() {
    let (out, root) = folders(3);
    take::take(out.path(), root.path(), None).unwrap();
    let marker = "```\n<!-- results nowhere x -->\n```\n<!-- results smoke toy rows=\"setting | method\" -->";
    let page = block(root.path(), marker, "<!-- end of results -->").unwrap();
    assert!(page.contains("| users | method | ctr | reward |\n"), "{page}");
    assert!(page.contains("| few(10) | A | 0.0761 ± 0.0027 | 7.61 ± 0.27 |\n"), "{page}");
}

#[test]
fn a_check_fails_where_a_block_differs_and_changes_nothing() {
    let (out, root) = folders(2);
    take::take(out.path(), root.path(), None).unwrap();
    let error = check(root.path()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the figures differ from the results: README.md, line 3; run `cargo xtask docs`"
    );
    let readme = root.path().join("README.md");
    assert_eq!(read(&readme).unwrap(), README);
    fill(root.path()).unwrap();
    check(root.path()).unwrap();
    assert!(fill(root.path()).unwrap().is_empty(), "what is in line stays as it is");

    let text = read(&readme).unwrap();
    assert!(text.contains("| A | 7.5"), "{text}");
    fs::write(&readme, text.replace("| A | 7.5", "| A | 9.5")).unwrap();
    assert!(check(root.path()).unwrap_err().to_string().contains("README.md, line 3"));
}

#[test]
fn a_wrong_marker_is_named_with_its_file_and_line() {
    let (out, root) = folders(2);
    take::take(out.path(), root.path(), None).unwrap();
    let (results, claims) = ("<!-- end of results -->", "<!-- end of claims -->");
    for (marker, end, message) in [
        (
            "<!-- results quick toy -->",
            results,
            "no run in docs/results `quick`, expected one of `smoke`",
        ),
        (
            "<!-- results smoke toys -->",
            results,
            "there is no experiment `toys`, expected one of `toy`",
        ),
        ("<!-- results smoke claims -->", results, "there is no experiment `claims`"),
        ("<!-- results smoke toy metric=rewards -->", results, "there is no metric `rewards`"),
        ("<!-- results smoke toy methods=\"A | C\" -->", results, "there is no method `C`"),
        ("<!-- results smoke toy settings=some(*) -->", results, "there is no setting `some(*)`"),
        ("<!-- results smoke toy dataset=logs -->", results, "there is no dataset `logs`"),
        ("<!-- results smoke toy rows=seed -->", results, "there is no part of a row `seed`"),
        (
            "<!-- results smoke toy method=A -->",
            results,
            "there is no option `method`, expected one",
        ),
        (
            "<!-- results smoke toy dataset=users dataset=users -->",
            results,
            "`dataset` is given twice",
        ),
        ("<!-- results smoke toy reward -->", results, "`reward` is not an option, expected name="),
        ("<!-- results smoke toy metric=\"reward -->", results, "a quotation mark is missing"),
        ("<!-- results smoke -->", results, "expected `<!-- results RUN EXPERIMENT .. -->`"),
        ("<!-- results smoke toy", "", "`-->` is missing"),
        ("<!-- results smoke toy -->", claims, "`<!-- end of results -->` is missing"),
        (
            "<!-- results smoke toy -->\n<!-- claims smoke toy -->",
            claims,
            "end of results -->` is missing",
        ),
        (
            "<!-- claims smoke tea -->",
            claims,
            "no experiment with claims `tea`, expected one of `toy`",
        ),
        (
            "<!-- claims smoke toy metric=reward -->",
            claims,
            "no option `metric`: blocks of claims have no options",
        ),
        (
            "<!-- end of claims -->",
            "",
            "this is the end of a block of claims that has no beginning",
        ),
    ] {
        let error = block(root.path(), marker, end).unwrap_err();
        assert!(error.starts_with("docs/page.md, line 3: "), "{error}");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_block_of_speeds_shows_growth_or_the_other_paths() {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("docs")).unwrap();
    fs::create_dir_all(root.path().join("benches")).unwrap();
    fs::write(root.path().join("README.md"), "").unwrap();
    let case = |name: &str, better: &str, values: [f64; 3]| -> serde_json::Value {
        json!({ "name": name, "unit": "M steps/s", "better": better, "values": values })
    };
    let run = json!({
        "machine": { "cores": 2, "cpu": "Any CPU" },
        "revision": "0123456789abcdef-dirty",
        "date": "2026-11-30",
        "cases": [
            case("growth, fit, base", "less", [1.0, 2.0, 1.5]),
            case("growth, fit, items x10", "less", [2.0, 4.0, 3.0]),
            case("sim, Mdp", "more", [4.0, 3.0, 2.0]),
        ],
    });
    fs::write(root.path().join("benches/results.json"), run.to_string()).unwrap();
    let show = |part: &str| {
        let marker = format!("<!-- speed benches/results.json {part} -->");
        block(root.path(), &marker, "<!-- end of speed -->")
    };
    let growth = show("growth").unwrap();
    assert!(growth.contains("| fit | 1.50 |  | 2.00 |  |  |\n"), "{growth}");
    assert!(!growth.contains("Mdp"), "{growth}");
    let origin = "[benches/results.json](../benches/results.json), revision 0123456-dirty, \
                  2026-11-30, on 2 cores of Any CPU";
    let text = |page: &str| page.replace('\n', " ");
    assert!(text(&growth).contains(origin), "{growth}");
    let paths = show("paths").unwrap();
    assert!(paths.contains("| sim, Mdp | M steps/s | 3.00 | 2.00 to 4.00 |\n"), "{paths}");
    assert!(!paths.contains("fit"), "{paths}");
    assert!(text(&paths).contains(origin), "{paths}");

    assert!(show("sums").unwrap_err().contains("there is no part `sums`, expected `growth` or"));
    assert!(show("growth rows=a").unwrap_err().contains("blocks of speed have no options"));
}

#[test]
fn a_page_of_an_experiment_links_to_the_results_from_its_own_folder() {
    let (out, root) = folders(2);
    take::take(out.path(), root.path(), None).unwrap();
    let folder = root.path().join("docs/experiments");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("toy.md"), "<!-- claims smoke toy -->\n<!-- end of claims -->\n")
        .unwrap();
    assert_eq!(fill(root.path()).unwrap(), ["README.md", "docs/experiments/toy.md"]);
    let text = read(&folder.join("toy.md")).unwrap();
    assert!(
        text.contains("[docs/results/smoke/claims.csv](../results/smoke/claims.csv), "),
        "{text}"
    );
}
