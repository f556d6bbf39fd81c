//! Which path means what.

use std::rc::Rc;

use web_sys::{Headers, Request, Response};
use worker::{Context, Env};

use super::{admin, cached, flush, forward, isolate, reply, reply::Problem};
use crate::{
    config::{Config, ConfigError, OriginUrl},
    host,
    http::{self, CACHE_NAME},
    metrics::{Class, Fact},
};

/// The parts of a request's URL, as the runtime's parser has left them: dot segments are resolved,
/// nothing else is decoded.
pub(super) struct Target {
    pub(super) scheme_and_host: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) has_query: bool,
    pub(super) path_and_query: String,
}

impl Target {
    fn parse(url: &str) -> Self {
        let url = url.split('#').next().unwrap_or(url);
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let (host, _) = rest.split_once('/').unwrap_or((rest, ""));
        let path_and_query = rest.strip_prefix(host).unwrap_or("/");
        let (path, has_query) = match path_and_query.split_once('?') {
            Some((path, _)) => (path, true),
            None => (path_and_query, false),
        };
        Self {
            scheme_and_host: format!("{scheme}://{host}"),
            host: host.to_owned(),
            path: path.to_owned(),
            has_query,
            path_and_query: path_and_query.to_owned(),
        }
    }
}

/// Answers one request. Every request gets an answer; what goes wrong inside is never shown.
pub async fn handle(request: Request, env: Env, context: Context) -> Response {
    let context = Rc::new(context);
    let target = Target::parse(&request.url());
    let config = match isolate::config(&env) {
        Ok(config) => config,
        Err(refused) => return refuse(&refused, &target.path),
    };
    let response = route(&request, &env, &context, &config, target).await;
    if !config.cors_origins.is_empty() {
        allow_origin(&config, &request, &response.headers());
    }
    response
}

async fn route(
    request: &Request,
    env: &Env,
    context: &Rc<Context>,
    config: &Rc<Config>,
    target: Target,
) -> Response {
    if target.path.starts_with("/_xfetch/") {
        return admin::answer(request, env, config, &target).await;
    }
    if let Some(route) = config.route(&target.path).cloned() {
        if let Some(problem) = loops(request, config.origin_of(Some(&route)), &target) {
            return reject(env, context, config, &problem);
        }
        return cached::answer(request, env.clone(), Rc::clone(context), Rc::clone(config), route, target)
            .await;
    }
    if config.is_forwarded(&target.path) {
        let origin = config.origin_of(None);
        if let Some(problem) = loops(request, origin, &target) {
            return reject(env, context, config, &problem);
        }
        let is_plain = http::unambiguous(&target.path)
            .is_some_and(|path| !config.routes.iter().any(|route| http::reads_as(&path, &route.path)));
        if !is_plain {
            let problem =
                Problem::new(400, "ambiguous_path", "This path means different things to different servers.");
            return reject(env, context, config, &problem);
        }
        let started = host::now();
        let response = forward::forward(env, config, origin, request, &target.path_and_query).await;
        isolate::count(Fact::Answered { class: Class::Bypass, took: host::now().minus(started) });
        flush::arm(env, context, config);
        return response;
    }
    if target.path == "/" && config.page && request.method() == "GET" {
        return index(config);
    }
    Problem::new(404, "not_found", "There is nothing here.").response()
}

/// A request that this cache has sent itself must not go round again (RFC 8586).
fn loops(request: &Request, origin: Option<&OriginUrl>, target: &Target) -> Option<Problem> {
    let has_been_here =
        reply::get(&request.headers(), "cdn-loop").is_some_and(|field| http::list_names(&field, CACHE_NAME));
    if has_been_here {
        return Some(Problem::new(508, "loop_detected", "This request has passed here before."));
    }
    if origin.is_some_and(|origin| origin.as_str() == target.scheme_and_host) {
        let detail = "The origin of this route is this Worker itself.";
        return Some(Problem::new(503, "configuration_refused", detail));
    }
    None
}

fn reject(env: &Env, context: &Rc<Context>, config: &Config, problem: &Problem) -> Response {
    isolate::count(Fact::Answered { class: Class::Rejected, took: crate::time::Millis::ZERO });
    flush::arm(env, context, config);
    problem.response()
}

/// A refused configuration answers everything with its one sentence, here and in the log.
fn refuse(refused: &ConfigError, path: &str) -> Response {
    let sentence = refused.to_string();
    web_sys::console::error_1(&format!("configuration refused: {sentence}").into());
    if !path.starts_with("/_xfetch/") {
        isolate::count(Fact::Answered { class: Class::Rejected, took: crate::time::Millis::ZERO });
    }
    Problem::new(503, "configuration_refused", sentence).response()
}

/// Lets a page of an allowed origin read the answer.
fn allow_origin(config: &Config, request: &Request, headers: &Headers) {
    let _ = headers.append("vary", "Origin");
    if let Some(origin) = allowed_origin(config, request) {
        reply::set(headers, "access-control-allow-origin", &origin);
        reply::set(headers, "access-control-expose-headers", "Age, Cache-Status, ETag, Retry-After");
    }
}

/// The page's origin, in the sense of CORS, if it is allowed.
pub(super) fn allowed_origin(config: &Config, request: &Request) -> Option<String> {
    let origin = reply::get(&request.headers(), "origin")?;
    config.cors_origins.iter().any(|allowed| *allowed == origin || allowed == "*").then_some(origin)
}

/// What runs here, for somebody who opens the address in a browser.
fn index(config: &Config) -> Response {
    let routes: String =
        config.routes.iter().map(|route| format!("<li><code>POST {}</code></li>", route.path)).collect();
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>xfetch-edge</title>\
         <style>body{{font:1rem/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem;color-scheme:light dark}}</style>\
         <h1>xfetch-edge {version}</h1><p>An edge cache that never makes a warm request wait. It caches:</p>\
         <ul>{routes}</ul>\
         <p><a href=\"/_xfetch/health\">Health</a>, and <a href=\"/_xfetch/metrics\">metrics</a>, which ask for \
         the header <code>Authorization: Bearer</code> with the admin token.</p>",
        version = env!("CARGO_PKG_VERSION"),
    );
    let headers = reply::headers(&[
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-cache"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ]);
    reply::with_text(200, &headers, &page)
}
