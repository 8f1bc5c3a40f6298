//! A log's findings and shapes as one HTML page, without a network.

use std::fmt::Write as _;

use super::findings::Finding;
use super::profile::Profile;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}\
    td,th{padding:.1em 1em .1em 0;text-align:left;vertical-align:top}\
    .wrong{border-left:.4em solid #c33;padding-left:.8em}\
    .note{border-left:.4em solid #888;padding-left:.8em}\
    svg{background:#f4f4f4}rect{fill:#36c}";

/// The page of a log of this name: its summary in rows, what was found, and its profile.
pub fn html(
    name: &str,
    rows: &[(&'static str, String)],
    findings: &[Finding],
    profile: &Profile,
) -> String {
    let name = escaped(name);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title>\
         <style>{STYLE}</style><h1>{name}</h1>\n<h2>What was found</h2>\n"
    );
    // Writing into a string cannot fail.
    for Finding { wrong, found, advice, .. } in findings {
        let class = if *wrong { "wrong" } else { "note" };
        let (found, advice) = (escaped(found), escaped(advice));
        let _ = writeln!(page, "<p class=\"{class}\"><b>{found}</b><br>{advice}</p>");
    }
    page += "<h2>What the log contains</h2>\n<table>\n";
    for (label, value) in rows {
        let _ = writeln!(page, "<tr><th>{}<td>{}</tr>", escaped(label), escaped(value));
    }
    page += "</table>\n";
    let powers = |counts: &[u64]| -> Vec<(String, f64)> {
        let sizes = |power: usize| match power {
            0 => "1".to_owned(),
            power => format!("{} to {}", 1_u64 << power, (2_u64 << power) - 1),
        };
        counts.iter().enumerate().map(|(power, &count)| (sizes(power), count as f64)).collect()
    };
    let places = profile.clicks_by_place.iter().zip(&profile.slates_with_place);
    let rates: Vec<(String, f64)> = (1..)
        .zip(places)
        .map(|(place, (&clicks, &slates))| {
            (format!("place {place}"), clicks as f64 / slates.max(1) as f64)
        })
        .collect();
    for (title, bars) in [
        ("Sessions by their number of steps", powers(&profile.lengths.by_power)),
        ("Slates by their number of places", powers(&profile.slates.by_power)),
        ("Click rate by place", rates),
    ] {
        let _ = writeln!(page, "<h2>{title}</h2>\n{}", chart(&bars));
    }
    page + "</html>\n"
}

/// Bars with a title each, which browsers show where the pointer rests.
fn chart(bars: &[(String, f64)]) -> String {
    const WIDTH: f64 = 24.0;
    const HEIGHT: f64 = 120.0;
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut chart =
        format!("<svg width=\"{}\" height=\"{HEIGHT}\" role=\"img\">", WIDTH * bars.len() as f64);
    for (at, (label, value)) in bars.iter().enumerate() {
        let height = HEIGHT * value / most;
        let _ = write!(
            chart,
            "<rect x=\"{:.0}\" y=\"{:.1}\" width=\"{:.0}\" height=\"{height:.1}\">\
             <title>{label}: {value:.4}</title></rect>",
            WIDTH * at as f64 + 1.0,
            HEIGHT - height,
            WIDTH - 2.0
        );
    }
    chart + "</svg>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
