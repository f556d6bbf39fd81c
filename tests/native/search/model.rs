//! The model of the exhaustive search, in which every possible next event is a choice: requests and purges in
//! isolates of two colos, with crashes, lost, late and repeated messages, an origin that fails, refuses or
//! forbids storing, leases that run out, entries that leave their windows, and clocks that differ.
//!
//! The tasks and the object are the deployed ones, down to the bytes that they send and store. The model is
//! one more world around them: one loop around [`Task::on`], and one `match` in which each effect becomes
//! something to be delivered, lost or repeated.
//!
//! Checked in every state: L1, L2, L3, L5, L7, L8, I1, I3, I4, I7; that an uncommitted value stays in its
//! isolate's memory; and that from this state the key is free after a lease and a back-off, and the next
//! commit is accepted (L4). Checked on every complete path: every request is answered and every task ends.
//! This needs finite paths, so no run may return to an earlier state.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{Hash, Hasher},
    rc::Rc,
    sync::{Arc, LazyLock},
};

use stateright::{Model, Property};
use xfetch_edge::{
    core::{
        access::{Identity, Scope},
        config::{Beta, Config, Route},
        entry::{Entry, Lifetime},
        failure::{Failure, Reason},
        http::CacheStatus,
        key::{Key, KeyParts},
        purge::Floor,
        time::{Instant, Span},
        xfetch::{Chance, Draw},
    },
    isolate::{
        coalesce,
        computation::Computed,
        served::{Answered, Served},
        state::IsolateState,
        step::{Done, Effect, Event, KeyedRoute, NoFields, ObjectError, Step},
        task::Task,
    },
    protocol::{
        colo_record::ColoRecord,
        entry_format, lease,
        message::{self, Answer, LeaseRequest, Message, Reply},
        object::{self, Incoming, KeyObject, Output},
    },
};

pub(super) const START: u64 = 1_000_000_000;
/// A lease lasts two ticks, a request is patient for four, a message at the object sleeps for two at most.
pub(super) const TICK: u64 = 2_550;
/// A coarse tick, for worlds of three requests: a lease lasts one tick, a request waits for two at most.
pub(super) const LEASE_TICK: u64 = 5_100;
/// The longest computation, by a holder that may be paused: longer than a lease.
const MAX_COMPUTATION: Span = Span(7_650);
const ORIGIN_TIMEOUT: Span = Span(100);
/// Longer than any lease and any back-off.
const AT_REST: Span = Span(200_000);
/// A tick fresh, then stale for ever.
const LONG: Lifetime = Lifetime {
    ttl: Span(TICK),
    stale_while_revalidate: Span(1_000 * TICK),
    stale_if_error: Span(0),
    kept: Span::ZERO,
};
/// Fresh for a tick, stale for a tick, then served only if a computation fails.
const SHORT: Lifetime = Lifetime {
    ttl: Span(TICK),
    stale_while_revalidate: Span(TICK),
    stale_if_error: Span(1_000 * TICK),
    kept: Span::ZERO,
};
/// How long the origin's 4xx is remembered.
const NEGATIVE_TTL: Span = Span(TICK);

/// The greatest number of tenants.
const MAX_TENANTS: usize = 2;

/// The key of each tenant: one request, which differs only in who asks.
static KEYS: LazyLock<[Key; MAX_TENANTS]> = LazyLock::new(|| {
    ["a", "b"].map(|tenant| {
        let identity = Identity { tenant: Some(tenant.into()), ..Identity::ANONYMOUS };
        let route = Route { scope: Scope::Tenant, ..Route::with_defaults("/".to_owned()) };
        let parts = KeyParts { version: "1", origin: "o", method: "POST", path: "/", headers: &[] };
        route.scoped(&identity).expect("it has a tenant").key(&parts, "{}")
    })
});

pub(super) fn lifetime(is_short: bool) -> Lifetime {
    if is_short { SHORT } else { LONG }
}

/// The only route. Each thread builds its own, because a `Route` cannot be shared between threads.
fn route(is_short: bool) -> Route {
    let settings = serde_json::json!({ "ORIGIN_URL": "https://o.example", "ROUTES": [{ "path": "/a" }] });
    let config = Config::parse(settings.as_object().expect("a table"), false).expect("good settings");
    Route {
        lifetime: lifetime(is_short),
        beta: Beta::Fixed(1.0),
        origin_timeout: ORIGIN_TIMEOUT,
        negative_ttl: NEGATIVE_TTL,
        ..(*Rc::clone(&config.routes[0])).clone()
    }
}

thread_local! {
    static ROUTES: [Route; 2] = [route(false), route(true)];
}

/// What a participant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// A request in an isolate that holds the entry. It begins before time passes, unless it is the last one.
    Warm,
    /// A request in an isolate and a colo that hold nothing.
    Cold,
    /// A request in an isolate that holds the entry. It may begin at any time.
    Asks,
    /// A purge.
    Purge { hard: bool },
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Hash)]
enum Waits {
    /// A message on its way to the object; whether its late reply is wanted.
    Message(Vec<u8>, bool),
    /// A message that sleeps at the object, until this time at most.
    AtObject(u64),
    /// A reply on its way back, or the error in its place.
    Reply(Result<Vec<u8>, ObjectError>),
    /// A lookup in the colo's cache.
    Look,
    /// A write into it.
    Write(Vec<u8>),
    /// The origin.
    Origin,
    /// A sleep under this ticket, until this time at most.
    Sleep(coalesce::WaitTicket, u64),
}

/// A task under way.
#[derive(Clone, Debug, PartialEq, Hash)]
struct Run {
    isolate: usize,
    /// The participant that it belongs to.
    parent: usize,
    task: Task,
    waits: Waits,
    /// How many ticks it has waited.
    ticks: u8,
}

/// A participant: one request or one purge.
#[derive(Clone, Debug, PartialEq, Hash)]
struct Participant {
    role: Role,
    has_begun: bool,
    /// How its client was answered, or its purge ended.
    answered: Option<&'static str>,
    /// How its last computation ended.
    refreshed: Option<&'static str>,
}

/// An isolate: what it knows, and where.
#[derive(Clone, Debug)]
struct Isolate {
    state: IsolateState,
    colo: usize,
    /// How far its clock is from the object's, in milliseconds.
    skew: i64,
}

impl Isolate {
    fn entry(&self, tenant: usize) -> Option<Arc<Entry>> {
        // At the epoch nothing is past its lifetime.
        self.state.memory.peek(&KEYS[tenant].hash, &KEYS[tenant].text, Instant::EPOCH)
    }

    fn floor(&self, tenant: usize) -> Floor {
        self.state.memory.floor(&KEYS[tenant].hash)
    }

    fn memory(&self) -> [(Option<Arc<Entry>>, Floor); MAX_TENANTS] {
        [0, 1].map(|tenant| (self.entry(tenant), self.floor(tenant)))
    }
}

/// Omits the request rates, which decide only when a refresh begins, and the numbers not yet assigned.
impl Hash for Isolate {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let IsolateState { gate, calls, looks, waits, .. } = &self.state;
        (self.memory(), gate, calls, looks, waits, self.colo, self.skew).hash(hasher);
    }
}

impl PartialEq for Isolate {
    fn eq(&self, other: &Self) -> bool {
        let all = |it: &Self| (it.memory(), it.colo, it.skew);
        all(self) == all(other)
            && self.state.gate == other.state.gate
            && self.state.calls == other.state.calls
            && self.state.looks == other.state.looks
            && self.state.waits == other.state.waits
    }
}

/// What is stored of a tenant's key outside the isolates.
#[derive(Clone, Debug, PartialEq, Hash)]
struct OfKey {
    object: KeyObject,
    stored: Option<Vec<u8>>,
    entry: Option<(u64, Vec<u8>)>,
    colos: [Option<Vec<u8>>; 2],
    granted: u64,
}

impl OfKey {
    fn lease(&self) -> lease::State {
        self.stored.as_deref().map(object::stored_lease).unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct State {
    now: u64,
    /// By tenant.
    keys: Vec<OfKey>,
    isolates: Vec<Isolate>,
    participants: Vec<Participant>,
    runs: BTreeMap<u64, Run>,
    /// Late replies on their way, by isolate and participant.
    late: Vec<(usize, usize, Vec<u8>)>,
    crashes: u8,
    losses: u8,
    lates: u8,
    repeats: u8,
    failures: u8,
    is_short: bool,
    /// Lookups and writes in the colos take time of their own.
    is_colo_slow: bool,
    tick: u64,
    broken: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Act {
    Start(usize),
    Deliver(u64),
    DeliverTwice(u64),
    LoseMessage(u64, ObjectError),
    LoseReply(u64, ObjectError),
    /// The reply comes after the limit.
    DelayReply(u64),
    HearLate(usize),
    Hear(u64),
    Colo(u64),
    OriginAnswers(u64),
    OriginFails(u64),
    OriginRefuses(u64),
    OriginForbidsStoring(u64),
    Crash(u64),
    Tick,
}

/// A world to search.
#[expect(clippy::struct_excessive_bools, reason = "each switches a kind of world on")]
#[derive(Clone)]
pub(super) struct World {
    pub(super) roles: Vec<Role>,
    /// Whether the object and the isolates begin with an entry.
    pub(super) is_warm: bool,
    pub(super) crashes: u8,
    pub(super) losses: u8,
    /// The error that a lost message gives.
    pub(super) loss: ObjectError,
    pub(super) lates: u8,
    pub(super) repeats: u8,
    pub(super) failures: u8,
    /// The length of a tick, in milliseconds, and how many ticks may pass while no task sleeps.
    pub(super) tick: u64,
    pub(super) ticks: u64,
    /// The origin may refuse instead of failing.
    pub(super) refuses: bool,
    /// The origin may answer with what must not be stored.
    pub(super) forbids_storing: bool,
    pub(super) is_short: bool,
    pub(super) is_colo_slow: bool,
    /// The participants after the first share one isolate.
    pub(super) is_together: bool,
    /// How many tenants there are; the participants belong to them in turn.
    pub(super) tenants: usize,
    /// By how much each isolate's clock is off, in turn.
    pub(super) skews: &'static [i64],
    /// Two outcomes that must each occur on some path: the purpose of the world.
    pub(super) reaches: [&'static str; 2],
}

impl State {
    fn clock(&self, isolate: usize) -> Instant {
        Instant(self.now.saturating_add_signed(self.isolates[isolate].skew))
    }

    /// The tenant of a participant.
    fn tenant(&self, participant: usize) -> usize {
        participant % self.keys.len()
    }

    /// Runs tasks until each of them waits for an event that is a choice of the search.
    fn run(&mut self, first: Vec<(u64, Event)>) {
        let mut queue: VecDeque<(u64, Event)> = first.into();
        while let Some((id, event)) = queue.pop_front() {
            let Some(Run { isolate, parent, task, .. }) = self.runs.get_mut(&id) else { continue };
            let (isolate, parent) = (*isolate, *parent);
            let tenant = parent % self.keys.len();
            let granted = self.keys[tenant].granted;
            // A request's draw never refreshes early. Other tasks use the bits as a nonce or a zero pause.
            let is_arrival = matches!((&task, &event), (Task::Request(_), Event::Started));
            let chance = Chance(Some(if is_arrival { u64::MAX } else { ((granted % 127) << 4) | id }));
            let now = Instant(self.now.saturating_add_signed(self.isolates[isolate].skew));
            let is_short = self.is_short;
            let Step { effect, notes } = ROUTES.with(|routes| {
                let route = &routes[usize::from(is_short)];
                let subject = KeyedRoute { key: &KEYS[tenant], route, fields: &NoFields };
                task.on(event, subject, &mut self.isolates[isolate].state, now, chance)
            });
            if let Some(log) = notes.log {
                self.participants[parent].refreshed = Some(log.outcome);
            }
            if let Some(event) = self.perform(id, isolate, parent, effect) {
                queue.push_back((id, event));
            }
            for (ticket, shared) in notes.wake {
                let sleeps = |run: &Run| {
                    run.isolate == isolate && matches!(run.waits, Waits::Sleep(it, _) if it == ticket)
                };
                if let Some(sleeper) = self.runs.iter().find(|(_, run)| sleeps(run)).map(|(id, _)| *id) {
                    queue.push_back((sleeper, Event::Woken(shared)));
                }
            }
            for background in notes.spawn {
                let id = self.begin(isolate, parent, Task::new(background));
                queue.push_back((id, Event::Started));
            }
        }
    }

    fn begin(&mut self, isolate: usize, parent: usize, task: Task) -> u64 {
        let id = (0..16).find(|id| !self.runs.contains_key(id)).expect("there are numbers enough");
        self.runs.insert(id, Run { isolate, parent, task, waits: Waits::Look, ticks: 0 });
        id
    }

    /// Performs an effect at once where that is no choice, or notes what the task waits for.
    fn perform(&mut self, id: u64, isolate: usize, parent: usize, effect: Effect) -> Option<Event> {
        let (colo, tenant) = (self.isolates[isolate].colo, self.tenant(parent));
        let waits = match effect {
            Effect::LookUpColo if self.is_colo_slow => Waits::Look,
            Effect::LookUpColo => return Some(Event::Colo(self.keys[tenant].colos[colo].clone())),
            Effect::WriteColo { bytes, .. } if self.is_colo_slow => Waits::Write(bytes),
            Effect::WriteColo { bytes, .. } => {
                self.write_colo(tenant, colo, bytes);
                return Some(Event::Written);
            }
            Effect::Send { bytes, wants_late_reply, .. } => Waits::Message(bytes, wants_late_reply),
            Effect::CallOrigin { .. } => Waits::Origin,
            Effect::Sleep { at_most: Span::ZERO, .. } => return Some(Event::TimedOut),
            Effect::Sleep { ticket, at_most } => Waits::Sleep(ticket, self.now + at_most.0),
            Effect::Done(done) => {
                self.runs.remove(&id);
                self.done(isolate, parent, done);
                return None;
            }
        };
        self.wait(id, waits);
        // I3: at most one computation under a live lease.
        let live = self.lease_token(tenant);
        let computes = |run: &&Run| {
            let is_own = self.tenant(run.parent) == tenant;
            is_own && run.waits == Waits::Origin && live.is_some() && run.task.token() == live
        };
        if self.runs.values().filter(computes).count() > 1 {
            self.broken = Some("I3: two computations under a live lease");
        }
        None
    }

    fn wait(&mut self, id: u64, waits: Waits) {
        if let Some(run) = self.runs.get_mut(&id) {
            (run.waits, run.ticks) = (waits, 0);
        }
    }

    /// If the colo takes no time, no other task runs between lookup and write. Then its generation never goes
    /// down, unless its isolates' clocks differ on whether its entry is past its physical lifetime.
    fn write_colo(&mut self, tenant: usize, colo: usize, bytes: Vec<u8>) {
        let record = |bytes: Option<&Vec<u8>>| {
            bytes.map(|it| ColoRecord::decode(it, &KEYS[tenant].text, Instant::EPOCH).0).unwrap_or_default()
        };
        let (before, after) = (record(self.keys[tenant].colos[colo].as_ref()), record(Some(&bytes)));
        let generation = |record: &ColoRecord| record.entry.as_ref().map_or(0, |it| it.generation);
        let mut clocks = self.isolates.iter().filter(|it| it.colo == colo).map(|it| it.skew);
        let first = clocks.next();
        if !self.is_colo_slow && clocks.all(|it| Some(it) == first) {
            if after.floor.raised(before.floor) != after.floor {
                self.broken = Some("L8: a colo forgets a floor");
            }
            if generation(&after) < generation(&before) && after.floor == before.floor {
                self.broken = Some("L7: a colo goes back without a purge");
            }
        }
        if after.entry.is_some_and(|entry| !entry.committed) {
            self.broken = Some("an uncommitted value was written into a colo");
        }
        self.keys[tenant].colos[colo] = Some(bytes);
    }

    fn done(&mut self, isolate: usize, parent: usize, done: Done) {
        let tenant = self.tenant(parent);
        match done {
            Done::Nothing => {}
            Done::Forward | Done::Varies(_) => {
                self.broken = Some("an answer varies, although the origin said that it does not");
            }
            Done::Purged(floor) => {
                self.participants[parent].answered = Some(if floor.is_some() { "purged" } else { "unknown" });
            }
            Done::Served(Served { answer, .. }) => {
                if let Answered::Entry { entry, status } = &answer {
                    let is_own =
                        matches!(status, CacheStatus::Stored | CacheStatus::Miss | CacheStatus::Collapsed);
                    if !is_own && entry.generation < self.isolates[isolate].floor(tenant).hard {
                        self.broken = Some("L8: what was purged is served");
                    }
                    if entry.key != KEYS[tenant].text {
                        self.broken = Some("I1: an entry of another key is served");
                    }
                    if entry.body.last() != Some(&(tenant as u8)) {
                        self.broken = Some("I9: an answer crosses a scope");
                    }
                }
                self.participants[parent].answered = Some(word(&answer));
            }
        }
    }

    fn lease_token(&self, tenant: usize) -> Option<u64> {
        let lease = object::stored_lease(self.keys[tenant].stored.as_deref()?);
        match lease.inspect(0, Instant(self.now)) {
            Answer::Inspected(it) => it.lease_token,
            _ => None,
        }
    }

    /// The object handles a message: its reply, or `None` while it sleeps.
    fn deliver(&mut self, from: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let (tenant, now) = (self.tenant(self.runs[&from].parent), Instant(self.now));
        let key = &mut self.keys[tenant];
        let before = key.lease();
        let incoming = Incoming { from, bytes, now, spread: Draw::NEVER_EARLY };
        let outputs = key.object.on(key.stored.as_deref(), incoming);
        let reply = self.apply(tenant, from, outputs);
        let after = self.keys[tenant].lease();
        let (message, _) = message::decode_message(bytes).expect("it is of this version");
        let answer = reply.as_ref().and_then(|it| message::decode_reply(it)).map(|(reply, _)| reply.answer);
        self.check_object(tenant, (&before, &after), &message, answer.as_ref());
        reply
    }

    fn apply(&mut self, tenant: usize, own: u64, outputs: Vec<Output>) -> Option<Vec<u8>> {
        let mut reply = None;
        for output in outputs {
            let key = &mut self.keys[tenant];
            match output {
                Output::SaveState(bytes) => key.stored = Some(bytes),
                Output::StoreEntry { generation, bytes } => key.entry = Some((generation, bytes)),
                Output::DropEntry => key.entry = None,
                Output::DeleteAll => (key.stored, key.entry) = (None, None),
                // The alarm is due long after the end of every path.
                Output::SetAlarm(_) => {}
                Output::Reply { to, bytes } if to == own => reply = Some(bytes.to_vec()),
                Output::Reply { to, bytes } => {
                    if let Some(run) =
                        self.runs.get_mut(&to).filter(|it| matches!(it.waits, Waits::AtObject(_)))
                    {
                        run.waits = Waits::Reply(Ok(bytes.to_vec()));
                    }
                }
                Output::ReplyWithEntry { mut bytes, generation, .. } => {
                    let entry = key.entry.as_ref().filter(|(stored, _)| *stored == generation);
                    if entry.is_none() {
                        self.broken = Some("I1: the object announces an entry that it does not have");
                    }
                    bytes.extend_from_slice(entry.map_or(&[][..], |(_, bytes)| bytes));
                    reply = Some(bytes);
                }
                Output::Sleep { from, at_most } => {
                    self.wait(from, Waits::AtObject(self.now + at_most.0));
                }
            }
        }
        reply
    }

    fn check_object(
        &mut self,
        tenant: usize,
        (before, after): (&lease::State, &lease::State),
        message: &Message,
        answer: Option<&Answer>,
    ) {
        let floor = after.reply(Answer::Again).floor;
        if let Message::Acquire { seen, request, .. } = message
            && let Answer::Inspected(held) = before.inspect(0, Instant(self.now))
        {
            let is_left = held.age.is_some_and(|age| age < request.physical);
            let newer = held.generation.filter(|generation| is_left && generation > seen);
            match answer {
                Some(Answer::Granted { .. }) if newer.is_some() => {
                    self.broken = Some("I7: a grant to a caller that has not seen the newest entry");
                }
                Some(Answer::Newer { generation, .. }) if Some(*generation) != newer => {
                    self.broken = Some("I7: the caller has seen this entry");
                }
                _ => {}
            }
        }
        match (message, answer) {
            (Message::Acquire { .. }, Some(Answer::Granted { token })) => {
                let is_repeated = *token == self.keys[tenant].granted && before == after;
                if !is_repeated && *token <= self.keys[tenant].granted.max(floor.highest()) {
                    self.broken = Some("L2: a token does not increase");
                }
                if !is_repeated && before.inspect(0, Instant(self.now)) != after.inspect(0, Instant(self.now))
                {
                    // L1: a live lease before this grant would have been taken away.
                    let live = matches!(before.inspect(0, Instant(self.now)), Answer::Inspected(it) if it.lease_token.is_some());
                    if live {
                        self.broken = Some("L1: a second lease was granted");
                    }
                }
                self.keys[tenant].granted = *token;
            }
            (Message::Commit { token, .. }, Some(Answer::Committed))
                if before != after && *token != self.keys[tenant].granted =>
            {
                self.broken = Some("L3: a commit with an old token was accepted");
            }
            (Message::Commit { .. }, Some(Answer::Rejected)) if before != after => {
                self.broken = Some("L3: a rejected commit changed something");
            }
            (Message::Fail { .. }, Some(Answer::Closed { applied: false, .. })) if before != after => {
                self.broken = Some("L3: a foreign fail changed something");
            }
            _ => {}
        }
        let (old, new) = (before.committed_generation(), after.committed_generation());
        if new < old && !matches!(message, Message::Purge { hard: true, .. }) {
            self.broken = Some("I4: the object's generation went down");
        }
        if new.is_some_and(|generation| generation < floor.hard) {
            self.broken = Some("L8: a computation from before a purge was committed");
        }
        if new != old && new.is_some_and(|generation| generation <= floor.soft) {
            self.broken = Some("L8: a computation from before a soft purge was committed");
        }
        if self.keys[tenant].entry.as_ref().map(|(generation, _)| *generation) != new {
            self.broken = Some("I1: the stored bytes are of another generation");
        }
        if let Some((generation, bytes)) = &self.keys[tenant].entry {
            let entry = entry_format::decode(bytes, &KEYS[tenant].text);
            if entry.is_ok_and(|entry| entry.generation != *generation) {
                self.broken = Some("I1: the stored entry says another generation");
            }
        }
    }

    /// Delivers a reply at once if no other task can change its meaning meanwhile: a delay of its reader is
    /// equivalent to a delay of the reader's next message or of the origin's answer.
    fn hear_what_is_no_news(&mut self, id: u64) {
        let Some(Run { waits: Waits::Reply(Ok(bytes)), .. }) = self.runs.get(&id) else { return };
        let answer = message::decode_reply(bytes).map(|(reply, _)| reply.answer);
        let is_no_news = matches!(
            answer,
            Some(Answer::Granted { .. } | Answer::Held { .. } | Answer::Closed { .. } | Answer::Rejected)
        );
        if is_no_news {
            let event = Event::Object(Ok(bytes.clone()));
            self.run(vec![(id, event)]);
        }
    }

    /// Advances time by a tick; sleeps that end in it end in the order of their times.
    fn tick(&mut self) {
        let end = self.now + self.tick;
        loop {
            let due = |run: &Run| match run.waits {
                Waits::Sleep(_, until) | Waits::AtObject(until) if until <= end => Some(until),
                _ => None,
            };
            let next = self.runs.iter().filter_map(|(id, run)| due(run).map(|until| (until, *id))).min();
            let Some((until, id)) = next else { break };
            self.now = self.now.max(until);
            if matches!(self.runs[&id].waits, Waits::AtObject(_)) {
                let tenant = self.tenant(self.runs[&id].parent);
                let key = &mut self.keys[tenant];
                let output = key.object.sleep_ended(key.stored.as_deref(), id);
                let reply = self.apply(tenant, id, vec![output]).expect("the end of a sleep is a reply");
                self.wait(id, Waits::Reply(Ok(reply)));
            } else {
                self.run(vec![(id, Event::TimedOut)]);
            }
        }
        self.now = end;
        for run in self.runs.values_mut() {
            run.ticks += u8::from(!matches!(run.waits, Waits::Sleep(..) | Waits::AtObject(_)));
        }
    }

    /// L4: an isolate that asks after a lease and the longest back-off gets a grant, and its commit is accepted.
    fn is_free_in_the_end(&self) -> bool {
        self.keys.iter().all(|key| self.is_key_free_in_the_end(key))
    }

    fn is_key_free_in_the_end(&self, key: &OfKey) -> bool {
        let mut lease = key.lease();
        let now = Instant(self.now).plus(AT_REST);
        let seen = lease.committed_generation().unwrap_or(0);
        let Answer::Granted { token } = lease.acquire(seen, Some(u64::MAX), lease_request(LONG), now) else {
            return false;
        };
        token > seen && lease.commit(token, Span::ZERO, LONG, now.plus(Span(TICK))).0 == Answer::Committed
    }

    /// I4: the generation in an isolate's memory goes down only if a purge has removed the entry.
    fn check_memories(&mut self, last: &Self) {
        for (before, after) in last.isolates.iter().zip(&self.isolates) {
            for tenant in 0..self.keys.len() {
                let generation = |it: &Isolate| it.entry(tenant).map_or(0, |entry| entry.generation);
                let was_purged = after.entry(tenant).is_none() && after.floor(tenant) != before.floor(tenant);
                if generation(after) < generation(before) && !was_purged {
                    self.broken = Some("I4: a memory's generation went down");
                }
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.runs.is_empty() && self.participants.iter().all(|it| it.answered.is_some())
    }

    fn reaches(&self, word: &str) -> bool {
        self.participants.iter().any(|it| it.answered == Some(word) || it.refreshed == Some(word))
    }
}

fn word(answer: &Answered) -> &'static str {
    match answer {
        Answered::Entry { status, .. } => match status {
            CacheStatus::Hit { is_stale: false, .. } => "hit",
            CacheStatus::Hit { is_stale: true, .. } => "stale",
            CacheStatus::Stored | CacheStatus::Miss => "computed",
            CacheStatus::Collapsed => "collapsed",
            CacheStatus::FellBack { .. } => "fell back",
            CacheStatus::Bypass => "bypass",
        },
        Answered::Uncached(_) => "uncached",
        Answered::Refusal { .. } => "negative",
        Answered::Failed { reason: Reason::OriginTimeout, .. } => "timed out",
        Answered::Failed { .. } => "failed",
        Answered::TooManyWaiters => "too many waiters",
        Answered::Unavailable => "unavailable",
        Answered::NotCached => "not cached",
    }
}

fn lease_request(lifetime: Lifetime) -> LeaseRequest {
    let lease = ORIGIN_TIMEOUT.plus(Span(5_000));
    let physical = lifetime.physical();
    LeaseRequest { lease, expected: Span::SECOND, physical, ..LeaseRequest::default() }
}

/// The last byte of a body names the tenant that it was computed for.
fn computed(id: u64, tenant: usize, at: Instant, storable: bool) -> Computed {
    let (headers, delta) = (Vec::new(), Span::SECOND);
    Computed {
        status: 200,
        headers,
        body: Arc::from([id as u8 + 1, tenant as u8]),
        delta,
        storable,
        at,
        ..Computed::default()
    }
}

fn transient() -> Failure {
    Failure::Transient { reason: Reason::OriginError, retry_after: None }
}

fn negative() -> Failure {
    let content_type = "application/json".to_owned();
    Failure::Negative { status: 404, content_type, body: "{}".to_owned(), ttl: NEGATIVE_TTL }
}

impl World {
    /// The stored state of an object that has committed an entry, and the entry. It expires at [`START`] in a
    /// world with short windows, otherwise a tick earlier.
    fn warm(&self, tenant: usize) -> (Vec<u8>, Entry) {
        let before = Instant(START - if self.is_short { TICK } else { 2 * TICK });
        let lifetime = lifetime(self.is_short);
        let mut object = KeyObject::default();
        let mut stored = None;
        let entry = Entry {
            generation: before.0,
            stored_at: before,
            delta: Span::SECOND,
            lifetime,
            global_rate: 0,
            committed: true,
            key: Arc::clone(&KEYS[tenant].text),
            variant: Vec::new(),
            status: 200,
            headers: Vec::new(),
            etag: xfetch_edge::core::entry::etag(&[0]),
            body: Arc::from([0, tenant as u8]),
        };
        let messages = [
            Message::Acquire { seen: 0, nonce: None, request: lease_request(lifetime) },
            Message::Commit { token: before.0, age: Span::ZERO, lifetime },
        ];
        for message in messages {
            let bytes = message::encode_message(&message, &entry_format::encode(&entry));
            let incoming = Incoming { from: 0, bytes: &bytes, now: before, spread: Draw::NEVER_EARLY };
            for output in object.on(stored.as_deref(), incoming) {
                if let Output::SaveState(bytes) = output {
                    stored = Some(bytes);
                }
            }
        }
        (stored.expect("each message saves the state"), entry)
    }

    /// The isolate of a participant.
    fn isolate_of(&self, participant: usize) -> usize {
        if self.is_together { participant.min(1) } else { participant }
    }
}

impl Model for World {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let warm: Vec<_> = (0..self.tenants).map(|tenant| self.is_warm.then(|| self.warm(tenant))).collect();
        let count =
            self.roles.iter().enumerate().map(|(place, _)| self.isolate_of(place)).max().unwrap_or(0) + 1;
        let mut isolates: Vec<Isolate> = (0..count)
            .map(|place| Isolate {
                state: IsolateState::new(1 << 20, 100),
                // The first in one colo, the others in another.
                colo: usize::from(place > 0),
                skew: self.skews.get(place).copied().unwrap_or(0),
            })
            .collect();
        for (place, role) in self.roles.iter().enumerate() {
            let isolate = &mut isolates[self.isolate_of(place)];
            let tenant = place % self.tenants;
            if let (Some((_, entry)), Role::Warm | Role::Asks | Role::Purge { .. }) = (&warm[tenant], role) {
                let stored_at = Instant(entry.stored_at.0.saturating_add_signed(isolate.skew));
                let own = Arc::new(Entry { stored_at, ..entry.clone() });
                isolate.state.memory.accept(KEYS[tenant].hash, &own, stored_at);
            }
        }
        let participants = self.roles.iter().map(|role| Participant {
            role: *role,
            has_begun: false,
            answered: None,
            refreshed: None,
        });
        vec![State {
            now: START,
            keys: warm
                .into_iter()
                .map(|warm| {
                    let (stored, entry) = warm.unzip();
                    OfKey {
                        object: KeyObject::default(),
                        stored,
                        granted: entry.as_ref().map_or(0, |it: &Entry| it.generation),
                        entry: entry.map(|entry| (entry.generation, entry_format::encode(&entry))),
                        colos: [None, None],
                    }
                })
                .collect(),
            isolates,
            participants: participants.collect(),
            runs: BTreeMap::new(),
            late: Vec::new(),
            crashes: 0,
            losses: 0,
            lates: 0,
            repeats: 0,
            failures: 0,
            is_short: self.is_short,
            is_colo_slow: self.is_colo_slow,
            tick: self.tick,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        for (who, participant) in state.participants.iter().enumerate() {
            if !participant.has_begun {
                actions.push(Act::Start(who));
            }
        }
        for (id, run) in &state.runs {
            match &run.waits {
                Waits::Message(bytes, wants_late_reply) => {
                    actions.push(Act::Deliver(*id));
                    if state.losses < self.losses {
                        actions.extend([Act::LoseMessage(*id, self.loss), Act::LoseReply(*id, self.loss)]);
                    }
                    if state.lates < self.lates && *wants_late_reply {
                        actions.push(Act::DelayReply(*id));
                    }
                    let is_wait = matches!(message::decode_message(bytes), Some((Message::Wait { .. }, _)));
                    if state.repeats < self.repeats && !is_wait {
                        actions.push(Act::DeliverTwice(*id));
                    }
                }
                Waits::Reply(_) => actions.push(Act::Hear(*id)),
                Waits::Look | Waits::Write(_) => actions.push(Act::Colo(*id)),
                Waits::Origin => {
                    actions.push(Act::OriginAnswers(*id));
                    if state.failures < self.failures {
                        actions.push(Act::OriginFails(*id));
                        if self.refuses {
                            actions.push(Act::OriginRefuses(*id));
                        }
                        if self.forbids_storing {
                            actions.push(Act::OriginForbidsStoring(*id));
                        }
                    }
                }
                Waits::AtObject(_) | Waits::Sleep(..) => {}
            }
            let may_be_cut_off = !matches!(run.task, Task::Request(_) | Task::Purge(_));
            if state.crashes < self.crashes && may_be_cut_off {
                actions.push(Act::Crash(*id));
            }
        }
        actions.extend((0..state.late.len()).map(Act::HearLate));
        // Time passes once all participants have begun, except those that may begin later.
        let have_begun = state.participants.iter().enumerate().all(|(place, it)| {
            let is_last = place + 1 == state.participants.len();
            it.has_begun || place > 0 && (it.role == Role::Asks || is_last && self.is_warm)
        });
        let is_early = have_begun && state.now < START + self.ticks * self.tick;
        // A sleep ends only if time passes, so while a task sleeps a tick is possible at any time.
        let sleeps = |run: &Run| matches!(run.waits, Waits::AtObject(_) | Waits::Sleep(..));
        let is_under_way = !state.has_ended();
        // A message or a lookup takes a tick at most, a computation `MAX_COMPUTATION`: longer than a lease.
        let longest = (MAX_COMPUTATION.0.div_ceil(self.tick)) as u8;
        let is_due = |run: &Run| run.ticks >= if run.waits == Waits::Origin { longest } else { 1 };
        let nothing_is_due = !state.runs.values().any(is_due);
        if is_under_way && nothing_is_due && (is_early || state.runs.values().any(sleeps)) {
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
                state.participants[who].has_begun = true;
                let task = match state.participants[who].role {
                    Role::Warm | Role::Cold | Role::Asks => Task::request(),
                    Role::Purge { hard } => Task::purge(hard),
                };
                let id = state.begin(self.isolate_of(who), who, task);
                state.run(vec![(id, Event::Started)]);
            }
            Act::Deliver(id) | Act::LoseReply(id, _) | Act::DelayReply(id) | Act::DeliverTwice(id) => {
                let Waits::Message(bytes, _) = state.runs[&id].waits.clone() else { return None };
                let reply = state.deliver(id, &bytes);
                match action {
                    Act::LoseReply(_, error) => {
                        state.losses += 1;
                        // The message may still sleep at the object, but no task waits for its reply.
                        state.wait(id, Waits::Reply(Err(error)));
                    }
                    Act::DelayReply(_) => {
                        state.lates += 1;
                        let (isolate, parent) = (state.runs[&id].isolate, state.runs[&id].parent);
                        state.late.push((isolate, parent, reply?));
                        state.wait(id, Waits::Reply(Err(ObjectError::Slow)));
                    }
                    Act::DeliverTwice(_) => {
                        state.repeats += 1;
                        let (first, again) = (reply?, state.deliver(id, &bytes)?);
                        state.check_repeated(&bytes, &first, &again);
                        state.wait(id, Waits::Reply(Ok(again)));
                    }
                    _ => {
                        if let Some(reply) = reply {
                            state.wait(id, Waits::Reply(Ok(reply)));
                            state.hear_what_is_no_news(id);
                        }
                    }
                }
            }
            Act::LoseMessage(id, error) => {
                state.losses += 1;
                state.wait(id, Waits::Reply(Err(error)));
            }
            Act::HearLate(place) => {
                let (isolate, parent, bytes) = state.late.remove(place);
                let id = state.begin(isolate, parent, Task::late_reply());
                state.run(vec![(id, Event::LateObject(bytes))]);
            }
            Act::Hear(id) => {
                let Waits::Reply(reply) = state.runs[&id].waits.clone() else { return None };
                state.run(vec![(id, Event::Object(reply))]);
            }
            Act::Colo(id) => {
                let Run { isolate, parent, waits, .. } = state.runs[&id].clone();
                let (colo, tenant) = (state.isolates[isolate].colo, state.tenant(parent));
                let event = match waits {
                    Waits::Write(bytes) => {
                        state.write_colo(tenant, colo, bytes);
                        Event::Written
                    }
                    _ => Event::Colo(state.keys[tenant].colos[colo].clone()),
                };
                state.run(vec![(id, event)]);
            }
            Act::OriginAnswers(id) | Act::OriginForbidsStoring(id) => {
                let is_storable = matches!(action, Act::OriginAnswers(_));
                state.failures += u8::from(!is_storable);
                let Run { isolate, parent, .. } = state.runs[&id];
                let computed = computed(id, state.tenant(parent), state.clock(isolate), is_storable);
                state.run(vec![(id, Event::Origin(Ok(computed)))]);
            }
            Act::OriginFails(id) => {
                state.failures += 1;
                state.run(vec![(id, Event::Origin(Err(transient())))]);
            }
            Act::OriginRefuses(id) => {
                state.failures += 1;
                state.run(vec![(id, Event::Origin(Err(negative())))]);
            }
            Act::Crash(id) => {
                state.crashes += 1;
                state.runs.remove(&id);
            }
            Act::Tick => state.tick(),
        }
        state.check_memories(last);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no promise is broken", |_, state: &State| state.broken.is_none()),
            Property::always(
                "L4: the key is free in the end, and the next commit is accepted",
                |_, state: &State| state.is_free_in_the_end(),
            ),
            Property::eventually("every request is answered and every task ends", |_, state: &State| {
                state.has_ended()
            }),
            Property::sometimes("the first outcome of `reaches` occurs", |world: &World, state: &State| {
                state.reaches(world.reaches[0])
            }),
            Property::sometimes("the second outcome of `reaches` occurs", |world: &World, state: &State| {
                state.reaches(world.reaches[1])
            }),
        ]
    }
}

impl State {
    /// L5: a repeated commit or grant gets the same answer.
    fn check_repeated(&mut self, message: &[u8], first: &[u8], again: &[u8]) {
        let must_agree = matches!(
            message::decode_message(message),
            Some((Message::Acquire { .. } | Message::Commit { .. }, _))
        );
        let answer = |bytes| message::decode_reply(bytes).map(|(Reply { answer, .. }, _)| answer);
        let (first, again) = (answer(first), answer(again));
        if must_agree && first != again && !matches!(first, Some(Answer::Held { .. })) {
            self.broken = Some("L5: a repeated message got another answer");
        }
    }
}
