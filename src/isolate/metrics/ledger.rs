//! The sum of the counts of all isolates. Each isolate sends its new counts in batches, which may be lost,
//! arrive twice, or belong to an epoch that a reset has ended.

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use crate::core::time::{Instant, Span};

/// What one isolate holds right now. Not counted, only shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Origin calls under way.
    pub computations_in_flight: u64,
    /// Keys in memory.
    pub memory_entries: u64,
    /// Bytes they take, near enough.
    pub memory_bytes: u64,
}

/// What one isolate sends at once. A batch that is sent again is the same batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The isolate's own name.
    pub isolate: String,
    /// The number of the batch among the isolate's, from 1.
    pub sequence: u64,
    /// The epoch that the counts belong to; `None` from an isolate that knows of none yet.
    pub epoch: Option<String>,
    /// The counts.
    pub counters: Counters,
    /// The isolate's gauges.
    pub gauges: Gauges,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct IsolateRecord {
    name: String,
    sequence: u64,
    seen: Instant,
    gauges: Gauges,
}

/// All counts of all isolates, since an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The name of the epoch; it changes whenever the counters start from zero.
    pub epoch: String,
    /// The instant at which the epoch began.
    pub since: Instant,
    /// The counts.
    pub counters: Counters,
    isolates: Vec<IsolateRecord>,
}

/// The gauges of an isolate expire after this time without a report.
const GAUGES_KEPT: Span = Span(60_000);
/// The number of isolates whose last batch is remembered, to recognise a repeated batch.
const MAX_ISOLATES: usize = 2_000;

impl Ledger {
    /// A ledger whose epoch begins now. The epoch's name must be new.
    #[must_use]
    pub fn new(epoch: String, now: Instant) -> Self {
        Self { epoch, since: now, counters: Counters::default(), isolates: Vec::new() }
    }

    /// Adds a batch once, however often it is sent. The counts of another epoch are dropped: a reset has
    /// ended that epoch.
    pub fn take(&mut self, batch: &Batch, now: Instant) {
        let place = self.isolates.iter().position(|isolate| isolate.name == batch.isolate);
        let known = place.map_or(0, |place| self.isolates.remove(place).sequence);
        let is_ours = batch.epoch.as_ref().is_none_or(|epoch| *epoch == self.epoch);
        if batch.sequence > known && is_ours {
            self.counters.merge(&batch.counters);
        }
        // Ordered by their last batch, so that the first isolate is the one to forget.
        let sequence = known.max(batch.sequence);
        self.isolates.push(IsolateRecord {
            name: batch.isolate.clone(),
            sequence,
            seen: now,
            gauges: batch.gauges,
        });
        if self.isolates.len() > MAX_ISOLATES {
            self.isolates.remove(0);
        }
    }

    /// Starts a new epoch from zero. The batches' sequence numbers go on.
    pub fn reset(&mut self, epoch: String, now: Instant) {
        self.epoch = epoch;
        self.since = now;
        self.counters = Counters::default();
    }

    /// The sum of the gauges of the isolates that have sent a batch within the last minute.
    #[must_use]
    pub fn gauges(&self, now: Instant) -> Gauges {
        let alive = self.isolates.iter().filter(|it| it.seen.covers(GAUGES_KEPT, now));
        alive.fold(Gauges::default(), |sum, isolate| Gauges {
            computations_in_flight: sum.computations_in_flight + isolate.gauges.computations_in_flight,
            memory_entries: sum.memory_entries + isolate.gauges.memory_entries,
            memory_bytes: sum.memory_bytes + isolate.gauges.memory_bytes,
        })
    }
}
