//! What one isolate decides, without I/O.
//!
//! Start with [`task`]: a [`task::Task`] takes events and returns effects. It works on
//! [`state::IsolateState`]; [`step`] has the types that it exchanges with a world.

pub mod background;
pub mod coalesce;
mod colo_store;
pub mod computation;
mod exchange;
pub mod explain;
pub mod holder_wait;
pub mod identities;
pub mod key_memo;
pub mod memory;
pub mod metrics;
pub mod miss;
mod miss_task;
pub mod new_keys;
pub mod origin_calls;
pub mod refresh;
pub mod refresh_gate;
pub mod refresh_outcome;
pub mod refresh_task;
pub mod request;
pub mod served;
pub mod share;
pub mod state;
pub mod step;
pub mod task;
pub mod variants;
