//! Rows of a table by index, with a gradient for these rows only: a dense gradient of a large table
//! would be zero almost everywhere, and a step on it would cost as much as the table is large.

use candle_core::{DType, Device, Shape, Tensor};
use foretaste_settings::Setting;

use crate::kernel::{Real, with_slice};
use crate::tape::{Backward, Computed, Gradient, RowGradient, record};
use crate::{Init, Result, Scope};

/// A row of numbers for each of a number of things.
#[derive(Debug)]
pub struct Embedding {
    table: Tensor,
}

impl Embedding {
    /// Creates `table [entries, width]` in `scope`.
    pub fn new(entries: usize, width: usize, init: Init, mut scope: Scope<'_>) -> Result<Self> {
        Ok(Self { table: scope.param("table", (entries, width), init)? })
    }

    /// The rows of these things, `[ids, width]`: see [`lookup`].
    pub fn lookup(&self, ids: &[u32]) -> Result<Tensor> {
        lookup(&self.table, ids)
    }

    /// All rows, `[entries, width]`.
    pub fn table(&self) -> &Tensor {
        &self.table
    }
}

/// The rows `ids` of `table [entries, width]`, in this order, a row as often as it is named:
/// `[ids, width]`.
///
/// On the CPU the gradient that [`backward`](crate::backward) finds for a parameter holds the named
/// rows alone, and [`Adam`](crate::Adam) steps on them alone. This also multiplies one-hot rows by
/// a weight: a row of an [`Lstm::input_weight`](crate::Lstm::input_weight) is its product with that
/// item's one-hot vector.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if an id is not below the number of entries.
pub fn lookup(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let (entries, width) = table.dims2()?;
    if let Some(at) = ids.iter().position(|&id| id as usize >= entries) {
        let problem = format!("id {at} is {}, expected less than {entries}", ids[at]);
        return Err(Setting::new("embedding", problem).into());
    }
    let rows = match (table.device(), table.dtype()) {
        (Device::Cpu, DType::F32) => gather::<f32>(table, width, ids)?,
        (Device::Cpu, DType::F64) => gather::<f64>(table, width, ids)?,
        _ => return Ok(table.index_select(&Tensor::new(ids, table.device())?, 0)?),
    };
    record(rows, &[table], Lookup(ids.to_vec()))
}

fn gather<T: Real>(table: &Tensor, width: usize, ids: &[u32]) -> Result<Computed> {
    let mut values = Vec::with_capacity(ids.len() * width);
    with_slice(table, |table: &[T]| {
        ids.iter().for_each(|&id| values.extend_from_slice(&table[id as usize * width..][..width]));
    })?;
    Ok(Computed::Host(T::to_cpu_storage_owned(values), Shape::from((ids.len(), width))))
}

struct Lookup(Vec<u32>);

impl Backward for Lookup {
    fn name(&self) -> &'static str {
        "lookup"
    }

    fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
        Ok(vec![Some(Gradient::Rows(RowGradient::collect(&self.0, gradient)?))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Params, backward, check_gradients};
    use foretaste_random::Seed;

    const IDS: [u32; 6] = [3, 0, 3, 4, 0, 3];

    fn embedding(dtype: DType) -> (Params, Embedding) {
        let mut params = Params::new(Seed::new(6), dtype, &Device::Cpu);
        let embedding =
            Embedding::new(5, 3, Init::Normal { sd: 1.0 }, params.scope("items")).unwrap();
        (params, embedding)
    }

    /// A loss in which each use of a row has a derivative of its own.
    fn loss(rows: &Tensor) -> Result<Tensor> {
        let weights =
            Tensor::arange(0.0, rows.elem_count() as f64, &Device::Cpu)?.reshape(rows.shape())?;
        Ok((rows.sqr()? * weights.to_dtype(rows.dtype())?)?.sum_all()?)
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (params, embedding) = embedding(DType::F64);
        check_gradients(&params, || loss(&embedding.lookup(&IDS)?));
        // Behind an operation, and used twice.
        check_gradients(&params, || {
            let doubled = (embedding.table() * 2.0)?;
            Ok((loss(&lookup(&doubled, &IDS)?)? + loss(&embedding.lookup(&[1, 0])?)?)?)
        });
    }

    #[test]
    fn rows_and_gradients_equal_those_of_candles_selection() {
        let (_, embedding) = embedding(DType::F32);
        let table = embedding.table();
        let ids = Tensor::new(&IDS, &Device::Cpu).unwrap();
        let (ours, theirs) =
            (embedding.lookup(&IDS).unwrap(), table.index_select(&ids, 0).unwrap());
        assert_eq!(ours.to_vec2::<f32>().unwrap(), theirs.to_vec2::<f32>().unwrap());
        let gradients = backward(&loss(&ours).unwrap()).unwrap();
        assert!(
            matches!(gradients.stored(table), Some(Gradient::Rows(part)) if part.rows == [0, 3, 4])
        );
        let expected = loss(&theirs)
            .unwrap()
            .backward()
            .unwrap()
            .get(table)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        assert_eq!(gradients.get(table).unwrap().unwrap().to_vec2::<f32>().unwrap(), expected);
    }

    #[test]
    fn no_ids_give_no_rows() {
        let (_, embedding) = embedding(DType::F32);
        assert_eq!(embedding.lookup(&[]).unwrap().dims(), [0, 3]);
    }

    #[test]
    fn an_id_outside_the_table_is_named() {
        let (_, embedding) = embedding(DType::F32);
        let message = embedding.lookup(&[4, 5]).unwrap_err().to_string();
        assert_eq!(message, "embedding: id 1 is 5, expected less than 5");
    }
}
