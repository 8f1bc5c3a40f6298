//! Which method has which color: the same in every plot of every report.

use std::collections::{BTreeMap, BTreeSet};

use super::style::{COLORS, Look};
use crate::plan::Plan;
use crate::{By, Design, Error, Kind, Result, results};

/// The looks of methods, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looks(BTreeMap<String, usize>);

impl Looks {
    /// Looks that were given before: CSV, `method` and `look`. `shown` names the text in errors.
    ///
    /// # Errors
    /// [`Error::Csv`] where the text is something else.
    pub fn read(text: &str, shown: &str) -> Result<Self> {
        let at_fault = |source| Error::Csv { file: shown.into(), source };
        let rows = csv::Reader::from_reader(text.as_bytes()).into_deserialize();
        Ok(Self(rows.collect::<std::result::Result<_, _>>().map_err(at_fault)?))
    }

    /// What [`read`](Self::read) reads.
    ///
    /// # Errors
    /// None in memory.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let rows = self.0.iter().map(|(method, look)| vec![method.clone(), look.to_string()]);
        results::write("looks.csv", &["method", "look"], rows)
    }

    /// Looks for the methods of these experiments that have none. Methods that some plot
    /// distinguishes by color have different colors, as long as there are enough of them; then they
    /// differ in dashes and markers. It depends on what the experiments lay out, not on which of it
    /// has been run.
    #[must_use]
    pub fn with(self, designs: &[Design]) -> Self {
        let views = designs.iter().flat_map(|design| design.views.iter().map(move |v| (design, v)));
        let plots: Vec<Vec<String>> = views
            .filter(|(_, view)| view.kind != Kind::Table && view.series == Some(By::Method))
            .flat_map(|(design, view)| Plan::of(view, design))
            .map(|plan| plan.series)
            .collect();
        let mut looks = self;
        for method in plots.iter().flatten() {
            if !looks.0.contains_key(method) {
                let look = looks.free(method, &plots);
                looks.0.insert(method.clone(), look);
            }
        }
        looks
    }

    /// The color that the fewest methods have, of those that no method in a plot with this one has.
    fn free(&self, method: &str, plots: &[Vec<String>]) -> usize {
        let together = plots.iter().filter(|plot| plot.iter().any(|name| name == method)).flatten();
        let taken: BTreeSet<usize> =
            together.filter_map(|name| self.0.get(name).copied()).collect();
        let crowd = |color: usize| {
            let near = taken.iter().filter(|&&look| look % COLORS == color).count();
            let all = self.0.values().filter(|&&look| look % COLORS == color).count();
            (near, all, color)
        };
        let color = (0..COLORS).min_by_key(|&color| crowd(color)).unwrap_or(0);
        let looks = (color..).step_by(COLORS);
        looks.into_iter().find(|look| !taken.contains(look)).unwrap_or(color)
    }

    /// The looks of the series of a plot, which differ by `part`.
    pub fn of(&self, part: Option<By>, series: &[String]) -> Vec<Look> {
        if part.is_none() {
            return vec![Look::Alone; series.len()];
        }
        let look = |(at, name)| match part {
            Some(By::Method) => Look::Nth(self.0.get(name).copied().unwrap_or(at)),
            _ => Look::Nth(at),
        };
        series.iter().enumerate().map(look).collect()
    }
}

#[cfg(test)]
mod tests {
    use foretaste_eval::Metric;

    use super::*;
    use crate::{Arm, View};

    /// An experiment whose plot distinguishes these methods.
    fn design(methods: &[String]) -> Design {
        let arm = |method: &String| Arm {
            dataset: "d".into(),
            method: method.clone(),
            setting: String::new(),
        };
        let view = View {
            kind: Kind::Bars,
            metrics: vec![(Metric::Reward, "reward")],
            series: Some(By::Method),
            ..View::default()
        };
        Design { arms: methods.iter().map(arm).collect(), views: vec![view], ..Design::default() }
    }

    fn names(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|at| format!("m{at}")).collect()
    }

    fn colors(looks: &[Look]) -> BTreeSet<usize> {
        looks.iter().map(|look| if let Look::Nth(at) = look { at % COLORS } else { 99 }).collect()
    }

    #[test]
    fn methods_of_one_plot_differ_in_color_and_keep_it_in_other_plots() {
        // m3 and m4 are in both plots, at other places.
        let plots = [names(0..5), [names(3..5), names(10..14)].concat()];
        let looks = Looks::default().with(&plots.clone().map(|methods| design(&methods)));
        let [one, two] = plots.map(|methods| looks.of(Some(By::Method), &methods));
        assert_eq!(one[3..5], two[0..2]);
        assert_eq!((colors(&one).len(), colors(&two).len()), (5, 6));
    }

    #[test]
    fn a_method_keeps_the_look_that_it_was_given() {
        let all = Looks::default().with(&[design(&names(0..9))]);
        let given =
            Looks::read(&String::from_utf8(all.csv().unwrap()).unwrap(), "looks.csv").unwrap();
        assert_eq!(given, all);
        let fewer = [names(5..9), names(20..22)].concat();
        let looks = given.with(&[design(&fewer)]).of(Some(By::Method), &fewer);
        assert_eq!(looks[..4], all.of(Some(By::Method), &fewer[..4]));
        assert_eq!(colors(&looks).len(), 6);
        let refused = Looks::read("method,look\nA,blue\n", "looks.csv").unwrap_err().to_string();
        assert!(refused.contains("looks.csv"), "{refused}");
    }

    #[test]
    fn methods_beyond_the_colors_differ_in_looks() {
        let methods = names(0..20);
        let looks = Looks::default().with(&[design(&methods)]).of(Some(By::Method), &methods);
        let distinct = (0..20).all(|at| looks[..at].iter().all(|other| *other != looks[at]));
        assert!(distinct, "{looks:?}");
        assert_eq!(colors(&looks).len(), COLORS);
    }

    #[test]
    fn what_no_color_distinguishes_has_the_look_of_no_method() {
        let looks = Looks::default().with(&[design(&names(0..1))]);
        assert_eq!(looks.of(None, &[String::new()]), [Look::Alone]);
    }
}
