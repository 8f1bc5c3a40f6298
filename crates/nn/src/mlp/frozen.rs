//! An MLP behind a non-linearity for acting: rows of sums on the host, ready to be scored.

use candle_core::{DType, Device, Tensor};
use foretaste_settings::Setting;
use pulp::NullaryFnOnce;

use super::{Activation, Mlp};
use crate::Result;
use crate::kernel::{Left, Panels, Real, WIDTH, filled, multiply_rows, vectorised};

/// The layers of an [`Mlp`] of one output, with their parameters as they are now, in single
/// precision on the CPU. A row's score does not depend on the other rows, not even in the last bit.
#[derive(Clone, Debug)]
pub struct FrozenMlp {
    /// All layers but the last: the transposed weight, and the bias.
    hidden: Vec<(Panels<f32>, Vec<f32>)>,
    /// The last layer's weights.
    last: Vec<f32>,
    bias: f32,
    /// The transposed map of the last layer's inputs whose norm every score is less.
    less: Option<Panels<f32>>,
    activation: Activation,
}

/// The memory that [`FrozenMlp::scores`] works in, to be used again.
#[derive(Clone, Debug)]
pub struct Workspace([Panels<f32>; 2]);

impl Default for Workspace {
    fn default() -> Self {
        Self([(); 2].map(|()| Panels::zeros(0, 0)))
    }
}

impl Mlp {
    /// The MLP as it is now, for acting.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it has more than one output.
    pub fn freeze(&self) -> Result<FrozenMlp> {
        let (last, hidden) = self.layers.split_last().expect("an MLP has a layer");
        if last.weight.dims()[0] != 1 {
            let problem = format!("{}, expected 1", last.weight.dims()[0]);
            return Err(Setting::new("outputs of an MLP for acting", problem).into());
        }
        let hidden = hidden.iter().map(|layer| {
            let (outputs, inputs) = layer.weight.dims2()?;
            let weight = on_host(&layer.weight.t()?)?;
            let rows = Panels::from_rows(inputs, outputs, |i| &weight[i * outputs..][..outputs]);
            Ok((rows, on_host(&layer.bias)?))
        });
        Ok(FrozenMlp {
            hidden: hidden.collect::<Result<_>>()?,
            last: on_host(&last.weight)?,
            bias: on_host(&last.bias)?[0],
            less: None,
            activation: self.activation,
        })
    }
}

impl FrozenMlp {
    /// The same, with every score less the Euclidean norm of `map [.., width]` times what the last
    /// layer takes, `[width]`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if `map` has no row, or rows of another width.
    pub fn less_norms(self, map: &[f32]) -> Result<Self> {
        let width = self.last.len();
        let rows = map.len() / width;
        if rows == 0 || !map.len().is_multiple_of(width) {
            let problem = format!("{} numbers, expected rows of {width}", map.len());
            return Err(Setting::new("map of an MLP's last layer", problem).into());
        }
        let map = Panels::from_rows(rows, width, |i| &map[i * width..][..width]);
        Ok(Self { less: Some(map.transposed(width)), ..self })
    }

    /// The outputs for σ of each of `scores.len()` rows of inputs: `fill(row, values)` writes the
    /// inputs of a row.
    pub fn scores(
        &self,
        workspace: &mut Workspace,
        mut fill: impl FnMut(usize, &mut [f32]),
        scores: &mut [f32],
    ) {
        let (rows, inputs) = (scores.len(), self.inputs());
        let [from, to] = &mut workspace.0;
        from.resize(rows, inputs);
        let mut values = vec![0.0; inputs];
        for row in 0..rows {
            fill(row, &mut values);
            for (panel, part) in values.chunks(WIDTH).enumerate() {
                from.panel_mut(panel)[row] = filled(part);
            }
        }
        self.activate(from);
        let product = |from: &Panels<f32>, weight: &Panels<f32>, to: &mut Panels<f32>| {
            multiply_rows(Left::Rows(from, 0), |p| weight.panel(p), to.values_mut(), rows, 0..rows);
        };
        for (weight, bias) in &self.hidden {
            to.resize(rows, bias.len());
            for (panel, part) in bias.chunks(WIDTH).enumerate() {
                to.panel_mut(panel).fill(filled(part));
            }
            product(from, weight, to);
            self.activate(to);
            std::mem::swap(from, to);
        }
        vectorised(Dots { rows: from, last: &self.last, bias: self.bias, scores });
        if let Some(map) = &self.less {
            to.resize(rows, map.count() * WIDTH);
            to.values_mut().fill([0.0; WIDTH]);
            product(from, map, to);
            vectorised(LessNorms { rows: to, scores });
        }
    }

    /// Width of a row of inputs.
    pub fn inputs(&self) -> usize {
        self.hidden.first().map_or(self.last.len(), |(weight, _)| weight.rows())
    }

    fn activate(&self, rows: &mut Panels<f32>) {
        let values = rows.values_mut().as_flattened_mut();
        match self.activation {
            Activation::Elu => vectorised(Each { values, function: Real::elu }),
            Activation::Tanh => vectorised(Each { values, function: Real::tanh }),
            Activation::Identity => {}
        }
    }
}

/// Adds to `sums` the rows of `table [.., sums.len()]` that are named, each times its number, in
/// the order in which they are named.
///
/// # Panics
/// If there is no such row.
pub fn add_rows(sums: &mut [f32], table: &[f32], rows: &[(f32, usize)]) {
    vectorised(AddRows { sums, table, rows });
}

struct AddRows<'a> {
    sums: &'a mut [f32],
    table: &'a [f32],
    rows: &'a [(f32, usize)],
}

impl NullaryFnOnce for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sums, table, rows } = self;
        for &(scale, row) in rows {
            let row = &table[row * sums.len()..][..sums.len()];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += scale * value);
        }
    }
}

fn on_host(tensor: &Tensor) -> Result<Vec<f32>> {
    let tensor = tensor.detach().to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// A function of every value.
struct Each<'a, F> {
    values: &'a mut [f32],
    function: F,
}

impl<F: Fn(f32) -> f32> NullaryFnOnce for Each<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for value in self.values {
            *value = (self.function)(*value);
        }
    }
}

/// The products of rows with one vector, [`WIDTH`] sums a row which are added up in the end.
struct Dots<'a> {
    rows: &'a Panels<f32>,
    last: &'a [f32],
    bias: f32,
    scores: &'a mut [f32],
}

impl NullaryFnOnce for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (row, score) in self.scores.iter_mut().enumerate() {
            let mut sums = [0.0; WIDTH];
            for (panel, part) in self.last.chunks(WIDTH).enumerate() {
                let weights: [f32; WIDTH] = filled(part);
                let values = &self.rows.panel(panel)[row];
                for ((sum, value), weight) in sums.iter_mut().zip(values).zip(&weights) {
                    *sum += value * weight;
                }
            }
            *score = self.bias + sums.iter().sum::<f32>();
        }
    }
}

/// Each score less the norm of its row, [`WIDTH`] sums a row which are added up in the end.
struct LessNorms<'a> {
    rows: &'a Panels<f32>,
    scores: &'a mut [f32],
}

impl NullaryFnOnce for LessNorms<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (row, score) in self.scores.iter_mut().enumerate() {
            let mut sums = [0.0; WIDTH];
            for panel in 0..self.rows.count() {
                let values = &self.rows.panel(panel)[row];
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * value);
            }
            *score -= sums.iter().sum::<f32>().sqrt();
        }
    }
}
