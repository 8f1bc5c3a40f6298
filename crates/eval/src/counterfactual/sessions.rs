//! Intervals where the slates of a session depend on each other, and comparisons of policies on the
//! same sessions.

use foretaste_random::Seed;
use rand::Rng;
use rayon::prelude::*;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::columns::same_length;
use super::value::{PolicyValue, ratio};
use crate::interval::{percentiles, with_spread};
use crate::{Error, Estimate, Interval, Method, NoInterval, Result};

/// How many times sessions are resampled: the ends of a 95% interval are then its 25th and 975th of
/// a thousand.
pub const RESAMPLES: usize = 1_000;

/// Which rows (slates) were logged in one session. Sessions are independent, their rows need not
/// be.
#[derive(Clone, Debug)]
pub struct Sessions {
    lengths: Vec<f64>,
    ends: Vec<usize>,
}

impl Sessions {
    /// Sessions of so many rows each, in the order of the rows.
    ///
    /// # Errors
    /// Where there are none, or one has no row.
    pub fn new(lengths: &[usize]) -> Result<Self> {
        if lengths.is_empty() || lengths.contains(&0) {
            return Err(Error::Empty { what: "a logged session" });
        }
        let end = |end: &mut usize, length: &usize| {
            *end += length;
            Some(*end)
        };
        Ok(Self {
            lengths: lengths.iter().map(|&length| length as f64).collect(),
            ends: lengths.iter().scan(0, end).collect(),
        })
    }

    /// Number of sessions.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The same value with the interval and the standard error of independent sessions, not rows:
    /// the terms of a session are summed, and their total over that of the rows is linearized as a
    /// ratio. With a row a session nothing changes. What has no interval keeps its reason.
    ///
    /// # Errors
    /// Where the value is of another number of rows.
    pub fn value(&self, value: &PolicyValue) -> Result<PolicyValue> {
        if let Err(NoInterval::ModelError) = value.standard_error {
            return Ok(value.clone());
        }
        let by_session =
            ratio("mean of a session's rows", &self.sums(&value.terms)?, &self.lengths)?;
        let PolicyValue { estimate, standard_error, .. } = PolicyValue::linearised(&by_session)?;
        let estimate = Estimate { mean: value.estimate.mean, ..estimate };
        Ok(PolicyValue { estimate, standard_error, terms: value.terms.clone() })
    }

    /// The mean of the rows in each of several parts of the sessions, which are named by their
    /// numbers, and whether these means differ by more than chance: Cochran's test of homogeneity,
    /// Q = Σ (m_j - m)² / s_j² against χ² with one degree of freedom less than there are parts,
    /// where m is the mean of the m_j weighed by 1 / s_j².
    ///
    /// # Errors
    /// Where the terms are of another number of rows, or a part has no session.
    pub fn drift(&self, terms: &[f64], parts: &[Vec<usize>]) -> Result<Drift> {
        let sums = self.sums(terms)?;
        let of_part = |part: &Vec<usize>| {
            let [sums, lengths] = [&sums, &self.lengths]
                .map(|column| part.iter().map(|&session| column[session]).collect::<Vec<_>>());
            PolicyValue::linearised(&ratio("mean of a part of the log", &sums, &lengths)?)
        };
        let parts = parts.iter().map(of_part).collect::<Result<Vec<_>>>()?;
        let precise = |part: &PolicyValue| {
            let error = part.standard_error.ok().filter(|&error| error > 0.0)?;
            Some((part.estimate.mean, 1.0 / error.powi(2)))
        };
        let p = parts.iter().map(precise).collect::<Option<Vec<_>>>().and_then(|parts| {
            let weight: f64 = parts.iter().map(|(_, weight)| weight).sum();
            let mean = parts.iter().map(|(mean, weight)| mean * weight).sum::<f64>() / weight;
            let q: f64 = parts.iter().map(|(m, weight)| weight * (m - mean).powi(2)).sum();
            let law = ChiSquared::new(parts.len().checked_sub(1)? as f64).ok()?;
            Some(law.sf(q))
        });
        Ok(Drift { parts: parts.into_iter().map(|part| part.estimate).collect(), p })
    }

    /// The means of `columns`, the terms of a policy each, `[rows]`, over sessions that are drawn
    /// again [`RESAMPLES`] times with replacement: resample b from stream b of `seed`, the same
    /// sessions for all columns.
    ///
    /// # Errors
    /// Where a column is of another number of rows.
    pub fn resample(&self, columns: &[&[f64]], seed: Seed) -> Result<Resampled> {
        let sums = columns.iter().map(|terms| self.sums(terms)).collect::<Result<Vec<_>>>()?;
        let mean = |column: &[f64]| column.iter().sum::<f64>() / self.lengths.iter().sum::<f64>();
        let observed = sums.iter().map(|column| mean(column)).collect();
        let resample = |index: usize| {
            let (mut stream, count) = (seed.stream(index as u64), self.count());
            let mut times = vec![0_u32; count];
            (0..count).for_each(|_| times[stream.random_range(0..count)] += 1);
            let total = |column: &[f64]| -> f64 {
                column.iter().zip(&times).map(|(sum, &times)| sum * f64::from(times)).sum()
            };
            let rows = total(&self.lengths);
            sums.iter().map(|column| total(column) / rows).collect()
        };
        let means = (0..RESAMPLES).into_par_iter().map(resample).collect();
        Ok(Resampled { sessions: self.count(), observed, means })
    }

    /// The terms of each session, summed.
    fn sums(&self, terms: &[f64]) -> Result<Vec<f64>> {
        let rows = self.ends.last().copied().unwrap_or(0);
        same_length("rows of the sessions and terms", rows, terms.len())?;
        let sum = |first: &mut usize, &end: &usize| {
            Some(terms[std::mem::replace(first, end)..end].iter().sum())
        };
        Ok(self.ends.iter().scan(0, sum).collect())
    }
}

/// How a mean changes over a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// Of each part, with Student's interval over its sessions.
    pub parts: Vec<Estimate>,
    /// The probability of differences as large as these by chance, in a log without drift; none
    /// where a part has no spread.
    pub p: Option<f64>,
}

/// Means of several policies' terms over the same resampled sessions.
#[derive(Clone, Debug)]
pub struct Resampled {
    sessions: usize,
    /// Of each column.
    observed: Vec<f64>,
    /// `[resamples][columns]`.
    means: Vec<Vec<f64>>,
}

impl Resampled {
    /// A policy's mean with its percentile interval.
    pub fn mean(&self, column: usize) -> Estimate {
        self.estimate(|means| means[column])
    }

    /// One policy's mean less another's, which what befalls both alike leaves unmoved.
    pub fn difference(&self, column: usize, other: usize) -> Estimate {
        self.estimate(|means| means[column] - means[other])
    }

    fn estimate(&self, of: impl Fn(&[f64]) -> f64) -> Estimate {
        let mean = of(&self.observed);
        let values: Vec<f64> = self.means.iter().map(|means| of(means)).collect();
        let size = self.observed.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
        let (low, high) = percentiles(values);
        let interval = match self.sessions {
            1 => Err(NoInterval::OneValue),
            _ => with_spread(high - low, size).map(|_| Interval {
                low,
                high,
                method: Method::Bootstrap,
            }),
        };
        Estimate { mean, n: self.sessions, interval }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ActionLog, ips, snips};
    use super::*;

    const SEED: u64 = 5;

    /// A log whose sessions have rows that are all alike.
    fn log(sessions: usize, rows: usize) -> [Vec<f64>; 3] {
        let mut stream = Seed::new(SEED).derive("log").stream(0);
        let mut columns = [vec![], vec![], vec![]];
        for _ in 0..sessions {
            let [reward, logging, evaluation] =
                [0.1, 0.3, 0.2].map(|p| p + 0.5 * stream.random::<f64>());
            for (column, value) in columns.iter_mut().zip([reward, logging, evaluation]) {
                column.extend(std::iter::repeat_n(value, rows));
            }
        }
        columns
    }

    #[test]
    fn a_row_a_session_changes_nothing_and_equal_rows_count_once() {
        let value = |rows: usize| {
            let [reward, logging, evaluation] = log(60, rows);
            let log = ActionLog::new(&reward, &logging, &evaluation).unwrap();
            [ips(&log).unwrap(), snips(&log).unwrap()]
        };
        let sessions = |rows| Sessions::new(&vec![rows; 60]).unwrap();
        for (of_one, of_four) in value(1).into_iter().zip(value(4)) {
            let [one, four] = [sessions(1).value(&of_one), sessions(4).value(&of_four)];
            let (one, four) = (one.unwrap(), four.unwrap());
            let error = |value: &PolicyValue| value.standard_error.unwrap();
            assert!((error(&one) - error(&of_one)).abs() < 1e-12);
            assert!((error(&four) - error(&one)).abs() < 1e-12 && error(&of_four) < error(&four));
            assert!((four.estimate.mean - one.estimate.mean).abs() < 1e-12);
        }
    }

    /// The percentiles of a thousand resamples are about two standard errors away: between 1.5 and
    /// 2.5 of them for a fixed seed.
    #[test]
    fn resampled_sessions_give_the_standard_error_and_do_not_depend_on_threads() {
        let [reward, logging, evaluation] = log(200, 3);
        let log = ActionLog::new(&reward, &logging, &evaluation).unwrap();
        let (sessions, value) = (Sessions::new(&[3; 200]).unwrap(), snips(&log).unwrap());
        let error = sessions.value(&value).unwrap().standard_error.unwrap();
        let estimates = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let drawn = sessions.resample(&[&value.terms, &reward], Seed::new(1)).unwrap();
                [drawn.mean(0), drawn.mean(1), drawn.difference(0, 1), drawn.difference(1, 1)]
            })
        };
        let [policy, logger, difference, none] = estimates(1);
        assert_eq!([policy, logger, difference, none], estimates(3));
        let Interval { low, high, .. } = policy.interval.unwrap();
        assert!((1.5..2.5).contains(&((policy.mean - low) / error)), "{policy:?}, {error}");
        assert!((1.5..2.5).contains(&((high - policy.mean) / error)), "{policy:?}, {error}");
        assert!((difference.mean - (policy.mean - logger.mean)).abs() < 1e-12);
        assert_eq!(none.interval, Err(NoInterval::NoSpread));
    }

    /// 200 logs of 100 sessions of ten rows, whose users are alike in nothing but themselves: u in
    /// [0, 0.8], and an action of two earns 0.2 more. The log takes both alike, the judged policy
    /// the better one in four of five rows: it earns 0.4 + 0.16. Exact intervals cover in 190 of
    /// 200; 179 to 199 are allowed (false alarms: 1 in 900). Those of independent rows do not.
    #[test]
    fn intervals_of_sessions_cover_where_those_of_rows_do_not() {
        let sessions = Sessions::new(&[10; 100]).unwrap();
        let covers = |estimate: Estimate| {
            let Interval { low, high, .. } = estimate.interval.unwrap();
            low <= 0.56 && 0.56 <= high
        };
        let covered = |log: u64| {
            let mut stream = Seed::new(SEED).derive("coverage").stream(log);
            let (mut reward, mut evaluation) = (vec![], vec![]);
            for _ in 0..100 {
                let user = 0.8 * stream.random::<f64>();
                for _ in 0..10 {
                    let better = stream.random_bool(0.5);
                    let earns = stream.random_bool(user + if better { 0.2 } else { 0.0 });
                    reward.push(f64::from(u8::from(earns)));
                    evaluation.push(if better { 0.8 } else { 0.2 });
                }
            }
            let logging = [0.5; 1_000];
            let value = snips(&ActionLog::new(&reward, &logging, &evaluation).unwrap()).unwrap();
            let resampled = sessions.resample(&[&value.terms], Seed::new(log)).unwrap();
            let of_sessions = sessions.value(&value).unwrap().estimate;
            [of_sessions, resampled.mean(0), value.estimate]
                .map(|estimate| usize::from(covers(estimate)))
        };
        let counts = (0..200)
            .map(covered)
            .fold([0; 3], |sum, of| std::array::from_fn(|at| sum[at] + of[at]));
        let [of_sessions, resampled, of_rows] = counts;
        assert!((179..=199).contains(&of_sessions), "{counts:?}");
        assert!((179..=199).contains(&resampled), "{counts:?}");
        assert!(of_rows < 170, "{counts:?}");
    }

    #[test]
    fn sessions_without_rows_and_terms_of_other_rows_are_refused() {
        assert!(Sessions::new(&[]).is_err() && Sessions::new(&[2, 0]).is_err());
        let sessions = Sessions::new(&[2, 1]).unwrap();
        assert!(sessions.resample(&[&[1.0; 4]], Seed::new(1)).is_err());
        let alone = Sessions::new(&[3]).unwrap().resample(&[&[1.0, 2.0, 3.0]], Seed::new(1));
        assert_eq!(alone.unwrap().mean(0).interval, Err(NoInterval::OneValue));
        assert!(sessions.drift(&[1.0; 3], &[vec![0], vec![]]).is_err());
    }

    /// 400 logs without drift: a test at 5% suspects 20 ± 4.4 of them, and within four standard
    /// deviations; one whose second half earns half a standard deviation more is found. Seeds are
    /// fixed.
    #[test]
    fn drift_is_suspected_as_often_as_its_p_value_says_and_found_where_it_is() {
        let sessions = Sessions::new(&[1; 200]).unwrap();
        let parts: Vec<Vec<usize>> =
            (0..4).map(|part| (50 * part..50 * part + 50).collect()).collect();
        let suspected = |step: f64| {
            let is = |log: u64| {
                let mut stream = Seed::new(9).stream(log);
                let term = |row| stream.random::<f64>() + if row < 100 { 0.0 } else { step };
                let terms: Vec<f64> = (0..200).map(term).collect();
                let drift = sessions.drift(&terms, &parts).unwrap();
                assert_eq!(drift.parts.len(), 4);
                drift.p.unwrap() < 0.05
            };
            (0..400).filter(|&log| is(log)).count()
        };
        let [none, some] = [0.0, 0.15].map(suspected);
        assert!((3..=38).contains(&none) && some > 300, "{none}, {some}");
        assert_eq!(sessions.drift(&[1.0; 200], &parts).unwrap().p, None);
    }
}
