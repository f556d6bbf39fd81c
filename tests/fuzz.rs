//! Fuzz tests of the parsers of outside input: bodies, stored entries, settings, header fields, and the
//! object's messages. `cargo test --test fuzz` runs the committed corpus and a bounded number of inputs;
//! `npm run fuzz`, run by hand, searches further, guided by coverage.
//!
//! An input is read as edits of a seed, because random bytes never pass the first check of a parser.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, reason = "names and module headers document tests")]

#[path = "fuzz/targets.rs"]
mod targets;

/// Defines a test for each target, with the target's name.
macro_rules! fuzz {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            bolero::check!().with_iterations(200_000).with_max_len(512).for_each(targets::$name);
        })*
    };
}

fuzz! { key entry settings fields message }
