//! The response to what a request's task has served.

use std::sync::Arc;

use web_sys::Response;

use super::{
    context::RequestContext, globals, keyed_request::KeyedRequest, metrics_sender, problem::Problem, response,
};
use crate::{
    core::{
        config::Route,
        entry::Entry,
        http::{self, CacheStatus, Ranges},
        time::{Instant, Span},
    },
    isolate::{
        computation::Computed,
        key_memo::RawRequest,
        metrics::Spent,
        served::{Answered, Served},
        step::Done,
    },
};

/// The response to what a task has served, counted.
/// `started` is when the reading of the body began.
pub(super) fn respond(
    keyed: &KeyedRequest,
    raw: Option<&RawRequest>,
    done: Done,
    started: Instant,
    now: Instant,
) -> Response {
    let served = match done {
        Done::Served(served) => served,
        // No other task answers a client.
        Done::Nothing | Done::Purged(_) | Done::Varies(_) | Done::Forward => Served::unavailable(),
    };
    let response = match served.answer {
        Answered::Entry { entry, status } => entry_response(keyed, raw, &entry, status, now),
        Answered::Uncached(computed) => uncached(&keyed.route, &computed),
        Answered::Refusal { status, content_type, body } => {
            refusal(status, &content_type, &body, CacheStatus::Miss)
        }
        Answered::Failed { reason, retry_after } => {
            Problem::of(reason, retry_after).cache_status(CacheStatus::Miss).response()
        }
        Answered::TooManyWaiters => {
            let problem = Problem::new(503, "too_many_waiters", "Too many requests wait for this answer.");
            problem.retry_after(Span::SECOND).cache_status(CacheStatus::Miss).response()
        }
        Answered::NotCached => {
            let detail = "Nothing is stored that the request accepts, and it wants no computation.";
            Problem::new(504, "only_if_cached", detail).cache_status(CacheStatus::Miss).response()
        }
        Answered::Unavailable => Problem::unavailable().cache_status(CacheStatus::Miss).response(),
    };
    globals::with(|globals| {
        globals.flusher.spend(&keyed.route.path, keyed.request.partition.tenant(), Spent::REQUEST);
    });
    metrics_sender::answered(&keyed.context, served.class, started, now);
    response
}

/// A 4xx of the origin: as it was, if it is JSON, as its content type says then; else only its status.
fn refusal(status: u16, content_type: &str, body: &str, cache_status: CacheStatus) -> Response {
    if !http::is_json(content_type) {
        return Problem::new(status, "origin_refused", "The origin refuses this request.")
            .cache_status(cache_status)
            .response();
    }
    let headers = response::headers(&[
        ("content-type", content_type),
        ("cache-control", "no-store"),
        ("cache-status", &cache_status.value()),
        ("x-content-type-options", "nosniff"),
    ]);
    response::with_text(status, &headers, body)
}

fn uncached(route: &Route, computed: &Computed) -> Response {
    if route.origin_policy().is_some() {
        return response::passed(route, computed);
    }
    if computed.is_refusal() {
        let content_type = http::value(&computed.headers, "content-type").unwrap_or_default();
        let body = str::from_utf8(&computed.body).unwrap_or_default();
        return refusal(computed.status, content_type, body, CacheStatus::Bypass);
    }
    let headers =
        response::headers(&[("cache-control", "no-store"), ("cache-status", &CacheStatus::Bypass.value())]);
    for (name, value) in &computed.headers {
        response::set(&headers, name, value);
    }
    response::with_bytes(computed.status, &headers, &computed.body)
}

fn entry_response(
    keyed: &KeyedRequest,
    raw: Option<&RawRequest>,
    entry: &Arc<Entry>,
    status: CacheStatus,
    now: Instant,
) -> Response {
    let (context, route, flags) = (&keyed.context, &keyed.route, keyed.context.flags);
    if is_held(context, entry, now) {
        return response::not_modified(route, entry, status, now);
    }
    if flags.is_head() {
        return response::head_of_entry(route, entry, status, now);
    }
    if flags.has_range()
        && let Some(partial) = partial(keyed, entry, status, now)
    {
        return partial;
    }
    let prepared = raw.and_then(|raw| {
        globals::with(|globals| Some(globals.memo.get(raw)?.response(route, entry, status, now)))
    });
    prepared.unwrap_or_else(|| response::of_entry(route, entry, status, now))
}

/// Whether the client holds this entry: `If-None-Match` decides, and `If-Modified-Since` only without it (RFC 9110,
/// section 13.2.2).
fn is_held(context: &RequestContext, entry: &Entry, now: Instant) -> bool {
    // Conditions are for answers that would be good without them (RFC 9110, section 13.2.1).
    if !(200..300).contains(&entry.status) {
        return false;
    }
    if context.flags.has_none_match() {
        return context
            .header("if-none-match")
            .is_some_and(|field| http::none_match_names(&field, entry.validator()));
    }
    context.flags.has_modified_since()
        && context
            .header("if-modified-since")
            // Without `Last-Modified` the date of the answer counts (RFC 9111, section 4.3.2).
            .zip(entry.header("last-modified").or(entry.header("date")))
            .is_some_and(|(field, modified)| http::is_unmodified_since(&field, modified, now))
}

/// The parts of an entry that the request's `Range` asks for; `None` if the whole is the answer.
fn partial(keyed: &KeyedRequest, entry: &Entry, status: CacheStatus, now: Instant) -> Option<Response> {
    let context = &keyed.context;
    if entry.status != 200 {
        return None;
    }
    if let Some(field) = context.header("if-range")
        && !http::range_applies(&field, entry.validator(), entry.header("last-modified"))
    {
        return None;
    }
    match http::ranges(&context.header("range")?, entry.body.len()) {
        Ranges::Whole => None,
        Ranges::Parts(parts) => Some(response::parts_of_entry(&keyed.route, entry, &parts, status, now)),
        Ranges::Unsatisfiable => {
            let detail = "The answer has no such part.";
            let problem = Problem::new(416, "range_not_satisfiable", detail);
            let length = format!("bytes */{}", entry.body.len());
            Some(problem.header("content-range", length).cache_status(status).response())
        }
    }
}
