//! Which path means what.

use std::rc::Rc;

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Request, Response};
use worker::{Context, Env};

use super::{admin, cached, flush, forward, isolate, platform, reply, reply::Problem};
use crate::{
    config::{Config, ConfigError, OriginUrl},
    host,
    http::{self, CACHE_NAME},
    metrics::{Class, Fact},
    time::Millis,
};

/// One request, and what it takes to answer it.
pub(super) struct Visit {
    pub(super) request: Request,
    pub(super) headers: Headers,
    pub(super) env: Env,
    pub(super) context: Context,
    pub(super) config: Rc<Config>,
    pub(super) target: Target,
}

impl Visit {
    /// A header of the request.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        reply::get(&self.headers, name)
    }

    /// Counts what this request was answered with.
    pub(super) fn answered(&self, class: Class, took: Millis) {
        isolate::count(Fact::Answered { class, took });
        flush::arm(self);
    }
}

/// A request's URL, as the runtime's parser has left it: dot segments are resolved, nothing else is
/// decoded.
pub(super) struct Target {
    url: String,
    /// Where the host begins, where the path does, and where the path ends.
    places: [usize; 3],
}

impl Target {
    fn parse(mut url: String) -> Self {
        url.truncate(url.find('#').unwrap_or(url.len()));
        let host = url.find(':').map_or(0, |at| at + "://".len());
        let path = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
        let end = url[path..].find('?').map_or(url.len(), |at| path + at);
        Self { url, places: [host, path, end] }
    }

    fn scheme_and_host(&self) -> &str {
        &self.url[..self.places[1]]
    }

    pub(super) fn host(&self) -> &str {
        &self.url[self.places[0]..self.places[1]]
    }

    pub(super) fn path(&self) -> &str {
        &self.url[self.places[1]..self.places[2]]
    }

    pub(super) fn path_and_query(&self) -> &str {
        &self.url[self.places[1]..]
    }

    /// What follows the question mark, if there is one.
    pub(super) fn query(&self) -> Option<&str> {
        self.url[self.places[2]..].strip_prefix('?')
    }
}

/// Answers one request. Every request gets an answer; what goes wrong inside is never shown.
pub async fn handle(request: Request, env: Env, context: Context) -> Response {
    let target = Target::parse(request.url());
    let config = match isolate::config(&env) {
        Ok(config) => config,
        Err(refused) => return refuse(&refused, target.path()),
    };
    let headers = request.headers();
    let visit = Rc::new(Visit { request, headers, env, context, config, target });
    let response = route(&visit).await;
    if !visit.config.cors_origins.is_empty() {
        allow_origin(&visit, &response.headers());
    }
    response
}

async fn route(visit: &Rc<Visit>) -> Response {
    let (config, path) = (&visit.config, visit.target.path());
    if path.starts_with("/_xfetch/") {
        return admin::answer(visit).await;
    }
    if let Some(route) = config.route(path) {
        if let Some(problem) = loops(visit, config.origin_of(Some(route))) {
            return reject(visit, &problem);
        }
        return cached::answer(visit, Rc::clone(route)).await;
    }
    if config.is_forwarded(path) {
        let origin = config.origin_of(None);
        if let Some(problem) = loops(visit, origin) {
            return reject(visit, &problem);
        }
        let is_plain = http::unambiguous(path)
            .is_some_and(|path| !config.routes.iter().any(|route| http::reads_as(&path, &route.path)));
        if !is_plain {
            let problem =
                Problem::new(400, "ambiguous_path", "This path means different things to different servers.");
            return reject(visit, &problem);
        }
        let started = host::now();
        let response = forward::forward(visit, origin, visit.target.path_and_query()).await;
        visit.answered(Class::Bypass, host::now().minus(started));
        return response;
    }
    if config.page
        && matches!(visit.request.method().as_str(), "GET" | "HEAD")
        && let Some(page) = page(visit).await
    {
        return page;
    }
    Problem::new(404, "not_found", "There is nothing here.").response()
}

/// A request that this cache has sent itself must not go round again (RFC 8586).
fn loops(visit: &Visit, origin: Option<&OriginUrl>) -> Option<Problem> {
    if visit.header("cdn-loop").is_some_and(|field| http::list_names(&field, CACHE_NAME)) {
        return Some(Problem::new(508, "loop_detected", "This request has passed here before."));
    }
    if origin.is_some_and(|origin| origin.as_str() == visit.target.scheme_and_host()) {
        let detail = "The origin of this route is this Worker itself.";
        return Some(Problem::new(503, "configuration_refused", detail));
    }
    None
}

fn reject(visit: &Visit, problem: &Problem) -> Response {
    visit.answered(Class::Rejected, Millis::ZERO);
    problem.response()
}

/// A refused configuration answers everything with its one sentence, here and in the log.
fn refuse(refused: &ConfigError, path: &str) -> Response {
    let sentence = refused.to_string();
    web_sys::console::error_1(&format!("configuration refused: {sentence}").into());
    if !path.starts_with("/_xfetch/") {
        isolate::count(Fact::Answered { class: Class::Rejected, took: Millis::ZERO });
    }
    Problem::new(503, "configuration_refused", sentence).response()
}

/// Lets a page of an allowed origin read the answer.
fn allow_origin(visit: &Visit, headers: &Headers) {
    let _ = headers.append("vary", "Origin");
    if let Some(origin) = allowed_origin(visit) {
        reply::set(headers, "access-control-allow-origin", &origin);
        reply::set(headers, "access-control-expose-headers", "Age, Cache-Status, ETag, Retry-After");
    }
}

/// The page's origin, in the sense of CORS, if it is allowed.
pub(super) fn allowed_origin(visit: &Visit) -> Option<String> {
    let origin = visit.header("origin")?;
    visit.config.cors_origins.iter().any(|allowed| *allowed == origin || allowed == "*").then_some(origin)
}

/// The files that are deployed with the Worker, the demo page's and the description of this surface; `None`
/// for what is none of them.
pub(super) async fn page(visit: &Visit) -> Option<Response> {
    let found = platform::fetch(&visit.env, Some("ASSETS"), &visit.request).ok()?;
    let found: Response = JsFuture::from(found).await.ok()?.unchecked_into();
    // What the files do not have is answered like any other unknown path.
    (found.status() != 404).then_some(found)
}
