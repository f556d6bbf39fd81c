//! Work that one request of an isolate starts for all requests that wait for its result: a lookup in the
//! colo's cache, or a message that waits at the key's object. The work runs in `waitUntil`, so that it goes
//! on when the client of that one request hangs up.

use super::{
    coalesce::Joined,
    exchange::{Exchange, Progress},
    step::{Background, Done, Effect, Event, Shared, StepContext},
};
use crate::{
    core::{config::OBJECT_TIMEOUT, time::Span},
    protocol::{lease, message::Message},
};

/// Waits for a lookup in the colo's cache, and begins one if none is under way.
pub(super) fn look(patience: Span, context: &mut StepContext<'_>) -> Effect {
    let (hash, now) = (context.subject.key.hash, context.now);
    let ticket = context.isolate.ticket();
    let left = context.isolate.looks.left(hash, 0, now).unwrap_or(OBJECT_TIMEOUT);
    match context.isolate.looks.join(hash, 0, ticket, u32::MAX, OBJECT_TIMEOUT, now) {
        Joined::First(owner) => context.notes.spawn.push(Background::SharedLook { owner }),
        Joined::Follows => {}
        // Goes on at once, as if the colo held nothing.
        Joined::TooMany => return Effect::Sleep { ticket, at_most: Span::ZERO },
    }
    Effect::Sleep { ticket, at_most: left.min(patience) }
}

/// Waits at the key's object. The requests of this isolate that have seen the same generation share one
/// message. `None` if too many requests wait.
pub(super) fn wait(seen: u64, patience: Span, context: &mut StepContext<'_>) -> Option<Effect> {
    let (hash, now) = (context.subject.key.hash, context.now);
    let max_waiters = context.subject.route.max_waiters;
    let length = lease::time_limit(&Message::Wait { seen, max_waiters });
    let ticket = context.isolate.ticket();
    let left = context.isolate.waits.left(hash, seen, now).unwrap_or(length);
    match context.isolate.waits.join(hash, seen, ticket, max_waiters, length, now) {
        Joined::First(owner) => context.notes.spawn.push(Background::SharedWait { seen, owner }),
        Joined::Follows => {}
        Joined::TooMany => return None,
    }
    Some(Effect::Sleep { ticket, at_most: left.min(patience) })
}

/// A lookup in the colo's cache for all that wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedLook {
    owner: u64,
}

impl SharedLook {
    pub(super) fn new(owner: u64) -> Self {
        Self { owner }
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Effect {
        let Event::Colo(bytes) = event else { return Effect::LookUpColo };
        let found = context.adopt_from_colo(bytes.as_deref());
        let waiters = context.isolate.looks.end(context.subject.key.hash, 0, self.owner);
        wake(waiters, &Shared::Colo(found), context)
    }
}

/// A message that waits at the key's object for all that have seen the same generation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedWait {
    seen: u64,
    owner: u64,
    exchange: Option<Exchange>,
}

impl SharedWait {
    pub(super) fn new(seen: u64, owner: u64) -> Self {
        Self { seen, owner, exchange: None }
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Effect {
        let Some(exchange) = &mut self.exchange else {
            let max_waiters = context.subject.route.max_waiters;
            let exchange = Exchange::new(Message::Wait { seen: self.seen, max_waiters });
            return self.exchange.insert(exchange).send(context.now);
        };
        match exchange.on(event, context) {
            Progress::Next(effect) => effect,
            Progress::Ended(reply) => {
                let waiters = context.isolate.waits.end(context.subject.key.hash, self.seen, self.owner);
                wake(waiters, &Shared::Object(reply), context)
            }
        }
    }
}

fn wake(waiters: Vec<u64>, result: &Shared, context: &mut StepContext<'_>) -> Effect {
    context.notes.wake = waiters.into_iter().map(|ticket| (ticket, result.clone())).collect();
    Effect::Done(Done::Nothing)
}
