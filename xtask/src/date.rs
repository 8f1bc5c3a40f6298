//! Days of the calendar: results say when they were measured.

/// The day, in UTC, of a time in seconds since 1970: `2026-11-29`.
pub fn date(unix_s: u64) -> String {
    // The calendar repeats after 400 years.
    const REPEATS: u64 = 146_097;
    let mut days = unix_s / 86_400;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970 + 400 * (days / REPEATS);
    days %= REPEATS;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_counted_from_1970_with_leap_years() {
        // By `date -u -d @SECONDS +%F`.
        for (unix_s, day) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_795_969_219, "2026-11-29"),
            (4_107_542_400, "2100-03-01"),
            (1_735_689_599, "2024-12-31"),
            (13_569_465_600, "2400-01-01"),
            (u64::MAX, "584554051223-11-09"),
        ] {
            assert_eq!(date(unix_s), day);
        }
    }
}
