//! What the platform gives beside the web's own types.

#[cfg(feature = "edge")]
pub(crate) mod bindings;
pub mod clock;
pub mod rng;
