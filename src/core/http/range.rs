//! `Range` (RFC 9110, section 14): parts of a stored body.

/// The most parts in one answer. A request for more gets the whole body, because each part costs the server more
/// than its request costs the client (section 14.2).
const MAX_PARTS: usize = 8;

/// What a `Range` field asks of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// The whole body: there is no range, it cannot be read, or it asks for too many parts.
    Whole,
    /// These parts, each from its first to before its last byte, in the order of the field.
    Parts(Vec<std::ops::Range<usize>>),
    /// No part lies within the body.
    Unsatisfiable,
}

/// Reads a `Range` field for a body of this length (section 14.1.2).
#[must_use]
pub fn ranges(field: &str, length: usize) -> Ranges {
    let Some((unit, set)) = field.split_once('=') else { return Ranges::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.trim().is_empty() {
        return Ranges::Whole;
    }
    let mut parts: Vec<std::ops::Range<usize>> = Vec::new();
    for (place, spec) in set.split(',').map(str::trim).filter(|it| !it.is_empty()).enumerate() {
        if place == MAX_PARTS {
            return Ranges::Whole;
        }
        match part(spec, length) {
            // A field with one unreadable part is ignored as a whole (section 14.2).
            None => return Ranges::Whole,
            Some(part) if part.is_empty() => {}
            Some(part) => parts.push(part),
        }
    }
    let overlap = |a: &std::ops::Range<usize>, b: &std::ops::Range<usize>| a.start < b.end && b.start < a.end;
    let do_any_overlap = (1..parts.len()).any(|at| parts[..at].iter().any(|it| overlap(it, &parts[at])));
    if do_any_overlap {
        return Ranges::Whole;
    }
    if parts.is_empty() { Ranges::Unsatisfiable } else { Ranges::Parts(parts) }
}

/// One part of a range set; empty if it lies beyond the body, `None` if it cannot be read.
fn part(spec: &str, length: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = spec.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", suffix) => Some(length.saturating_sub(number(suffix)?)..length),
        (first, "") => Some(number(first)?.min(length)..length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first.min(length)..last.saturating_add(1).min(length))
        }
    }
}

/// A number; one beyond the range of a body is the largest.
fn number(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}
