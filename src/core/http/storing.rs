//! May an answer be stored? (RFC 9111, section 3)

/// The header fields of an origin's answer that decide whether it may be stored.
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

/// Whether a `Cache-Control` contains `private` or `no-store`. A malformed field is read so that a directive
/// is found rather than missed: any character that is not part of a name or `=` separates directives, a
/// quoted directive counts, and a quoted argument without an end forbids storing.
fn forbids_storing(field: &str) -> bool {
    let forbids = |directive: &str| {
        let name = directive.split('=').next().unwrap_or_default();
        name.eq_ignore_ascii_case("private") || name.eq_ignore_ascii_case("no-store")
    };
    let separates = |it: char| !(it.is_ascii_alphanumeric() || "-_=".contains(it));
    without_arguments(field).is_none_or(|field| field.split(separates).any(forbids))
}

/// The field without its quoted arguments, whose commas do not separate directives. `None` if a quoted
/// argument has no end.
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
