//! What crosses a wire or is stored, and who may refresh a key.

pub mod codec;
pub mod lease;
pub mod message;
