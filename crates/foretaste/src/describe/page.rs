//! A log's findings and shapes as one HTML page, without a network.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::findings::Finding;
use super::profile::Profile;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em;\
    color:#222;background:#fff}h1{overflow-wrap:anywhere}td,th{padding:.1em 1em .1em 0;\
    text-align:left;vertical-align:top}.wrong{border-left:.4em solid #b3261e;padding-left:.8em}\
    .note{border-left:.4em solid #777;padding-left:.8em}figure{margin:0 0 1.5em}\
    figcaption{color:#555;font-size:.85em}.wide{overflow-x:auto}svg{display:block}\
    rect{fill:#0072b2}text{font-size:12px;text-anchor:middle}\
    @media print{.wide{overflow:visible}svg{max-width:100%;height:auto}figure,tr{break-inside:avoid}}";

/// A chart of the page: what it shows, in which unit, and a bar for each of some ranges.
struct Chart {
    title: &'static str,
    unit: &'static str,
    bars: Vec<(String, f64)>,
    /// How a value is written.
    shown: fn(f64) -> String,
}

/// The page of a log of this name: its summary in rows, what was found, and its profile.
pub fn html(
    name: &str,
    rows: &[(&'static str, String)],
    findings: &[Finding],
    profile: &Profile,
) -> String {
    let wrong = findings.iter().filter(|finding| finding.wrong).count();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (name) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { (name) }
                h2 { "What was found" }
                p { (in_short(wrong)) }
                @for finding in findings {
                    p class=(if finding.wrong { "wrong" } else { "note" }) {
                        b { (finding.found) } br; (finding.advice)
                    }
                }
                h2 { "What the log contains" }
                table { @for (label, value) in rows {
                    tr { th scope="row" { (label) } td { (value) } }
                } }
                @for chart in charts(profile) {
                    h2 { (chart.title) }
                    (figure(&chart))
                }
            } }
        }
    };
    page.into_string() + "\n"
}

fn in_short(wrong: usize) -> String {
    match wrong {
        0 => "No problem was found. The remarks below say what the log is good for.".to_owned(),
        1 => "One problem was found, which is marked in red. Each remark says what to do.".into(),
        wrong => format!(
            "{wrong} problems were found, which are marked in red. Each remark says what to do."
        ),
    }
}

fn charts(profile: &Profile) -> [Chart; 3] {
    let sizes = |power: usize| match power {
        0 => "1".to_owned(),
        power => format!("{} to {}", 1_u64 << power, (2_u64 << power) - 1),
    };
    let powers = |counts: &[u64]| -> Vec<(String, f64)> {
        counts.iter().enumerate().map(|(power, &count)| (sizes(power), count as f64)).collect()
    };
    let places = profile.clicks_by_place.iter().zip(&profile.slates_with_place);
    let rate = |(clicks, slates): (&u64, &u64)| *clicks as f64 / (*slates).max(1) as f64;
    let rates = (1..).zip(places).map(|(place, of): (u64, _)| (place.to_string(), rate(of)));
    let count = |value: f64| format!("{value:.0}");
    [
        Chart {
            title: "Sessions by their number of steps",
            unit: "sessions with so many steps",
            bars: powers(&profile.lengths.by_power),
            shown: count,
        },
        Chart {
            title: "Slates by their number of places",
            unit: "slates with so many places",
            bars: powers(&profile.slates.by_power),
            shown: count,
        },
        Chart {
            title: "Click rate by place",
            unit: "share of the slates with this place on which it is clicked",
            bars: rates.collect(),
            shown: |value| format!("{value:.3}"),
        },
    ]
}

/// Bars with their values above and their ranges below.
fn figure(chart: &Chart) -> Markup {
    const WIDTH: f64 = 84.0;
    const HEIGHT: f64 = 120.0;
    const LINE: f64 = 18.0;
    let most = chart.bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let words =
        chart.bars.iter().map(|(range, value)| format!("{range}: {}", (chart.shown)(*value)));
    let words: Vec<String> = words.collect();
    let (width, height) = (WIDTH * chart.bars.len() as f64, HEIGHT + 2.0 * LINE);
    html! {
        figure {
            div.wide role="group" aria-label=(chart.title) tabindex="0" {
                svg viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img"
                    aria-label={ (chart.title) ". " (words.join("; ")) } {
                    @for (at, (range, value)) in chart.bars.iter().enumerate() {
                        @let left = WIDTH * at as f64;
                        @let tall = HEIGHT * value / most;
                        @let top = LINE + HEIGHT - tall;
                        rect x=(left + 2.0) y=(top) width=(WIDTH - 4.0) height=(tall) {}
                        text x=(left + WIDTH / 2.0) y=(top - 4.0) { ((chart.shown)(*value)) }
                        text x=(left + WIDTH / 2.0) y=(height - 4.0) { (range) }
                    }
                }
            }
            figcaption { "Bars: " (chart.unit) "." }
        }
    }
}
