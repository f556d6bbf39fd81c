//! The requests of this isolate that sleep until another task of it wakes them.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use super::timer::Alarm;
use crate::{
    core::{
        key::Hash,
        time::{Instant, Span},
    },
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

/// All waits, by ticket. Keys and values are of the same size as in the maps of [`crate::isolate`], so that
/// the wasm holds one copy of the code.
#[derive(Default)]
pub(super) struct Waiters {
    waits: BTreeMap<Hash, Box<(Instant, Wait)>>,
    sweep_at: usize,
}

fn name(ticket: Ticket) -> Hash {
    let mut name = Hash::default();
    name[..8].copy_from_slice(&ticket.to_be_bytes());
    name
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
        if let Some((_, Wait::Early(result))) = self.take(ticket) {
            return Some(result);
        }
        self.insert(ticket, Wait::Sleeps(Rc::clone(waiter)), now.plus(at_most).plus(GRACE), now);
        None
    }

    /// A sleep has ended.
    pub(super) fn ended(&mut self, ticket: Ticket) {
        self.take(ticket);
    }

    /// Wakes a request with this result.
    pub(super) fn wake(&mut self, ticket: Ticket, result: Shared, now: Instant) {
        match self.take(ticket) {
            Some((_, Wait::Sleeps(waiter))) => {
                waiter.result.set(Some(result));
                waiter.alarm.ring();
            }
            Some((_, Wait::Early(_))) | None => {
                self.insert(ticket, Wait::Early(result), now.plus(GRACE), now);
            }
        }
    }

    fn take(&mut self, ticket: Ticket) -> Option<(Instant, Wait)> {
        self.waits.remove(&name(ticket)).map(|wait| *wait)
    }

    fn insert(&mut self, ticket: Ticket, wait: Wait, until: Instant, now: Instant) {
        if self.waits.len() >= self.sweep_at.max(MIN_SWEEP) {
            self.waits.retain(|_, wait| wait.0 > now);
            self.sweep_at = self.waits.len() * 2;
        }
        self.waits.insert(name(ticket), Box::new((until, wait)));
    }
}
