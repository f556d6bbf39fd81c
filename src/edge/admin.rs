//! Everything under `/_xfetch/`. All but `health` needs the admin token; without a token configured
//! these paths do not exist.

mod health;
mod metrics;
mod tiers;

use std::rc::Rc;

use subtle::ConstantTimeEq;
use web_sys::{Request, Response};
use worker::Env;

use super::{reply, reply::Problem, router::Target};
use crate::config::Config;

/// Answers a request to one of the cache's own paths.
pub(super) async fn answer(request: &Request, env: &Env, config: &Rc<Config>, target: &Target) -> Response {
    let is_admin = is_admin(request, config);
    let path = target.path.strip_prefix("/_xfetch/").unwrap_or_default();
    if path == "health" {
        return match request.method().as_str() {
            "GET" | "HEAD" if is_admin == Some(true) => health::answer(env, config, &target.host).await,
            "GET" | "HEAD" => health::brief(),
            _ => wrong_method("GET, HEAD"),
        };
    }
    match is_admin {
        None => return not_found(),
        Some(false) => {
            return Problem::new(401, "unauthorized", "This path needs the admin token.")
                .header("www-authenticate", "Bearer realm=\"xfetch-edge\"".to_owned())
                .response();
        }
        Some(true) => {}
    }
    match (path, request.method().as_str()) {
        ("metrics", "GET" | "HEAD") => metrics::read(request, env).await,
        ("metrics", _) => wrong_method("GET, HEAD"),
        ("metrics/reset", "POST") => metrics::reset(env).await,
        ("purge", "POST") => tiers::purge(request, env, config, target).await,
        ("inspect", "POST") => tiers::inspect(request, env, config, target).await,
        ("metrics/reset" | "purge" | "inspect", _) => wrong_method("POST"),
        _ => not_found(),
    }
}

fn not_found() -> Response {
    Problem::new(404, "not_found", "There is nothing here.").response()
}

fn wrong_method(allowed: &str) -> Response {
    Problem::new(405, "method_not_allowed", format!("This path is asked by {allowed}."))
        .header("allow", allowed.to_owned())
        .response()
}

/// Whether the request carries the admin token; `None` when there is none to carry. The comparison
/// takes the same time wherever the texts differ.
fn is_admin(request: &Request, config: &Config) -> Option<bool> {
    let expected = config.admin_token.as_ref()?;
    let given = reply::get(&request.headers(), "authorization").unwrap_or_default();
    let given = match given.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    };
    Some(given.as_bytes().ct_eq(expected.as_bytes()).into())
}
