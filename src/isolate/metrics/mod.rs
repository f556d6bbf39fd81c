//! What is counted, how it is added up, and when it is sent.

mod counters;
mod event;
mod flusher;
mod ledger;
mod top;

pub use counters::{BUCKETS, COUNTERS, Counter, Counters, Histogram};
pub use event::{CallOutcome, MetricEvent, Refusal, ServedAs};
pub use flusher::{FORMAT, Flusher, MetricsReply, MetricsRequest};
pub use ledger::{Batch, Gauges, Ledger};
pub use top::{MAX_NAMES, Spent, TopList, TopName};
