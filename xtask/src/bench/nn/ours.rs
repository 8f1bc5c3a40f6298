//! Our own answers.

mod act;
mod embedding;
mod gemm;
mod softmax;
mod train;

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Shape, Tensor};
use foretaste_nn::{Adam, Init, Params, backward};
use foretaste_random::Seed;
use rand::Rng;

use crate::bench::nn::case::{Case, Request};

/// One run of a case; what it needs is built before.
type Run = Box<dyn FnMut() -> anyhow::Result<()>>;

/// The median seconds of a run of what a request asks for.
pub fn answer(line: &str) -> anyhow::Result<f64> {
    let Request { case, threads, seconds } = serde_json::from_str(line)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| median(prepare(case)?, seconds))
}

fn prepare(case: Case) -> anyhow::Result<Run> {
    match case {
        Case::Train { hidden, batch, time } => train::prepare(hidden, batch, time),
        Case::Act { hidden, batch, gather } => act::prepare(hidden, batch, gather),
        Case::Softmax { rows } => softmax::prepare(rows),
        Case::Embedding { sparse } => embedding::prepare(sparse),
        Case::Gemm { m, n, k } => gemm::prepare(m, n, k),
    }
}

/// The median seconds of a run, of at least 3, after a tenth of the time and at least 1 to warm up.
fn median(mut run: Run, seconds: f64) -> anyhow::Result<f64> {
    repeat(&mut run, seconds / 10.0, 1)?;
    let mut times = repeat(&mut run, seconds, 3)?;
    times.sort_unstable();
    Ok(times[times.len() / 2].as_secs_f64())
}

fn repeat(run: &mut Run, seconds: f64, least: usize) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < least || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn no_params() -> Params {
    Params::new(Seed::new(0), DType::F32, &Device::Cpu)
}

/// Standard normal numbers that are not trained.
fn normal(shape: impl Into<Shape>) -> anyhow::Result<Tensor> {
    Ok(no_params().scope("data").param("x", shape, Init::Normal { sd: 1.0 })?.detach())
}

/// Numbers below `end`.
fn indices(count: usize, end: usize) -> Vec<u32> {
    let mut stream = Seed::new(0).derive("indices").stream(0);
    (0..count).map(|_| stream.random_range(0..end as u32)).collect()
}

fn descend(adam: &mut Adam, loss: &Tensor) -> anyhow::Result<()> {
    adam.step(&backward(loss)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peer::{self, Answer};

    fn answers(requests: &str) -> Vec<String> {
        let mut written = Vec::new();
        peer::serve(requests.as_bytes(), &mut written, answer).unwrap();
        String::from_utf8(written).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_kind_of_case_is_measured() {
        let cases = [
            Case::Train { hidden: 3, batch: 2, time: 2 },
            Case::Act { hidden: 3, batch: 2, gather: false },
            Case::Act { hidden: 3, batch: 2, gather: true },
            Case::Softmax { rows: 2 },
            Case::Embedding { sparse: false },
            Case::Embedding { sparse: true },
            Case::Gemm { m: 3, n: 4, k: 5 },
        ];
        for case in cases {
            let request =
                serde_json::to_string(&Request { case, threads: 1, seconds: 0.0 }).unwrap();
            let lines = answers(&request);
            let Answer::Seconds(seconds) = serde_json::from_str(&lines[1]).unwrap() else {
                panic!("{case}: {lines:?}");
            };
            assert!(seconds > 0.0 && lines.len() == 2, "{case}: {lines:?}");
        }
    }

    #[test]
    fn a_request_that_cannot_be_read_is_answered() {
        let lines = answers("{}\nx\n");
        assert!(
            lines.len() == 3 && lines[1..].iter().all(|line| line.starts_with(r#"{"error":"#)),
            "{lines:?}"
        );
    }
}
