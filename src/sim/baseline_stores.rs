//! What the baseline strategies keep.

use std::sync::Arc;

use super::{event::Arrival, scenario::Scenario};
use crate::core::time::{Instant, Span};

/// What a colo keeps of a key.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) expiry: Instant,
    pub(super) delta: Span,
    pub(super) body: Arc<[u8]>,
}

/// The stores, and for [`super::scenario::Strategy::PlainLock`] the requests that wait for each key's lock.
#[derive(Debug)]
pub(super) struct BaselineStores {
    pub(super) stores: Vec<Vec<Option<Kept>>>,
    pub(super) locks: Vec<Option<Vec<(usize, Arrival)>>>,
}

impl BaselineStores {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let keys = scenario.keys as usize;
        Self { stores: vec![vec![None; keys]; scenario.colos as usize], locks: vec![None; keys] }
    }
}
