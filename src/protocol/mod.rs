//! What crosses a wire or is stored, and who may refresh a key.

pub mod codec;
pub mod colo_record;
pub mod entry_format;
pub mod lease;
pub mod message;
pub mod object;
pub mod snapshot;
