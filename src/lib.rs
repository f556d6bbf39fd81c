//! An edge cache that never makes a warm request wait.
//!
//! It answers from the nearest tier at once, refreshes shortly *before* expiry by the XFetch rule, and
//! lets one Durable Object per key make sure that each refresh happens once in the whole world.
//!
//! A file is pure, with the folder of its name where it has one; a folder by itself touches the world.
//! Imports point up this list, never down:
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | words | [`time`] | instants and durations |
//! | | [`key`] | which requests share an entry |
//! | | [`frame`] | one shape for what is stored or sent with a body beside it |
//! | | [`json`] | JSON texts |
//! | | [`failure`] | how a computation fails, and what is remembered of it |
//! | decisions | [`xfetch`] | the formula of the paper, and the beta behind a lease |
//! | | [`laws`] | what the theory predicts of the formula |
//! | | [`rate`] | how often one isolate is asked for a key |
//! | | [`demand`] | how often the world is |
//! | | [`entry`] | what is stored beside a body; versioned |
//! | | [`lookup`] | what to do for an entry, now |
//! | | [`config`] | the settings, parsed once into types that cannot be wrong |
//! | | [`http`] | the clauses of HTTP that a decision hangs on |
//! | protocol | [`message`] | what a Worker and a key's object say to each other |
//! | | [`lease`] | who may refresh, until when: the rules of the object |
//! | | [`refresh`] | one computation as a state machine |
//! | | [`cold`] | a request with nothing to serve, as a state machine |
//! | | [`collapse`] | requests of one isolate that wait for the same thing
//! | | [`marks`] | what an isolate remembers of refreshes under way |
//! | | [`calls`] | the origin calls that an isolate has under way |
//! | | [`memory`] | the nearest tier |
//! | | [`recent`] | the keys of questions asked a moment ago |
//! | | [`local`] | what one isolate knows, and the decisions that need nothing else |
//! | | [`metrics`] | the facts worth counting, as a fold |
//! | | [`sim`] | a world made up: colos, objects, an origin, faults, one clock, one seed |
//! | the world | `host` | clock, entropy, timers |
//! | | `edge` | the Worker: handler, driver, tiers, origin, the two Durable Objects |
//! | | `demo` | the demo page: bindings over [`sim`] and [`laws`] |
//!
//! The last three exist on `wasm32` only. A native build has no JavaScript crate in it, so if it
//! compiles, the core is pure.

pub mod calls;
pub mod cold;
pub mod collapse;
pub mod config;
pub mod demand;
pub mod entry;
pub mod failure;
pub mod frame;
pub mod http;
pub mod json;
pub mod key;
pub mod laws;
pub mod lease;
pub mod local;
pub mod lookup;
pub mod marks;
pub mod memory;
pub mod message;
pub mod metrics;
pub mod rate;
pub mod recent;
pub mod refresh;
pub mod sim;
pub mod time;
pub mod xfetch;

#[cfg(target_arch = "wasm32")]
pub mod host;

#[cfg(all(target_arch = "wasm32", feature = "demo"))]
pub mod demo;

#[cfg(all(target_arch = "wasm32", feature = "edge"))]
pub mod edge;
