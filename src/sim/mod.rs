//! A simulated world, deterministic from one seed: colos with isolates, one object per key, a network, an
//! origin and traffic, on one virtual clock.
//!
//! The tasks and the objects in it are the deployed ones, down to the bytes that they send and store; what is
//! simulated is the world around them. With [`Faults`] messages are lost, repeated and late, stored bytes
//! rot, work is cut off, clocks step; and every invariant of the protocol is checked after every step. The
//! same [`Scenario`] can be run under other strategies, on the same arrivals, to see what each costs.
//!
//! ```
//! use xfetch_edge::{core::time::Span, sim::{self, Scenario}};
//!
//! let report = sim::run(Scenario { duration: Span(30_000), ..Scenario::default() })?;
//! assert!(report.most_in_flight <= 1, "one computation at a time");
//! # Ok::<(), sim::Violation>(())
//! ```

mod baseline_stores;
mod baselines;
mod clock;
mod driver;
mod event;
mod fault_schedule;
mod faults;
mod hostile;
mod invariants;
mod network;
mod object;
mod origin;
mod report;
mod rng;
mod rule;
mod scenario;
mod shrink;
mod tiers;
mod traffic;
mod world;

pub use faults::{Faults, OriginFault};
pub use hostile::hostile;
pub use invariants::Violation;
pub use report::{Cycle, Report, SLOW, Second};
pub use rule::rule_cycles;
pub use scenario::{Burst, Outage, Scenario, Strategy};
pub use shrink::{shrunk, transcript};
pub use world::{World, run};
