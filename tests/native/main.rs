//! Proofs of `core`, `protocol`, `isolate` and `sim`, run natively.
//!
//! `docs/internals/testing.md` says what each file proves, and where a new test goes.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, reason = "names and module headers document tests")]

mod access;
mod config;
mod exchanges;
mod explain;
mod formats;
mod http;
mod json;
mod key_memo;
mod metrics;
mod origin_policy;
mod origin_policy_random;
#[path = "../shared/promises.rs"]
mod promises;
mod properties;
mod search;
mod simulation;
mod state;
mod structure;
mod tasks;
mod theory;
mod traces;
mod units;
