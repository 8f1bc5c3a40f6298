//! Dates as numbers of days.

const SECONDS: i64 = 24 * 60 * 60;

/// The day, counted from 1 January 1970, of a date between the years 1 and 9999 (Gregorian also before 1582), if there
/// is such a date.
pub(super) fn day(year: u32, month: u32, day: u32) -> Option<i64> {
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
    let months: u32 = LENGTHS[..month as usize - 1].iter().sum::<u32>() + u32::from(leap && month > 2);
    let days = 365 * years + years / 4 - years / 100 + years / 400 + months + day - 1;
    Some(i64::from(days) - i64::from(EPOCH))
}

/// The day of a time in seconds since 1970, by UTC.
pub(super) fn of_seconds(seconds: i64) -> i64 {
    seconds.div_euclid(SECONDS)
}

/// The time at which a day begins, by UTC.
pub(super) fn seconds(day: i64) -> i64 {
    day * SECONDS
}

/// The number, from 1, of a month by its English abbreviation.
pub(super) fn month(name: &str) -> Option<u32> {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
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
        let known = [((1970, 1, 1), 0), ((1997, 9, 20), 10_124), ((2000, 2, 29), 11_016), ((1900, 3, 1), -25_508)];
        for ((year, month, date), expected) in known {
            assert_eq!(day(year, month, date), Some(expected));
            assert_eq!(of_seconds(seconds(expected)), expected);
            assert_eq!(of_seconds(seconds(expected) - 1), expected - 1);
        }
        for none in [(1900, 2, 29), (1999, 2, 29), (1999, 4, 31), (1999, 0, 1), (1999, 13, 1), (0, 1, 1), (1999, 1, 0)]
        {
            assert_eq!(day(none.0, none.1, none.2), None);
        }
        assert_eq!((month("Jan"), month("Dec"), month("jan")), (Some(1), Some(12), None));
    }
}
