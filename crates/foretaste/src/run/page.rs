//! The page of a run: one HTML file, without a network.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Outcome;
use super::findings::{Figure, Findings, Row};
use super::settings::Settings;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;\
    color:#222;background:#fff}h1{line-height:1.2;overflow-wrap:anywhere}h2{margin:1.4em 0 .3em}\
    p{margin:.3em 0}table{border-collapse:collapse;margin:1em 0}td,th{padding:.3em 1em .3em 0;\
    text-align:left;vertical-align:top;border-bottom:1px solid #ddd}.wide{overflow-x:auto}\
    .short{border-left:.3em solid #0072b2;padding-left:1em}.short h2{font-size:1.1em;margin:.6em 0 0}\
    pre{background:#f4f4f4;padding:1em;overflow-x:auto;font-size:13px}summary{overflow-wrap:anywhere}\
    small,figcaption{color:#555;font-size:.85em}figure{margin:1em 0}\
    svg{min-width:36em;max-width:100%;height:auto}\
    @media print{details::details-content{content-visibility:visible;display:block}\
    .wide,pre{overflow:visible;white-space:pre-wrap}svg{min-width:0}tr,figure{break-inside:avoid}\
    h2{break-after:avoid}}";
/// What to look at in the table of the policies.
const GUIDE: &str = "Look at the last column first: it says whether the log can decide on a policy. \
    If it can, the third column is how much more the policy earns than the logging policy.";

/// The page.
pub fn html(findings: &Findings, settings: &Settings) -> String {
    let answers = findings.answers();
    let rows = findings.rows();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Foretaste: " (findings.log) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { "What recommenders would earn: " (findings.log) }
                section.short aria-label="In short" {
                    @for answered in &findings.in_short() {
                        h2 { (answered.question) }
                        @for sentence in &answered.sentences { p { (sentence) } }
                    }
                }
                @for answered in &answers {
                    h2 { (answered.question) }
                    @for sentence in &answered.sentences { p { (sentence) } }
                    @if answered.question.starts_with("What would") && !rows.is_empty() {
                        (chart(findings, &rows))
                        p { (GUIDE) }
                        (table(&rows))
                    }
                }
                h2 { "Every step, with its command" }
                p { "Each command can be repeated by hand. Seed " (settings.seed) "." }
                (stage("The log", &findings.describe.command, &findings.describe.answer.text))
                (outcome("The learned users", &findings.fit))
                (outcome("What the learned users may be used for", &findings.trust))
                @for (name, trained) in &findings.trained {
                    (outcome(&format!("The recommender {name}"), trained))
                }
                (outcome("The judgment", &findings.judge))
                p { small { "Made by foretaste, revision " (crate::REVISION) "." } }
            } }
        }
    };
    page.into_string() + "\n"
}

fn outcome(title: &str, outcome: &Outcome) -> Markup {
    match outcome {
        Ok(done) => stage(title, &done.command, &done.answer.text),
        Err(reason) => html! { h3 { (title) } p { "It is missing: " (reason) } },
    }
}

fn stage(title: &str, command: &str, answer: &str) -> Markup {
    html! {
        details {
            summary { (title) ": " code { (command) } }
            pre role="group" aria-label=(title) tabindex="0" { (answer.trim_end()) }
        }
    }
}

const HEADS: [&str; 5] = [
    "policy",
    "reward a slate by the log",
    "minus the logging policy's",
    "by the learned users",
    "verdict of the log",
];

fn table(rows: &[Row]) -> Markup {
    let shown =
        |figure: Option<Figure>| figure.map_or("none".to_owned(), |figure| figure.to_string());
    html! {
        div.wide role="group" aria-label="Policies" tabindex="0" { table {
            thead { tr {
                @for head in HEADS { th scope="col" { (head) } }
            } }
            tbody { @for row in rows { tr {
                th scope="row" { (row.policy) }
                td { (shown(row.by_log)) }
                td { (shown(row.difference)) }
                td { (shown(row.by_users)) }
                td { (row.verdict) @for reason in &row.reasons { br; small { (reason) } } }
            } } }
        } }
    }
}

const LEGEND: &str = "Filled circles: estimates by the log, gray where they are not reliable. \
    Rings: estimates by the learned users, which are no evidence. Lines: 95% intervals. Dashed: what \
    the logging policy earned.";

/// What every policy earns by the log and by the learned users, with its interval, and the logging
/// policy as a line.
fn chart(findings: &Findings, rows: &[Row]) -> Markup {
    const LEFT: f64 = 170.0;
    const WIDTH: f64 = 520.0;
    const HEIGHT: f64 = 28.0;
    let logger = findings.logger();
    let of_rows = rows.iter().flat_map(|row| [row.by_log, row.by_users]).flatten();
    let ends =
        of_rows.chain(logger).flat_map(|figure| figure.interval.unwrap_or([figure.value; 2]));
    let (low, high) = ends
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
    if low >= high || !(high - low).is_finite() {
        return html! {};
    }
    let x = |value: f64| LEFT + WIDTH * (value - low) / (high - low);
    let (width, height) = (LEFT + WIDTH + 60.0, HEIGHT * (rows.len() + 2) as f64);
    let bottom = HEIGHT * (rows.len() as f64 + 0.8);
    let words = rows.iter().map(|row| {
        let say = |figure: Option<Figure>| figure.map_or("none".to_owned(), |one| one.to_string());
        format!("{}: {} and {}", row.policy, say(row.by_log), say(row.by_users))
    });
    let words: Vec<_> = words.collect();
    let label = format!(
        "Reward a slate of every policy by the log and by the learned users. {}.",
        words.join("; ")
    );
    let drawn = html! {
        svg viewBox={ "0 0 " (width) " " (height) } width=(width) role="img" aria-label=(label) {
            @if let Some(logger) = logger {
                @let x = x(logger.value);
                line x1=(x) x2=(x) y1="8" y2=(bottom) stroke="#888" stroke-dasharray="4 3" {}
                text x=(x + 4.0) y="14" font-size="12" fill="#555" { "logging policy" }
            }
            @for (at, row) in (1..).zip(rows) {
                @let y = HEIGHT * f64::from(at);
                text x="0" y=(y + 4.0) font-size="14" { (row.policy) }
                @if let Some(figure) = row.by_log {
                    @let color = if row.is_decided() { "#0072b2" } else { "#8a8a8a" };
                    @if let Some([low, high]) = figure.interval.map(|ends| ends.map(x)) {
                        line x1=(low) x2=(high) y1=(y) y2=(y) stroke=(color) stroke-width="3" {}
                    }
                    circle cx=(x(figure.value)) cy=(y) r="5" fill=(color) {}
                }
                @if let Some(figure) = row.by_users {
                    @let y = y + 8.0;
                    @if let Some([low, high]) = figure.interval.map(|ends| ends.map(x)) {
                        line x1=(low) x2=(high) y1=(y) y2=(y) stroke="#d55e00" {}
                    }
                    circle cx=(x(figure.value)) cy=(y) r="4" fill="#fff" stroke="#d55e00" {}
                }
            }
            line x1=(LEFT) x2=(LEFT + WIDTH) y1=(bottom) y2=(bottom) stroke="#222" {}
            @for (x, words) in [
                (LEFT, format!("{low:.4}")),
                (LEFT + WIDTH / 2.0 - 40.0, "reward a slate".to_owned()),
                (LEFT + WIDTH - 40.0, format!("{high:.4}")),
            ] {
                text x=(x) y=(bottom + 16.0) font-size="12" { (words) }
            }
        }
    };
    html! {
        figure {
            div.wide role="group" aria-label="Rewards of the policies" tabindex="0" { (drawn) }
            figcaption { (LEGEND) }
        }
    }
}
