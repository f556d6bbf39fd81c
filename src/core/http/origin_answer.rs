//! The parts of an origin's answer that decide about caching it under the policy "origin".

use super::{
    cache_control::ResponseDirectives,
    fields::{Fields, value},
};

/// The status and the header fields of an origin's answer that decide about caching it. The values of a field that
/// is repeated are joined with a comma and a space.
#[derive(Clone, Copy, Debug, Default)]
pub struct OriginAnswer<'a> {
    /// The status.
    pub status: u16,
    /// `Cache-Control`.
    pub cache_control: Option<&'a str>,
    /// `CDN-Cache-Control` (RFC 9213).
    pub cdn_cache_control: Option<&'a str>,
    /// `Expires`.
    pub expires: Option<&'a str>,
    /// `Date`.
    pub date: Option<&'a str>,
    /// `Age`.
    pub age: Option<&'a str>,
    /// `Last-Modified`.
    pub last_modified: Option<&'a str>,
    /// `Vary`.
    pub vary: Option<&'a str>,
    /// Whether there is a validator: `ETag` or `Last-Modified`.
    pub has_validator: bool,
    /// Whether there is a `Set-Cookie`.
    pub has_set_cookie: bool,
    /// Who has asked, and who may get it.
    pub asker: Asker,
}

/// Who has asked for an answer, and who may get it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asker {
    /// Anybody, for everybody.
    #[default]
    Anybody,
    /// A client with `Authorization`, for everybody.
    Authorized,
    /// One client, for this client alone.
    OneClient,
}

impl<'a> OriginAnswer<'a> {
    /// The answer of this status with these fields.
    #[must_use]
    pub fn of(status: u16, fields: &'a Fields, asker: Asker) -> Self {
        let value = |name| value(fields, name);
        Self {
            status,
            cache_control: value("cache-control"),
            cdn_cache_control: value("cdn-cache-control"),
            expires: value("expires"),
            date: value("date"),
            age: value("age"),
            last_modified: value("last-modified"),
            vary: value("vary"),
            has_validator: value("etag").or(value("last-modified")).is_some(),
            has_set_cookie: value("set-cookie").is_some(),
            asker,
        }
    }

    /// The directives and the `Expires` that count: a `CDN-Cache-Control` that is valid and not empty replaces
    /// both `Cache-Control` and `Expires` (RFC 9213, section 2.2).
    #[must_use]
    pub fn policy(&self) -> (ResponseDirectives, Option<&'a str>) {
        match self.cdn_cache_control.and_then(ResponseDirectives::read_targeted) {
            Some(targeted) => (targeted, None),
            None => (ResponseDirectives::read(self.cache_control.unwrap_or_default()), self.expires),
        }
    }
}
