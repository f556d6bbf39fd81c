//! Gathers the counts of one isolate, and decides what to send to the metrics object and when.
//!
//! A batch that may or may not have arrived is sent again unchanged, under its old number, so that the object
//! counts it once.

use serde::{Deserialize, Serialize};

use super::{
    counters::Counters,
    event::MetricEvent,
    ledger::{Batch, Gauges, Ledger},
    top::Spent,
};
use crate::core::time::{Instant, Span};

/// The version of the messages to the metrics object and of its stored ledger.
pub const FORMAT: u32 = u32::from_le_bytes(*b"XFM2");

/// A message to the metrics object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetricsRequest {
    /// Adds a batch, if there is one, and returns the counts if they are asked for.
    Flush {
        /// The batch.
        batch: Option<Batch>,
        /// Whether the reply should carry the counts.
        show: bool,
    },
    /// Starts a new epoch from zero.
    Reset,
}

/// The metrics object's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricsReply {
    /// The name of the epoch, the time since the counters last started from zero.
    pub epoch: String,
    /// The instant at which the epoch began.
    pub since: Instant,
    /// The counts and gauges of all isolates, if they were asked for.
    pub shown: Option<(Counters, Gauges)>,
}

impl MetricsReply {
    /// The reply for this ledger; `show`: with the counts and the gauges at `now`.
    #[must_use]
    pub fn new(ledger: &Ledger, show: bool, now: Instant) -> Self {
        let shown = show.then(|| (ledger.counters.clone(), ledger.gauges(now)));
        Self { epoch: ledger.epoch.clone(), since: ledger.since, shown }
    }
}

/// What one isolate has counted and not yet delivered.
#[derive(Clone, Debug, Default)]
pub struct Flusher {
    counters: Counters,
    unconfirmed: Option<Batch>,
    isolate: Option<String>,
    sequence: u64,
    epoch: Option<String>,
    armed_at: Option<Instant>,
}

impl Flusher {
    /// Counts an event.
    pub fn fold(&mut self, event: MetricEvent) {
        self.counters.fold(event);
    }

    /// Counts what was done on a route, for a tenant if it has tenants.
    pub fn spend(&mut self, route: &str, tenant: Option<&str>, spent: Spent) {
        self.counters.spend(route, tenant, spent);
    }

    /// Whether a timer must be started now, so that the counts are sent within `interval`; an isolate has one
    /// timer. A timer that the platform cancels with its request does not report it, so a timer that is
    /// overdue by `grace` is replaced.
    pub fn arm(&mut self, now: Instant, interval: Span, grace: Span) -> bool {
        let is_armed = self.armed_at.is_some_and(|at| at.covers(interval.plus(grace), now));
        let must_arm = !is_armed && !self.counters.is_empty();
        if must_arm {
            self.armed_at = Some(now);
        }
        must_arm
    }

    /// The timer has fired.
    pub fn disarm(&mut self) {
        self.armed_at = None;
    }

    /// A batch that was sent before and not confirmed: it is sent first, as it is.
    #[must_use]
    pub fn unconfirmed(&self) -> Option<&Batch> {
        self.unconfirmed.as_ref()
    }

    /// The next batch to send: the unconfirmed one, or the new counts. With `show` a batch is sent even
    /// without counts, for its gauges. `name` gives the isolate's name, and is called once.
    pub fn next_batch(&mut self, gauges: Gauges, show: bool, name: impl FnOnce() -> String) -> Option<Batch> {
        let isolate = self.isolate.get_or_insert_with(name).clone();
        if self.unconfirmed.is_none() && (show || !self.counters.is_empty()) {
            self.sequence += 1;
            self.unconfirmed = Some(Batch {
                isolate,
                sequence: self.sequence,
                epoch: self.epoch.clone(),
                counters: std::mem::take(&mut self.counters),
                gauges,
            });
        }
        self.unconfirmed.clone()
    }

    /// The metrics object has replied to the batch of this number, or to a message without one.
    pub fn confirmed(&mut self, sequence: Option<u64>, epoch: &str) {
        self.epoch = Some(epoch.to_owned());
        if self.unconfirmed.as_ref().map(|it| it.sequence) == sequence {
            self.unconfirmed = None;
        }
    }
}
