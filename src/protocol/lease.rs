//! Who may refresh a key, until when, and which value is the newest: the rules of the key's object.
//!
//! The state is a value. The object loads it, makes one call here, and saves it, in one synchronous
//! block; nothing is decided across an await. Every grant has a *token*, strictly increasing, that
//! becomes the generation of what is computed under it. A commit is judged by its token and never by
//! the clock, so a holder that was paused too long can do no harm, and the clock only decides how
//! long the others wait for a dead one.

use serde::{Deserialize, Serialize};

use crate::{
    core::{
        config::OBJECT_TIMEOUT,
        entry::Lifetime,
        failure::{self, Failure},
        global_rate::GlobalRate,
        purge::Floor,
        time::{Instant, Span},
        xfetch::Draw,
    },
    protocol::message::{Answer, Inspection, LeaseRequest, Message, Reply},
};

/// Tokens stay exact in JavaScript's numbers.
pub const TOKEN_END: u64 = 1 << 53;
/// No lease is longer, whatever a message asks for: `origin_timeout` at most 20 s, and 5 s.
pub const MAX_LEASE: Span = Span(25_000);
/// The longest sleep of one `Wait`.
pub const MAX_WAIT: Span = Span(5_000);
/// The shortest wish of `Held`: so often at most does one isolate ask for one key.
pub const MIN_RETRY: Span = Span(250);

/// How long a Worker waits for the answer to a message.
#[must_use]
pub fn time_limit(message: &Message) -> Span {
    match message {
        Message::Wait { .. } => MAX_WAIT.plus(OBJECT_TIMEOUT),
        Message::Acquire { .. }
        | Message::Commit { .. }
        | Message::Fail { .. }
        | Message::Purge { .. }
        | Message::Inspect => OBJECT_TIMEOUT,
    }
}

/// A grant that has not been closed. It may have run out: its commit still counts until the next grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Hash)]
struct Grant {
    token: u64,
    nonce: Option<u64>,
    granted_at: Instant,
    length: Span,
    expected: Span,
}

impl Grant {
    fn is_live(&self, now: Instant) -> bool {
        self.granted_at.covers(self.length, now)
    }

    fn remaining(&self, now: Instant) -> Span {
        self.granted_at.plus(self.length).since(now).min(self.length)
    }

    /// When to ask again: at the expected end of the computation, by its last cost, and repeatedly after that.
    /// An isolate that waited for the end of the lease would serve stale answers long after the new entry
    /// had been committed.
    fn retry_in(&self, now: Instant) -> Span {
        let expected_end = self.granted_at.plus(self.expected.share(1.25));
        expected_end.since(now).max(MIN_RETRY).min(self.remaining(now))
    }
}

/// A failure that is remembered for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Hash)]
struct Remembered {
    failure: Failure,
    since: Instant,
    length: Span,
}

/// What the state knows of the committed entry; its bytes are stored apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Hash)]
struct Committed {
    generation: u64,
    stored_at: Instant,
    lifetime: Lifetime,
}

/// All that a key's object remembers, but the entry's bytes. Stored under a version: a change is a new
/// one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Hash)]
pub struct State {
    last: u64,
    floor: Floor,
    grant: Option<Grant>,
    committed: Option<Committed>,
    remembered: Option<Remembered>,
    failures_in_a_row: u32,
    touched: Instant,
    physical: Span,
    global_rate: GlobalRate,
}

/// What those who sleep on the key are told, all at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Wake {
    /// Nothing happened for them.
    Nobody,
    /// The answer to each of them.
    With(Answer),
}

/// What `Wait` leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitDecision {
    /// An answer at once.
    Answer(Answer),
    /// Sleep, for so long at most; then `Again`.
    Sleep(Span),
}

/// What the alarm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanUp {
    /// Nothing yet; look again after this long.
    Later(Span),
    /// Delete the entry's bytes, keep counter and floor; look again after this long.
    DropBody(Span),
    /// Delete everything: no copy of any generation can be left anywhere.
    Forget,
}

impl State {
    /// With what every answer carries.
    #[must_use]
    pub fn reply(&self, answer: Answer) -> Reply {
        Reply { floor: self.floor, global_rate: self.global_rate.total(), answer }
    }

    /// `Acquire`: newer entry, then live lease, then remembered failure, then the grant. It *is* the
    /// re-check inside the lock, and it compares generations, never freshness: an early trigger is
    /// always about an entry that is still fresh.
    pub fn acquire(&mut self, seen: u64, nonce: Option<u64>, request: LeaseRequest, now: Instant) -> Answer {
        // Expired for as long as it was fresh: what was told about it may no longer be so.
        let long_ago = |it: &Committed| it.stored_at.plus(it.lifetime.ttl).plus(it.lifetime.ttl) < now;
        if self.committed.as_ref().is_some_and(long_ago) {
            self.global_rate = GlobalRate::default();
        }
        self.global_rate.hear(request.share);
        let seen = self.plausible(seen, now);
        if let Some(newer) = self.newer(seen, now) {
            return newer;
        }
        if let Some(grant) = self.grant.as_ref().filter(|grant| grant.is_live(now)) {
            return if nonce.is_some() && grant.nonce == nonce {
                Answer::Granted { token: grant.token }
            } else {
                Answer::Held { retry_in: grant.retry_in(now) }
            };
        }
        if let Some(failed) = self.failed(now) {
            return failed;
        }
        let token = self.next_token(seen, now);
        self.grant = Some(Grant {
            token,
            nonce,
            granted_at: now,
            length: request.lease.min(MAX_LEASE),
            expected: request.expected,
        });
        self.touch(now, request.physical);
        Answer::Granted { token }
    }

    /// `Wait`: the first check of `acquire` once more, then sleep as long as the lease may live.
    #[must_use]
    pub fn wait(&self, seen: u64, waiters: u32, max_waiters: u32, now: Instant) -> WaitDecision {
        if let Some(newer) = self.newer(self.plausible(seen, now), now) {
            return WaitDecision::Answer(newer);
        }
        match self.grant.as_ref().filter(|grant| grant.is_live(now)) {
            Some(_) if waiters >= max_waiters => WaitDecision::Answer(Answer::TooManyWaiters),
            Some(grant) => WaitDecision::Sleep(grant.remaining(now).min(MAX_WAIT)),
            None => WaitDecision::Answer(self.failed(now).unwrap_or(Answer::Again)),
        }
    }

    /// `Commit`: accepted while the token is the last grant, not closed, and above the floor, even if
    /// its lease has just run out. Then the caller stores the bytes, in the same block.
    pub fn commit(&mut self, token: u64, age: Span, lifetime: Lifetime, now: Instant) -> (Answer, Wake) {
        if self.committed.is_some_and(|committed| committed.generation == token) {
            return (Answer::Committed, Wake::Nobody);
        }
        if self.grant.as_ref().map(|grant| grant.token) != Some(token) || token <= self.floor.highest() {
            return (Answer::Rejected, Wake::Nobody);
        }
        self.grant = None;
        self.remembered = None;
        self.failures_in_a_row = 0;
        self.global_rate.committed();
        self.committed = Some(Committed { generation: token, stored_at: now.minus(age), lifetime });
        self.touch(now, lifetime.physical());
        (Answer::Committed, Wake::With(Answer::Newer { generation: token, age, ttl: lifetime.ttl }))
    }

    /// `Fail`: closes the lease and remembers the failure, when the token is the open one.
    pub fn fail(&mut self, token: u64, failure: Failure, now: Instant, spread: Draw) -> (Answer, Wake) {
        if self.grant.as_ref().map(|grant| grant.token) != Some(token) {
            return (Answer::Closed { applied: false, retry_after: Span::ZERO }, Wake::Nobody);
        }
        self.grant = None;
        let length = match &failure {
            Failure::Transient { retry_after, .. } => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                // A soft purge has shortened the TTL of what lies below its floor.
                let committed = self.committed.filter(|it| it.generation >= self.floor.soft);
                let ttl = committed.map(|it| it.lifetime.ttl);
                failure::backoff(self.failures_in_a_row, *retry_after, ttl, spread.value())
            }
            // An origin that says no, or answers for one client only, works.
            Failure::Negative { ttl, .. } => {
                self.failures_in_a_row = 0;
                *ttl
            }
            Failure::Pass => {
                self.failures_in_a_row = 0;
                failure::PASS_TTL
            }
            Failure::GivenBack => {
                let closed = Answer::Closed { applied: true, retry_after: Span::ZERO };
                return (closed, Wake::With(Answer::Again));
            }
        };
        self.remembered =
            (length > Span::ZERO).then(|| Remembered { failure: failure.clone(), since: now, length });
        let told = Answer::Failed { failure, retry_after: length };
        (Answer::Closed { applied: true, retry_after: length }, Wake::With(told))
    }

    /// `Purge`: the next token becomes the floor, and the lease is closed, so that a computation which
    /// began before can neither commit nor be waited for. A back-off stays: it protects the origin.
    /// After a hard purge the caller deletes the bytes, in the same block.
    pub fn purge(&mut self, hard: bool, physical: Span, now: Instant) -> (Answer, Wake) {
        let floor = self.next_token(0, now);
        self.grant = None;
        if hard {
            self.floor.hard = floor;
            self.committed = None;
        } else {
            self.floor.soft = floor;
            if let Some(committed) = &mut self.committed {
                let age = now.since(committed.stored_at);
                committed.lifetime.ttl = committed.lifetime.ttl.min(age);
            }
        }
        if !matches!(&self.remembered, Some(Remembered { failure: Failure::Transient { .. }, .. })) {
            self.remembered = None;
        }
        self.touch(now, physical);
        (Answer::Purged, Wake::With(Answer::Again))
    }

    /// `Inspect`.
    #[must_use]
    pub fn inspect(&self, waiters: u32, now: Instant) -> Answer {
        let live = self.grant.as_ref().filter(|grant| grant.is_live(now));
        let remembered = self.remembered(now);
        Answer::Inspected(Inspection {
            generation: self.committed.map(|committed| committed.generation),
            age: self.committed.map(|committed| now.since(committed.stored_at)),
            last_token: self.last,
            lease_token: live.map(|grant| grant.token),
            lease_remaining: live.map(|grant| grant.remaining(now)),
            failure: remembered.map(|it| it.failure.clone()),
            failure_remaining: remembered.map(|it| it.since.plus(it.length).since(now)),
            waiters,
        })
    }

    /// What the alarm may delete. The body goes at the end of its physical lifetime; counter and floor
    /// a day later, when no tier can hold a copy of any generation, and only if the clock is past the
    /// last token: then tokens go on increasing although they are forgotten.
    #[must_use]
    pub fn clean_up(&mut self, waiters: u32, now: Instant) -> CleanUp {
        let body_end = self.touched.plus(self.physical);
        let end = body_end.plus(Span::DAY);
        let busy = waiters > 0 || self.grant.as_ref().is_some_and(|grant| grant.is_live(now));
        let wait = |until: Instant| until.since(now).max(Span::SECOND);
        if busy {
            return CleanUp::Later(MAX_LEASE);
        }
        if now >= end && self.last < now.0 {
            return CleanUp::Forget;
        }
        if now >= body_end && self.committed.is_some_and(|committed| committed.is_gone(now)) {
            self.committed = None;
            return CleanUp::DropBody(wait(end));
        }
        // A clock that was far ahead once has left a token in the future: look again after a day.
        CleanUp::Later(if now < body_end {
            wait(body_end)
        } else if now < end {
            wait(end)
        } else {
            Span::DAY
        })
    }

    /// The generation whose bytes the object should hold.
    #[must_use]
    pub fn committed_generation(&self) -> Option<u64> {
        self.committed.map(|committed| committed.generation)
    }

    /// How long from now until the alarm has something to do.
    #[must_use]
    pub fn next_clean_up(&self, now: Instant) -> Span {
        self.touched.plus(self.physical).since(now).max(Span::SECOND)
    }

    /// A `seen` above everything this object gave and more than a day ahead is corrupt.
    fn plausible(&self, seen: u64, now: Instant) -> u64 {
        let most = self.last.max(now.plus(Span::DAY).0).min(TOKEN_END - 2);
        if seen > most { 0 } else { seen }
    }

    fn newer(&self, seen: u64, now: Instant) -> Option<Answer> {
        let committed = self.committed.filter(|it| it.generation > seen && !it.is_gone(now))?;
        Some(Answer::Newer {
            generation: committed.generation,
            age: now.since(committed.stored_at),
            ttl: committed.lifetime.ttl,
        })
    }

    fn remembered(&self, now: Instant) -> Option<&Remembered> {
        self.remembered.as_ref().filter(|it| it.since.covers(it.length, now))
    }

    fn failed(&self, now: Instant) -> Option<Answer> {
        let remembered = self.remembered(now)?;
        let retry_after = remembered.since.plus(remembered.length).since(now);
        Some(Answer::Failed { failure: remembered.failure.clone(), retry_after })
    }

    fn next_token(&mut self, seen: u64, now: Instant) -> u64 {
        self.last = now.0.max(self.last + 1).max(seen + 1).min(TOKEN_END - 1);
        self.last
    }

    fn touch(&mut self, now: Instant, physical: Span) {
        self.touched = now;
        self.physical = self.physical.max(physical);
    }
}

impl Committed {
    fn is_gone(&self, now: Instant) -> bool {
        now.since(self.stored_at) >= self.lifetime.physical()
    }
}
