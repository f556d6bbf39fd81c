//! Tasks step by step: what a request, a refresh or a purge does next, as transcripts of effects. The first
//! tests are named after decisions that once differed between the Worker, the simulator and the search, which
//! now share them; `tests/worker/decisions.test.mjs` tests the same on the real Worker.

use std::{rc::Rc, sync::Arc};

use crate::promises::shared;
use xfetch_edge::{
    core::{
        config::{Beta, Config, OBJECT_TIMEOUT, OriginPolicy, Route},
        entry::{self, Entry, Lifetime},
        failure::{Failure, PASS_TTL, Reason},
        http::CacheStatus,
        key::{Key, KeyParts},
        purge::Floor,
        time::{Instant, Span},
        xfetch::Chance,
    },
    isolate::{
        computation::{Computed, Purpose, TriggerOutcome},
        metrics::{CallOutcome, MetricEvent, ServedAs},
        refresh_outcome::RefreshOutcome,
        served::{Answered, Served},
        state::IsolateState,
        step::{
            Background, Done, Effect, Event, KeyedRoute, NoFields, ObjectError, RefreshOrder, RequestFields,
            Shared, Step,
        },
        task::Task,
    },
    protocol::{
        colo_record::ColoRecord,
        entry_format,
        lease::MAX_WAIT,
        message::{self, Answer, Message, Reply},
    },
};

const NOW: Instant = Instant(1_000_000_000);
const TTL: Span = Span(10_000);
const LIFETIME: Lifetime = Lifetime {
    ttl: TTL,
    stale_while_revalidate: Span(20_000),
    stale_if_error: Span(60_000),
    kept: Span::ZERO,
};

/// One isolate, one key, and a clock that the test moves.
struct Bench {
    key: Key,
    route: Route,
    isolate: IsolateState,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let settings = serde_json::json!({
            "ORIGIN_URL": "https://api.example",
            "ROUTES": [{ "path": "/api", "origin_timeout": 5, "max_origin_calls": 1, "max_waiters": 10 }],
        });
        let config = Config::parse(settings.as_object().expect("a table"), false).expect("good settings");
        let route = (*Rc::clone(&config.routes[0])).clone();
        let scope = KeyParts { version: "1", origin: "o", method: "POST", path: "/api", headers: &[] };
        Self {
            key: shared().key(&scope, "{}"),
            route: Route { lifetime: LIFETIME, beta: Beta::Fixed(1.0), ..route },
            isolate: IsolateState::new(1 << 20, 10),
            now: NOW,
        }
    }

    /// The same for a route whose origin says how long its answers live.
    fn of_origin_policy() -> Self {
        let mut bench = Self::new();
        bench.route.origin_decides = Some(OriginPolicy { forwards_all: true, ..OriginPolicy::default() });
        bench
    }

    fn on(&mut self, task: &mut Task, event: Event) -> Step {
        self.ask(task, event, &NoFields)
    }

    fn ask(&mut self, task: &mut Task, event: Event, fields: &dyn RequestFields) -> Step {
        let subject = KeyedRoute { key: &self.key, route: &self.route, fields };
        task.on(event, subject, &mut self.isolate, self.now, Chance(Some(u64::MAX)))
    }

    /// An entry of this generation that was stored this long ago.
    fn entry(&self, generation: u64, age: u64) -> Arc<Entry> {
        Arc::new(Entry {
            generation,
            stored_at: self.now.minus(Span(age)),
            delta: Span(1_000),
            lifetime: LIFETIME,
            global_rate: 0,
            committed: true,
            key: Arc::clone(&self.key.text),
            variant: Vec::new(),
            status: 200,
            headers: Vec::new(),
            etag: entry::etag(b"1"),
            body: Arc::from(&b"1"[..]),
        })
    }

    fn hold(&mut self, entry: &Arc<Entry>) {
        assert!(self.isolate.memory.accept(self.key.hash, entry, self.now));
    }

    fn refresh(purpose: Purpose, seen: u64) -> Task {
        let (delta, for_whom) = (Some(Span(1_000)), None);
        Task::new(Background::Refresh(RefreshOrder {
            purpose,
            seen,
            delta,
            has_looked: true,
            owner: 1,
            for_whom,
        }))
    }
}

fn reply(floor: Floor, answer: Answer) -> Event {
    Event::Object(Ok(message::encode_reply(&Reply { floor, global_rate: 0, answer }, b"")))
}

fn plain(answer: Answer) -> Event {
    reply(Floor::default(), answer)
}

fn sent(effect: &Effect) -> Message {
    match effect {
        Effect::Send { bytes, .. } => message::decode_message(bytes).expect("it is a message").0,
        other => panic!("a message, but {other:?}"),
    }
}

fn served(step: &Step) -> &Served {
    match &step.effect {
        Effect::Done(Done::Served(served)) => served,
        other => panic!("an answer, but {other:?}"),
    }
}

fn transient() -> Failure {
    Failure::Transient { reason: Reason::OriginError, retry_after: None }
}

fn computed(storable: bool, at: Instant) -> Computed {
    let (headers, body) = (Vec::new(), Arc::from(&b"2"[..]));
    Computed { status: 200, headers, body, delta: Span(900), storable, at, ..Computed::default() }
}

/// A request with nothing servable, after its lookup in the colo: it leads a computation, if it may.
fn leading(bench: &mut Bench) -> (Task, Step) {
    let mut request = Task::request();
    bench.on(&mut request, Event::Started);
    let step = bench.on(&mut request, Event::Woken(Shared::Colo(None)));
    (request, step)
}

// Decisions that once differed.

#[test]
fn drift_1_only_a_refused_acquire_uses_up_the_call_without_a_lease() {
    let mut bench = Bench::new();
    let mut waits = Bench::refresh(Purpose::Stale, 7);
    bench.on(&mut waits, Event::Started);
    let step = bench.on(&mut waits, plain(Answer::Held { retry_in: Span(4_000) }));
    assert!(matches!(sent(&step.effect), Message::Wait { seen: 7, max_waiters: 5 }));
    let step = bench.on(&mut waits, plain(Answer::Refused { speaks: 9 }));
    assert_eq!(step.effect, Effect::Done(Done::Nothing), "it ends, and calls nothing");
    let mut refused = Bench::refresh(Purpose::Stale, 7);
    bench.on(&mut refused, Event::Started);
    let step = bench.on(&mut refused, plain(Answer::Refused { speaks: 9 }));
    assert_eq!(
        step.effect,
        Effect::CallOrigin { limit: Span(5_000), held: None },
        "the one call is still allowed"
    );
    let mut next = Bench::refresh(Purpose::Stale, 7);
    bench.on(&mut next, Event::Started);
    let step = bench.on(&mut next, Event::Object(Err(ObjectError::Broken)));
    assert_eq!(step.effect, Effect::Done(Done::Nothing), "after which the call is used up");
}

#[test]
fn drift_2_an_uncached_answer_without_room_for_a_call_falls_back_on_the_old_entry() {
    let mut bench = Bench::new();
    let old = bench.entry(7, 40_000);
    bench.hold(&old);
    let owner = bench.isolate.gate.begin(bench.key.hash, bench.now, Span(1_000));
    bench.isolate.gate.end_failed(
        bench.key.hash,
        owner,
        &Failure::Pass { ttl: PASS_TTL },
        bench.now,
        Span(5_000),
    );
    let call = bench.isolate.calls.begin(Purpose::Cold, bench.now, bench.route.lease());
    let (_, step) = leading(&mut bench);
    let Served { class, answer: Answered::Entry { entry, status } } = served(&step) else {
        panic!("an entry, but {step:?}");
    };
    assert_eq!((*class, entry.generation), (ServedAs::HitStale, 7));
    assert!(matches!(status, CacheStatus::FellBack { .. }));
    // With room the origin is asked, and its failure falls back, too, unless a purge has taken the entry.
    assert!(bench.isolate.calls.settle(call));
    let (mut request, step) = leading(&mut bench);
    assert_eq!(step.effect, Effect::CallOrigin { limit: Span(5_000), held: None });
    let mut other = request.clone();
    let step = bench.on(&mut request, Event::Origin(Err(transient())));
    assert_eq!(served(&step).class, ServedAs::HitStale);
    bench.isolate.hear(bench.key.hash, Floor { soft: 0, hard: 8 }, bench.now);
    let step = bench.on(&mut other, Event::Origin(Err(transient())));
    assert_eq!(served(&step), &Served::failed(Reason::OriginError, Span::SECOND));
}

#[test]
fn drift_3_too_many_origin_calls_is_a_refusal_and_not_a_miss() {
    let mut bench = Bench::new();
    bench.isolate.calls.begin(Purpose::Cold, bench.now, bench.route.lease());
    let (_, step) = leading(&mut bench);
    assert_eq!(served(&step).class, ServedAs::Rejected);
    let reason = Reason::TooManyOriginCalls;
    assert_eq!(served(&step).answer, Answered::Failed { reason, retry_after: Span::SECOND });
}

#[test]
fn drift_4_the_floor_of_a_late_grant_reaches_memory_and_the_colo() {
    let mut bench = Bench::new();
    let held = bench.entry(7, 1_000);
    bench.hold(&held);
    let floor = Floor { soft: 0, hard: 8 };
    let mut late = Task::late_reply();
    let grant = Reply { floor, global_rate: 0, answer: Answer::Granted { token: 9 } };
    let step = bench.on(&mut late, Event::LateObject(message::encode_reply(&grant, b"")));
    assert_eq!(step.effect, Effect::LookUpColo);
    assert_eq!(bench.isolate.memory.floor(&bench.key.hash), floor);
    let record = ColoRecord { floor: Floor::default(), entry: Some(held) };
    let step = bench.on(&mut late, Event::Colo(Some(record.encode())));
    let Effect::WriteColo { bytes, lifetime } = step.effect else { panic!("a write, but {step:?}") };
    assert_eq!(ColoRecord::decode(&bytes, &bench.key.text, bench.now).0, ColoRecord { floor, entry: None });
    assert_eq!(lifetime, LIFETIME.physical());
    let step = bench.on(&mut late, Event::Written);
    assert_eq!(sent(&step.effect), Message::Fail { token: 9, failure: Failure::GivenBack });
    assert_eq!(step.notes.events, [MetricEvent::GrantGivenBack]);
    let closed = Answer::Closed { applied: true, retry_after: Span::ZERO };
    assert_eq!(bench.on(&mut late, reply(floor, closed)).effect, Effect::Done(Done::Nothing));
}

#[test]
fn drift_5_patience_counts_from_the_first_wait_on() {
    let mut bench = Bench::new();
    bench.isolate.gate.begin(bench.key.hash, bench.now, Span(60_000));
    let (mut request, mut step) = leading(&mut bench);
    let mut waited = Span::ZERO;
    let patience = bench.route.patience();
    loop {
        match step.effect {
            Effect::Sleep { at_most, .. } => {
                waited = waited.plus(at_most);
                bench.now = bench.now.plus(at_most);
                step = bench.on(&mut request, Event::TimedOut);
            }
            Effect::Done(Done::Served(served)) => {
                assert_eq!(served, Served::timed_out());
                break;
            }
            other => panic!("a sleep or the end, but {other:?}"),
        }
    }
    assert_eq!(waited, patience, "no more and no less, whatever it waited for");
}

#[test]
fn drift_6_hearing_a_floor_takes_a_lookup_and_a_write_and_the_reply_is_acted_on_after_them() {
    let mut bench = Bench::new();
    let mut refresh = Bench::refresh(Purpose::Stale, 7);
    bench.on(&mut refresh, Event::Started);
    let step = bench.on(&mut refresh, reply(Floor { soft: 8, hard: 0 }, Answer::Granted { token: 9 }));
    assert_eq!(step.effect, Effect::LookUpColo);
    let step = bench.on(&mut refresh, Event::Colo(None));
    assert!(matches!(step.effect, Effect::WriteColo { .. }));
    let step = bench.on(&mut refresh, Event::Written);
    assert_eq!(step.effect, Effect::CallOrigin { limit: Span(5_000), held: None });
}

#[test]
fn drift_8_a_newer_generation_that_memory_holds_is_not_decoded_once_more() {
    let mut bench = Bench::new();
    let known = bench.entry(9, 1_000);
    bench.hold(&known);
    let mut refresh = Bench::refresh(Purpose::Stale, 7);
    bench.on(&mut refresh, Event::Started);
    let newer = Answer::Newer { generation: 9, age: Span(2_000), ttl: Span(5_000) };
    // No bytes of an entry travel beside this reply.
    let step = bench.on(&mut refresh, plain(newer));
    assert_eq!(step.effect, Effect::LookUpColo, "the entry from memory is stored");
    let purpose = Purpose::Stale;
    assert_eq!(step.notes.events, [MetricEvent::Triggered { purpose, trigger: TriggerOutcome::RecheckSkip }]);
}

#[test]
fn drift_8_a_purge_clears_the_isolates_refresh_gate() {
    let mut bench = Bench::new();
    bench.isolate.hear(bench.key.hash, Floor { soft: 9, hard: 0 }, bench.now);
    bench.isolate.gate.begin(bench.key.hash, bench.now, Span(60_000));
    let mut purge = Task::purge(false);
    let step = bench.on(&mut purge, Event::Started);
    assert!(matches!(sent(&step.effect), Message::Purge { hard: false, .. }));
    // Memory knows the floor from another reply, whose task may be cut off before it writes to the colo.
    let floor = Floor { soft: 9, hard: 0 };
    assert_eq!(bench.on(&mut purge, reply(floor, Answer::Purged)).effect, Effect::LookUpColo);
    let step = bench.on(&mut purge, Event::Colo(None));
    let Effect::WriteColo { bytes, .. } = step.effect else { panic!("{:?}", step.effect) };
    let (record, unreadable) = ColoRecord::decode(&bytes, &bench.key.text, bench.now);
    assert_eq!((record.floor, unreadable), (floor, None), "the colo learns of the purge");
    assert_eq!(bench.on(&mut purge, Event::Written).effect, Effect::Done(Done::Purged(Some(floor))));
    assert_eq!(bench.isolate.gate.blocked(&bench.key.hash, bench.now), None);
}

#[test]
fn a_purge_that_the_object_has_not_confirmed_is_not_called_purged() {
    for event in [Event::Object(Err(ObjectError::Slow)), plain(Answer::Refused { speaks: 9 })] {
        let mut bench = Bench::new();
        let mut purge = Task::purge(true);
        bench.on(&mut purge, Event::Started);
        assert_eq!(bench.on(&mut purge, event).effect, Effect::Done(Done::Purged(None)));
    }
}

// Whole tasks.

#[test]
fn a_fresh_hit_is_one_step_without_background_work() {
    let mut bench = Bench::new();
    let fresh = bench.entry(7, 1_000);
    bench.hold(&fresh);
    let step = bench.on(&mut Task::request(), Event::Started);
    assert_eq!(served(&step), &Served::hit(fresh, false, bench.now));
    assert_eq!(step.notes, xfetch_edge::isolate::step::Notes::default());
}

#[test]
fn a_stale_hit_asks_the_colo_once_before_it_answers_and_refreshes() {
    let mut bench = Bench::new();
    let stale = bench.entry(7, 12_000);
    bench.hold(&stale);
    let mut request = Task::request();
    assert_eq!(bench.on(&mut request, Event::Started).effect, Effect::LookUpColo);
    let mut step = bench.on(&mut request, Event::Colo(None));
    assert_eq!(served(&step), &Served::hit(Arc::clone(&stale), true, bench.now));
    let mut refresh = Task::new(step.notes.spawn.remove(0));
    let step = bench.on(&mut refresh, Event::Started);
    assert!(matches!(sent(&step.effect), Message::Acquire { seen: 7, .. }), "it begins with the lease");
    // Another request meanwhile is answered at once, and refreshes nothing.
    let step = bench.on(&mut Task::request(), Event::Started);
    assert_eq!(served(&step).class, ServedAs::HitStale);
    let purpose = Purpose::Stale;
    assert_eq!(step.notes.events, [MetricEvent::Triggered { purpose, trigger: TriggerOutcome::Contention }]);
    // The computed entry is looked up once more before it is written: a purge may have left a tombstone.
    bench.on(&mut refresh, plain(Answer::Granted { token: 9 }));
    let step = bench.on(&mut refresh, Event::Origin(Ok(computed(true, bench.now))));
    assert!(matches!(sent(&step.effect), Message::Commit { token: 9, .. }));
    assert_eq!(bench.on(&mut refresh, plain(Answer::Committed)).effect, Effect::LookUpColo);
    let step = bench.on(&mut refresh, Event::Colo(None));
    assert!(matches!(step.effect, Effect::WriteColo { .. }));
    let step = bench.on(&mut refresh, Event::Written);
    assert_eq!(step.effect, Effect::Done(Done::Nothing));
    assert_eq!(step.notes.log.map(|log| log.outcome), Some("stored"));
    let step = bench.on(&mut Task::request(), Event::Started);
    assert_eq!(served(&step).class, ServedAs::HitFresh);
}

#[test]
fn a_tombstone_that_a_purge_has_left_in_the_colo_stops_a_late_write() {
    let mut bench = Bench::new();
    let mut refresh = Bench::refresh(Purpose::Stale, 7);
    bench.on(&mut refresh, Event::Started);
    bench.on(&mut refresh, plain(Answer::Granted { token: 9 }));
    bench.on(&mut refresh, Event::Origin(Ok(computed(true, bench.now))));
    bench.on(&mut refresh, plain(Answer::Committed));
    let tombstone = ColoRecord { floor: Floor { soft: 0, hard: 10 }, entry: None };
    let step = bench.on(&mut refresh, Event::Colo(Some(tombstone.encode())));
    assert_eq!(step.effect, Effect::Done(Done::Nothing), "nothing is written");
}

#[test]
fn a_lost_acquire_or_commit_is_repeated_once_with_the_same_nonce_and_token() {
    let mut bench = Bench::new();
    let retryable = || Event::Object(Err(ObjectError::Retryable));
    let mut refresh = Bench::refresh(Purpose::Stale, 7);
    let first = bench.on(&mut refresh, Event::Started);
    let again = bench.on(&mut refresh, retryable());
    assert_eq!(sent(&first.effect), sent(&again.effect));
    bench.on(&mut refresh, plain(Answer::Granted { token: 9 }));
    let first = bench.on(&mut refresh, Event::Origin(Ok(computed(true, bench.now))));
    bench.now = bench.now.plus(Span(500));
    let again = bench.on(&mut refresh, retryable());
    let Message::Commit { token: 9, age, .. } = sent(&again.effect) else { panic!("the commit, again") };
    assert_eq!((age, sent(&first.effect) == sent(&again.effect)), (Span(500), false), "half a second older");
    let step = bench.on(&mut refresh, retryable());
    assert_eq!(step.notes.log.map(|log| log.outcome), Some("uncommitted"), "no third time");
}

#[test]
fn a_cold_request_leads_a_computation_and_is_woken_by_its_end() {
    let mut bench = Bench::new();
    let (mut request, mut step) = leading(&mut bench);
    let Effect::Sleep { ticket, at_most } = step.effect else { panic!("a sleep, but {step:?}") };
    assert_eq!(at_most, bench.route.patience().min(Span(30_000)));
    let mut refresh = Task::new(step.notes.spawn.remove(0));
    let step = bench.on(&mut refresh, Event::Started);
    assert!(matches!(sent(&step.effect), Message::Acquire { seen: 0, .. }));
    // A second request of the isolate waits at the object instead of asking for the lease.
    let (_, step) = leading(&mut bench);
    assert!(matches!(step.notes.spawn[..], [Background::SharedWait { seen: 0, .. }]));
    assert!(matches!(step.effect, Effect::Sleep { at_most, .. } if at_most == MAX_WAIT.plus(OBJECT_TIMEOUT)));
    bench.on(&mut refresh, plain(Answer::Granted { token: 9 }));
    bench.on(&mut refresh, Event::Origin(Ok(computed(true, bench.now))));
    bench.on(&mut refresh, plain(Answer::Committed));
    bench.on(&mut refresh, Event::Colo(None));
    let mut step = bench.on(&mut refresh, Event::Written);
    let (whom, shared) = step.notes.wake.remove(0);
    assert_eq!(whom, ticket);
    let step = bench.on(&mut request, Event::Woken(shared));
    assert!(matches!(served(&step).answer, Answered::Entry { status: CacheStatus::Stored, .. }));
}

#[test]
fn waiters_of_one_message_get_the_same_reply_and_one_fills_the_colo() {
    let mut bench = Bench::new();
    bench.isolate.gate.begin(bench.key.hash, bench.now, Span(60_000));
    let (mut first, mut step) = leading(&mut bench);
    let mut wait = Task::new(step.notes.spawn.remove(0));
    let (mut second, follows) = leading(&mut bench);
    assert!(follows.notes.spawn.is_empty(), "it sends no message of its own");
    bench.on(&mut wait, Event::Started);
    let entry = bench.entry(9, 0);
    let newer = Answer::Newer { generation: 9, age: Span::ZERO, ttl: TTL };
    let newer = Reply { floor: Floor::default(), global_rate: 4_000, answer: newer };
    let bytes = message::encode_reply(&newer, &entry_format::encode(&entry));
    let step = bench.on(&mut wait, Event::Object(Ok(bytes)));
    let woken: Vec<Shared> = step.notes.wake.into_iter().map(|(_, shared)| shared).collect();
    assert_eq!(woken.len(), 2);
    let answers = [(&mut first, 1), (&mut second, 0)].map(|(request, adopts)| {
        let step = bench.on(request, Event::Woken(woken[0].clone()));
        assert_eq!(step.notes.spawn.len(), adopts, "the first request that is woken fills the colo");
        let Answered::Entry { entry, status } = &served(&step).answer else { panic!("an entry") };
        assert_eq!(*status, CacheStatus::Collapsed);
        (entry.generation, entry.global_rate)
    });
    assert_eq!(answers, [(9, 4_000); 2], "with the rate that the object knows");
}

#[test]
fn an_isolate_with_too_many_waiters_refuses_and_an_overloaded_object_is_not_asked_again() {
    let mut bench = Bench::new();
    bench.isolate.gate.begin(bench.key.hash, bench.now, Span(60_000));
    for _ in 0..bench.route.max_waiters {
        leading(&mut bench);
    }
    let (_, step) = leading(&mut bench);
    assert_eq!(served(&step), &Served::too_many_waiters());
    let mut bench = Bench::new();
    bench.isolate.gate.begin(bench.key.hash, bench.now, Span(60_000));
    let (mut request, _) = leading(&mut bench);
    let overloaded = Shared::Object(Err(ObjectError::Overloaded));
    let step = bench.on(&mut request, Event::Woken(overloaded));
    assert!(matches!(step.effect, Effect::Sleep { at_most: Span(50), .. }), "it watches memory");
    let landed = bench.entry(9, 0);
    bench.hold(&landed);
    bench.now = bench.now.plus(Span(50));
    let step = bench.on(&mut request, Event::TimedOut);
    assert!(matches!(&served(&step).answer, Answered::Entry { entry, .. } if entry.generation == 9));
}

/// The fields of a request that asks for this language.
#[derive(Debug)]
struct Language(&'static str);

impl RequestFields for Language {
    fn field(&self, name: &str) -> Option<String> {
        (name == "accept-language").then(|| self.0.to_owned())
    }
}

/// An entry for requests in German, with a validator.
fn german(bench: &Bench, generation: u64, age: u64) -> Arc<Entry> {
    let variant = vec![("accept-language".to_owned(), Some("de".to_owned()))];
    let headers = vec![("etag".to_owned(), "\"v1\"".to_owned())];
    Arc::new(Entry { variant, headers, ..(*bench.entry(generation, age)).clone() })
}

#[test]
fn a_request_of_another_variant_goes_on_with_a_key_of_its_own_and_starts_nothing() {
    let varies = Effect::Done(Done::Varies(vec!["accept-language".to_owned()]));
    // Fresh, and stale: the refresh is for requests that the entry answers.
    for age in [1_000, 12_000] {
        let mut bench = Bench::of_origin_policy();
        let entry = german(&bench, 7, age);
        bench.hold(&entry);
        let step = bench.ask(&mut Task::request(), Event::Started, &Language("fr"));
        assert_eq!((step.effect, step.notes.spawn.len()), (varies.clone(), 0), "in memory, {age} ms old");
        let step = bench.ask(&mut Task::request(), Event::Started, &Language("de"));
        assert_ne!(step.effect, varies, "its own variant");
    }
    let mut bench = Bench::of_origin_policy();
    let entry = german(&bench, 7, 1_000);
    let mut task = Task::request();
    bench.ask(&mut task, Event::Started, &Language("fr"));
    let found = Event::Woken(Shared::Colo(Some(entry)));
    assert_eq!(bench.ask(&mut task, found, &Language("fr")).effect, varies, "in the colo");
}

#[test]
fn a_request_that_waits_for_the_computation_of_another_variant_goes_on_with_its_own() {
    let mut bench = Bench::of_origin_policy();
    let (mut task, _) = leading(&mut bench);
    bench.now = bench.now.plus(Span::SECOND);
    let entry = german(&bench, 7, 0);
    let led = Event::Woken(Shared::Led(RefreshOutcome::Adopted(entry), Floor::default()));
    let step = bench.ask(&mut task, led, &Language("fr"));
    assert_eq!(step.effect, Effect::Done(Done::Varies(vec!["accept-language".to_owned()])));
}

#[test]
fn a_computation_of_an_entry_with_a_validator_may_be_a_validation() {
    let mut bench = Bench::of_origin_policy();
    let entry = german(&bench, 7, 12_000);
    bench.hold(&entry);
    let mut task = Bench::refresh(Purpose::Stale, 7);
    bench.ask(&mut task, Event::Started, &Language("de"));
    let step = bench.ask(&mut task, plain(Answer::Granted { token: 8 }), &Language("de"));
    assert_eq!(step.effect, Effect::CallOrigin { limit: Span(5_000), held: Some(Arc::clone(&entry)) });
    // A confirmation is cheap, and what it protects is not.
    let lifetime = Some(Lifetime { ttl: Span(40_000), ..LIFETIME });
    let age = Span(3_000);
    let confirmed = Computed { is_renewal: true, lifetime, age, delta: Span(5), ..computed(true, bench.now) };
    let step = bench.ask(&mut task, Event::Origin(Ok(confirmed)), &Language("de"));
    let Effect::Send { bytes, .. } = &step.effect else { panic!("a commit, but {:?}", step.effect) };
    let (message, sent) = message::decode_message(bytes).expect("a message");
    let committed = entry_format::decode(sent, &bench.key.text).expect("an entry");
    assert!(matches!(message, Message::Commit { token: 8, age: Span(3_000), .. }), "{message:?}");
    assert_eq!((committed.generation, committed.delta), (8, Span(1_000)));
    assert_eq!(committed.lifetime.ttl, Span(40_000), "the origin's");
    assert_eq!(committed.stored_at, bench.now.minus(age));
    assert_eq!(bench.isolate.measured_delta(&bench.route), None, "no computation was measured");
}

#[test]
fn nothing_is_validated_without_a_validator_nor_for_another_variant_nor_by_the_routes_own_policy() {
    let held = |bench: &mut Bench, entry: &Arc<Entry>, language: &'static str| {
        bench.hold(entry);
        let mut task = Bench::refresh(Purpose::Stale, 7);
        bench.ask(&mut task, Event::Started, &Language(language));
        match bench.ask(&mut task, plain(Answer::Granted { token: 8 }), &Language(language)).effect {
            Effect::CallOrigin { held, .. } => held,
            other => panic!("a call, but {other:?}"),
        }
    };
    let mut bench = Bench::of_origin_policy();
    let (plain, tagged) = (bench.entry(7, 12_000), german(&bench, 7, 12_000));
    assert_eq!(held(&mut bench, &plain, "de"), None);
    assert_eq!(held(&mut Bench::of_origin_policy(), &tagged, "fr"), None);
    assert_eq!(held(&mut Bench::new(), &tagged, "de"), None);
    assert!(held(&mut Bench::of_origin_policy(), &tagged, "de").is_some());
}

#[test]
fn an_error_that_is_passed_on_backs_off_only_where_an_older_entry_answers() {
    for (seen, age, remembered) in [
        (0, 0, Failure::Pass { ttl: PASS_TTL }),
        (7, 12_000, transient()),
        // It is past its windows.
        (7, 69_000, Failure::Pass { ttl: PASS_TTL }),
    ] {
        let mut bench = Bench::of_origin_policy();
        if seen > 0 {
            let entry = bench.entry(seen, age);
            bench.hold(&entry);
            bench.now = bench.now.plus(Span(2_000));
        }
        let mut task = Bench::refresh(Purpose::Stale, seen);
        bench.on(&mut task, Event::Started);
        bench.on(&mut task, plain(Answer::Granted { token: 8 }));
        let failed = Computed { status: 503, ..computed(false, bench.now) };
        let step = bench.on(&mut task, Event::Origin(Ok(failed)));
        let Message::Fail { token: 8, failure } = sent(&step.effect) else { panic!("a failure") };
        assert_eq!(failure, remembered, "seen {seen}, {age} ms old");
        let reason = Some(Reason::OriginError);
        let call = CallOutcome::Failed(reason);
        assert!(step.notes.events.contains(&MetricEvent::Called { purpose: Purpose::Stale, call }));
    }
}

#[test]
fn the_variants_of_a_key_are_bounded_and_purged_with_it() {
    let mut bench = Bench::of_origin_policy();
    let variant =
        |language: &str| bench.key.variant(&vec![("accept-language".to_owned(), Some(language.to_owned()))]);
    let (de, fr, it) = (variant("de"), variant("fr"), variant("it"));
    assert!(de.hash != fr.hash && de.hash != bench.key.hash);
    assert_ne!(variant("de").text, bench.key.variant(&vec![("accept-language".to_owned(), None)]).text);
    let key = bench.key.clone();
    let mut enter = |variant: &Key, now| bench.isolate.enter_variant(&key, variant, 2, now);
    assert_eq!([&de, &fr, &it, &de].map(|key| enter(key, NOW)), [true, true, false, true]);
    assert!(enter(&it, NOW.plus(Span(3_600_000))), "they are counted anew after an hour");
    let entry = Arc::new(Entry { key: Arc::clone(&de.text), ..(*bench.entry(7, 0)).clone() });
    assert!(bench.isolate.memory.accept(de.hash, &entry, NOW));
    bench.isolate.hear(key.hash, Floor { soft: 0, hard: 9 }, NOW);
    assert!(bench.isolate.memory.peek(&de.hash, &de.text, NOW).is_some());
    bench.isolate.enter_variant(&key, &de, 2, NOW);
    assert!(
        bench.isolate.memory.peek(&de.hash, &de.text, NOW).is_none(),
        "the purge of the key is its purge"
    );
}
