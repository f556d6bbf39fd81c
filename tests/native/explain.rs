//! The explanation of a request against the decision that is then taken, for random states.

use std::sync::Arc;

use proptest::prelude::*;
use xfetch_edge::{
    core::{
        config::{Beta, Config, Route},
        entry::{self, Entry, Lifetime},
        failure::{Failure, Reason},
        key::{self, Key, Scope},
        purge::Floor,
        time::{Instant, Span},
        xfetch::{Chance, Draw},
    },
    isolate::{
        computation::TriggerOutcome,
        explain::{ExpectedAnswer, ExpectedRefresh, at_object, explain},
        metrics::{MetricEvent, ServedAs},
        served::{Answered, Served},
        state::IsolateState,
        step::{Background, Done, Effect, Event, KeyedRoute, NoFields, Step},
        task::Task,
    },
    protocol::{
        colo_record::ColoRecord,
        lease::State,
        message::{Answer, LeaseRequest},
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
    key::key(&Scope { version: "1", route: "test", method: "POST", path: "/a", headers: &[] }, "{}")
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

/// What one real request gets: its answer, or `None` if it waits, whether it triggered a refresh, and with what
/// result.
struct Taken {
    served: Option<Served>,
    leads: bool,
    refresh: Option<ExpectedRefresh>,
}

fn take(state: &mut IsolateState, subject: KeyedRoute<'_>, colo: Option<&[u8]>, bits: u64) -> Taken {
    let bytes = || colo.map(<[u8]>::to_vec);
    let mut task = Task::request();
    let mut event = Event::Started;
    let mut taken = Taken { served: None, leads: false, refresh: None };
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
                Background::Refresh(_) => taken.leads = true,
                Background::SharedLook { .. } => {
                    let mut look = Task::new(background);
                    look.on(Event::Started, subject, state, NOW, Chance(None));
                    let step = look.on(Event::Colo(bytes()), subject, state, NOW, Chance(None));
                    woken = step.notes.wake.into_iter().next();
                }
                Background::Adopt(_) | Background::SharedWait { .. } => {}
            }
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

        let explained = explain(&state, subject, record.as_deref(), None, NOW);
        let again = explain(&state, subject, record.as_deref(), None, NOW);
        prop_assert_eq!(&explained, &again, "an explanation changes nothing");
        let taken = take(&mut state.clone(), subject, record.as_deref(), bits);

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
            (ExpectedAnswer::Leads, None) => prop_assert!(taken.leads),
            (ExpectedAnswer::Waits, None) => prop_assert!(!taken.leads),
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
        if explained.class == Some(ServedAs::HitStale) && matches!(mark, Mark::UnderWay) && !explained.reads_colo {
            prop_assert_eq!(explained.refresh, Some(ExpectedRefresh::Blocked(TriggerOutcome::Contention)));
        }
    }

    #[test]
    fn what_the_object_would_answer_is_what_it_then_answers(
        has_entry in any::<bool>(), age in 0_u64..32_000, fails in any::<bool>(), is_held in any::<bool>(),
        later in 0_u64..8_000, seen in prop::sample::select(vec![0, 1, u64::MAX]),
    ) {
        let request = LeaseRequest { lease: Span(20_000), expected: Span(1_500), ..LeaseRequest::default() };
        let lifetime = route(Beta::Fixed(1.0)).lifetime;
        let mut object = State::default();
        let committed = NOW.minus(Span(age));
        let granted = |answer: Answer| match answer {
            Answer::Granted { token } => token,
            other => panic!("expected a grant, not {other:?}"),
        };
        let mut generation = 0;
        if has_entry {
            generation = granted(object.acquire(0, None, request, committed));
            object.commit(generation, Span::ZERO, lifetime, committed);
        }
        let at = NOW.plus(Span(later));
        if fails || is_held {
            let token = granted(object.acquire(generation, None, request, NOW));
            if fails {
                let failure = Failure::Transient { reason: Reason::OriginError, retry_after: None };
                object.fail(token, failure, NOW, Draw::NEVER_EARLY);
            }
        }
        let seen = if seen == u64::MAX { generation } else { seen };
        let Answer::Inspected(inspection) = object.inspect(0, at) else { panic!("not inspected") };
        let expected = at_object(&inspection, seen, lifetime);
        let taken = match object.acquire(seen, None, request, at) {
            Answer::Newer { age, .. } if age < Span(30_000) => ExpectedAnswer::FromObject,
            // An entry that may not be served is the same as none: the request asks again, having seen it.
            Answer::Newer { generation, .. } => match object.acquire(generation, None, request, at) {
                Answer::Granted { .. } => ExpectedAnswer::Leads,
                Answer::Failed { .. } => ExpectedAnswer::Refused,
                _ => ExpectedAnswer::Waits,
            },
            Answer::Held { .. } => ExpectedAnswer::Waits,
            Answer::Failed { .. } => ExpectedAnswer::Refused,
            _ => ExpectedAnswer::Leads,
        };
        prop_assert_eq!(expected, taken);
    }
}
