//! The sleep of a refresh that finds the lease held: behind the answer it waits for what the holder commits.

use std::sync::Arc;

use super::{Action, Refresh, RefreshOutcome};
use crate::{
    core::{
        entry::Entry,
        time::{Instant, Span},
    },
    protocol::{
        lease::{MAX_WAIT, MIN_RETRY},
        message::Answer,
    },
};

/// A sleep at the object, while somebody else computes. In lengths: the clock may step meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Hash)]
pub(super) struct Waiting {
    since: Instant,
    /// When it was worth asking again, from then on.
    retry_in: Span,
    is_last: bool,
}

impl Waiting {
    /// Told at this instant when it is worth asking again.
    pub(super) fn new(now: Instant, retry_in: Span) -> Self {
        Self { since: now, retry_in, is_last: false }
    }

    fn is_worth_another(self, now: Instant) -> bool {
        !self.is_last && self.slept(now) >= MAX_WAIT && self.left(now) > Span::ZERO
    }

    fn slept(self, now: Instant) -> Span {
        now.since(self.since)
    }

    fn left(self, now: Instant) -> Span {
        self.retry_in.minus(self.slept(now))
    }

    pub(super) fn held(self, now: Instant) -> Action {
        Action::End(RefreshOutcome::Held { retry_in: self.left(now).max(MIN_RETRY) })
    }
}

impl Refresh {
    pub(super) fn wait(&mut self, waiting: Waiting) -> Action {
        self.waiting = Some(waiting);
        Action::Wait { seen: self.subject.seen }
    }

    /// What the one that it waited for has come to.
    pub(super) fn woken(
        &mut self,
        answer: Answer,
        entry: Option<Arc<Entry>>,
        waiting: Waiting,
        now: Instant,
    ) -> Action {
        match answer {
            Answer::Newer { .. } => match entry.and_then(|it| self.above_floor(&it, now)) {
                Some(newer) => self.store(Arc::clone(&newer), RefreshOutcome::Adopted(newer)),
                None => waiting.held(now),
            },
            Answer::Failed { failure, retry_after } => {
                Action::End(RefreshOutcome::BackedOff { failure, retry_after })
            }
            // A sleep has an end: once more, and no further, as all of this must fit into `waitUntil`.
            Answer::Again if waiting.is_worth_another(now) => {
                self.wait(Waiting { since: now, retry_in: waiting.left(now), is_last: true })
            }
            // One that was short was ended by a purge, or by a holder who gave up.
            Answer::Again if waiting.slept(now) < MAX_WAIT => {
                Action::End(RefreshOutcome::Held { retry_in: MIN_RETRY })
            }
            Answer::Again
            | Answer::Held { .. }
            | Answer::Granted { .. }
            | Answer::TooManyWaiters
            | Answer::Committed
            | Answer::Rejected
            | Answer::Closed { .. }
            | Answer::Purged
            | Answer::Inspected(_)
            | Answer::Refused { .. } => waiting.held(now),
        }
    }
}
