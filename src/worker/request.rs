//! A cached route, from the request's first check to the answer.

use std::{rc::Rc, sync::Arc};

use web_sys::Response;

use super::{
    body::{self, Unread},
    driver::{Asked, Job},
    isolate,
    platform::bindings::Task,
    prepared::Known,
    response,
    response::Problem,
    router::{self, Step, Visit, Wait},
    timer,
};
use crate::{
    core::{
        config::{Config, Credentials, OBJECT_TIMEOUT, Route},
        entry::Entry,
        failure::{Failure, Reason},
        freshness::Verdict,
        http::{self, CacheStatus},
        key::{self, Key, MAX_FIELD, Scope},
        time::{Instant, Span},
    },
    isolate::{
        key_memo::Question,
        metrics::{MetricEvent, ServedAs},
        miss::Outcome,
        refresh::{Computed, Purpose},
        refresh_gate::Blocked,
    },
    worker::platform::clock,
};

/// How long a client may take to send its body.
const BODY_TIMEOUT: Span = Span(10_000);

/// The checks that need no body, for the route in this place.
pub(super) fn begin(visit: &Visit, place: usize) -> Step {
    let (head, route) = (visit.head, &visit.config.routes[place]);
    if head.is_options() {
        return Step::Answer(options(visit, route));
    }
    if head.has_credentials() && head.is_post() && visit.target().query().is_none() {
        let headers = visit.request.headers();
        let has = |name: &str| headers.has(name).unwrap_or(false);
        if has("authorization") || has("cookie") || route.credential_headers.iter().any(|name| has(name)) {
            match route.credentials {
                Credentials::Bypass => return Step::Wait(Wait::Bypass(Rc::clone(route))),
                Credentials::Refuse => {
                    let detail = "This path takes no credentials.";
                    return refused(visit, &Problem::new(403, "credentials_not_allowed", detail));
                }
                Credentials::Ignore => {}
            }
        }
    }
    match unacceptable(visit, route) {
        Some(problem) => refused(visit, &problem),
        None => Step::Read(place),
    }
}

fn refused(visit: &Visit, problem: &Problem) -> Step {
    visit.answered(ServedAs::Rejected, clock::now());
    Step::Answer(problem.response())
}

/// What is wrong with a request's head, if anything.
fn unacceptable(visit: &Visit, route: &Route) -> Option<Problem> {
    let head = visit.head;
    if !head.is_post() {
        let problem = Problem::new(405, "method_not_allowed", "This path is asked by POST.");
        return Some(problem.header("allow", "POST, OPTIONS".to_owned()));
    }
    if visit.target().query().is_some() {
        return Some(Problem::new(400, "query_not_allowed", "This path takes no query."));
    }
    let is_plain_json =
        head.has_json_type() || visit.header("content-type").is_some_and(|it| http::is_json(&it));
    let is_encoded =
        head.has_content_encoding() && visit.header("content-encoding").is_some_and(|it| it != "identity");
    if !is_plain_json || is_encoded {
        let detail = "The body must be application/json in UTF-8, without a content encoding.";
        return Some(Problem::new(415, "unsupported_media_type", detail));
    }
    (head.length() > Some(u64::from(route.max_request))).then(|| too_large(route))
}

/// `OPTIONS`: what is allowed, and to whom.
fn options(visit: &Visit, route: &Route) -> Response {
    let headers = response::headers(&[("allow", "POST, OPTIONS")]);
    if router::allowed_origin(visit).is_some() {
        let mut names = vec!["content-type"];
        names.extend(route.headers.iter().map(String::as_str));
        response::set(&headers, "access-control-allow-methods", "POST, OPTIONS");
        response::set(&headers, "access-control-allow-headers", &names.join(", "));
        response::set(&headers, "access-control-max-age", "600");
    }
    response::empty(204, &headers)
}

/// Answers a request to a cached route, and counts it.
pub(super) async fn answer(visit: &Rc<Visit>, place: usize) -> Response {
    let started = clock::now();
    let body = read_body(visit, &visit.config.routes[place]).await;
    match answer_now(visit, place, body, started) {
        Ok(response) => response,
        Err(later) => later.answer().await,
    }
}

async fn read_body(visit: &Rc<Visit>, route: &Route) -> Result<Vec<u8>, Unread> {
    let most = route.max_request as usize;
    let reading: Task<_> = match visit.head.length() {
        Some(_) => Box::pin(body::read_announced(visit.request.array_buffer(), most)),
        None => Box::pin(body::read(visit.request.body(), most)),
    };
    timer::within(BODY_TIMEOUT, reading).await.unwrap_or(Err(Unread::TooSlow))
}

fn too_large(route: &Route) -> Problem {
    let detail = format!("The body may have {} bytes at most.", route.max_request);
    Problem::new(413, "body_too_large", detail)
}

/// A request that cannot be answered from memory alone.
pub(super) struct Later {
    job: Rc<Job>,
    found: Option<Arc<Entry>>,
    /// The mark of the look into the colo that this request was chosen for.
    owner: Option<u64>,
    started: Instant,
    arrived: Instant,
}

/// Answers what memory alone can: a bad body, what is fresh, and what is stale unless this request is the one
/// that looks into the colo first.
pub(super) fn answer_now(
    visit: &Rc<Visit>,
    place: usize,
    body: Result<Vec<u8>, Unread>,
    started: Instant,
) -> Result<Response, Later> {
    let route = &visit.config.routes[place];
    let asked = body.map_err(|why| unread(why, route)).and_then(|body| ask(visit, place, body));
    let (asked, question) = match asked {
        Ok(asked) => asked,
        Err(problem) => {
            visit.answered(ServedAs::Rejected, started);
            return Ok(problem.response());
        }
    };
    let job = Rc::new(Job { visit: Rc::clone(visit), route: Rc::clone(route), asked, question });
    let arrived = clock::now();
    let (found, verdict) = isolate::with(|isolate| {
        let found = isolate.local.arrived(&job.asked.key, route, arrived);
        let draw = isolate.dice.draw();
        let verdict = isolate.local.judge(&job.asked.key.hash, route, found.as_deref(), arrived, draw);
        (found, verdict)
    });
    let entry = match (found, verdict) {
        (Some(entry), Verdict::Fresh) => entry,
        (Some(entry), Verdict::RefreshEarly) => {
            trigger(&job, &entry, Purpose::Early);
            entry
        }
        // What is stale here may have been refreshed elsewhere in the colo. One request asks.
        (Some(entry), Verdict::Stale) => match begin_look_up(&job) {
            Ok(owner) => return Err(Later { job, found: Some(entry), owner: Some(owner), started, arrived }),
            Err(_) => {
                trigger(&job, &entry, Purpose::Stale);
                entry
            }
        },
        (found, _) => return Err(Later { job, found, owner: None, started, arrived }),
    };
    let (class, response) = hit(&job, &entry, verdict == Verdict::Stale, arrived);
    visit.answered(class, started);
    Ok(response)
}

fn unread(why: Unread, route: &Route) -> Problem {
    match why {
        Unread::TooLarge => too_large(route),
        Unread::Broken => Problem::new(400, "bad_body", "The body could not be read."),
        Unread::TooSlow => Problem::new(408, "body_too_slow", "The body did not arrive in time."),
    }
}

/// What is asked, remembered or worked out.
fn ask(visit: &Visit, place: usize, body: Vec<u8>) -> Result<(Rc<Asked>, Option<Question>), Problem> {
    let route = &visit.config.routes[place];
    let headers = route.headers.iter().map(|name| (name.clone(), visit.header(name))).collect();
    let question = Question { route: place, headers, body };
    if let Some(asked) = isolate::with(|isolate| Some(Rc::clone(&isolate.recent.get(&question)?.asked))) {
        return Ok((asked, Some(question)));
    }
    let is_long =
        |(_, value): &(String, Option<String>)| value.as_ref().is_some_and(|it| it.len() > MAX_FIELD);
    if let Some((name, _)) = question.headers.iter().find(|it| is_long(it)) {
        let detail = format!("The header {name} may have {MAX_FIELD} bytes at most.");
        return Err(Problem::new(431, "header_too_large", detail));
    }
    let body = key::canonical_body(&question.body, route.fields.as_deref())
        .map_err(|why| Problem::new(400, "bad_body", why.to_string()))?;
    let key = key_of(&visit.config, route, &question.headers, &body);
    let asked = Rc::new(Asked { key, body, headers: question.headers.clone() });
    let known = Known::new(Rc::clone(&asked));
    let is_remembered = isolate::with(|isolate| isolate.recent.put(&question, known));
    Ok((asked, is_remembered.then_some(question)))
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

impl Later {
    /// Looks further: into the colo, then to the key's object and the origin.
    pub(super) async fn answer(self) -> Response {
        let Self { job, found, owner, started, arrived } = self;
        // Nobody waits for another one's look who has something in hand.
        let in_colo = match owner {
            Some(_) => job.look_up_colo().await,
            None => job.look_up_colo_together().await,
        };
        let found = job.newest(in_colo, found, arrived);
        if let Some(owner) = owner {
            isolate::with(|isolate| isolate.local.marks.end(&job.asked.key.hash, owner));
        }
        let (class, response) = serve(&job, found, arrived).await;
        job.visit.answered(class, started);
        response
    }
}

/// The verdict on an entry that was found beyond memory.
fn judge(job: &Job, entry: Option<&Entry>, now: Instant) -> Verdict {
    isolate::with(|isolate| {
        let draw = isolate.dice.draw();
        isolate.local.judge(&job.asked.key.hash, &job.route, entry, now, draw)
    })
}

async fn serve(job: &Rc<Job>, found: Option<Arc<Entry>>, arrived: Instant) -> (ServedAs, Response) {
    let verdict = judge(job, found.as_deref(), arrived);
    match (found, verdict) {
        (None, _) => {
            let outcome = job.run_cold(None, false).await;
            tell(job, outcome).await
        }
        (found, Verdict::Miss { usable_on_error }) => {
            let outcome = job.run_cold(found.as_ref(), usable_on_error).await;
            tell(job, outcome).await
        }
        (Some(entry), verdict) => {
            trigger_by(job, &entry, verdict);
            hit(job, &entry, verdict == Verdict::Stale, clock::now())
        }
    }
}

/// One request at a time asks the colo for what is stale in memory.
fn begin_look_up(job: &Job) -> Result<u64, Blocked> {
    isolate::with(|isolate| isolate.local.begin(job.asked.key.hash, clock::now(), OBJECT_TIMEOUT))
}

/// A trigger: a refresh behind the answer, or the reason why there is none.
fn trigger(job: &Rc<Job>, entry: &Entry, purpose: Purpose) {
    let begun = isolate::with(|isolate| isolate.local.trigger(job.asked.key.hash, &job.route, clock::now()));
    match begun {
        Ok(owner) => job.refresh_behind(entry, purpose, owner),
        Err(trigger) => isolate::count(MetricEvent::Triggered { purpose, trigger }),
    }
}

/// The trigger that a verdict asks for, if it does.
fn trigger_by(job: &Rc<Job>, entry: &Entry, verdict: Verdict) {
    match verdict {
        Verdict::RefreshEarly => trigger(job, entry, Purpose::Early),
        Verdict::Stale => trigger(job, entry, Purpose::Stale),
        Verdict::Fresh | Verdict::Miss { .. } => {}
    }
}

/// An entry as it was judged: a clock that has stepped can make one stale before its expiry.
fn hit(job: &Job, entry: &Arc<Entry>, is_stale: bool, now: Instant) -> (ServedAs, Response) {
    let ttl = if is_stale { remaining(entry, now).min(-1) } else { remaining(entry, now) };
    let class = if is_stale { ServedAs::HitStale } else { ServedAs::HitFresh };
    let status = CacheStatus::Hit { ttl, is_stale };
    (class, entry_response(job, entry, status, now))
}

/// Whole seconds until expiry, negative after it.
fn remaining(entry: &Entry, now: Instant) -> i64 {
    let expiry = entry.expiry();
    if now < expiry {
        i64::try_from(expiry.since(now).0 / 1_000).unwrap_or(i64::MAX)
    } else {
        -i64::try_from(now.since(expiry).whole_seconds_up()).unwrap_or(i64::MAX)
    }
}

async fn tell(job: &Rc<Job>, outcome: Outcome) -> (ServedAs, Response) {
    let miss = |entry, status| (ServedAs::Miss, entry_response(job, entry, status, clock::now()));
    match outcome {
        Outcome::Computed(entry, true) => miss(&entry, CacheStatus::Stored),
        Outcome::Computed(entry, false) => miss(&entry, CacheStatus::Miss),
        Outcome::Collapsed(entry) => miss(&entry, CacheStatus::Collapsed),
        Outcome::Hit(entry) => {
            let verdict = judge(job, Some(&entry), clock::now());
            trigger_by(job, &entry, verdict);
            hit(job, &entry, verdict == Verdict::Stale, clock::now())
        }
        Outcome::Fallback(entry) => fall_back(job, &entry),
        Outcome::Passed(computed) => (ServedAs::Miss, uncached_response(&computed)),
        Outcome::Uncached(fallback) => match (job.compute(Purpose::Cold).await, fallback) {
            (Ok(computed), _) => (ServedAs::Miss, uncached_response(&computed)),
            (Err(Failure::Transient { .. } | Failure::GivenBack), Some(entry))
                if entry.generation >= job.floor().hard =>
            {
                fall_back(job, &entry)
            }
            (Err(failure), _) => tell_failure(failure),
        },
        Outcome::Negative { status, content_type, body } => {
            (ServedAs::Miss, negative(status, &content_type, &body, CacheStatus::Miss))
        }
        Outcome::Failed { reason, retry_after } => failed(reason, retry_after),
        Outcome::TooManyWaiters => {
            let problem = Problem::new(503, "too_many_waiters", "Too many requests wait for this answer.");
            (ServedAs::Rejected, problem.retry_after(Span::SECOND).cache_status(CacheStatus::Miss).response())
        }
        Outcome::Unavailable => {
            (ServedAs::Miss, Problem::unavailable().cache_status(CacheStatus::Miss).response())
        }
        Outcome::TimedOut => failed(Reason::OriginTimeout, Span::SECOND),
    }
}

fn fall_back(job: &Job, entry: &Arc<Entry>) -> (ServedAs, Response) {
    let now = clock::now();
    let status = CacheStatus::FellBack { ttl: remaining(entry, now).min(-1) };
    (ServedAs::HitStale, entry_response(job, entry, status, now))
}

fn tell_failure(failure: Failure) -> (ServedAs, Response) {
    match failure {
        Failure::Transient { reason, retry_after } => failed(reason, retry_after.unwrap_or(Span::SECOND)),
        Failure::Negative { status, content_type, body, .. } => {
            (ServedAs::Miss, negative(status, &content_type, &body, CacheStatus::Miss))
        }
        Failure::Pass | Failure::GivenBack => failed(Reason::TooManyOriginCalls, Span::SECOND),
    }
}

fn failed(reason: Reason, retry_after: Span) -> (ServedAs, Response) {
    let class = if reason == Reason::TooManyOriginCalls { ServedAs::Rejected } else { ServedAs::Miss };
    (class, Problem::of(reason, retry_after).cache_status(CacheStatus::Miss).response())
}

/// The origin's considered no, as it was, if it is JSON, which its content type says then; else only its status.
fn negative(status: u16, content_type: &str, body: &str, cache_status: CacheStatus) -> Response {
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

fn uncached_response(computed: &Computed) -> Response {
    if computed.is_refusal() {
        let content_type = computed.headers.iter().find(|(name, _)| name == "content-type");
        let content_type = content_type.map_or("", |(_, value)| value);
        let body = str::from_utf8(&computed.body).unwrap_or_default();
        return negative(computed.status, content_type, body, CacheStatus::Bypass);
    }
    let headers =
        response::headers(&[("cache-control", "no-store"), ("cache-status", &CacheStatus::Bypass.value())]);
    for (name, value) in &computed.headers {
        response::set(&headers, name, value);
    }
    response::with_bytes(computed.status, &headers, &computed.body)
}

fn entry_response(job: &Job, entry: &Arc<Entry>, status: CacheStatus, now: Instant) -> Response {
    let visit = &job.visit;
    let is_held = visit.head.has_none_match()
        && visit.header("if-none-match").is_some_and(|field| http::none_match_names(&field, &entry.etag));
    if is_held {
        return response::not_modified(&job.route, entry, status, now);
    }
    let known = job.question.as_ref().and_then(|question| {
        isolate::with(|isolate| Some(isolate.recent.get(question)?.response(&job.route, entry, status, now)))
    });
    known.unwrap_or_else(|| response::of_entry(&job.route, entry, status, now))
}
