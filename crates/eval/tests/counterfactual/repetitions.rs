//! Estimates from many logs against the true value.

use foretaste_eval::Result;
use foretaste_eval::counterfactual::PolicyValue;
use foretaste_random::Seed;

pub const LOGS: u64 = 200;

/// How often an exact 95% interval covers in [`LOGS`] logs, but for one time in 1,900.
pub const COVERED: std::ops::RangeInclusive<usize> = 179..=199;

/// What came of one estimator on all logs.
pub struct Tally {
    pub name: &'static str,
    errors: Vec<f64>,
    stated: Vec<f64>,
    pub covered: usize,
}

impl Tally {
    fn bias(&self) -> f64 {
        self.errors.iter().sum::<f64>() / self.errors.len() as f64
    }

    /// Standard deviation of the estimates.
    pub fn spread(&self) -> f64 {
        let (n, bias) = (self.errors.len() as f64, self.bias());
        (self.errors.iter().map(|error| (error - bias).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
    }

    /// The bias in its standard errors.
    fn z(&self) -> f64 {
        self.bias() / (self.spread() / (self.errors.len() as f64).sqrt())
    }

    pub fn assert_right(&self) {
        assert!(self.z().abs() < 3.5, "{}: bias of {} standard errors", self.name, self.z());
        assert!(
            COVERED.contains(&self.covered),
            "{}: covered in {} of {LOGS}",
            self.name,
            self.covered
        );
    }

    pub fn assert_biased(&self) {
        assert!(self.z().abs() > 5.0, "{}: bias of {} standard errors", self.name, self.z());
    }
}

/// Evaluates `LOGS` logs, prints the table, returns it.
pub fn repeat(
    title: &str,
    truth: f64,
    evaluate: impl Fn(Seed) -> Vec<(&'static str, Result<PolicyValue>)>,
) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = Vec::new();
    for log in 0..LOGS {
        for (index, (name, value)) in
            evaluate(Seed::new(17).derive(title).index(log)).into_iter().enumerate()
        {
            if tallies.len() == index {
                tallies.push(Tally { name, errors: Vec::new(), stated: Vec::new(), covered: 0 });
            }
            let PolicyValue { estimate, standard_error, .. } = value.unwrap();
            let tally = &mut tallies[index];
            tally.errors.push(estimate.mean - truth);
            tally.stated.push(standard_error.unwrap_or(f64::NAN));
            let covers =
                estimate.interval.is_ok_and(|ends| ends.low <= truth && truth <= ends.high);
            tally.covered += usize::from(covers);
        }
    }
    println!(
        "{title}: true value {truth:.4}\n| estimator | bias | its standard error | spread | mean stated error | covered of {LOGS} |"
    );
    for tally in &tallies {
        let stated = tally.stated.iter().sum::<f64>() / LOGS as f64;
        let (bias, spread) = (tally.bias(), tally.spread());
        let of_bias = spread / (LOGS as f64).sqrt();
        println!(
            "| {} | {bias:+.4} | {of_bias:.4} | {spread:.4} | {stated:.4} | {} |",
            tally.name, tally.covered
        );
    }
    tallies
}
