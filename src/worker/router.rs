//! Which path means what.

use std::rc::Rc;

use web_sys::{Request, Response};
use worker::{Context, Env};

use super::{
    admin, admission, assets,
    context::{RequestContext, RequestHead, RequestTarget},
    cors, forward, globals, invalidation, metrics_sender,
    platform::{background, clock},
    problem::{self, Problem},
    request,
    request_flags::RequestFlags,
    routed::{Routed, Wait},
};
use crate::{
    core::{
        access::Identity,
        config::{ConfigError, OriginUrl, Route},
        http::{self, CACHE_NAME},
        time::Span,
    },
    isolate::metrics::{MetricEvent, ServedAs},
};

/// Answers one request. Every request gets an answer; what goes wrong inside is never shown.
/// What takes time goes on when its client hangs up.
pub async fn handle(request: Request, env: Env, context: Context) -> Response {
    let head = match read_head(request, &env) {
        Ok(head) => head,
        Err(refused) => return refused,
    };
    let routed = route(&head);
    let context = head.with(env, Box::new(context));
    let wait = match at_once(&context, routed) {
        Ok(response) => return response,
        Err(wait) => wait,
    };
    let own = Rc::clone(&context);
    let answered =
        background::spawn_detached(&*context.background, async move { wait_and_answer(&own, wait).await });
    // Where the platform cancels the request, nothing that is held here is given back.
    drop(context);
    answered.await.unwrap_or_else(|_| Problem::unavailable().response())
}

/// The request's head with the configuration, or what a refused configuration answers.
pub(super) fn read_head(request: Request, env: &Env) -> Result<RequestHead, Response> {
    match globals::config(env) {
        Ok(config) => {
            let flags = globals::with(|globals| RequestFlags::of(&request, &globals.credentials));
            Ok(RequestHead::new(request, flags, config))
        }
        Err(problem) => Err(refuse(&problem, RequestTarget::parse(request.url()).path())),
    }
}

/// Where a request goes.
pub(super) fn route(head: &RequestHead) -> Routed {
    let (config, path) = (&head.config, head.target().path());
    if path.starts_with("/_xfetch/") {
        return Routed::Wait(Wait::Admin);
    }
    if let Some(place) = config.place(path) {
        let route = &config.routes[place];
        return match loops(head, config.origin_of(Some(route))) {
            Some(problem) => Routed::Reject(problem),
            None => request::check(head, place),
        };
    }
    if config.is_forwarded(path) {
        if head.flags.method().is_none() && head.request.method() == "TRACE" {
            return Routed::Reject(request::trace());
        }
        if let Some(problem) = loops(head, config.origin_of(None)) {
            return Routed::Reject(problem);
        }
        let is_plain = http::unambiguous(path)
            .is_some_and(|path| !config.routes.iter().any(|route| http::reads_as(&path, &route.path)));
        if !is_plain {
            return Routed::Reject(request::ambiguous_path());
        }
        // The platform sends none, and without it the request may mean something else.
        if head.flags.is_get_or_head() && head.has_body() {
            let detail = "GET and HEAD are forwarded without a body.";
            return Routed::Reject(Problem::new(400, "body_not_allowed", detail));
        }
        return Routed::Wait(Wait::Forward);
    }
    if config.page && head.flags.is_get_or_head() {
        return Routed::Wait(Wait::Asset);
    }
    Routed::Answer(problem::not_found())
}

/// The answer of a request that waits for nothing.
///
/// # Errors
/// Not an error: what the request waits for.
pub(super) fn at_once(context: &RequestContext, routed: Routed) -> Result<Response, Wait> {
    let response = match routed {
        Routed::Answer(response) => response,
        Routed::Reject(problem) => {
            let now = clock::now();
            metrics_sender::answered(context, ServedAs::Rejected, now, now);
            problem.response()
        }
        Routed::Wait(wait) => return Err(wait),
    };
    Ok(cors::with_cors(context, response))
}

/// The answer of a request that takes time.
pub(super) async fn wait_and_answer(context: &Rc<RequestContext>, wait: Wait) -> Response {
    let response = match wait {
        Wait::Body(place) => request::answer(context, place).await,
        Wait::Key(place) => request::answer_body(context, place, Ok(Vec::new()), clock::now()).await,
        Wait::Admin => admin::answer(context).await,
        Wait::Forward => pass(context, None, &Identity::ANONYMOUS).await,
        Wait::Bypass(route) => match admission::admit(context, &route).await {
            Ok(admitted) => pass(context, Some(&route), &admitted.identity).await,
            Err(problem) => {
                let now = clock::now();
                metrics_sender::answered(context, ServedAs::Rejected, now, now);
                problem.response()
            }
        },
        Wait::Asset => assets::file(context).await.unwrap_or_else(problem::not_found),
    };
    cors::with_cors(context, response)
}

/// Passes a request on uncached: one of a route, or else of a path in `FORWARD`.
async fn pass(context: &Rc<RequestContext>, route: Option<&Rc<Route>>, identity: &Identity) -> Response {
    let started = clock::now();
    let response = forward::forward(context, route.map(|it| &**it), identity).await;
    invalidation::invalidate(context, route, identity, &response).await;
    metrics_sender::answered(context, ServedAs::Bypass, started, clock::now());
    response
}

/// A request that this cache has sent itself must not go round again (RFC 8586).
fn loops(head: &RequestHead, origin: Option<&OriginUrl>) -> Option<Problem> {
    if head.flags.has_loop()
        && head.header("cdn-loop").is_some_and(|field| http::list_names(&field, CACHE_NAME))
    {
        return Some(Problem::new(508, "loop_detected", "This request has passed here before."));
    }
    if origin.is_some_and(|origin| origin.as_str() == head.target().scheme_and_host()) {
        let detail = "The origin of this route is this Worker itself.";
        return Some(Problem::new(503, "configuration_refused", detail));
    }
    None
}

/// A refused configuration answers everything with its one sentence, here and in the log.
pub(super) fn refuse(refused: &ConfigError, path: &str) -> Response {
    let sentence = refused.to_string();
    web_sys::console::error_1(&format!("configuration refused: {sentence}").into());
    if !path.starts_with("/_xfetch/") {
        globals::count(MetricEvent::Answered { class: ServedAs::Rejected, took: Span::ZERO });
    }
    Problem::new(503, "configuration_refused", sentence).response()
}
