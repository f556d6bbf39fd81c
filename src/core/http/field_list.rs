//! Header fields whose values are comma-separated lists.

/// Whether a field's list contains this member, compared without case and without the member's parameters;
/// used for `CDN-Loop` (RFC 8586).
#[must_use]
pub fn list_names(field: &str, member: &str) -> bool {
    field.split(',').any(|it| it.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(member))
}
