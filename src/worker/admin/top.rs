//! `GET /_xfetch/top`: which routes and tenants cost most.

use serde_json::Value;
use web_sys::Response;

use crate::{
    core::canonical_json,
    isolate::metrics::{TopList, TopName},
    worker::{context::RequestContext, metrics_sender, response},
};

/// The routes and tenants that cost most since the counters' epoch began. This isolate sends its own counts first.
pub(super) async fn read(context: &RequestContext) -> Response {
    let Some(reply) = metrics_sender::flush(&context.env, true).await else {
        return super::metrics::unavailable();
    };
    let (counters, _) = reply.shown.unwrap_or_default();
    response::json(
        200,
        &canonical_json::object([
            ("epoch", reply.epoch.into()),
            ("since", reply.since.0.into()),
            ("routes", rows("path", &counters.routes)),
            ("tenants", rows("tenant", &counters.tenants)),
        ]),
    )
}

fn rows(kind: &str, list: &TopList) -> Value {
    let row = |it: &TopName| {
        canonical_json::object([
            (kind, it.name.as_str().into()),
            ("requests", it.spent.requests.into()),
            ("computations", it.spent.computations.into()),
            ("origin_seconds", it.spent.origin_time.as_seconds().into()),
            ("may_be_incomplete", it.may_be_incomplete().into()),
        ])
    };
    list.sorted().into_iter().map(row).collect()
}
