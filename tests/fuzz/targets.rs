//! The fuzz targets: what each does with one input, and the properties that must hold for it.

use std::sync::Arc;

use serde_json::{Map, Value};
use xfetch_edge::{
    core::{
        body_fields::{BodyFields, Pointer},
        canonical_json,
        config::Config,
        entry::{Entry, Lifetime},
        failure::{Failure, Reason},
        http::{self, StoringHeaders},
        key,
        purge::Floor,
        time::{Instant, Span},
        xfetch::Draw,
    },
    protocol::{
        codec, entry_format,
        lease::{self, WaitDecision},
        message::{self, Answer, LeaseRequest, Message, Reply},
    },
};

/// Decodes an input: the first byte selects a seed, and each three bytes that follow insert, remove or
/// replace one byte of it, or cut its end off. If the first byte is `!`, the rest is used as it is.
fn edited(seeds: &[Vec<u8>], input: &[u8]) -> Vec<u8> {
    let Some((first, edits)) = input.split_first() else {
        return Vec::new();
    };
    if *first == b'!' {
        return edits.to_vec();
    }
    let mut bytes = seeds[usize::from(*first) % seeds.len()].clone();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1] >> 2])) % (bytes.len() + 1);
        match edit[1] & 3 {
            0 => bytes.insert(place, edit[2]),
            1 if place < bytes.len() => drop(bytes.remove(place)),
            2 => bytes.truncate(place),
            _ if place < bytes.len() => bytes[place] = edit[2],
            _ => bytes.push(edit[2]),
        }
    }
    bytes
}

fn texts(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|it| it.as_bytes().to_vec()).collect()
}

/// A body is refused, or its canonical form equals that of another implementation of RFC 8785.
pub(crate) fn key(input: &[u8]) {
    let seeds = texts(&[
        r#"{"home_team":"Arsenal","away_team":"Chelsea","match_date":"2026-11-22"}"#,
        r#"{"a":1.5e-7,"b":[true,null,{"c":"\u00e9\ud83d\ude00"}],"1":-0.0}"#,
        r#"["a",1,2.0,1e21,123456789012345]"#,
        r#"{"home_team":"a","home_team":"b"}"#,
    ]);
    let bytes = edited(&seeds, input);
    if let Ok(canonical) = key::canonical_body(&bytes, &BodyFields::All) {
        // Not with the strict parser: a double from 2^53 to 10^21 is written as an integer.
        let again: Value = serde_json::from_str(&canonical).expect("a canonical text is JSON");
        assert_eq!(canonical_json::text(&again), canonical, "it is a fixed point");
        let value: Value = serde_json::from_slice(&bytes).expect("an accepted body is JSON");
        assert_eq!(serde_json_canonicalizer::to_string(&value).expect("it has a canonical form"), canonical);
    }
    let names = ["home_team", "away_team", "match_date"];
    let only = BodyFields::Only(names.iter().filter_map(|name| Pointer::parse(name)).collect());
    if let Ok(canonical) = key::canonical_body(&bytes, &only) {
        let object: Map<String, Value> = serde_json::from_str(&canonical).expect("it is an object");
        assert!(object.keys().all(|name| names.contains(&name.as_str())));
    }
    let all_but = BodyFields::AllBut(Pointer::parse("/home_team").into_iter().collect());
    if let Ok(canonical) = key::canonical_body(&bytes, &all_but) {
        let value: Value = serde_json::from_str(&canonical).expect("it is JSON");
        assert!(value.get("home_team").is_none());
    }
}

fn example() -> Entry {
    Entry {
        generation: 7,
        stored_at: Instant(1_700_000_000_000),
        delta: Span(1_234),
        lifetime: Lifetime {
            ttl: Span(5_000),
            stale_while_revalidate: Span(60_000),
            stale_if_error: Span(600_000),
            kept: Span::ZERO,
        },
        global_rate: 0,
        committed: true,
        key: "key".into(),
        variant: Vec::new(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        etag: "\"abc\"".to_owned(),
        body: Arc::from(&b"{\"a\":1}"[..]),
    }
}

/// Stored bytes are unreadable, or decode to an entry of this key that is the same when encoded and decoded
/// again. Its age, its end and its state under a purge floor can be computed whatever its times are.
pub(crate) fn entry(input: &[u8]) {
    let written = entry_format::encode(&example());
    let bytes = edited(&[written], input);
    if let Ok(entry) = entry_format::decode(&bytes, "key") {
        assert_eq!(&*entry.key, "key");
        assert_eq!(entry_format::decode(&entry_format::encode(&entry), "key").as_ref(), Ok(&entry));
        for now in [0, 1_700_000_003_000, u64::MAX].map(Instant) {
            let (is_gone, is_servable) = (entry.is_gone(now), entry.is_servable(now));
            assert!(
                !(is_gone && is_servable && entry.age(now) >= entry.lifetime.physical()),
                "gone is not served"
            );
            let floor = Floor { soft: 8, hard: 3 };
            if let Some(kept) = floor.applied(Arc::new(entry.clone()), now) {
                assert!(kept.generation >= floor.hard);
            }
        }
    }
}

/// Settings are refused with a sentence that names one of them, or give a complete configuration whose times
/// are within the platform's limits.
pub(crate) fn settings(input: &[u8]) {
    let seeds = texts(&[
        r#"{"ORIGIN_URL":"https://origin.example","ROUTES":[{"path":"/a","ttl":5}]}"#,
        r#"{"ORIGIN_URL":"https://o.example:8443","ROUTES":"[{\"path\":\"/a\",\"fields\":[\"x\"],\"beta\":\"auto\",\"early_window\":0.5}]","FORWARD":["/b"],"CORS_ORIGINS":["https://c.example"],"MEMORY_BYTES":100000}"#,
        r#"{"ORIGIN_URL":"http://127.0.0.1:1","DEVELOPMENT":"true","ROUTES":[{"path":"/a","origin_timeout":20,"credentials":"refuse","headers":["x-lang"]}],"ORIGIN_HEADERS":"{\"x-key\":\"s\"}","ADMIN_TOKEN":"0123456789abcdef"}"#,
    ]);
    let bytes = edited(&seeds, input);
    let Ok(Value::Object(vars)) = serde_json::from_slice(&bytes) else {
        return;
    };
    match Config::parse(&vars, false) {
        Err(refused) => {
            let sentence = refused.to_string();
            assert!(!refused.setting.is_empty() && sentence.contains(&refused.setting), "{sentence}");
            assert!(sentence.len() < 2_000, "it is one sentence: {sentence}");
            for secret in ["ADMIN_TOKEN", "ORIGIN_HEADERS"] {
                let value = vars.get(secret).and_then(Value::as_str).filter(|it| it.len() > 3);
                assert!(value.is_none_or(|value| !sentence.contains(value)), "a secret shows: {sentence}");
            }
        }
        Ok(config) => {
            assert!(!config.routes.is_empty());
            for route in &config.routes {
                assert!(route.lifetime.ttl > Span::ZERO);
                assert!(route.lease() > route.origin_timeout && route.origin_timeout <= Span(20_000));
                assert!(route.early_window > 0.0 && route.early_window <= 1.0);
                assert!(route.path.starts_with('/') && !route.path.starts_with("/_xfetch"));
                assert!(config.origin_of(Some(route)).is_some());
            }
        }
    }
}

/// The header fields on which decisions depend: no input makes a parser panic, and a directive that forbids
/// storing is always found if it is a list member of its own. (Quotes inside a token are invalid; such a
/// field may be read as forbidding storage, which is safe.)
pub(crate) fn fields(input: &[u8]) {
    let seeds = texts(&[
        "max-age=60, private, must-revalidate",
        "no-store",
        "ext=\"a, no-store, \\\"b\", s-maxage=3",
        "W/\"abc\", \"def\"",
        "application/json; charset=\"utf-8\"",
        "xfetch-edge; v=1, other",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "/open/%2e%2e/a;b",
    ]);
    let bytes = edited(&seeds, input);
    let text = String::from_utf8_lossy(&bytes);
    let allowed =
        StoringHeaders { cache_control: Some(&text), vary: None, has_set_cookie: false, is_personal: false }
            .allow();
    let lower = text.to_ascii_lowercase();
    if !text.contains('"') && !lower.contains("private") && !lower.contains("no-store") {
        assert!(allowed, "nothing forbids it: {text}");
    }
    let mut parts = lower.split(',').map(str::trim);
    if !text.contains('"') && parts.any(|it| matches!(it, "no-store" | "private")) {
        assert!(!allowed, "it is forbidden: {text}");
    }
    assert!(
        !StoringHeaders {
            cache_control: Some(&text),
            vary: Some("*"),
            has_set_cookie: false,
            is_personal: false
        }
        .allow()
    );
    let _ = (http::is_json(&text), http::list_names(&text, http::CACHE_NAME));
    assert!(http::none_match_names(&format!("{text}, \"mine\""), "\"mine\""));
    if let Some(delay) = http::retry_after(&text, Instant(1_700_000_000_000)) {
        assert!(text.trim().parse::<u64>().is_ok() || delay < Span(u64::MAX));
    }
    if let Some(decoded) = http::unambiguous(&text) {
        assert_eq!(http::unambiguous(&decoded).as_ref(), Some(&decoded), "it is a fixed point");
        assert!(!decoded.split('/').any(|segment| segment == ".."), "{decoded}");
        assert!(
            !decoded.contains("//")
                && !decoded.contains('\\')
                && !decoded.bytes().any(|b| b.is_ascii_control())
        );
    }
}

fn messages() -> Vec<Vec<u8>> {
    let request = LeaseRequest {
        lease: Span(25_000),
        expected: Span(1_000),
        physical: Span(600_000),
        ..LeaseRequest::default()
    };
    let failure = Failure::Transient { reason: Reason::OriginBusy, retry_after: Some(Span(3_000)) };
    let all = [
        Message::Acquire { seen: 0, nonce: Some(7), request },
        Message::Wait { seen: 3, max_waiters: 100 },
        Message::Commit { token: 1_700_000_000_000, age: Span(5), lifetime: example().lifetime },
        Message::Fail { token: 1_700_000_000_000, failure },
        Message::Purge { hard: false, physical: Span(600_000) },
        Message::Inspect,
        Message::Snapshot,
    ];
    let mut seeds: Vec<_> = all.iter().map(|it| message::encode_message(it, b"entry")).collect();
    let newer = Answer::Newer { generation: 3, age: Span(1), ttl: Span(2) };
    seeds.push(message::encode_reply(
        &Reply { floor: Floor { soft: 1, hard: 2 }, global_rate: 0, answer: newer },
        b"entry",
    ));
    seeds
}

/// Messages are refused, or are the same when encoded and decoded again. Whatever times and tokens they
/// carry, the object's state handles them without a panic, its floors never go down, and it can be stored and
/// read again.
pub(crate) fn message(input: &[u8]) {
    let bytes = edited(&messages(), input);
    if let Some((reply, rest)) = message::decode_reply(&bytes) {
        let again = message::encode_reply(&reply, rest);
        let (same, beside) = message::decode_reply(&again).expect("it was encoded just before");
        assert_eq!(same, reply);
        assert_eq!(beside, rest);
    }
    let Some((message, rest)) = message::decode_message(&bytes) else {
        return;
    };
    let again = message::encode_message(&message, rest);
    let (same, beside) = message::decode_message(&again).expect("it was encoded just before");
    assert_eq!(same, message);
    assert_eq!(beside, rest);
    let mut state = lease::State::default();
    for now in [1_700_000_000_000, 1_700_000_001_000, 0, u64::MAX, 1_700_000_002_000].map(Instant) {
        let before = state.reply(Answer::Again).floor.highest();
        take(&mut state, &message, now);
        assert!(state.reply(Answer::Again).floor.highest() >= before, "a floor went down");
        let stored = codec::join(1, &state, &[]);
        let (read, _) = codec::split::<lease::State>(1, &stored).expect("it was encoded just before");
        assert_eq!(read, state);
    }
}

fn take(state: &mut lease::State, message: &Message, now: Instant) {
    match message.clone() {
        Message::Acquire { seen, nonce, request } => {
            let granted = |answer| if let Answer::Granted { token } = answer { Some(token) } else { None };
            let first = granted(state.acquire(seen, nonce, request, now));
            if let Some(token) = first {
                // A generation seen more than a day ahead, or beyond all tokens, is ignored.
                let most = now.plus(Span::DAY).0.min((1 << 53) - 2);
                assert!(token > seen || seen > most, "a token below what was seen");
                assert_eq!(state.commit(token, Span::ZERO, example().lifetime, now).0, Answer::Committed);
            }
        }
        Message::Wait { seen, max_waiters } => {
            if let WaitDecision::Sleep(time) = state.wait(seen, 0, max_waiters, now) {
                assert!(time <= Span(60_000), "{time:?}");
            }
        }
        Message::Commit { token, age, lifetime } => drop(state.commit(token, age, lifetime, now)),
        Message::Fail { token, failure } => drop(state.fail(token, failure, now, Draw::NEVER_EARLY)),
        Message::Purge { hard, physical } => drop(state.purge(hard, physical, now)),
        Message::Inspect | Message::Snapshot => drop(state.inspect(0, now)),
    }
    let _ = (state.next_clean_up(now), state.clean_up(0, now));
}
