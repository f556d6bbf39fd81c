//! The Worker: it performs what the core decides.
//!
//! [`handle`] is the whole of it; an embedder calls it from its own handler and re-exports the two
//! Durable Object classes. The deployed Worker is [`handle`] and nothing else.
//!
//! | module | what it is |
//! |---|---|
//! | `router` | which path means what |
//! | `handler` | the deployed Worker's way in |
//! | `glue` | calls into JavaScript that do the work of many |
//! | `head` | what a request's head says, in one number |
//! | `cached` | a cached route: the request's checks, the verdict, the answer |
//! | `answers` | keys and answers kept ready |
//! | `driver` | performs the actions of [`crate::refresh`] |
//! | `waiting` | performs the actions of [`crate::cold`], for a request with nothing to serve |
//! | `together` | what one request does for all of its isolate |
//! | `colo` | the Cache API tier |
//! | `origin` | calls to the origin |
//! | `forward` | requests that pass uncached |
//! | `platform` | what the platform gives beside the web's own types |
//! | `stub` | messages to a key's object |
//! | `lease_object`, `metrics_object` | the two Durable Objects |
//! | `flush` | counters on their way to the metrics object |
//! | `admin` | everything under `/_xfetch/` |
//! | `isolate` | what one isolate keeps between requests |
//! | `reply`, `body`, `timer` | answers, bodies, time-outs |

mod admin;
mod answers;
mod body;
mod cached;
mod colo;
mod driver;
mod flush;
mod forward;
mod glue;
#[cfg(feature = "handler")]
mod handler;
mod head;
mod isolate;
mod lease_object;
mod metrics_object;
mod origin;
mod platform;
mod reply;
mod router;
mod stub;
mod timer;
mod together;
mod waiting;

pub use lease_object::RefreshLease;
pub use metrics_object::Metrics;
pub use router::handle;
