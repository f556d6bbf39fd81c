//! The platform's limit of requests.

use serde_json::Value;

use super::reader::Reader;
use crate::core::time::Span;

/// A limit that the platform keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The name of the rate-limiting binding.
    pub binding: String,
    /// Whose requests are counted together.
    pub by: LimitBy,
    /// The binding's period, which the platform does not tell: clients are asked to wait this long.
    pub period: Span,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitBy {
    /// Those of a tenant, and those of all verified clients without one.
    Tenant,
    /// Those of a client's address.
    Address,
}

/// Reads `rate_limit`.
pub(super) fn rate_limit(reader: &Reader<'_>, names_tenant: bool) -> Option<RateLimit> {
    const ALLOWED: &str = "a table with `binding`, the name of a rate-limiting binding, `by`, which is \"address\" or, where `verify` names the tenant, \"tenant\", and `period`, which is 10 or 60";
    let Value::Object(table) = reader.json("rate_limit")? else {
        reader.refuse("rate_limit", ALLOWED);
        return None;
    };
    let text = |name: &str| table.get(name).and_then(Value::as_str);
    let by = match text("by") {
        Some("address") => Some(LimitBy::Address),
        Some("tenant") if names_tenant => Some(LimitBy::Tenant),
        _ => None,
    };
    let period = match table.get("period").and_then(Value::as_u64) {
        Some(seconds @ (10 | 60)) => Some(Span(seconds * 1_000)),
        _ => None,
    };
    match (text("binding").filter(|it| !it.is_empty()), by, period) {
        (Some(binding), Some(by), Some(period)) if table.len() == 3 => {
            Some(RateLimit { binding: binding.to_owned(), by, period })
        }
        _ => {
            reader.refuse("rate_limit", ALLOWED);
            None
        }
    }
}
