//! Dates as numbers of days.

const SECONDS: i64 = 24 * 60 * 60;

/// The day, counted from 1 January 1970, of a date between the years 1 and 9999 (Gregorian also
/// before 1582), if there is such a date.
pub(crate) fn day(year: u32, month: u32, day: u32) -> Option<i64> {
    const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    /// Days from the year 1 to 1970.
    const EPOCH: u32 = 719_162;
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = LENGTHS[month as usize - 1] + u32::from(leap && month == 2);
    if !(1..=length).contains(&day) {
        return None;
    }
    let years = year - 1;
    let months: u32 =
        LENGTHS[..month as usize - 1].iter().sum::<u32>() + u32::from(leap && month > 2);
    let days = 365 * years + years / 4 - years / 100 + years / 400 + months + day - 1;
    Some(i64::from(days) - i64::from(EPOCH))
}

/// The day of a time in seconds since 1970, by UTC.
pub(crate) fn of_seconds(seconds: i64) -> i64 {
    seconds.div_euclid(SECONDS)
}

/// The time at which a day begins, by UTC.
pub(crate) fn seconds(day: i64) -> i64 {
    day * SECONDS
}

/// The day of a date such as `2016-05-09`.
pub(crate) fn iso_day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, date) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    day(year, month, date)
}

/// The whole seconds since 1970 of a time such as `2014-04-07T10:51:09.277Z` or
/// `2019-11-24 00:01:03.979311+00:00`, by UTC.
pub(crate) fn iso_seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let time = time.strip_suffix('Z').or_else(|| time.strip_suffix("+00:00"))?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    digits(fraction, fraction.len().clamp(1, 9))?;
    let mut parts = time.splitn(3, ':');
    let (hour, minute, second) =
        (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let whole = hour < 24 && minute < 60 && second < 60;
    Some(seconds(iso_day(date)?) + i64::from(3600 * hour + 60 * minute + second)).filter(|_| whole)
}

/// The number that so many decimal digits make.
fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// The number, from 1, of a month by its English abbreviation.
pub(crate) fn month(name: &str) -> Option<u32> {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    (1..).zip(NAMES).find(|(_, month)| *month == name).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_each_other_through_all_years() {
        let mut last = None;
        for year in 1..=9999 {
            for month in 1..=12 {
                for date in (1..=31).filter_map(|date| day(year, month, date)) {
                    assert!(last.is_none_or(|last| date == last + 1), "{year}-{month}");
                    last = Some(date);
                }
            }
        }
        assert_eq!((day(1, 1, 1), last), (Some(-719_162), Some(2_932_896)));
    }

    #[test]
    fn known_days() {
        // `date -u -d 1997-09-20 +%s` and the like, divided by 86,400.
        let known = [
            ((1970, 1, 1), 0),
            ((1997, 9, 20), 10_124),
            ((2000, 2, 29), 11_016),
            ((1900, 3, 1), -25_508),
        ];
        for ((year, month, date), expected) in known {
            assert_eq!(day(year, month, date), Some(expected));
            assert_eq!(of_seconds(seconds(expected)), expected);
            assert_eq!(of_seconds(seconds(expected) - 1), expected - 1);
        }
        for none in [
            (1900, 2, 29),
            (1999, 2, 29),
            (1999, 4, 31),
            (1999, 0, 1),
            (1999, 13, 1),
            (0, 1, 1),
            (1999, 1, 0),
        ] {
            assert_eq!(day(none.0, none.1, none.2), None);
        }
        // `date -u -d 2014-04-07T10:51:09Z +%s` and the like.
        let times = [
            ("2014-04-07T10:51:09.277Z", Some(1_396_867_869)),
            ("2019-11-24 00:01:03.979311+00:00", Some(1_574_553_663)),
            ("2019-11-24 00:01:03+00:00", Some(1_574_553_663)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59.9Z", Some(-1)),
        ];
        for (text, expected) in times {
            assert_eq!(iso_seconds(text), expected, "{text}");
        }
        for text in [
            "2014-04-07",
            "2014-04-07T10:51:09",
            "2014-04-07T10:51:09+02:00",
            "2014-04-07T24:00:00Z",
            "2014-04-07T1:2:3Z",
        ]
        .into_iter()
        .chain([
            "2014-02-30T10:51:09Z",
            "2014-04-07T10:51:09.Z",
            "2014-04-07T10:51:09.x1Z",
            "2014-4-07T10:51:09Z",
            "T",
            "",
        ]) {
            assert_eq!(iso_seconds(text), None, "{text}");
        }
        assert_eq!(
            (iso_day("2016-05-09"), iso_day("2016-5-9"), iso_day("2016-05-09Z")),
            (Some(16_930), None, None)
        );
        assert_eq!((month("Jan"), month("Dec"), month("jan")), (Some(1), Some(12), None));
    }
}
