//! Requests of one made-up isolate that wait for the same thing: one of them looks, or sends the message, and
//! the others hear of it. By the deployed rules of who that is.

use std::sync::Arc;

use super::{
    tasks::{Task, Waits, Work},
    world::{Happened, Loss, What, World},
};
use crate::{
    core::{config::OBJECT_TIMEOUT, entry::Entry, time::Span},
    isolate::{coalesce::Joined, miss},
    protocol::{
        lease,
        message::{Answer, Message, Reply},
    },
};

impl World {
    /// A request looks its key up in the colo.
    pub(super) fn look_together(&mut self, id: u64, isolate: usize, key: usize) {
        let (hash, now) = (self.keys[key].hash, self.clock_of(isolate));
        let ticket = self.next_ticket(id, Waits::Looking);
        let left = self.isolates[isolate].looking.left(hash, 0, now).unwrap_or(OBJECT_TIMEOUT);
        self.schedule(left, What::Task(ticket, Happened::Done));
        let looking = &mut self.isolates[isolate].looking;
        if let Joined::First(owner) = looking.join(hash, 0, ticket, u32::MAX, OBJECT_TIMEOUT, now) {
            let first = self.spawn(Task::new(isolate, key, Work::LookingForAll(owner)));
            self.wait_for(first, Waits::Colo, self.scenario.colo_delay);
        }
    }

    /// The one that looked has found this.
    pub(super) fn looked_for_all(&mut self, id: u64, isolate: usize, key: usize, owner: u64) {
        self.tasks.remove(&id);
        if self.fault(|it| it.crash) {
            return;
        }
        let found = self.look_up_colo(isolate, key);
        let hash = self.keys[key].hash;
        for ticket in self.isolates[isolate].looking.end(hash, 0, owner) {
            let turn = self.turn();
            self.schedule(turn, What::Task(ticket, Happened::Found(found.clone())));
        }
    }

    /// A request hears what the colo holds, or, when nobody has told it in time, goes on without.
    pub(super) fn told_of_colo(&mut self, id: u64, isolate: usize, key: usize, in_colo: Option<Arc<Entry>>) {
        match self.tasks.get(&id).map(|task| &task.work) {
            Some(Work::LookUp(request, looking)) => {
                let (request, looking) = (*request, looking.clone());
                self.tasks.remove(&id);
                self.looked_up(isolate, key, request, looking, in_colo);
            }
            Some(Work::Cold { .. }) => {
                let now = self.clock_of(isolate);
                let found = self.isolates[isolate].local.after_colo(&self.keys[key], in_colo, None, now);
                self.feed_cold(id, miss::Event::LookedAround(found));
            }
            _ => {}
        }
    }

    /// A request with nothing to serve sleeps at the object.
    pub(super) fn sleep_together(&mut self, id: u64, isolate: usize, key: usize, seen: u64) {
        let (hash, now, max_waiters) = (self.keys[key].hash, self.clock_of(isolate), self.route.max_waiters);
        let message = Message::Wait { seen, max_waiters };
        let length = lease::time_limit(&message);
        let ticket = self.next_ticket(id, Waits::Sleeping);
        let left = self.isolates[isolate].waiting.left(hash, seen, now).unwrap_or(length);
        self.schedule(left, What::Task(ticket, Happened::Done));
        match self.isolates[isolate].waiting.join(hash, seen, ticket, max_waiters, length, now) {
            Joined::First(owner) => {
                let first = self.spawn(Task::new(isolate, key, Work::SleepingForAll(seen, owner)));
                self.ask(first, message, None);
            }
            Joined::Follows => {}
            Joined::TooMany => {
                let floor = self.isolates[isolate].local.memory.floor(&hash);
                let reply = Reply { floor, global_rate: 0, answer: Answer::TooManyWaiters };
                self.feed_cold(id, miss::Event::Woken(reply, None));
            }
        }
    }

    /// The message of the one that asked has been answered.
    pub(super) fn slept_for_all(&mut self, id: u64, isolate: usize, key: usize, told: &Happened) {
        let Some(Task { work: Work::SleepingForAll(seen, owner), .. }) = self.tasks.remove(&id) else {
            return;
        };
        if self.fault(|it| it.crash) {
            return;
        }
        let hash = self.keys[key].hash;
        for ticket in self.isolates[isolate].waiting.end(hash, seen, owner) {
            let turn = self.turn();
            self.schedule(turn, What::Task(ticket, told.clone()));
        }
    }

    /// Who is woken goes on in a turn of his own, which comes late in an isolate that has much to do.
    fn turn(&mut self) -> Span {
        const MAX_LATE: u64 = 500;
        let is_late = self.fault(|it| it.delay);
        Span(if is_late { self.chance.below(MAX_LATE) } else { 1 })
    }

    /// A request that sleeps hears what its sleep has come to.
    pub(super) fn woken(&mut self, id: u64, told: Happened) {
        let event = match told {
            Happened::Replied(reply, entry) => miss::Event::Woken(reply, entry),
            Happened::Lost(loss) => miss::Event::WaitBroken { is_overloaded: loss == Loss::Overloaded },
            // Nobody has told it in time.
            Happened::Done | Happened::Found(_) => miss::Event::WaitBroken { is_overloaded: false },
        };
        self.feed_cold(id, event);
    }
}
