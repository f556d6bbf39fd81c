//! `Content-Type`: which bodies are JSON.

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

/// Whether a `Content-Type` is one of those that a pattern stands for: `application/json` for each that
/// [`is_json`], `*/*` for all, `text/*` for a type, and otherwise exactly the pattern.
#[must_use]
pub fn matches_type(content_type: &str, pattern: &str) -> bool {
    if pattern == "application/json" {
        return is_json(content_type);
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match pattern.strip_suffix('*') {
        Some("*/") => true,
        Some(kind) => essence.starts_with(kind),
        None => essence == pattern,
    }
}
