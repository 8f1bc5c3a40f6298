//! What candle's tape leaves out: operations of any number of arguments, and gradients that are not
//! added to zeros first.

mod product;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::backprop::GradStore;
use candle_core::op::BackpropOp;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, DType, Layout, MetalStorage, Shape, Storage,
    Tensor, TensorId,
};

pub(crate) use self::product::{Factors, ProductGradient};
use crate::Result;

/// The gradients of a loss in its parameters, by [`backward`].
///
/// The gradient of a table of which a batch uses a few rows holds those rows alone.
#[derive(Debug, Default)]
pub struct Gradients {
    by_id: HashMap<TensorId, Gradient>,
}

/// The gradient of one parameter.
#[derive(Clone, Debug)]
pub(crate) enum Gradient {
    Dense(Tensor),
    Rows(RowGradient),
    Product(ProductGradient),
}

/// The gradient of a table `[entries, width]` of which only some rows were used.
#[derive(Clone, Debug)]
pub(crate) struct RowGradient {
    /// The rows that were used, ascending.
    pub(crate) rows: Vec<u32>,
    /// Their gradients `[rows, width]`.
    pub(crate) values: Tensor,
}

/// The gradients of `loss`, a tensor of one entry, in every parameter that it was computed from.
///
/// The same numbers as candle's [`Tensor::backward`], which works too but spends a pass over each
/// parameter on zeros and another on adding to them, and fills a table's gradient with zeros for
/// the rows that were not used.
pub fn backward(loss: &Tensor) -> Result<Gradients> {
    let scope = Scope::open();
    let store = loss.backward()?;
    let mut by_id = scope.close();
    for id in store.get_ids().copied().collect::<Vec<_>>() {
        if let Some(gradient) = store.get_id(id) {
            add(&mut by_id, id, Gradient::Dense(gradient.clone()))?;
        }
    }
    Ok(Gradients { by_id })
}

impl Gradients {
    /// The gradient in `tensor`, zeros included, or nothing if the loss does not depend on it.
    pub fn get(&self, tensor: &Tensor) -> Result<Option<Tensor>> {
        Ok(self
            .by_id
            .get(&tensor.id())
            .map(|gradient| gradient.dense(tensor.shape()))
            .transpose()?)
    }

    pub(crate) fn stored(&self, tensor: &Tensor) -> Option<&Gradient> {
        self.by_id.get(&tensor.id())
    }
}

impl From<GradStore> for Gradients {
    fn from(store: GradStore) -> Self {
        let dense = |&id: &TensorId| Some((id, Gradient::Dense(store.get_id(id)?.clone())));
        Self { by_id: store.get_ids().filter_map(dense).collect() }
    }
}

impl Gradient {
    fn dense(&self, shape: &Shape) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(gradient) => Ok(gradient.clone()),
            Self::Product(product) => product.form(),
            Self::Rows(part) => {
                part.add_to(&Tensor::zeros(shape, part.values.dtype(), part.values.device())?)
            }
        }
    }

    fn sum(self, other: Self) -> candle_core::Result<Self> {
        Ok(match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => Self::Dense((a + b)?),
            (Self::Rows(part), Self::Dense(whole)) | (Self::Dense(whole), Self::Rows(part)) => {
                Self::Dense(part.add_to(&whole)?)
            }
            (Self::Rows(a), Self::Rows(b)) => {
                let values = Tensor::cat(&[&a.values, &b.values], 0)?;
                Self::Rows(RowGradient::collect(&[a.rows, b.rows].concat(), &values)?)
            }
            (Self::Product(product), other) | (other, Self::Product(product)) => {
                Self::Dense(product.form()?).sum(other)?
            }
        })
    }
}

impl RowGradient {
    /// The gradient of a look-up: `values [uses, width]` belong to the rows `ids [uses]`, in any
    /// order, which may repeat.
    pub(crate) fn collect(ids: &[u32], values: &Tensor) -> candle_core::Result<Self> {
        let mut rows = ids.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let place = |id| rows.partition_point(|row| row < id) as u32;
        let places: Vec<u32> = ids.iter().map(place).collect();
        let sums = Tensor::zeros((rows.len(), values.dim(1)?), values.dtype(), values.device())?;
        let values =
            sums.index_add(&Tensor::new(places, values.device())?, &values.contiguous()?, 0)?;
        Ok(Self { rows, values })
    }

    fn add_to(&self, table: &Tensor) -> candle_core::Result<Tensor> {
        table.index_add(&Tensor::new(&self.rows[..], table.device())?, &self.values, 0)
    }
}

/// What an operation does in the backward pass.
pub(crate) trait Backward: Send + Sync + 'static {
    /// For messages.
    fn name(&self) -> &'static str;

    /// The gradients of the arguments, in their order; nothing for those that are not tracked.
    fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>>;
}

/// A result that is not on the tape yet.
pub(crate) enum Computed {
    Host(CpuStorage, Shape),
    /// On any device, in any layout, with nothing that leads to it.
    Device(Tensor),
}

impl Computed {
    /// The result as a tensor that no operation leads to.
    pub(crate) fn into_tensor(self) -> candle_core::Result<Tensor> {
        match self {
            Self::Host(storage, shape) => {
                Ok(Tensor::from_storage(Storage::Cpu(storage), shape, BackpropOp::none(), false))
            }
            Self::Device(tensor) => tensor.force_contiguous(),
        }
    }
}

/// Puts `result`, which was computed from `arguments`, on candle's tape. `backward` is asked once
/// per backward pass.
///
/// candle's own operations have at most three arguments. Here each tracked argument hangs on a
/// chain of links, each link a scalar; the last link carries the result. In the backward pass the
/// result leaves the gradients in a shared place, from which each link takes its own.
pub(crate) fn record(
    result: Computed,
    arguments: &[&Tensor],
    backward: impl Backward,
) -> Result<Tensor> {
    let gradients = Shared::default();
    let mut chain: Option<Tensor> = None;
    for (index, argument) in
        arguments.iter().enumerate().filter(|(_, argument)| argument.track_op())
    {
        let link = Link { index, gradients: gradients.clone() };
        chain = Some(match chain {
            None => argument.apply_op1(link)?,
            Some(chain) => chain.apply_op2(argument, link)?,
        });
    }
    let Some(chain) = chain else { return Ok(result.into_tensor()?) };
    Ok(attach(&chain, backward.name(), result, move |gradient| {
        *lock(&gradients) = backward.backward(gradient)?;
        Ok(())
    })?)
}

/// Puts `result` on candle's tape as an operation on `argument`, which gets zeros for a gradient.
/// `learn` is told the gradient of the result.
pub(crate) fn attach(
    argument: &Tensor,
    name: &'static str,
    result: Computed,
    learn: impl Fn(&Tensor) -> candle_core::Result<()> + Send + Sync + 'static,
) -> candle_core::Result<Tensor> {
    argument.apply_op1(Node { name, result: Mutex::new(Some(result)), learn })
}

type Shared = Arc<Mutex<Vec<Option<Gradient>>>>;

struct Link {
    index: usize,
    gradients: Shared,
}

struct Node<F> {
    name: &'static str,
    result: Mutex<Option<Computed>>,
    learn: F,
}

impl Link {
    /// Hands the gradient to the open [`backward`] if the argument is a parameter, and to candle
    /// otherwise.
    fn deliver(&self, argument: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = lock(&self.gradients)[self.index].take();
        let Some(gradient) = gradient else {
            candle_core::bail!("argument {} was given no gradient", self.index)
        };
        match argument.is_variable() {
            true => Scope::deposit(argument, gradient),
            false => gradient.dense(argument.shape()).map(Some),
        }
    }
}

impl CustomOp1 for Link {
    fn name(&self) -> &'static str {
        "argument"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(1)))
    }

    fn cuda_fwd(
        &self,
        argument: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        Ok((argument.device().zeros_impl(&Shape::from(1), DType::F32)?, Shape::from(1)))
    }

    fn metal_fwd(
        &self,
        argument: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        Ok((argument.device().zeros_impl(&Shape::from(1), DType::F32)?, Shape::from(1)))
    }

    fn bwd(
        &self,
        argument: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        self.deliver(argument)
    }
}

impl CustomOp2 for Link {
    fn name(&self) -> &'static str {
        "argument"
    }

    fn cpu_fwd(
        &self,
        chain: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        CustomOp1::cpu_fwd(self, chain, layout)
    }

    fn cuda_fwd(
        &self,
        chain: &CudaStorage,
        layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        CustomOp1::cuda_fwd(self, chain, layout)
    }

    fn metal_fwd(
        &self,
        chain: &MetalStorage,
        layout: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        CustomOp1::metal_fwd(self, chain, layout)
    }

    fn bwd(
        &self,
        chain: &Tensor,
        argument: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(chain.zeros_like()?), self.deliver(argument)?))
    }
}

impl<F: Fn(&Tensor) -> candle_core::Result<()>> CustomOp1 for Node<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let result = lock(&self.result).take();
        if let Some(Computed::Host(storage, shape)) = result {
            return Ok((storage, shape));
        }
        if let Some(Computed::Device(result)) = result
            && let (storage, layout) = result.storage_and_layout()
            && let Storage::Cpu(storage) = &*storage
        {
            return copied(storage, layout);
        }
        candle_core::bail!("{}: no result on the CPU", self.name)
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        if let Some(Computed::Device(result)) = lock(&self.result).take()
            && let (storage, layout) = result.storage_and_layout()
            && let Storage::Cuda(storage) = &*storage
        {
            return copied(storage, layout);
        }
        candle_core::bail!("{}: no result on the GPU", self.name)
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        if let Some(Computed::Device(result)) = lock(&self.result).take()
            && let (storage, layout) = result.storage_and_layout()
            && let Storage::Metal(storage) = &*storage
        {
            return copied(storage, layout);
        }
        candle_core::bail!("{}: no result on the GPU", self.name)
    }

    fn bwd(
        &self,
        argument: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        (self.learn)(gradient)?;
        argument.zeros_like().map(Some)
    }
}

/// The numbers of a tensor in row-major order.
fn copied<S>(storage: &S, layout: &Layout) -> candle_core::Result<(S, Shape)>
where
    S: BackendStorage,
    S::Device: BackendDevice<Storage = S>,
{
    let mut copy = storage.device().zeros_impl(layout.shape(), storage.dtype())?;
    storage.copy_strided_src(&mut copy, 0, layout)?;
    Ok((copy, layout.shape().clone()))
}

/// The gradients of parameters that the open [`backward`] of this thread has been handed.
struct Scope {
    outer: Option<HashMap<TensorId, Gradient>>,
}

thread_local! {
    static OPEN: RefCell<Option<HashMap<TensorId, Gradient>>> = const { RefCell::new(None) };
}

impl Scope {
    fn open() -> Self {
        Self { outer: OPEN.replace(Some(HashMap::new())) }
    }

    fn close(self) -> HashMap<TensorId, Gradient> {
        OPEN.take().unwrap_or_default()
    }

    /// Takes the gradient if a scope is open; gives it back as candle wants it otherwise.
    fn deposit(parameter: &Tensor, gradient: Gradient) -> candle_core::Result<Option<Tensor>> {
        OPEN.with_borrow_mut(|open| match open {
            Some(open) => add(open, parameter.id(), gradient).map(|()| None),
            None => gradient.dense(parameter.shape()).map(Some),
        })
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        OPEN.set(self.outer.take());
    }
}

fn add(
    sums: &mut HashMap<TensorId, Gradient>,
    id: TensorId,
    gradient: Gradient,
) -> candle_core::Result<()> {
    let sum = match sums.remove(&id) {
        None => gradient,
        Some(sum) => sum.sum(gradient)?,
    };
    sums.insert(id, sum);
    Ok(())
}

/// The guarded value, also after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Init, Params, check_gradients};
    use candle_core::Device;
    use foretaste_random::Seed;

    /// a b + c, elementwise.
    struct Fused(Tensor, Tensor);

    impl Backward for Fused {
        fn name(&self) -> &'static str {
            "fused"
        }

        fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
            let gradients = [(gradient * &self.1)?, (gradient * &self.0)?, gradient.clone()];
            Ok(gradients.into_iter().map(|gradient| Some(Gradient::Dense(gradient))).collect())
        }
    }

    fn fused(a: &Tensor, b: &Tensor, c: &Tensor) -> Tensor {
        let values = ((a.detach() * b.detach()).unwrap() + c.detach()).unwrap();
        let values = CpuStorage::F64(values.to_vec1().unwrap());
        record(Computed::Host(values, a.shape().clone()), &[a, b, c], Fused(a.detach(), b.detach()))
            .unwrap()
    }

    fn params() -> (Params, [Tensor; 3]) {
        let mut params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let tensors = ["a", "b", "c"]
            .map(|name| params.scope("t").param(name, 4, Init::Normal { sd: 1.0 }).unwrap());
        (params, tensors)
    }

    #[test]
    fn recorded_operations_pass_gradients_through_parameters_and_other_operations() {
        let (params, [a, b, c]) = params();
        let constant = Tensor::new(&[1f64, 2.0, 3.0, 4.0], &Device::Cpu).unwrap();
        check_gradients(&params, || {
            // a is used twice, b on its own and behind an operation, a constant once.
            let once = fused(&a, &b.sqr()?, &constant);
            Ok((fused(&once, &a, &c).sqr()?.sum_all()? + (&b * 3.0)?.sum_all()?)?)
        });
    }

    #[test]
    fn backward_agrees_with_candles_own() {
        let (params, [a, b, c]) = params();
        let loss = fused(&a, &b, &fused(&c, &a, &b)).sqr().unwrap().sum_all().unwrap();
        let ours = backward(&loss).unwrap();
        let candles = loss.backward().unwrap();
        for (name, var) in params.iter() {
            let ours = ours.get(var).unwrap().unwrap().to_vec1::<f64>().unwrap();
            assert_eq!(ours, candles.get(var).unwrap().to_vec1::<f64>().unwrap(), "{name}");
        }
        let constant = Tensor::zeros(1, DType::F64, &Device::Cpu).unwrap();
        assert!(ours.get(&constant).unwrap().is_none());
    }

    #[test]
    fn row_gradients_add_up_in_every_order_of_use() {
        let values = |values: &[f64]| {
            Tensor::from_slice(values, (values.len() / 2, 2), &Device::Cpu).unwrap()
        };
        let rows =
            RowGradient::collect(&[3, 1, 3], &values(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
        assert_eq!(rows.rows, [1, 3]);
        assert_eq!(rows.values.to_vec2::<f64>().unwrap(), [[3.0, 4.0], [6.0, 8.0]]);
        let dense = values(&[1.0; 8]);
        let expected = [[1.0, 1.0], [4.0, 5.0], [1.0, 1.0], [7.0, 9.0]];
        let id = dense.id();
        for order in [
            [Gradient::Rows(rows.clone()), Gradient::Dense(dense.clone())],
            [Gradient::Dense(dense.clone()), Gradient::Rows(rows.clone())],
        ] {
            let mut sums = HashMap::new();
            order.into_iter().for_each(|gradient| add(&mut sums, id, gradient).unwrap());
            let sum = Gradients { by_id: sums }.get(&dense).unwrap().unwrap();
            assert_eq!(sum.to_vec2::<f64>().unwrap(), expected);
        }
        let mut sums = HashMap::new();
        add(&mut sums, id, Gradient::Rows(rows.clone())).unwrap();
        add(
            &mut sums,
            id,
            Gradient::Rows(RowGradient::collect(&[0], &values(&[1.0, 1.0])).unwrap()),
        )
        .unwrap();
        let sum = Gradients { by_id: sums }.get(&dense).unwrap().unwrap();
        assert_eq!(sum.to_vec2::<f64>().unwrap(), [[1.0, 1.0], [3.0, 4.0], [0.0, 0.0], [6.0, 8.0]]);
    }
}
