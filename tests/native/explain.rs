//! The explanation of a request against the decision that is then taken, for random states.

use std::sync::Arc;

use crate::promises::shared;
use proptest::prelude::*;
use xfetch_edge::{
    core::{
        config::{Beta, Config, Route},
        entry::{self, Entry, Lifetime},
        failure::{Failure, Reason},
        key::{Key, KeyParts},
        purge::Floor,
        time::{Instant, Span},
        xfetch::{Chance, Draw},
    },
    isolate::{
        computation::TriggerOutcome,
        explain::{ExpectedAnswer, ExpectedRefresh, Source, explain},
        metrics::{MetricEvent, ServedAs},
        served::{Answered, Served},
        state::IsolateState,
        step::{Background, Done, Effect, Event, KeyedRoute, NoFields, ObjectError, Step},
        task::Task,
    },
    protocol::{
        colo_record::ColoRecord,
        entry_format,
        message::{self, Answer, LeaseRequest, Message},
        object::{Incoming, KeyObject, Output},
        snapshot::Snapshot,
    },
};

const NOW: Instant = Instant(1_700_000_000_000);
const TTL: u64 = 10_000;

fn route(beta: Beta) -> Route {
    let settings = r#"{"ORIGIN_URL":"https://origin.example","ROUTES":[{"path":"/a","ttl":10,
        "stale_while_revalidate":20,"stale_if_error":60,"max_origin_calls":1}]}"#;
    let vars = serde_json::from_str(settings).expect("it is JSON");
    let config = Config::parse(&vars, false).expect("it is a good configuration");
    Route { beta, ..(*config.routes[0]).clone() }
}

fn key() -> Key {
    shared().key(&KeyParts { version: "1", origin: "test", method: "POST", path: "/a", headers: &[] }, "{}")
}

/// An entry of this age in milliseconds, negative for one from the future.
fn stored(key: &Key, generation: u64, age: i64) -> Arc<Entry> {
    let lifetime = Lifetime {
        ttl: Span(TTL),
        stale_while_revalidate: Span(20_000),
        stale_if_error: Span(60_000),
        kept: Span::ZERO,
    };
    Arc::new(Entry {
        generation,
        stored_at: Instant(NOW.0.saturating_add_signed(-age)),
        delta: Span(1_500),
        lifetime,
        global_rate: 0,
        committed: true,
        key: key.text.clone(),
        variant: Vec::new(),
        status: 200,
        headers: vec![],
        etag: entry::etag(b"{}"),
        body: Arc::from(&b"{}"[..]),
    })
}

/// A key's object with its storage.
#[derive(Default)]
struct Object {
    object: KeyObject,
    state: Option<Vec<u8>>,
    entry: Option<(u64, Vec<u8>)>,
}

impl Object {
    /// Handles an encoded message; `None` if it sleeps.
    fn on(&mut self, bytes: &[u8], now: Instant) -> Option<Vec<u8>> {
        let incoming = Incoming { from: 1, bytes, now, spread: Draw::NEVER_EARLY };
        let mut reply = None;
        for output in self.object.on(self.state.as_deref(), incoming) {
            match output {
                Output::SaveState(state) => self.state = Some(state),
                Output::StoreEntry { generation, bytes } => self.entry = Some((generation, bytes)),
                Output::DropEntry => self.entry = None,
                Output::DeleteAll => (self.state, self.entry) = (None, None),
                Output::Reply { bytes, .. } => reply = Some(bytes.to_vec()),
                Output::ReplyWithEntry { mut bytes, generation, .. } => {
                    let entry = self.entry.as_ref().filter(|(stored, _)| *stored == generation);
                    bytes.extend_from_slice(entry.map_or(&[][..], |(_, bytes)| bytes));
                    reply = Some(bytes);
                }
                Output::Sleep { .. } | Output::SetAlarm(_) => {}
            }
        }
        reply
    }

    fn ask(&mut self, message: &Message, entry: &[u8], now: Instant) -> Answer {
        let reply = self.on(&message::encode_message(message, entry), now).expect("it does not sleep");
        message::decode_reply(&reply).expect("a reply").0.answer
    }

    /// What an explanation is given of it.
    fn snapshot(&mut self) -> Snapshot {
        let before = (self.state.clone(), self.entry.clone());
        let reply =
            self.on(&message::encode_message(&Message::Snapshot, &[]), NOW).expect("it does not sleep");
        assert_eq!((self.state.clone(), self.entry.clone()), before, "a snapshot changes nothing");
        let (_, body) = message::decode_reply(&reply).expect("a reply");
        assert!(Snapshot::read(&body[..body.len().min(3)]).is_none());
        Snapshot::read(body).expect("it is whole")
    }
}

/// How a request goes on that leads a computation.
#[derive(Debug, PartialEq)]
enum Led {
    Computes,
    Waits,
}

/// What one real request gets: its answer, or `None` if it waits, whether it triggered a refresh, and with what
/// result.
struct Taken {
    served: Option<Served>,
    leads: Option<Led>,
    refresh: Option<ExpectedRefresh>,
}

fn take(
    state: &mut IsolateState,
    subject: KeyedRoute<'_>,
    colo: Option<&[u8]>,
    object: &mut Option<Object>,
    bits: u64,
) -> Taken {
    let bytes = || colo.map(<[u8]>::to_vec);
    let mut task = Task::request();
    let mut event = Event::Started;
    let mut taken = Taken { served: None, leads: None, refresh: None };
    for _ in 0..10 {
        let Step { effect, notes } = task.on(event, subject, state, NOW, Chance(Some(bits)));
        for event in &notes.events {
            if let MetricEvent::Triggered { trigger, .. } = event {
                taken.refresh = Some(ExpectedRefresh::Blocked(*trigger));
            }
        }
        let mut woken = None;
        for background in notes.spawn {
            match &background {
                Background::Refresh(order) if order.for_whom.is_none() => {
                    taken.refresh = Some(ExpectedRefresh::Begins);
                }
                Background::Refresh(_) => {
                    let mut lead = Task::new(background);
                    let mut event = Event::Started;
                    for _ in 0..10 {
                        let step = lead.on(event, subject, state, NOW, Chance(Some(bits)));
                        woken = step.notes.wake.into_iter().next().or(woken);
                        event = match step.effect {
                            Effect::LookUpColo => Event::Colo(bytes()),
                            Effect::WriteColo { .. } => Event::Written,
                            Effect::Send { bytes, .. } => match object {
                                Some(object) => match object.on(&bytes, NOW) {
                                    Some(reply) => Event::Object(Ok(reply)),
                                    None => {
                                        taken.leads = Some(Led::Waits);
                                        break;
                                    }
                                },
                                None => Event::Object(Err(ObjectError::Broken)),
                            },
                            Effect::CallOrigin { .. } => {
                                taken.leads = Some(Led::Computes);
                                break;
                            }
                            Effect::Sleep { .. } => {
                                taken.leads = Some(Led::Waits);
                                break;
                            }
                            Effect::Done(_) => break,
                        };
                    }
                }
                Background::SharedLook { .. } => {
                    let mut look = Task::new(background);
                    look.on(Event::Started, subject, state, NOW, Chance(None));
                    let step = look.on(Event::Colo(bytes()), subject, state, NOW, Chance(None));
                    woken = step.notes.wake.into_iter().next();
                }
                Background::Adopt(_) | Background::SharedWait { .. } => {}
            }
        }
        if taken.leads.is_some() {
            return taken;
        }
        event = match effect {
            Effect::LookUpColo => Event::Colo(bytes()),
            Effect::Sleep { ticket, .. } => match woken {
                Some((to, shared)) if to == ticket => Event::Woken(shared),
                _ => return taken,
            },
            Effect::Done(Done::Served(served)) => {
                taken.served = Some(served);
                return taken;
            }
            _ => return taken,
        };
    }
    panic!("a request goes on for ever");
}

/// What the key's object holds: an entry of this age and with these windows in seconds, and what has happened since.
#[derive(Clone, Debug)]
struct Stored {
    entry: Option<(u64, u64, u64)>,
    since: Since,
}

#[derive(Clone, Copy, Debug)]
enum Since {
    Nothing,
    Leased,
    Failed,
    Refused,
    Purged { hard: bool },
}

fn any_object() -> impl Strategy<Value = Option<Stored>> {
    let since = prop::sample::select(vec![
        Since::Nothing,
        Since::Leased,
        Since::Failed,
        Since::Refused,
        Since::Purged { hard: false },
        Since::Purged { hard: true },
    ]);
    let windows = || prop::sample::select(vec![0_u64, 20, 60]);
    let entry = prop::option::of((0_u64..80_000, windows(), windows()));
    prop::option::of((entry, since).prop_map(|(entry, since)| Stored { entry, since }))
}

fn object(key: &Key, stored: &Stored) -> Object {
    let mut object = Object::default();
    let request = LeaseRequest { lease: Span(20_000), expected: Span(1_500), ..LeaseRequest::default() };
    let acquire = |seen| Message::Acquire { seen, nonce: Some(seen + 1), request };
    let mut seen = 0;
    if let Some((age, swr, sie)) = stored.entry {
        let at = NOW.minus(Span(age));
        let Answer::Granted { token } = object.ask(&acquire(0), &[], at) else { panic!("not granted") };
        let lifetime = Lifetime {
            ttl: Span(TTL),
            stale_while_revalidate: Span(swr * 1_000),
            stale_if_error: Span(sie * 1_000),
            kept: Span::ZERO,
        };
        let entry = Entry { stored_at: at, lifetime, ..(*self::stored(key, token, 0)).clone() };
        let commit = Message::Commit { token, age: Span::ZERO, lifetime };
        assert_eq!(object.ask(&commit, &entry_format::encode(&entry), at), Answer::Committed);
        seen = token;
    }
    let lease = |object: &mut Object| match object.ask(&acquire(seen), &[], NOW.minus(Span(100))) {
        Answer::Granted { token } => Some(token),
        _ => None,
    };
    match stored.since {
        Since::Nothing => {}
        Since::Leased => drop(lease(&mut object)),
        Since::Failed | Since::Refused => {
            let failure = match stored.since {
                Since::Refused => Failure::Negative {
                    status: 404,
                    content_type: String::new(),
                    body: String::new(),
                    ttl: Span(5_000),
                },
                _ => Failure::Transient { reason: Reason::OriginError, retry_after: None },
            };
            if let Some(token) = lease(&mut object) {
                object.ask(&Message::Fail { token, failure }, &[], NOW.minus(Span(50)));
            }
        }
        Since::Purged { hard } => {
            object.ask(&Message::Purge { hard, physical: Span(70_000) }, &[], NOW.minus(Span(50)));
        }
    }
    object
}

/// Ages around every border of an entry's life.
fn any_age() -> impl Strategy<Value = i64> {
    prop_oneof![
        -70_000_i64..75_000,
        prop::sample::select(vec![0, 4_999, 5_000, 9_999, 10_000, 10_001, 29_999, 30_000, 69_999, 70_000]),
    ]
}

#[derive(Clone, Debug)]
enum Mark {
    None,
    UnderWay,
    BackingOff,
    Full,
}

fn any_mark() -> impl Strategy<Value = Mark> {
    prop::sample::select(vec![Mark::None, Mark::UnderWay, Mark::BackingOff, Mark::Full])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_is_the_decision_that_is_then_taken(
        memory in prop::option::of((1_u64..4, any_age())),
        colo in prop::option::of((1_u64..4, any_age())),
        floor in prop::option::of((0_u64..4, any::<bool>())),
        mark in any_mark(),
        at_object in any_object(),
        beta in prop::sample::select(vec![Beta::Fixed(1.0), Beta::Fixed(6.0), Beta::Auto { late_share: 0.01, max_beta: 6.0 }]),
        requests in 0_u64..30,
        bits in any::<u64>(),
    ) {
        let (route, key) = (route(beta), key());
        let subject = KeyedRoute { key: &key, route: &route, fields: &NoFields };
        let mut state = IsolateState::new(1 << 20, 100);
        state.name = 7;
        if let Some((generation, age)) = memory {
            state.memory.accept(key.hash, &stored(&key, generation, age), NOW);
        }
        if let Some((generation, hard)) = floor {
            let floor = Floor { soft: generation, hard: if hard { generation } else { 0 } };
            state.hear(key.hash, floor, NOW);
        }
        for request in 0..requests {
            state.memory.arrived(&key.hash, NOW.minus(Span((requests - request) * 200)), Span(TTL));
        }
        match mark {
            Mark::None => {}
            Mark::UnderWay => {
                state.gate.begin(key.hash, NOW, Span(5_000));
            }
            Mark::BackingOff => {
                let owner = state.gate.begin(key.hash, NOW, Span(5_000));
                let failure = Failure::Transient { reason: Reason::OriginError, retry_after: None };
                state.gate.end_failed(key.hash, owner, &failure, NOW, Span(5_000));
            }
            Mark::Full => {
                state.calls.begin(xfetch_edge::isolate::computation::Purpose::Cold, NOW, Span(5_000));
            }
        }
        let record = colo.map(|(generation, age)| ColoRecord {
            entry: Some(stored(&key, generation, age)),
            ..ColoRecord::default()
        }.encode());
        // What others do in the isolate is not part of the explanation.
        state.gate.begin([9; 32], NOW, Span(5_000));

        let mut object = at_object.map(|stored| self::object(&key, &stored));
        let snapshot = object.as_mut().map(Object::snapshot);
        let explained = explain(&state, subject, record.as_deref(), snapshot.as_ref(), NOW);
        let again = explain(&state, subject, record.as_deref(), snapshot.as_ref(), NOW);
        prop_assert_eq!(&explained, &again, "an explanation changes nothing");
        let taken = take(&mut state.clone(), subject, record.as_deref(), &mut object, bits);

        match (&explained.answer, &taken.served) {
            (ExpectedAnswer::Entry(entry), Some(Served { class, answer: Answered::Entry { entry: served, .. } })) => {
                prop_assert_eq!(entry, served);
                prop_assert_eq!(explained.class, Some(*class));
            }
            (ExpectedAnswer::Refused, Some(Served { class, answer })) => {
                let is_entry = matches!(answer, Answered::Entry { .. });
                prop_assert!(!is_entry);
                prop_assert_eq!(explained.class, Some(*class));
            }
            (ExpectedAnswer::Leads, None) => prop_assert_eq!(taken.leads, Some(Led::Computes)),
            (ExpectedAnswer::Waits, None) => prop_assert_ne!(taken.leads, Some(Led::Computes)),
            (expected, served) => prop_assert!(false, "explained {:?}, but served {:?}", expected, served),
        }
        // The draw is uniform, so it triggers when it is below the probability.
        let draw = Draw::from_bits(bits).value();
        let triggers = draw <= explained.probability;
        if (draw - explained.probability).abs() > 1e-9 {
            prop_assert_eq!(triggers, taken.refresh.is_some(), "draw {} of {}", draw, explained.probability);
        }
        if let Some(refresh) = taken.refresh {
            prop_assert_eq!(explained.refresh, Some(refresh));
        }
        if explained.class == Some(ServedAs::HitStale) && matches!(mark, Mark::UnderWay) && explained.source == Source::Memory {
            prop_assert_eq!(explained.refresh, Some(ExpectedRefresh::Blocked(TriggerOutcome::Contention)));
        }
    }
}
