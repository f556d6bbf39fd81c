//! The platform's services: clock, entropy, bindings, background work, and the storage of Durable Objects.

#[cfg(feature = "edge")]
pub(crate) mod background;
#[cfg(feature = "edge")]
pub(crate) mod bindings;
pub mod clock;
#[cfg(feature = "edge")]
pub(crate) mod object_state;
pub mod rng;
