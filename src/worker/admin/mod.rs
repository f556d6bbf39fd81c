//! The paths under `/_xfetch/`. All except `health` require the admin token; if no token is configured,
//! they are answered with 404.

mod health;
mod metrics;
mod tiers;
mod top;

use std::rc::Rc;

use subtle::ConstantTimeEq;
use web_sys::Response;

use super::{
    assets,
    context::RequestContext,
    problem::{self, Problem},
};

/// Answers a request to one of the cache's own paths.
pub(super) async fn answer(context: &Rc<RequestContext>) -> Response {
    let is_admin = is_admin(context);
    let path = context.target().path().strip_prefix("/_xfetch/").unwrap_or_default();
    let method = context.request.method();
    let reads = matches!(method.as_str(), "GET" | "HEAD");
    if path == "health" {
        return match is_admin {
            _ if !reads => wrong_method("GET, HEAD"),
            Some(true) => health::answer(context).await,
            Some(false) | None => health::brief(),
        };
    }
    match is_admin {
        None => return problem::not_found(),
        Some(false) => {
            return Problem::new(401, "unauthorized", "This path needs the admin token.")
                .header("www-authenticate", "Bearer realm=\"xfetch-edge\"".to_owned())
                .response();
        }
        Some(true) => {}
    }
    match path {
        "metrics" if reads => metrics::read(context).await,
        "metrics" => wrong_method("GET, HEAD"),
        "top" if reads => top::read(context).await,
        "top" => wrong_method("GET, HEAD"),
        "openapi.json" if reads => assets::file(context).await.unwrap_or_else(problem::not_found),
        "openapi.json" => wrong_method("GET, HEAD"),
        "metrics/reset" | "purge" | "inspect" | "explain" if method != "POST" => wrong_method("POST"),
        "metrics/reset" => metrics::reset(context).await,
        "purge" => tiers::purge(context).await,
        "inspect" => tiers::inspect(context).await,
        "explain" => tiers::explain(context).await,
        _ => problem::not_found(),
    }
}

fn wrong_method(allowed: &str) -> Response {
    Problem::new(405, "method_not_allowed", format!("This path is asked by {allowed}."))
        .header("allow", allowed.to_owned())
        .response()
}

/// Whether the request carries the admin token; `None` if no token is configured. The time of the comparison
/// does not depend on where the two tokens differ.
fn is_admin(context: &RequestContext) -> Option<bool> {
    let expected = context.config.secrets.admin_token.as_ref()?;
    let given = context.header("authorization").unwrap_or_default();
    let given = match given.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    };
    Some(given.as_bytes().ct_eq(expected.as_bytes()).into())
}
