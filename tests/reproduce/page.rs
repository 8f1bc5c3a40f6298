//! `report.html`: every plot is there, it is seen, and nothing is asked of the network.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::run_experiments;

/// How long a browser may take for a page.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a page may hold of other addresses: names, which no browser fetches.
const NAMES: [&str; 1] = ["http://www.w3.org/2000/svg"];
/// Asks the page, once it is laid out, how large its plots are, what text they hold, and what was
/// fetched.
const PROBE: &str = r##"<script>addEventListener("load", () => {
    const plots = [...document.querySelectorAll("figure")].map(figure => {
        for (let at = figure; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
        const box = figure.querySelector("svg").getBoundingClientRect();
        const texts = [...figure.querySelectorAll("text")].filter(text => text.getBoundingClientRect().width > 0);
        return { id: figure.id, frame: figure.getBoundingClientRect().width, width: box.width, height: box.height, texts: texts.length };
    });
    const style = getComputedStyle(document.body);
    const found = { plots, fetched: performance.getEntriesByType("resource").map(entry => entry.name),
        wide: document.documentElement.scrollWidth > innerWidth, window: innerWidth, ink: style.color, ground: style.backgroundColor };
    document.documentElement.setAttribute("data-found", JSON.stringify(found));
})</script>"##;

/// Looks for what keeps readers with disabilities out, where `.ci/run` has installed axe-core.
const AXE: &str = r##"<script>addEventListener("load", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    axe.run(document, { resultTypes: ["violations"] }).then(found => {
        const violations = found.violations.map(one => one.id + ": " + one.nodes.map(node => node.html.slice(0, 200)).join(" "));
        document.documentElement.setAttribute("data-axe", JSON.stringify(violations));
    });
})</script>"##;

fn report(folder: &Path) -> (String, BTreeSet<String>) {
    let out = folder.join("results");
    run_experiments(&["user-model", "online-learning", "bias"], &out, &["--seeds", "2"]).succeeds();
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    let files = fs::read_dir(out.join("plots")).unwrap().map(|entry| entry.unwrap().path());
    let svg = files.filter(|path| path.extension().is_some_and(|kind| kind == "svg"));
    let plots = svg.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    (page, plots)
}

#[test]
fn the_page_holds_every_plot_and_names_no_other_address() {
    let temp = TempDir::new().unwrap();
    let (page, plots) = report(temp.path());
    for name in [
        "user-model-precision",
        "online-learning-coverage-drawn-mdp-rate-0.003",
        "bias-gaps-mdp",
        "learning-user-model-simulated",
    ] {
        assert!(plots.contains(name), "{name} is not among {plots:?}");
    }
    let figures: BTreeSet<String> =
        page.split("<figure id=\"plot-").skip(1).map(until_quote).collect();
    assert_eq!(figures, plots);
    assert_eq!(page.matches("<svg").count(), plots.len());
    assert_eq!(page.matches("<figcaption>").count(), plots.len());
    for caption in page.split("<figcaption>").skip(1) {
        let caption = caption.split('<').next().unwrap();
        let seeds = [" over 2 seeds", "each of 2 seeds"];
        assert!(seeds.iter().any(|text| caption.contains(text)), "{caption}");
    }

    for scheme in ["http:", "https:", "ftp:", "file:", "data:", "//"] {
        let mut rest = page.as_str();
        while let Some(at) = rest.find(scheme) {
            let start = rest[..at].rfind(['"', ' ', '(']).map_or(0, |quote| quote + 1);
            let after = &rest[at + scheme.len()..];
            // A colon in a sentence is followed by a space, that of an address is not.
            assert!(
                after.starts_with(' ') || NAMES.contains(&until_quote(&rest[start..]).as_str()),
                "{}",
                &rest[start..(at + 60).min(rest.len())]
            );
            rest = after;
        }
    }
    for fetching in [
        "<script", "<img", "<link", "<iframe", "<object", "src=", "@import", "url(", "<use",
        "<image",
    ] {
        assert!(!page.contains(fetching), "{fetching}");
    }
    let links = page.split("href=\"").skip(1).map(until_quote);
    let anchors: BTreeSet<String> = page.split(" id=\"").skip(1).map(until_quote).collect();
    for link in links {
        assert!(link.strip_prefix('#').is_some_and(|anchor| anchors.contains(anchor)), "{link}");
    }
    assert!(page.contains("default-src 'none'"));
}

/// In headless Chromium, light and dark, on a wide and a narrow window. On a machine where none
/// works only the test above looks at the page.
#[test]
fn the_page_is_seen_in_a_browser() {
    let Some(browser) = browser() else {
        eprintln!("no working Chromium on this machine: the page was not rendered");
        return;
    };
    let temp = TempDir::new().unwrap();
    let (page, plots) = report(temp.path());
    let file = temp.path().join("probed.html");
    fs::write(&file, allowing_scripts(&page) + PROBE).unwrap();

    let mut grounds = BTreeSet::new();
    for (scheme, width) in [("0", 1200), ("1", 1200), ("1", 400)] {
        let found = look(browser, &file, scheme, width, "data-found");
        let seen = found["plots"].as_array().unwrap();
        let ids: BTreeSet<_> =
            seen.iter().map(|plot| plot["id"].as_str().unwrap().replacen("plot-", "", 1)).collect();
        assert_eq!(ids, plots);
        for plot in seen {
            let size = |name: &str| plot[name].as_f64().unwrap();
            assert!(
                size("width") > 300.0 && size("height") > 40.0 && size("texts") >= 4.0,
                "{plot}"
            );
            // Otherwise it scrolls.
            assert!(size("frame") <= found["window"].as_f64().unwrap(), "{plot}");
        }
        assert_eq!(found["fetched"].as_array().unwrap().len(), 0, "{found}");
        assert_eq!(found["wide"], false, "the page is wider than its window of {width}");
        assert_ne!(found["ink"], found["ground"]);
        grounds.insert(found["ground"].to_string());
    }
    assert_eq!(grounds.len(), 2, "light and dark differ");

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let installed = "target/axe/node_modules/axe-core/axe.min.js";
    let Ok(axe) = fs::read_to_string(root.join(installed)) else {
        eprintln!("no {installed}: what keeps readers out was not looked for");
        return;
    };
    fs::write(&file, format!("{}<script>{axe}</script>{AXE}", allowing_scripts(&page))).unwrap();
    for (scheme, width) in [("0", 1200), ("1", 400)] {
        let found = look(browser, &file, scheme, width, "data-axe");
        assert_eq!(found, serde_json::json!([]), "on a window of {width}");
    }
}

/// The page without its policy, which forbids scripts.
fn allowing_scripts(page: &str) -> String {
    let policy = page.find("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let end = policy + page[policy..].find('>').unwrap() + 1;
    page[..policy].to_owned() + &page[end..]
}

/// What a probe found, which is in this attribute of the page.
fn look(browser: &str, page: &Path, scheme: &str, width: u32, attribute: &str) -> Value {
    let dom = dump(
        browser,
        &[
            &format!("--blink-settings=preferredColorScheme={scheme}"),
            &format!("--window-size={width},900"),
        ],
        page.to_str().unwrap(),
    );
    let dom = dom.unwrap();
    let (_, found) = dom
        .split_once(&format!("{attribute}=\""))
        .unwrap_or_else(|| panic!("the probe found nothing:\n{dom:.2000}"));
    let found = found
        .split('"')
        .next()
        .unwrap()
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&found).unwrap()
}

/// The first browser that opens an empty page.
fn browser() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    names
        .into_iter()
        .find(|name| dump(name, &[], "about:blank").is_some_and(|dom| dom.contains("<body")))
}

/// The page's content after it was laid out; no address but the page's own can be resolved.
fn dump(browser: &str, options: &[&str], page: &str) -> Option<String> {
    let (profile, mut dom) = (TempDir::new().unwrap(), tempfile::tempfile().unwrap());
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--dump-dom",
        ])
        .args([
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=2000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(options)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(dom.try_clone().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begin.elapsed() > PATIENCE => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => sleep(Duration::from_millis(20)),
        }
    };
    let mut text = String::new();
    dom.seek(SeekFrom::Start(0)).unwrap();
    dom.read_to_string(&mut text).unwrap();
    status.success().then_some(text)
}

fn until_quote(text: &str) -> String {
    text.split(['"', ')', ' ', '<']).next().unwrap_or_default().to_owned()
}
