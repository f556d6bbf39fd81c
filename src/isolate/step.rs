//! The words between a task and the world that runs it: the world reports an [`Event`], and gets a [`Step`]
//! with one [`Effect`] to perform.

use std::sync::Arc;

use super::{
    coalesce::Ticket,
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
        key::Key,
        purge::Floor,
        time::{Instant, Span},
        xfetch::Chance,
    },
    protocol::message::Reply,
};

/// What the world reports. Each ends one effect, but for `Started`, which begins a task, and `LateObject`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The task begins.
    Started,
    /// The colo's cache was looked up; `None` if it holds nothing or failed.
    Colo(Option<Vec<u8>>),
    /// The colo's cache was written, or the write failed.
    Written,
    /// The key's object has replied within the limit, or has not.
    Object(Result<Vec<u8>, ObjectError>),
    /// A reply that came after the limit, and was wanted then.
    LateObject(Vec<u8>),
    /// The origin has answered, or has failed.
    Origin(Result<Computed, Failure>),
    /// A sleep was ended by another task of this isolate.
    Woken(Shared),
    /// A sleep has lasted as long as it was to.
    TimedOut,
}

/// Why there is no reply of the key's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectError {
    /// It has too much to do: asking again makes it worse.
    Overloaded,
    /// It restarted or moved: asking again may help.
    Retryable,
    /// It did not reply within the limit.
    Slow,
    /// Anything else: no binding, an exception, a reply that cannot be read.
    Broken,
}

/// A reply of the object with the entry that it brings, as this isolate's clock sees it.
pub type ObjectReply = Result<(Reply, Option<Arc<Entry>>), ObjectError>;

/// What a task has to tell to the tasks that wait for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Shared {
    /// What the colo holds, less what was purged.
    Colo(Option<Arc<Entry>>),
    /// What the key's object has replied to a `Wait`.
    Object(ObjectReply),
    /// How the computation that this task led has ended, and the purge floor that it heard.
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
    },
    /// Wait until the ticket is woken ([`Event::Woken`]) or the time has passed ([`Event::TimedOut`]).
    Sleep {
        /// Names the wait.
        ticket: Ticket,
        /// The longest wait.
        at_most: Span,
    },
    /// The task has ended.
    Done(Done),
}

/// How a task has ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// There is nothing to tell.
    Nothing,
    /// The client's answer.
    Served(Served),
    /// The floor of a purge; `None` if it is not known that the object has purged.
    Purged(Option<Floor>),
}

/// A task to begin behind this one, in `waitUntil`: as plain data, for [`super::task::Task::new`].
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
    /// What for.
    pub purpose: Purpose,
    /// The generation seen, 0 for none.
    pub seen: u64,
    /// The smoothed cost until now.
    pub delta: Option<Span>,
    /// Whether the colo's cache was looked up just before.
    pub has_looked: bool,
    /// The number of its mark in the refresh gate.
    pub owner: u64,
    /// The wait of the request that waits for it.
    pub for_whom: Option<Ticket>,
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

/// One step of a task: an effect, and what goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What to do for the task next.
    pub effect: Effect,
    /// Everything else.
    pub notes: Notes,
}

/// What goes with a step. All of it is empty for a fresh hit, and costs nothing then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// Tasks to begin behind this one.
    pub spawn: Vec<Background>,
    /// Waits to end, and with what.
    pub wake: Vec<(Ticket, Shared)>,
    /// What to count.
    pub events: Vec<MetricEvent>,
    /// What to log.
    pub log: Option<RefreshLog>,
}

/// The key that a task is about, and its route.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The key.
    pub key: &'a Key,
    /// Its route.
    pub route: &'a Route,
}

/// What a task may use in one step.
#[derive(Debug)]
pub struct Context<'a> {
    /// The key and its route.
    pub subject: Subject<'a>,
    /// What the isolate knows.
    pub isolate: &'a mut IsolateState,
    /// The instant, by the isolate's clock.
    pub now: Instant,
    /// The randomness of this step; a step uses it once.
    pub chance: Chance,
    /// What goes with the step.
    pub notes: Notes,
}

impl Context<'_> {
    /// Counts an event.
    pub(super) fn count(&mut self, event: MetricEvent) {
        self.notes.events.push(event);
    }
}
