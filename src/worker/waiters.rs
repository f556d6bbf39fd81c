//! The requests of this isolate that sleep until another task of the isolate wakes them.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use super::timer::Alarm;
use crate::{
    core::{
        key::Hash,
        time::{Instant, Span},
    },
    isolate::{coalesce::WaitTicket, step::Shared},
};

/// Number of waits above which expired ones are swept: a cancelled request does not remove its wait.
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

    /// The result with which the request was woken, if it was woken.
    pub(super) fn take(&self) -> Option<Shared> {
        self.result.take()
    }
}

enum PendingWait {
    Sleeps(Rc<Waiter>),
    /// The result arrived before the request began to sleep.
    Early(Shared),
}

/// All waits, by ticket. Keys and values are of the same size as in the maps of [`crate::isolate`], so that
/// the wasm holds one copy of the code.
#[derive(Default)]
pub(super) struct Waiters {
    waits: BTreeMap<Hash, Box<(Instant, PendingWait)>>,
    sweep_at: usize,
}

fn name(ticket: WaitTicket) -> Hash {
    let mut name = Hash::default();
    name[..8].copy_from_slice(&ticket.to_be_bytes());
    name
}

impl Waiters {
    /// Registers a request that begins to sleep, or returns its result if that has already arrived.
    pub(super) fn sleeps(
        &mut self,
        ticket: WaitTicket,
        waiter: &Rc<Waiter>,
        at_most: Span,
        now: Instant,
    ) -> Option<Shared> {
        if let Some((_, PendingWait::Early(result))) = self.take(ticket) {
            return Some(result);
        }
        self.insert(ticket, PendingWait::Sleeps(Rc::clone(waiter)), now.plus(at_most).plus(GRACE), now);
        None
    }

    /// Removes the wait of a request whose sleep has ended.
    pub(super) fn ended(&mut self, ticket: WaitTicket) {
        self.take(ticket);
    }

    /// Wakes a request with this result.
    pub(super) fn wake(&mut self, ticket: WaitTicket, result: Shared, now: Instant) {
        match self.take(ticket) {
            Some((_, PendingWait::Sleeps(waiter))) => {
                waiter.result.set(Some(result));
                waiter.alarm.ring();
            }
            Some((_, PendingWait::Early(_))) | None => {
                self.insert(ticket, PendingWait::Early(result), now.plus(GRACE), now);
            }
        }
    }

    fn take(&mut self, ticket: WaitTicket) -> Option<(Instant, PendingWait)> {
        self.waits.remove(&name(ticket)).map(|wait| *wait)
    }

    fn insert(&mut self, ticket: WaitTicket, wait: PendingWait, until: Instant, now: Instant) {
        if self.waits.len() >= self.sweep_at.max(MIN_SWEEP) {
            self.waits.retain(|_, wait| wait.0 > now);
            self.sweep_at = self.waits.len() * 2;
        }
        self.waits.insert(name(ticket), Box::new((until, wait)));
    }
}
