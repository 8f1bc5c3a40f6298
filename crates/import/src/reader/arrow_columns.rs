//! The Arrow types that a column of the schema may have, each brought into one plain form per
//! batch.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

/// A column's type is not one that this form can be made from.
#[derive(Debug)]
pub(crate) struct Mistyped {
    pub(crate) found: DataType,
    pub(crate) expected: &'static str,
}

pub(crate) type Typed<T> = Result<T, Mistyped>;

/// Raw ids: strings, integers as their digits, dictionaries of either.
pub(crate) struct Ids {
    arena: String,
    /// Where each id begins and ends in the arena; `None` for a null.
    places: Vec<Option<(usize, usize)>>,
}

impl Ids {
    pub(crate) fn new(array: &dyn Array) -> Typed<Self> {
        use std::fmt::Write;
        let mut ids = Self { arena: String::new(), places: Vec::with_capacity(array.len()) };
        macro_rules! collect {
            ($values:expr) => {
                for value in $values {
                    let start = ids.arena.len();
                    ids.places.push(value.map(|value| {
                        // Writing into a string cannot fail.
                        let _ = write!(ids.arena, "{value}");
                        (start, ids.arena.len())
                    }));
                }
            };
        }
        match array.data_type() {
            DataType::Utf8 => collect!(array.as_string::<i32>()),
            DataType::LargeUtf8 => collect!(array.as_string::<i64>()),
            DataType::Utf8View => collect!(array.as_string_view()),
            DataType::Int8 => collect!(array.as_primitive::<Int8Type>()),
            DataType::Int16 => collect!(array.as_primitive::<Int16Type>()),
            DataType::Int32 => collect!(array.as_primitive::<Int32Type>()),
            DataType::Int64 => collect!(array.as_primitive::<Int64Type>()),
            DataType::UInt8 => collect!(array.as_primitive::<UInt8Type>()),
            DataType::UInt16 => collect!(array.as_primitive::<UInt16Type>()),
            DataType::UInt32 => collect!(array.as_primitive::<UInt32Type>()),
            DataType::UInt64 => collect!(array.as_primitive::<UInt64Type>()),
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let values = Self::new(dictionary.values())?;
                // The keys cannot be normalized where there is nothing that they could point to.
                if values.places.is_empty() {
                    ids.places.resize(array.len(), None);
                    return Ok(ids);
                }
                let keys = dictionary.normalized_keys();
                let place = |row: usize| {
                    dictionary
                        .keys()
                        .is_valid(row)
                        .then(|| values.places.get(keys[row]).copied().flatten())
                };
                ids.places.extend((0..array.len()).map(|row| place(row).flatten()));
                ids.arena = values.arena;
            }
            DataType::Null => ids.places.resize(array.len(), None),
            found => {
                return Err(Mistyped { found: found.clone(), expected: "strings or integers" });
            }
        }
        Ok(ids)
    }

    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.places[row].map(|(start, end)| &self.arena[start..end])
    }
}

/// Whole numbers; a timestamp is one in its own unit.
pub(crate) fn integers(array: &dyn Array) -> Typed<Vec<Option<i64>>> {
    macro_rules! collect {
        ($kind:ty) => {
            array.as_primitive::<$kind>().iter().map(|value| value.map(i64::from)).collect()
        };
    }
    Ok(match array.data_type() {
        DataType::Int8 => collect!(Int8Type),
        DataType::Int16 => collect!(Int16Type),
        DataType::Int32 => collect!(Int32Type),
        DataType::Int64 => collect!(Int64Type),
        DataType::UInt8 => collect!(UInt8Type),
        DataType::UInt16 => collect!(UInt16Type),
        DataType::UInt32 => collect!(UInt32Type),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().iter();
            let signed: Result<_, _> =
                values.map(|value| value.map(i64::try_from).transpose()).collect();
            signed.map_err(|_| Mistyped {
                found: DataType::UInt64,
                expected: "whole numbers below 2^63",
            })?
        }
        DataType::Timestamp(TimeUnit::Second, _) => collect!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => collect!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => collect!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => collect!(TimestampNanosecondType),
        DataType::Null => vec![None; array.len()],
        found => {
            return Err(Mistyped {
                found: found.clone(),
                expected: "whole numbers of at most 64 bits, signed",
            });
        }
    })
}

/// Numbers as 32-bit floats.
pub(crate) fn floats(array: &dyn Array) -> Typed<Vec<Option<f32>>> {
    macro_rules! collect {
        ($kind:ty) => {
            array
                .as_primitive::<$kind>()
                .iter()
                .map(|value| value.map(|value| value as f32))
                .collect()
        };
    }
    Ok(match array.data_type() {
        DataType::Float16 => array
            .as_primitive::<Float16Type>()
            .iter()
            .map(|value| value.map(|value| value.to_f32()))
            .collect(),
        DataType::Float32 => array.as_primitive::<Float32Type>().iter().collect(),
        DataType::Float64 => collect!(Float64Type),
        DataType::Int8 => collect!(Int8Type),
        DataType::Int16 => collect!(Int16Type),
        DataType::Int32 => collect!(Int32Type),
        DataType::Int64 => collect!(Int64Type),
        DataType::UInt8 => collect!(UInt8Type),
        DataType::UInt16 => collect!(UInt16Type),
        DataType::UInt32 => collect!(UInt32Type),
        DataType::UInt64 => collect!(UInt64Type),
        DataType::Boolean => array
            .as_boolean()
            .iter()
            .map(|value| value.map(|value| f32::from(u8::from(value))))
            .collect(),
        DataType::Null => vec![None; array.len()],
        found => return Err(Mistyped { found: found.clone(), expected: "numbers" }),
    })
}

/// Truth values.
pub(crate) fn booleans(array: &dyn Array) -> Typed<Vec<Option<bool>>> {
    match array.data_type() {
        DataType::Boolean => Ok(array.as_boolean().iter().collect()),
        DataType::Null => Ok(vec![None; array.len()]),
        found => Err(Mistyped { found: found.clone(), expected: "booleans" }),
    }
}

/// Lists: the values of all rows, and where each row's begin and end; `None` for a null list.
pub(crate) struct Lists {
    pub(crate) values: ArrayRef,
    places: Vec<Option<(usize, usize)>>,
}

impl Lists {
    pub(crate) fn new(array: &dyn Array) -> Typed<Self> {
        let places = |ends: &mut dyn Iterator<Item = (usize, usize)>| {
            ends.enumerate().map(|(row, ends)| array.is_valid(row).then_some(ends)).collect()
        };
        let pairs32 = |pair: &[i32]| (pair[0] as usize, pair[1] as usize);
        let pairs64 = |pair: &[i64]| (pair[0] as usize, pair[1] as usize);
        Ok(match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let places = places(&mut list.value_offsets().windows(2).map(pairs32));
                Self { values: list.values().clone(), places }
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let places = places(&mut list.value_offsets().windows(2).map(pairs64));
                Self { values: list.values().clone(), places }
            }
            DataType::FixedSizeList(_, size) => {
                let (list, size) = (array.as_fixed_size_list(), *size as usize);
                let places =
                    places(&mut (0..array.len()).map(|row| (row * size, (row + 1) * size)));
                Self { values: list.values().clone(), places }
            }
            found => return Err(Mistyped { found: found.clone(), expected: "lists" }),
        })
    }

    /// A column of plain values as lists of one.
    pub(crate) fn of_one(array: &dyn Array) -> Self {
        // A column of type null has no bitmap that would say so.
        let nulls = array.logical_nulls();
        let valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let places = (0..array.len()).map(|row| valid(row).then_some((row, row + 1))).collect();
        Self { values: array.slice(0, array.len()), places }
    }

    pub(crate) fn get(&self, row: usize) -> Option<std::ops::Range<usize>> {
        self.places[row].map(|(start, end)| start..end)
    }
}
