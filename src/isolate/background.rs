//! Small tasks beside requests and refreshes: an entry on its way into the colo's cache, a reply that came
//! too late, a purge.

use std::sync::Arc;

use super::{
    colo_store::ColoStore,
    exchange::{Exchange, Progress},
    metrics::MetricEvent,
    step::{Done, Effect, Event, StepContext},
};
use crate::{
    core::{entry::Entry, failure::Failure},
    protocol::message::{Answer, Message},
};

/// An entry that the object has sent, on its way into the colo's cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Adopt {
    entry: Arc<Entry>,
    store: Option<ColoStore>,
}

impl Adopt {
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        Self { entry, store: None }
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Effect {
        match &self.store {
            None => {
                let (store, effect) = ColoStore::begin(Arc::clone(&self.entry));
                self.store = Some(store);
                effect
            }
            Some(store) => store.on(event, context).unwrap_or(Effect::Done(Done::Nothing)),
        }
    }
}

/// A reply to `Acquire` that came after its limit: its purge floor is applied, and a grant is given back,
/// because it would lock the key for the length of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LateReply {
    exchange: Exchange,
    is_giving_back: bool,
}

impl LateReply {
    pub(super) fn new() -> Self {
        Self { exchange: Exchange::new(Message::Inspect), is_giving_back: false }
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Effect {
        match self.exchange.on(event, context) {
            Progress::Next(effect) => effect,
            Progress::Ended(Ok((reply, _))) if !self.is_giving_back => match reply.answer {
                Answer::Granted { token } => {
                    context.count(MetricEvent::GrantGivenBack);
                    self.is_giving_back = true;
                    self.exchange = Exchange::new(Message::Fail { token, failure: Failure::GivenBack });
                    self.exchange.send(context.now)
                }
                _ => Effect::Done(Done::Nothing),
            },
            Progress::Ended(_) => Effect::Done(Done::Nothing),
        }
    }
}

/// Learns the purge floor of a key: a variant of it is about to be read, which other isolates may have stored before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learn {
    exchange: Option<Exchange>,
}

impl Learn {
    pub(super) fn new() -> Self {
        Self { exchange: None }
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Effect {
        match &mut self.exchange {
            None => self.exchange.insert(Exchange::new(Message::Inspect)).send(context.now),
            // The exchange applies the floor of any reply.
            Some(exchange) => match exchange.on(event, context) {
                Progress::Next(effect) => effect,
                Progress::Ended(_) => Effect::Done(Done::Nothing),
            },
        }
    }
}

/// A purge: raises the floor of the key's object, and applies it to this isolate's memory and colo.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Purge {
    hard: bool,
    exchange: Option<Exchange>,
}

impl Purge {
    pub(super) fn new(hard: bool) -> Self {
        Self { hard, exchange: None }
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Effect {
        let Some(exchange) = &mut self.exchange else {
            let physical = context.subject.route.lifetime.physical();
            let exchange = Exchange::new(Message::Purge { hard: self.hard, physical });
            return self.exchange.insert(exchange).send(context.now);
        };
        match exchange.on(event, context) {
            Progress::Next(effect) => effect,
            Progress::Ended(Ok((reply, _))) if matches!(reply.answer, Answer::Purged) => {
                // The gate's knowledge is about purged content, even if the floor was known before.
                context.isolate.gate.forget(&context.subject.key.hash);
                Effect::Done(Done::Purged(Some(reply.floor)))
            }
            Progress::Ended(_) => Effect::Done(Done::Purged(None)),
        }
    }
}
