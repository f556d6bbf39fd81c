//! Values and formulas. Nothing here does I/O, reads a clock or draws a random number, and nothing imports
//! from another folder.

pub mod access;
pub mod arrival_rate;
pub mod body_fields;
pub mod canonical_json;
pub mod config;
pub mod entry;
pub mod failure;
pub mod freshness;
pub mod global_rate;
pub mod http;
pub mod key;
pub mod purge;
pub mod theory;
pub mod time;
pub mod xfetch;
