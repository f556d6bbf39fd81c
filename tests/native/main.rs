//! Proofs of the core, run natively: by law, by search, by property, and from stored files.
//!
//! Filed by kind of proof: `laws` holds the closed forms of the theory, `interleavings` the exhaustive
//! search over the protocol, `traces` the ways in which earlier rules broke, `exchanges` single steps where
//! one line decides, `properties` the random inputs, `recent` the memo of questions, `simulation` the made-up
//! world, `formats` the stored forms, `promises` what is also run in a browser, `config`, `http`, `json`,
//! `local`, `metrics` and `units` tables of small parts at their edges.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs)]

mod config;
mod exchanges;
mod formats;
mod http;
mod json;
mod laws;
mod local;
mod metrics;
#[path = "../shared/promises.rs"]
mod promises;
mod properties;
mod recent;
mod search;
mod simulation;
mod structure;
mod tasks;
mod traces;
mod units;
