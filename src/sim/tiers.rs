//! The simulated colos and isolates: a cache of bytes each, the deployed isolate's state, and a clock that may
//! be wrong.

use std::collections::BTreeMap;

use super::{clock::Clock, object::MessageTicket};
use crate::{
    core::config::DEFAULT_MEMORY_BYTES,
    isolate::{
        coalesce,
        state::{IsolateState, MAX_KEYS},
    },
};

/// A colo: its clock, and the bytes that its cache holds of each key.
#[derive(Debug, Default)]
pub(super) struct Colo {
    pub(super) clock: Clock,
    pub(super) cache: BTreeMap<usize, Vec<u8>>,
}

/// An isolate of the Worker.
#[derive(Debug)]
pub(super) struct SimIsolate {
    pub(super) colo: usize,
    pub(super) state: IsolateState,
    /// For each ticket of the isolate on which a task sleeps, the world's ticket of that task and step.
    pub(super) sleepers: BTreeMap<coalesce::WaitTicket, MessageTicket>,
}

impl SimIsolate {
    /// A new isolate; a restarted one has a new name.
    pub(super) fn new(colo: usize, name: u64) -> Self {
        let mut state = IsolateState::new(DEFAULT_MEMORY_BYTES, MAX_KEYS);
        state.name = name;
        Self { colo, state, sleepers: BTreeMap::new() }
    }
}
