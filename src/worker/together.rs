//! What one request of this isolate does for all that have seen the same: the look into the colo, and the sleep at
//! the key's object. Who joins whom is [`crate::isolate::coalesce`]'s.

use std::{cell::Cell, rc::Rc, sync::Arc};

use super::{
    driver::{Job, Told},
    isolate::{self, Isolate},
    object_stub::Lost,
    platform::bindings::{self, Task},
    timer::{Alarm, Sleeping},
};
use crate::{
    core::{config::OBJECT_TIMEOUT, entry::Entry, time::Span},
    isolate::{
        coalesce::{Coalesce, Joined},
        miss,
    },
    protocol::{
        lease,
        message::{Answer, Message, Reply},
    },
    worker::platform::clock,
};

/// What a request has waited for that another one does.
#[derive(Clone, Default)]
enum Heard {
    /// It has not ended in time.
    #[default]
    Nothing,
    /// Too many wait for it.
    TooMany,
    /// What the colo holds.
    Colo(Option<Arc<Entry>>),
    /// What the object has answered.
    Object(Told),
}

/// A request that waits for what another one does.
pub(super) struct Sleeper {
    heard: Cell<Heard>,
    alarm: Alarm,
}

impl Sleeper {
    fn hear(&self, heard: Heard) {
        self.heard.set(heard);
        self.alarm.ring();
    }
}

impl Job {
    /// What the colo holds, looked up once for all requests of this isolate that have nothing to serve.
    pub(super) async fn look_up_colo_together(self: &Rc<Self>) -> Option<Arc<Entry>> {
        let job = Rc::clone(self);
        let look = Box::pin(async move { Heard::Colo(job.look_up_colo().await) });
        match self.together(|isolate| &mut isolate.looking, 0, u32::MAX, OBJECT_TIMEOUT, look).await {
            Heard::Colo(found) => found,
            Heard::Object(_) | Heard::Nothing | Heard::TooMany => None,
        }
    }

    /// Sleeps at the object, by the message of whoever in this isolate sleeps there already.
    pub(super) async fn wait(self: &Rc<Self>, seen: u64) -> miss::Event {
        let max_waiters = self.route.max_waiters;
        let message = Message::Wait { seen, max_waiters };
        let length = lease::time_limit(&message);
        let job = Rc::clone(self);
        let told = Box::pin(async move { Heard::Object(job.send(message, Vec::new()).await) });
        match self.together(|isolate| &mut isolate.waiting, seen, max_waiters, length, told).await {
            Heard::Object(Ok((reply, entry))) => miss::Event::Woken(reply, entry),
            Heard::Object(Err(lost)) => miss::Event::WaitBroken { is_overloaded: lost == Lost::Overloaded },
            Heard::Colo(_) | Heard::Nothing => miss::Event::WaitBroken { is_overloaded: false },
            Heard::TooMany => {
                let reply = Reply { floor: self.floor(), global_rate: 0, answer: Answer::TooManyWaiters };
                miss::Event::Woken(reply, None)
            }
        }
    }

    /// What a task brings that one request of this isolate runs for all who have seen the same. It runs in
    /// `waitUntil`, so that a client that hangs up does not leave the others asleep.
    async fn together(
        &self,
        of: fn(&mut Isolate) -> &mut Coalesce<Rc<Sleeper>>,
        seen: u64,
        at_most: u32,
        length: Span,
        task: Task<Heard>,
    ) -> Heard {
        let (key, now) = (self.asked.key.hash, clock::now());
        let left = isolate::with(|isolate| of(isolate).left(key, seen, now));
        let sleeping = Sleeping::new(left.unwrap_or(length));
        let sleeper = Rc::new(Sleeper { heard: Cell::new(Heard::Nothing), alarm: sleeping.alarm() });
        let joined =
            isolate::with(|isolate| of(isolate).join(key, seen, Rc::clone(&sleeper), at_most, length, now));
        match joined {
            Joined::First(owner) => bindings::behind(&*self.visit.context, async move {
                let heard = task.await;
                for sleeper in isolate::with(|isolate| of(isolate).end(key, seen, owner)) {
                    sleeper.hear(heard.clone());
                }
            }),
            Joined::Follows => {}
            Joined::TooMany => return Heard::TooMany,
        }
        sleeping.end().await;
        sleeper.heard.take()
    }
}
