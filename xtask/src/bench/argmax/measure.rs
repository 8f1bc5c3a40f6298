//! How fast the argmax is, compared with reading what it reads and with candle.

use std::time::Instant;

use anyhow::Result;
use candle_core::{Device, Tensor};
use foretaste_cascade_dqn::{Cascade, ItemFeatures, QConfig, QNetworks, StateEncoder, Storage};
use foretaste_data::{ItemId, RecentClicks};
use foretaste_random::{Seed, Stream};
use rand::Rng;

use crate::bench::record::median;

/// The sizes of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// K.
    pub items: usize,
    /// d.
    pub features: usize,
    /// l.
    pub hidden: usize,
    /// k.
    pub k: usize,
    /// Users whose slates are chosen together.
    pub users: usize,
}

/// What choosing slates takes, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Computing them, and computing them again in the same memory.
    pub freeze: [f64; 2],
    /// Choosing one slate for each user, in each repetition.
    pub slates: Vec<f64>,
    /// Reading the cached item halves once, on all threads, the median: the bandwidth of the
    /// memory, or of a cache that holds them.
    pub read: f64,
    /// The same on a GPU, if that is where it was to be measured.
    pub gpu: Option<OnGpu>,
}

/// What choosing slates takes on a GPU, medians of the repetitions in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnGpu {
    /// Choosing one slate for each user, states and slates on the CPU.
    pub slates: f64,
    /// Reading the cached item halves once, by a kernel that adds up their words.
    pub read: f64,
    /// Share of the users whose slates are the same as on the CPU, order included.
    pub agreement: f64,
}

/// Measures untrained networks on random features; on `device` as well if that is an NVIDIA GPU.
pub fn measure(
    sizes: Sizes,
    storage: Storage,
    repetitions: usize,
    device: &Device,
) -> Result<Measurement> {
    let subject = Subject::new(sizes)?;
    let begin = Instant::now();
    let mut cascade = subject.networks.freeze(storage)?;
    let first = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    subject.networks.renew(&mut cascade)?;
    let freeze = [first, begin.elapsed().as_secs_f64()];
    let states = subject.networks.states(&subject.clicks)?;
    let mut result = cascade.slates(&states, None);
    // In turn, so that what else the machine does slows both alike.
    let (mut slates, mut read) = (Vec::new(), Vec::new());
    for _ in 0..repetitions.max(1) {
        slates.push(seconds(|| result = cascade.slates(&states, None)));
        read.push(seconds(|| {
            std::hint::black_box(cascade.checksum());
        }));
    }
    let gpu = on_gpu(&cascade, &states, &result?.items, repetitions, device)?;
    Ok(Measurement { freeze, slates, read: median(read), gpu })
}

#[cfg(feature = "cuda")]
fn on_gpu(
    cascade: &Cascade,
    states: &Tensor,
    expected: &[ItemId],
    repetitions: usize,
    device: &Device,
) -> Result<Option<OnGpu>> {
    if !device.is_cuda() {
        return Ok(None);
    }
    let cascade = cascade.on_cuda(device)?;
    let mut result = cascade.slates(states, None);
    let mut checksum = cascade.checksum();
    let (mut slates, mut read) = (Vec::new(), Vec::new());
    for _ in 0..repetitions.max(1) {
        slates.push(seconds(|| result = cascade.slates(states, None)));
        read.push(seconds(|| checksum = cascade.checksum()));
    }
    checksum?;
    let agreement = same_slates(expected, &result?.items, states.dim(0)?);
    Ok(Some(OnGpu { slates: median(slates), read: median(read), agreement }))
}

#[cfg(not(feature = "cuda"))]
fn on_gpu(_: &Cascade, _: &Tensor, _: &[ItemId], _: usize, _: &Device) -> Result<Option<OnGpu>> {
    Ok(None)
}

/// Seconds that candle's operations take for the slate of one user: for each stage the product of
/// all features, the sum, σ, the output layer and the argmax, each in a tensor of its own. One
/// stage is measured, and counted k times.
pub fn measure_candle(sizes: Sizes, repetitions: usize) -> Result<f64> {
    let one_stage = Sizes { k: 1, ..sizes };
    let subject = Subject::new(one_stage)?;
    let state = subject.networks.states(&subject.clicks)?.narrow(0, 0, 1)?;
    let features =
        Tensor::from_slice(&subject.features, (sizes.items, sizes.features), &Device::Cpu)?;
    let get = |name: &str| subject.networks.params().get(name).map(|var| var.as_tensor().detach());
    let parameters = (get("stage.0.weight"), get("stage.0.bias"), get("stage.0.output"));
    let (Some(weight), Some(bias), Some(output)) = parameters else { return Ok(f64::NAN) };
    let width = state.dim(1)?;
    let (of_state, of_item) =
        (weight.narrow(0, 0, width)?, weight.narrow(0, width, sizes.features)?);
    let stage = || -> Result<u32> {
        let sums = state.matmul(&of_state)?.broadcast_add(&bias)?;
        let hidden = features.matmul(&of_item)?.broadcast_add(&sums)?.elu(1.0)?;
        Ok(hidden.matmul(&output.unsqueeze(1)?)?.squeeze(1)?.argmax(0)?.to_scalar()?)
    };
    stage()?;
    let times = (0..repetitions.max(1)).map(|_| seconds(|| drop(std::hint::black_box(stage()))));
    Ok(sizes.k as f64 * median(times.collect()))
}

/// How far the slates from 16-bit halves agree with the exact ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Share of the users whose slates are the same, order included.
    pub slates: f64,
    /// Share of the items of the exact slates that are on the others.
    pub items: f64,
}

/// Compares [`Storage::Half`] with [`Storage::Single`] on untrained networks and random features.
pub fn agreement(sizes: Sizes) -> Result<Agreement> {
    let subject = Subject::new(sizes)?;
    let states = subject.networks.states(&subject.clicks)?;
    let slates = |storage| -> Result<Vec<ItemId>> {
        let cascade = subject.networks.freeze(storage)?;
        Ok(cascade.slates(&states, None)?.items)
    };
    let (exact, other) = (slates(Storage::Single)?, slates(Storage::Half)?);
    let pairs = exact.chunks_exact(sizes.k).zip(other.chunks_exact(sizes.k));
    let common: usize =
        pairs.map(|(exact, other)| exact.iter().filter(|item| other.contains(item)).count()).sum();
    let slates = same_slates(&exact, &other, sizes.users);
    Ok(Agreement { slates, items: common as f64 / exact.len() as f64 })
}

/// Share of the users whose slates are the same in both.
fn same_slates(ours: &[ItemId], theirs: &[ItemId], users: usize) -> f64 {
    let k = ours.len() / users;
    let pairs = ours.chunks_exact(k).zip(theirs.chunks_exact(k));
    pairs.filter(|(ours, theirs)| ours == theirs).count() as f64 / users as f64
}

struct Subject {
    networks: QNetworks,
    features: Vec<f32>,
    clicks: RecentClicks,
}

impl Subject {
    fn new(sizes: Sizes) -> Result<Self> {
        let Sizes { items, features: dim, hidden, k, users } = sizes;
        let seed = Seed::new(0).derive("argmax benchmark");
        let config = QConfig {
            features: ItemFeatures::Given { dim },
            state: StateEncoder::PositionWeights { history: 20, columns: 4 },
            hidden,
            ..QConfig::new(items, k)
        };
        let mut stream: Stream = seed.stream(0);
        let features: Vec<f32> = (0..items * dim).map(|_| stream.random_range(-1.0..1.0)).collect();
        let networks = QNetworks::new(config, Some(&features), seed)?;
        let mut clicks = networks.no_clicks(users);
        for row in 0..users {
            (0..20).for_each(|_| clicks.push(row, ItemId(stream.random_range(0..items as u32))));
        }
        Ok(Self { networks, features, clicks })
    }
}

fn seconds(run: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    run();
    begin.elapsed().as_secs_f64()
}
