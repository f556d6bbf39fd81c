//! The exhaustive search: every order in which things can happen to one key.

mod model;
mod worlds;
