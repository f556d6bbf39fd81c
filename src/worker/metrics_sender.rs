//! Sends what the isolate has counted to the metrics object. What is sent when is decided by
//! [`Flusher`](crate::isolate::metrics::Flusher).

use worker::Env;

use super::{
    context::RequestContext,
    isolate,
    object_stub::{self, Address, METRICS_BINDING},
    platform::{background, clock},
    timer,
};
use crate::{
    core::{config::OBJECT_TIMEOUT, time::Instant},
    isolate::metrics::{Batch, FORMAT, MetricEvent, MetricsReply, MetricsRequest, ServedAs},
    protocol::codec,
};

/// The name of the one metrics object.
const NAME: &str = "metrics";

/// Counts what a request was answered with, and sees to it that this is sent.
pub(super) fn answered(context: &RequestContext, class: ServedAs, started: Instant, now: Instant) {
    isolate::count(MetricEvent::Answered { class, took: now.since(started) });
    arm(context, now);
}

/// Sees to it that what is counted now is sent within the interval.
pub(super) fn arm(context: &RequestContext, now: Instant) {
    let interval = context.config.flush_interval;
    if !isolate::with(|isolate| isolate.flusher.arm(now, interval, OBJECT_TIMEOUT)) {
        return;
    }
    let env = context.env.clone();
    background::spawn(&*context.background, async move {
        timer::sleep(interval).await;
        isolate::with(|isolate| isolate.flusher.disarm());
        let _ = flush(&env, false).await;
    });
}

/// Sends everything that is counted now, and brings back the counts of all isolates if they are asked for.
/// Two messages at most: what an earlier attempt has left, then what was counted since.
pub(super) async fn flush(env: &Env, show: bool) -> Option<MetricsReply> {
    let left = isolate::with(|isolate| isolate.flusher.unconfirmed().cloned());
    if let Some(batch) = left {
        deliver(env, Some(batch), false).await?;
    }
    let batch = isolate::with(|isolate| {
        let gauges = isolate.gauges();
        let rng = &mut isolate.rng;
        // Without entropy the start is the name: good enough to tell two isolates apart.
        let name = || rng.unique_name().unwrap_or_else(|| clock::now().0.to_string());
        isolate.flusher.next_batch(gauges, show, name)
    });
    if batch.is_none() && !show {
        return None;
    }
    deliver(env, batch, show).await
}

/// Starts from zero. What this isolate has counted before belongs to the old epoch.
pub(super) async fn reset(env: &Env) -> Option<MetricsReply> {
    flush(env, true).await?;
    let reply = ask(env, &MetricsRequest::Reset).await?;
    isolate::with(|isolate| isolate.flusher.confirmed(None, &reply.epoch));
    Some(reply)
}

async fn deliver(env: &Env, batch: Option<Batch>, show: bool) -> Option<MetricsReply> {
    let sequence = batch.as_ref().map(|it| it.sequence);
    let reply = ask(env, &MetricsRequest::Flush { batch, show }).await?;
    isolate::with(|isolate| isolate.flusher.confirmed(sequence, &reply.epoch));
    Some(reply)
}

async fn ask(env: &Env, request: &MetricsRequest) -> Option<MetricsReply> {
    let to = Address { binding: METRICS_BINDING, name: NAME.to_owned(), location_hint: None };
    let bytes = codec::join(FORMAT, request, &[]);
    let reply = object_stub::send(env, to, bytes, OBJECT_TIMEOUT).await.ok()?.ok()?;
    codec::split(FORMAT, &reply).map(|(reply, _)| reply)
}
