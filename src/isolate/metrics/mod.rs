//! What is counted, how it is added up, and when it is sent.

mod counters;
mod event;
mod flusher;
mod ledger;

pub use counters::{BUCKETS, COUNTERS, Counter, Counters, Histogram};
pub use event::{CallOutcome, MetricEvent, ServedAs};
pub use flusher::{FORMAT, Flusher, MetricsReply, MetricsRequest};
pub use ledger::{Batch, Gauges, Ledger};
