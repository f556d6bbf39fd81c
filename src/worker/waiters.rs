//! The requests of this isolate that sleep until another task of it wakes them.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use super::timer::Alarm;
use crate::{
    core::time::{Instant, Span},
    isolate::{coalesce::Ticket, step::Shared},
};

/// Number of waits above which expired ones are swept: a cancelled request takes none away.
const MIN_SWEEP: usize = 256;
/// How much longer than its sleep a wait is kept.
const GRACE: Span = Span(1_000);

/// A request that sleeps.
pub(super) struct Waiter {
    result: Cell<Option<Shared>>,
    alarm: Alarm,
}

impl Waiter {
    pub(super) fn new(alarm: Alarm) -> Rc<Self> {
        Rc::new(Self { result: Cell::new(None), alarm })
    }

    /// What it was woken with, if it was.
    pub(super) fn take(&self) -> Option<Shared> {
        self.result.take()
    }
}

enum Wait {
    Sleeps(Rc<Waiter>),
    /// Its result came before it fell asleep.
    Early(Shared),
}

/// All waits, by ticket.
#[derive(Default)]
pub(super) struct Waiters {
    waits: BTreeMap<Ticket, (Instant, Wait)>,
    sweep_at: usize,
}

impl Waiters {
    /// A request falls asleep; returns its result if that has come already.
    pub(super) fn sleeps(
        &mut self,
        ticket: Ticket,
        waiter: &Rc<Waiter>,
        at_most: Span,
        now: Instant,
    ) -> Option<Shared> {
        if let Some((_, Wait::Early(result))) = self.waits.remove(&ticket) {
            return Some(result);
        }
        self.insert(ticket, Wait::Sleeps(Rc::clone(waiter)), now.plus(at_most).plus(GRACE), now);
        None
    }

    /// A sleep has ended.
    pub(super) fn ended(&mut self, ticket: Ticket) {
        self.waits.remove(&ticket);
    }

    /// Wakes a request with this result.
    pub(super) fn wake(&mut self, ticket: Ticket, result: Shared, now: Instant) {
        match self.waits.remove(&ticket) {
            Some((_, Wait::Sleeps(waiter))) => {
                waiter.result.set(Some(result));
                waiter.alarm.ring();
            }
            Some((_, Wait::Early(_))) | None => {
                self.insert(ticket, Wait::Early(result), now.plus(GRACE), now);
            }
        }
    }

    fn insert(&mut self, ticket: Ticket, wait: Wait, until: Instant, now: Instant) {
        if self.waits.len() >= self.sweep_at.max(MIN_SWEEP) {
            self.waits.retain(|_, (until, _)| *until > now);
            self.sweep_at = self.waits.len() * 2;
        }
        self.waits.insert(ticket, (until, wait));
    }
}
