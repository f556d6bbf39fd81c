//! The clauses of HTTP that a decision depends on, as pure functions over field values: one clause per file.

mod cache_status;
mod conditional;
mod content_type;
mod date;
mod field_list;
mod headers;
mod method;
mod path;
mod range;
mod retry_after;
mod status;
mod storing;
mod target;

pub use cache_status::{CACHE_NAME, CacheStatus};
pub use conditional::{is_unmodified_since, none_match_names, range_applies};
pub use content_type::{is_json, matches_type};
pub use date::http_date;
pub use field_list::list_names;
pub use headers::{HOP_BY_HOP, KEPT_HEADERS};
pub use method::{Method, Methods};
pub use path::{reads_as, unambiguous};
pub use range::{Ranges, ranges};
pub use retry_after::retry_after;
pub use status::{Status, status};
pub use storing::StoringHeaders;
pub use target::{KeyedQuery, canonical_query, plain_escapes};
