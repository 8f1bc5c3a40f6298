//! The cascaded argmax on an NVIDIA GPU. NVRTC compiles the kernels when they are first used.

use std::iter;
use std::sync::OnceLock;

use candle_core::cuda::WrapErr;
use candle_core::cuda::cudarc::driver::{CudaSlice, LaunchArgs, LaunchConfig, PushKernelArg};
use candle_core::cuda::cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use candle_core::{CudaDevice, Device, Tensor};
use foretaste_data::ItemId;
use foretaste_nn::Activation;
use foretaste_settings::Setting;

use super::{Candidates, Cascade, Chosen, Frame, FrozenStage, Panels, Top};
use crate::Result;

/// A [`Cascade`] on an NVIDIA GPU, which chooses the same slates: the values have the same bits.
#[derive(Debug)]
pub struct CudaCascade {
    frame: Frame,
    device: CudaDevice,
    stages: Vec<Stage>,
}

/// What a stage's kernel reads for all users.
#[derive(Debug)]
struct Stage {
    halves: Halves,
    output: CudaSlice<f32>,
}

/// The words of [`Panels`].
#[derive(Debug)]
enum Halves {
    Single(CudaSlice<f32>),
    Half { values: CudaSlice<u32>, scales: CudaSlice<f32> },
}

/// A sorted list of items for each row, one after another.
struct Lists {
    items: CudaSlice<u32>,
    /// `[rows + 1]`.
    starts: CudaSlice<usize>,
    longest: usize,
}

impl Cascade {
    /// The cascade on the GPU `device`: copies the item halves there.
    ///
    /// # Errors
    /// An error of the network if `device` is no NVIDIA GPU, its memory does not suffice, or a
    /// kernel is refused.
    pub fn on_cuda(&self, device: &Device) -> Result<CudaCascade> {
        let gpu = device.as_cuda_device()?;
        let stage = |(panels, stage): (&Panels, &FrozenStage)| {
            let halves = match panels {
                Panels::Single(panels) => {
                    Halves::Single(gpu.clone_htod(panels.values.as_flattened().as_flattened())?)
                }
                Panels::Half(panels) => Halves::Half {
                    values: gpu.clone_htod(panels.values.as_flattened())?,
                    scales: gpu.clone_htod(panels.scales.as_flattened())?,
                },
            };
            Ok(Stage { halves, output: gpu.clone_htod(&stage.output)? })
        };
        let stages =
            self.panels.iter().zip(&self.frame.stages).map(stage).collect::<Result<_>>()?;
        // Another thread, which has another stream, may use it at once.
        device.synchronize()?;
        Ok(CudaCascade { frame: self.frame.clone(), device: gpu.clone(), stages })
    }
}

impl CudaCascade {
    /// As [`Cascade::slates`]; `states [rows, w]` may lie anywhere.
    ///
    /// # Errors
    /// As [`Cascade::slates`], or an error of the network if the driver refuses a kernel or its
    /// memory.
    pub fn slates(&self, states: &Tensor, allowed: Option<&Candidates>) -> Result<Chosen> {
        let rows = states.dim(0)?;
        if let Some(allowed) = allowed {
            allowed.check(rows, self.frame.items)?;
        }
        let of = |list: fn(&Candidates, usize) -> Option<&[ItemId]>| {
            self.lists((0..rows).map(|row| list(allowed?, row)).collect())
        };
        let (only, without) = (of(Candidates::listed)?, of(Candidates::excluded)?);
        self.frame.slates(&states.to_device(&Device::Cpu)?, |stage, sums, n, slates| {
            let (mut tops, mut slates) = (vec![Top::new(n); slates.len()], slates.to_vec());
            for _ in 0..n {
                let found = self.best(stage, sums, &slates, only.as_ref(), without.as_ref())?;
                for ((key, top), slate) in found.into_iter().zip(&mut tops).zip(&mut slates) {
                    if let Some((value, item)) = entry(key) {
                        top.enter(value, item);
                        slate.push(item);
                    }
                }
            }
            Ok(tops)
        })
    }

    /// One list a row, or none at all.
    fn lists(&self, lists: Option<Vec<&[ItemId]>>) -> Result<Option<Lists>> {
        let Some(lists) = lists else { return Ok(None) };
        let mut starts = vec![0];
        starts.extend(lists.iter().scan(0, |end, list| {
            *end += list.len();
            Some(*end)
        }));
        // At least one entry: the driver has no empty memory.
        let items: Vec<u32> =
            lists.iter().copied().flatten().map(|item| item.0).chain([NO_ITEM]).collect();
        Ok(Some(Lists {
            items: self.device.clone_htod(&items)?,
            starts: self.device.clone_htod(&starts)?,
            longest: lists.iter().map(|list| list.len()).max().unwrap_or(0),
        }))
    }

    /// The key of the best item of every row that is not on its slate. `sums` are `[rows, units]`.
    fn best<'a>(
        &self,
        stage: usize,
        sums: &[f32],
        slates: &'a [Vec<ItemId>],
        only: Option<&Lists>,
        without: Option<&Lists>,
    ) -> Result<Vec<u64>> {
        if slates.is_empty() {
            return Ok(Vec::new());
        }
        let too_many =
            |_| Setting::new("states", format!("{} rows, too many for a GPU", slates.len()));
        let rows = u32::try_from(slates.len()).map_err(too_many)?;
        let Stage { halves, output } = &self.stages[stage];
        let (items, pairs, k) = (self.frame.items, output.len() / 2, self.frame.k);
        let full = |slate: &'a Vec<ItemId>| {
            slate.iter().map(|item| item.0).chain(iter::repeat(NO_ITEM)).take(k)
        };
        let full_slates: Vec<u32> = slates.iter().flat_map(full).collect();
        let (sums, full_slates) =
            (self.device.clone_htod(sums)?, self.device.clone_htod(&full_slates)?);
        let mut found = self.device.alloc_zeros::<u64>(slates.len())?;

        let name = kernel_name(halves, self.frame.activation);
        let kernel = self.device.get_or_load_custom_func(name, MODULE, ptx()?)?;
        let mut launch = kernel.builder();
        launch.arg(&items).arg(&pairs).arg(&k);
        match halves {
            Halves::Single(values) => launch.arg(values).arg(&NULL),
            Halves::Half { values, scales } => launch.arg(values).arg(scales),
        };
        launch.arg(output).arg(&sums).arg(&full_slates);
        push(&mut launch, only);
        push(&mut launch, without);
        launch.arg(&mut found);
        let blocks = blocks(only.map_or(items, |lists| lists.longest));
        let config = LaunchConfig {
            grid_dim: (rows, blocks, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are the kernel's, in order and type. Sums, slates, lists and keys
        // have the rows of the grid; lists name items of the catalogue, which the halves hold,
        // filled up to whole panels, with the stage's pairs of units, as many as output, sums and
        // scales have. It writes the keys alone.
        unsafe { launch.launch(config).w()? };
        Ok(self.device.clone_dtoh(&found)?)
    }

    /// Reads all item halves once.
    pub fn checksum(&self) -> Result<u32> {
        let kernel = self.device.get_or_load_custom_func("checksum", MODULE, ptx()?)?;
        let mut sum = self.device.alloc_zeros::<u32>(1)?;
        for stage in &self.stages {
            // A panel of 16 items has whole fours.
            let fours = match &stage.halves {
                Halves::Single(values) => values.len() / 4,
                Halves::Half { values, .. } => values.len() / 4,
            };
            let mut launch = kernel.builder();
            launch.arg(&fours);
            match &stage.halves {
                Halves::Single(values) => launch.arg(values),
                Halves::Half { values, .. } => launch.arg(values),
            };
            launch.arg(&mut sum);
            let grid_dim = (blocks(fours), 1, 1);
            let config = LaunchConfig { grid_dim, block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 };
            // SAFETY: the arguments are the kernel's, in order and type; it reads so many words and
            // writes the sum alone.
            unsafe { launch.launch(config).w()? };
        }
        Ok(self.device.clone_dtoh(&sum)?[0])
    }
}

/// The name under which candle keeps the kernels.
const MODULE: &str = "foretaste_argmax";

/// No item, on a slate or in a list.
const NO_ITEM: u32 = u32::MAX;

/// A pointer to nothing, as a kernel's argument.
const NULL: u64 = 0;

/// Threads of a block.
const THREADS: u32 = 256;

/// Blocks for so much work, each thread a piece; they go on with what is left.
fn blocks(work: usize) -> u32 {
    work.div_ceil(THREADS as usize).clamp(1, 1 << 10) as u32
}

fn push<'a>(launch: &mut LaunchArgs<'a>, lists: Option<&'a Lists>) {
    match lists {
        Some(Lists { items, starts, .. }) => launch.arg(items).arg(starts),
        None => launch.arg(&NULL).arg(&NULL),
    };
}

/// The value and item of a key of `cascade.cu`.
fn entry(key: u64) -> Option<(f32, ItemId)> {
    let ordered = (key >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered ^ 1 << 31 } else { !ordered };
    (key != 0).then(|| (f32::from_bits(bits), ItemId(!(key as u32))))
}

fn kernel_name(halves: &Halves, activation: Activation) -> &'static str {
    match (halves, activation) {
        (Halves::Single(_), Activation::Elu) => "best_single_elu",
        (Halves::Single(_), Activation::Tanh) => "best_single_tanh",
        (Halves::Single(_), Activation::Identity) => "best_single_identity",
        (Halves::Half { .. }, Activation::Elu) => "best_half_elu",
        (Halves::Half { .. }, Activation::Tanh) => "best_half_tanh",
        (Halves::Half { .. }, Activation::Identity) => "best_half_identity",
    }
}

/// The kernels' PTX, for the oldest GPU that the installed NVRTC knows; the driver translates it
/// for the one of this machine.
fn ptx() -> candle_core::Result<&'static str> {
    static PTX: OnceLock<std::result::Result<String, CompileError>> = OnceLock::new();
    let compile = || {
        let options = CompileOptions {
            name: Some("cascade.cu".into()),
            fmad: Some(false),
            ..CompileOptions::default()
        };
        Ok(compile_ptx_with_opts(include_str!("cuda/cascade.cu"), options)?.to_src())
    };
    PTX.get_or_init(compile).as_deref().map_err(Clone::clone).w()
}

#[cfg(test)]
mod tests {
    use foretaste_random::Seed;
    use rand::Rng;

    use super::super::tests::{config, states, subsets};
    use super::*;
    use crate::{Architecture, ItemFeatures, QConfig, QNetworks, Storage};

    #[test]
    fn nvrtc_compiles_the_kernels() {
        let ptx = ptx().unwrap();
        for storage in ["single", "half"] {
            for sigma in ["elu", "tanh", "identity"] {
                assert!(
                    ptx.contains(&format!(".entry best_{storage}_{sigma}(")),
                    "no best_{storage}_{sigma}"
                );
            }
        }
        assert!(ptx.contains(".entry checksum("));
    }

    /// Values have the processor's bits, so nothing less is expected than the same slates. Every
    /// item has a duplicate, which ties.
    #[test]
    fn slates_on_a_gpu_are_those_of_the_processor() {
        let Ok(gpu) = Device::new_cuda(0) else {
            eprintln!("no GPU: the kernels were compiled, not run");
            return;
        };
        let activations = [Activation::Elu, Activation::Tanh, Activation::Identity];
        let architectures = [Architecture::Cascade, Architecture::Greedy];
        // Odd units, items that do not fill a panel, more than one block, more than all blocks take
        // at once.
        let sizes = [(5usize, 2, 1, 1), (70, 3, 19, 4), (3_000, 4, 32, 3), (300_001, 1, 2, 1)];
        for (seed, (items, k, hidden, rows)) in (0..).zip(sizes) {
            let mut stream = Seed::new(seed).stream(0);
            let mut features: Vec<f32> =
                (0..items.div_ceil(2) * 3).map(|_| stream.random_range(-1.0..1.0)).collect();
            features.extend_from_within(..items * 3 - features.len());
            let only = subsets(rows, items, items.min(2 * k), seed);
            let mut without = subsets(rows, items, k, !seed);
            without.iter_mut().for_each(|list| list.truncate(list.len() - k));
            let all_but_last = vec![(0..(items - k) as u32).map(ItemId).collect(); rows];
            let too_few = vec![vec![ItemId(0); k]; rows];
            for (architecture, activation) in
                architectures.into_iter().flat_map(|a| activations.map(|b| (a, b)))
            {
                let given = ItemFeatures::Given { dim: 3 };
                let config = QConfig {
                    architecture,
                    features: given,
                    ..config(items, k, hidden, activation)
                };
                let networks = QNetworks::new(config, Some(&features), Seed::new(seed)).unwrap();
                let states = states(&networks, rows, seed);
                for storage in [Storage::Single, Storage::Half] {
                    let cascade = networks.freeze(storage).unwrap();
                    let on_gpu = cascade.on_cuda(&gpu).unwrap();
                    assert_eq!(on_gpu.checksum().unwrap(), cascade.checksum());
                    for (only, without) in [
                        (None, None),
                        (Some(&only), None),
                        (None, Some(&without)),
                        (None, Some(&all_but_last)),
                        (Some(&too_few), None),
                    ] {
                        let all = Candidates::default();
                        let listed: Option<&Vec<Vec<ItemId>>> = only;
                        let allowed =
                            listed.map_or(all, |sets| Candidates::only_by_row(sets.clone()));
                        let excluded: Option<&Vec<Vec<ItemId>>> = without;
                        let allowed = match excluded {
                            Some(sets) => allowed.without_by_row(sets.clone()),
                            None => allowed,
                        };
                        let expected = cascade
                            .slates(&states, Some(&allowed))
                            .map_err(|error| error.to_string());
                        let found = on_gpu
                            .slates(&states, Some(&allowed))
                            .map_err(|error| error.to_string());
                        assert_eq!(
                            found, expected,
                            "{architecture:?} {activation:?} {storage:?} {items} items"
                        );
                    }
                }
            }
        }
    }
}
