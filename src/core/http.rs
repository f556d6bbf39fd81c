//! The clauses of HTTP that a decision hangs on, as pure functions over header values.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::core::{
    failure::{Failure, Reason},
    time::{Instant, Span},
};

/// The name of this cache in `Cache-Status` and `CDN-Loop`.
pub const CACHE_NAME: &str = "xfetch-edge";

/// How an answer came about, for `Cache-Status`. In the field's grammar `hit` and `fwd` exclude each
/// other (RFC 9211, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// From an entry, with the seconds until its expiry; negative when stale.
    Hit {
        /// Remaining freshness in whole seconds.
        ttl: i64,
        /// Past its expiry.
        is_stale: bool,
    },
    /// Own computation, stored for others.
    Stored,
    /// Own computation or its failure, not stored.
    Miss,
    /// Woken by another request's computation.
    Collapsed,
    /// Waited, then fell back on an old entry.
    FellBack {
        /// Remaining freshness in whole seconds, negative.
        ttl: i64,
    },
    /// Not cached at all.
    Bypass,
}

impl CacheStatus {
    /// The field's value. Every part of it is a token or an integer of at most 15 digits, so there is
    /// nothing to escape; a test reads each form back with a parser of structured fields.
    #[must_use]
    pub fn value(self) -> String {
        let what = match self {
            Self::Hit { ttl, is_stale: false } => return format!("{CACHE_NAME}; hit; ttl={}", digits(ttl)),
            Self::Hit { ttl, is_stale: true } => {
                return format!("{CACHE_NAME}; hit; ttl={}; detail=stale", digits(ttl));
            }
            Self::FellBack { ttl } => return format!("{CACHE_NAME}; fwd=stale; ttl={}", digits(ttl)),
            Self::Stored => "fwd=miss; stored",
            Self::Miss => "fwd=miss",
            Self::Collapsed => "fwd=miss; collapsed",
            Self::Bypass => "fwd=bypass",
        };
        format!("{CACHE_NAME}; {what}")
    }
}

/// Within the range of a structured field's integers (RFC 8941, section 3.3.1).
fn digits(seconds: i64) -> i64 {
    const MOST: i64 = 999_999_999_999_999;
    seconds.clamp(-MOST, MOST)
}

/// Whether `If-None-Match` names this validator: by weak comparison, or `*` (RFC 9110, section 13.1.2).
#[must_use]
pub fn none_match_names(field: &str, etag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == etag;
    field.trim() == "*" || field.split(',').any(|tag| opaque(tag.trim()))
}

/// Whether a `Content-Type` is JSON in UTF-8.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_json_type =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    is_json_type
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

/// Whether a field's list holds this member, in any case; used for `CDN-Loop` (RFC 8586), where each
/// member may carry parameters.
#[must_use]
pub fn list_names(field: &str, member: &str) -> bool {
    field.split(',').any(|it| it.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(member))
}

/// What an origin's answer says of storing it.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoringHeaders<'a> {
    /// `Cache-Control`.
    pub cache_control: Option<&'a str>,
    /// `Vary`.
    pub vary: Option<&'a str>,
    /// Whether there is a `Set-Cookie`.
    pub has_set_cookie: bool,
}

impl StoringHeaders<'_> {
    /// Whether a shared cache may keep it (RFC 9111, section 3): no `private`, no `no-store`, with or
    /// without an argument; nothing that differs per client.
    #[must_use]
    pub fn allow(&self) -> bool {
        !self.has_set_cookie
            && !self.cache_control.is_some_and(forbids_storing)
            && !self.vary.is_some_and(|field| field.contains('*'))
    }
}

/// Whether a `Cache-Control` has one of the two directives. One that is badly made is read as its author may have
/// meant it: where anything else stands for the comma, where a directive is quoted that is no argument, and where a
/// quoted string has no end, after which nobody knows what was quoted.
fn forbids_storing(field: &str) -> bool {
    let forbids = |directive: &str| {
        let name = directive.split('=').next().unwrap_or_default();
        name.eq_ignore_ascii_case("private") || name.eq_ignore_ascii_case("no-store")
    };
    let separates = |it: char| !(it.is_ascii_alphanumeric() || "-_=".contains(it));
    without_arguments(field).is_none_or(|field| field.split(separates).any(forbids))
}

/// The field without its quoted arguments, in which a comma separates nothing; `None` where one of them has no end.
fn without_arguments(field: &str) -> Option<String> {
    let mut outside = String::with_capacity(field.len());
    let mut rest = field.chars();
    while let Some(character) = rest.next() {
        let begins_argument = character == '"' && outside.ends_with('=');
        outside.push(character);
        if !begins_argument {
            continue;
        }
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => drop(rest.next()?),
                _ => {}
            }
        }
    }
    Some(outside)
}

/// `Retry-After` as a delay: seconds, or a date read against `now` (RFC 9110, section 10.2.3).
#[must_use]
pub fn retry_after(field: &str, now: Instant) -> Option<Span> {
    let field = field.trim();
    if let Ok(seconds) = field.parse::<u64>() {
        return Some(Span(seconds.saturating_mul(1_000)));
    }
    let at: SystemTime = httpdate::parse_http_date(field).ok()?;
    let at = at.duration_since(UNIX_EPOCH).ok()?.as_millis();
    Some(Instant(u64::try_from(at).ok()?).since(now))
}

/// What an origin's status means for a cached route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its body may be an answer.
    Success,
    /// Its body is the origin's considered no.
    Refusal,
    /// The computation failed.
    Failure(Failure),
}

/// Sorts an origin's status.
#[must_use]
pub fn status(status: u16, retry_after: Option<Span>) -> Status {
    let reason = match status {
        204 | 205 | 206 | 304 => Reason::OriginUnexpectedStatus,
        200..300 => return Status::Success,
        300..400 => Reason::OriginRedirect,
        401 | 403 | 407 => Reason::OriginUnauthorized,
        408 | 425 | 429 => Reason::OriginBusy,
        400..500 => return Status::Refusal,
        500..600 => Reason::OriginError,
        _ => Reason::OriginUnexpectedStatus,
    };
    Status::Failure(Failure::Transient { reason, retry_after })
}

/// The origin's headers that are kept with an entry.
pub const KEPT_HEADERS: [&str; 4] =
    ["content-type", "content-language", "last-modified", "x-content-type-options"];

/// Headers that belong to one connection and are never forwarded (RFC 9110, section 7.6.1), beside
/// those that `Connection` names.
pub const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A path decoded as far as it goes, if it means the same to everybody who decodes it: none of its
/// escapes gives a separator, a dot segment or a control character, and three rounds are enough.
#[must_use]
pub fn unambiguous(path: &str) -> Option<String> {
    const ROUNDS: usize = 3;
    let mut decoded = path.as_bytes().to_vec();
    for _ in 0..ROUNDS {
        let is_bad = |segment: &[u8]| matches!(segment, b"." | b"..");
        if decoded.iter().any(|b| b.is_ascii_control() || *b == b'\\')
            || decoded.windows(2).any(|pair| pair == b"//")
            || decoded.split(|b| *b == b'/').any(|it| is_bad(it.split(|b| *b == b';').next().unwrap_or(it)))
        {
            return None;
        }
        let slashes = decoded.iter().filter(|b| **b == b'/').count();
        let next = percent_decoded(&decoded);
        if next.len() == decoded.len() {
            return String::from_utf8(decoded).ok();
        }
        if next.iter().filter(|b| matches!(b, b'/' | b'?' | b'#')).count() > slashes {
            return None;
        }
        decoded = next;
    }
    None
}

/// Whether a decoded path reads like a route's to somebody who forgives a trailing slash, a parameter
/// or the case of letters.
#[must_use]
pub fn reads_as(decoded: &str, route: &str) -> bool {
    let plain = decoded.split(';').next().unwrap_or(decoded).trim_end_matches('/');
    plain.eq_ignore_ascii_case(route)
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        match (first, digit(tail.first()), digit(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits are below 256.
                decoded.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}
