//! Another Worker that uses the cache: it answers its own paths and hands everything else over. The
//! two Durable Object classes are re-exported, so that its `wrangler.toml` can bind them.

use web_sys::{Request, Response};
use worker::{Context, Env, event};
pub use xfetch_edge::worker::{Metrics, RefreshLease};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let url = request.url();
    if url.ends_with("/own/hello") {
        return Ok(Response::new_with_opt_str(Some("hello from the embedding Worker"))?);
    }
    // What a bug in the embedding Worker does to the cache beside it is a test of this project.
    assert!(!url.ends_with("/own/bug"), "a bug of the embedding Worker");
    Ok(xfetch_edge::worker::handle(request, env, context).await)
}
