//! Counters on their way to the metrics object: gathered in the isolate, sent in batches. A batch that
//! may or may not have arrived is sent again as it is, under its old number.

use serde::{Deserialize, Serialize};
use worker::Env;

use super::{isolate, object_stub, platform::bindings, router::Visit, timer};
use crate::{
    core::{config::OBJECT_TIMEOUT, time::Instant},
    isolate::metrics::{Batch, Counters, Gauges, Ledger, MetricEvent},
    protocol::codec,
    worker::platform::clock,
};

/// The binding of the metrics object, and the object's name.
pub(super) const BINDING: &str = "METRICS";
const NAME: &str = "metrics";
/// The version of messages and of the stored book.
pub(super) const FORMAT: u32 = u32::from_le_bytes(*b"XFM1");

/// What the metrics object is asked.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    /// Take this, where there is something, and show the book where it is asked for.
    Flush { batch: Option<Batch>, show: bool },
    /// Start from zero.
    Reset,
}

/// What the metrics object answers.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) epoch: String,
    pub(super) since: Instant,
    pub(super) shown: Option<(Counters, Gauges)>,
}

impl Answer {
    pub(super) fn of(book: &Ledger, show: bool, now: Instant) -> Self {
        Self {
            epoch: book.epoch.clone(),
            since: book.since,
            shown: show.then(|| (book.tally.clone(), book.gauges(now))),
        }
    }
}

/// What has been counted and not yet arrived.
#[derive(Default)]
pub(super) struct Flusher {
    tally: Counters,
    unconfirmed: Option<Batch>,
    isolate: Option<String>,
    sequence: u64,
    epoch: Option<String>,
    armed_at: Option<Instant>,
}

impl Flusher {
    pub(super) fn fold(&mut self, fact: MetricEvent) {
        self.tally.fold(fact);
    }
}

/// Sees to it that what is counted now is sent within the interval: one timer per isolate.
pub(super) fn arm(visit: &Visit, now: Instant) {
    let interval = visit.config.flush_interval;
    let is_armed = isolate::with(|isolate| {
        let flusher = &mut isolate.flusher;
        // A timer that was cut off with its request leaves no trace but its age.
        let is_armed = flusher.armed_at.is_some_and(|at| at.covers(interval.plus(OBJECT_TIMEOUT), now));
        if !is_armed && !flusher.tally.is_empty() {
            flusher.armed_at = Some(now);
            return false;
        }
        true
    });
    if is_armed {
        return;
    }
    let env = visit.env.clone();
    bindings::behind(&*visit.context, async move {
        timer::sleep(interval).await;
        isolate::with(|isolate| isolate.flusher.armed_at = None);
        let _ = flush(&env, false).await;
    });
}

/// Sends everything that is counted now, and brings back the book where it is asked for. Two messages
/// at most: what an earlier attempt has left, then what has been counted since.
pub(super) async fn flush(env: &Env, show: bool) -> Option<Answer> {
    let left = isolate::with(|isolate| isolate.flusher.unconfirmed.clone());
    if let Some(batch) = left {
        send(env, Some(batch), false).await?;
    }
    let batch = isolate::with(|isolate| next_batch(isolate, show));
    if batch.is_none() && !show {
        return None;
    }
    send(env, batch, show).await
}

async fn send(env: &Env, batch: Option<Batch>, show: bool) -> Option<Answer> {
    let sequence = batch.as_ref().map(|it| it.sequence);
    let answer = ask(env, &Request::Flush { batch, show }).await?;
    isolate::with(|isolate| {
        let flusher = &mut isolate.flusher;
        flusher.epoch = Some(answer.epoch.clone());
        if flusher.unconfirmed.as_ref().map(|it| it.sequence) == sequence {
            flusher.unconfirmed = None;
        }
    });
    Some(answer)
}

/// Starts from zero. What this isolate has counted before belongs to the old epoch.
pub(super) async fn reset(env: &Env) -> Option<Answer> {
    flush(env, true).await?;
    let answer = ask(env, &Request::Reset).await?;
    isolate::with(|isolate| isolate.flusher.epoch = Some(answer.epoch.clone()));
    Some(answer)
}

/// The counts since the last batch; where the book is to be shown, also an empty one, for its gauges.
fn next_batch(isolate: &mut isolate::Isolate, show: bool) -> Option<Batch> {
    let gauges = isolate.gauges();
    let nonce = match &isolate.flusher.isolate {
        Some(name) => name.clone(),
        // Without entropy the start is the name: good enough to tell two isolates apart.
        None => isolate.dice.nonce().unwrap_or_else(|| clock::now().0.to_string()),
    };
    let flusher = &mut isolate.flusher;
    flusher.isolate = Some(nonce.clone());
    if flusher.unconfirmed.is_none() && (show || !flusher.tally.is_empty()) {
        flusher.sequence += 1;
        flusher.unconfirmed = Some(Batch {
            isolate: nonce,
            sequence: flusher.sequence,
            epoch: flusher.epoch.clone(),
            tally: std::mem::take(&mut flusher.tally),
            gauges,
        });
    }
    flusher.unconfirmed.clone()
}

async fn ask(env: &Env, request: &Request) -> Option<Answer> {
    let bytes = codec::join(FORMAT, request, &[]);
    let env = env.clone();
    let posted = Box::pin(async move { object_stub::post(&env, BINDING, NAME, None, &bytes).await });
    let answer = timer::within(OBJECT_TIMEOUT, posted).await.ok()?.ok()?;
    codec::split(FORMAT, &answer).map(|(answer, _)| answer)
}
