//! A user model for acting: its numbers on the host, a session at a time.

use candle_core::{DType, Device, Tensor};
use foretaste_data::ItemId;
use foretaste_nn::{Activation, FrozenLstm, FrozenMlp, Workspace, add_rows, lookup, matmul};
use foretaste_train::{ContextFeatures, CountContext};

use crate::encoder::{Encoder, Features};
use crate::{Result, UserModel};

/// A [`UserModel`] as it is now. What it says of a session does not depend on the sessions around
/// it, not in the last bit.
#[derive(Debug)]
pub(crate) struct FrozenModel {
    memory: FrozenMemory,
    /// The state's part of the first layer, `[width, first]`.
    state_weight: Vec<f32>,
    /// The items' part of the first layer with its bias, `[K, first]`.
    items: Vec<f32>,
    /// The context features' part of the first layer, `[dim, first]`.
    context_weight: Option<Vec<f32>>,
    rest: FrozenMlp,
}

/// The state encoder h of a [`FrozenModel`].
#[derive(Debug)]
pub(crate) enum FrozenMemory {
    /// Weighted clicks.
    Clicks(Clicks),
    /// The LSTM, and the items' part of its first layer, `[K, 4 hidden]`.
    Lstm(FrozenLstm, Tensor),
}

/// The parameters of weighted clicks: s = vec[σ(Fᵀ W + B)].
#[derive(Debug)]
pub(crate) struct Clicks {
    columns: usize,
    /// W, `[history, columns]`.
    weight: Vec<f32>,
    /// B, `[d, columns]`; of zeros where the model has none.
    bias: Vec<f32>,
    activation: Activation,
    /// Features `[K, d]`; none where they are one-hot.
    table: Option<Vec<f32>>,
    /// The part of the first layer of a session without a click, `[first]`.
    empty: Vec<f32>,
}

impl FrozenModel {
    pub fn new(model: &UserModel) -> Result<Self> {
        let (features, parts) = (&model.features, &model.reward);
        let state_weight = on_host(&parts.state_weight)?;
        let bias = on_host(&parts.bias)?;
        let mut items = on_host(&of_items(features, &parts.item_weight)?)?;
        for row in items.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(&bias).for_each(|(sum, bias)| *sum += bias);
        }
        let memory = match &model.encoder {
            Encoder::Lstm(lstm) => {
                FrozenMemory::Lstm(lstm.freeze()?, of_items(features, lstm.input_weight())?)
            }
            Encoder::PositionWeights { weight, bias, activation } => {
                let columns = weight.dims()[1];
                let bias = match bias {
                    Some(bias) => on_host(bias)?,
                    None => vec![0.0; features.dim() * columns],
                };
                let table = match features {
                    Features::OneHot { .. } => None,
                    Features::Dense { table } => Some(on_host(table)?),
                };
                let (weight, activation, empty) = (on_host(weight)?, *activation, Vec::new());
                let mut clicks = Clicks { columns, weight, bias, activation, table, empty };
                let first = items.len() / model.config().items;
                clicks.empty = clicks.without_clicks(&state_weight, first);
                FrozenMemory::Clicks(clicks)
            }
        };
        let context_weight = parts.context_weight.as_ref().map(on_host).transpose()?;
        Ok(Self { memory, state_weight, items, context_weight, rest: parts.rest.freeze()? })
    }

    /// The same, with every r_θ less the norm of `map [.., width]` times its last hidden layer.
    pub fn less_norms(self, map: &[f32]) -> Result<Self> {
        Ok(Self { rest: self.rest.less_norms(map)?, ..self })
    }

    /// The state encoder.
    pub fn memory(&self) -> &FrozenMemory {
        &self.memory
    }

    /// Width of the first layer.
    pub fn first(&self) -> usize {
        self.rest.inputs()
    }

    /// The part of the first layer of sessions without a click, `[first]`.
    pub fn empty(&self) -> Vec<f32> {
        match &self.memory {
            FrozenMemory::Clicks(clicks) => clicks.empty.clone(),
            // The LSTM's state is zeros.
            FrozenMemory::Lstm(..) => vec![0.0; self.first()],
        }
    }

    /// The same after these clicks, newest first, of which the model remembers them all.
    pub fn after_clicks(&self, clicks: &Clicks, recent: &[ItemId], projected: &mut [f32]) {
        clicks.project(recent, &self.state_weight, projected);
    }

    /// The same of a state of the LSTM, `[hidden]`.
    pub fn of_state(&self, state: &[f32], projected: &mut [f32]) {
        projected.fill(0.0);
        let terms: Vec<(f32, usize)> = state.iter().copied().zip(0..).collect();
        add_rows(projected, &self.state_weight, &terms);
    }

    /// r_θ, less the norms where there are some, of the items of slates of `k`, each in the session
    /// whose part of the first layer is `projected(slate)` and whose clicks, oldest first, are
    /// `history(slate)`; `context` is what the model counted, where it takes context features.
    pub fn rewards<'a>(
        &self,
        workspace: &mut Workspace,
        (slates, k): (&[ItemId], usize),
        projected: impl Fn(usize) -> &'a [f32],
        (context, history): (Option<&CountContext>, impl Fn(usize) -> &'a [ItemId]),
        rewards: &mut [f32],
    ) {
        let mut of_context = Vec::new();
        if let Some(context) = context {
            for (at, slate) in slates.chunks_exact(k).enumerate() {
                context.rows(history(at), slate, &mut of_context);
            }
        }
        let mut terms = Vec::new();
        let fill = |place: usize, values: &mut [f32]| {
            values.copy_from_slice(projected(place / k));
            add_rows(values, &self.items, &[(1.0, slates[place].index())]);
            if let (Some(context), Some(weight)) = (context, &self.context_weight) {
                terms.clear();
                let dim = context.dim();
                terms.extend(of_context[place * dim..][..dim].iter().copied().zip(0..));
                add_rows(values, weight, &terms);
            }
        };
        self.rest.scores(workspace, fill, rewards);
    }
}

impl Clicks {
    /// How many clicks are remembered.
    pub fn window(&self) -> usize {
        self.weight.len() / self.columns
    }

    fn without_clicks(&self, state_weight: &[f32], first: usize) -> Vec<f32> {
        let mut sums = vec![0.0; first];
        let state = self.bias.iter().map(|&bias| self.activation.of(bias));
        let terms: Vec<(f32, usize)> = state.zip(0..).filter(|(value, _)| *value != 0.0).collect();
        add_rows(&mut sums, state_weight, &terms);
        sums
    }

    /// s times the first layer, after these clicks, newest first.
    ///
    /// With one-hot features only the entries of clicked items differ from those of a session
    /// without clicks, so these alone are added.
    fn project(&self, recent: &[ItemId], state_weight: &[f32], projected: &mut [f32]) {
        let (columns, mut terms) = (self.columns, Vec::new());
        let Some(table) = &self.table else {
            projected.copy_from_slice(&self.empty);
            for (at, item) in recent.iter().enumerate() {
                if recent[..at].contains(item) {
                    continue;
                }
                for column in 0..columns {
                    let entry = item.index() * columns + column;
                    let weights = recent.iter().zip(self.weight[column..].iter().step_by(columns));
                    let of_item = weights.filter(|(other, _)| *other == item);
                    let sum: f32 = of_item.map(|(_, weight)| weight).sum();
                    let before = self.bias[entry];
                    let change = self.activation.of(before + sum) - self.activation.of(before);
                    terms.push((change, entry));
                }
            }
            add_rows(projected, state_weight, &terms);
            return;
        };
        let dim = self.bias.len() / columns;
        let mut state = self.bias.clone();
        for (item, weights) in recent.iter().zip(self.weight.chunks_exact(columns)) {
            let features = &table[item.index() * dim..][..dim];
            for (sums, feature) in state.chunks_exact_mut(columns).zip(features) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += feature * weight);
            }
        }
        projected.fill(0.0);
        terms.extend(state.iter().map(|&sum| self.activation.of(sum)).zip(0..));
        add_rows(projected, state_weight, &terms);
    }
}

/// The features of all items times `weight [d, out]`, `[K, out]`.
fn of_items(features: &Features, weight: &Tensor) -> Result<Tensor> {
    Ok(match features {
        Features::OneHot { .. } => weight.detach(),
        Features::Dense { table } => {
            let on_cpu = |tensor: &Tensor| tensor.detach().to_device(&Device::Cpu);
            matmul(&on_cpu(table)?, &on_cpu(weight)?)?.to_device(weight.device())?
        }
    })
}

/// The LSTM's inputs `[rows, 1, 4 hidden]` of these items.
pub(crate) fn inputs(of_items: &Tensor, items: &[u32]) -> Result<Tensor> {
    Ok(lookup(of_items, items)?.unsqueeze(1)?)
}

fn on_host(tensor: &Tensor) -> Result<Vec<f32>> {
    let tensor = tensor.detach().to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    Ok(tensor.flatten_all()?.to_vec1()?)
}
