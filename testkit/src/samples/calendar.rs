//! Formats days and minutes of the samples' simulated time.

/// Day 0: 2025-01-06, a Monday, in days since 1970-01-01.
const DAY_ZERO: u64 = 20_094;

const MINUTES_PER_DAY: u64 = 24 * 60;

/// `YYYY-MM-DD`.
pub(super) fn date(day: u64) -> String {
    // Howard Hinnant's civil_from_days, for days after 1970: https://howardhinnant.github.io/date_algorithms.html
    let days = DAY_ZERO + day + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

/// RFC 3339, in UTC.
pub(super) fn timestamp(minute: u64, second: u64) -> String {
    let of_day = minute % MINUTES_PER_DAY;
    format!("{}T{:02}:{:02}:{second:02}Z", date(minute / MINUTES_PER_DAY), of_day / 60, of_day % 60)
}
