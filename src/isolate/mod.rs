//! What one isolate decides, without I/O.

pub mod coalesce;
pub mod key_memo;
pub mod memory;
pub mod metrics;
pub mod miss;
pub mod origin_calls;
pub mod refresh;
pub mod refresh_gate;
pub mod state;
