//! One call to the origin. The request is built from scratch: of the client's request, it contains only the
//! canonical body and the route's keyed headers.

use std::{rc::Rc, sync::Arc};

use serde::de::IgnoredAny;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, Request, RequestInit, RequestRedirect, Response};
use worker::Env;

use super::{
    body::{self, BodyError},
    helpers, inquiry_answer,
    judged_answer::Answered,
    keyed_request::{CacheRequest, KeyedRequest, RequestBody},
    platform::{background::BoxFuture, bindings, clock},
    relay, response, timer,
};
use crate::{
    core::{
        config::{Config, InquiryAbout, OriginUrl, Route},
        entry::{Entry, Lifetime},
        failure::{Failure, Reason},
        http::{self, CACHE_NAME, KEPT_HEADERS, Method, StoringHeaders},
        time::{Instant, Span},
    },
    isolate::computation::Computed,
};

/// The largest body of an origin's 4xx that is relayed.
const MAX_REFUSAL: usize = 65_536;
/// How long the refusal of a client's own credential is remembered at least.
const MIN_REFUSAL: Span = Span::SECOND;

/// Calls the origin, and measures the time from just before the call to the last byte of the body.
/// `held` is an entry that the origin may confirm instead.
pub(super) async fn compute(
    keyed: &KeyedRequest,
    limit: Span,
    held: Option<&Entry>,
) -> Result<Computed, Failure> {
    let unreachable = |_| transient(Reason::OriginUnreachable);
    let (config, route) = (&keyed.context.config, &keyed.route);
    let abort = AbortController::new().map_err(unreachable)?;
    let request = request(config, keyed, held, &abort).map_err(unreachable)?;
    let started = clock::now();
    let fetched = fetch(&keyed.context.env, config.origin_of(Some(route)), &request).map_err(unreachable)?;
    let own = Rc::clone(route);
    let is_validation = held.is_some();
    let whole: BoxFuture<Result<Came, Failure>> = Box::pin(async move {
        let response: Response = JsFuture::from(fetched).await.map_err(unreachable)?.unchecked_into();
        if let Some(about) = own.inquiry.as_ref().map(|inquiry| &inquiry.about)
            && let Some(told) = inquiry_answer::about_credential(&response, about, started, clock::now())
        {
            return told.map(Came::Told);
        }
        let begun = Begun::of(response, &own, is_validation)?;
        let bytes = body::read(begun.response.body(), begun.most).await;
        Ok(Came::Whole(Received { begun, bytes, at: clock::now() }))
    });
    let received = match timer::within(limit, whole).await {
        Ok(Ok(Came::Whole(received))) => received,
        Ok(Ok(Came::Told(computed))) => return Ok(computed),
        Ok(Err(failure)) => return Err(failure),
        Err(unfinished) => {
            abort.abort();
            drop(unfinished);
            return Err(transient(Reason::OriginTimeout));
        }
    };
    if received.confirms_another(held) {
        // Another representation than the one held: it is to be asked for (RFC 9111, section 4.3.4).
        let left = limit.minus(clock::now().since(started));
        return Box::pin(compute(keyed, left, None)).await;
    }
    if route.origin_policy().is_some() {
        return received.judged_by_origin(started, keyed, held);
    }
    received.judged(started, route)
}

/// What has come of a call.
enum Came {
    /// A response with its body.
    Whole(Received),
    /// What the response's head says.
    Told(Computed),
}

/// Sends the request of a key to the origin, and passes the answer on as it comes: it is not stored.
pub(super) async fn forward(keyed: &KeyedRequest) -> Response {
    let (config, context) = (&keyed.context.config, &keyed.context);
    let origin = config.origin_of(Some(&keyed.route));
    let sent = AbortController::new().and_then(|abort| {
        let request = request(config, keyed, None, &abort)?;
        // Nothing is stored, so the client's own copy may be confirmed.
        for name in ["if-none-match", "if-modified-since"] {
            if keyed.route.forwards_all()
                && let Some(value) = context.header(name)
            {
                request.headers().set(name, &value)?;
            }
        }
        fetch(&context.env, origin, &request)
    });
    let answer = relay::answer(sent, context.flags.is_head()).await;
    response::vary_by_credentials(&answer.headers(), &keyed.route);
    answer
}

fn transient(reason: Reason) -> Failure {
    Failure::Transient { reason, retry_after: None }
}

/// A body above `max_response`: where the origin decides, it is passed on uncached.
fn too_large(route: &Route) -> Failure {
    match route.origin_policy() {
        Some(_) => Failure::Pass { ttl: route.pass_ttl },
        None => transient(Reason::OriginBodyTooLarge),
    }
}

fn request(
    config: &Config,
    keyed: &KeyedRequest,
    held: Option<&Entry>,
    abort: &AbortController,
) -> Result<Request, JsValue> {
    let (route, asked): (&Route, &CacheRequest) = (&keyed.route, &keyed.request);
    let has_body = asked.method != Method::Get;
    let headers = if route.forwards_all() {
        forwarded(keyed)
    } else {
        response::headers(&[("accept", &route.content_types.join(", ")), ("cdn-loop", CACHE_NAME)])
    };
    if has_body && !route.is_raw {
        headers.set("content-type", "application/json")?;
    }
    for (name, value) in &asked.headers {
        if let Some(value) = value {
            headers.set(name, value)?;
        }
    }
    let about = route.inquiry.as_ref().map(|inquiry| &inquiry.about);
    // A question goes without them: an identity provider is another party, and the origin must judge the client alone.
    if about.is_none() {
        for (name, value) in &config.secrets.origin_headers {
            headers.set(name, value)?;
        }
    }
    // Last, so that nothing takes the place of who asks.
    for (name, value) in keyed.personal_fields() {
        headers.set(&name, &value)?;
    }
    if let Some((name, tenant)) = route.send_tenant.as_deref().zip(asked.partition.tenant()) {
        headers.set(name, tenant)?;
    }
    for (name, of_entry) in [("if-none-match", "etag"), ("if-modified-since", "last-modified")] {
        if let Some(value) = held.and_then(|entry| entry.header(of_entry)) {
            headers.set(name, value)?;
        }
    }
    let init = RequestInit::new();
    let is_head = matches!(about, Some(InquiryAbout::Credential { is_head: true, .. }));
    init.set_method(if is_head { "HEAD" } else { asked.method.as_str() });
    init.set_headers(&headers);
    if has_body {
        init.set_body(&match &asked.body {
            RequestBody::Json(text) => JsValue::from_str(text),
            RequestBody::Raw(bytes) => js_sys::Uint8Array::from(&**bytes).into(),
        });
    }
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&abort.signal()));
    let origin = config.origin_of(Some(route));
    Request::new_with_str_and_init(&url(origin, &asked.target), &init)
}

/// The client's headers that the origin gets, without credentials: the answer is for other clients too.
fn forwarded(keyed: &KeyedRequest) -> Headers {
    let headers = keyed.headers();
    let passed = response::get(&headers, "cdn-loop").map_or(String::new(), |passed| passed + ", ");
    let outgoing = response::headers(&[("cdn-loop", &(passed + CACHE_NAME))]);
    for (name, value) in http::to_origin(helpers::fields(&headers)) {
        let is_for_caches = matches!(name.as_str(), "cache-control" | "pragma");
        if !keyed.is_dropped(&name) && (keyed.route.honours_requests || !is_for_caches) {
            response::set(&outgoing, &name, &value);
        }
    }
    outgoing
}

/// The URL of a path at an origin; a service binding ignores the host.
pub(super) fn url(origin: Option<&OriginUrl>, path: &str) -> String {
    format!("{}{path}", origin.map_or("https://origin.internal", OriginUrl::as_str))
}

/// Sends a request to an origin over the network or, without an origin URL, to the service binding `ORIGIN`.
pub(super) fn fetch(
    env: &Env,
    origin: Option<&OriginUrl>,
    request: &Request,
) -> Result<js_sys::Promise, JsValue> {
    bindings::fetch(env, if origin.is_some() { None } else { Some("ORIGIN") }, request)
}

/// A response of the origin with an acceptable status and headers; its body is not yet read.
struct Begun {
    response: Response,
    headers: Headers,
    is_refusal: bool,
    content_type: String,
    /// Whether the route stores this type.
    may_store: bool,
    most: usize,
    announced: Option<usize>,
}

impl Begun {
    fn of(response: Response, route: &Route, is_validation: bool) -> Result<Self, Failure> {
        let headers = response.headers();
        let retry_after = response::get(&headers, "retry-after");
        let retry_after = retry_after.and_then(|field| http::retry_after(&field, clock::now()));
        let status = match route.origin_policy() {
            Some(_) => http::status_of_origin(response.status(), is_validation),
            None if refuses_client(route, response.status()) => http::Status::Refusal,
            None => http::status(response.status(), retry_after),
        };
        let is_refusal = status == http::Status::Refusal;
        let content_type = response::get(&headers, "content-type").unwrap_or_default();
        let may_store = route.content_types.iter().any(|pattern| http::matches_type(&content_type, pattern));
        let max_response = route.max_response as usize;
        let most = if is_refusal { MAX_REFUSAL.min(max_response) } else { max_response };
        // With a content encoding, the announced length is not the length of the decoded body.
        let announced = match response::get(&headers, "content-encoding") {
            None => response::get(&headers, "content-length").and_then(|length| length.parse::<usize>().ok()),
            Some(_) => None,
        };
        let refused = match status {
            http::Status::Failure(failure) => Some(failure),
            http::Status::Success
                if !may_store && route.takes_json_only() && route.origin_policy().is_none() =>
            {
                Some(transient(Reason::OriginNotJson))
            }
            _ if announced.is_some_and(|it| it > most) => Some(too_large(route)),
            http::Status::Success | http::Status::Refusal => None,
        };
        match refused {
            None => Ok(Self { response, headers, is_refusal, content_type, may_store, most, announced }),
            Some(failure) => {
                // The body is not needed: cancel it, so that the connection does not carry it.
                if let Some(body) = response.body() {
                    let _ = body.cancel();
                }
                Err(failure)
            }
        }
    }
}

impl Begun {
    /// The body, if it is whole.
    fn whole(&self, bytes: Result<Vec<u8>, BodyError>, route: &Route) -> Result<Vec<u8>, Failure> {
        let bytes = bytes.map_err(|why| match why {
            BodyError::TooLarge => too_large(route),
            BodyError::Broken | BodyError::TooSlow => transient(Reason::OriginTruncated),
        })?;
        let is_short = self.announced.is_some_and(|length| length != bytes.len());
        // An answer that has no body may announce the length of another one.
        if is_short && http::has_body(self.response.status()) {
            return Err(transient(Reason::OriginTruncated));
        }
        Ok(bytes)
    }
}

/// A response of the origin with its body, or the error with which reading the body ended.
struct Received {
    begun: Begun,
    bytes: Result<Vec<u8>, BodyError>,
    at: Instant,
}

impl Received {
    /// Whether it is a 304 that names another validator than that of the entry held.
    fn confirms_another(&self, held: Option<&Entry>) -> bool {
        let told = response::get(&self.begun.headers, "etag");
        self.begun.response.status() == 304
            && held
                .and_then(|entry| entry.header("etag"))
                .zip(told)
                .is_some_and(|(held, told)| !http::is_weakly_same(held, &told))
    }

    fn judged(self, started: Instant, route: &Route) -> Result<Computed, Failure> {
        let Self { begun, bytes, at } = self;
        let bytes = begun.whole(bytes, route)?;
        let status = begun.response.status();
        if let Some(inquiry) = &route.inquiry
            && (begun.is_refusal || !inquiry_answer::is_good(&inquiry.about, &bytes))
        {
            return Err(transient(Reason::OriginNotJson));
        }
        let storable = route.inquiry.is_some()
            || (storable(&begun.headers, route) && (begun.may_store || begun.is_refusal));
        // Validated once per computation, so that what is cached or relayed as JSON is JSON.
        let names_json = http::is_json(&begun.content_type);
        let is_json = names_json
            && str::from_utf8(&bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        let (headers, bytes) = match (begun.is_refusal, names_json == is_json) {
            (false, true) => (kept(&begun.headers), bytes),
            (false, false) => return Err(transient(Reason::OriginNotJson)),
            (true, _) if is_json => (kept(&begun.headers), bytes),
            // Only the status of a refusal that is not JSON is relayed.
            (true, _) => Default::default(),
        };
        if refuses_client(route, status) {
            return Ok(refusal_of_client(route, status, &begun.headers, (headers, bytes), started, at));
        }
        // A refusal that must not be stored is returned uncached, like any other such answer.
        if begun.is_refusal && storable {
            let content_type = if is_json { begun.content_type } else { String::new() };
            let body = String::from_utf8(bytes).unwrap_or_default();
            return Err(Failure::Negative { status, content_type, body, ttl: route.negative_ttl });
        }
        Ok(Computed {
            status,
            storable,
            headers,
            body: Arc::from(bytes),
            delta: at.since(started),
            at,
            ..Computed::default()
        })
    }

    /// The same, where the headers of the answer say what becomes of it.
    fn judged_by_origin(
        self,
        started: Instant,
        keyed: &KeyedRequest,
        held: Option<&Entry>,
    ) -> Result<Computed, Failure> {
        let Self { begun, bytes, at } = self;
        let bytes = begun.whole(bytes, &keyed.route)?;
        let status = begun.response.status();
        if refuses_client(&keyed.route, status) {
            let parts = (kept(&begun.headers), bytes);
            return Ok(refusal_of_client(&keyed.route, status, &begun.headers, parts, started, at));
        }
        let told = helpers::fields(&begun.headers);
        let answered = Answered { status, told, body: Arc::from(bytes), started, at };
        Ok(answered.computed(keyed, begun.may_store, held))
    }
}

/// Whether the origin refuses the client's own credential.
fn refuses_client(route: &Route, status: u16) -> bool {
    route.is_personal() && matches!(status, 401 | 403)
}

/// A refusal of the client's own credential. It takes the place of the entry in all tiers: what the origin does not show
/// this client any more, this cache does not either.
fn refusal_of_client(
    route: &Route,
    status: u16,
    told: &Headers,
    (mut headers, body): (Vec<(String, String)>, Vec<u8>),
    started: Instant,
    at: Instant,
) -> Computed {
    let challenge = response::get(told, "www-authenticate");
    headers.extend(challenge.map(|it| ("www-authenticate".to_owned(), it)));
    Computed {
        status,
        storable: true,
        headers,
        body: Arc::from(body),
        delta: at.since(started),
        at,
        lifetime: Some(Lifetime { ttl: route.negative_ttl.max(MIN_REFUSAL), ..Lifetime::default() }),
        ..Computed::default()
    }
}

fn storable(headers: &Headers, route: &Route) -> bool {
    StoringHeaders {
        cache_control: response::get(headers, "cache-control").as_deref(),
        vary: response::get(headers, "vary").as_deref(),
        has_set_cookie: headers.has("set-cookie").unwrap_or(true),
        is_personal: route.is_personal(),
    }
    .allow()
}

fn kept(headers: &Headers) -> Vec<(String, String)> {
    KEPT_HEADERS
        .iter()
        .filter_map(|name| response::get(headers, name).map(|value| ((*name).to_owned(), value)))
        .collect()
}
