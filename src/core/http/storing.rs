//! May an answer be stored? (RFC 9111, section 3)

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
/// quoted string has no end, after which the quoting is ambiguous.
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
