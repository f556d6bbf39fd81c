//! Performs what [`crate::cold`] decides: one loop and one match.

use std::{rc::Rc, sync::Arc};

use futures_util::future::{Either, LocalBoxFuture, select};

use super::{colo, driver::Job, isolate, platform, timer};
use crate::{
    cold::{self, Cold, Outcome},
    config::OBJECT_TIMEOUT,
    entry::{Entry, Floor},
    failure::Failure,
    host,
    lease::WAIT_MOST,
    marks::Blocked,
    refresh::{Ending, Purpose, Refresh},
    time::Millis,
};

impl Job {
    /// Answers a request that has nothing to serve.
    pub(super) async fn run_cold(self: &Rc<Self>, found: Option<&Arc<Entry>>, fallback: bool) -> Outcome {
        let seen = found.map_or(0, |entry| entry.generation);
        let delta = found.map(|entry| entry.delta);
        let mut cold = Cold::new(seen, found.filter(|_| fallback).cloned(), host::now());
        let (mut slept, mut patience) = (Millis::ZERO, None);
        let mut event = match self.blocked() {
            // An outage is not one object call per request.
            Some(Blocked::BackingOff { failure, retry_after }) => self.backing_off(failure, retry_after),
            Some(Blocked::UnderWay) => cold::Event::Started { led_here: true },
            None => cold::Event::Started { led_here: false },
        };
        loop {
            cold.hear(self.floor());
            let step: LocalBoxFuture<'_, cold::Event> = match cold.on(event, host::now()) {
                // Its own timer ends it sooner than a request loses patience: a waiter needs no other one.
                cold::Action::Wait { seen } if patience.is_none() => {
                    let since = host::now();
                    event = self.wait(seen).await;
                    slept = host::now().minus(since).min(WAIT_MOST);
                    continue;
                }
                cold::Action::Lead { seen } => Box::pin(self.lead(seen, delta)),
                cold::Action::Wait { seen } => Box::pin(self.wait(seen)),
                cold::Action::LookAround => Box::pin(self.look_around()),
                cold::Action::WatchMemory => Box::pin(self.watch_memory()),
                cold::Action::Answer(outcome) => {
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
                Either::Right(_) => cold::Event::TimedOut,
            };
        }
    }

    fn blocked(&self) -> Option<Blocked> {
        isolate::with(|isolate| isolate.local.marks.blocked(&self.asked.key.hash, host::now()))
    }

    fn backing_off(&self, failure: Failure, retry_after: Millis) -> cold::Event {
        cold::Event::Led(Ending::BackedOff { failure, retry_after }, self.floor())
    }

    /// Leads in `waitUntil`, so that a client that hangs up does not lose the computation.
    async fn lead(self: &Rc<Self>, seen: u64, delta: Option<Millis>) -> cold::Event {
        if !self.has_room() {
            // Asking for a lease only to give it back would wake everybody who waits.
            return cold::Event::Led(Ending::Failed(Failure::GivenBack), Floor::default());
        }
        let owner = isolate::with(|isolate| {
            isolate.local.marks.begin(self.asked.key.hash, host::now(), self.route.lease())
        });
        let refresh = Refresh::new(self.subject(seen, delta), Purpose::Cold);
        let job = Rc::clone(self);
        let ended = platform::to_its_end(&*self.visit.context, async move { job.run(refresh, owner).await });
        match ended.await {
            Ok((ending, floor)) => cold::Event::Led(ending, floor),
            Err(_) => cold::Event::WaitBroken { is_overloaded: false },
        }
    }

    /// The pause keeps those who were woken together from asking together.
    async fn look_around(self: &Rc<Self>) -> cold::Event {
        const PAUSE_MOST: Millis = Millis(100);
        let share = isolate::with(|isolate| isolate.dice.draw()).value();
        timer::sleep(PAUSE_MOST.share(share)).await;
        let found = match self.look_up_memory() {
            Some(entry) => Some(entry),
            None => self.newest(self.look_up_colo_together().await, None, host::now()),
        };
        cold::Event::LookedAround(found)
    }

    /// Without the object nobody can wake a waiter: it looks for itself, as long as the one call that
    /// this isolate was allowed may take.
    async fn watch_memory(&self) -> cold::Event {
        const EVERY: Millis = Millis(50);
        let end = host::now().plus(self.route.origin_timeout).plus(OBJECT_TIMEOUT);
        while host::now() < end {
            timer::sleep(EVERY).await;
            if let Some(entry) = self.look_up_memory() {
                return cold::Event::LookedAround(Some(entry));
            }
            if let Some(Blocked::BackingOff { failure, retry_after }) = self.blocked() {
                return self.backing_off(failure, retry_after);
            }
        }
        cold::Event::TimedOut
    }

    /// What the object has sent is kept by the nearer tiers too.
    fn adopt(self: &Rc<Self>, entry: &Arc<Entry>) {
        let is_news =
            isolate::with(|isolate| isolate.local.memory.accept(self.asked.key.hash, entry, host::now()));
        if is_news && entry.committed {
            let (job, entry) = (Rc::clone(self), Arc::clone(entry));
            platform::behind(&*self.visit.context, async move {
                colo::accept(job.host(), &job.asked.key, &entry).await;
            });
        }
    }
}
