//! One call to the origin, built from nothing: what a client sent decides the canonical body and the
//! route's headers, and nothing else of it leaves this Worker.

use std::sync::Arc;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, Request, RequestInit, RequestRedirect, Response};
use worker::Env;

use super::{
    body::{self, Unread},
    reply, timer,
};
use crate::{
    config::{Config, OriginUrl, Route},
    failure::{Failure, Reason},
    host, http,
    http::{CACHE_NAME, KEPT_HEADERS, StoringHeaders},
    refresh::Computed,
    time::Millis,
};

/// The largest body of an origin's considered no that is relayed.
const REFUSAL_MOST: usize = 65_536;

/// What is to be computed.
pub(super) struct Question<'a> {
    pub(super) config: &'a Config,
    pub(super) route: &'a Route,
    pub(super) body: &'a str,
    pub(super) headers: &'a [(String, Option<String>)],
}

/// Asks the origin, and measures from just before the call to the last byte.
pub(super) async fn compute(env: &Env, question: Question<'_>) -> Result<Computed, Failure> {
    let abort = AbortController::new().map_err(|_| transient(Reason::OriginUnreachable))?;
    let limits =
        Limits { response: question.route.max_response as usize, negative_ttl: question.route.negative_ttl };
    let timeout = question.route.origin_timeout;
    let request = request(&question, &abort).map_err(|_| transient(Reason::OriginUnreachable))?;
    let fetched = fetch(env, question.config.origin_of(Some(question.route)), &request);
    let whole = Box::pin(async move {
        let started = host::now();
        let response = match fetched {
            Ok(promise) => JsFuture::from(promise).await,
            Err(error) => Err(error),
        };
        let response: Response = response
            .and_then(wasm_bindgen::JsCast::dyn_into)
            .map_err(|_| transient(Reason::OriginUnreachable))?;
        read(&response, limits, started).await
    });
    match timer::within(timeout, whole).await {
        Ok(result) => result,
        Err(unfinished) => {
            abort.abort();
            drop(unfinished);
            Err(transient(Reason::OriginTimeout))
        }
    }
}

fn transient(reason: Reason) -> Failure {
    Failure::Transient { reason, retry_after: None }
}

fn request(question: &Question<'_>, abort: &AbortController) -> Result<Request, JsValue> {
    let headers = reply::headers(&[
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("cdn-loop", CACHE_NAME),
    ]);
    for (name, value) in question.headers {
        if let Some(value) = value {
            headers.set(name, value)?;
        }
    }
    for (name, value) in &question.config.origin_headers {
        headers.set(name, value)?;
    }
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&JsValue::from_str(question.body));
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&abort.signal()));
    let origin = question.config.origin_of(Some(question.route));
    Request::new_with_str_and_init(&url(origin, &question.route.path), &init)
}

/// The URL of a path at an origin; a service binding ignores the host.
pub(super) fn url(origin: Option<&OriginUrl>, path: &str) -> String {
    format!("{}{path}", origin.map_or("https://origin.internal", OriginUrl::as_str))
}

/// Sends a request to an origin: by the network, or by the service binding `ORIGIN`.
pub(super) fn fetch(
    env: &Env,
    origin: Option<&OriginUrl>,
    request: &Request,
) -> Result<js_sys::Promise, JsValue> {
    let get = |object: &JsValue, name: &str| js_sys::Reflect::get(object, &JsValue::from_str(name));
    let target = match origin {
        Some(_) => js_sys::global().into(),
        None => get(env, "ORIGIN")?,
    };
    let fetch: js_sys::Function = get(&target, "fetch")?.dyn_into()?;
    fetch.call1(&target, request)?.dyn_into()
}

struct Limits {
    response: usize,
    negative_ttl: Millis,
}

async fn read(response: &Response, limits: Limits, started: Millis) -> Result<Computed, Failure> {
    let headers = response.headers();
    let header = |name: &str| reply::get(&headers, name);
    let retry_after = header("retry-after").and_then(|field| http::retry_after(&field, host::now()));
    let is_refusal = match http::status(response.status(), retry_after) {
        http::Status::Success => false,
        http::Status::Refusal => true,
        http::Status::Failure(failure) => {
            discard(response);
            return Err(failure);
        }
    };
    let content_type = header("content-type").unwrap_or_default();
    if !is_refusal && !http::is_json(&content_type) {
        discard(response);
        return Err(transient(Reason::OriginNotJson));
    }
    let most = if is_refusal { REFUSAL_MOST.min(limits.response) } else { limits.response };
    let is_encoded = header("content-encoding").is_some();
    let announced = header("content-length").and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most && !is_encoded) {
        discard(response);
        return Err(transient(Reason::OriginBodyTooLarge));
    }
    let bytes = body::read(response.body(), most).await.map_err(|why| {
        transient(match why {
            Unread::TooLarge => Reason::OriginBodyTooLarge,
            Unread::Broken => Reason::OriginTruncated,
        })
    })?;
    let at = host::now();
    if announced.is_some_and(|length| length != bytes.len() && !is_encoded) {
        return Err(transient(Reason::OriginTruncated));
    }
    if is_refusal {
        let body = String::from_utf8(bytes).unwrap_or_default();
        let status = response.status();
        return Err(Failure::Negative { status, content_type, body, ttl: limits.negative_ttl });
    }
    // Validated here, once per computation: what is cached is JSON for certain.
    let is_json =
        str::from_utf8(&bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    if !is_json {
        return Err(transient(Reason::OriginNotJson));
    }
    Ok(Computed {
        status: response.status(),
        storable: storable(&headers),
        headers: kept(&headers),
        body: Arc::from(bytes),
        delta: at.minus(started),
        at,
    })
}

fn storable(headers: &Headers) -> bool {
    StoringHeaders {
        cache_control: reply::get(headers, "cache-control").as_deref(),
        vary: reply::get(headers, "vary").as_deref(),
        has_set_cookie: headers.has("set-cookie").unwrap_or(true),
    }
    .allow()
}

fn kept(headers: &Headers) -> Vec<(String, String)> {
    KEPT_HEADERS
        .iter()
        .filter_map(|name| reply::get(headers, name).map(|value| ((*name).to_owned(), value)))
        .collect()
}

/// Nobody reads this body: the connection need not carry it.
fn discard(response: &Response) {
    if let Some(body) = response.body() {
        let _ = body.cancel();
    }
}
