//! A request that has nothing to serve: it leads the computation, or waits a limited time for another
//! request's. A state machine: a [`MissEvent`] in, a [`MissAction`] out.
//!
//! A request that finds the lease held waits at the object, which answers when the lease ends. After `Again`
//! the request looks into memory and the colo's cache, then asks for the lease itself; the object grants it
//! to the first. The request's own timer ends every wait.

use std::sync::Arc;

use super::{computation::Computed, refresh_outcome::RefreshOutcome};
use crate::{
    core::{
        entry::Entry,
        failure::{Failure, Reason},
        purge::Floor,
        time::{Instant, Span},
    },
    protocol::message::{Answer, Reply},
};

/// What has happened.
#[derive(Clone, Debug)]
pub enum MissEvent {
    /// The request begins.
    Started {
        /// Whether the isolate's gate knows a refresh of the key. If so, the request waits at the object
        /// without asking for the lease.
        led_here: bool,
    },
    /// The computation that this request led, or tried to lead, has ended, and has learned this purge floor.
    Led(RefreshOutcome, Floor),
    /// The object has answered `Wait`; with `Newer` its entry, if it could be read.
    Woken(Reply, Option<Arc<Entry>>),
    /// The object threw, restarted, did not reply in time, or cannot be reached.
    WaitBroken {
        /// Whether the object is overloaded: asking again would make it worse.
        is_overloaded: bool,
    },
    /// The entry found in memory or the colo's cache, if there is one.
    LookedAround(Option<Arc<Entry>>),
    /// This request's own timer has run out.
    TimedOut,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum MissAction {
    /// Run a [`crate::isolate::refresh::Refresh`] that has seen this generation.
    Lead {
        /// The generation seen.
        seen: u64,
    },
    /// Sleep at the object.
    Wait {
        /// The generation seen.
        seen: u64,
    },
    /// Pause for a moment of random length, then look into memory and the colo's cache.
    LookAround,
    /// Poll memory until another request's computation arrives there, because the object is unreachable.
    WatchMemory,
    /// Answer the client.
    Answer(MissOutcome),
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum MissOutcome {
    /// The entry that this request computed; whether it was stored for others.
    Computed(Arc<Entry>, bool),
    /// The entry that another request computed while this one waited.
    Collapsed(Arc<Entry>),
    /// An entry that was computed before this request began.
    Hit(Arc<Entry>),
    /// The old entry, within `stale_if_error`.
    Fallback(Arc<Entry>),
    /// A good answer that is not stored.
    Passed(Computed),
    /// Ask the origin without the cache, as the key's answers must not be stored; if that fails, this
    /// old entry answers.
    Uncached(Option<Arc<Entry>>),
    /// The origin's refusal, relayed.
    Negative {
        /// Its status.
        status: u16,
        /// Its content type.
        content_type: String,
        /// Its body.
        body: String,
    },
    /// The origin failed.
    Failed {
        /// Why.
        reason: Reason,
        /// When it is worth trying again.
        retry_after: Span,
    },
    /// Too many wait for this key.
    TooManyWaiters,
    /// The object was out of reach, and no computation landed in time.
    Unavailable,
    /// The computation did not land in time.
    TimedOut,
}

/// A cold request under way.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Miss {
    seen: u64,
    since: Instant,
    floor: Floor,
    fallback: Option<Arc<Entry>>,
    object_lost: bool,
}

impl Miss {
    /// A request that found nothing to serve. `seen` is the generation of the entry found, and
    /// `fallback` the old entry, if it may answer when the origin cannot.
    #[must_use]
    pub fn new(seen: u64, fallback: Option<Arc<Entry>>, now: Instant) -> Self {
        Self { seen, since: now, floor: Floor::default(), fallback, object_lost: false }
    }

    /// Applies a purge floor that its isolate has learned: the entry in hand may be purged.
    pub fn hear(&mut self, floor: Floor) {
        self.floor = self.floor.raised(floor);
    }

    /// The next step. After [`MissAction::Answer`] the machine must get no further event.
    pub fn on(&mut self, event: MissEvent, now: Instant) -> MissAction {
        match event {
            MissEvent::Started { led_here: true } => self.wait(),
            MissEvent::Started { led_here: false } => self.lead(),
            MissEvent::Led(ending, floor) => {
                self.floor = self.floor.raised(floor);
                self.led(ending, now)
            }
            MissEvent::Woken(reply, entry) => {
                self.floor = self.floor.raised(reply.floor);
                self.woken(reply.answer, entry, now)
            }
            MissEvent::WaitBroken { is_overloaded: true } => self.led(RefreshOutcome::ObjectLost, now),
            MissEvent::WaitBroken { is_overloaded: false } => MissAction::LookAround,
            MissEvent::LookedAround(found) => {
                // What was there before is not what this request waits for.
                let is_news = |it: &Arc<Entry>| it.generation > self.seen || !it.committed;
                let found = found.filter(is_news);
                match found.and_then(|it| self.left(&it, now)).filter(|it| self.may_serve(it, now)) {
                    Some(entry) => self.serve(entry),
                    None => self.lead(),
                }
            }
            MissEvent::TimedOut if self.object_lost => self.or_fallback(MissOutcome::Unavailable, now),
            MissEvent::TimedOut => self.or_fallback(MissOutcome::TimedOut, now),
        }
    }

    fn lead(&self) -> MissAction {
        MissAction::Lead { seen: self.seen }
    }

    fn wait(&self) -> MissAction {
        MissAction::Wait { seen: self.seen }
    }

    fn led(&mut self, ending: RefreshOutcome, now: Instant) -> MissAction {
        match ending {
            RefreshOutcome::Stored(entry) => MissAction::Answer(MissOutcome::Computed(entry, true)),
            RefreshOutcome::Uncommitted(entry) | RefreshOutcome::Rejected(entry) => {
                MissAction::Answer(MissOutcome::Computed(entry, false))
            }
            RefreshOutcome::Adopted(entry) | RefreshOutcome::AdoptedFromColo(entry) => {
                self.judge(&entry, now)
            }
            RefreshOutcome::Held { .. } => self.wait(),
            RefreshOutcome::BackedOff { failure, retry_after } => self.failed(failure, retry_after, now),
            RefreshOutcome::Failed(failure) => {
                let retry_after = match &failure {
                    Failure::Transient { retry_after, .. } => retry_after.unwrap_or(Span::SECOND),
                    Failure::Negative { .. } | Failure::Pass { .. } | Failure::GivenBack => Span::SECOND,
                };
                self.failed(failure, retry_after, now)
            }
            RefreshOutcome::Passed(computed) if computed.is_failure() => {
                self.or_fallback(MissOutcome::Passed(computed), now)
            }
            RefreshOutcome::Passed(computed) => MissAction::Answer(MissOutcome::Passed(computed)),
            RefreshOutcome::ObjectLost => {
                self.object_lost = true;
                match self.usable_fallback(now) {
                    Some(entry) => MissAction::Answer(MissOutcome::Fallback(entry)),
                    None => MissAction::WatchMemory,
                }
            }
        }
    }

    fn woken(&mut self, answer: Answer, entry: Option<Arc<Entry>>, now: Instant) -> MissAction {
        match answer {
            Answer::Newer { generation, .. } => match entry {
                Some(entry) => self.judge(&entry, now),
                None => {
                    self.seen = self.seen.max(generation);
                    self.lead()
                }
            },
            Answer::Failed { failure, retry_after } => self.failed(failure, retry_after, now),
            Answer::TooManyWaiters => self.or_fallback(MissOutcome::TooManyWaiters, now),
            Answer::Again
            | Answer::Held { .. }
            | Answer::Granted { .. }
            | Answer::Committed
            | Answer::Rejected
            | Answer::Closed { .. }
            | Answer::Purged
            | Answer::Inspected(_)
            | Answer::Refused { .. } => MissAction::LookAround,
        }
    }

    /// Judges an entry from the object like one from any tier. If it is past every window, the request asks
    /// again with *its* generation, or the object would answer with this entry for ever.
    fn judge(&mut self, entry: &Arc<Entry>, now: Instant) -> MissAction {
        self.seen = self.seen.max(entry.generation);
        match self.left(entry, now) {
            Some(entry) if self.may_serve(&entry, now) => self.serve(entry),
            Some(entry) if entry.is_usable_on_error(now) => {
                self.fallback = Some(entry);
                self.lead()
            }
            Some(_) | None => self.lead(),
        }
    }

    /// Whether an entry answers: it may be served, or it is one that must be validated for each request and was, by a
    /// call that began after this request (RFC 9111, section 4). Else such requests would go one after the other. The
    /// age of such an entry counts from the beginning of the call.
    fn may_serve(&self, entry: &Entry, now: Instant) -> bool {
        let is_for_this = entry.lifetime.ttl == Span::ZERO
            && entry.stored_at >= self.since
            && entry.generation >= self.floor.soft;
        entry.is_servable(now) || is_for_this
    }

    /// Serves an entry: as `Collapsed` if it was computed while this request waited, as `Hit` if it is older.
    fn serve(&self, entry: Arc<Entry>) -> MissAction {
        MissAction::Answer(if entry.stored_at >= self.since {
            MissOutcome::Collapsed(entry)
        } else {
            MissOutcome::Hit(entry)
        })
    }

    /// The entry after the known purges; `None` if a purge removed it.
    fn left(&self, entry: &Arc<Entry>, now: Instant) -> Option<Arc<Entry>> {
        self.floor.applied(Arc::clone(entry), now)
    }

    fn failed(&mut self, failure: Failure, retry_after: Span, now: Instant) -> MissAction {
        match failure {
            Failure::Transient { reason, .. } => {
                self.or_fallback(MissOutcome::Failed { reason, retry_after }, now)
            }
            Failure::Negative { status, content_type, body, .. } => {
                MissAction::Answer(MissOutcome::Negative { status, content_type, body })
            }
            Failure::Pass { .. } => MissAction::Answer(MissOutcome::Uncached(self.usable_fallback(now))),
            Failure::GivenBack => {
                let reason = Reason::TooManyOriginCalls;
                self.or_fallback(MissOutcome::Failed { reason, retry_after: Span::SECOND }, now)
            }
        }
    }

    fn or_fallback(&mut self, outcome: MissOutcome, now: Instant) -> MissAction {
        MissAction::Answer(match self.usable_fallback(now) {
            Some(entry) => MissOutcome::Fallback(entry),
            None => outcome,
        })
    }

    /// The old entry, if it may still answer: its window may have ended, or a purge may have taken it,
    /// while the request waited.
    fn usable_fallback(&mut self, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.fallback.take()?;
        self.left(&entry, now).filter(|entry| entry.is_usable_on_error(now))
    }
}
