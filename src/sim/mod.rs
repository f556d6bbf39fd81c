//! A simulated world, deterministic from one seed: colos with isolates, one object per key, a network, an
//! origin and traffic, on one virtual clock.
//!
//! The tasks and the objects are the deployed ones, down to the bytes that they send and store; only the
//! world around them is simulated. With [`Faults`], messages are lost, repeated and late, stored bytes are
//! corrupted, tasks are cut off and clocks step, and the protocol's invariants are checked after every step.
//! The same [`Scenario`] can be run with other strategies on the same arrivals, to compare their costs.
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
