//! How a computation ended, and what is logged and reported of it.

use std::sync::Arc;

use super::computation::Computed;
use crate::core::{
    entry::Entry,
    failure::{Failure, Reason},
    time::Span,
};

/// How a computation ended.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum RefreshOutcome {
    /// Computed, committed and stored.
    Stored(Arc<Entry>),
    /// The object had a newer entry; it was adopted.
    Adopted(Arc<Entry>),
    /// The colo's cache had a newer entry; it was adopted.
    AdoptedFromColo(Arc<Entry>),
    /// Another isolate computes.
    Held {
        /// When it is worth asking again.
        retry_in: Span,
    },
    /// The last failure is remembered: nothing was computed.
    BackedOff {
        /// That failure.
        failure: Failure,
        /// How long it is remembered.
        retry_after: Span,
    },
    /// Computed, but the object was out of reach: the entry lives in this isolate's memory only.
    Uncommitted(Arc<Entry>),
    /// Computed, but overtaken or purged meanwhile: the entry is stored nowhere.
    Rejected(Arc<Entry>),
    /// Computed, but the origin does not allow it to be stored.
    Passed(Computed),
    /// The computation failed.
    Failed(Failure),
    /// The object was out of reach, and no call without a lease was allowed.
    ObjectLost,
}

impl RefreshOutcome {
    /// The word for it in the log.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stored(_) => "stored",
            Self::Adopted(_) => "adopted",
            Self::AdoptedFromColo(_) => "adopted_from_colo",
            Self::Held { .. } => "held",
            Self::BackedOff { .. } => "backed_off",
            Self::Uncommitted(_) => "uncommitted",
            Self::Rejected(_) => "rejected",
            Self::Passed(_) => "passed",
            Self::Failed(_) => "failed",
            Self::ObjectLost => "object_lost",
        }
    }

    /// The failure, if the computation failed or a failure is remembered.
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::BackedOff { failure, .. } | Self::Failed(failure) => Some(failure),
            Self::Stored(_)
            | Self::Adopted(_)
            | Self::AdoptedFromColo(_)
            | Self::Held { .. }
            | Self::Uncommitted(_)
            | Self::Rejected(_)
            | Self::Passed(_)
            | Self::ObjectLost => None,
        }
    }

    /// The smoothed cost, if something was computed.
    #[must_use]
    pub fn delta(&self) -> Option<Span> {
        match self {
            Self::Stored(entry) | Self::Uncommitted(entry) | Self::Rejected(entry) => Some(entry.delta),
            Self::Passed(computed) => Some(computed.delta),
            Self::Adopted(_)
            | Self::AdoptedFromColo(_)
            | Self::Held { .. }
            | Self::BackedOff { .. }
            | Self::Failed(_)
            | Self::ObjectLost => None,
        }
    }

    /// The reason of a transient failure.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self.failure()? {
            Failure::Transient { reason, .. } => Some(*reason),
            Failure::GivenBack => Some(Reason::TooManyOriginCalls),
            Failure::Negative { .. } | Failure::Pass { .. } => None,
        }
    }
}
