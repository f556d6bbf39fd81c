//! Performs what [`crate::isolate::miss`] decides: one loop and one match.

use std::{rc::Rc, sync::Arc};

use futures_util::future::{Either, LocalBoxFuture, select};

use super::{cache_api, driver::Job, isolate, platform::bindings, timer};
use crate::{
    core::{
        config::OBJECT_TIMEOUT,
        entry::{Entry, Floor},
        failure::Failure,
        time::Span,
    },
    isolate::{
        miss::{self, Miss, Outcome},
        refresh::{Purpose, Refresh, RefreshOutcome},
        refresh_gate::Blocked,
    },
    protocol::lease::MAX_WAIT,
    worker::platform::clock,
};

impl Job {
    /// Answers a request that has nothing to serve.
    pub(super) async fn run_cold(self: &Rc<Self>, found: Option<&Arc<Entry>>, fallback: bool) -> Outcome {
        let seen = found.map_or(0, |entry| entry.generation);
        let delta = found.map(|entry| entry.delta);
        let mut cold = Miss::new(seen, found.filter(|_| fallback).cloned(), clock::now());
        let (mut slept, mut patience) = (Span::ZERO, None);
        let mut event = match self.blocked() {
            // An outage is not one object call per request.
            Some(Blocked::BackingOff { failure, retry_after }) => self.backing_off(failure, retry_after),
            Some(Blocked::UnderWay) => miss::Event::Started { led_here: true },
            None => miss::Event::Started { led_here: false },
        };
        loop {
            cold.hear(self.floor());
            let step: LocalBoxFuture<'_, miss::Event> = match cold.on(event, clock::now()) {
                // Its own timer ends it sooner than a request loses patience: a waiter needs no other one.
                miss::Action::Wait { seen } if patience.is_none() => {
                    let since = clock::now();
                    event = self.wait(seen).await;
                    slept = clock::now().since(since).min(MAX_WAIT);
                    continue;
                }
                miss::Action::Lead { seen } => Box::pin(self.lead(seen, delta)),
                miss::Action::Wait { seen } => Box::pin(self.wait(seen)),
                miss::Action::LookAround => Box::pin(self.look_around()),
                miss::Action::WatchMemory => Box::pin(self.watch_memory()),
                miss::Action::Answer(outcome) => {
                    if let Outcome::Hit(entry) | Outcome::Collapsed(entry) = &outcome {
                        self.adopt(entry);
                    }
                    return outcome;
                }
            };
            let patience =
                patience.get_or_insert_with(|| Box::pin(timer::sleep(self.route.patience().minus(slept))));
            event = match select(step, patience).await {
                Either::Left((event, _)) => event,
                Either::Right(_) => miss::Event::TimedOut,
            };
        }
    }

    fn blocked(&self) -> Option<Blocked> {
        isolate::with(|isolate| isolate.local.marks.blocked(&self.asked.key.hash, clock::now()))
    }

    fn backing_off(&self, failure: Failure, retry_after: Span) -> miss::Event {
        miss::Event::Led(RefreshOutcome::BackedOff { failure, retry_after }, self.floor())
    }

    /// Leads in `waitUntil`, so that a client that hangs up does not lose the computation.
    async fn lead(self: &Rc<Self>, seen: u64, delta: Option<Span>) -> miss::Event {
        if !self.has_room() {
            // Asking for a lease only to give it back would wake everybody who waits.
            return miss::Event::Led(RefreshOutcome::Failed(Failure::GivenBack), Floor::default());
        }
        let owner = isolate::with(|isolate| {
            isolate.local.marks.begin(self.asked.key.hash, clock::now(), self.route.lease())
        });
        let refresh = Refresh::new(self.subject(seen, delta), Purpose::Cold);
        let job = Rc::clone(self);
        let ended = bindings::to_its_end(&*self.visit.context, async move { job.run(refresh, owner).await });
        match ended.await {
            Ok((ending, floor)) => miss::Event::Led(ending, floor),
            Err(_) => miss::Event::WaitBroken { is_overloaded: false },
        }
    }

    /// The pause keeps those who were woken together from asking together.
    async fn look_around(self: &Rc<Self>) -> miss::Event {
        const MAX_PAUSE: Span = Span(100);
        let share = isolate::with(|isolate| isolate.dice.draw()).value();
        timer::sleep(MAX_PAUSE.share(share)).await;
        let found = match self.look_up_memory() {
            Some(entry) => Some(entry),
            None => self.newest(self.look_up_colo_together().await, None, clock::now()),
        };
        miss::Event::LookedAround(found)
    }

    /// Without the object nobody can wake a waiter: it looks for itself, as long as the one call that
    /// this isolate was allowed may take.
    async fn watch_memory(&self) -> miss::Event {
        const EVERY: Span = Span(50);
        let end = clock::now().plus(self.route.origin_timeout).plus(OBJECT_TIMEOUT);
        while clock::now() < end {
            timer::sleep(EVERY).await;
            if let Some(entry) = self.look_up_memory() {
                return miss::Event::LookedAround(Some(entry));
            }
            if let Some(Blocked::BackingOff { failure, retry_after }) = self.blocked() {
                return self.backing_off(failure, retry_after);
            }
        }
        miss::Event::TimedOut
    }

    /// What the object has sent is kept by the nearer tiers too.
    fn adopt(self: &Rc<Self>, entry: &Arc<Entry>) {
        let is_news =
            isolate::with(|isolate| isolate.local.memory.accept(self.asked.key.hash, entry, clock::now()));
        if is_news && entry.committed {
            let (job, entry) = (Rc::clone(self), Arc::clone(entry));
            bindings::behind(&*self.visit.context, async move {
                cache_api::accept(job.host(), &job.asked.key, &entry).await;
            });
        }
    }
}
