//! The invariants of the protocol, checked after every step. The checks use only what is visible from
//! outside: the answers, the object's grants, and the origin's calls. The codes (L1, I3) are those of
//! `docs/internals/protocol.md`.

use std::{collections::BTreeMap, fmt};

use super::{clock::Clock, origin, scenario::Scenario};
use crate::{
    core::{
        entry::{CLOCK_TOLERANCE, Entry},
        purge::Floor,
        time::{Instant, Span},
    },
    isolate::metrics::{Counter, Counters},
    protocol::message::{Answer, Message},
};

/// A violated invariant: which, when, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name in the documentation.
    pub invariant: &'static str,
    /// The instant, since the begin of the run.
    pub at: Span,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated at {} ms: {}", self.invariant, self.at.0, self.what)
    }
}

/// A grant as the object gave it, until it is closed.
#[derive(Clone, Copy, Debug)]
struct Grant {
    token: u64,
    at: Instant,
    length: Span,
}

#[derive(Clone, Debug, Default)]
struct OfKey {
    last_token: u64,
    /// The object has deleted its state. Its next token is then at least the clock and above the caller's
    /// `seen`, but it may be below earlier tokens if the clock has stepped back since.
    is_forgotten: bool,
    grant: Option<Grant>,
    committed: u64,
    /// Origin calls under this token.
    called: (u64, u32),
}

/// A stale generation that an isolate serves, and since when.
type Overdue = BTreeMap<(usize, usize), (u64, Span)>;

/// The observations by which a violation is detected.
#[derive(Debug)]
pub(super) struct Invariants {
    is_on: bool,
    keys: Vec<OfKey>,
    /// The greatest error of any clock so far.
    apart: Span,
    overdue: Overdue,
    on_the_way: Span,
    kind_from: Span,
    /// After the end of the faults, a stale entry must be replaced within this time.
    overtaken_within: Span,
    pub(super) first: Option<Violation>,
}

impl Invariants {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            is_on: scenario.strategy.is_this_cache(),
            keys: vec![OfKey::default(); scenario.slots()],
            apart: Span::ZERO,
            overdue: Overdue::new(),
            on_the_way: Span(2 * (scenario.faults.max_delay.0 + scenario.object_delay.0)),
            kind_from: scenario.faults.until,
            overtaken_within: scenario.aftermath(),
            first: None,
        }
    }

    fn check(&mut self, holds: bool, invariant: &'static str, at: Span, what: impl FnOnce() -> String) {
        if self.is_on && !holds && self.first.is_none() {
            self.first = Some(Violation { invariant, at, what: what() });
        }
    }

    pub(super) fn clock(&mut self, clock: Clock) {
        self.apart = self.apart.max(Span(clock.0.unsigned_abs()));
    }

    /// The object has answered a message; `now` by its clock.
    pub(super) fn told(&mut self, at: Span, key: usize, message: &Message, answer: &Answer, now: Instant) {
        let known = self.keys[key].clone();
        match (message, answer) {
            (Message::Acquire { request, .. }, Answer::Granted { token }) => {
                let is_repeated = known.grant.is_some_and(|grant| grant.token == *token);
                if is_repeated {
                    return;
                }
                let live = known.grant.filter(|grant| grant.at.covers(grant.length, now));
                self.check(live.is_none(), "L1 one live lease", at, || {
                    format!("token {token} was granted beside {live:?}, at {now:?} by the object's clock")
                });
                let has_gone_back = known.is_forgotten && now.0 <= known.last_token;
                self.check(*token > known.last_token || has_gone_back, "L2 tokens increase", at, || {
                    format!("token {token} after {}", known.last_token)
                });
                self.keys[key].last_token = *token;
                self.keys[key].is_forgotten = false;
                if has_gone_back {
                    // The token may be reused, so earlier observations of it concern another lease.
                    self.keys[key].committed = 0;
                    self.keys[key].called = (0, 0);
                }
                self.keys[key].grant = Some(Grant { token: *token, at: now, length: request.lease });
            }
            (Message::Commit { token, .. }, Answer::Committed) => {
                let is_first = known.committed != *token;
                let is_open = known.grant.is_some_and(|grant| grant.token == *token);
                self.check(!is_first || is_open, "L3 a wrong token commits nothing", at, || {
                    format!("token {token}, while {:?} was open", known.grant)
                });
                self.check(*token >= known.committed, "I4 generations do not go down", at, || {
                    format!("{token} was committed over {}", known.committed)
                });
                self.keys[key].committed = *token;
                if is_open {
                    self.keys[key].grant = None;
                }
            }
            (Message::Fail { token, .. }, Answer::Closed { applied: true, .. }) => {
                let is_open = known.grant.is_some_and(|grant| grant.token == *token);
                self.check(is_open, "L3 a wrong token closes nothing", at, || {
                    format!("token {token}, while {:?} was open", known.grant)
                });
                self.keys[key].grant = None;
            }
            (Message::Purge { .. }, Answer::Purged) => self.keys[key].grant = None,
            _ => {}
        }
    }

    /// A purge has raised this floor.
    pub(super) fn floor(&mut self, key: usize, floor: Floor) {
        self.keys[key].last_token = self.keys[key].last_token.max(floor.highest());
    }

    /// The object has deleted its state.
    pub(super) fn forgotten(&mut self, key: usize) {
        self.keys[key].is_forgotten = true;
        self.keys[key].grant = None;
    }

    /// A computation begins under this token.
    pub(super) fn called(&mut self, at: Span, key: usize, token: Option<u64>) {
        let Some(token) = token else { return };
        let known = &mut self.keys[key].called;
        *known = if known.0 == token { (token, known.1 + 1) } else { (token, 1) };
        let count = known.1;
        self.check(count == 1, "I3 one computation per lease", at, || {
            format!("call {count} under token {token}")
        });
    }

    /// A request was answered with this entry.
    pub(super) fn answered(&mut self, at: Span, key: usize, served: &SeenAnswer<'_>) {
        let SeenAnswer {
            isolate,
            is_stale,
            is_own,
            entry,
            heard,
            allowed,
            ended,
            served_at,
            is_warm,
            took,
            swift,
            variants: (asked, answered),
            tenants,
        } = *served;
        self.overtaken(at, (isolate, key), entry.generation, is_stale);
        self.check(tenants.0 == tenants.1, "I9 no answer crosses a scope", at, || {
            format!("tenant {:?} was answered with what {:?} has asked for", tenants.0, tenants.1)
        });
        let whose = origin::read(&entry.body).map(|(key, _)| key);
        self.check(whose == Some(key), "I1 a body of that very key", at, || {
            format!("key {key} was answered with {whose:?}")
        });
        self.check(asked == answered, "I8 an answer is the variant that was asked for", at, || {
            format!("a request for variant {asked:?} was answered with {answered:?}")
        });
        self.check(is_own || entry.generation >= heard.hard, "L8 a purge wins", at, || {
            format!("generation {} was served under {heard:?}", entry.generation)
        });
        let age = served_at.since(ended);
        // Two clocks may be wrong, in either direction, and each may have stepped. The time that an entry
        // takes to the object and back does not count in its age.
        let tolerance = CLOCK_TOLERANCE.plus(Span(4 * self.apart.0)).plus(self.on_the_way);
        self.check(age <= allowed.plus(tolerance), "I2 no answer is older than allowed", at, || {
            format!("{} ms old, {} allowed", age.0, allowed.0)
        });
        self.check(!is_warm || took <= swift, "I6 a warm request never waits", at, || {
            format!("it waited {} ms", took.0)
        });
    }

    /// Checks that no generation is served stale for too long.
    fn overtaken(&mut self, at: Span, place: (usize, usize), generation: u64, is_stale: bool) {
        if !is_stale || at < self.kind_from {
            self.overdue.remove(&place);
            return;
        }
        let known = self.overdue.entry(place).or_insert((generation, at));
        if known.0 != generation {
            *known = (generation, at);
        }
        let (since, most) = (known.1, self.overtaken_within);
        self.check(at.minus(since) <= most, "L4 an entry is always overtaken in the end", at, || {
            format!("generation {generation} was served stale since {} ms", since.0)
        });
    }

    /// The counters' sums.
    pub(super) fn sums(&mut self, at: Span, counters: &Counters) {
        let sum = |names: &[Counter]| names.iter().map(|it| counters.get(*it)).sum::<u64>();
        let total = counters.get(Counter::TotalRequests)
            == sum(&[
                Counter::CacheHitFresh,
                Counter::CacheHitStale,
                Counter::CacheMiss,
                Counter::Bypass,
                Counter::Rejected,
            ]);
        let triggers = counters.get(Counter::XfetchTriggers);
        let purposes = triggers == sum(&[Counter::XfetchEarlyTriggers, Counter::XfetchStaleTriggers]);
        let led_to = triggers
            == sum(&[
                Counter::RefreshesStarted,
                Counter::XfetchLockContentionTotal,
                Counter::XfetchRecheckSkipsTotal,
                Counter::RefreshLockErrors,
                Counter::RefreshBackoffs,
            ]);
        let calls = counters.get(Counter::ComputeCalls);
        let whom = calls == sum(&[Counter::ComputeCallsCold, Counter::ComputeCallsRefresh]);
        let ends = calls == sum(&[Counter::ComputeOk, Counter::ComputeFailed, Counter::ComputeAbandoned]);
        let all = [total, purposes, led_to, whom, ends];
        self.check(all == [true; 5], "I5 the counters add up", at, || format!("{all:?}"));
    }

    /// Checks that something has ended which must have ended by now.
    pub(super) fn ended(&mut self, holds: bool, at: Span, what: impl FnOnce() -> String) {
        self.check(holds, "L4 nothing is stuck", at, what);
    }
}

/// An answer, as a client sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenAnswer<'a> {
    pub(super) isolate: usize,
    pub(super) is_stale: bool,
    /// Whether the entry was computed while the request waited; a purge in that time does not forbid it.
    pub(super) is_own: bool,
    pub(super) entry: &'a Entry,
    /// The purge floor that its isolate knew.
    pub(super) heard: Floor,
    /// The greatest age that its lifetime allows.
    pub(super) allowed: Span,
    /// The true time at which its computation ended.
    pub(super) ended: Instant,
    /// The true time of the answer.
    pub(super) served_at: Instant,
    /// Whether memory held a servable entry when the request arrived.
    pub(super) is_warm: bool,
    /// How long the request waited.
    pub(super) took: Span,
    /// How long a warm request may take: one look into the colo's cache.
    pub(super) swift: Span,
    /// The variant that the request has asked for, and that of the answer.
    pub(super) variants: (Option<u32>, Option<u32>),
    /// The tenant that asks, and the one that the answer was computed for.
    pub(super) tenants: (Option<usize>, Option<usize>),
}
