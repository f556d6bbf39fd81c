//! The made-up objects: the deployed rules, their stored bytes, and who sleeps there.

use std::sync::Arc;

use super::tiers::Clock;
use crate::{
    core::{
        entry::Entry,
        time::{Instant, Span},
        xfetch::Draw,
    },
    protocol::{
        lease::{self, CleanUp, Waiting, Wake},
        message::{Answer, Message, PROTOCOL, Reply},
    },
};

/// Names one step of one task, so that an answer finds who asked, or finds him gone.
pub(super) type Ticket = (u64, u32);

/// An answer on its way, with the entry beside `Newer`.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) to: Ticket,
    pub(super) reply: Reply,
    pub(super) entry: Option<Arc<Entry>>,
}

/// What a message leads to.
pub(super) enum Delivered {
    /// These answers.
    Told(Vec<Told>),
    /// Somebody sleeps, for so long at most.
    Asleep(Span),
}

#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) state: lease::State,
    entry: Option<(u64, Arc<Entry>)>,
    sleepers: Vec<Ticket>,
}

/// The clock of all objects.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) clock: Clock,
    pub(super) all: Vec<Object>,
}

impl Object {
    /// What the deployed object does: load, one pure call, save.
    pub(super) fn deliver(
        &mut self,
        from: Ticket,
        message: Message,
        entry: Option<Arc<Entry>>,
        now: Instant,
        spread: Draw,
    ) -> Delivered {
        let before = self.state.committed_generation();
        let (answer, wake) = match message {
            Message::Wait { seen, max_waiters } => {
                match self.state.wait(seen, self.sleepers.len() as u32, max_waiters, now) {
                    Waiting::Now(answer) => (answer, Wake::Nobody),
                    Waiting::Sleep(at_most) => {
                        self.sleepers.push(from);
                        return Delivered::Asleep(at_most);
                    }
                }
            }
            Message::Acquire { seen, nonce, terms } => {
                (self.state.acquire(seen, nonce.as_deref(), terms, now), Wake::Nobody)
            }
            Message::Commit { token, age, lifetime } => self.state.commit(token, age, lifetime, now),
            Message::Fail { token, failure } => self.state.fail(token, failure, now, spread),
            Message::Purge { hard, physical } => self.state.purge(hard, physical, now),
            Message::Inspect => (self.state.inspect(self.sleepers.len() as u32, now), Wake::Nobody),
        };
        match self.state.committed_generation() {
            after if after == before => {}
            Some(generation) => {
                let global_rate = self.state.global_rate.total();
                self.entry = entry.map(|it| (generation, Arc::new(Entry { global_rate, ..(*it).clone() })));
            }
            None => self.entry = None,
        }
        let mut told = vec![self.told(from, answer)];
        if let Wake::With(answer) = wake {
            let sleepers = std::mem::take(&mut self.sleepers);
            told.extend(sleepers.into_iter().map(|sleeper| self.told(sleeper, answer.clone())));
        }
        Delivered::Told(told)
    }

    /// As code of another version would answer.
    pub(super) fn refuse(&self, from: Ticket) -> Told {
        self.told(from, Answer::Refused { speaks: PROTOCOL + 1 })
    }

    /// The end of a sleep.
    pub(super) fn wake(&mut self, sleeper: Ticket) -> Option<Told> {
        let place = self.sleepers.iter().position(|it| *it == sleeper)?;
        self.sleepers.remove(place);
        Some(self.told(sleeper, Answer::Again))
    }

    /// Memory goes, and with it everybody's connection; what is stored stays.
    pub(super) fn evict(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.sleepers)
    }

    /// The alarm: what is past every use is dropped.
    pub(super) fn clean_up(&mut self, now: Instant) -> CleanUp {
        let what = self.state.clean_up(self.sleepers.len() as u32, now);
        match what {
            CleanUp::Later(_) => {}
            CleanUp::DropBody(_) => self.entry = None,
            CleanUp::Forget => (self.state, self.entry) = (lease::State::default(), None),
        }
        what
    }

    /// The stored bytes rot.
    pub(super) fn rot(&mut self) {
        self.entry = None;
    }

    fn told(&self, to: Ticket, answer: Answer) -> Told {
        let entry = match (&answer, &self.entry) {
            (Answer::Newer { generation, .. }, Some((stored, entry))) if stored == generation => {
                Some(Arc::clone(entry))
            }
            _ => None,
        };
        Told { to, reply: self.state.reply(answer), entry }
    }
}
