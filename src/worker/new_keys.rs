//! Bounds the requests for keys that memory does not hold, on a route that says so.

use super::{globals, keyed_request::KeyedRequest, platform::clock, problem::Problem};
use crate::{
    core::{config::Route, time::Instant},
    isolate::metrics::{MetricEvent, Refusal},
};

/// Whose count questions about credentials are: they come before it is known who asks. No tenant has this name.
const NOT_KNOWN_YET: &str = "?\n";

/// Counts a request of a tenant, or without one of all clients, for this key; returns whether it was counted.
///
/// # Errors
/// There were too many of them in this minute.
pub(super) fn enter(keyed: &KeyedRequest, tenant: Option<&str>, now: Instant) -> Result<bool, Problem> {
    enter_for(&keyed.route, keyed, tenant.unwrap_or_default(), now)
}

/// Counts a question about a credential, on the route that needs the answer.
///
/// # Errors
/// There were too many of them in this minute.
pub(super) fn enter_question(route: &Route, question: &KeyedRequest) -> Result<(), Problem> {
    enter_for(route, question, NOT_KNOWN_YET, clock::now()).map(|_| ())
}

fn enter_for(route: &Route, keyed: &KeyedRequest, tenant: &str, now: Instant) -> Result<bool, Problem> {
    let Some(most) = route.max_new_keys else { return Ok(false) };
    let key = &keyed.request.key;
    let entered = globals::with(|globals| match globals.state.memory.peek(&key.hash, &key.text, now) {
        Some(_) => Ok(false),
        None => globals.new_keys.enter(&route.path, tenant, most, now).map(|()| true),
    });
    entered.map_err(|wait| {
        globals::count(MetricEvent::Refused(Refusal::TooManyNewKeys));
        let detail = "There are too many requests for answers that are not held.";
        Problem::new(429, "too_many_new_keys", detail).retry_after(wait)
    })
}
