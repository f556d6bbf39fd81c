//! The events worth counting.

use crate::{
    core::{
        failure::{Failure, Reason},
        time::Span,
    },
    isolate::computation::{Computed, Purpose, TriggerOutcome},
};

/// How a request was answered: the class depends on what was *served*, not on the tier that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedAs {
    /// An entry before its expiry; an early refresh behind it changes nothing.
    HitFresh,
    /// An entry past its expiry, `stale_if_error` included.
    HitStale,
    /// A new computation, its own or another's, or the failure of one.
    Miss,
    /// Forwarded uncached.
    Bypass,
    /// Refused: the client's fault, or the configuration's.
    Rejected,
}

/// How an origin call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// A valid answer, committed or not, after this long.
    Ok(Span),
    /// A failure; `None` for an origin's refusal (a 4xx answer).
    Failed(Option<Reason>),
    /// Unsettled at the end of its lease.
    Abandoned,
}

impl CallOutcome {
    /// How a call with this result ended.
    #[must_use]
    pub fn of(result: &Result<Computed, Failure>) -> Self {
        match result {
            Ok(computed) if computed.is_failure() => Self::Failed(Some(Reason::OriginError)),
            Ok(computed) if computed.is_refusal() && !computed.storable => Self::Failed(None),
            Ok(computed) => Self::Ok(computed.delta),
            Err(Failure::Transient { reason, .. }) => Self::Failed(Some(*reason)),
            Err(Failure::Negative { .. } | Failure::Pass { .. } | Failure::GivenBack) => Self::Failed(None),
        }
    }
}

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricEvent {
    /// A request was answered.
    Answered {
        /// With what.
        class: ServedAs,
        /// After how long, by the isolate's clock.
        took: Span,
    },
    /// A request triggered a refresh.
    Triggered {
        /// Early or stale.
        purpose: Purpose,
        /// With what result.
        trigger: TriggerOutcome,
    },
    /// An origin call of the cache has ended.
    Called {
        /// What it was for.
        purpose: Purpose,
        /// How it ended.
        call: CallOutcome,
    },
    /// A computed entry was refused by the object.
    CommitRejected,
    /// A grant came too late and was given back.
    GrantGivenBack,
    /// The Cache API's `put` or `match` failed.
    CacheFailed,
    /// A stored entry could not be read.
    EntryUnreadable,
    /// The entropy source failed.
    NoEntropy,
    /// A client was refused before anything of the cache was touched.
    Refused(Refusal),
    /// An identity provider was asked for its keys, or the origin about a credential.
    Inquired,
}

/// Why a client was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no credential that is good here.
    Unauthorized,
    /// It asks too often.
    RateLimited,
    /// It asks for too many new keys.
    TooManyNewKeys,
}
