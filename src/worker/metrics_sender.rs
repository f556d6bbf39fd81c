//! Sends the isolate's counts to the metrics object. [`Flusher`](crate::isolate::metrics::Flusher) decides
//! what is sent, and when.

use worker::Env;

use super::{
    context::RequestContext,
    globals,
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

/// Counts an answered request, and makes sure that the count is sent.
pub(super) fn answered(context: &RequestContext, class: ServedAs, started: Instant, now: Instant) {
    globals::count(MetricEvent::Answered { class, took: now.since(started) });
    arm(context, now);
}

/// Starts the timer after which the counts are sent, unless it is already running.
pub(super) fn arm(context: &RequestContext, now: Instant) {
    let interval = context.config.flush_interval;
    if !globals::with(|globals| globals.flusher.arm(now, interval, OBJECT_TIMEOUT)) {
        return;
    }
    let env = context.env.clone();
    background::spawn_housekeeping(&*context.background, async move {
        timer::sleep(interval).await;
        globals::with(|globals| globals.flusher.disarm());
        let _ = flush(&env, false).await;
    });
}

/// Sends all counts of this isolate, and returns those of all isolates if `show` is set. Sends at most two
/// messages: the batch that an earlier attempt left unconfirmed, then the counts since.
pub(super) async fn flush(env: &Env, show: bool) -> Option<MetricsReply> {
    let left = globals::with(|globals| globals.flusher.unconfirmed().cloned());
    if let Some(batch) = left {
        deliver(env, Some(batch), false).await?;
    }
    let batch = globals::with(|globals| {
        let gauges = globals.gauges();
        let rng = &mut globals.rng;
        // Without entropy the isolate is named by the current time, which two isolates rarely share.
        let name = || rng.unique_name().unwrap_or_else(|| clock::now().0.to_string());
        globals.flusher.next_batch(gauges, show, name)
    });
    if batch.is_none() && !show {
        return None;
    }
    deliver(env, batch, show).await
}

/// Resets all counters. This isolate's earlier counts are sent first, and so belong to the old epoch.
pub(super) async fn reset(env: &Env) -> Option<MetricsReply> {
    flush(env, true).await?;
    let reply = ask(env, &MetricsRequest::Reset).await?;
    globals::with(|globals| globals.flusher.confirmed(None, &reply.epoch));
    Some(reply)
}

async fn deliver(env: &Env, batch: Option<Batch>, show: bool) -> Option<MetricsReply> {
    let sequence = batch.as_ref().map(|it| it.sequence);
    let reply = ask(env, &MetricsRequest::Flush { batch, show }).await?;
    globals::with(|globals| globals.flusher.confirmed(sequence, &reply.epoch));
    Some(reply)
}

async fn ask(env: &Env, request: &MetricsRequest) -> Option<MetricsReply> {
    let to = Address { binding: METRICS_BINDING, name: NAME.to_owned(), location_hint: None };
    let bytes = codec::join(FORMAT, request, &[]);
    let reply = object_stub::send(env, to, bytes, OBJECT_TIMEOUT).await.ok()?.ok()?;
    codec::split(FORMAT, &reply).map(|(reply, _)| reply)
}
