//! Every order in which things can happen to one key: three isolates in two colos, refreshing or waiting, or
//! two and a purge, with crashes, lost and repeated messages, failing and refused computations, leases that run
//! out, entries that leave their windows, clocks that differ, and the object out of reach.
//! The machines and the object's rules are the deployed ones; what is made up is the network and time.
//!
//! Checked in every state: L1, L2, L3, L7, L8, I1, I3, I4; that an uncommitted value stays in its isolate's
//! memory; and that from here the key is free after a lease and a back-off, and what is then computed is
//! taken (L4: a key never stays locked, an entry is always overtaken). Checked on every path to its end: nobody
//! is left without an answer. For that each path must have an end: no run comes back to a state that it has been in,
//! which is searched for by itself, in worlds of each kind.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use stateright::{Checker, Model, Property};
use xfetch_edge::{
    core::{
        entry::{Entry, Lifetime},
        failure::{Failure, Reason},
        freshness::{self, Eagerness, Verdict},
        purge::Floor,
        time::{Instant, Span},
        xfetch::Draw,
    },
    isolate::{
        computation::{Computed, Purpose},
        miss::{self, Miss, MissOutcome},
        refresh::{self, Refresh, Subject},
    },
    protocol::{
        lease::{self, WaitDecision, Wake},
        message::{Answer, LeaseRequest, Message, Reply},
    },
};

const START: u64 = 1_000_000;
const TICK: Span = Span(1_000);
const LEASE: Span = Span(2_000);
const PATIENCE: Span = Span(5_000);
/// How long one sleeps by a message that is lost with its sender.
const FORGOTTEN: Span = Span(3_000);
const LIFETIME: Lifetime =
    Lifetime { ttl: Span(1_000), stale_while_revalidate: Span(1_000_000), stale_if_error: Span(0) };
/// Stale for a tick only, then of use where a computation fails.
const SHORT: Lifetime =
    Lifetime { ttl: Span(1_000), stale_while_revalidate: Span(1_000), stale_if_error: Span(1_000_000) };
/// How long the origin's considered no is remembered.
const NEGATIVE_TTL: Span = Span(1_000);
/// The longest back-off that a failure leads to, and more.
const AT_REST: Span = Span(120_000);

/// What an entry of this model is made from; the rest of it is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Value {
    generation: u64,
    stored_at: u64,
    ttl: u64,
    /// Of the two lifetimes of this model the short one.
    is_short: bool,
    committed: bool,
    /// Names who computed it.
    body: u8,
}

impl Value {
    fn of(entry: &Entry) -> Self {
        Self {
            generation: entry.generation,
            stored_at: entry.stored_at.0,
            ttl: entry.lifetime.ttl.0,
            is_short: entry.lifetime.stale_if_error == SHORT.stale_if_error,
            committed: entry.committed,
            body: entry.body[0],
        }
    }

    fn entry(self) -> Arc<Entry> {
        Arc::new(Entry {
            generation: self.generation,
            stored_at: Instant(self.stored_at),
            delta: Span(1_000),
            lifetime: Lifetime { ttl: Span(self.ttl), ..lifetime(self.is_short) },
            global_rate: 0,
            committed: self.committed,
            key: "k".into(),
            status: 200,
            headers: Vec::new(),
            etag: String::new(),
            body: Arc::from([self.body]),
        })
    }
}

fn lifetime(is_short: bool) -> Lifetime {
    if is_short { SHORT } else { LIFETIME }
}

/// The same instant on a clock that differs by so much.
fn shifted(instant: u64, by: i64) -> u64 {
    instant.saturating_add_signed(by)
}

/// What a participant waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Idle,
    /// A message on its way to the object.
    Asking(Ask),
    /// An answer on its way back.
    Hearing(Heard),
    /// Asleep at the object, until then at most.
    Asleep(u64),
    /// Asleep by the message of this other one of its isolate.
    Follows(usize),
    /// Asleep by a message that nobody will tell of, until then.
    Forgotten(u64),
    /// The origin computes.
    Computing,
    Dead,
    Done(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Ask {
    Acquire(u64),
    Wait(u64),
    Commit(u64, Value),
    Fail(u64, Why),
    Purge(bool),
}

/// Why a computation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Why {
    Transient,
    Negative,
    GivenBack,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Heard {
    Newer(Value),
    Held,
    Granted(u64),
    Failed(Why),
    Again,
    Committed,
    Rejected,
    Closed,
    Purged,
    Lost,
}

/// What happens to a participant's machine.
enum Fed {
    Started,
    Colo(Option<Value>),
    Heard(Heard, Floor),
    Computed(u8),
    OriginFailed(Why),
    Stored,
    Around(Option<Value>),
    TimedOut,
}

/// The deployed machines. A cold request is two: its own, and that of the computation it leads.
#[derive(Clone, Debug, PartialEq, Hash)]
enum Machine {
    Warm(Refresh),
    Cold(Miss, Option<Refresh>, bool),
    Purge(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Warm,
    Cold,
    /// Asks when it likes: what its entry is good for then decides which of the two it is.
    Asks,
    Purge {
        hard: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Hash)]
struct Participant {
    role: Role,
    /// The place of its colo.
    colo: usize,
    /// How far its clock is from the object's, in milliseconds.
    skew: i64,
    is_short: bool,
    /// What this isolate may still do without the object: one call.
    may_call_directly: bool,
    /// The generation that its message to sleep at the object names, while it is under way or answered.
    sleeps_with: Option<u64>,
    machine: Option<Machine>,
    token: Option<u64>,
    step: Step,
    since: u64,
    memory: Option<Value>,
    floor: Floor,
}

#[derive(Clone, Debug, PartialEq, Hash)]
struct State {
    now: u64,
    object: lease::State,
    stored: Option<Value>,
    colos: [Option<Value>; 2],
    participants: Vec<Participant>,
    crashes: u8,
    losses: u8,
    repeats: u8,
    failures: u8,
    granted: u64,
    is_together: bool,
    broken: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Act {
    Start(usize),
    Deliver(usize),
    DeliverTwice(usize),
    LoseMessage(usize),
    LoseReply(usize),
    Hear(usize),
    OriginAnswers(usize),
    OriginFails(usize),
    OriginRefuses(usize),
    Crash(usize),
    Tick,
}

#[expect(clippy::struct_excessive_bools, reason = "each switches a kind of world on")]
struct World {
    roles: Vec<Role>,
    is_warm: bool,
    crashes: u8,
    losses: u8,
    repeats: u8,
    failures: u8,
    ticks: u64,
    /// The origin may refuse instead of failing.
    refuses: bool,
    /// A participant whose object is out of reach may call the origin without a lease.
    is_direct: bool,
    is_short: bool,
    /// Those of one colo are requests of one isolate where it comes to sleeping: one message for all.
    is_together: bool,
    /// By how much each participant's clock is off, in turn.
    skews: &'static [i64],
    /// How somebody must come to end on some path: what these worlds are for.
    reaches: [&'static str; 2],
}

/// What a machine asks for, whichever machine it is.
enum Wish {
    LookInColo,
    Ask(Ask),
    Compute,
    Store(Value),
    LookAround,
    End(&'static str),
}

fn failure(why: Why) -> Failure {
    match why {
        Why::Transient => Failure::Transient { reason: Reason::OriginError, retry_after: None },
        Why::Negative => Failure::Negative {
            status: 404,
            content_type: "application/json".to_owned(),
            body: "{}".to_owned(),
            ttl: NEGATIVE_TTL,
        },
        Why::GivenBack => Failure::GivenBack,
    }
}

fn why(failure: &Failure) -> Why {
    match failure {
        Failure::Transient { .. } => Why::Transient,
        Failure::Negative { .. } => Why::Negative,
        Failure::GivenBack => Why::GivenBack,
        Failure::Pass => unreachable!("every answer of this origin may be stored"),
    }
}

fn machine(seen: u64, purpose: Purpose, is_short: bool) -> Refresh {
    let subject = Subject {
        key: "k".into(),
        lifetime: lifetime(is_short),
        seen,
        delta: Some(Span(1_000)),
        has_looked: false,
    };
    Refresh::new(subject, purpose)
}

fn refresh_event(fed: Fed, now: u64, may_compute: bool) -> refresh::Event {
    match fed {
        Fed::Started => refresh::Event::Started,
        Fed::Colo(found) | Fed::Around(found) => refresh::Event::LookedInColo(found.map(Value::entry)),
        Fed::Heard(Heard::Lost, _) => refresh::Event::ObjectLost { may_compute },
        Fed::Heard(heard, floor) => {
            let (reply, entry) = reply_of(&heard, floor);
            refresh::Event::Replied(reply, entry)
        }
        Fed::Computed(body) => refresh::Event::Computed(computed(body, now)),
        Fed::OriginFailed(why) => refresh::Event::Failed(failure(why)),
        Fed::Stored => refresh::Event::Stored,
        Fed::TimedOut => unreachable!("only a cold request times out"),
    }
}

fn computed(body: u8, now: u64) -> Computed {
    Computed {
        status: 200,
        headers: Vec::new(),
        body: Arc::from([body]),
        delta: Span(1_000),
        storable: true,
        at: Instant(now),
    }
}

fn reply_of(heard: &Heard, floor: Floor) -> (Reply, Option<Arc<Entry>>) {
    let mut entry = None;
    let answer = match heard {
        Heard::Newer(value) => {
            entry = Some(value.entry());
            Answer::Newer { generation: value.generation, age: Span::ZERO, ttl: Span(value.ttl) }
        }
        Heard::Held => Answer::Held { retry_in: TICK },
        Heard::Granted(token) => Answer::Granted { token: *token },
        Heard::Failed(why) => Answer::Failed { failure: failure(*why), retry_after: TICK },
        Heard::Again | Heard::Lost => Answer::Again,
        Heard::Committed => Answer::Committed,
        Heard::Rejected => Answer::Rejected,
        Heard::Closed => Answer::Closed { applied: true, retry_after: TICK },
        Heard::Purged => Answer::Purged,
    };
    (Reply { floor, global_rate: 0, answer }, entry)
}

fn wish_of(action: refresh::Action) -> Wish {
    match action {
        refresh::Action::LookInColo => Wish::LookInColo,
        refresh::Action::Acquire { seen } => Wish::Ask(Ask::Acquire(seen)),
        refresh::Action::Wait { seen } => Wish::Ask(Ask::Wait(seen)),
        refresh::Action::Compute => Wish::Compute,
        refresh::Action::Commit(entry) => Wish::Ask(Ask::Commit(entry.generation, Value::of(&entry))),
        refresh::Action::Fail(token, failure) => Wish::Ask(Ask::Fail(token, why(&failure))),
        refresh::Action::Store(entry) => Wish::Store(Value::of(&entry)),
        refresh::Action::End(ending) => Wish::End(ending.as_str()),
    }
}

impl Machine {
    fn on(&mut self, fed: Fed, now: u64, may_compute: bool) -> Wish {
        match self {
            Self::Warm(refresh) => wish_of(refresh.on(refresh_event(fed, now, may_compute), Instant(now))),
            Self::Cold(cold, leading, is_short) => on_cold(cold, leading, *is_short, fed, now, may_compute),
            Self::Purge(hard) => match fed {
                Fed::Started => Wish::Ask(Ask::Purge(*hard)),
                _ => Wish::End("purged"),
            },
        }
    }
}

fn on_cold(
    cold: &mut Miss,
    leading: &mut Option<Refresh>,
    is_short: bool,
    fed: Fed,
    now: u64,
    may_compute: bool,
) -> Wish {
    let event = match (fed, leading.as_mut()) {
        (Fed::TimedOut, _) => miss::Event::TimedOut,
        (Fed::Started, _) => miss::Event::Started { led_here: false },
        (fed, Some(refresh)) => match refresh.on(refresh_event(fed, now, may_compute), Instant(now)) {
            refresh::Action::End(ending) => {
                let floor = refresh.floor();
                *leading = None;
                miss::Event::Led(ending, floor)
            }
            action => return wish_of(action),
        },
        (Fed::Around(found), None) => miss::Event::LookedAround(found.map(Value::entry)),
        (Fed::Heard(Heard::Lost, _), None) => miss::Event::WaitBroken { is_overloaded: false },
        (Fed::Heard(heard, floor), None) => {
            let (reply, entry) = reply_of(&heard, floor);
            miss::Event::Woken(reply, entry)
        }
        (Fed::Colo(_) | Fed::Computed(_) | Fed::OriginFailed(_) | Fed::Stored, None) => {
            unreachable!("only a computation is told of these")
        }
    };
    match cold.on(event, Instant(now)) {
        miss::Action::Lead { seen } => {
            let mut refresh = machine(seen, Purpose::Cold, is_short);
            let wish = wish_of(refresh.on(refresh::Event::Started, Instant(now)));
            *leading = Some(refresh);
            wish
        }
        miss::Action::Wait { seen } => Wish::Ask(Ask::Wait(seen)),
        miss::Action::LookAround | miss::Action::WatchMemory => Wish::LookAround,
        miss::Action::Answer(outcome) => Wish::End(match outcome {
            MissOutcome::Computed(..) => "computed",
            MissOutcome::Collapsed(_) => "collapsed",
            MissOutcome::Hit(_) => "hit",
            MissOutcome::Failed { .. } => "failed",
            MissOutcome::TimedOut => "timed out",
            MissOutcome::Unavailable => "unavailable",
            MissOutcome::Fallback(_) => "fell back",
            MissOutcome::Negative { .. } => "negative",
            MissOutcome::Passed(_) | MissOutcome::Uncached(_) | MissOutcome::TooManyWaiters => "unexpected",
        }),
    }
}

impl State {
    /// Feeds the machine, and performs what needs no network, until it waits for something.
    fn feed(&mut self, who: usize, first: Fed) {
        let mut fed = first;
        loop {
            let now = self.clock(who);
            let participant = &mut self.participants[who];
            // Asked for once: whoever is told that the object is lost has used it.
            let is_lost = matches!(fed, Fed::Heard(Heard::Lost, _));
            let may_compute = is_lost && std::mem::take(&mut participant.may_call_directly);
            let in_colo = self.colos[participant.colo];
            let machine = participant.machine.as_mut().expect("it has started");
            fed = match machine.on(fed, now, may_compute) {
                Wish::LookInColo => Fed::Colo(in_colo),
                Wish::LookAround => Fed::Around(participant.memory.or(in_colo)),
                Wish::Store(value) => {
                    self.store(who, value);
                    Fed::Stored
                }
                Wish::Ask(ask) => return self.ask(who, ask),
                Wish::Compute => return self.compute(who),
                Wish::End(word) => return self.end(who, word),
            };
        }
    }

    /// Sends a message, or sleeps by that of another one.
    fn ask(&mut self, who: usize, ask: Ask) {
        let (colo, is_cold) = {
            let it = &self.participants[who];
            (it.colo, matches!(it.machine, Some(Machine::Cold(_, None, _))))
        };
        let step = match ask {
            Ask::Wait(seen) if self.is_together && is_cold => {
                let is_first = |it: &Participant| it.colo == colo && it.sleeps_with == Some(seen);
                match self.participants.iter().position(is_first) {
                    Some(first) => Step::Follows(first),
                    None => {
                        self.participants[who].sleeps_with = Some(seen);
                        Step::Asking(ask)
                    }
                }
            }
            ask => Step::Asking(ask),
        };
        self.participants[who].step = step;
    }

    /// Those who sleep by the message of this one.
    fn followers(&self, first: usize) -> Vec<usize> {
        let follows = |who: &usize| self.participants[*who].step == Step::Follows(first);
        (0..self.participants.len()).filter(follows).collect()
    }

    /// Its message is answered: whoever sleeps by it hears the same, after it.
    fn hear_with_followers(&mut self, who: usize, heard: &Heard) {
        self.participants[who].sleeps_with = None;
        let followers = self.followers(who);
        for who in std::iter::once(who).chain(followers) {
            self.hear(who, heard.clone());
        }
    }

    /// Its client is told that it took too long. The message that it sent goes on: the next one is as good as it.
    fn leave(&mut self, who: usize) {
        let (step, seen) = (self.participants[who].step.clone(), self.participants[who].sleeps_with.take());
        if let Some((next, others)) = self.followers(who).split_first() {
            self.participants[*next].step = step;
            self.participants[*next].sleeps_with = seen;
            for other in others {
                self.participants[*other].step = Step::Follows(*next);
            }
        }
    }

    /// The time on a participant's clock.
    fn clock(&self, who: usize) -> u64 {
        shifted(self.now, self.participants[who].skew)
    }

    /// What has ended needs no machine: equal states are equal.
    fn end(&mut self, who: usize, word: &'static str) {
        let participant = &mut self.participants[who];
        participant.step = Step::Done(word);
        participant.machine = None;
        participant.token = None;
        participant.sleeps_with = None;
        participant.since = 0;
    }

    /// I3: at most one computation under a live lease.
    fn compute(&mut self, who: usize) {
        self.participants[who].step = Step::Computing;
        let live = self.lease_token();
        let under_live_lease = self
            .participants
            .iter()
            .filter(|it| it.step == Step::Computing && live.is_some() && it.token == live);
        if under_live_lease.count() > 1 {
            self.broken = Some("I3: two computations under live leases");
        }
    }

    fn lease_token(&self) -> Option<u64> {
        match self.object.inspect(0, Instant(self.now)) {
            Answer::Inspected(it) => it.lease_token,
            _ => None,
        }
    }

    /// I4 and L7 for memory and, with the compare-and-set that the model gives it, the colo.
    fn store(&mut self, who: usize, value: Value) {
        let now = self.clock(who);
        let participant = &mut self.participants[who];
        let allowed = participant.floor.applied(value.entry(), Instant(now));
        let Some(allowed) = allowed else { return };
        let allowed = Value::of(&allowed);
        let newer = |held: Option<Value>| held.is_none_or(|held| allowed.entry().supersedes(&held.entry()));
        if newer(participant.memory) {
            participant.memory = Some(allowed);
        }
        let colo = &mut self.colos[participant.colo];
        if allowed.committed && newer(*colo) {
            *colo = Some(allowed);
        }
    }

    fn hear_floor(&mut self, who: usize, floor: Floor) {
        let now = Instant(self.clock(who));
        let apply = |value: Option<Value>| {
            value.and_then(|it| floor.applied(it.entry(), now)).map(|it| Value::of(&it))
        };
        let participant = &mut self.participants[who];
        participant.floor = participant.floor.raised(floor);
        participant.memory = apply(participant.memory);
        let colo = &mut self.colos[participant.colo];
        *colo = apply(*colo);
    }

    /// The object handles a message: one pure call between load and save, as in the Worker.
    fn handle(&mut self, who: usize, ask: &Ask) -> Option<Heard> {
        let now = Instant(self.now);
        let mut lease = self.object.clone();
        let before = lease.clone();
        let nonce = who as u64 + 1;
        let lifetime = lifetime(self.participants[who].is_short);
        let terms = LeaseRequest {
            lease: LEASE,
            expected: TICK,
            physical: lifetime.physical(),
            ..LeaseRequest::default()
        };
        // Ages travel, instants do not: what the sender's clock says of it stays there.
        let skew = self.participants[who].skew;
        let (answer, wake) = match ask {
            Ask::Acquire(seen) => (lease.acquire(*seen, Some(nonce), terms, now), Wake::Nobody),
            Ask::Wait(seen) => match lease.wait(*seen, 0, 10, now) {
                WaitDecision::Answer(answer) => (answer, Wake::Nobody),
                WaitDecision::Sleep(at_most) => {
                    self.participants[who].step = Step::Asleep(now.plus(at_most).0);
                    return None;
                }
            },
            Ask::Commit(token, value) => {
                if !value.committed {
                    self.broken = Some("an uncommitted value was sent to the object");
                }
                let stored_at = shifted(value.stored_at, -skew);
                let age = now.since(Instant(stored_at));
                let result = lease.commit(*token, age, lifetime, now);
                if result.0 == Answer::Committed && lease.committed_generation() == Some(*token) {
                    self.stored = Some(Value { stored_at: now.minus(age).0, ..*value });
                }
                if result.0 == Answer::Committed && lease != before && *token != self.granted {
                    self.broken = Some("L3: a commit with an old token was accepted");
                }
                if result.0 == Answer::Rejected && lease != before {
                    self.broken = Some("L3: a rejected commit changed something");
                }
                result
            }
            Ask::Fail(token, why) => {
                let result = lease.fail(*token, failure(*why), now, Draw::NEVER_EARLY);
                if result.0 == (Answer::Closed { applied: false, retry_after: Span::ZERO }) && lease != before
                {
                    self.broken = Some("L3: a foreign fail changed something");
                }
                result
            }
            Ask::Purge(hard) => {
                let result = lease.purge(*hard, lifetime.physical(), now);
                if *hard {
                    self.stored = None;
                } else if let Some(stored) = &mut self.stored {
                    stored.ttl = stored.ttl.min(self.now.saturating_sub(stored.stored_at));
                }
                result
            }
        };
        let floor = lease.reply(Answer::Again).floor;
        self.check_object(&before, &lease, floor, &answer, ask);
        self.object = lease;
        if let Wake::With(answer) = wake {
            let heard = self.heard(&answer);
            for participant in &mut self.participants {
                if matches!(participant.step, Step::Asleep(_)) {
                    participant.step = Step::Hearing(heard.clone());
                }
            }
        }
        Some(self.heard(&answer))
    }

    fn check_object(
        &mut self,
        before: &lease::State,
        after: &lease::State,
        floor: Floor,
        answer: &Answer,
        ask: &Ask,
    ) {
        if let Answer::Granted { token } = answer {
            let is_repeated = *token == self.granted && before == after;
            if !is_repeated && *token <= self.granted.max(floor.highest()) {
                self.broken = Some("L2: a token does not increase");
            }
            self.granted = *token;
        }
        let (old, new) = (before.committed_generation(), after.committed_generation());
        if new < old && !matches!(ask, Ask::Purge(true)) {
            self.broken = Some("I4: the object's generation went down");
        }
        if new.is_some_and(|generation| generation < floor.hard) {
            self.broken = Some("L8: a computation from before a purge was committed");
        }
        if new != old && new.is_some_and(|generation| generation <= floor.soft) {
            self.broken = Some("L8: a computation from before a soft purge was committed");
        }
        if self.stored.map(|value| value.generation) != new {
            self.broken = Some("I1: the stored bytes are of another generation");
        }
    }

    fn heard(&self, answer: &Answer) -> Heard {
        match answer {
            Answer::Newer { .. } => Heard::Newer(self.stored.expect("newer means that bytes are stored")),
            Answer::Held { .. } => Heard::Held,
            Answer::Granted { token } => Heard::Granted(*token),
            Answer::Failed { failure, .. } => Heard::Failed(why(failure)),
            Answer::Again => Heard::Again,
            Answer::Committed => Heard::Committed,
            Answer::Rejected => Heard::Rejected,
            Answer::Closed { .. } => Heard::Closed,
            Answer::Purged => Heard::Purged,
            Answer::TooManyWaiters | Answer::Inspected(_) | Answer::Refused { .. } => {
                unreachable!("not asked for")
            }
        }
    }

    fn hear(&mut self, who: usize, heard: Heard) {
        // A lost answer tells of no floor.
        let floor =
            if heard == Heard::Lost { Floor::default() } else { self.object.reply(Answer::Again).floor };
        self.hear_floor(who, floor);
        if let Heard::Granted(token) = heard {
            self.participants[who].token = Some(token);
        }
        let skew = self.participants[who].skew;
        let heard = match heard {
            Heard::Newer(value) => Heard::Newer(Value { stored_at: shifted(value.stored_at, skew), ..value }),
            other => other,
        };
        self.feed(who, Fed::Heard(heard, floor));
    }
}

impl Model for World {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let mut lease = lease::State::default();
        let mut value = None;
        if self.is_warm {
            let lifetime = lifetime(self.is_short);
            let terms = LeaseRequest {
                lease: LEASE,
                expected: TICK,
                physical: lifetime.physical(),
                ..LeaseRequest::default()
            };
            // It has just expired; or, long ago, so that nothing but the TTL matters.
            let before = Instant(if self.is_short { START - 1_000 } else { START - 2_000 });
            let Answer::Granted { token } = lease.acquire(0, None, terms, before) else {
                panic!("an empty key grants");
            };
            lease.commit(token, Span::ZERO, lifetime, before);
            value = Some(Value {
                generation: token,
                stored_at: before.0,
                ttl: lifetime.ttl.0,
                is_short: self.is_short,
                committed: true,
                body: 0,
            });
        }
        let participant = |(place, role): (usize, &Role)| Participant {
            role: *role,
            // The first in one colo, the others in another.
            colo: usize::from(place > 0),
            skew: self.skews.get(place).copied().unwrap_or(0),
            is_short: self.is_short,
            may_call_directly: self.is_direct,
            sleeps_with: None,
            machine: None,
            token: None,
            step: Step::Idle,
            since: 0,
            memory: value.map(|value| Value {
                stored_at: shifted(value.stored_at, self.skews.get(place).copied().unwrap_or(0)),
                ..value
            }),
            floor: Floor::default(),
        };
        vec![State {
            now: START,
            object: lease,
            stored: value,
            colos: [None; 2],
            participants: self.roles.iter().enumerate().map(participant).collect(),
            crashes: 0,
            losses: 0,
            repeats: 0,
            failures: 0,
            granted: value.map_or(0, |value| value.generation),
            is_together: self.is_together,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        let mut somebody_is_under_way = false;
        for (who, participant) in state.participants.iter().enumerate() {
            match &participant.step {
                Step::Idle => actions.push(Act::Start(who)),
                Step::Asking(ask) => {
                    actions.push(Act::Deliver(who));
                    if state.losses < self.losses {
                        actions.extend([Act::LoseMessage(who), Act::LoseReply(who)]);
                    }
                    if state.repeats < self.repeats && !matches!(ask, Ask::Wait(_)) {
                        actions.push(Act::DeliverTwice(who));
                    }
                }
                Step::Hearing(_) => actions.push(Act::Hear(who)),
                Step::Computing => {
                    actions.push(Act::OriginAnswers(who));
                    if state.failures < self.failures {
                        actions.push(Act::OriginFails(who));
                        if self.refuses {
                            actions.push(Act::OriginRefuses(who));
                        }
                    }
                }
                Step::Asleep(_) | Step::Follows(_) | Step::Forgotten(_) => {}
                Step::Dead | Step::Done(_) => continue,
            }
            somebody_is_under_way = true;
            let is_followed = !state.followers(who).is_empty();
            let may_die = is_followed
                || matches!(participant.step, Step::Asking(_) | Step::Hearing(_) | Step::Computing);
            if state.crashes < self.crashes && may_die && !matches!(participant.role, Role::Purge { .. }) {
                actions.push(Act::Crash(who));
            }
        }
        // Time goes on when everybody has begun; only the last may come later.
        let (last, first) = state.participants.split_last().expect("somebody takes part");
        let may_wait = |it: &Participant| it.role == Role::Asks;
        let have_begun =
            first.iter().enumerate().all(|(place, it)| it.step != Step::Idle || place > 0 && may_wait(it));
        let may_come_late = self.is_warm || last.step != Step::Idle;
        let is_early = have_begun && may_come_late && state.now < START + self.ticks * TICK.0;
        // Whoever sleeps needs time to wake up, however late it is.
        let sleeps = |it: &Participant| matches!(it.step, Step::Asleep(_) | Step::Forgotten(_));
        let somebody_sleeps = state.participants.iter().any(sleeps);
        if somebody_is_under_way && (is_early || somebody_sleeps) {
            actions.push(Act::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Act) -> Option<State> {
        if last.broken.is_some() {
            return None;
        }
        let mut state = last.clone();
        match action {
            Act::Start(who) => {
                let now = Instant(state.clock(who));
                let participant = &mut state.participants[who];
                participant.since = state.now;
                let is_short = participant.is_short;
                let seen = participant.memory.map_or(0, |value| value.generation);
                let made = match participant.role {
                    Role::Warm => Some(Machine::Warm(machine(seen, Purpose::Stale, is_short))),
                    Role::Cold => Some(Machine::Cold(Miss::new(0, None, now), None, is_short)),
                    Role::Asks => ask_when_it_likes(participant.memory, now, is_short),
                    Role::Purge { hard } => Some(Machine::Purge(hard)),
                };
                match made {
                    Some(machine) => {
                        participant.machine = Some(machine);
                        state.feed(who, Fed::Started);
                    }
                    None => state.end(who, "hit"),
                }
            }
            Act::Deliver(who) | Act::DeliverTwice(who) | Act::LoseReply(who) | Act::LoseMessage(who) => {
                let Step::Asking(ask) = state.participants[who].step.clone() else { return None };
                let is_lost = matches!(action, Act::LoseReply(_) | Act::LoseMessage(_));
                state.losses += u8::from(is_lost);
                if !matches!(action, Act::LoseMessage(_))
                    && let Some(heard) = state.handle(who, &ask)
                {
                    state.participants[who].step = Step::Hearing(heard);
                }
                if matches!(action, Act::DeliverTwice(_)) {
                    state.repeats += 1;
                    let repeated = state.handle(who, &ask);
                    let heard = repeated?;
                    // A repeated commit or grant gets the same answer.
                    let first = state.participants[who].step.clone();
                    let must_agree = matches!(ask, Ask::Acquire(_) | Ask::Commit(..));
                    if must_agree
                        && first != Step::Hearing(heard)
                        && !matches!(first, Step::Hearing(Heard::Held))
                    {
                        state.broken = Some("L5: a repeated message got another answer");
                    }
                }
                if is_lost {
                    state.participants[who].step = Step::Hearing(Heard::Lost);
                }
            }
            Act::Hear(who) => {
                let Step::Hearing(heard) = state.participants[who].step.clone() else { return None };
                state.hear_with_followers(who, &heard);
            }
            // A duplicate of an answer that nobody waits for any more changes nothing: it is not in the model.
            Act::OriginAnswers(who) => {
                state.feed(who, Fed::Computed(who as u8 + 1));
            }
            Act::OriginFails(who) => {
                state.failures += 1;
                state.feed(who, Fed::OriginFailed(Why::Transient));
            }
            Act::OriginRefuses(who) => {
                state.failures += 1;
                state.feed(who, Fed::OriginFailed(Why::Negative));
            }
            Act::Crash(who) => {
                state.crashes += 1;
                // Cut off it tells nobody: each has a timer of its own.
                let until = state.now + FORGOTTEN.0;
                for follower in state.followers(who) {
                    state.participants[follower].step = Step::Forgotten(until);
                }
                state.end(who, "dead");
                state.participants[who].step = Step::Dead;
            }
            Act::Tick => state.tick(),
        }
        state.check_memory(last);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no promise is broken", |_, state: &State| state.broken.is_none()),
            Property::always(
                "the key is free in the end, and what is computed is taken",
                |_, state: &State| state.is_free_in_the_end(),
            ),
            Property::eventually("everybody is answered", |_, state: &State| {
                state.participants.iter().all(|it| matches!(it.step, Step::Dead | Step::Done(_)))
            }),
            Property::sometimes("somebody ends in the first way", |world: &World, state: &State| {
                state.somebody_is(world.reaches[0])
            }),
            Property::sometimes("somebody ends in the second way", |world: &World, state: &State| {
                state.somebody_is(world.reaches[1])
            }),
            Property::sometimes(
                "where they may, two sleep by one message",
                |world: &World, state: &State| {
                    !world.is_together
                        || state.participants.iter().any(|it| matches!(it.step, Step::Follows(_)))
                },
            ),
        ]
    }
}

/// Somebody asks: what memory holds decides whether it is served with a refresh behind it, or waits.
fn ask_when_it_likes(memory: Option<Value>, now: Instant, is_short: bool) -> Option<Machine> {
    let entry = memory.map(Value::entry).filter(|entry| !entry.is_gone(now));
    let eagerness = Eagerness { beta: 1.0, early_window: 0.5 };
    let seen = entry.as_ref().map_or(0, |entry| entry.generation);
    match freshness::judge(entry.as_deref(), now, eagerness, Draw::NEVER_EARLY) {
        Verdict::Fresh => None,
        Verdict::RefreshEarly => Some(Machine::Warm(machine(seen, Purpose::Early, is_short))),
        Verdict::Stale => Some(Machine::Warm(machine(seen, Purpose::Stale, is_short))),
        Verdict::Miss { usable_on_error } => {
            let fallback = entry.filter(|_| usable_on_error);
            Some(Machine::Cold(Miss::new(seen, fallback, now), None, is_short))
        }
    }
}

impl State {
    /// L4: whoever asks after a lease and the longest back-off gets a grant, and its commit is accepted.
    fn is_free_in_the_end(&self) -> bool {
        let mut lease = self.object.clone();
        let now = Instant(self.now).plus(AT_REST);
        let seen = self.stored.map_or(0, |value| value.generation);
        let terms = LeaseRequest {
            lease: LEASE,
            expected: TICK,
            physical: LIFETIME.physical(),
            ..LeaseRequest::default()
        };
        let Answer::Granted { token } = lease.acquire(seen, Some(99), terms, now) else {
            return false;
        };
        token > seen && lease.commit(token, Span::ZERO, LIFETIME, now.plus(TICK)).0 == Answer::Committed
    }

    fn somebody_is(&self, word: &str) -> bool {
        self.participants.iter().any(|it| matches!(it.step, Step::Done(done) if done == word))
    }

    fn tick(&mut self) {
        self.now += TICK.0;
        for who in 0..self.participants.len() {
            let participant = &mut self.participants[who];
            if matches!(participant.step, Step::Asleep(until) if until <= self.now) {
                participant.step = Step::Hearing(Heard::Again);
            }
            if matches!(participant.step, Step::Forgotten(until) if until <= self.now) {
                participant.step = Step::Hearing(Heard::Lost);
            }
            let is_waiting = !matches!(participant.step, Step::Idle | Step::Dead | Step::Done(_));
            let waited = self.now - participant.since;
            let is_cold = matches!(participant.machine, Some(Machine::Cold(..)));
            if is_cold && is_waiting && waited >= PATIENCE.0 {
                self.leave(who);
                self.feed(who, Fed::TimedOut);
            }
        }
    }

    /// I4: generations in a memory go down only where a purge has taken an entry away.
    fn check_memory(&mut self, last: &Self) {
        for (before, after) in last.participants.iter().zip(&self.participants) {
            let generation = |it: &Participant| it.memory.map_or(0, |value| value.generation);
            let was_purged = after.memory.is_none() && after.floor != before.floor;
            if generation(after) < generation(before) && !was_purged {
                self.broken = Some("I4: a memory's generation went down");
            }
        }
    }
}

fn explore(name: &str, world: World) {
    let checker = world.checker().spawn_dfs().join();
    println!("{name}: {} states, none breaks a promise", checker.unique_state_count());
    checker.assert_properties();
}

/// A run that comes back to where it has been, if there is one: a depth-first search meets a state of its own path.
fn goes_round(world: &World) -> Option<State> {
    let name = |state: &State| {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        hasher.finish()
    };
    let begun = |state: State| {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        (state, actions)
    };
    let mut is_on_path = BTreeMap::new();
    for first in world.init_states() {
        is_on_path.insert(name(&first), true);
        let mut path = vec![begun(first)];
        while let Some((state, actions)) = path.last_mut() {
            let Some(action) = actions.pop() else {
                is_on_path.insert(name(state), false);
                path.pop();
                continue;
            };
            let Some(next) = world.next_state(state, action) else { continue };
            match is_on_path.get(&name(&next)) {
                Some(true) => return Some(next),
                Some(false) => {}
                None => {
                    is_on_path.insert(name(&next), true);
                    path.push(begun(next));
                }
            }
        }
    }
    println!("{} states, on no circle", is_on_path.len());
    None
}

#[test]
fn no_run_goes_round_in_circles_so_that_each_has_an_end() {
    let cold = || World { roles: vec![Role::Cold; 2], is_warm: false, ..QUIET };
    let asks = || World { roles: vec![Role::Asks; 2], is_short: true, ..QUIET };
    let warm = || World { roles: vec![Role::Warm, Role::Warm], ticks: 4, ..QUIET };
    for world in [
        World { crashes: 1, losses: 1, ..cold() },
        World { repeats: 1, failures: 1, ..cold() },
        World { failures: 2, refuses: true, ..cold() },
        World { losses: 2, failures: 1, is_direct: true, ..cold() },
        World { roles: vec![Role::Cold; 3], is_together: true, crashes: 1, ticks: 2, ..cold() },
        World { crashes: 1, losses: 1, failures: 1, ticks: 4, ..asks() },
        World { crashes: 1, losses: 1, failures: 1, ..warm() },
        World { roles: vec![Role::Warm, Role::Purge { hard: true }], crashes: 1, losses: 1, ..warm() },
        World { roles: vec![Role::Cold, Role::Cold, Role::Purge { hard: false }], ticks: 2, ..cold() },
    ] {
        assert_eq!(goes_round(&world), None);
    }
}

const QUIET: World = World {
    roles: Vec::new(),
    is_warm: true,
    crashes: 0,
    losses: 0,
    repeats: 0,
    failures: 0,
    ticks: 6,
    refuses: false,
    is_direct: false,
    is_short: false,
    is_together: false,
    skews: &[],
    reaches: ["stored", "stored"],
};

#[test]
fn three_refreshes_with_a_crash_and_a_lost_message() {
    let roles = vec![Role::Warm; 3];
    explore("warm x3, crash, loss", World { roles, crashes: 1, losses: 1, ticks: 3, ..QUIET });
}

#[test]
fn three_refreshes_with_a_repeated_message_and_a_failure() {
    let roles = vec![Role::Warm; 3];
    explore("warm x3, repeat, failure", World { roles, repeats: 1, failures: 1, ticks: 3, ..QUIET });
}

#[test]
fn two_refreshes_against_each_kind_of_purge() {
    for hard in [false, true] {
        let roles = vec![Role::Warm, Role::Warm, Role::Purge { hard }];
        explore("warm x2 + purge, crash", World { roles, crashes: 1, losses: 1, ticks: 3, ..QUIET });
    }
}

#[test]
fn three_cold_requests_with_a_crash() {
    let roles = vec![Role::Cold; 3];
    explore(
        "cold x3, crash",
        World { roles, is_warm: false, crashes: 1, reaches: ["computed", "collapsed"], ..QUIET },
    );
}

#[test]
fn three_cold_requests_with_a_loss_and_a_failure() {
    let roles = vec![Role::Cold; 3];
    explore(
        "cold x3, loss, failure",
        World { roles, is_warm: false, losses: 1, failures: 1, reaches: ["computed", "failed"], ..QUIET },
    );
}

#[test]
fn three_cold_requests_of_which_two_sleep_by_one_message() {
    let roles = vec![Role::Cold; 3];
    explore(
        "cold x3, two together, crash, loss",
        World {
            roles,
            is_warm: false,
            is_together: true,
            crashes: 1,
            losses: 1,
            reaches: ["computed", "collapsed"],
            ..QUIET
        },
    );
    let roles = vec![Role::Cold; 3];
    explore(
        "cold x3, two together, loss, failure",
        World {
            roles,
            is_warm: false,
            is_together: true,
            losses: 1,
            failures: 1,
            reaches: ["computed", "failed"],
            ..QUIET
        },
    );
}

#[test]
fn each_kind_of_purge_while_two_of_three_cold_requests_sleep_by_one_message() {
    for hard in [false, true] {
        let roles = vec![Role::Cold, Role::Purge { hard }, Role::Cold, Role::Cold];
        explore(
            "cold x3, two together + purge",
            World {
                roles,
                is_warm: false,
                is_together: true,
                ticks: 1,
                reaches: ["computed", "collapsed"],
                ..QUIET
            },
        );
    }
}

#[test]
fn two_cold_requests_against_each_kind_of_purge() {
    for hard in [false, true] {
        let roles = vec![Role::Cold, Role::Cold, Role::Purge { hard }];
        explore(
            "cold x2 + purge, crash",
            World { roles, is_warm: false, crashes: 1, reaches: ["computed", "collapsed"], ..QUIET },
        );
    }
}

#[test]
fn three_requests_at_any_time_around_the_end_of_every_window() {
    let roles = vec![Role::Asks; 3];
    explore(
        "asks x3, short windows, failure",
        World { roles, is_short: true, failures: 1, ticks: 3, reaches: ["fell back", "stored"], ..QUIET },
    );
}

#[test]
fn requests_around_the_end_of_every_window_with_a_crash_and_a_loss() {
    let roles = vec![Role::Asks; 2];
    let world = World {
        roles,
        is_short: true,
        crashes: 1,
        losses: 1,
        failures: 1,
        ticks: 4,
        reaches: ["fell back", "hit"],
        ..QUIET
    };
    explore("asks x2, short windows, crash, loss, failure", world);
}

#[test]
fn an_origin_that_refuses_three_cold_requests() {
    let roles = vec![Role::Cold; 3];
    let world = World {
        roles,
        is_warm: false,
        failures: 2,
        refuses: true,
        reaches: ["negative", "computed"],
        ..QUIET
    };
    explore("cold x3, refusals", world);
}

#[test]
fn an_origin_that_refuses_what_is_warm() {
    let roles = vec![Role::Warm, Role::Warm, Role::Cold];
    let world =
        World { roles, failures: 2, refuses: true, ticks: 4, reaches: ["failed", "backed_off"], ..QUIET };
    explore("warm x2 + cold, refusals", world);
}

#[test]
fn the_way_without_the_object() {
    let roles = vec![Role::Warm, Role::Warm, Role::Cold];
    let world =
        World { roles, losses: 2, is_direct: true, ticks: 4, reaches: ["uncommitted", "stored"], ..QUIET };
    explore("warm x2 + cold, losses, without the object", world);
    let roles = vec![Role::Cold; 2];
    let world = World {
        roles,
        is_warm: false,
        losses: 2,
        failures: 1,
        is_direct: true,
        reaches: ["computed", "failed"],
        ..QUIET
    };
    explore("cold x2, losses, failure, without the object", world);
}

#[test]
fn the_way_without_the_object_against_a_purge() {
    let roles = vec![Role::Warm, Role::Warm, Role::Purge { hard: true }];
    let world =
        World { roles, losses: 2, is_direct: true, ticks: 3, reaches: ["uncommitted", "purged"], ..QUIET };
    explore("warm x2 + purge, losses, without the object", world);
}

#[test]
fn clocks_that_differ_by_seconds_and_by_an_hour() {
    for skews in [&[0, 1_500, -1_500][..], &[0, 3_600_000, -500][..]] {
        let roles = vec![Role::Asks; 3];
        let world = World { roles, is_short: true, skews, ticks: 4, reaches: ["stored", "adopted"], ..QUIET };
        explore("asks x3, short windows, skewed clocks", world);
        let roles = vec![Role::Warm, Role::Warm, Role::Purge { hard: false }];
        let world = World { roles, crashes: 1, skews, ticks: 3, reaches: ["stored", "adopted"], ..QUIET };
        explore("warm x2 + purge, crash, skewed clocks", world);
    }
}

/// Compile-time: the model's state crosses threads.
const _: fn() = || {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<State>();
    crosses_threads::<Arc<World>>();
};

/// The messages of the model are those of the wire.
#[test]
fn every_message_of_the_model_survives_the_wire() {
    let message = Message::Commit { token: 7, age: TICK, lifetime: LIFETIME };
    let bytes = xfetch_edge::protocol::message::encode_message(&message, b"entry");
    assert_eq!(xfetch_edge::protocol::message::decode_message(&bytes), Some((message, &b"entry"[..])));
}
