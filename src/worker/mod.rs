//! The Cloudflare Worker: performs the effects that [`crate::isolate`] decides on.
//!
//! An embedder calls `handle` from its own handler and re-exports the two Durable Object classes.

pub mod platform;

#[cfg(feature = "edge")]
mod admin;
#[cfg(feature = "edge")]
mod admission;
#[cfg(feature = "edge")]
mod answered;
#[cfg(feature = "edge")]
mod assets;
#[cfg(feature = "edge")]
mod body;
#[cfg(feature = "edge")]
mod cache_api;
#[cfg(feature = "edge")]
mod context;
#[cfg(feature = "edge")]
mod cors;
#[cfg(feature = "edge")]
mod driver;
#[cfg(feature = "edge")]
mod forward;
#[cfg(feature = "edge")]
mod globals;
#[cfg(feature = "handler")]
mod handler;
#[cfg(feature = "edge")]
mod helpers;
#[cfg(feature = "edge")]
mod inquiry;
#[cfg(feature = "edge")]
mod inquiry_answer;
#[cfg(feature = "edge")]
mod invalidation;
#[cfg(feature = "edge")]
mod judged_answer;
#[cfg(feature = "edge")]
mod keyed_request;
#[cfg(feature = "edge")]
mod lease_object;
#[cfg(feature = "edge")]
mod metrics_object;
#[cfg(feature = "edge")]
mod metrics_sender;
#[cfg(feature = "edge")]
mod new_keys;
#[cfg(feature = "edge")]
mod object_fetch;
#[cfg(feature = "edge")]
mod object_stub;
#[cfg(feature = "edge")]
mod origin;
#[cfg(feature = "edge")]
mod prepared;
#[cfg(feature = "edge")]
mod presented;
#[cfg(feature = "edge")]
mod problem;
#[cfg(feature = "edge")]
mod relay;
#[cfg(feature = "edge")]
mod request;
#[cfg(feature = "edge")]
mod request_flags;
#[cfg(feature = "edge")]
mod response;
#[cfg(feature = "edge")]
mod routed;
#[cfg(feature = "edge")]
mod router;
#[cfg(feature = "edge")]
mod timer;
#[cfg(feature = "edge")]
mod verification;
#[cfg(feature = "edge")]
mod waiters;

#[cfg(feature = "edge")]
pub use lease_object::RefreshLease;
#[cfg(feature = "edge")]
pub use metrics_object::Metrics;
#[cfg(feature = "edge")]
pub use router::handle;
