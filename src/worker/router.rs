//! Which path means what.

use std::{cell::OnceCell, rc::Rc};

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Request, Response};
use worker::{Context, Env};

use super::{
    admin, forward, isolate, metrics_sender, platform::bindings, platform::bindings::Background, request,
    request_flags::Head, response, response::Problem,
};
use crate::{
    core::{
        config::{Config, ConfigError, OriginUrl, Route},
        http::{self, CACHE_NAME},
        time::{Instant, Span},
    },
    isolate::metrics::{MetricEvent, ServedAs},
    worker::platform::clock,
};

/// One request, and what it takes to answer it.
pub(super) struct Visit {
    pub(super) request: Request,
    pub(super) head: Head,
    pub(super) env: Env,
    pub(super) context: Box<dyn Background>,
    pub(super) config: Rc<Config>,
    target: OnceCell<Target>,
}

impl Visit {
    pub(super) fn new(
        request: Request,
        head: Head,
        env: Env,
        context: Box<dyn Background>,
        config: Rc<Config>,
    ) -> Self {
        Self { request, head, env, context, config, target: OnceCell::new() }
    }

    /// A header of the request.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        response::get(&self.request.headers(), name)
    }

    /// Whether a body comes with it, for all that its head says.
    fn has_body(&self) -> bool {
        self.head.length().map_or_else(|| self.header("transfer-encoding").is_some(), |length| length > 0)
    }

    pub(super) fn target(&self) -> &Target {
        self.target.get_or_init(|| Target::parse(self.request.url()))
    }

    /// Counts what this request was answered with.
    pub(super) fn answered(&self, class: ServedAs, started: Instant) {
        let now = clock::now();
        isolate::count(MetricEvent::Answered { class, took: now.since(started) });
        metrics_sender::arm(self, now);
    }
}

/// A request's URL, as the runtime hands it over: no dot segment is resolved, nothing is decoded.
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

/// What a request comes to before anything is waited for.
pub(super) enum Step {
    /// Its answer.
    Answer(Response),
    /// Its body is to be read, for the route in this place.
    Read(usize),
    /// Something else that takes its time.
    Wait(Wait),
}

/// What takes its time beside a cached route's body.
pub(super) enum Wait {
    /// One of the cache's own paths.
    Admin,
    /// A path that is forwarded.
    Forward,
    /// A cached route, asked with credentials: it is forwarded too.
    Bypass(Rc<Route>),
    /// Perhaps a file of the page.
    Page,
}

/// Answers one request. Every request gets an answer; what goes wrong inside is never shown.
/// What takes longer goes on when its client hangs up.
pub async fn handle(request: Request, env: Env, context: Context) -> Response {
    let visit = match enter(request, env, Box::new(context)) {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let step = match begin(&visit) {
        Step::Answer(response) => return dressed(&visit, response),
        step => step,
    };
    let task = Rc::clone(&visit);
    let answered = bindings::to_its_end(&*visit.context, async move { end(&task, step).await });
    // Where the platform cancels the request, nothing that is held here is given back.
    drop(visit);
    answered.await.unwrap_or_else(|_| Problem::unavailable().response())
}

/// The request with its configuration, or its refusal.
pub(super) fn enter(request: Request, env: Env, context: Box<dyn Background>) -> Result<Rc<Visit>, Response> {
    match isolate::config(&env) {
        Ok(config) => {
            let head = isolate::with(|isolate| Head::of(&request, &isolate.credentials));
            Ok(Rc::new(Visit::new(request, head, env, context, config)))
        }
        Err(problem) => Err(refuse(&problem, Target::parse(request.url()).path())),
    }
}

/// The first step, which waits for nothing.
pub(super) fn begin(visit: &Visit) -> Step {
    let (config, path) = (&visit.config, visit.target().path());
    if path.starts_with("/_xfetch/") {
        return Step::Wait(Wait::Admin);
    }
    if let Some(place) = config.place(path) {
        let route = &config.routes[place];
        return match loops(visit, config.origin_of(Some(route))) {
            Some(problem) => Step::Answer(reject(visit, &problem)),
            None => request::begin(visit, place),
        };
    }
    if config.is_forwarded(path) {
        if let Some(problem) = loops(visit, config.origin_of(None)) {
            return Step::Answer(reject(visit, &problem));
        }
        let is_plain = http::unambiguous(path)
            .is_some_and(|path| !config.routes.iter().any(|route| http::reads_as(&path, &route.path)));
        if !is_plain {
            let detail = "This path means different things to different servers.";
            return Step::Answer(reject(visit, &Problem::new(400, "ambiguous_path", detail)));
        }
        // The platform sends none, and without it the request may mean something else.
        if visit.head.reads() && visit.has_body() {
            let detail = "GET and HEAD are forwarded without a body.";
            return Step::Answer(reject(visit, &Problem::new(400, "body_not_allowed", detail)));
        }
        return Step::Wait(Wait::Forward);
    }
    if config.page && visit.head.reads() {
        return Step::Wait(Wait::Page);
    }
    Step::Answer(nothing_here())
}

/// What follows the first step.
pub(super) async fn end(visit: &Rc<Visit>, step: Step) -> Response {
    let response = match step {
        Step::Answer(response) => response,
        Step::Read(place) => request::answer(visit, place).await,
        Step::Wait(Wait::Admin) => admin::answer(visit).await,
        Step::Wait(Wait::Forward) => {
            pass(visit, visit.config.origin_of(None), visit.target().path_and_query()).await
        }
        Step::Wait(Wait::Bypass(route)) => {
            pass(visit, visit.config.origin_of(Some(&route)), &route.path).await
        }
        Step::Wait(Wait::Page) => page(visit).await.unwrap_or_else(nothing_here),
    };
    dressed(visit, response)
}

async fn pass(visit: &Visit, origin: Option<&OriginUrl>, path_and_query: &str) -> Response {
    let started = clock::now();
    let response = forward::forward(visit, origin, path_and_query).await;
    visit.answered(ServedAs::Bypass, started);
    response
}

fn nothing_here() -> Response {
    Problem::new(404, "not_found", "There is nothing here.").response()
}

/// An answer as it leaves: readable by the pages that may.
pub(super) fn dressed(visit: &Visit, response: Response) -> Response {
    if !visit.config.cors_origins.is_empty() {
        allow_origin(visit, &response.headers());
    }
    response
}

/// A request that this cache has sent itself must not go round again (RFC 8586).
fn loops(visit: &Visit, origin: Option<&OriginUrl>) -> Option<Problem> {
    if visit.head.has_loop()
        && visit.header("cdn-loop").is_some_and(|field| http::list_names(&field, CACHE_NAME))
    {
        return Some(Problem::new(508, "loop_detected", "This request has passed here before."));
    }
    if origin.is_some_and(|origin| origin.as_str() == visit.target().scheme_and_host()) {
        let detail = "The origin of this route is this Worker itself.";
        return Some(Problem::new(503, "configuration_refused", detail));
    }
    None
}

fn reject(visit: &Visit, problem: &Problem) -> Response {
    visit.answered(ServedAs::Rejected, clock::now());
    problem.response()
}

/// A refused configuration answers everything with its one sentence, here and in the log.
pub(super) fn refuse(refused: &ConfigError, path: &str) -> Response {
    let sentence = refused.to_string();
    web_sys::console::error_1(&format!("configuration refused: {sentence}").into());
    if !path.starts_with("/_xfetch/") {
        isolate::count(MetricEvent::Answered { class: ServedAs::Rejected, took: Span::ZERO });
    }
    Problem::new(503, "configuration_refused", sentence).response()
}

/// Lets a page of an allowed origin read the answer.
fn allow_origin(visit: &Visit, headers: &Headers) {
    let _ = headers.append("vary", "Origin");
    if let Some(origin) = allowed_origin(visit) {
        response::set(headers, "access-control-allow-origin", &origin);
        response::set(headers, "access-control-expose-headers", "Age, Cache-Status, ETag, Retry-After");
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
    let found = bindings::fetch(&visit.env, Some("ASSETS"), &visit.request).ok()?;
    let found: Response = JsFuture::from(found).await.ok()?.unchecked_into();
    // What the files do not have is answered like any other unknown path.
    (found.status() != 404).then_some(found)
}
