//! Performs what [`super::refresh`] decides, as effects: one computation, behind an answer or for a request
//! that waits.

use std::sync::Arc;

use super::{
    colo_store::ColoStore,
    computation::{Computed, Purpose},
    exchange::{Exchange, Progress},
    metrics::{CallOutcome, MetricEvent},
    origin_calls::CallId,
    refresh::{Refresh, RefreshAction, RefreshEvent, RefreshInput},
    refresh_outcome::RefreshOutcome,
    step::{Done, Effect, Event, ObjectReply, RefreshLog, RefreshOrder, Shared, StepContext},
};
use crate::{
    core::{
        failure::{Failure, Reason},
        time::Span,
    },
    protocol::message::{Answer, Message},
};

/// A computation under way.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct RefreshTask {
    order: RefreshOrder,
    /// The machine, once it has begun.
    refresh: Option<Refresh>,
    stage: Stage,
}

/// What it waits for.
#[derive(Clone, Debug, PartialEq, Hash)]
enum Stage {
    New,
    Looking,
    Asking(Exchange),
    Computing(CallId),
    Storing(ColoStore),
    Ended,
}

impl RefreshTask {
    pub(super) fn new(order: RefreshOrder) -> Self {
        Self { order, refresh: None, stage: Stage::New }
    }

    /// The token of the lease it holds.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.refresh.as_ref().and_then(Refresh::token)
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Effect {
        let event = match (std::mem::replace(&mut self.stage, Stage::Ended), event) {
            (Stage::New, Event::Started) => RefreshEvent::Started,
            (Stage::Looking, Event::Colo(bytes)) => {
                RefreshEvent::LookedInColo(context.adopt_from_colo(bytes.as_deref()))
            }
            (Stage::Asking(mut exchange), event) => match exchange.on(event, context) {
                Progress::Next(effect) => {
                    self.stage = Stage::Asking(exchange);
                    return effect;
                }
                Progress::Ended(reply) => self.heard(reply, exchange.is_acquire(), context),
            },
            (Stage::Computing(call), Event::Origin(result)) => {
                settle(call, self.order.purpose, &result, context);
                match result {
                    Ok(computed) => RefreshEvent::Computed(computed),
                    Err(failure) => RefreshEvent::Failed(failure),
                }
            }
            (Stage::Storing(store), event) => match store.on(event, context) {
                Some(effect) => {
                    self.stage = Stage::Storing(store);
                    return effect;
                }
                None => {
                    let hash = context.subject.key.hash;
                    context.isolate.memory.accept(hash, store.entry(), context.now);
                    RefreshEvent::Stored
                }
            },
            // The task does not wait for this event, so the world has made a mistake: the task ends.
            (Stage::New | Stage::Looking | Stage::Computing(_) | Stage::Ended, _) => {
                return Effect::Done(Done::Nothing);
            }
        };
        self.feed(event, context)
    }

    /// Feeds the machine until it asks for something that takes time.
    fn feed(&mut self, mut event: RefreshEvent, context: &mut StepContext<'_>) -> Effect {
        let RefreshOrder { purpose, seen, delta, has_looked, .. } = self.order;
        let now = context.now;
        let has_fallback =
            self.refresh.is_none() && context.in_memory().is_some_and(|entry| entry.is_usable_on_error(now));
        let refresh = self.refresh.get_or_insert_with(|| {
            let (key, route) = (Arc::clone(&context.subject.key.text), context.subject.route);
            let (lifetime, pass_ttl) = (route.lifetime, route.pass_ttl);
            Refresh::new(
                RefreshInput { key, lifetime, pass_ttl, seen, delta, has_fallback, has_looked },
                purpose,
            )
        });
        loop {
            let action = refresh.on(event, context.now);
            if let Some(trigger) = refresh.take_trigger() {
                context.count(MetricEvent::Triggered { purpose, trigger });
            }
            let mut exchange = match action {
                RefreshAction::LookInColo => {
                    self.stage = Stage::Looking;
                    return Effect::LookUpColo;
                }
                RefreshAction::Acquire { seen } => Exchange::new(acquire(seen, delta, context)),
                // No client waits for a refresh, so it leaves half of the places to requests with a waiting client.
                RefreshAction::Wait { seen } => {
                    let max_waiters = context.subject.route.max_waiters / 2;
                    Exchange::new(Message::Wait { seen, max_waiters })
                }
                RefreshAction::Compute => match begin_call(purpose, true, context) {
                    Some((call, effect)) => {
                        self.stage = Stage::Computing(call);
                        return effect;
                    }
                    None => {
                        event = RefreshEvent::Failed(Failure::GivenBack);
                        continue;
                    }
                },
                RefreshAction::Commit(entry) => Exchange::commit(entry),
                RefreshAction::Fail(token, failure) => Exchange::new(Message::Fail { token, failure }),
                RefreshAction::Store(entry) if entry.committed => {
                    let (store, effect) = ColoStore::begin(entry);
                    self.stage = Stage::Storing(store);
                    return effect;
                }
                // An entry that the object has not accepted is stored in this isolate's memory only.
                RefreshAction::Store(entry) => {
                    context.isolate.memory.accept(context.subject.key.hash, &entry, context.now);
                    event = RefreshEvent::Stored;
                    continue;
                }
                RefreshAction::End(outcome) => return self.end(outcome, context),
            };
            let effect = exchange.send(context.now);
            self.stage = Stage::Asking(exchange);
            return effect;
        }
    }

    /// The event of the state machine for a reply. Only a lost `Acquire` may lead to a call without a lease:
    /// after `Acquire` the refresh holds the lease, or waits for its holder.
    fn heard(&self, reply: ObjectReply, is_acquire: bool, context: &mut StepContext<'_>) -> RefreshEvent {
        match reply {
            Ok((reply, entry)) if !(is_acquire && matches!(reply.answer, Answer::Refused { .. })) => {
                RefreshEvent::Replied(reply, entry)
            }
            Ok(_) | Err(_) => {
                let (subject, now) = (context.subject, context.now);
                let may_compute = is_acquire
                    && self.refresh.as_ref().is_some_and(|refresh| {
                        let (hash, route) = (subject.key.hash, subject.route);
                        context.isolate.may_compute_without_lease(hash, route, refresh, now)
                    });
                RefreshEvent::ObjectLost { may_compute }
            }
        }
    }

    fn end(&self, outcome: RefreshOutcome, context: &mut StepContext<'_>) -> Effect {
        let Some(refresh) = &self.refresh else { return Effect::Done(Done::Nothing) };
        let (hash, now) = (context.subject.key.hash, context.now);
        context.isolate.ended(hash, self.order.owner, refresh, &outcome, now);
        if let RefreshOutcome::Rejected(_) = outcome {
            context.count(MetricEvent::CommitRejected);
        }
        context.notes.log = Some(RefreshLog {
            purpose: self.order.purpose,
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

fn acquire(seen: u64, delta: Option<Span>, context: &mut StepContext<'_>) -> Message {
    let nonce = context.chance.nonce();
    if nonce.is_none() {
        context.count(MetricEvent::NoEntropy);
    }
    let subject = context.subject;
    let request = context.isolate.lease_request(&subject.key.hash, subject.route, delta);
    Message::Acquire { seen, nonce, request }
}

/// Begins an origin call; `None` without room for one more. `may_validate`: an entry that memory holds may be validated
/// instead of computed again.
pub(super) fn begin_call(
    purpose: Purpose,
    may_validate: bool,
    context: &mut StepContext<'_>,
) -> Option<(CallId, Effect)> {
    let route = context.subject.route;
    for event in context.isolate.abandoned(context.now) {
        context.count(event);
    }
    if !context.isolate.has_room(route, context.now) {
        return None;
    }
    let call = context.isolate.calls_of(route).begin(purpose, context.now, route.lease());
    let held = if may_validate && route.origin_policy().is_some() { context.in_memory() } else { None };
    let held = held.filter(|entry| entry.has_validator() && context.subject.is_answered_by(entry));
    Some((call, Effect::CallOrigin { limit: route.origin_timeout, held }))
}

/// An origin call has ended: it counts once, and not at all if it was counted as abandoned before.
pub(super) fn settle(
    call: CallId,
    purpose: Purpose,
    result: &Result<Computed, Failure>,
    context: &mut StepContext<'_>,
) {
    let route = context.subject.route;
    if let Ok(Computed { stale_forbidden_by: Some(directive), .. }) = result {
        context.isolate.forbids_stale(route, directive);
    }
    match result {
        Ok(computed) if computed.is_renewal => {}
        Ok(computed) => context.isolate.measured(route, computed.delta),
        // It costs at least this much: a route whose computations all time out must not look fast.
        Err(Failure::Transient { reason: Reason::OriginTimeout, .. }) => {
            context.isolate.measured(route, route.origin_timeout);
        }
        Err(_) => {}
    }
    if context.isolate.calls_of(route).settle(call) {
        context.count(MetricEvent::Called { purpose, call: CallOutcome::of(result) });
    }
}
