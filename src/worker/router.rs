//! Which path means what.

use std::rc::Rc;

use web_sys::{Request, Response};
use worker::{Context, Env};

use super::{
    admin, assets,
    context::{RequestContext, Target},
    cors, forward, isolate, metrics_sender,
    platform::{
        background::{self, Background},
        clock,
    },
    problem::{self, Problem},
    request,
    request_flags::RequestFlags,
    routed::{Routed, Wait},
};
use crate::{
    core::{
        config::{ConfigError, OriginUrl},
        http::{self, CACHE_NAME},
        time::Span,
    },
    isolate::metrics::{MetricEvent, ServedAs},
};

/// Answers one request. Every request gets an answer; what goes wrong inside is never shown.
/// What takes time goes on when its client hangs up.
pub async fn handle(request: Request, env: Env, context: Context) -> Response {
    let context = match enter(request, env, Box::new(context)) {
        Ok(context) => context,
        Err(refused) => return refused,
    };
    let routed = match begin(&context) {
        Routed::Answer(response) => return cors::with_cors(&context, response),
        routed => routed,
    };
    let own = Rc::clone(&context);
    let answered = background::spawn_detached(&*context.background, async move { end(&own, routed).await });
    // Where the platform cancels the request, nothing that is held here is given back.
    drop(context);
    answered.await.unwrap_or_else(|_| Problem::unavailable().response())
}

/// The request with its configuration, or its refusal.
pub(super) fn enter(
    request: Request,
    env: Env,
    background: Box<dyn Background>,
) -> Result<Rc<RequestContext>, Response> {
    match isolate::config(&env) {
        Ok(config) => {
            let flags = isolate::with(|isolate| RequestFlags::of(&request, &isolate.credentials));
            Ok(Rc::new(RequestContext::new(request, flags, env, background, config)))
        }
        Err(problem) => Err(refuse(&problem, Target::parse(request.url()).path())),
    }
}

/// The first step, which waits for nothing.
pub(super) fn begin(context: &RequestContext) -> Routed {
    let (config, path) = (&context.config, context.target().path());
    if path.starts_with("/_xfetch/") {
        return Routed::Wait(Wait::Admin);
    }
    if let Some(place) = config.place(path) {
        let route = &config.routes[place];
        return match loops(context, config.origin_of(Some(route))) {
            Some(problem) => Routed::Answer(reject(context, &problem)),
            None => request::begin(context, place),
        };
    }
    if config.is_forwarded(path) {
        if let Some(problem) = loops(context, config.origin_of(None)) {
            return Routed::Answer(reject(context, &problem));
        }
        let is_plain = http::unambiguous(path)
            .is_some_and(|path| !config.routes.iter().any(|route| http::reads_as(&path, &route.path)));
        if !is_plain {
            let detail = "This path means different things to different servers.";
            return Routed::Answer(reject(context, &Problem::new(400, "ambiguous_path", detail)));
        }
        // The platform sends none, and without it the request may mean something else.
        if context.flags.is_get_or_head() && context.has_body() {
            let detail = "GET and HEAD are forwarded without a body.";
            return Routed::Answer(reject(context, &Problem::new(400, "body_not_allowed", detail)));
        }
        return Routed::Wait(Wait::Forward);
    }
    if config.page && context.flags.is_get_or_head() {
        return Routed::Wait(Wait::Asset);
    }
    Routed::Answer(problem::not_found())
}

/// What follows the first step.
pub(super) async fn end(context: &Rc<RequestContext>, routed: Routed) -> Response {
    let config = &context.config;
    let response = match routed {
        Routed::Answer(response) => response,
        Routed::ReadBody(place) => request::answer(context, place).await,
        Routed::Wait(Wait::Admin) => admin::answer(context).await,
        Routed::Wait(Wait::Forward) => {
            pass(context, config.origin_of(None), context.target().path_and_query()).await
        }
        Routed::Wait(Wait::Bypass(route)) => pass(context, config.origin_of(Some(&route)), &route.path).await,
        Routed::Wait(Wait::Asset) => assets::file(context).await.unwrap_or_else(problem::not_found),
    };
    cors::with_cors(context, response)
}

async fn pass(context: &RequestContext, origin: Option<&OriginUrl>, path_and_query: &str) -> Response {
    let started = clock::now();
    let response = forward::forward(context, origin, path_and_query).await;
    metrics_sender::answered(context, ServedAs::Bypass, started);
    response
}

/// A request that this cache has sent itself must not go round again (RFC 8586).
fn loops(context: &RequestContext, origin: Option<&OriginUrl>) -> Option<Problem> {
    if context.flags.has_loop()
        && context.header("cdn-loop").is_some_and(|field| http::list_names(&field, CACHE_NAME))
    {
        return Some(Problem::new(508, "loop_detected", "This request has passed here before."));
    }
    if origin.is_some_and(|origin| origin.as_str() == context.target().scheme_and_host()) {
        let detail = "The origin of this route is this Worker itself.";
        return Some(Problem::new(503, "configuration_refused", detail));
    }
    None
}

fn reject(context: &RequestContext, problem: &Problem) -> Response {
    metrics_sender::answered(context, ServedAs::Rejected, clock::now());
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
