//! The simulated origin: what a computation costs, how it fails, and its own count of the calls.

use std::sync::Arc;

use super::{faults::OriginFault, rng::SimRng, scenario::Scenario};
use crate::core::{
    entry::Entry,
    failure::{Failure, Reason},
    time::{Instant, Span},
};

/// The result of a call, drawn when it begins.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// A body, and whether it may be stored.
    Body(Arc<[u8]>, bool),
    /// A failure.
    Failure(Failure),
}

/// One call under way.
#[derive(Clone, Debug)]
pub(super) struct OriginCall {
    pub(super) began: Instant,
    pub(super) takes: Span,
    pub(super) fate: Fate,
    /// Whether it confirms the entry held.
    pub(super) is_renewal: bool,
}

/// What the origin is asked.
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    pub(super) key: usize,
    pub(super) variant: Option<u32>,
    pub(super) tenant: Option<usize>,
    /// The entry that it may confirm.
    pub(super) held: Option<&'a Entry>,
}

#[derive(Debug)]
pub(super) struct Origin {
    rng: SimRng,
    /// Origin calls in progress, per key.
    pub(super) under_way: Vec<u32>,
    pub(super) calls: u64,
    /// The instant at which each computation ends, or is confirmed, by its number. The age of its body counts from
    /// there.
    pub(super) ended: Vec<Instant>,
    /// The variant that each computation was asked for.
    pub(super) variants: Vec<Option<u32>>,
    /// The tenant that each computation was made for.
    pub(super) tenants: Vec<Option<usize>>,
}

impl Origin {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            rng: SimRng::new(scenario.seed, 2),
            under_way: vec![0; scenario.slots()],
            calls: 0,
            ended: Vec::new(),
            variants: Vec::new(),
            tenants: Vec::new(),
        }
    }

    /// A call begins; the caller gives up after its time-out.
    pub(super) fn call(
        &mut self,
        scenario: &Scenario,
        question: &Question<'_>,
        now: Instant,
        elapsed: Span,
    ) -> OriginCall {
        self.calls += 1;
        self.under_way[question.key] += 1;
        let takes = self.rng.lognormal(scenario.delta, scenario.spread).max(Span(1));
        let is_out = scenario.outage.is_some_and(|outage| outage.from <= elapsed && elapsed < outage.until);
        let is_hostile = elapsed < scenario.faults.until || !scenario.faults.any();
        // After the end of the faults the origin always answers within its time-out.
        let takes = if is_hostile { takes } else { takes.min(scenario.origin_timeout.share(0.8)) };
        let fails = is_out || (is_hostile && self.rng.happens(scenario.failing));
        let confirmed = question.held.filter(|_| !fails && self.rng.happens(0.5));
        let (takes, fate) = match confirmed {
            Some(held) => (takes.share(0.1).max(Span(1)), Fate::Body(Arc::clone(&held.body), true)),
            None if fails => self.failure(scenario, takes),
            None => (takes, self.body(question, now, takes, true)),
        };
        let (takes, fate) = if takes < scenario.origin_timeout {
            (takes, fate)
        } else {
            (scenario.origin_timeout, transient(Reason::OriginTimeout, None))
        };
        if let Some((_, number)) = confirmed.and_then(|held| read(&held.body)) {
            self.ended[number] = now.plus(takes);
        }
        let is_renewal = confirmed.is_some() && matches!(fate, Fate::Body(..));
        OriginCall { began: now, takes, fate, is_renewal }
    }

    fn failure(&mut self, scenario: &Scenario, takes: Span) -> (Span, Fate) {
        let failures = &scenario.faults.origin_faults;
        let failure = match failures.len() {
            0 => OriginFault::Error,
            count => failures[self.rng.below(count as u64) as usize],
        };
        let soon = takes.share(0.1).max(Span(1));
        match failure {
            OriginFault::Error => (soon, transient(Reason::OriginError, None)),
            OriginFault::Busy => (soon, transient(Reason::OriginBusy, Some(Span(3_000)))),
            OriginFault::Hang => (Span(u64::MAX), transient(Reason::OriginTimeout, None)),
            OriginFault::Reset => (soon, transient(Reason::OriginUnreachable, None)),
            OriginFault::Truncate => (takes, transient(Reason::OriginTruncated, None)),
            OriginFault::Garbage => (takes, transient(Reason::OriginNotJson, None)),
            OriginFault::Refuse => {
                let content_type = "application/json".to_owned();
                let no =
                    Failure::Negative { status: 404, content_type, body: "{}".to_owned(), ttl: Span::ZERO };
                (soon, Fate::Failure(no))
            }
            OriginFault::Private => (takes, Fate::Body(Arc::from([]), false)),
        }
    }

    /// A body that contains its key and the number of its computation.
    fn body(&mut self, question: &Question<'_>, now: Instant, takes: Span, storable: bool) -> Fate {
        let number = self.ended.len() as u32;
        self.ended.push(now.plus(takes));
        self.variants.push(question.variant);
        self.tenants.push(question.tenant);
        let body = [(question.key as u32).to_le_bytes(), number.to_le_bytes()].concat();
        Fate::Body(Arc::from(body), storable)
    }
}

/// The key and the number of the computation in a body; `None` for any other body.
pub(super) fn read(body: &[u8]) -> Option<(usize, usize)> {
    let (key, number) = body.split_first_chunk::<4>()?;
    let number = number.try_into().ok()?;
    Some((u32::from_le_bytes(*key) as usize, u32::from_le_bytes(number) as usize))
}

fn transient(reason: Reason, retry_after: Option<Span>) -> Fate {
    Fate::Failure(Failure::Transient { reason, retry_after })
}
