//! Fuzzing of what strangers, tiers and other versions can send: bodies, stored entries, settings, header fields,
//! and the object's messages. `cargo test --test fuzz` runs the committed corpus and a bounded number of
//! inputs; `npm run fuzz` goes on by coverage, by hand.
//!
//! An input is read as an edit of a seed: pure noise never gets past the first check of a parser.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs)]

#[path = "fuzz/targets.rs"]
mod targets;

/// Each target is one test of its name.
macro_rules! fuzz {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            bolero::check!().with_iterations(200_000).with_max_len(512).for_each(targets::$name);
        })*
    };
}

fuzz! { key entry settings fields message }
