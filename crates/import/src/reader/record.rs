//! What a row of a log says, whatever file it stands in.

use std::borrow::Cow;
use std::collections::HashMap;

use foretaste_data::Fault;
use serde_json::value::RawValue;

use super::Checked;
use super::arrow_columns::Ids;

/// A row of our schema. What the file does not give is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record<'a> {
    pub(crate) number: Option<i64>,
    pub(crate) time: Option<i64>,
    pub(crate) shown: List<'a>,
    pub(crate) chosen: List<'a>,
    /// For each place of the slate, whether its item was chosen: instead of `chosen`.
    pub(crate) clicked: Option<&'a [bool]>,
    /// One number for the step, or one for each choice or place; none is 1 a choice.
    pub(crate) reward: &'a [f32],
    /// Whether there should be a reward where something was chosen, and is none.
    pub(crate) lacks_reward: bool,
    pub(crate) propensity: Option<&'a [f32]>,
    pub(crate) candidates: List<'a>,
    pub(crate) left: Option<bool>,
    /// What happened, where the row is no slate.
    pub(crate) event: Option<&'a str>,
    /// The item of a row of one place, or of an event.
    pub(crate) item: Option<&'a str>,
    /// What tells the slate of a row of one place from the others of the session.
    pub(crate) slate: Option<&'a str>,
    /// The place of a row of one place.
    pub(crate) position: Option<i64>,
    /// What the slate was shown in: a text for each column of the context that is known so far,
    /// empty where it is not given.
    pub(crate) context: Option<&'a Strings>,
}

/// A list of ids, as the file has it.
#[derive(Clone, Debug, Default)]
pub(crate) enum List<'a> {
    #[default]
    Empty,
    One(&'a str),
    /// Separated by ASCII white space.
    Words(&'a str),
    Split(&'a str, char),
    /// In brackets, as Python, JSON and NumPy write lists.
    Bracketed(&'a str),
    /// A list of JSON.
    Json(&'a str),
    Column(&'a Ids, std::ops::Range<usize>),
    Owned(&'a Strings),
}

impl<'a> List<'a> {
    /// A list in one field of a delimited file.
    pub(crate) fn of_field(text: &'a str, separator: Option<char>) -> Self {
        let ends = |text: &str| Some((*text.as_bytes().first()?, *text.as_bytes().last()?));
        let (text, ends) = match ends(text) {
            Some((a, b)) if a.is_ascii_whitespace() || b.is_ascii_whitespace() => {
                (text.trim_ascii(), ends(text.trim_ascii()))
            }
            ends => (text, ends),
        };
        match (ends, separator) {
            (None, _) => Self::Empty,
            (Some((b'[', b']') | (b'(', b')')), _) if text.len() > 1 => Self::Bracketed(text),
            (_, Some(separator)) => Self::Split(text, separator),
            (_, None) => Self::Words(text),
        }
    }

    /// Whether there is nothing in it, not even an empty id.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::One(_) => false,
            Self::Words(text) => text.trim_ascii().is_empty(),
            Self::Split(text, _) => text.is_empty(),
            Self::Bracketed(text) => text[1..text.len() - 1].trim().is_empty(),
            Self::Json(text) => text[1..text.len() - 1].trim_ascii().is_empty(),
            Self::Column(_, range) => range.is_empty(),
            Self::Owned(strings) => strings.len() == 0,
        }
    }

    /// Passes every id to `take`.
    pub(crate) fn each(
        &self,
        field: &'static str,
        mut take: impl FnMut(&str) -> Checked,
    ) -> Checked {
        let mut checked = |id: &str| match id {
            "" => Err(Fault::new(field, "ids that are not empty", "an empty one")),
            id => take(id),
        };
        match self {
            Self::Empty => Ok(()),
            Self::One(id) => checked(id),
            Self::Words(text) => text.split_ascii_whitespace().try_for_each(checked),
            Self::Split(text, separator) => {
                text.split(*separator).map(str::trim).try_for_each(checked)
            }
            Self::Bracketed(text) => bracketed(field, text, checked),
            Self::Json(text) => json_list(field, text, checked),
            Self::Column(ids, range) => range.clone().try_for_each(|place| {
                let id = ids.get(place);
                checked(id.ok_or_else(|| Fault::new(field, "a list of ids", "a null in it"))?)
            }),
            Self::Owned(strings) => strings.iter().try_for_each(checked),
        }
    }

    /// The text of the field, for a hint at what separates its ids.
    pub(crate) fn text(&self) -> &'a str {
        match self {
            Self::One(text) | Self::Words(text) | Self::Split(text, _) => text,
            _ => "",
        }
    }
}

/// The ids of a list in brackets: quoted or not, separated by commas or, as NumPy prints them, by
/// blanks.
fn bracketed(field: &'static str, text: &str, mut take: impl FnMut(&str) -> Checked) -> Checked {
    let mut rest = text[1..text.len() - 1].trim();
    let commas = rest.contains(',');
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (id, after): (Cow<'_, str>, &str) = match quote {
            Some(quote) => {
                let mut end = None;
                let mut escaped = false;
                for (at, c) in rest.char_indices().skip(1) {
                    match c {
                        _ if escaped => escaped = false,
                        '\\' => escaped = true,
                        c if c == quote => {
                            end = Some(at);
                            break;
                        }
                        _ => {}
                    }
                }
                let end =
                    end.ok_or_else(|| Fault::value(field, "a list whose quotes are closed", text))?;
                let inside = &rest[1..end];
                let id = match inside.contains('\\') {
                    false => Cow::Borrowed(inside),
                    true if quote == '"' => serde_json::from_str::<String>(&rest[..=end])
                        .map(Cow::Owned)
                        .map_err(|_| Fault::value(field, "a list of quoted ids", text))?,
                    true => Cow::Owned(inside.replace("\\'", "'").replace("\\\\", "\\")),
                };
                (id, &rest[end + 1..])
            }
            None => {
                let ends = |c: char| if commas { c == ',' } else { c.is_ascii_whitespace() };
                let end = rest.find(ends).unwrap_or(rest.len());
                (Cow::Borrowed(whole(rest[..end].trim())), &rest[end..])
            }
        };
        take(&id)?;
        let after = after.trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    Ok(())
}

/// A number that programs wrote as a float, where it is a whole one: `7.0` is 7.
pub(crate) fn whole(id: &str) -> &str {
    let Some(digits) = id.strip_suffix(".0") else { return id };
    let number = digits.strip_prefix('-').unwrap_or(digits);
    let canonical = number == "0" || !number.starts_with('0');
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if plain && canonical { digits } else { id }
}

/// The ids of a list of JSON, which was found to be one.
fn json_list(field: &'static str, text: &str, mut take: impl FnMut(&str) -> Checked) -> Checked {
    let mut rest = text[1..text.len() - 1].trim_ascii();
    if rest.contains(['{', '[']) && !rest.starts_with('"') {
        return structs(field, text, take);
    }
    while !rest.is_empty() {
        let bytes = rest.as_bytes();
        let mut end = 1;
        if bytes[0] == b'"' {
            while bytes.get(end).is_some_and(|&byte| byte != b'"') {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            end += 1;
        } else {
            while bytes.get(end).is_some_and(|&byte| byte != b',') {
                end += 1;
            }
        }
        let (id, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        take(&json_text_id(id.trim_ascii_end(), field)?)?;
        let after = after.trim_ascii_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_ascii_start();
    }
    Ok(())
}

/// The ids of a list of objects: what they hold as item, item_id or id.
fn structs(field: &'static str, text: &str, mut take: impl FnMut(&str) -> Checked) -> Checked {
    let values: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|_| Fault::value(field, "a list of ids", text))?;
    for value in values {
        let held: Option<HashMap<Cow<'_, str>, &RawValue>> = serde_json::from_str(value.get()).ok();
        let id = held.and_then(|held| {
            ["item", "item_id", "id"].iter().find_map(|name| held.get(*name).copied())
        });
        take(&json_id(id.unwrap_or(value), field)?)?;
    }
    Ok(())
}

/// A string, an integer as its digits, or a whole number that was written as a float.
pub(crate) fn json_id<'a>(raw: &'a RawValue, field: &'static str) -> Checked<Cow<'a, str>> {
    json_text_id(raw.get(), field)
}

fn json_text_id<'a>(text: &'a str, field: &'static str) -> Checked<Cow<'a, str>> {
    const SURELY: usize = 18;
    if text.len() <= SURELY && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Cow::Borrowed(text));
    }
    let fault = || Fault::new(field, "a string or an integer", text);
    if text.len() > 1 && text.starts_with('"') {
        // Without an escape the text between the quotes is the string.
        let inside = &text[1..text.len() - 1];
        return if inside.contains('\\') {
            serde_json::from_str(text).map(Cow::Owned).map_err(|_| fault())
        } else {
            Ok(Cow::Borrowed(inside))
        };
    }
    let text = whole(text);
    let integer = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    if integer && text != "-0" { Ok(Cow::Borrowed(text)) } else { Err(fault()) }
}

/// Strings in one buffer that is used again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings {
    text: String,
    ends: Vec<usize>,
}

impl Strings {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, place: usize) -> &str {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.text[start..self.ends[place]]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| self.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &List<'_>) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        list.each("shown", |id| {
            ids.push(id.to_owned());
            Ok(())
        })
        .map_err(|fault| fault.to_string())?;
        Ok(ids)
    }

    #[test]
    fn lists_are_known_by_their_brackets() {
        for text in [
            "[12, 7, 9]",
            "(12, 7, 9)",
            "[12 7 9]",
            "[12.0, 7.0, 9.0]",
            "['12', '7', '9']",
            "[\"12\",\"7\",\"9\"]",
            "12 7 9",
            " 12  7 9 ",
        ] {
            let found = ids(&List::of_field(text, None)).unwrap();
            assert_eq!(found, ["12", "7", "9"], "{text}");
        }
        assert_eq!(ids(&List::of_field("a b|c", Some('|'))).unwrap(), ["a b", "c"]);
        let quoted = "['it\\'s', \"a, b\", \"\\u00fc\"]";
        assert_eq!(ids(&List::of_field(quoted, None)).unwrap(), ["it's", "a, b", "ü"]);
        assert!(List::of_field("[]", None).is_empty() && List::of_field(" ", None).is_empty());
        assert!(ids(&List::of_field("['a, b]", None)).unwrap_err().contains("quotes are closed"));
        assert!(ids(&List::of_field("a||b", Some('|'))).unwrap_err().contains("an empty one"));
    }

    #[test]
    fn whole_numbers_are_so_however_they_are_written() {
        for (given, expected) in
            [("7.0", "7"), ("-3.0", "-3"), ("0.0", "0"), ("1.50", "1.50"), ("a.0", "a.0")]
        {
            assert_eq!(whole(given), expected);
        }
        // Ids that are no number of a program.
        for same in ["007.0", ".0", "-.0", "1.2.0", "1.00"] {
            assert_eq!(whole(same), same);
        }
    }
}
