//! One computation of one key, from the question to the object to the stored entry, as a state
//! machine: an [`Event`] in, an [`Action`] out.
//!
//! `refresh_task` turns the actions into effects and the effects' results into events; the rules are here. The
//! same machine serves a background refresh and the request that leads a cold miss. [`crate::isolate::miss`]
//! describes the requests that wait for it.

use std::sync::Arc;

use super::{
    computation::{Computed, Purpose, TriggerOutcome},
    holder_wait::HolderWait,
    refresh_outcome::RefreshOutcome,
};
use crate::{
    core::{
        entry::{self, Entry, Lifetime},
        failure::Failure,
        purge::Floor,
        time::{Instant, Span},
        xfetch,
    },
    protocol::{
        lease::MIN_RETRY,
        message::{Answer, Reply},
    },
};

/// What has happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The refresh may begin.
    Started,
    /// The colo's cache holds this for the key.
    LookedInColo(Option<Arc<Entry>>),
    /// The object has answered; with `Newer` its entry, if it could be read.
    Replied(Reply, Option<Arc<Entry>>),
    /// The object threw, was overloaded, slower than `object_timeout`, or refused the message.
    ObjectLost {
        /// Whether this isolate may call the origin without a lease now.
        may_compute: bool,
    },
    /// The origin has answered.
    Computed(Computed),
    /// The origin has failed.
    Failed(Failure),
    /// The tiers have what they were given.
    Stored,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Action {
    /// Look the key up in the colo's cache.
    LookInColo,
    /// Ask the object for the lease.
    Acquire {
        /// The generation seen.
        seen: u64,
    },
    /// Wait at the object until the holder of the lease has ended: the committed entry then arrives here at
    /// once, and not only after the next request has triggered a refresh.
    Wait {
        /// The generation seen.
        seen: u64,
    },
    /// Call the origin, once.
    Compute,
    /// Hand the entry in.
    Commit(Arc<Entry>),
    /// Tell the object that there is no entry.
    Fail(u64, Failure),
    /// Give it to the colo's cache and to memory; an uncommitted entry to memory only.
    Store(Arc<Entry>),
    /// It is over.
    End(RefreshOutcome),
}

/// What the machine must know of its key.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Subject {
    /// The full canonical key.
    pub key: Arc<str>,
    /// The route's lifetime for new entries.
    pub lifetime: Lifetime,
    /// The generation of the entry seen; 0 if none was seen.
    pub seen: u64,
    /// The smoothed cost until now.
    pub delta: Option<Span>,
    /// Whether the colo's cache was looked up for the very request that triggers this: then it is not
    /// looked up a second time.
    pub has_looked: bool,
}

/// One computation under way.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Refresh {
    subject: Subject,
    purpose: Purpose,
    token: Option<u64>,
    /// It waits for another isolate's computation.
    waiting: Option<HolderWait>,
    floor: Floor,
    outcome: Option<RefreshOutcome>,
    trigger: Option<TriggerOutcome>,
}

impl Refresh {
    /// A computation that has not begun.
    #[must_use]
    pub fn new(subject: Subject, purpose: Purpose) -> Self {
        let (token, waiting, floor) = (None, None, Floor::default());
        Self { subject, purpose, token, waiting, floor, outcome: None, trigger: None }
    }

    /// The token of the lease it holds.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.token
    }

    /// The purge floor that it has heard.
    #[must_use]
    pub fn floor(&self) -> Floor {
        self.floor
    }

    /// The smoothed cost until now.
    #[must_use]
    pub fn delta(&self) -> Option<Span> {
        self.subject.delta
    }

    /// How long to leave the key alone when its object is out of reach: as long as a computation takes.
    #[must_use]
    pub fn pause(&self) -> Span {
        self.subject.delta.unwrap_or(Span::SECOND).max(Span::SECOND)
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What the trigger led to, once, as soon as it is known.
    pub fn take_trigger(&mut self) -> Option<TriggerOutcome> {
        self.trigger.take()
    }

    /// The next step. After [`Action::End`] nothing is to be fed.
    pub fn on(&mut self, event: Event, now: Instant) -> Action {
        match event {
            Event::Started => match self.purpose {
                Purpose::Early | Purpose::Stale if !self.subject.has_looked => Action::LookInColo,
                Purpose::Early | Purpose::Stale | Purpose::Cold => self.acquire(),
            },
            Event::LookedInColo(found) => self.looked_in_colo(found),
            Event::Replied(reply, entry) => self.replied(reply, entry, now),
            Event::ObjectLost { may_compute } => match self.waiting.take() {
                Some(waiting) => held(waiting.pause(now)),
                None => self.object_lost(may_compute),
            },
            Event::Computed(computed) => self.computed(computed),
            Event::Failed(failure) => match self.token {
                Some(token) => self.give_up(token, failure),
                None => Action::End(RefreshOutcome::Failed(failure)),
            },
            Event::Stored => self.finish(),
        }
    }

    fn acquire(&self) -> Action {
        Action::Acquire { seen: self.subject.seen }
    }

    /// The check before the lock: by generation, never by freshness.
    fn looked_in_colo(&mut self, found: Option<Arc<Entry>>) -> Action {
        match found.filter(|entry| entry.generation > self.subject.seen) {
            Some(newer) => {
                self.trigger = Some(TriggerOutcome::RecheckSkip);
                // It is in the colo already, and the lookup has put it into memory.
                Action::End(RefreshOutcome::AdoptedFromColo(newer))
            }
            None => self.acquire(),
        }
    }

    fn replied(&mut self, reply: Reply, entry: Option<Arc<Entry>>, now: Instant) -> Action {
        self.floor = self.floor.raised(reply.floor);
        if let Some(waiting) = self.waiting.take() {
            return self.woken(reply.answer, entry, waiting, now);
        }
        match reply.answer {
            Answer::Granted { token } => {
                self.token = Some(token);
                self.trigger = Some(TriggerOutcome::Started);
                Action::Compute
            }
            Answer::Newer { generation, .. } => match entry.and_then(|it| self.above_floor(&it, now)) {
                Some(newer) => {
                    self.trigger = Some(TriggerOutcome::RecheckSkip);
                    self.store(Arc::clone(&newer), RefreshOutcome::Adopted(newer))
                }
                // It cannot be read: overtake it.
                None if generation > self.subject.seen => {
                    self.subject.seen = generation;
                    self.acquire()
                }
                None => self.object_lost(false),
            },
            Answer::Held { retry_in } => {
                self.trigger = Some(TriggerOutcome::Contention);
                match self.purpose {
                    Purpose::Early | Purpose::Stale => self.wait(HolderWait::new(now, retry_in)),
                    // Its request waits by itself.
                    Purpose::Cold => Action::End(RefreshOutcome::Held { retry_in }),
                }
            }
            Answer::Failed { failure, retry_after } => {
                self.trigger = Some(TriggerOutcome::Backoff);
                Action::End(RefreshOutcome::BackedOff { failure, retry_after })
            }
            Answer::Committed => self.committed(reply.global_rate, now),
            Answer::Rejected => match self.outcome.take() {
                Some(RefreshOutcome::Stored(entry)) => Action::End(RefreshOutcome::Rejected(entry)),
                _ => Action::End(RefreshOutcome::ObjectLost),
            },
            Answer::Closed { retry_after, .. } => {
                // What the key's object remembers is what the client is told.
                if let Some(RefreshOutcome::Failed(Failure::Transient { retry_after: told, .. })) =
                    &mut self.outcome
                    && retry_after > Span::ZERO
                {
                    *told = Some(retry_after);
                }
                self.finish()
            }
            // Answers to other messages: an object that talks nonsense is out of reach.
            Answer::Again
            | Answer::TooManyWaiters
            | Answer::Purged
            | Answer::Inspected(_)
            | Answer::Refused { .. } => self.object_lost(false),
        }
    }

    /// The object is out of reach: before the grant a call without a lease may be allowed; after the
    /// computation its value is kept in memory, at the generation seen.
    fn object_lost(&mut self, may_compute: bool) -> Action {
        match self.outcome.take() {
            None => {
                self.trigger = Some(TriggerOutcome::LockError);
                if may_compute { Action::Compute } else { Action::End(RefreshOutcome::ObjectLost) }
            }
            Some(RefreshOutcome::Stored(entry)) => {
                let kept =
                    Arc::new(Entry { generation: self.subject.seen, committed: false, ..(*entry).clone() });
                self.store(Arc::clone(&kept), RefreshOutcome::Uncommitted(kept))
            }
            Some(ending) => Action::End(ending),
        }
    }

    fn computed(&mut self, computed: Computed) -> Action {
        if !computed.storable {
            let Some(token) = self.token else {
                return Action::End(RefreshOutcome::Passed(computed));
            };
            self.outcome = Some(RefreshOutcome::Passed(computed));
            return Action::Fail(token, Failure::Pass);
        }
        let entry = Arc::new(Entry {
            generation: self.token.unwrap_or(self.subject.seen),
            stored_at: computed.at,
            delta: xfetch::smooth_delta(self.subject.delta, computed.delta),
            lifetime: self.subject.lifetime,
            global_rate: 0,
            committed: self.token.is_some(),
            key: Arc::clone(&self.subject.key),
            status: computed.status,
            etag: entry::etag(&computed.body),
            headers: computed.headers,
            body: computed.body,
        });
        if self.token.is_some() {
            self.outcome = Some(RefreshOutcome::Stored(Arc::clone(&entry)));
            Action::Commit(entry)
        } else {
            self.store(Arc::clone(&entry), RefreshOutcome::Uncommitted(entry))
        }
    }

    fn give_up(&mut self, token: u64, failure: Failure) -> Action {
        self.outcome = Some(RefreshOutcome::Failed(failure.clone()));
        Action::Fail(token, failure)
    }

    /// A purge may have come between commit and its answer: the floor in the answer says so.
    fn committed(&mut self, global_rate: u32, now: Instant) -> Action {
        match self.outcome.take() {
            Some(RefreshOutcome::Stored(entry)) => match self.floor.applied(Arc::clone(&entry), now) {
                Some(mut entry) => {
                    Arc::make_mut(&mut entry).global_rate = global_rate;
                    self.store(Arc::clone(&entry), RefreshOutcome::Stored(entry))
                }
                None => Action::End(RefreshOutcome::Rejected(entry)),
            },
            _ => Action::End(RefreshOutcome::ObjectLost),
        }
    }

    fn above_floor(&self, entry: &Arc<Entry>, now: Instant) -> Option<Arc<Entry>> {
        self.floor.applied(Arc::clone(entry), now)
    }

    fn store(&mut self, entry: Arc<Entry>, ending: RefreshOutcome) -> Action {
        self.outcome = Some(ending);
        Action::Store(entry)
    }

    fn finish(&mut self) -> Action {
        // Every path that leads here has set its outcome.
        Action::End(self.outcome.take().unwrap_or(RefreshOutcome::ObjectLost))
    }

    fn wait(&mut self, waiting: HolderWait) -> Action {
        self.waiting = Some(waiting);
        Action::Wait { seen: self.subject.seen }
    }

    /// The object has answered the wait for another isolate's computation.
    fn woken(
        &mut self,
        answer: Answer,
        entry: Option<Arc<Entry>>,
        waiting: HolderWait,
        now: Instant,
    ) -> Action {
        match answer {
            Answer::Newer { .. } => match entry.and_then(|it| self.above_floor(&it, now)) {
                Some(newer) => self.store(Arc::clone(&newer), RefreshOutcome::Adopted(newer)),
                None => held(waiting.pause(now)),
            },
            Answer::Failed { failure, retry_after } => {
                Action::End(RefreshOutcome::BackedOff { failure, retry_after })
            }
            Answer::Again => match waiting.next(now) {
                Some(next) => self.wait(next),
                None if waiting.has_run_its_time(now) => held(waiting.pause(now)),
                None => held(MIN_RETRY),
            },
            Answer::Held { .. }
            | Answer::Granted { .. }
            | Answer::TooManyWaiters
            | Answer::Committed
            | Answer::Rejected
            | Answer::Closed { .. }
            | Answer::Purged
            | Answer::Inspected(_)
            | Answer::Refused { .. } => held(waiting.pause(now)),
        }
    }
}

/// Another isolate computes: for this long this isolate starts no refresh of the key.
fn held(retry_in: Span) -> Action {
    Action::End(RefreshOutcome::Held { retry_in })
}
