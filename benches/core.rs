//! The cost of the pure decisions, natively: in nanoseconds by divan (`cargo bench`), or, with the arguments
//! `--rounds`, a case and a number, as a program that only repeats this case, so that callgrind can count its
//! instructions.
#![allow(missing_docs, reason = "names and module headers document tests")]

use std::{hint::black_box, sync::Arc};

use xfetch_edge::{
    core::{
        access::Identity,
        body_fields::BodyFields,
        config::{Config, Route, ScopedRoute},
        entry::{Entry, Lifetime},
        http::Method,
        key::{self, Key, KeyParts},
        time::{Instant, Span},
        xfetch::Draw,
    },
    isolate::{
        identities::Identities,
        key_memo::{KeyMemo, RawRequest},
        metrics::{Counters, MetricEvent, ServedAs},
        state::IsolateState,
    },
    protocol::{
        entry_format, lease,
        message::{Answer, LeaseRequest},
    },
};

const NOW: Instant = Instant(1_700_000_000_000);
fn shared() -> ScopedRoute<'static> {
    let route: &Route = Box::leak(Box::new(route()));
    route.scoped(&Identity::ANONYMOUS).expect("all clients share")
}

const BODY: &[u8] = br#"{"home_team":"Arsenal","away_team":"Chelsea","match_date":"2026-11-22"}"#;

/// Prepares a decision, and returns a function that takes it once per call.
type Case = fn() -> Box<dyn FnMut()>;

const CASES: [(&str, Case); 8] = [
    ("verdict", verdict),
    ("key", key_of_a_body),
    ("recent", recent),
    ("lease", lease_step),
    ("entry", read_entry),
    ("memory", memory),
    ("count", count),
    ("client", client),
];

fn route() -> Route {
    let settings =
        r#"{"ORIGIN_URL":"https://origin.example","ROUTES":[{"path":"/a","ttl":60,"beta":"auto"}]}"#;
    let vars = serde_json::from_str(settings).expect("it is JSON");
    let config = Config::parse(&vars, false).expect("it is a good configuration");
    (*config.routes[0]).clone()
}

fn entry() -> Entry {
    Entry {
        generation: 1_700_000_000_000,
        stored_at: NOW,
        delta: Span(1_000),
        lifetime: Lifetime {
            ttl: Span(60_000),
            stale_while_revalidate: Span(600_000),
            stale_if_error: Span(86_400_000),
            kept: Span::ZERO,
        },
        global_rate: 0,
        committed: true,
        key: asked().text,
        variant: Vec::new(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        etag: "\"0123456789abcdef\"".to_owned(),
        body: Arc::from(vec![b' '; 2_048]),
    }
}

fn asked() -> Key {
    let scope =
        KeyParts { version: "1", origin: "https://origin.example", method: "POST", path: "/a", headers: &[] };
    let body = key::canonical_body(BODY, &BodyFields::All).expect("it is a good body");
    shared().key(&scope, &body)
}

fn warm() -> (IsolateState, Route, Key) {
    let mut local = IsolateState::new(1 << 20, 1_000);
    let key = asked();
    local.memory.accept(key.hash, &Arc::new(entry()), NOW);
    for second in 0..10 {
        local.arrived(&key, &route(), NOW.plus(Span(second * 1_000)));
    }
    (local, route(), key)
}

/// The verdict on an entry in its early window, beta chosen by the rate.
fn verdict() -> Box<dyn FnMut()> {
    let (local, route, key) = warm();
    let (entry, now) = (entry(), NOW.plus(Span(58_000)));
    Box::new(move || {
        let draw = Draw::from_bits(black_box(u64::MAX / 2));
        black_box(local.judge(&key.hash, &route, Some(&entry), now, draw));
    })
}

/// From the bytes of a body to its key: strict parsing, canonical form, SHA-256.
fn key_of_a_body() -> Box<dyn FnMut()> {
    let scope =
        KeyParts { version: "1", origin: "https://origin.example", method: "POST", path: "/a", headers: &[] };
    let scoped = shared();
    Box::new(move || {
        let body = key::canonical_body(black_box(BODY), &BodyFields::All).expect("it is a good body");
        black_box(scoped.key(&scope, &body));
    })
}

/// The same for a repeated request, whose key is in the key memo.
fn recent() -> Box<dyn FnMut()> {
    let mut recent = KeyMemo::default();
    let (method, target) = (Method::Post, String::new());
    let question =
        RawRequest { route: 0, client: 0, method, target, headers: Vec::new(), body: BODY.to_vec() };
    recent.put(&question, asked());
    Box::new(move || {
        black_box(recent.get(black_box(&question)));
    })
}

/// A lease granted and its commit accepted.
fn lease_step() -> Box<dyn FnMut()> {
    let terms = LeaseRequest {
        lease: Span(25_000),
        expected: Span(1_000),
        physical: Span(86_460_000),
        ..LeaseRequest::default()
    };
    let (mut state, mut now, mut seen) = (lease::State::default(), NOW, 0);
    Box::new(move || {
        now = now.plus(Span(10_000));
        if let Answer::Granted { token } = state.acquire(seen, Some(7), terms, now) {
            black_box(state.commit(token, Span::ZERO, entry_lifetime(), now));
            seen = token;
        }
    })
}

fn entry_lifetime() -> Lifetime {
    Lifetime { ttl: Span(60_000), ..Lifetime::default() }
}

/// A stored entry of 2 KB read.
fn read_entry() -> Box<dyn FnMut()> {
    let bytes = entry_format::encode(&entry());
    let key = asked().text;
    Box::new(move || drop(black_box(entry_format::decode(black_box(&bytes), &key))))
}

/// A request arrives: the entry in memory, and the key's rate.
fn memory() -> Box<dyn FnMut()> {
    let (mut local, route, key) = warm();
    let mut now = NOW.plus(Span(10_000));
    Box::new(move || {
        now = now.plus(Span(1));
        black_box(local.arrived(&key, &route, now));
    })
}

/// A client known by its API key: the keyed hash, and its place in the table.
fn client() -> Box<dyn FnMut()> {
    const KEY: &str = "a-key-of-forty-characters-0123456789-abc";
    let mut known = Identities::default();
    known.set_key(Some([7; 16]));
    let hash = known.hash("/a", [Some(KEY)]);
    let acme = Identity { tenant: Some("acme".into()), credential: None };
    known.put(hash, acme, NOW.plus(Span(60_000)));
    Box::new(move || {
        let hash = known.hash("/a", [Some(black_box(KEY))]);
        black_box(known.get(hash, NOW).cloned());
    })
}

/// An answer counted.
fn count() -> Box<dyn FnMut()> {
    let mut counters = Counters::default();
    Box::new(move || {
        counters.fold(black_box(MetricEvent::Answered { class: ServedAs::HitFresh, took: Span(1) }));
    })
}

#[divan::bench(args = CASES.map(|(name, _)| name))]
fn core(bencher: divan::Bencher<'_, '_>, name: &str) {
    let case = CASES.iter().find(|(it, _)| *it == name).expect("it is a case").1;
    bencher.with_inputs(case).bench_local_refs(|decide| decide());
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match &words[..] {
        [_, flag, case, rounds] if flag == "--rounds" => {
            let rounds: usize = rounds.parse().expect("a number of rounds");
            let case = CASES.iter().find(|(name, _)| name == case).expect("a case").1;
            let mut decide = case();
            for _ in 0..rounds {
                decide();
            }
        }
        [_, flag] if flag == "--cases" => println!("{}", CASES.map(|(name, _)| name).join("\n")),
        _ => divan::main(),
    }
}
