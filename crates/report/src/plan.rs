//! The arms and figures that go into a view.

use foretaste_eval::Metric;
use foretaste_eval::interval::Estimate;

use crate::patterns::Patterns;
use crate::{Arm, By, Design, Result, Results, View};

/// One plot of a view: the arms and metrics of its panels.
pub struct Plan {
    /// What the view has a plot for each of: data set, setting.
    pub of: Vec<String>,
    pub panels: Vec<Panel>,
    /// The names of the series.
    pub series: Vec<String>,
}

/// A panel of a plot.
pub struct Panel {
    pub title: String,
    pub groups: Vec<Group>,
    /// Lines across: name, arm, metric.
    pub references: Vec<(String, Arm, Metric)>,
}

/// A group of a panel: an arm and its metric for every series.
pub struct Group {
    pub name: String,
    pub members: Vec<(Arm, Metric)>,
}

/// A value of each part: what a figure is of.
#[derive(Clone, Default)]
struct Place {
    dataset: String,
    method: String,
    setting: String,
    /// `None` before the metrics are spread.
    metric: Option<(Metric, &'static str)>,
}

const PARTS: [By; 4] = [By::Dataset, By::Setting, By::Method, By::Metric];

impl Plan {
    /// The plots of a view, with the arms that the design has.
    pub fn of(view: &View, design: &Design) -> Vec<Self> {
        let parts = Parts::new(view, design);
        let roles = [view.panels, view.groups, view.series];
        let free: Vec<By> =
            PARTS.into_iter().filter(|part| !roles.contains(&Some(*part))).collect();
        let mut places = vec![Place::default()];
        for &part in &free {
            places = places.iter().flat_map(|place| parts.spread(place, Some(part))).collect();
        }
        let plan = |place: &Place| {
            let of = free.iter().filter(|&&part| parts.several(part) || part == By::Dataset);
            let of = of
                .map(|&part| place.name(part).to_owned())
                .filter(|name| !name.is_empty())
                .collect();
            let series = parts
                .spread(place, view.series)
                .iter()
                .map(|place| place.named(view.series))
                .collect();
            let panels = parts.spread(place, view.panels);
            let panel = |place: &Place| Panel {
                title: place.named(view.panels),
                references: lines_across(view, place, design),
                groups: parts
                    .spread(place, view.groups)
                    .iter()
                    .map(|group| Group {
                        name: group.named(view.groups),
                        members: parts
                            .spread(group, view.series)
                            .iter()
                            .filter_map(Place::member)
                            .collect(),
                    })
                    .collect(),
            };
            Plan { of, series, panels: panels.iter().map(panel).collect() }
        };
        places.iter().map(plan).collect()
    }
}

fn lines_across(view: &View, place: &Place, design: &Design) -> Vec<(String, Arm, Metric)> {
    let found = |method: &&str| {
        let arm = design
            .arms
            .iter()
            .find(|arm| arm.dataset == place.dataset && arm.method == **method)?;
        Some(((*method).to_owned(), arm.clone(), place.metric?.0))
    };
    view.references.iter().filter_map(found).collect()
}

/// The values of each part that a view shows, in the design's order.
struct Parts<'a> {
    datasets: Vec<String>,
    methods: Vec<String>,
    settings: Vec<String>,
    metrics: &'a [(Metric, &'static str)],
}

impl<'a> Parts<'a> {
    fn new(view: &'a View, design: &Design) -> Self {
        let wanted = Patterns::parse(view.settings);
        let shown = |arm: &&Arm| {
            wanted.choose(&arm.setting)
                && (view.methods.is_empty() || view.methods.contains(&arm.method.as_str()))
        };
        let arms: Vec<&Arm> = design.arms.iter().filter(shown).collect();
        let distinct = |of: fn(&Arm) -> &String| {
            let mut values: Vec<String> = Vec::new();
            for arm in &arms {
                if !values.contains(of(arm)) {
                    values.push(of(arm).clone());
                }
            }
            values
        };
        let mut methods = distinct(|arm| &arm.method);
        if !view.methods.is_empty() {
            methods.sort_by_key(|method| view.methods.iter().position(|wanted| wanted == method));
        }
        Self {
            datasets: distinct(|arm| &arm.dataset),
            methods,
            settings: distinct(|arm| &arm.setting),
            metrics: &view.metrics,
        }
    }

    fn several(&self, part: By) -> bool {
        let count = match part {
            By::Dataset => self.datasets.len(),
            By::Method => self.methods.len(),
            By::Setting => self.settings.len(),
            By::Metric => self.metrics.len(),
        };
        count > 1
    }

    /// The place with every value of the part in turn; the place itself for no part.
    fn spread(&self, place: &Place, part: Option<By>) -> Vec<Place> {
        let place = |change: &dyn Fn(&mut Place)| {
            let mut changed = place.clone();
            change(&mut changed);
            changed
        };
        match part {
            None => vec![place(&|_| ())],
            Some(By::Dataset) => {
                self.datasets.iter().map(|name| place(&|at| at.dataset.clone_from(name))).collect()
            }
            Some(By::Method) => {
                self.methods.iter().map(|name| place(&|at| at.method.clone_from(name))).collect()
            }
            Some(By::Setting) => {
                self.settings.iter().map(|name| place(&|at| at.setting.clone_from(name))).collect()
            }
            Some(By::Metric) => {
                self.metrics.iter().map(|&metric| place(&|at| at.metric = Some(metric))).collect()
            }
        }
    }
}

impl Place {
    fn name(&self, part: By) -> &str {
        match part {
            By::Dataset => &self.dataset,
            By::Method => &self.method,
            By::Setting => &self.setting,
            By::Metric => self.metric.map_or("", |(_, shown)| shown),
        }
    }

    fn named(&self, part: Option<By>) -> String {
        part.map_or(String::new(), |part| self.name(part).to_owned())
    }

    fn member(&self) -> Option<(Arm, Metric)> {
        let arm = Arm {
            dataset: self.dataset.clone(),
            method: self.method.clone(),
            setting: self.setting.clone(),
        };
        Some((arm, self.metric?.0))
    }
}

/// The figures of a panel.
pub struct Figures {
    pub title: String,
    /// Name and a figure for every series.
    pub groups: Vec<(String, Vec<Option<Estimate>>)>,
    pub references: Vec<(String, Estimate)>,
}

impl Plan {
    /// The figures of its panels: what has none in any series is left out.
    ///
    /// # Errors
    /// Where a figure has no mean.
    pub fn figures(&self, design: &Design, results: &Results) -> Result<Vec<Figures>> {
        let estimate =
            |(arm, metric): &(Arm, Metric)| results.estimate(&design.experiment, arm, *metric);
        let mut panels = Vec::new();
        for panel in &self.panels {
            let mut groups = Vec::new();
            for group in &panel.groups {
                let figures = group.members.iter().map(estimate).collect::<Result<Vec<_>>>()?;
                if figures.iter().any(Option::is_some) {
                    groups.push((group.name.clone(), figures));
                }
            }
            let mut references = Vec::new();
            for (name, arm, metric) in &panel.references {
                references.extend(
                    results
                        .estimate(&design.experiment, arm, *metric)?
                        .map(|found| (name.clone(), found)),
                );
            }
            if !groups.is_empty() {
                panels.push(Figures { title: panel.title.clone(), groups, references });
            }
        }
        Ok(panels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    fn arm(dataset: &str, method: &str, setting: &str) -> Arm {
        Arm { dataset: dataset.into(), method: method.into(), setting: setting.into() }
    }

    fn design() -> Design {
        let mut arms = Vec::new();
        for dataset in ["d1", "d2"] {
            for setting in ["s1", "s2"] {
                arms.extend(["m2", "m1"].map(|method| arm(dataset, method, setting)));
            }
            arms.push(arm(dataset, "oracle", "none"));
        }
        Design { experiment: "e".into(), arms, ..Design::default() }
    }

    #[test]
    fn what_has_no_role_gets_a_plot_for_each_of_its_values() {
        let view = View {
            metrics: vec![(Metric::Reward, "X"), (Metric::Ctr, "Y")],
            methods: &["m1", "m2"],
            panels: Some(By::Setting),
            groups: Some(By::Metric),
            series: Some(By::Method),
            ..View::default()
        };
        let design = design();
        let plans = Plan::of(&view, &design);
        assert_eq!(plans.iter().map(|plan| plan.of.clone()).collect::<Vec<_>>(), [["d1"], ["d2"]]);
        assert_eq!(plans[0].series, ["m1", "m2"]);
        let panel = &plans[1].panels[1];
        assert_eq!((panel.title.as_str(), panel.groups[1].name.as_str()), ("s2", "Y"));
        assert_eq!(
            panel.groups[1].members,
            [(arm("d2", "m1", "s2"), Metric::Ctr), (arm("d2", "m2", "s2"), Metric::Ctr)]
        );
    }

    #[test]
    fn a_line_across_has_the_metric_of_its_panel_whatever_its_setting() {
        let view = View {
            metrics: vec![(Metric::Reward, "X"), (Metric::Ctr, "Y")],
            panels: Some(By::Metric),
            groups: Some(By::Method),
            references: &["oracle", "absent"],
            ..View::default()
        };
        let plans = Plan::of(&view, &design());
        let expected = ("oracle".to_owned(), arm("d1", "oracle", "none"), Metric::Ctr);
        assert_eq!(plans[0].panels[1].references, [expected]);
    }

    #[test]
    fn what_has_no_figures_is_left_out() {
        let view = View {
            metrics: vec![(Metric::Reward, "X")],
            settings: "!none",
            panels: Some(By::Setting),
            groups: Some(By::Method),
            ..View::default()
        };
        let (design, mut results) = (design(), Results::default());
        let key = Key { experiment: "e".into(), arm: arm("d1", "m1", "s2"), seed: 0 };
        results.insert(key, [(Metric::Reward, 2.0)].into());
        let plans = Plan::of(&view, &design);
        let figures = plans[0].figures(&design, &results).unwrap();
        assert_eq!(figures.len(), 1);
        assert_eq!((figures[0].title.as_str(), figures[0].groups[0].0.as_str()), ("s2", "m1"));
        assert_eq!(figures[0].groups.len(), 1);
        assert!(plans[1].figures(&design, &results).unwrap().is_empty());
    }
}
