//! Dates (RFC 9110, section 5.6.7). The crate `httpdate`, which the tests compare this with, adds four kilobytes
//! to the compressed wasm, mostly for the standard library's calendar time and its messages.

use crate::core::time::{Instant, Span};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
const DAY: u64 = 86_400_000;
/// The days from 1 March of the year 0 to the epoch.
const DAYS_BEFORE_EPOCH: u64 = 719_468;
/// How far in the future a year of two digits may lie.
const FIFTY_YEARS: Span = Span(DAY * 36_525 / 2);

/// The instant that a date names, in any of the three formats that a recipient must accept. A date before 1970
/// is read as the epoch; `None` if the field is no date. `now` decides the century of a year with two digits.
#[must_use]
pub fn http_date(field: &str, now: Instant) -> Option<Instant> {
    let Some((name, rest)) = field.split_once(", ") else {
        // Sun Nov  6 08:49:37 1994
        let (name, rest) = field.split_once(' ')?;
        let (month, rest) = rest.split_once(' ')?;
        let (day, rest) = rest.split_at_checked(2)?;
        let day = day.strip_prefix(' ').map_or_else(|| number(day, 2), |digit| number(digit, 1))?;
        let (clock, year) = rest.strip_prefix(' ')?.split_once(' ')?;
        return if is_short(name) { instant(number(year, 4)?, month, day, clock) } else { None };
    };
    let (date, clock) = rest.strip_suffix(" GMT")?.rsplit_once(' ')?;
    if is_short(name) {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let [day, month, year] = three(date, ' ')?;
        return instant(number(year, 4)?, month, number(day, 2)?, clock);
    }
    // Sunday, 06-Nov-94 08:49:37 GMT
    let [day, month, year] = three(date, '-')?;
    let (day, year) = (number(day, 2)?, number(year, 2)?);
    let mut date = None;
    for century in (1900..9900).step_by(100) {
        match instant(century + year, month, day, clock) {
            Some(it) if it > now.plus(FIFTY_YEARS) => break,
            Some(it) => date = Some(it),
            None => {}
        }
    }
    date.filter(|_| DAYS.contains(&name))
}

/// A date as a cache reads it: without regard to case (RFC 9111, section 4.2). Another zone than GMT is no date.
#[must_use]
pub fn cache_date(field: &str, now: Instant) -> Option<Instant> {
    let mut text = String::with_capacity(field.len());
    for character in field.trim().chars() {
        let is_inside_word = text.ends_with(|it: char| it.is_ascii_alphabetic());
        text.push(if is_inside_word {
            character.to_ascii_lowercase()
        } else {
            character.to_ascii_uppercase()
        });
    }
    if text.ends_with(" Gmt") {
        text.truncate(text.len() - 3);
        text.push_str("GMT");
    }
    http_date(&text, now)
}

/// The earliest date of a field that is there once or more often. `None` if one of them is no date.
#[must_use]
pub fn earliest_date(field: &str, now: Instant) -> Option<Instant> {
    let mut parts = field.trim().split(", ");
    let mut earliest = None;
    while let Some(part) = parts.next() {
        // A comma follows the day's name in all formats but that of C, in which spaces do.
        let date = if part.contains(' ') {
            cache_date(part, now)?
        } else {
            cache_date(&[part, parts.next()?].join(", "), now)?
        };
        earliest = Some(earliest.map_or(date, |it: Instant| it.min(date)));
    }
    earliest
}

fn is_short(name: &str) -> bool {
    DAYS.iter().any(|it| it.strip_prefix(name).is_some() && name.len() == 3)
}

fn three(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let found = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

/// The number that exactly `digits` decimal digits write.
fn number(text: &str, digits: usize) -> Option<u64> {
    let is_plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

fn instant(year: u64, month: &str, day: u64, clock: &str) -> Option<Instant> {
    let place = MONTHS.find(month).filter(|place| place % 3 == 0 && month.len() == 3)? as u64 / 3;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match place {
        1 => 28 + u64::from(is_leap),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    let [hour, minute, second] = three(clock, ':')?;
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    // A minute with a leap second has 61.
    if !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // A year that begins in March ends with its leap day, so the days before each month follow a formula.
    let march_year = if place < 2 { year.checked_sub(1)? } else { year };
    let before_month = (153 * ((place + 10) % 12) + 2) / 5;
    let leap_days = march_year / 4 - march_year / 100 + march_year / 400;
    let days = (march_year * 365 + leap_days + before_month + day - 1).checked_sub(DAYS_BEFORE_EPOCH);
    let clock = ((hour * 60 + minute) * 60 + second) * 1_000;
    Some(days.map_or(Instant::EPOCH, |days| Instant(days * DAY + clock)))
}
