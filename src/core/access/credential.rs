//! A credential as a request's header field presents it.

/// The longest credential, in bytes.
pub const MAX_CREDENTIAL: usize = 8_192;

/// The token of an `Authorization` field with the scheme `Bearer` (RFC 6750, section 2.1); `None` for another scheme,
/// or a token that is empty or has other characters than a token may have.
#[must_use]
pub fn bearer_token(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    let token = token.trim_matches(' ');
    let is_token =
        |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then_some(token)
}
