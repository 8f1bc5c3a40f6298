//! Every kind of plot shows each arm of an experiment, and says in its caption what it cannot show.

use foretaste_eval::Metric;

use super::*;
use crate::{Arm, By, DataSet, Key};

const DATA: &str = "a<b";

fn arm(method: &str, setting: &str) -> Arm {
    Arm { dataset: DATA.into(), method: method.into(), setting: setting.into() }
}

fn design() -> Design {
    let arms =
        ["s1", "s2"].iter().flat_map(|setting| ["m1", "m2"].map(|method| arm(method, setting)));
    Design {
        experiment: "toy".into(),
        datasets: vec![DataSet { name: DATA.into(), test_per_train: 0.0, caveat: String::new() }],
        arms: arms.chain([arm("oracle", "none")]).collect(),
        curve: "loss".into(),
        ..Design::default()
    }
}

/// Every arm of the design with so many seeds, and curves of three points.
fn found(design: &Design, seeds: u64) -> (Results, Curves) {
    let (mut results, mut curves) = (Results::default(), Curves::default());
    for (at, arm) in design.arms.iter().enumerate() {
        for seed in 0..seeds {
            let key = Key { experiment: "toy".into(), arm: arm.clone(), seed };
            let value = at as f64 + 0.1 * seed as f64;
            results.insert(key.clone(), [(Metric::Reward, value)].into());
            let point = |iteration: u32| {
                let loss = value + 1.0 / f64::from(1 + iteration);
                [
                    ("iteration", f64::from(iteration)),
                    ("train_nll", loss),
                    ("validation_nll", loss + 0.1),
                ]
                .map(|(name, value)| (name.to_owned(), value))
                .into()
            };
            curves.insert(key, (0..3).map(point).collect());
        }
    }
    (results, curves)
}

fn view(kind: Kind) -> View {
    View {
        kind,
        name: "x",
        title: "What m earns",
        axis: "reward (clicks per session)",
        over: "log",
        metrics: vec![(Metric::Reward, "reward")],
        methods: &["m1", "m2"],
        groups: Some(By::Setting),
        series: Some(By::Method),
        ..View::default()
    }
}

fn looks(design: &Design, view: &View) -> Looks {
    Looks::default().with(&[Design { views: vec![view.clone()], ..design.clone() }])
}

fn only(view: &View, seeds: u64) -> Plot {
    let design = design();
    let (results, curves) = found(&design, seeds);
    let mut plots = plots(view, &design, &results, &curves, &looks(&design, view)).unwrap();
    assert_eq!(plots.len(), 1);
    plots.remove(0)
}

#[test]
fn bars_stand_for_every_arm_with_a_whisker_each_and_a_line_for_a_reference() {
    let plot = only(&View { references: &["oracle"], ..view(Kind::Bars) }, 3);
    assert_eq!(plot.name, "toy-x-a-b");
    assert_eq!(
        plot.caption,
        "What m earns, a<b. Mean over 3 seeds; whiskers: Student's 95% interval."
    );
    for (color, others) in [("#0072B2", 1), ("#D55E00", 1)] {
        // Two bars and the square of the legend.
        assert_eq!(plot.bare.matches(&format!("fill=\"{color}\"")).count(), 2 + others, "{color}");
    }
    let words = "the highest is s2, m2, 3.10; the lowest is s1, m1, 0.100.";
    assert!(plot.alternative.ends_with(words), "{}", plot.alternative);
    let texts = ["reward (clicks per session)", "s1", "s2", "m1", "m2", "oracle"];
    assert!(texts.iter().all(|text| plot.bare.contains(text)), "{}", plot.bare);
    assert!(plot.svg.contains("a&lt;b") && !plot.bare.contains("a&lt;b"));
}

#[test]
fn dots_stand_for_every_arm() {
    let plot = only(&view(Kind::Dots), 3);
    assert_eq!(plot.bare.matches("<circle").count(), 2 + 1);
    assert!(plot.bare.contains("reward (clicks per session)"));
}

#[test]
fn curves_have_a_line_and_a_band_for_every_method() {
    let view = View {
        metrics: vec![(Metric::ValidationNll, "loss")],
        panels: Some(By::Setting),
        groups: None,
        ..view(Kind::Curves)
    };
    let plot = only(&view, 4);
    assert_eq!(plot.bare.matches("<polygon").count(), 4);
    assert!(plot.caption.contains("Mean over 4 seeds; bands"), "{}", plot.caption);
    let words = "At the end of s1, m1 0.583, m2 1.58. At the end of s2, m1 2.58, m2 3.58.";
    assert!(plot.alternative.ends_with(words), "{}", plot.alternative);
}

#[test]
fn one_seed_has_no_intervals_and_the_caption_says_so() {
    assert!(only(&view(Kind::Bars), 1).caption.ends_with("One seed, so no intervals."));
}

#[test]
fn a_figure_without_spread_has_no_whisker_and_the_caption_says_so() {
    let design = design();
    let (mut results, curves) = found(&design, 3);
    for seed in 0..3 {
        let key = Key { experiment: "toy".into(), arm: arm("m1", "s1"), seed };
        results.insert(key, [(Metric::Reward, 0.1 + 0.2)].into());
    }
    let view = view(Kind::Bars);
    let plots = plots(&view, &design, &results, &curves, &looks(&design, &view)).unwrap();
    assert!(
        plots[0].caption.ends_with("95% interval. No whisker: no spread over seeds."),
        "{}",
        plots[0].caption
    );
    assert!(!only(&view, 3).caption.contains("no spread"));
}

#[test]
fn numbers_beside_an_axis_are_told_apart_whatever_its_span() {
    let shown = |values: &[f64], span| {
        values.iter().map(|&value| style::tick(value, span)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[0.0, 0.25, 0.1 + 0.2, 1.0], 1.0), ["0", "0.25", "0.3", "1"]);
    assert_eq!(shown(&[-0.0, 2e-6, 4e-6], 4e-6), ["0", "2e-6", "4e-6"]);
    assert_eq!(shown(&[0.500_002, 0.500_004], 4e-6), ["5.00002e-1", "5.00004e-1"]);
    assert_eq!(shown(&[-1e-18, 20.0, 2e9], 4e9), ["0", "0", "2e9"]);
}

#[test]
fn learning_curves_have_a_panel_for_each_arm_and_a_dot_for_each_seed() {
    let design = design();
    let (_, curves) = found(&design, 2);
    let plots = learning_curves(&design, &curves).unwrap();
    assert_eq!(plots.len(), 1);
    assert_eq!(plots[0].name, "learning-toy-a-b");
    assert_eq!(plots[0].bare.matches("<circle").count(), 5 * 2);
    assert!(plots[0].caption.contains("each of 2 seeds"));
    assert!(learning_curves(&design, &Curves::default()).unwrap().is_empty());
}

#[test]
fn a_view_without_figures_has_no_plot() {
    let design = design();
    let (results, curves) = (Results::default(), Curves::default());
    let none = plots(&view(Kind::Bars), &design, &results, &curves, &Looks::default()).unwrap();
    assert!(none.is_empty());
}

/// The text is in the picture: the PNG of a plot differs where only a word does, on machines
/// without fonts too.
#[test]
fn the_png_is_twice_as_large_and_shows_the_text() {
    let (one, other) =
        (only(&view(Kind::Bars), 3), only(&View { axis: "bananas", ..view(Kind::Bars) }, 3));
    let (one, other) = (one.png().unwrap(), other.png().unwrap());
    assert_eq!(one[..8], *b"\x89PNG\r\n\x1a\n");
    let width = u32::from_be_bytes(one[16..20].try_into().unwrap());
    assert_eq!(width, 2 * 640);
    assert_ne!(one, other);
}
