//! The clauses of HTTP that a decision depends on, as pure functions over field values: one clause per file.

mod cache_status;
mod conditional;
mod content_type;
mod date;
mod field_list;
mod headers;
mod path;
mod retry_after;
mod status;
mod storing;

pub use cache_status::{CACHE_NAME, CacheStatus};
pub use conditional::none_match_names;
pub use content_type::is_json;
pub use date::http_date;
pub use field_list::list_names;
pub use headers::{HOP_BY_HOP, KEPT_HEADERS};
pub use path::{reads_as, unambiguous};
pub use retry_after::retry_after;
pub use status::{Status, status};
pub use storing::StoringHeaders;
