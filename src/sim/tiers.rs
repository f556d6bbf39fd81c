//! The simulated colos and isolates: a cache of bytes each, the deployed isolate's state, and a clock that may
//! be wrong.

use std::collections::BTreeMap;

use super::object::Ticket;
use crate::{
    core::time::Instant,
    isolate::{coalesce, state::IsolateState},
};

/// Off from the true time, by this many milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock(pub(super) i64);

impl Clock {
    pub(super) fn read(self, now: Instant) -> Instant {
        Instant(now.0.saturating_add_signed(self.0))
    }
}

/// A colo: its clock, and the bytes that its cache holds of each key.
#[derive(Debug, Default)]
pub(super) struct Colo {
    pub(super) clock: Clock,
    pub(super) cache: BTreeMap<usize, Vec<u8>>,
}

/// An isolate of the Worker.
#[derive(Debug)]
pub(super) struct Isolate {
    pub(super) colo: usize,
    pub(super) state: IsolateState,
    /// Which step of which task sleeps under a ticket of the isolate's.
    pub(super) sleepers: BTreeMap<coalesce::Ticket, Ticket>,
}

impl Isolate {
    /// A new isolate; a restarted one has a new name.
    pub(super) fn new(colo: usize, name: u64) -> Self {
        let mut state = IsolateState::new(32 << 20, 10_000);
        state.name = name;
        Self { colo, state, sleepers: BTreeMap::new() }
    }
}
