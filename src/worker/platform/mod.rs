//! What the platform gives: clock, entropy, bindings, background work, an object's storage.

#[cfg(feature = "edge")]
pub(crate) mod background;
#[cfg(feature = "edge")]
pub(crate) mod bindings;
pub mod clock;
#[cfg(feature = "edge")]
pub(crate) mod object_state;
pub mod rng;
