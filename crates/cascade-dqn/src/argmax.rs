//! The cascaded argmax over a whole catalogue.

#[cfg(feature = "cuda")]
#[allow(
    unsafe_code,
    reason = "launching a kernel is unsafe; the lengths that it relies on are checked before"
)]
mod cuda;
mod kernel;
mod panels;
#[cfg(test)]
mod tests;
mod top;

use candle_core::{DType, Tensor};
use foretaste_data::ItemId;
use foretaste_nn::{Activation, lookup, matmul};
use foretaste_settings::Setting;
use foretaste_sim::Candidates;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "cuda")]
pub use self::cuda::CudaCascade;
use self::kernel::{Row, pass};
use self::panels::{Panels, WIDTH};
use self::top::Top;
pub(crate) use self::top::top_items;
use crate::Result;
use crate::config::QConfig;
use crate::stage::Stage;

/// How the item halves are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// Single precision: 4 bytes per item, hidden unit and stage. The argmax is exact.
    Single,
    /// Fixed point of 16 bits with a scale for each hidden unit: half the bytes. An entry is off by
    /// at most its unit's largest magnitude / 65,534, less than half-precision floats are for all
    /// but the smallest entries, so that nearly equal items may change places.
    Half,
}

/// Q-networks frozen for acting: a_1 = argmax Q^1(s, ·), a_2 = argmax Q^2(s, a_1, ·), .. exactly,
/// ties going to the smaller item id.
///
/// L_j's block for its own place times f_a is computed once for every item when the networks are
/// frozen. For a user, state and items already chosen then add one vector to a stage's hidden sums,
/// and one pass over the items applies σ and the output layer in registers and keeps the best:
/// linear in K, nothing of size K · l is written. The pass reads every item's half once for the
/// whole batch of users and is shared out among threads.
#[derive(Clone, Debug)]
pub struct Cascade {
    frame: Frame,
    /// The item halves of each stage.
    panels: Vec<Panels>,
}

/// The cascade but for the item halves.
#[derive(Clone, Debug)]
struct Frame {
    k: usize,
    items: usize,
    activation: Activation,
    /// `[K, d]`.
    features: Tensor,
    stages: Vec<FrozenStage>,
}

#[derive(Clone, Debug)]
struct FrozenStage {
    /// `[w, l]`.
    state: Tensor,
    /// What each earlier place adds, `[d, l]` each.
    earlier: Vec<Tensor>,
    /// `[l]`.
    bias: Tensor,
    /// `[l]`, filled up to whole pairs.
    output: Vec<f32>,
}

/// The slates that a [`Cascade`] chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// `[rows · k]`, in the order of the stages.
    pub items: Vec<ItemId>,
    /// What each slate is worth, `[rows]`: Q^k of the cascade, or the mean of the items' values of
    /// a single network.
    pub values: Vec<f32>,
}

impl Cascade {
    pub(crate) fn new(
        config: &QConfig,
        features: &Tensor,
        width: usize,
        stages: &[Stage],
        storage: Storage,
    ) -> Result<Self> {
        let frame = Frame::new(config, features, width, stages)?;
        let zeros = |stage: &Stage| -> Result<Panels> {
            Ok(Panels::zeros(config.items, stage.output.dim(0)?, storage))
        };
        let mut cascade = Self { frame, panels: stages.iter().map(zeros).collect::<Result<_>>()? };
        cascade.fill(config, width, stages)?;
        Ok(cascade)
    }

    /// Freezes networks of the same settings in the memory of those that were frozen before.
    ///
    /// # Errors
    /// As [`QNetworks::renew`](crate::QNetworks::renew).
    pub(crate) fn renew(
        &mut self,
        config: &QConfig,
        features: &Tensor,
        width: usize,
        stages: &[Stage],
    ) -> Result<()> {
        let frame = Frame::new(config, features, width, stages)?;
        if frame.sizes() != self.frame.sizes() {
            let problem = "other sizes than those of the networks, expected networks of the same \
                           settings";
            return Err(Setting::new("frozen networks", problem).into());
        }
        self.frame = frame;
        self.fill(config, width, stages)
    }

    /// Computes the item halves of all stages.
    fn fill(&mut self, config: &QConfig, width: usize, stages: &[Stage]) -> Result<()> {
        let (dim, features) = (config.features.dim(), &self.frame.features);
        for (place, (stage, panels)) in stages.iter().zip(&mut self.panels).enumerate() {
            let own = block(&single(&stage.weight)?, width, dim, place)?;
            let halves = |first, count| -> Result<Vec<f32>> {
                Ok(matmul(&features.narrow(0, first, count)?, &own)?.flatten_all()?.to_vec1()?)
            };
            panels.fill((config.items, stage.output.dim(0)?), halves)?;
        }
        Ok(())
    }

    /// The best slate for each of `states [rows, w]`, of all items or of those that are allowed.
    ///
    /// Items are evaluated sixteen neighbours at a time, so a set of some K/16 scattered candidates
    /// costs as much as the whole catalogue, which moreover is read once for all rows.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a row is left with fewer than k items whose
    /// values are numbers; an error of the environment if the candidates do not fit
    /// ([`Candidates::check`]).
    pub fn slates(&self, states: &Tensor, allowed: Option<&Candidates>) -> Result<Chosen> {
        if let Some(allowed) = allowed {
            allowed.check(states.dim(0)?, self.frame.items)?;
        }
        self.frame
            .slates(states, |stage, sums, n, slates| Ok(self.pass(stage, sums, n, slates, allowed)))
    }

    /// The best `n` items of every row that may be shown and are not on its slate.
    fn pass(
        &self,
        stage: usize,
        sums: &[f32],
        n: usize,
        slates: &[Vec<ItemId>],
        allowed: Option<&Candidates>,
    ) -> Vec<Top> {
        let (halves, output) = (&self.panels[stage], &self.frame.stages[stage].output);
        let (rows, units) = (slates.len(), output.len());
        let row = |row: usize| Row { sums: &sums[row * units..][..units], output };
        let offer = |top: &mut Top, row: usize, value: f32, item: ItemId| {
            let admitted = || allowed.is_none_or(|allowed| allowed.admits(row, item));
            if value > top.threshold() && !slates[row].contains(&item) && admitted() {
                top.enter(value, item);
            }
        };
        let Some(listed) = allowed.filter(|allowed| allowed.lists()) else {
            let part = |panels: std::ops::Range<usize>| {
                let mut tops = vec![Top::new(n); rows];
                pass(halves, self.frame.activation, panels, rows, row, |row, panel, values| {
                    let first = panel * WIDTH;
                    for (item, &value) in (first..self.frame.items).zip(values) {
                        offer(&mut tops[row], row, value, ItemId(item as u32));
                    }
                });
                tops
            };
            return share_out(halves.count(), rows * units * WIDTH, part, |tops, later| {
                tops.iter_mut().zip(&later).for_each(|(top, later)| top.merge(later));
            });
        };
        let of_row = |at: usize| {
            let (mut top, only) = (Top::new(n), listed.listed(at).unwrap_or_default());
            let mut left = only;
            let panels: Vec<usize> = only
                .chunk_by(|a, b| a.index() / WIDTH == b.index() / WIDTH)
                .map(|c| c[0].index() / WIDTH)
                .collect();
            pass(
                halves,
                self.frame.activation,
                panels.into_iter(),
                1,
                |_| row(at),
                |_, panel, values| {
                    let end = left.partition_point(|item| item.index() / WIDTH <= panel);
                    let (here, rest) = left.split_at(end);
                    left = rest;
                    here.iter()
                        .for_each(|&item| offer(&mut top, at, values[item.index() % WIDTH], item));
                },
            );
            top
        };
        (0..rows).into_par_iter().map(of_row).collect()
    }

    /// Q of every item by itself, `[rows · K]`, for a single network.
    pub(crate) fn item_values(&self, states: &Tensor) -> Result<Vec<f32>> {
        let (rows, items) = (states.dim(0)?, self.frame.items);
        let (halves, output) = (&self.panels[0], &self.frame.stages[0].output);
        let sums = self.frame.sums(0, &states.detach().to_dtype(DType::F32)?, &[])?;
        let row = |row: usize| Row { sums: &sums[row * output.len()..][..output.len()], output };
        let mut all = vec![0.0; rows * items];
        let panels = 0..halves.count();
        pass(halves, self.frame.activation, panels, rows, row, |row, panel, values| {
            let of_row = &mut all[row * items..][..items][panel * WIDTH..];
            of_row.iter_mut().zip(values).for_each(|(item, value)| *item = *value);
        });
        Ok(all)
    }

    /// k and K.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.frame.k, self.frame.items)
    }

    /// Size of the item halves of all stages, in bytes: what choosing a slate reads.
    pub fn bytes(&self) -> usize {
        self.panels.iter().map(Panels::bytes).sum()
    }

    /// Reads all item halves once: no pass over them can be faster.
    pub fn checksum(&self) -> u32 {
        self.panels.iter().fold(0, |sum, panels| sum.wrapping_add(panels.checksum()))
    }
}

/// In single precision, apart from the graph.
fn single(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.detach().to_dtype(DType::F32)?)
}

/// The rows of a stage's first layer that the features of the item at a place meet, `[d, l]`.
fn block(weight: &Tensor, width: usize, dim: usize, place: usize) -> Result<Tensor> {
    Ok(weight.narrow(0, width + place * dim, dim)?.contiguous()?)
}

impl Frame {
    fn new(config: &QConfig, features: &Tensor, width: usize, stages: &[Stage]) -> Result<Self> {
        let dim = config.features.dim();
        let freeze = |(place, stage): (usize, &Stage)| {
            let weight = single(&stage.weight)?;
            let mut output = single(&stage.output)?.to_vec1::<f32>()?;
            output.resize(output.len().next_multiple_of(2), 0.0);
            Ok(FrozenStage {
                state: weight.narrow(0, 0, width)?.contiguous()?,
                earlier: (0..place)
                    .map(|place| block(&weight, width, dim, place))
                    .collect::<Result<_>>()?,
                bias: single(&stage.bias)?,
                output,
            })
        };
        Ok(Self {
            k: config.k,
            items: config.items,
            activation: config.activation,
            features: single(features)?,
            stages: stages.iter().enumerate().map(freeze).collect::<Result<_>>()?,
        })
    }

    /// Items on a slate, items of the catalogue, and units of every stage.
    fn sizes(&self) -> (usize, usize, Vec<usize>) {
        let units = self.stages.iter().map(|stage| stage.output.len());
        (self.k, self.items, units.collect())
    }

    /// The slates for `states`, one stage after another: `pass(stage, sums, n, slates)` gives the
    /// best n candidates of every row that are not on its slate.
    fn slates(
        &self,
        states: &Tensor,
        pass: impl Fn(usize, &[f32], usize, &[Vec<ItemId>]) -> Result<Vec<Top>>,
    ) -> Result<Chosen> {
        let rows = states.dim(0)?;
        let states = states.detach().to_dtype(DType::F32)?;
        let mut slates: Vec<Vec<ItemId>> = vec![Vec::with_capacity(self.k); rows];
        let mut values = vec![0.0; rows];
        for stage in 0..self.stages.len() {
            let picks = self.k / self.stages.len();
            let sums = self.sums(stage, &states, &slates)?;
            let tops = pass(stage, &sums, picks, &slates)?;
            for (row, top) in tops.iter().enumerate() {
                let (slate, entries) = (&mut slates[row], top.entries());
                if entries.len() < picks {
                    let problem = format!(
                        "row {row} has {} items left whose values are numbers",
                        entries.len()
                    );
                    let problem = format!("{problem}, expected {picks} at place {}", slate.len());
                    return Err(Setting::new("candidates", problem).into());
                }
                slate.extend(entries.iter().map(|entry| entry.1));
                values[row] = entries.iter().map(|entry| entry.0).sum::<f32>() / picks as f32;
            }
        }
        Ok(Chosen { items: slates.concat(), values })
    }

    /// Everything but the item's own half in a stage's hidden sums: c_j + L_j
    /// [s; f_{a_1}; ..; f_{a_{j-1}}], `[rows, l]`.
    fn sums(&self, stage: usize, states: &Tensor, slates: &[Vec<ItemId>]) -> Result<Vec<f32>> {
        let stage = &self.stages[stage];
        let mut sums = matmul(states, &stage.state)?.broadcast_add(&stage.bias)?;
        for (place, block) in stage.earlier.iter().enumerate() {
            let chosen: Vec<u32> = slates.iter().map(|slate| slate[place].0).collect();
            sums = (sums + matmul(&lookup(&self.features, &chosen)?, block)?)?;
        }
        let (rows, units) = sums.dims2()?;
        // Whole pairs.
        Ok(sums
            .pad_with_zeros(1, 0, units % 2)?
            .reshape(rows * units.next_multiple_of(2))?
            .to_vec1()?)
    }
}

/// Runs `part` on the panels below `count`, in pieces on several threads where a panel's `work` in
/// activations makes that worth it, and merges the results in the order of the panels.
fn share_out<T: Send>(
    count: usize,
    work: usize,
    part: impl Fn(std::ops::Range<usize>) -> T + Sync,
    merge: impl Fn(&mut T, T),
) -> T {
    // Some 50 µs.
    const PIECE: usize = 1 << 17;
    let threads = rayon::current_num_threads();
    let pieces = (count * work / PIECE).min(4 * threads);
    if threads == 1 || pieces < 2 {
        return part(0..count);
    }
    let size = count.div_ceil(pieces);
    let piece = |piece: usize| part((piece * size).min(count)..((piece + 1) * size).min(count));
    let mut results = (0..pieces).into_par_iter().map(piece).collect::<Vec<_>>().into_iter();
    let mut first = results.next().expect("there are two pieces at least");
    results.for_each(|later| merge(&mut first, later));
    first
}
