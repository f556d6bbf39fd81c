//! Performs what [`super::refresh`] decides, as effects: one computation, behind an answer or for a request
//! that waits.

use std::sync::Arc;

use super::{
    colo_store::ColoStore,
    computation::{Computed, Purpose},
    exchange::{Exchange, Progress},
    metrics::{CallOutcome, MetricEvent},
    origin_calls::CallId,
    refresh::{self, Action, Refresh},
    refresh_outcome::RefreshOutcome,
    step::{Context, Done, Effect, Event, ObjectReply, RefreshLog, RefreshOrder, Shared},
};
use crate::{
    core::{failure::Failure, time::Span},
    protocol::message::{Answer, Message},
};

/// A computation under way.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct RefreshTask {
    order: RefreshOrder,
    stage: Stage,
}

/// What it waits for.
#[derive(Clone, Debug, PartialEq, Hash)]
enum Stage {
    New,
    Looking(Refresh),
    Asking(Refresh, Exchange),
    Computing(Refresh, CallId),
    Storing(Refresh, ColoStore),
    Ended,
}

impl RefreshTask {
    pub(super) fn new(order: RefreshOrder) -> Self {
        Self { order, stage: Stage::New }
    }

    /// The token of the lease it holds.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        match &self.stage {
            Stage::Looking(refresh)
            | Stage::Asking(refresh, _)
            | Stage::Computing(refresh, _)
            | Stage::Storing(refresh, _) => refresh.token(),
            Stage::New | Stage::Ended => None,
        }
    }

    pub(super) fn on(&mut self, event: Event, context: &mut Context<'_>) -> Effect {
        match (std::mem::replace(&mut self.stage, Stage::Ended), event) {
            (Stage::New, Event::Started) => {
                let RefreshOrder { purpose, seen, delta, has_looked, .. } = self.order;
                let (key, lifetime) = (&context.subject.key.text, context.subject.route.lifetime);
                let subject = refresh::Subject { key: Arc::clone(key), lifetime, seen, delta, has_looked };
                self.feed(Refresh::new(subject, purpose), refresh::Event::Started, context)
            }
            (Stage::Looking(refresh), Event::Colo(bytes)) => {
                let found = context.adopt_from_colo(bytes.as_deref());
                self.feed(refresh, refresh::Event::LookedInColo(found), context)
            }
            (Stage::Asking(refresh, mut exchange), event) => match exchange.on(event, context) {
                Progress::Next(effect) => {
                    self.stage = Stage::Asking(refresh, exchange);
                    effect
                }
                Progress::Ended(reply) => {
                    let event = heard(reply, &refresh, exchange.is_acquire(), context);
                    self.feed(refresh, event, context)
                }
            },
            (Stage::Computing(refresh, call), Event::Origin(result)) => {
                settle(call, refresh.purpose(), &result, context);
                let event = match result {
                    Ok(computed) => refresh::Event::Computed(computed),
                    Err(failure) => refresh::Event::Failed(failure),
                };
                self.feed(refresh, event, context)
            }
            (Stage::Storing(refresh, store), event) => match store.on(event, context) {
                Some(effect) => {
                    self.stage = Stage::Storing(refresh, store);
                    effect
                }
                None => {
                    let hash = context.subject.key.hash;
                    context.isolate.memory.accept(hash, store.entry(), context.now);
                    self.feed(refresh, refresh::Event::Stored, context)
                }
            },
            // Not an event that this task waits for: the world has lost its place, and so the task ends.
            (Stage::New | Stage::Looking(_) | Stage::Computing(..) | Stage::Ended, _) => {
                Effect::Done(Done::Nothing)
            }
        }
    }

    /// Feeds the machine until it asks for something that takes time.
    fn feed(&mut self, mut refresh: Refresh, event: refresh::Event, context: &mut Context<'_>) -> Effect {
        let mut event = event;
        loop {
            let action = refresh.on(event, context.now);
            if let Some(trigger) = refresh.take_trigger() {
                context.count(MetricEvent::Triggered { purpose: refresh.purpose(), trigger });
            }
            let exchange = match action {
                Action::LookInColo => {
                    self.stage = Stage::Looking(refresh);
                    return Effect::LookUpColo;
                }
                Action::Acquire { seen } => Exchange::new(acquire(seen, &refresh, context)),
                // Nobody waits for this, so it leaves half of the places to requests for which somebody does.
                Action::Wait { seen } => {
                    let max_waiters = context.subject.route.max_waiters / 2;
                    Exchange::new(Message::Wait { seen, max_waiters })
                }
                Action::Compute => match begin_call(refresh.purpose(), context) {
                    Some((call, effect)) => {
                        self.stage = Stage::Computing(refresh, call);
                        return effect;
                    }
                    None => {
                        event = refresh::Event::Failed(Failure::GivenBack);
                        continue;
                    }
                },
                Action::Commit(entry) => Exchange::commit(entry),
                Action::Fail(token, failure) => Exchange::new(Message::Fail { token, failure }),
                Action::Store(entry) if entry.committed => {
                    let (store, effect) = ColoStore::begin(entry);
                    self.stage = Stage::Storing(refresh, store);
                    return effect;
                }
                // One that the object has not accepted lives in this isolate's memory only.
                Action::Store(entry) => {
                    context.isolate.memory.accept(context.subject.key.hash, &entry, context.now);
                    event = refresh::Event::Stored;
                    continue;
                }
                Action::End(outcome) => return self.end(&refresh, outcome, context),
            };
            return self.ask(refresh, exchange, context);
        }
    }

    fn ask(&mut self, refresh: Refresh, mut exchange: Exchange, context: &mut Context<'_>) -> Effect {
        let effect = exchange.send(context.now);
        self.stage = Stage::Asking(refresh, exchange);
        effect
    }

    fn end(&self, refresh: &Refresh, outcome: RefreshOutcome, context: &mut Context<'_>) -> Effect {
        let (hash, now) = (context.subject.key.hash, context.now);
        context.isolate.ended(hash, self.order.owner, refresh, &outcome, now);
        if let RefreshOutcome::Rejected(_) = outcome {
            context.count(MetricEvent::CommitRejected);
        }
        context.notes.log = Some(RefreshLog {
            purpose: refresh.purpose(),
            outcome: outcome.as_str(),
            token: refresh.token(),
            delta: outcome.delta(),
            reason: outcome.reason(),
        });
        if let Some(ticket) = self.order.for_whom {
            context.notes.wake.push((ticket, Shared::Led(outcome, refresh.floor())));
        }
        Effect::Done(Done::Nothing)
    }
}

/// A reply as the machine is told of it. Only a lost `Acquire` may lead to a call without a lease: after it
/// the machine either holds one, or waits for who does.
fn heard(
    reply: ObjectReply,
    refresh: &Refresh,
    is_acquire: bool,
    context: &mut Context<'_>,
) -> refresh::Event {
    match reply {
        Ok((reply, entry)) if !(is_acquire && matches!(reply.answer, Answer::Refused { .. })) => {
            refresh::Event::Replied(reply, entry)
        }
        Ok(_) | Err(_) => {
            let (hash, route) = (context.subject.key.hash, context.subject.route);
            let may_compute =
                is_acquire && context.isolate.may_compute_without_lease(hash, route, refresh, context.now);
            refresh::Event::ObjectLost { may_compute }
        }
    }
}

fn acquire(seen: u64, refresh: &Refresh, context: &mut Context<'_>) -> Message {
    let nonce = context.chance.nonce();
    if nonce.is_none() {
        context.count(MetricEvent::NoEntropy);
    }
    let subject = context.subject;
    let request = context.isolate.lease_request(&subject.key.hash, subject.route, refresh.delta());
    Message::Acquire { seen, nonce, request }
}

/// Begins an origin call; `None` without room for one more.
pub(super) fn begin_call(purpose: Purpose, context: &mut Context<'_>) -> Option<(CallId, Effect)> {
    let route = context.subject.route;
    if !context.isolate.has_room(route) {
        return None;
    }
    let call = context.isolate.calls.begin(purpose, context.now, route.lease());
    let limit: Span = route.origin_timeout;
    Some((call, Effect::CallOrigin { limit }))
}

/// An origin call has ended: it counts once, and not at all if it was counted as abandoned before.
pub(super) fn settle(
    call: CallId,
    purpose: Purpose,
    result: &Result<Computed, Failure>,
    context: &mut Context<'_>,
) {
    if let Ok(computed) = result {
        context.isolate.measured(context.subject.route, computed.delta);
    }
    if context.isolate.calls.settle(call) {
        context.count(MetricEvent::Called { purpose, call: CallOutcome::of(result) });
    }
}
