//! An edge cache that never makes a warm request wait.
//!
//! It answers from the nearest tier at once, refreshes shortly *before* expiry by the XFetch rule, and
//! lets one Durable Object per key make sure that each refresh happens once in the whole world.
//!
//! An embedder needs three names, which exist in the Worker's build only: `handle` answers a request, and
//! `RefreshLease` and `Metrics` are the Durable Object classes to re-export. `docs/embedding.md` shows them in
//! use. All modules are internal: they are public for tests, benchmarks and the simulator, and change without
//! notice.
//!
//! # Map
//!
//! Imports point up this list, never down. `worker` and `sim` never import each other; `page` shows `sim`.
//!
//! | folder | what it holds |
//! |---|---|
//! | [`core`] | values and formulas: keys, entries, settings, the XFetch formula, HTTP clauses |
//! | [`protocol`] | what a Worker and a key's object say to each other, and who may refresh |
//! | [`isolate`] | all that one isolate decides, without I/O |
//! | `worker` | the Cloudflare Worker: performs the decisions |
//! | [`sim`] | a simulated world around the same decisions, with faults, one clock and one seed |
//! | `page` | bindings for the demo page |
//!
//! `worker` and `page` exist on `wasm32` only. A native build contains no JavaScript crate, so if it
//! compiles, the first three folders do no I/O.

pub mod core;
pub mod isolate;
pub mod protocol;
pub mod sim;

#[cfg(all(target_arch = "wasm32", feature = "demo"))]
pub mod page;

#[cfg(target_arch = "wasm32")]
pub mod worker;

#[cfg(all(target_arch = "wasm32", feature = "edge"))]
pub use worker::{Metrics, RefreshLease, handle};
