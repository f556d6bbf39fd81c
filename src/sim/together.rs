//! Requests of one made-up isolate that wait for the same thing: one of them looks, or sends the message, and
//! the others hear of it. By the deployed rules of who that is.

use std::sync::Arc;

use super::{
    object::Ticket,
    tasks::{Task, Waits, Work},
    world::{Happened, Loss, What, World},
};
use crate::{
    cold,
    collapse::Joined,
    config::OBJECT_TIMEOUT,
    entry::{Entry, Floor},
    lease,
    message::{Answer, Message, Reply},
};

impl World {
    /// A request looks its key up in the colo.
    pub(super) fn look_together(&mut self, id: u64, isolate: usize, key: usize) {
        let (hash, now) = (self.keys[key].hash, self.clock_of(isolate));
        let ticket = self.next_ticket(id, Waits::Looking);
        self.schedule(OBJECT_TIMEOUT, What::Task(ticket, Happened::Done));
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
            self.told_of_colo(ticket, isolate, key, found.clone());
        }
    }

    /// A request hears what the colo holds, or, when nobody has told it in time, goes on without.
    pub(super) fn told_of_colo(
        &mut self,
        ticket: Ticket,
        isolate: usize,
        key: usize,
        in_colo: Option<Arc<Entry>>,
    ) {
        let Some(id) = self.sleeper(ticket) else { return };
        match self.tasks.get(&id).map(|task| &task.work) {
            Some(Work::LookUp(request, looking)) => {
                let (request, looking) = (*request, looking.clone());
                self.tasks.remove(&id);
                self.looked_up(isolate, key, request, looking, in_colo);
            }
            Some(Work::Cold { .. }) => {
                let now = self.clock_of(isolate);
                let found = self.isolates[isolate].local.after_colo(&self.keys[key], in_colo, None, now);
                self.feed_cold(id, cold::Event::LookedAround(found));
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
        self.schedule(length, What::Task(ticket, Happened::Done));
        match self.isolates[isolate].waiting.join(hash, seen, ticket, max_waiters, length, now) {
            Joined::First(owner) => {
                let first = self.spawn(Task::new(isolate, key, Work::SleepingForAll(seen, owner)));
                self.ask(first, message, None);
            }
            Joined::Follows => {}
            Joined::TooMany => {
                let floor = self.isolates[isolate].local.memory.floor(&hash);
                self.woken(ticket, cold::Event::Woken(too_many(floor), None));
            }
        }
    }

    /// The message of the one that asked has been answered.
    pub(super) fn slept_for_all(
        &mut self,
        id: u64,
        isolate: usize,
        key: usize,
        told: &Result<(Reply, Option<Arc<Entry>>), Loss>,
    ) {
        let Some(Task { work: Work::SleepingForAll(seen, owner), .. }) = self.tasks.remove(&id) else {
            return;
        };
        if self.fault(|it| it.crash) {
            return;
        }
        let hash = self.keys[key].hash;
        for ticket in self.isolates[isolate].waiting.end(hash, seen, owner) {
            let event = match told.clone() {
                Ok((reply, entry)) => cold::Event::Woken(reply, entry),
                Err(loss) => cold::Event::WaitBroken { is_overloaded: loss == Loss::Overloaded },
            };
            self.woken(ticket, event);
        }
    }

    /// A request that sleeps hears what its sleep has come to.
    pub(super) fn woken(&mut self, ticket: Ticket, event: cold::Event) {
        if let Some(id) = self.sleeper(ticket) {
            self.feed_cold(id, event);
        }
    }

    /// Who still waits for this; he may have gone, or gone on.
    fn sleeper(&self, (id, ticket): Ticket) -> Option<u64> {
        self.tasks.get(&id).filter(|task| task.ticket == ticket).map(|_| id)
    }
}

fn too_many(floor: Floor) -> Reply {
    Reply { floor, demand: 0, answer: Answer::TooManyWaiters }
}
