//! `GET /_xfetch/metrics` and `POST /_xfetch/metrics/reset`.

use serde_json::{Map, Value};
use web_sys::Response;

use crate::{
    core::canonical_json,
    isolate::metrics::{BUCKETS, COUNTERS, Counters, Gauges, Histogram, MetricsReply},
    worker::{context::RequestContext, metrics_sender, problem::Problem, response},
};

fn histograms(counters: &Counters) -> [(&'static str, &'static str, &Histogram); 2] {
    [
        ("answer_milliseconds", "Time to the answer.", &counters.answer_time),
        ("delta_milliseconds", "Cost of the computations.", &counters.delta),
    ]
}

fn gauges(gauges: Gauges) -> [(&'static str, &'static str, u64); 3] {
    [
        ("computations_in_flight", "Origin calls under way.", gauges.computations_in_flight),
        ("memory_entries", "Keys in the memory of all isolates.", gauges.memory_entries),
        ("memory_bytes", "Bytes in the memory of all isolates.", gauges.memory_bytes),
    ]
}

/// All counters, as JSON or as Prometheus text. This isolate sends its own counts first, so that the answer
/// includes every request that it has answered before.
pub(super) async fn read(context: &RequestContext) -> Response {
    let Some(reply) = metrics_sender::flush(&context.env, true).await else {
        return unavailable();
    };
    let accepts_text = context.header("accept").is_some_and(|accept| {
        let types = accept.split(',').map(|it| it.split(';').next().unwrap_or_default().trim());
        types.into_iter().find(|it| matches!(*it, "text/plain" | "application/json")) == Some("text/plain")
    });
    let query = context.target().query().unwrap_or_default();
    match query.split('&').find_map(|pair| pair.strip_prefix("format=")) {
        Some("prometheus") => as_text(&reply),
        Some("json") => as_json(&reply),
        None if accepts_text => as_text(&reply),
        None => as_json(&reply),
        Some(_) => Problem::new(400, "unknown_format", "The format is json or prometheus.").response(),
    }
}

/// Resets all counters to zero and begins a new epoch.
pub(super) async fn reset(context: &RequestContext) -> Response {
    match metrics_sender::reset(&context.env).await {
        Some(reply) => response::json(
            200,
            &canonical_json::object([("epoch", reply.epoch.into()), ("since", reply.since.0.into())]),
        ),
        None => unavailable(),
    }
}

pub(super) fn unavailable() -> Response {
    Problem::new(503, "metrics_unavailable", "The counters cannot be reached now.").response()
}

fn as_json(reply: &MetricsReply) -> Response {
    let (counted, current) = reply.shown.clone().unwrap_or_default();
    let mut counters = Map::new();
    for (place, (name, _)) in COUNTERS.iter().enumerate() {
        counters.insert((*name).to_owned(), counted.at(place).into());
    }
    let gauges = canonical_json::object(gauges(current).map(|(name, _, value)| (name, value.into())));
    let histograms = canonical_json::object(histograms(&counted).map(|(name, _, it)| (name, histogram(it))));
    response::json(
        200,
        &canonical_json::object([
            ("epoch", reply.epoch.as_str().into()),
            ("since", reply.since.0.into()),
            ("counters", counters.into()),
            ("gauges", gauges),
            ("histograms", histograms),
        ]),
    )
}

/// A histogram with cumulative buckets, as in Prometheus; `le` is in milliseconds, and null for the last one.
fn histogram(histogram: &Histogram) -> Value {
    let bounds = BUCKETS.iter().map(|bound| Value::from(*bound)).chain([Value::Null]);
    let mut count = 0;
    let buckets: Vec<Value> = bounds
        .zip(histogram.counts())
        .map(|(le, more)| {
            count += more;
            canonical_json::object([("le", le), ("count", count.into())])
        })
        .collect();
    canonical_json::object([
        ("count", count.into()),
        ("sum", histogram.sum.into()),
        ("buckets", buckets.into()),
    ])
}

/// The Prometheus text format 0.0.4, without a crate: the crates that write it cost an eighth of the wasm.
/// Nothing needs escaping: names are constants, values are whole numbers, and the epoch is hexadecimal.
fn as_text(reply: &MetricsReply) -> Response {
    let (counters, current) = reply.shown.clone().unwrap_or_default();
    let mut text = String::new();
    for (place, (name, help)) in COUNTERS.iter().enumerate() {
        family(&mut text, name, help, "counter");
        sample(&mut text, name, counters.at(place));
    }
    for (name, help, value) in gauges(current) {
        family(&mut text, name, help, "gauge");
        sample(&mut text, name, value);
    }
    for (name, help, counted) in histograms(&counters) {
        family(&mut text, name, help, "histogram");
        let mut count = 0;
        for (bound, more) in BUCKETS.iter().zip(counted.counts()) {
            count += more;
            sample(&mut text, &format!("{name}_bucket{{le=\"{bound}\"}}"), count);
        }
        sample(&mut text, &format!("{name}_bucket{{le=\"+Inf\"}}"), counted.count());
        sample(&mut text, &format!("{name}_sum"), counted.sum);
        sample(&mut text, &format!("{name}_count"), counted.count());
    }
    // The epoch is a label of this gauge, so that a reset can be told from a counter that decreased.
    family(&mut text, "metrics_since_seconds", "Begin of this epoch.", "gauge");
    let since = format!("metrics_since_seconds{{epoch=\"{}\"}}", reply.epoch);
    sample(&mut text, &since, reply.since.0 / 1_000);
    let headers = response::headers(&[
        ("content-type", "text/plain; version=0.0.4; charset=utf-8"),
        ("cache-control", "no-store"),
    ]);
    response::with_text(200, &headers, &text)
}

fn family(text: &mut String, name: &str, help: &str, kind: &str) {
    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn sample(text: &mut String, name: &str, value: u64) {
    text.push_str(&format!("{name} {value}\n"));
}
