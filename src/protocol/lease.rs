//! Who may refresh a key, until when, and which value is the newest: the rules of the key's object.
//!
//! The state is a value. The object loads it, makes one call here, and saves it, in one synchronous
//! block; nothing is decided across an await. Every grant has a *token*, strictly increasing, which becomes
//! the generation of the entry computed under it. A commit is judged by its token and never by the clock, so
//! a holder that was paused for too long cannot replace a newer entry. The clock only decides how long others
//! wait for a holder that never reports.

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

/// Tokens are below this, so that a JavaScript number holds them exactly.
pub const TOKEN_END: u64 = 1 << 53;
/// The longest lease, whatever a message requests: the largest `origin_timeout` (20 s) and 5 s.
pub const MAX_LEASE: Span = Span(25_000);
/// The longest sleep of one `Wait`.
pub const MAX_WAIT: Span = Span(5_000);
/// The shortest `retry_in` of `Held`, which bounds how often one isolate asks for one key.
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
        | Message::Inspect
        | Message::Snapshot => OBJECT_TIMEOUT,
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

    /// How long to wait before asking again: until the expected end of the computation (1.25 times its
    /// smoothed cost), and for [`MIN_RETRY`] after that, but never beyond the lease. An isolate that waited
    /// for the end of the lease would serve stale answers long after the new entry had been committed.
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

/// Everything that a key's object stores except the entry's bytes. The stored form has a version
/// ([`super::object::FORMAT`]): a change of any field needs a new one.
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

/// Whether a message wakes the messages that sleep at the object.
#[derive(Clone, Debug, PartialEq)]
pub enum Wake {
    /// They go on sleeping.
    Nobody,
    /// Each of them gets this answer.
    With(Answer),
}

/// What a `Wait` leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitDecision {
    /// An answer at once.
    Answer(Answer),
    /// Sleep for at most this long, then answer `Again`.
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
    /// Adds to an answer the purge floor and the global rate, which every reply carries.
    #[must_use]
    pub fn reply(&self, answer: Answer) -> Reply {
        Reply { floor: self.floor, global_rate: self.global_rate.total(), answer }
    }

    /// `Acquire`: looks for a newer entry, then a live lease, then a remembered failure, and grants the lease
    /// if there is none of these. This *is* the re-check inside the lock. It compares generations and not
    /// freshness, because an early trigger concerns an entry that is still fresh.
    pub fn acquire(&mut self, seen: u64, nonce: Option<u64>, request: LeaseRequest, now: Instant) -> Answer {
        // The entry expired more than a TTL ago, so the rates reported for the key are out of date.
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

    /// `Wait`: repeats the first check of `acquire`, then sleeps until the live lease ends, [`MAX_WAIT`] at
    /// most. Without a live lease, or with `max_waiters` sleeping, it answers at once.
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
                // The TTL of an entry below the soft floor was shortened by the purge, so it does not count.
                let committed = self.committed.filter(|it| it.generation >= self.floor.soft);
                let ttl = committed.map(|it| it.lifetime.ttl);
                failure::backoff(self.failures_in_a_row, *retry_after, ttl, spread.value())
            }
            // No back-off: an origin that refuses a request, or forbids storing its answer, works.
            Failure::Negative { ttl, .. } | Failure::Pass { ttl } => {
                self.failures_in_a_row = 0;
                *ttl
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

    /// `Inspect`: returns what the state holds at `now`, and changes nothing.
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

    /// What the alarm may delete. The body is deleted at the end of its physical lifetime, the counter and
    /// the floor a day later, when no tier can hold a copy of any generation, and only if the clock is past
    /// the last token: a token is at least the clock in milliseconds, so later tokens are still higher.
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

    /// `seen`, or 0 if it cannot be right: above every token of this object and more than a day in the
    /// future.
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
