//! A cached route, from the request's first check to the answer.

use std::{rc::Rc, sync::Arc};

use web_sys::Response;

use super::{
    body::{self, Unread},
    driver::Job,
    forward, isolate,
    platform::Task,
    reply,
    reply::Problem,
    router::{self, Visit},
    timer,
};
use crate::{
    cold::Outcome,
    config::{Config, Credentials, OBJECT_TIMEOUT, Route},
    entry::Entry,
    failure::{Failure, Reason},
    host,
    http::{self, CacheStatus},
    key::{self, Key, Scope},
    lookup::Verdict,
    marks::Blocked,
    metrics::{Class, Fact},
    refresh::{Computed, Purpose},
    time::Millis,
};

/// How long a client may take to send its body.
const BODY_TIMEOUT: Millis = Millis(10_000);

/// Answers a request to a cached route, and counts it.
pub(super) async fn answer(visit: &Rc<Visit>, route: Rc<Route>) -> Response {
    let started = host::now();
    let (class, response) = match refuse_or_bypass(visit, &route) {
        Gate::Options => return options(visit, &route),
        Gate::Refused(problem) => (Class::Rejected, problem.response()),
        Gate::Bypass => {
            let origin = visit.config.origin_of(Some(&route));
            (Class::Bypass, forward::forward(visit, origin, &route.path).await)
        }
        Gate::Open => match job(visit, route).await {
            Err(problem) => (Class::Rejected, problem.response()),
            Ok(job) => serve(&job).await,
        },
    };
    visit.answered(class, host::now().minus(started));
    response
}

enum Gate {
    Options,
    Refused(Problem),
    Bypass,
    Open,
}

/// The checks that need no body.
fn refuse_or_bypass(visit: &Visit, route: &Route) -> Gate {
    match visit.request.method().as_str() {
        "POST" => {}
        "OPTIONS" => return Gate::Options,
        _ => {
            return Gate::Refused(
                Problem::new(405, "method_not_allowed", "This path is asked by POST.")
                    .header("allow", "POST, OPTIONS".to_owned()),
            );
        }
    }
    if visit.target.query().is_some() {
        return Gate::Refused(Problem::new(400, "query_not_allowed", "This path takes no query."));
    }
    let has = |name: &str| visit.headers.has(name).unwrap_or(false);
    let has_credentials =
        has("authorization") || has("cookie") || route.credential_headers.iter().any(|name| has(name));
    if has_credentials {
        match route.credentials {
            Credentials::Bypass => return Gate::Bypass,
            Credentials::Refuse => {
                return Gate::Refused(Problem::new(
                    403,
                    "credentials_not_allowed",
                    "This path takes no credentials.",
                ));
            }
            Credentials::Ignore => {}
        }
    }
    let is_plain_json = visit.header("content-type").is_some_and(|it| http::is_json(&it));
    let is_encoded = visit.header("content-encoding").is_some_and(|it| it != "identity");
    if !is_plain_json || is_encoded {
        return Gate::Refused(Problem::new(
            415,
            "unsupported_media_type",
            "The body must be application/json in UTF-8, without a content encoding.",
        ));
    }
    Gate::Open
}

/// `OPTIONS`: what is allowed, and to whom.
fn options(visit: &Visit, route: &Route) -> Response {
    let headers = reply::headers(&[("allow", "POST, OPTIONS")]);
    if router::allowed_origin(visit).is_some() {
        let mut names = vec!["content-type"];
        names.extend(route.headers.iter().map(String::as_str));
        reply::set(&headers, "access-control-allow-methods", "POST, OPTIONS");
        reply::set(&headers, "access-control-allow-headers", &names.join(", "));
        reply::set(&headers, "access-control-max-age", "600");
    }
    reply::empty(204, &headers)
}

/// Reads the body and makes the key.
async fn job(visit: &Rc<Visit>, route: Rc<Route>) -> Result<Rc<Job>, Problem> {
    let bytes = read_body(visit, &route).await?;
    let body = key::canonical_body(&bytes, route.fields.as_deref())
        .map_err(|why| Problem::new(400, "bad_body", why.to_string()))?;
    let headers: Vec<(String, Option<String>)> =
        route.headers.iter().map(|name| (name.clone(), visit.header(name))).collect();
    let key = key_of(&visit.config, &route, &headers, &body);
    Ok(Rc::new(Job { visit: Rc::clone(visit), route, key, body, headers }))
}

async fn read_body(visit: &Rc<Visit>, route: &Route) -> Result<Vec<u8>, Problem> {
    let most = route.max_request as usize;
    let announced = visit.header("content-length").and_then(|it| it.parse::<u64>().ok());
    let reading: Task<_> = match announced {
        Some(length) if length > most as u64 => return Err(too_large(most)),
        Some(_) => Box::pin(body::read_announced(visit.request.array_buffer(), most)),
        None => Box::pin(body::read(visit.request.body(), most)),
    };
    match timer::within(BODY_TIMEOUT, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Unread::TooLarge)) => Err(too_large(most)),
        Ok(Err(Unread::Broken)) => Err(Problem::new(400, "bad_body", "The body could not be read.")),
        Err(_) => Err(Problem::new(408, "body_too_slow", "The body did not arrive in time.")),
    }
}

fn too_large(most: usize) -> Problem {
    Problem::new(413, "body_too_large", format!("The body may have {most} bytes at most."))
}

/// The key of a canonical body on a route.
pub(super) fn key_of(
    config: &Config,
    route: &Route,
    headers: &[(String, Option<String>)],
    body: &str,
) -> Key {
    let scope = Scope {
        version: &config.cache_version,
        route: config.origin_of(Some(route)).map_or("ORIGIN", |origin| origin.as_str()),
        method: "POST",
        path: &route.path,
        headers,
    };
    key::key(&scope, body)
}

/// The verdict of what memory holds, and on whatever it is.
fn judge(job: &Job, entry: Option<&Arc<Entry>>, now: Millis) -> Verdict {
    isolate::with(|isolate| {
        let draw = isolate.dice.draw();
        isolate.local.judge(&job.key.hash, &job.route, entry.map(|it| &**it), now, draw)
    })
}

async fn serve(job: &Rc<Job>) -> (Class, Response) {
    let none_match = job.visit.header("if-none-match");
    let arrived = host::now();
    let found = isolate::with(|isolate| isolate.local.arrived(&job.key, &job.route, arrived));
    let verdict = judge(job, found.as_ref(), arrived);
    let (found, verdict, owner) = match verdict {
        Verdict::Fresh | Verdict::RefreshEarly => (found, verdict, None),
        // What is stale here may have been refreshed elsewhere in the colo. One request asks.
        Verdict::Stale => match begin_look_up(job) {
            Err(_) => (found, verdict, None),
            Ok(owner) => {
                let found = job.look_up_both(found, arrived).await;
                let verdict = judge(job, found.as_ref(), arrived);
                (found, verdict, Some(owner))
            }
        },
        Verdict::Miss { .. } => {
            let found = job.look_up_both(found, arrived).await;
            let verdict = judge(job, found.as_ref(), arrived);
            (found, verdict, None)
        }
    };
    if let Some(owner) = owner {
        isolate::with(|isolate| isolate.local.marks.end(&job.key.hash, owner));
    }
    match (found, verdict) {
        (Some(entry), Verdict::Fresh) => hit(job, &entry, false, none_match.as_deref()),
        (Some(entry), Verdict::RefreshEarly) => {
            trigger(job, &entry, Purpose::Early);
            hit(job, &entry, false, none_match.as_deref())
        }
        (Some(entry), Verdict::Stale) => {
            trigger(job, &entry, Purpose::Stale);
            hit(job, &entry, true, none_match.as_deref())
        }
        (found, Verdict::Miss { usable_on_error }) => {
            let outcome = job.run_cold(found.as_ref(), usable_on_error).await;
            tell(job, outcome, none_match.as_deref()).await
        }
        (None, Verdict::Fresh | Verdict::RefreshEarly | Verdict::Stale) => {
            unreachable!("nothing is judged a miss")
        }
    }
}

/// One request at a time asks the colo for what is stale in memory.
fn begin_look_up(job: &Job) -> Result<u64, Blocked> {
    isolate::with(|isolate| isolate.local.begin(job.key.hash, host::now(), OBJECT_TIMEOUT))
}

/// A trigger: a refresh behind the answer, or the reason why there is none.
fn trigger(job: &Rc<Job>, entry: &Entry, purpose: Purpose) {
    let begun = isolate::with(|isolate| isolate.local.trigger(job.key.hash, &job.route, host::now()));
    match begun {
        Ok(owner) => job.refresh_behind(entry, purpose, owner),
        Err(trigger) => isolate::count(Fact::Triggered { purpose, trigger }),
    }
}

/// An entry as it was judged: a clock that has stepped can make one stale before its expiry.
fn hit(job: &Job, entry: &Entry, is_stale: bool, none_match: Option<&str>) -> (Class, Response) {
    let ttl = if is_stale { remaining(entry).min(-1) } else { remaining(entry) };
    let class = if is_stale { Class::HitStale } else { Class::HitFresh };
    (class, entry_response(job, entry, CacheStatus::Hit { ttl, is_stale }, none_match))
}

/// Whole seconds until expiry, negative after it.
fn remaining(entry: &Entry) -> i64 {
    let (now, expiry) = (host::now(), entry.expiry());
    if now < expiry {
        i64::try_from(expiry.minus(now).0 / 1_000).unwrap_or(i64::MAX)
    } else {
        -i64::try_from(now.minus(expiry).whole_seconds_up()).unwrap_or(i64::MAX)
    }
}

async fn tell(job: &Rc<Job>, outcome: Outcome, none_match: Option<&str>) -> (Class, Response) {
    let miss = |entry: &Entry, status| (Class::Miss, entry_response(job, entry, status, none_match));
    match outcome {
        Outcome::Computed(entry, true) => miss(&entry, CacheStatus::Stored),
        Outcome::Computed(entry, false) => miss(&entry, CacheStatus::Miss),
        Outcome::Collapsed(entry) => miss(&entry, CacheStatus::Collapsed),
        Outcome::Hit(entry) => {
            let verdict = judge(job, Some(&entry), host::now());
            match verdict {
                Verdict::RefreshEarly => trigger(job, &entry, Purpose::Early),
                Verdict::Stale => trigger(job, &entry, Purpose::Stale),
                Verdict::Fresh | Verdict::Miss { .. } => {}
            }
            hit(job, &entry, verdict == Verdict::Stale, none_match)
        }
        Outcome::Fallback(entry) => fall_back(job, &entry, none_match),
        Outcome::Passed(computed) => (Class::Miss, uncached_response(&computed)),
        Outcome::Uncached(fallback) => match (job.compute(Purpose::Cold).await, fallback) {
            (Ok(computed), _) => (Class::Miss, uncached_response(&computed)),
            (Err(Failure::Transient { .. } | Failure::GivenBack), Some(entry))
                if entry.generation >= job.floor().hard =>
            {
                fall_back(job, &entry, none_match)
            }
            (Err(failure), _) => tell_failure(failure),
        },
        Outcome::Negative { status, content_type, body } => {
            (Class::Miss, negative(status, &content_type, &body))
        }
        Outcome::Failed { reason, retry_after } => failed(reason, retry_after),
        Outcome::TooManyWaiters => {
            let problem = Problem::new(503, "too_many_waiters", "Too many requests wait for this answer.");
            (Class::Rejected, problem.retry_after(Millis::SECOND).cache_status(CacheStatus::Miss).response())
        }
        Outcome::Unavailable => {
            let problem = Problem::new(503, "coordination_unavailable", "The cache cannot coordinate now.");
            (Class::Miss, problem.retry_after(Millis::SECOND).cache_status(CacheStatus::Miss).response())
        }
        Outcome::TimedOut => failed(Reason::OriginTimeout, Millis::SECOND),
    }
}

fn fall_back(job: &Job, entry: &Entry, none_match: Option<&str>) -> (Class, Response) {
    let status = CacheStatus::FellBack { ttl: remaining(entry).min(-1) };
    (Class::HitStale, entry_response(job, entry, status, none_match))
}

fn tell_failure(failure: Failure) -> (Class, Response) {
    match failure {
        Failure::Transient { reason, retry_after } => failed(reason, retry_after.unwrap_or(Millis::SECOND)),
        Failure::Negative { status, content_type, body, .. } => {
            (Class::Miss, negative(status, &content_type, &body))
        }
        Failure::Pass | Failure::GivenBack => failed(Reason::TooManyOriginCalls, Millis::SECOND),
    }
}

fn failed(reason: Reason, retry_after: Millis) -> (Class, Response) {
    let class = if reason == Reason::TooManyOriginCalls { Class::Rejected } else { Class::Miss };
    (class, Problem::of(reason, retry_after).cache_status(CacheStatus::Miss).response())
}

/// The origin's considered no, as it was, if it is JSON; else only its status.
fn negative(status: u16, content_type: &str, body: &str) -> Response {
    if !http::is_json(content_type) {
        return Problem::new(status, "origin_refused", "The origin refuses this request.")
            .cache_status(CacheStatus::Miss)
            .response();
    }
    let headers = reply::headers(&[
        ("content-type", content_type),
        ("cache-control", "no-store"),
        ("cache-status", &CacheStatus::Miss.value()),
        ("x-content-type-options", "nosniff"),
    ]);
    reply::with_text(status, &headers, body)
}

fn uncached_response(computed: &Computed) -> Response {
    let headers =
        reply::headers(&[("cache-control", "no-store"), ("cache-status", &CacheStatus::Bypass.value())]);
    for (name, value) in &computed.headers {
        reply::set(&headers, name, value);
    }
    reply::with_bytes(computed.status, &headers, &computed.body)
}

fn entry_response(job: &Job, entry: &Entry, status: CacheStatus, none_match: Option<&str>) -> Response {
    let headers = reply::headers(&[]);
    for (name, value) in &entry.headers {
        reply::set(&headers, name, value);
    }
    reply::set(&headers, "age", &(entry.age(host::now()).0 / 1_000).to_string());
    reply::set(&headers, "etag", &entry.etag);
    reply::set(&headers, "cache-control", &job.route.cache_control);
    reply::set(&headers, "cache-status", &status.value());
    if none_match.is_some_and(|field| http::none_match_names(field, &entry.etag)) {
        return reply::empty(304, &headers);
    }
    reply::with_bytes(entry.status, &headers, &entry.body)
}
