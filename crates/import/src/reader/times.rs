//! Times, in whatever form a file writes them.

use foretaste_data::{Fault, TimeUnit};
use foretaste_settings::Setting;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::Checked;
use crate::{Layout, Result};

/// Reads the times of a file, all of which have the form of the first.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    declared: Option<TimeUnit>,
    zone: TimeZone,
    zone_is_given: bool,
    form: Option<Form>,
    /// Times without a zone that were read so far.
    unzoned: u64,
}

/// How a file writes its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Whole numbers of a unit, or of the log's own.
    Whole(Option<TimeUnit>),
    /// Seconds with a fraction: kept as milliseconds.
    Seconds,
    /// A date and a time of day, or a date: kept as milliseconds.
    Calendar,
}

const EXPECTED: &str = "a whole number, seconds since 1970, or a date and time such as \
                        2024-03-10T02:30:00+01:00";

impl Times {
    pub(crate) fn new(layout: &Layout) -> Result<Self> {
        let zone = match &layout.time_zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|error| {
                let problem = format!("{name:?}: {error}; expected a name such as Europe/Berlin");
                Setting::new("time zone", problem)
            })?,
        };
        let zone_is_given = layout.time_zone.is_some();
        Ok(Self { declared: layout.time_unit, zone, zone_is_given, form: None, unzoned: 0 })
    }

    /// The unit of what [`Times::parse`] and [`Times::number`] give.
    pub(crate) fn unit(&self) -> Option<TimeUnit> {
        match self.form? {
            Form::Whole(unit) => unit,
            Form::Seconds | Form::Calendar => Some(TimeUnit::Milliseconds),
        }
    }

    /// What there is to know of the times read, for people.
    pub(crate) fn note(&self) -> Option<String> {
        (self.unzoned > 0 && !self.zone_is_given).then(|| {
            format!(
                "{} times without a time zone were read as UTC; name another one with --time-zone",
                self.unzoned
            )
        })
    }

    /// A time that is a whole number already, in a unit that the file declares or not.
    pub(crate) fn number(&mut self, time: i64, typed: Option<TimeUnit>) -> i64 {
        if self.form.is_none() {
            let unit = typed.or(self.declared).or_else(|| TimeUnit::of_magnitude(time));
            self.form = Some(Form::Whole(unit));
        }
        time
    }

    /// A time as text.
    pub(crate) fn parse(&mut self, text: &str, field: &'static str) -> Checked<i64> {
        let text = text.trim_ascii();
        if let (Ok(time), None | Some(Form::Whole(_))) = (text.parse(), self.form) {
            return Ok(self.number(time, None));
        }
        let (form, time) = self.other(text).ok_or_else(|| Fault::value(field, EXPECTED, text))?;
        if self.form.is_some_and(|known| known != form) {
            return Err(Fault::value(field, "a time in the form of those before it", text));
        }
        self.form = Some(form);
        Ok(time)
    }

    fn other(&mut self, text: &str) -> Option<(Form, i64)> {
        if let Ok(number) = text.parse::<f64>() {
            let time = (number * 1000.0).round();
            let epoch = TimeUnit::of_magnitude(number.abs() as i64) == Some(TimeUnit::Seconds)
                && self.declared.is_none_or(|unit| unit == TimeUnit::Seconds);
            if self.form == Some(Form::Seconds) || self.form.is_none() && epoch && time.abs() < 9e15
            {
                return Some((Form::Seconds, time as i64));
            }
            // A whole number that a program wrote as a float.
            let whole = number.fract() == 0.0 && number.abs() < 9e15;
            let unit = self.declared.or_else(|| TimeUnit::of_magnitude(number as i64));
            let form = match self.form {
                Some(Form::Whole(unit)) => Form::Whole(unit),
                _ => Form::Whole(unit),
            };
            return whole.then_some((form, number as i64));
        }
        Some((Form::Calendar, self.calendar(text)?))
    }

    /// Milliseconds since 1970 of a date with a time of day, or of the beginning of a date.
    fn calendar(&mut self, text: &str) -> Option<i64> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time.as_millisecond());
        }
        if let Some(civil) = text.strip_suffix(" UTC").or_else(|| text.strip_suffix('Z')) {
            let civil: DateTime = civil.trim_end().parse().ok()?;
            return Some(TimeZone::UTC.to_timestamp(civil).ok()?.as_millisecond());
        }
        let civil = text
            .parse::<DateTime>()
            .or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
            .ok()
            .or_else(|| american(text))?;
        self.unzoned += 1;
        Some(self.zone.to_timestamp(civil).ok()?.as_millisecond())
    }
}

/// `11/15/2019 10:22:32 AM`.
fn american(text: &str) -> Option<DateTime> {
    let mut parts = text.split_ascii_whitespace();
    let (date, time, half) = (parts.next()?, parts.next()?, parts.next());
    let mut date = date.split('/');
    let mut number = || date.next()?.parse::<i16>().ok();
    let (month, day, year) = (number()?, number()?, number()?);
    let mut time = time.split(':');
    let mut number = || time.next()?.parse::<i8>().ok();
    let (hour, minute, second) = (number()?, number()?, number().unwrap_or(0));
    let hour = match half.map(str::to_ascii_uppercase).as_deref() {
        Some("AM") if (1..=12).contains(&hour) => hour % 12,
        Some("PM") if (1..=12).contains(&hour) => hour % 12 + 12,
        None => hour,
        Some(_) => return None,
    };
    let small = |number: i16| i8::try_from(number).ok();
    DateTime::new(year, small(month)?, small(day)?, hour, minute, second, 0).ok()
}

/// A time for people: by UTC where its unit is known, else the number that it is.
pub fn time_text(time: i64, unit: Option<TimeUnit>) -> String {
    let shown = unit.and_then(|unit| {
        let whole = time.div_euclid(unit.per_second());
        let part = time.rem_euclid(unit.per_second()) * (1_000_000_000 / unit.per_second());
        Timestamp::new(whole, 0).ok()?.checked_add(Span::new().nanoseconds(part)).ok()
    });
    shown.map_or_else(|| time.to_string(), |shown| shown.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Times {
        Times::new(&Layout::default()).unwrap()
    }

    fn parse(text: &str) -> Option<(i64, Option<TimeUnit>)> {
        let mut times = times();
        times.parse(text, "timestamp").ok().map(|time| (time, times.unit()))
    }

    #[test]
    fn the_same_wall_time_is_the_same_in_every_form() {
        use TimeUnit::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        // `date -u -d 2024-03-10T01:30:00Z +%s`.
        const SECONDS: i64 = 1_710_034_200;
        for (text, unit) in [
            ("1710034200", Seconds),
            ("1710034200.0", Milliseconds),
            ("1710034200000", Milliseconds),
            ("1710034200000000", Microseconds),
            ("1710034200000000000", Nanoseconds),
            ("2024-03-10T01:30:00Z", Milliseconds),
            ("2024-03-10T02:30:00+01:00", Milliseconds),
            ("2024-03-09 20:30:00-05:00", Milliseconds),
            ("2024-03-10 01:30:00.000000+00:00", Milliseconds),
            ("2024-03-10 01:30:00 UTC", Milliseconds),
            ("2024-03-10 01:30:00", Milliseconds),
            ("3/10/2024 1:30:00 AM", Milliseconds),
        ] {
            let (time, found) = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((time, found), (SECONDS * unit.per_second(), Some(unit)), "{text}");
            assert_eq!(time_text(time, found), "2024-03-10T01:30:00Z", "{text}");
        }
        assert_eq!(parse("1710034200.25").unwrap().0, SECONDS * 1000 + 250);
        assert_eq!(parse("2024-03-10").unwrap().0, (SECONDS - 5400) * 1000);
    }

    #[test]
    fn small_numbers_are_in_the_logs_own_unit() {
        for (text, time) in [("0", 0), ("-500", -500), ("17", 17), ("3.0", 3)] {
            assert_eq!(parse(text), Some((time, None)), "{text}");
        }
        for text in
            ["", "noon", "1.5", "2024-13-01", "13/32/2024 1:00:00 PM", "1/2/2024 13:00:00 PM"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_zone_is_that_of_times_that_name_none() {
        let layout = Layout { time_zone: Some("Europe/Berlin".into()), ..Layout::default() };
        let mut times = Times::new(&layout).unwrap();
        let parsed = times.parse("2024-03-10 02:30:00", "timestamp").unwrap();
        assert_eq!(parsed, 1_710_034_200_000);
        assert_eq!(times.note(), None);
        let nowhere = Layout { time_zone: Some("Mars/Base".into()), ..Layout::default() };
        assert!(Times::new(&nowhere).unwrap_err().to_string().contains("Mars/Base"));
    }

    #[test]
    fn the_times_of_a_file_have_one_form() {
        let mut times = times();
        times.parse("1710034200", "timestamp").unwrap();
        let fault = times.parse("2024-03-10T01:30:00Z", "timestamp").unwrap_err();
        assert!(fault.to_string().contains("form of those before"), "{fault}");
        assert_eq!(times.parse("1710034201.0", "timestamp"), Ok(1_710_034_201));
    }
}
