//! The Arrow types that a column of the schema may have, each brought into one plain form per
//! batch.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use foretaste_data::TimeUnit as Unit;

use super::record::whole;

/// A column's type is not one that this form can be made from.
#[derive(Debug)]
pub(crate) struct Mistyped {
    pub(crate) found: DataType,
    pub(crate) expected: &'static str,
}

pub(crate) type Typed<T> = Result<T, Mistyped>;

/// Raw ids: strings, integers as their digits (be they written as floats or decimals), bytes as
/// the text that they are, or as a UUID or hexadecimal digits, truth values, dictionaries of these,
/// and structs with a field of these.
#[derive(Clone, Debug)]
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
            DataType::Utf8 => array.as_string::<i32>().iter().for_each(|text| ids.push(text)),
            DataType::LargeUtf8 => array.as_string::<i64>().iter().for_each(|text| ids.push(text)),
            DataType::Utf8View => array.as_string_view().iter().for_each(|text| ids.push(text)),
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
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                for value in doubles(array)? {
                    // A list that a program made of missing values holds NaN.
                    let value = value.filter(|value| !value.is_nan());
                    ids.push(value.map(|value| format!("{value:?}")).as_deref().map(whole));
                }
            }
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
                for value in doubles(array)? {
                    ids.push(value.map(|value| format!("{value:?}")).as_deref().map(whole));
                }
            }
            DataType::Binary => array.as_binary::<i32>().iter().for_each(|b| ids.push_bytes(b)),
            DataType::LargeBinary => {
                array.as_binary::<i64>().iter().for_each(|b| ids.push_bytes(b));
            }
            DataType::BinaryView => array.as_binary_view().iter().for_each(|b| ids.push_bytes(b)),
            DataType::FixedSizeBinary(_) => {
                array.as_fixed_size_binary().iter().for_each(|bytes| ids.push_bytes(bytes));
            }
            DataType::Struct(fields) => {
                const NAMES: [&str; 5] = ["item", "item_id", "id", "element", "key"];
                let named = NAMES.iter().find_map(|name| fields.find(name));
                let single = fields.iter().enumerate().next().filter(|_| fields.len() == 1);
                let Some((at, _)) = named.or(single) else {
                    let expected = "a struct with a field item, item_id or id";
                    return Err(Mistyped { found: array.data_type().clone(), expected });
                };
                return Self::new(array.as_struct().column(at));
            }
            DataType::Boolean => collect!(array.as_boolean()),
            DataType::Null => ids.places.resize(array.len(), None),
            found => {
                return Err(Mistyped { found: found.clone(), expected: "strings or integers" });
            }
        }
        Ok(ids)
    }

    fn push(&mut self, id: Option<&str>) {
        let start = self.arena.len();
        self.arena.push_str(id.unwrap_or_default());
        self.places.push(id.map(|_| (start, self.arena.len())));
    }

    fn push_bytes(&mut self, bytes: Option<&[u8]>) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let readable = |text: &&str| !text.contains(|c: char| c.is_control());
        match bytes {
            None => self.push(None),
            Some(bytes) => match std::str::from_utf8(bytes).ok().filter(readable) {
                Some(text) => self.push(Some(text)),
                None if bytes.len() == 16 => {
                    let hex = hex(bytes);
                    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
                    self.push(Some(&parts.join("-")));
                }
                None => self.push(Some(&hex(bytes))),
            },
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.places[row].map(|(start, end)| &self.arena[start..end])
    }
}

/// Times: whole numbers in a unit or none, or what is to be read as text.
pub(crate) enum Moments {
    Numbers(Vec<Option<i64>>, Option<Unit>),
    Fractions(Vec<Option<f64>>),
    Text(Ids),
}

impl Moments {
    pub(crate) fn new(array: &dyn Array) -> Typed<Self> {
        const DAY: i64 = 86_400;
        Ok(match array.data_type() {
            DataType::Timestamp(unit, _) => Self::Numbers(
                integers(array)?,
                Some(match unit {
                    TimeUnit::Second => Unit::Seconds,
                    TimeUnit::Millisecond => Unit::Milliseconds,
                    TimeUnit::Microsecond => Unit::Microseconds,
                    TimeUnit::Nanosecond => Unit::Nanoseconds,
                }),
            ),
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().iter();
                let seconds = days.map(|day| day.map(|day| DAY * i64::from(day)));
                Self::Numbers(seconds.collect(), Some(Unit::Seconds))
            }
            DataType::Date64 => {
                let times = array.as_primitive::<Date64Type>().iter();
                Self::Numbers(times.collect(), Some(Unit::Milliseconds))
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let known = |value: Option<f64>| value.filter(|value| !value.is_nan());
                Self::Fractions(doubles(array)?.into_iter().map(known).collect())
            }
            DataType::Dictionary(..) => Self::Text(Ids::new(array)?),
            kind if is_text(kind) => Self::Text(Ids::new(array)?),
            _ => Self::Numbers(integers(array)?, None),
        })
    }
}

/// Numbers of any kind as 64-bit floats.
fn doubles(array: &dyn Array) -> Typed<Vec<Option<f64>>> {
    macro_rules! decimals {
        ($kind:ty, $scale:expr) => {{
            let unit = 10_f64.powi(i32::from(*$scale));
            let values = array.as_primitive::<$kind>().iter();
            values.map(|value| value.map(|value| value as f64 / unit)).collect()
        }};
    }
    Ok(match array.data_type() {
        DataType::Float16 => array
            .as_primitive::<Float16Type>()
            .iter()
            .map(|value| value.map(|value| value.to_f64()))
            .collect(),
        DataType::Float32 => {
            array.as_primitive::<Float32Type>().iter().map(|value| value.map(f64::from)).collect()
        }
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().collect(),
        DataType::Decimal32(_, scale) => decimals!(Decimal32Type, scale),
        DataType::Decimal64(_, scale) => decimals!(Decimal64Type, scale),
        DataType::Decimal128(_, scale) => decimals!(Decimal128Type, scale),
        found => return Err(Mistyped { found: found.clone(), expected: "numbers" }),
    })
}

/// Whole numbers, be they written as floats or decimals; a timestamp is one in its own unit.
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
            let expected = "whole numbers of at most 64 bits, signed";
            let whole = |value: Option<f64>| match value.filter(|value| !value.is_nan()) {
                None => Some(None),
                Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                    Some(Some(value as i64))
                }
                Some(_) => None,
            };
            let mistyped = || Mistyped { found: found.clone(), expected };
            let values = doubles(array).map_err(|_| mistyped())?;
            values.into_iter().map(whole).collect::<Option<_>>().ok_or_else(mistyped)?
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
        _ => doubles(array)?.into_iter().map(|value| value.map(|value| value as f32)).collect(),
    })
}

/// Truth values, be they written as the numbers 0 and 1.
pub(crate) fn booleans(array: &dyn Array) -> Typed<Vec<Option<bool>>> {
    let mistyped =
        || Mistyped { found: array.data_type().clone(), expected: "booleans, or 0 and 1" };
    match array.data_type() {
        DataType::Boolean => Ok(array.as_boolean().iter().collect()),
        DataType::Null => Ok(vec![None; array.len()]),
        _ => {
            let flag = |value: Option<i64>| match value {
                None => Some(None),
                Some(0) => Some(Some(false)),
                Some(1) => Some(Some(true)),
                Some(_) => None,
            };
            let values = integers(array).map_err(|_| mistyped())?;
            values.into_iter().map(flag).collect::<Option<_>>().ok_or_else(mistyped)
        }
    }
}

/// Whether the values of a column are lists.
pub(crate) fn is_list(array: &dyn Array) -> bool {
    matches!(
        array.data_type(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    )
}

/// Whether the values of a column of this type are texts.
pub(crate) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
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

    pub(crate) fn get(&self, row: usize) -> Option<std::ops::Range<usize>> {
        self.places[row].map(|(start, end)| start..end)
    }
}
