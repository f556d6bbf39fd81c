//! The types that a task and the world that runs it exchange: the world reports an [`Event`], and gets a
//! [`Step`] with one [`Effect`] to perform.

use std::{fmt, sync::Arc};

use super::{
    coalesce::WaitTicket,
    computation::{Computed, Purpose},
    metrics::MetricEvent,
    refresh_outcome::RefreshOutcome,
    served::Served,
    state::IsolateState,
};
use crate::{
    core::{
        config::Route,
        entry::Entry,
        failure::{Failure, Reason},
        http::RequestDirectives,
        key::Key,
        purge::Floor,
        time::{Instant, Span},
        xfetch::Chance,
    },
    protocol::message::Reply,
};

/// What the world reports to a task. `Started` and `LateObject` begin a task; any other ends one effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The task begins.
    Started,
    /// The colo's cache was looked up; `None` if it holds nothing or failed.
    Colo(Option<Vec<u8>>),
    /// The colo's cache was written, or the write failed.
    Written,
    /// The encoded reply of the key's object, or why there is none within the limit.
    Object(Result<Vec<u8>, ObjectError>),
    /// A reply that came after the limit of a message with `wants_late_reply`.
    LateObject(Vec<u8>),
    /// The origin has answered, or has failed.
    Origin(Result<Computed, Failure>),
    /// A sleep was ended by another task of this isolate.
    Woken(Shared),
    /// A sleep has reached its limit.
    TimedOut,
}

/// Why there is no reply from the key's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectError {
    /// It is overloaded: asking again would make it worse.
    Overloaded,
    /// It restarted or moved: asking again may help.
    Retryable,
    /// It did not reply within the limit.
    Slow,
    /// Anything else: no binding, an exception, a reply that cannot be read.
    Broken,
}

/// A reply of the object with its entry, whose `stored_at` is by this isolate's clock; `None` without an
/// entry, or if the entry cannot be read.
pub type ObjectReply = Result<(Reply, Option<Arc<Entry>>), ObjectError>;

/// The result that a task passes to the tasks that wait for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Shared {
    /// The colo's entry, unless a purge removed it.
    Colo(Option<Arc<Entry>>),
    /// The reply of the key's object to a `Wait`.
    Object(ObjectReply),
    /// How the computation for the waiting request has ended, and the purge floor in the object's replies.
    Led(RefreshOutcome, Floor),
}

/// What the world does next for a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Look the key up in the colo's cache. Ends in [`Event::Colo`].
    LookUpColo,
    /// Write a record into the colo's cache. Ends in [`Event::Written`].
    WriteColo {
        /// The encoded record.
        bytes: Vec<u8>,
        /// How long the cache should keep it.
        lifetime: Span,
    },
    /// Send a message to the key's object. Ends in [`Event::Object`].
    Send {
        /// The encoded message.
        bytes: Vec<u8>,
        /// After this long the reply counts as [`ObjectError::Slow`].
        limit: Span,
        /// Whether a reply after the limit should begin a task ([`super::task::Task::late_reply`]).
        wants_late_reply: bool,
    },
    /// Call the origin. Ends in [`Event::Origin`], at the latest after this limit.
    CallOrigin {
        /// The limit.
        limit: Span,
        /// The entry that the origin may confirm instead of computing (RFC 9111, section 4.3).
        held: Option<Arc<Entry>>,
    },
    /// Wait until the ticket is woken ([`Event::Woken`]) or the time has passed ([`Event::TimedOut`]).
    Sleep {
        /// Names the wait.
        ticket: WaitTicket,
        /// The longest wait.
        at_most: Span,
    },
    /// The task has ended.
    Done(Done),
}

/// How a task has ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// There is no result.
    Nothing,
    /// The client's answer.
    Served(Served),
    /// The floor of a purge; `None` if the object did not confirm the purge.
    Purged(Option<Floor>),
    /// The answer must not be stored, and may be of any length: the request is to be forwarded as it is keyed.
    Forward,
    /// The key's answers vary by these header fields, and the request has other values than the entry: it is to be
    /// asked again, with the key of its own variant.
    Varies(Vec<String>),
}

/// A task to start in the background (`waitUntil`), as plain data for [`super::task::Task::new`].
#[derive(Clone, Debug, PartialEq)]
pub enum Background {
    /// Refreshes an entry, or computes one that a request waits for.
    Refresh(RefreshOrder),
    /// Writes an entry that the object has sent into the colo's cache.
    Adopt(Arc<Entry>),
    /// Looks the key up in the colo's cache for all requests that wait for it.
    SharedLook {
        /// The number that [`super::coalesce::Joined::First`] gave.
        owner: u64,
    },
    /// Waits at the key's object for all requests that wait for it.
    SharedWait {
        /// The generation that they have seen.
        seen: u64,
        /// The number that [`super::coalesce::Joined::First`] gave.
        owner: u64,
    },
}

/// What is to be refreshed or computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefreshOrder {
    /// Why it runs.
    pub purpose: Purpose,
    /// The generation seen, 0 for none.
    pub seen: u64,
    /// The smoothed cost until now.
    pub delta: Option<Span>,
    /// Whether the colo's cache was looked up just before.
    pub has_looked: bool,
    /// The number of its mark in the refresh gate.
    pub owner: u64,
    /// The ticket of the request that waits for the result; `None` for a background refresh.
    pub for_whom: Option<WaitTicket>,
}

/// One line of the log for a computation that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshLog {
    /// What it was for.
    pub purpose: Purpose,
    /// How it ended.
    pub outcome: &'static str,
    /// The token of its lease.
    pub token: Option<u64>,
    /// The smoothed cost, if something was computed.
    pub delta: Option<Span>,
    /// Why it failed.
    pub reason: Option<Reason>,
}

/// One step of a task: an effect, and what goes with it. A world counts and wakes before it performs the effect;
/// what is spawned runs by itself and may begin before or after the effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What to do for the task next.
    pub effect: Effect,
    /// What to start, wake, count and log.
    pub notes: Notes,
}

/// What a step starts, wakes, counts and logs. For a fresh hit all of it is empty, without an allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// Tasks to start in the background.
    pub spawn: Vec<Background>,
    /// Waits to end, each with its result.
    pub wake: Vec<(WaitTicket, Shared)>,
    /// What to count.
    pub events: Vec<MetricEvent>,
    /// What to log.
    pub log: Option<RefreshLog>,
}

/// The key that a task is about, and its route.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRoute<'a> {
    /// The key.
    pub key: &'a Key,
    /// Its route.
    pub route: &'a Route,
    /// The header fields of the request, as far as answers may vary by them.
    pub fields: &'a dyn RequestFields,
}

/// The header fields of a request, as far as answers may vary by them.
pub trait RequestFields: fmt::Debug {
    /// The normalised value of a field by its lower-case name; `None` if the request has none.
    fn field(&self, name: &str) -> Option<String>;

    /// What the request wants of a cache, if its route honours that.
    fn directives(&self) -> RequestDirectives {
        RequestDirectives::default()
    }
}

/// A request whose header fields change no answer.
#[derive(Clone, Copy, Debug)]
pub struct NoFields;

impl RequestFields for NoFields {
    fn field(&self, _: &str) -> Option<String> {
        None
    }
}

impl KeyedRoute<'_> {
    /// Whether an entry of the key answers this request: it may be another variant.
    #[must_use]
    pub fn is_answered_by(&self, entry: &Entry) -> bool {
        entry.answers(|name| self.fields.field(name))
    }
}

/// What a task may use in one step.
#[derive(Debug)]
pub struct StepContext<'a> {
    /// The key and its route.
    pub subject: KeyedRoute<'a>,
    /// What the isolate knows.
    pub isolate: &'a mut IsolateState,
    /// The instant, by the isolate's clock.
    pub now: Instant,
    /// The randomness of this step; a step uses it once.
    pub chance: Chance,
    /// What goes with the step.
    pub notes: Notes,
}

impl StepContext<'_> {
    /// Counts an event.
    pub(super) fn count(&mut self, event: MetricEvent) {
        self.notes.events.push(event);
    }
}
