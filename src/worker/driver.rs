//! Runs tasks in the Worker: one loop around [`Task::on`], and one `match` that performs effects.

use std::rc::Rc;

use super::{
    cache_api, globals,
    keyed_request::KeyedRequest,
    metrics_sender,
    object_stub::{self, Replied},
    origin,
    platform::{background, clock},
    timer::Sleep,
    waiters::Waiter,
};
use crate::{
    core::{
        canonical_json,
        failure::Reason,
        time::{Instant, Span},
    },
    isolate::{
        coalesce::WaitTicket,
        metrics::{MetricEvent, Spent},
        step::{Done, Effect, Event, KeyedRoute, Notes, ObjectError, RefreshLog},
        task::Task,
    },
};

/// Runs one step of a task, and returns the effect that is still to be performed.
pub(super) fn step(keyed: &Rc<KeyedRequest>, task: &mut Task, event: Event, now: Instant) -> Effect {
    let step = globals::with(|globals| {
        let chance = globals.chance();
        let subject = KeyedRoute { key: &keyed.request.key, route: &keyed.route, fields: &**keyed };
        task.on(event, subject, &mut globals.state, now, chance)
    });
    perform(keyed, step.notes);
    step.effect
}

/// Runs a task from its first event to its end.
pub(super) async fn run(keyed: Rc<KeyedRequest>, mut task: Task, event: Event) -> Done {
    let effect = step(&keyed, &mut task, event, clock::now());
    drive(keyed, task, effect).await
}

/// Runs a task to its end, from the effect of its last step on.
pub(super) async fn drive(keyed: Rc<KeyedRequest>, mut task: Task, mut effect: Effect) -> Done {
    loop {
        let event = match effect {
            Effect::LookUpColo => {
                Event::Colo(counted(cache_api::look_up(keyed.host(), &keyed.request.key).await).flatten())
            }
            Effect::WriteColo { bytes, lifetime } => {
                counted(cache_api::write(keyed.host(), &keyed.request.key, &bytes, lifetime).await);
                Event::Written
            }
            Effect::Send { bytes, limit, wants_late_reply } => {
                Event::Object(send(&keyed, bytes, limit, wants_late_reply).await)
            }
            Effect::CallOrigin { limit, held } => {
                let started = clock::now();
                let computed = origin::compute(&keyed, limit, held.as_deref()).await;
                let spent = Spent::computation(clock::now().since(started));
                globals::with(|globals| {
                    globals.flusher.spend(&keyed.route.path, keyed.request.partition.tenant(), spent);
                });
                Event::Origin(computed)
            }
            Effect::Sleep { ticket, at_most } => sleep(ticket, at_most).await,
            Effect::Done(done) => return done,
        };
        effect = step(&keyed, &mut task, event, clock::now());
    }
}

fn perform(keyed: &Rc<KeyedRequest>, notes: Notes) {
    let Notes { spawn, wake, events, log } = notes;
    if !events.is_empty() {
        // The cache's own questions are no traffic: of them only the calls count.
        let is_inquiry = keyed.route.inquiry.is_some();
        globals::with(|globals| {
            for event in events {
                match event {
                    MetricEvent::Called { .. } if is_inquiry => globals.flusher.fold(MetricEvent::Inquired),
                    MetricEvent::Triggered { .. } if is_inquiry => {}
                    event => globals.flusher.fold(event),
                }
            }
        });
    }
    for (ticket, shared) in wake {
        globals::with(|globals| globals.waiters.wake(ticket, shared, clock::now()));
    }
    for task in spawn {
        begin_behind(keyed, Task::new(task), Event::Started);
    }
    if let Some(log) = log {
        write_log(keyed, &log);
        metrics_sender::arm(&keyed.context, clock::now());
    }
}

/// Starts a task in `waitUntil`, where it may outlast the response.
fn begin_behind(keyed: &Rc<KeyedRequest>, task: Task, event: Event) {
    let own = Rc::clone(keyed);
    background::spawn(&*keyed.context.background, async move {
        run(own, task, event).await;
    });
}

async fn send(keyed: &Rc<KeyedRequest>, bytes: Vec<u8>, limit: Span, wants_late_reply: bool) -> Replied {
    match object_stub::send(&keyed.context.env, keyed.address(), bytes, limit).await {
        Ok(replied) => replied,
        Err(late) => {
            if wants_late_reply {
                let own = Rc::clone(keyed);
                background::spawn(&*keyed.context.background, async move {
                    if let Ok(bytes) = late.await {
                        begin_behind(&own, Task::late_reply(), Event::LateObject(bytes));
                    }
                });
            }
            Err(ObjectError::Slow)
        }
    }
}

async fn sleep(ticket: WaitTicket, at_most: Span) -> Event {
    let sleep = Sleep::new(at_most);
    let waiter = Waiter::new(sleep.alarm());
    let early = globals::with(|globals| globals.waiters.sleeps(ticket, &waiter, at_most, clock::now()));
    if let Some(result) = early {
        return Event::Woken(result);
    }
    sleep.end().await;
    globals::with(|globals| globals.waiters.ended(ticket));
    waiter.take().map_or(Event::TimedOut, Event::Woken)
}

/// The result of a call to the Cache API. A failure is counted and gives `None`, as other tiers suffice.
fn counted<T>(result: Result<T, cache_api::CacheFailed>) -> Option<T> {
    result.map_err(|_| globals::count(MetricEvent::CacheFailed)).ok()
}

/// Logs one line per computation. The key is logged as a hash, because its text may be personal data.
fn write_log(keyed: &KeyedRequest, log: &RefreshLog) {
    let line = canonical_json::object([
        ("event", "refresh".into()),
        ("route", keyed.route.path.as_str().into()),
        ("key", canonical_json::hex(&keyed.request.key.hash[..8]).into()),
        ("purpose", log.purpose.as_str().into()),
        ("ending", log.outcome.into()),
        ("token", log.token.into()),
        ("delta_ms", log.delta.map(|delta| delta.0).into()),
        ("reason", log.reason.map(Reason::as_str).into()),
    ]);
    web_sys::console::log_1(&canonical_json::text(&line).into());
}
