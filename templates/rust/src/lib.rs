//! Another Worker that uses the cache: it answers its own paths and hands everything else over. The two
//! Durable Object classes are re-exported, so that `wrangler.toml` can bind them.

use web_sys::{Request, Response};
use worker::{Context, Env, event};
pub use xfetch_edge::{Metrics, RefreshLease};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    if request.url().ends_with("/own/hello") {
        return Ok(Response::new_with_opt_str(Some("hello from the embedding Worker"))?);
    }
    Ok(xfetch_edge::handle(request, env, context).await)
}
