//! The Worker: it performs what the core decides.
//!
//! [`handle`] is the whole of it; an embedder calls it from its own handler and re-exports the two
//! Durable Object classes. The deployed Worker is [`handle`] and nothing else.
//!
//! | module | what it is |
//! |---|---|
//! | `router` | which path means what |
//! | `cached` | a cached route: the request's checks, the verdict, the answer |
//! | `driver` | performs the actions of [`crate::refresh`] and [`crate::cold`] |
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
mod body;
mod cached;
mod colo;
mod driver;
mod flush;
mod forward;
mod isolate;
mod lease_object;
mod metrics_object;
mod origin;
mod platform;
mod reply;
mod router;
mod stub;
mod timer;

pub use lease_object::RefreshLease;
pub use metrics_object::Metrics;
pub use router::handle;

#[cfg(feature = "handler")]
#[worker::event(fetch)]
async fn fetch(
    request: web_sys::Request,
    env: worker::Env,
    context: worker::Context,
) -> worker::Result<web_sys::Response> {
    console_error_panic_hook::set_once();
    Ok(handle(request, env, context).await)
}
