//! Fields that are lists.

/// Whether a field's list holds this member, in any case; used for `CDN-Loop` (RFC 8586), where each
/// member may carry parameters.
#[must_use]
pub fn list_names(field: &str, member: &str) -> bool {
    field.split(',').any(|it| it.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(member))
}
