//! A request to a cached route: its checks, its key, and its task.

use std::{rc::Rc, sync::Arc};

use web_sys::Response;

use super::{
    admission::{self, Admitted},
    answered,
    body::{self, BodyError},
    context::{RequestContext, RequestHead},
    cors, driver, globals,
    keyed_request::{CacheRequest, KeyedRequest, RequestBody},
    metrics_sender, new_keys, origin,
    platform::{background::BoxFuture, clock},
    prepared::Prepared,
    problem::Problem,
    response,
    routed::{Routed, Wait},
    timer, verification,
};
use crate::{
    core::{
        canonical_json,
        config::{Config, Credentials, Route, ScopedRoute},
        http::{self, Method},
        key::{self, KeyParts, MAX_HEADER},
        time::{Instant, Span},
    },
    isolate::{
        key_memo::RawRequest,
        metrics::ServedAs,
        state::IsolateState,
        step::{Done, Effect, Event},
        task::Task,
    },
};

/// The longest path and query, in bytes: both are part of the key, which is stored with each entry.
const MAX_TARGET: usize = 8_192;
/// How often a request goes on with the key of another variant: an origin may vary its answers by other fields in each.
const MAX_ROUNDS: u8 = 3;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Span = Span(10_000);

/// The checks that need no body, for the route in this place.
pub(super) fn check(head: &RequestHead, place: usize) -> Routed {
    let (flags, route) = (head.flags, &head.config.routes[place]);
    if flags.is_options() {
        return Routed::Answer(options(head, route));
    }
    let Some(method) = flags.method().filter(|method| route.methods.contain(*method)) else {
        if route.origin_policy().is_some() {
            return match bad_passing(head, route) {
                Some(problem) => Routed::Reject(problem),
                None => Routed::Wait(Wait::Bypass(Rc::clone(route))),
            };
        }
        let allow = route.methods.allow();
        let problem = Problem::new(405, "method_not_allowed", format!("This path takes {allow}."));
        return Routed::Reject(problem.header("allow", allow));
    };
    if let Some(problem) = bad_target(head, route, method) {
        return Routed::Reject(problem);
    }
    match route.credentials {
        Credentials::Verify => {
            if let Some(problem) = lacks_credential(head, route) {
                return Routed::Reject(problem);
            }
        }
        Credentials::Ignore | Credentials::Origin => {}
        Credentials::Bypass | Credentials::Refuse if !has_credentials(head, route) => {}
        Credentials::Bypass => return Routed::Wait(Wait::Bypass(Rc::clone(route))),
        Credentials::Refuse => return Routed::Reject(credentials_refused()),
    }
    if method == Method::Get {
        return Routed::Wait(Wait::Key(place));
    }
    match bad_body_head(head, route) {
        Some(problem) => Routed::Reject(problem),
        None => Routed::Wait(Wait::Body(place)),
    }
}

/// Refuses a request without what its route verifies, before its body is read.
fn lacks_credential(head: &RequestHead, route: &Route) -> Option<Problem> {
    let verify = route.verify.as_ref()?;
    let is_there =
        |name: &str| head.flags.has_credentials() && head.request.headers().has(name).unwrap_or(false);
    verify.headers().next().filter(|name| !is_there(name)).map(|_| verification::missing(verify))
}

/// What is wrong with a request that is passed on because of its method, if anything.
fn bad_passing(head: &RequestHead, route: &Route) -> Option<Problem> {
    if head.request.method() == "TRACE" {
        return Some(trace());
    }
    if route.credentials == Credentials::Refuse && has_credentials(head, route) {
        return Some(credentials_refused());
    }
    if let Some(problem) = lacks_credential(head, route) {
        return Some(problem);
    }
    if head.flags.is_get_or_head() && head.has_body() {
        return Some(body_not_allowed());
    }
    bad_path(head, route)
}

/// `TRACE` would show the client what only the origin is to see.
pub(super) fn trace() -> Problem {
    Problem::new(405, "method_not_allowed", "TRACE is not passed on.")
}

fn credentials_refused() -> Problem {
    Problem::new(403, "credentials_not_allowed", "This path takes no credentials.")
}

fn body_not_allowed() -> Problem {
    Problem::new(400, "body_not_allowed", "GET and HEAD have no body here.")
}

fn has_credentials(head: &RequestHead, route: &Route) -> bool {
    let headers = head.request.headers();
    let has = |name: &str| headers.has(name).unwrap_or(false);
    head.flags.has_credentials()
        && (has("authorization") || has("cookie") || route.credential_headers.iter().any(|name| has(name)))
}

/// What is wrong with a path below a prefix, if anything.
fn bad_path(head: &RequestHead, route: &Route) -> Option<Problem> {
    let prefix = route.prefix()?;
    let path = head.target().path();
    // Another spelling of a more specific route's path must not get around its settings.
    let wins = |other: &Route| other.prefix().is_none_or(|it| it.len() > prefix.len());
    let is_own = head.config.route(&http::plain_escapes(path)).is_some_and(|own| own.path == route.path)
        && http::unambiguous(path).is_some_and(|path| {
            !head.config.routes.iter().any(|other| wins(other) && http::reads_as(&path, &other.path))
        });
    (!is_own).then(ambiguous_path)
}

/// What is wrong with a request's path or query, if anything, or with the body of a method that has none.
fn bad_target(head: &RequestHead, route: &Route, method: Method) -> Option<Problem> {
    if let Some(problem) = bad_path(head, route) {
        return Some(problem);
    }
    let target = head.target();
    if method != Method::Get {
        let detail = "A query is allowed with GET only.";
        return target.query().map(|_| Problem::new(400, "query_not_allowed", detail));
    }
    if head.has_body() {
        return Some(body_not_allowed());
    }
    if target.path_and_query().len() > MAX_TARGET {
        let detail = format!("Path and query may have {MAX_TARGET} bytes at most.");
        return Some(Problem::new(414, "target_too_long", detail));
    }
    None
}

/// Two servers could read the path differently.
pub(super) fn ambiguous_path() -> Problem {
    let detail = "This path means different things to different servers.";
    Problem::new(400, "ambiguous_path", detail)
}

/// What is wrong with the head of a request with a body, if anything.
fn bad_body_head(head: &RequestHead, route: &Route) -> Option<Problem> {
    let flags = head.flags;
    let is_encoded =
        flags.has_content_encoding() && head.header("content-encoding").is_some_and(|it| it != "identity");
    if route.is_raw {
        let has_type = flags.has_json_type() || head.header("content-type").is_some();
        if !has_type || is_encoded {
            let detail = "The body needs a Content-Type, and no content encoding.";
            return Some(unsupported(route, detail));
        }
        return (flags.length() > Some(u64::from(route.max_request))).then(|| too_large(route));
    }
    let is_plain_json =
        flags.has_json_type() || head.header("content-type").is_some_and(|it| http::is_json(&it));
    if !is_plain_json || is_encoded {
        let detail = "The body must be application/json in UTF-8, without a content encoding.";
        return Some(unsupported(route, detail));
    }
    (flags.length() > Some(u64::from(route.max_request))).then(|| too_large(route))
}

fn unsupported(route: &Route, detail: &'static str) -> Problem {
    let problem = Problem::new(415, "unsupported_media_type", detail);
    match accept_query(route) {
        Some(types) => problem.header("accept-query", types.to_owned()),
        None => problem,
    }
}

/// The value of `Accept-Query` (RFC 10008): the types that `QUERY` may send.
fn accept_query(route: &Route) -> Option<&'static str> {
    route.methods.query.then_some(if route.is_raw { "*/*" } else { "application/json" })
}

/// `OPTIONS`: what is allowed, and to whom.
fn options(head: &RequestHead, route: &Route) -> Response {
    let allow = route.methods.allow();
    let headers = response::headers(&[("allow", &allow)]);
    if let Some(types) = accept_query(route) {
        response::set(&headers, "accept-query", types);
    }
    if cors::allowed_origin(head).is_some() {
        let mut names = vec!["content-type"];
        let verified = route.credential_fields().filter(|name| {
            // A browser sends cookies by itself.
            route.tells_clients_apart() && *name != "cookie"
        });
        let named = route.headers.iter().map(String::as_str).chain(verified);
        names.extend(named.filter(|name| *name != "content-type"));
        response::set(&headers, "access-control-allow-methods", &allow);
        response::set(&headers, "access-control-allow-headers", &names.join(", "));
        response::set(&headers, "access-control-max-age", "600");
    }
    response::empty(204, &headers)
}

/// Answers a request to a cached route, and counts it.
pub(super) async fn answer(context: &Rc<RequestContext>, place: usize) -> Response {
    let started = clock::now();
    let body = read_body(context, &context.config.routes[place]).await;
    answer_body(context, place, body, started).await
}

/// The same, once the body has been read.
pub(super) async fn answer_body(
    context: &Rc<RequestContext>,
    place: usize,
    body: Result<Vec<u8>, BodyError>,
    started: Instant,
) -> Response {
    match answer_now(context, place, body, started) {
        Ok(response) => response,
        Err(slow) => slow.answer().await,
    }
}

async fn read_body(context: &Rc<RequestContext>, route: &Route) -> Result<Vec<u8>, BodyError> {
    let most = route.max_request as usize;
    let reading: BoxFuture<_> = match context.flags.length() {
        Some(_) => Box::pin(body::read_announced(context.request.array_buffer(), most)),
        None => Box::pin(body::read(context.request.body(), most)),
    };
    timer::within(BODY_TIMEOUT, reading).await.unwrap_or(Err(BodyError::TooSlow))
}

pub(super) fn too_large(route: &Route) -> Problem {
    let detail = format!("The body may have {} bytes at most.", route.max_request);
    Problem::new(413, "body_too_large", detail)
}

/// A request that takes time.
pub(super) enum SlowPath {
    /// First it must be known who asks.
    Admission { context: Rc<RequestContext>, place: usize, body: Vec<u8>, started: Instant },
    /// Its task waits for something.
    Task(SlowTask),
}

/// A request whose task waits.
pub(super) struct SlowTask {
    keyed: Rc<KeyedRequest>,
    raw: Option<RawRequest>,
    next: Next,
    started: Instant,
    to_count: ToCount,
}

/// What is still to be counted, should the request turn out to be for a new key.
enum ToCount {
    /// It was counted.
    Nothing,
    /// A request of this tenant.
    Of(Option<Arc<str>>),
}

/// What such a request does next.
enum Next {
    /// Its task waits for something.
    Perform(Task, Effect),
    /// It goes on with the key of another variant.
    Variant(Vec<String>),
    /// It goes to the origin as it is.
    Forward,
}

/// Answers what needs nothing but memory: a bad body, and most hits.
///
/// # Errors
/// Not an error: the rest of a request that must wait.
pub(super) fn answer_now(
    context: &Rc<RequestContext>,
    place: usize,
    body: Result<Vec<u8>, BodyError>,
    started: Instant,
) -> Result<Response, Box<SlowPath>> {
    let route = &context.config.routes[place];
    let body = match body {
        Ok(body) => body,
        Err(why) => return Ok(reject(context, &bad_body(why, route), started)),
    };
    match admission::at_once(context, route) {
        Some(admitted) => answer_admitted(context, place, body, started, &admitted),
        None => Err(Box::new(SlowPath::Admission { context: Rc::clone(context), place, body, started })),
    }
}

/// Refuses a request, and counts it.
fn reject(context: &RequestContext, problem: &Problem, started: Instant) -> Response {
    metrics_sender::answered(context, ServedAs::Rejected, started, clock::now());
    problem.response()
}

/// Answers a client that may ask, if that needs nothing but memory.
fn answer_admitted(
    context: &Rc<RequestContext>,
    place: usize,
    body: Vec<u8>,
    started: Instant,
    admitted: &Admitted,
) -> Result<Response, Box<SlowPath>> {
    let route = &context.config.routes[place];
    let (request, raw) = match identify(context, place, body, admitted) {
        Ok(known) => known,
        Err(problem) => return Ok(reject(context, &problem, started)),
    };
    let mut keyed = Rc::new(KeyedRequest::new(Rc::clone(context), Rc::clone(route), request, None));
    // Without a wait in between, the clock is read once.
    let now = clock::now();
    let tenant = admitted.identity.tenant.clone();
    let is_counted = match new_keys::enter(&keyed, tenant.as_deref(), now) {
        Ok(is_counted) => is_counted,
        Err(problem) => return Ok(reject(context, &problem, started)),
    };
    let mut task = Task::request();
    loop {
        let next = match driver::step(&keyed, &mut task, Event::Started, now) {
            Effect::Done(Done::Varies(names)) => match in_memory(&keyed, &names, now) {
                Some(variant) => {
                    keyed = Rc::new(variant);
                    task = Task::request();
                    continue;
                }
                None => Next::Variant(names),
            },
            Effect::Done(Done::Forward) => Next::Forward,
            Effect::Done(done) => return Ok(answered::respond(&keyed, raw.as_ref(), done, started, now)),
            effect => Next::Perform(task, effect),
        };
        return Err(Box::new(SlowPath::Task(SlowTask {
            keyed,
            raw,
            next,
            started,
            to_count: if is_counted { ToCount::Nothing } else { ToCount::Of(tenant) },
        })));
    }
}

impl SlowPath {
    /// Waits for the answer.
    pub(super) async fn answer(self: Box<Self>) -> Response {
        let mut slow = self;
        loop {
            match *slow {
                Self::Task(slow) => return slow.answer().await,
                Self::Admission { context, place, body, started } => {
                    let route = &context.config.routes[place];
                    let admitted = match admission::admit(&context, route).await {
                        Ok(admitted) => admitted,
                        Err(problem) => return reject(&context, &problem, started),
                    };
                    match answer_admitted(&context, place, body, started, &admitted) {
                        Ok(response) => return response,
                        // Its task.
                        Err(next) => slow = next,
                    }
                }
            }
        }
    }
}

impl SlowTask {
    /// Waits for the task's end.
    async fn answer(self) -> Response {
        let Self { mut keyed, raw, mut next, started, to_count } = self;
        let done = loop {
            let done = match next {
                Next::Perform(task, effect) => driver::drive(Rc::clone(&keyed), task, effect).await,
                Next::Variant(names) => {
                    let (variant, task) = of_variant(keyed, names).await;
                    keyed = variant;
                    if let ToCount::Of(tenant) = &to_count
                        && let Err(problem) = new_keys::enter(&keyed, tenant.as_deref(), clock::now())
                    {
                        return reject(&keyed.context, &problem, started);
                    }
                    driver::run(Rc::clone(&keyed), task, Event::Started).await
                }
                Next::Forward => {
                    let response = origin::forward(&keyed).await;
                    metrics_sender::answered(&keyed.context, ServedAs::Bypass, started, clock::now());
                    return response;
                }
            };
            next = match done {
                Done::Varies(names) => Next::Variant(names),
                Done::Forward => Next::Forward,
                done => break done,
            };
        };
        answered::respond(&keyed, raw.as_ref(), done, started, clock::now())
    }
}

/// The same request with the key of its own variant; `None` if it has had too many.
pub(super) fn next_variant(keyed: &KeyedRequest, names: &[String]) -> Option<KeyedRequest> {
    let variant = keyed.variant(names.to_vec());
    (keyed.rounds < MAX_ROUNDS && variant.request.key != keyed.request.key).then_some(variant)
}

/// The request for its own variant, if memory holds that.
fn in_memory(keyed: &KeyedRequest, names: &[String], now: Instant) -> Option<KeyedRequest> {
    let variant = keyed.variant(names.to_vec());
    let key = &variant.request.key;
    let is_there = globals::with(|globals| {
        let state = &mut globals.state;
        let is_there = |state: &IsolateState| state.memory.peek(&key.hash, &key.text, now).is_some();
        let floor = state.memory.floor(&keyed.primary().hash);
        is_there(state) && {
            state.hear(key.hash, floor, now);
            is_there(state)
        }
    });
    (keyed.rounds < MAX_ROUNDS && is_there).then_some(variant)
}

/// How a request goes on whose key has other variants: with its own variant's key, or uncached. A purge of the key is one
/// of its variants, which other isolates may have stored, so its floor is learned first.
async fn of_variant(keyed: Rc<KeyedRequest>, names: Vec<String>) -> (Rc<KeyedRequest>, Task) {
    let Some(variant) = next_variant(&keyed, &names) else {
        return (keyed, Task::uncached());
    };
    if keyed.rounds == 0 {
        driver::run(Rc::clone(&keyed), Task::learn(), Event::Started).await;
    }
    let most = keyed.route.origin_policy().map_or(0, |policy| policy.max_variants);
    let may_cache = globals::with(|globals| {
        globals.state.enter_variant(keyed.primary(), &variant.request.key, most, clock::now())
    });
    if may_cache { (Rc::new(variant), Task::request()) } else { (keyed, Task::uncached()) }
}

fn bad_body(why: BodyError, route: &Route) -> Problem {
    match why {
        BodyError::TooLarge => too_large(route),
        BodyError::Broken => Problem::new(400, "bad_body", "The body could not be read."),
        BodyError::TooSlow => Problem::new(408, "body_too_slow", "The body did not arrive in time."),
    }
}

/// The key of a request, remembered or worked out, and the raw request if it is remembered.
fn identify(
    context: &RequestContext,
    place: usize,
    body: Vec<u8>,
    admitted: &Admitted,
) -> Result<(Rc<CacheRequest>, Option<RawRequest>), Problem> {
    let route = &context.config.routes[place];
    // The method was checked before.
    let method = context.flags.method().unwrap_or(Method::Post);
    let headers = route.headers.iter().map(|name| (name.clone(), context.header(name))).collect();
    let has_one_target = method != Method::Get && route.prefix().is_none();
    let target = if has_one_target { String::new() } else { context.target().path_and_query().to_owned() };
    let scoped = route.scoped(&admitted.identity).ok_or_else(verification::no_tenant)?;
    let raw = RawRequest { route: place, client: admitted.client, method, target, headers, body };
    let known = globals::with(|globals| Some(Rc::clone(&globals.memo.get(&raw)?.request)));
    // What a client presents may have come to mean another tenant.
    if let Some(request) = known.filter(|request| request.partition == *scoped.partition()) {
        return Ok((request, Some(raw)));
    }
    let is_long =
        |(_, value): &(String, Option<String>)| value.as_ref().is_some_and(|it| it.len() > MAX_HEADER);
    if let Some((name, _)) = raw.headers.iter().find(|it| is_long(it)) {
        let detail = format!("The header {name} may have {MAX_HEADER} bytes at most.");
        return Err(Problem::new(431, "header_too_large", detail));
    }
    let (target, body) = match method {
        Method::Get => {
            (canonical_target(context.target().path_and_query(), route)?, RequestBody::Json("".into()))
        }
        Method::Query | Method::Post if route.is_raw => {
            (http::plain_escapes(context.target().path()), RequestBody::Raw(raw.body.as_slice().into()))
        }
        Method::Query | Method::Post => {
            let body = key::canonical_body(&raw.body, &route.fields)
                .map_err(|why| Problem::new(400, "bad_body", why.to_string()))?;
            (http::plain_escapes(context.target().path()), RequestBody::Json(body.into()))
        }
    };
    let request = keyed(&context.config, &scoped, method, target, raw.headers.clone(), body);
    let request = Rc::new(request);
    let prepared = Prepared::new(Rc::clone(&request));
    let is_remembered = globals::with(|globals| globals.memo.put(&raw, prepared));
    Ok((request, is_remembered.then_some(raw)))
}

/// The path and query that are keyed and sent to the origin.
pub(super) fn canonical_target(path_and_query: &str, route: &Route) -> Result<String, Problem> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let query = http::canonical_query(query, &route.query, route.drops_other_query).map_err(|name| {
        let name = canonical_json::text(&name.into());
        Problem::new(400, "parameter_not_allowed", format!("The parameter {name} is not known here."))
    })?;
    Ok(http::plain_escapes(path) + &query)
}

/// A request to a route with its key.
pub(super) fn keyed(
    config: &Config,
    scoped: &ScopedRoute<'_>,
    method: Method,
    target: String,
    headers: Vec<(String, Option<String>)>,
    body: RequestBody,
) -> CacheRequest {
    let route = scoped.route();
    let parts = KeyParts {
        version: &config.cache_version,
        origin: config.origin_of(Some(route)).map_or("ORIGIN", |origin| origin.as_str()),
        method: route.methods.keyed(method).as_str(),
        path: &target,
        headers: &headers,
    };
    let key = match &body {
        RequestBody::Json(text) => scoped.key(&parts, text),
        RequestBody::Raw(bytes) => scoped.key(&parts, &key::raw_body(bytes)),
    };
    CacheRequest { key, partition: scoped.partition().clone(), method, target, body, headers }
}
