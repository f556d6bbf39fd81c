//! Proofs of the core, run natively: by law, by search, by property, and from stored files.
//!
//! Filed by kind of proof: `laws` holds the closed forms of the theory, `interleavings` the exhaustive
//! search over the protocol, `traces` the ways in which earlier rules broke, `exchanges` single steps where
//! one line decides, `properties` the random inputs, `recent` the memo of questions, `simulation` the made-up
//! world, `formats` the stored forms, `promises` what is also run in a browser, `config`, `http`, `json`,
//! `local`, `metrics` and `units` tables of small parts at their edges.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs)]

#[path = "native/config.rs"]
mod config;
#[path = "native/exchanges.rs"]
mod exchanges;
#[path = "native/formats.rs"]
mod formats;
#[path = "native/http.rs"]
mod http;
#[path = "native/interleavings.rs"]
mod interleavings;
#[path = "native/json.rs"]
mod json;
#[path = "native/laws.rs"]
mod laws;
#[path = "native/local.rs"]
mod local;
#[path = "native/metrics.rs"]
mod metrics;
#[path = "shared/promises.rs"]
mod promises;
#[path = "native/properties.rs"]
mod properties;
#[path = "native/recent.rs"]
mod recent;
#[path = "native/simulation.rs"]
mod simulation;
#[path = "native/structure.rs"]
mod structure;
#[path = "native/traces.rs"]
mod traces;
#[path = "native/units.rs"]
mod units;
