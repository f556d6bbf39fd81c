//! One unit of work of an isolate, the same in every world: [`Task::on`] takes an event and returns the
//! next step.
//!
//! The Worker, the simulator and the exhaustive search run the same tasks. Each is one loop around
//! [`Task::on`] and one `match` over [`Effect`](super::step::Effect): the decisions are made here, and a
//! world only performs them, or draws faults.

use super::{
    background::{Adopt, LateReply, Learn, Purge},
    refresh_task::RefreshTask,
    request::RequestTask,
    share::{SharedLook, SharedWait},
    state::IsolateState,
    step::{Background, Event, KeyedRoute, Notes, Step, StepContext},
};
use crate::core::{time::Instant, xfetch::Chance};

/// A task.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Task {
    /// A request to a cached route. Ends in [`Done::Served`](super::step::Done::Served).
    Request(RequestTask),
    /// A computation, behind an answer or for a request that waits.
    Refresh(RefreshTask),
    /// A reply of the object that came after its limit.
    LateReply(LateReply),
    /// The write of an entry from the object into the colo's cache.
    Adopt(Adopt),
    /// A lookup in the colo's cache, for all requests that wait for its result.
    SharedLook(SharedLook),
    /// A message that waits at the key's object, for all requests that wait for its reply.
    SharedWait(SharedWait),
    /// A question for the key's purge floor. Ends in [`Done::Nothing`](super::step::Done::Nothing).
    Learn(Learn),
    /// A purge. Ends in [`Done::Purged`](super::step::Done::Purged).
    Purge(Purge),
}

impl Task {
    /// A request arrives.
    #[must_use]
    pub fn request() -> Self {
        Self::Request(RequestTask::new())
    }

    /// A request arrives whose answer is not to be cached.
    #[must_use]
    pub fn uncached() -> Self {
        Self::Request(RequestTask::uncached())
    }

    /// The key is purged: made stale, or removed.
    #[must_use]
    pub fn purge(hard: bool) -> Self {
        Self::Purge(Purge::new(hard))
    }

    /// The key's purge floor is learned, from its object.
    #[must_use]
    pub fn learn() -> Self {
        Self::Learn(Learn::new())
    }

    /// Takes a reply that came after its limit, as [`Event::LateObject`].
    #[must_use]
    pub fn late_reply() -> Self {
        Self::LateReply(LateReply::new())
    }

    /// A task that another one has asked for.
    #[must_use]
    pub fn new(background: Background) -> Self {
        match background {
            Background::Refresh(order) => Self::Refresh(RefreshTask::new(order)),
            Background::Adopt(entry) => Self::Adopt(Adopt::new(entry)),
            Background::SharedLook { owner } => Self::SharedLook(SharedLook::new(owner)),
            Background::SharedWait { seen, owner } => Self::SharedWait(SharedWait::new(seen, owner)),
        }
    }

    /// The next step. After [`Effect::Done`](super::step::Effect::Done) the task must get no further event.
    pub fn on(
        &mut self,
        event: Event,
        subject: KeyedRoute<'_>,
        isolate: &mut IsolateState,
        now: Instant,
        chance: Chance,
    ) -> Step {
        let mut context = StepContext { subject, isolate, now, chance, notes: Notes::default() };
        let effect = match self {
            Self::Request(task) => task.on(event, &mut context),
            Self::Refresh(task) => task.on(event, &mut context),
            Self::LateReply(task) => task.on(event, &mut context),
            Self::Adopt(task) => task.on(event, &mut context),
            Self::SharedLook(task) => task.on(event, &mut context),
            Self::SharedWait(task) => task.on(event, &mut context),
            Self::Purge(task) => task.on(event, &mut context),
            Self::Learn(task) => task.on(event, &mut context),
        };
        Step { effect, notes: context.notes }
    }

    /// The token of the lease that it holds, if it is a computation under one.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        match self {
            Self::Refresh(task) => task.token(),
            Self::Request(_)
            | Self::LateReply(_)
            | Self::Adopt(_)
            | Self::SharedLook(_)
            | Self::SharedWait(_)
            | Self::Learn(_)
            | Self::Purge(_) => None,
        }
    }
}
