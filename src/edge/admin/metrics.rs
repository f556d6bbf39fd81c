//! `GET /_xfetch/metrics` and `POST /_xfetch/metrics/reset`.

use prometheus::{
    Encoder, TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use serde_json::{Map, Value, json};
use web_sys::{Request, Response};
use worker::Env;

use crate::{
    edge::{
        flush::{self, Answer},
        reply,
        reply::Problem,
    },
    metrics::{ANSWER_TIME, BUCKETS, COUNTERS, DELTA, Gauges, Tally},
};

const HISTOGRAMS: [(&str, &str); 2] =
    [(ANSWER_TIME, "Time to the answer."), (DELTA, "Cost of the computations.")];

fn gauges(gauges: Gauges) -> [(&'static str, &'static str, u64); 3] {
    [
        ("computations_in_flight", "Origin calls under way.", gauges.computations_in_flight),
        ("memory_entries", "Keys in the memory of all isolates.", gauges.memory_entries),
        ("memory_bytes", "Bytes in the memory of all isolates.", gauges.memory_bytes),
    ]
}

/// All counters, as JSON or as Prometheus text. What this isolate has counted is sent first, so that
/// the answer includes every request it has answered before.
pub(super) async fn read(request: &Request, env: &Env) -> Response {
    let Some(answer) = flush::flush(env, true).await else {
        return unavailable();
    };
    let accepts_text = reply::get(&request.headers(), "accept").is_some_and(|accept| {
        let types = accept.split(',').map(|it| it.split(';').next().unwrap_or_default().trim());
        types.into_iter().find(|it| matches!(*it, "text/plain" | "application/json")) == Some("text/plain")
    });
    let query = request.url();
    let query = query.split_once('?').map_or("", |(_, query)| query);
    match query.split('&').find_map(|pair| pair.strip_prefix("format=")) {
        Some("prometheus") => as_text(&answer),
        Some("json") => as_json(&answer),
        None if accepts_text => as_text(&answer),
        None => as_json(&answer),
        Some(_) => Problem::new(400, "unknown_format", "The format is json or prometheus.").response(),
    }
}

/// Zeros, and a new epoch.
pub(super) async fn reset(env: &Env) -> Response {
    match flush::reset(env).await {
        Some(answer) => reply::json(200, &json!({ "epoch": answer.epoch, "since": answer.since })),
        None => unavailable(),
    }
}

fn unavailable() -> Response {
    Problem::new(503, "metrics_unavailable", "The counters cannot be reached now.").response()
}

fn as_json(answer: &Answer) -> Response {
    let (tally, current) = answer.shown.clone().unwrap_or_default();
    let counters: Map<String, Value> =
        COUNTERS.iter().map(|(name, _)| ((*name).to_owned(), tally.get(name).into())).collect();
    let gauges: Map<String, Value> =
        gauges(current).iter().map(|(name, _, value)| ((*name).to_owned(), (*value).into())).collect();
    let histograms: Map<String, Value> =
        HISTOGRAMS.iter().map(|(name, _)| ((*name).to_owned(), histogram(&tally, name))).collect();
    reply::json(
        200,
        &json!({
            "epoch": answer.epoch,
            "since": answer.since,
            "counters": counters,
            "gauges": gauges,
            "histograms": histograms,
        }),
    )
}

/// Cumulative, as Prometheus has them: `le` in milliseconds, the last one null.
fn histogram(tally: &Tally, name: &str) -> Value {
    let histogram = tally.histograms.get(name).cloned().unwrap_or_default();
    let bounds = BUCKETS.iter().map(|bound| Value::from(*bound)).chain([Value::Null]);
    let mut count = 0;
    let buckets: Vec<Value> = bounds
        .zip(histogram.counts)
        .map(|(le, more)| {
            count += more;
            json!({ "le": le, "count": count })
        })
        .collect();
    json!({ "count": count, "sum": histogram.sum, "buckets": buckets })
}

fn as_text(answer: &Answer) -> Response {
    let (tally, current) = answer.shown.clone().unwrap_or_default();
    let mut families: Vec<MetricFamily> = COUNTERS
        .iter()
        .map(|(name, help)| {
            let mut counter = Counter::default();
            counter.set_value(tally.get(name) as f64);
            let mut metric = Metric::default();
            metric.set_counter(counter);
            family(name, help, MetricType::COUNTER, metric)
        })
        .collect();
    families.extend(
        gauges(current)
            .iter()
            .map(|(name, help, value)| family(name, help, MetricType::GAUGE, gauge(*value as f64))),
    );
    families.extend(HISTOGRAMS.iter().map(|(name, help)| {
        let metric = histogram_metric(&tally, name);
        family(name, help, MetricType::HISTOGRAM, metric)
    }));
    // The epoch is a label of one gauge: a counter that starts anew is told from one that fell.
    let mut epoch = gauge(answer.since.as_seconds());
    let mut label = LabelPair::default();
    label.set_name("epoch".to_owned());
    label.set_value(answer.epoch.clone());
    epoch.set_label(vec![label]);
    families.push(family("metrics_since_seconds", "Begin of this epoch.", MetricType::GAUGE, epoch));
    let mut text = Vec::new();
    if TextEncoder::new().encode(&families, &mut text).is_err() {
        return unavailable();
    }
    let headers = reply::headers(&[
        ("content-type", "text/plain; version=0.0.4; charset=utf-8"),
        ("cache-control", "no-store"),
    ]);
    reply::with_bytes(200, &headers, &text)
}

fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_gauge(gauge);
    metric
}

fn histogram_metric(tally: &Tally, name: &str) -> Metric {
    let counted = tally.histograms.get(name).cloned().unwrap_or_default();
    let mut cumulative = 0;
    let buckets = BUCKETS
        .iter()
        .zip(counted.counts)
        .map(|(bound, more)| {
            cumulative += more;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64);
            bucket.set_cumulative_count(cumulative);
            bucket
        })
        .collect();
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(counted.count());
    histogram.set_sample_sum(counted.sum as f64);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}

fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}
