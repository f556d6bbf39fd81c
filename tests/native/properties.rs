//! Properties that must hold for all random inputs. A failure leaves a regression file beside this one.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use proptest::prelude::*;
use serde_json::{Map, Value};
use xfetch_edge::{
    core::{
        body_fields::BodyFields,
        canonical_json,
        config::Config,
        entry::{self, Entry, Lifetime},
        freshness::{self, Eagerness},
        http::{self, CacheStatus, KeyedQuery, Ranges},
        key,
        purge::Floor,
        time::{Instant, Span},
        xfetch::{self, Draw, Rule},
    },
    isolate::{
        computation::{Purpose, TriggerOutcome},
        memory::Memory,
        metrics::{Batch, CallOutcome, Counter, Counters, Gauges, Ledger, MetricEvent, ServedAs},
    },
    protocol::{
        entry_format,
        message::{decode_message, decode_reply},
    },
};

fn any_entry() -> impl Strategy<Value = Entry> {
    let times = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    (any::<u64>(), times, any::<bool>(), prop::collection::vec(any::<u8>(), 0..64)).prop_map(
        |(generation, (stored_at, delta, ttl, swr, sie), committed, body)| Entry {
            generation,
            stored_at: Instant(stored_at),
            delta: Span(delta),
            lifetime: Lifetime {
                ttl: Span(ttl),
                stale_while_revalidate: Span(swr),
                stale_if_error: Span(sie),
                kept: Span::ZERO,
            },
            global_rate: 0,
            committed,
            key: "key".into(),
            variant: Vec::new(),
            status: 200,
            headers: vec![],
            etag: entry::etag(&body),
            body: Arc::from(body),
        },
    )
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_000_000_i64..1_000_000).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |it| it.is_finite()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_verdict_exists_for_every_clock_and_every_entry(
        entry in any_entry(), now in any::<u64>(), bits in any::<u64>(),
        beta in prop_oneof![Just(0.01), Just(1.0), Just(100.0)], early_window in 0.01_f64..=1.0,
    ) {
        let eagerness = Eagerness { beta, early_window };
        let _ = freshness::judge(Some(&entry), Instant(now), eagerness, Draw::from_bits(bits));
        prop_assert!(entry.age(Instant(now)).0 <= now);
    }

    #[test]
    fn a_canonical_target_is_a_fixed_point(path in "(/|%[0-9a-fA-F]{0,2}|[a-z.~é]){0,12}", query in "([ab=&;+]|%[0-9a-f]{2}){0,16}") {
        let once = http::plain_escapes(&path);
        prop_assert_eq!(http::plain_escapes(&once), once.clone());
        let canonical = |query: &str| http::canonical_query(query, &KeyedQuery::All, false).unwrap();
        let first = canonical(&query);
        prop_assert_eq!(canonical(first.strip_prefix('?').unwrap_or_default()), first.clone());
    }

    #[test]
    fn no_part_lies_beyond_the_body(field in "bytes=([0-9]{0,3}-[0-9]{0,3},?){0,6}|.{0,24}", length in 0_usize..500) {
        if let Ranges::Parts(parts) = http::ranges(&field, length) {
            prop_assert!(!parts.is_empty() && parts.len() <= 8);
            let total: usize = parts.iter().map(std::iter::ExactSizeIterator::len).sum();
            prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
            prop_assert!(total <= length, "no more is sent than the whole");
        }
    }

    /// `httpdate` refuses leap seconds, years before 1970 and a wrong day of the week.
    #[test]
    fn dates_are_read_as_another_library_reads_them(
        seconds in 0_u64..253_402_300_800, place in 0_usize..29, byte in prop_oneof![any::<u8>(), b'0'..=b'9'],
    ) {
        let now = Instant(1_795_824_000_000);
        let theirs = |text: &str| {
            let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(Instant(since.as_millis() as u64))
        };
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        prop_assert_eq!(http::http_date(&text, now), Some(Instant(seconds * 1_000)));
        let mut changed = text.into_bytes();
        changed[place] = byte;
        let Ok(text) = String::from_utf8(changed) else { return Ok(()) };
        match http::http_date(&text, now) {
            None => prop_assert_eq!(theirs(&text), None, "{}", text),
            Some(Instant::EPOCH) => {}
            Some(_) if text.ends_with(":60 GMT") => {}
            Some(ours) => {
                let written = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(ours.0));
                prop_assert_eq!(&written[5..], &text[5..]);
            }
        }
    }

    #[test]
    fn a_draw_lies_in_the_half_open_interval(bits in any::<u64>()) {
        let value = Draw::from_bits(bits).value();
        prop_assert!(value > 0.0 && value <= 1.0);
    }

    #[test]
    fn a_trigger_becomes_more_likely_towards_expiry(
        bits in any::<u64>(), delta in 1_u64..60_000, beta in 0.01_f64..100.0,
        a in 1_u64..100_000, b in 1_u64..100_000,
    ) {
        let rule = Rule { delta: Span(delta), beta, window: Span(50_000) };
        let (near, far) = (Span(a.min(b)), Span(a.max(b)));
        let draw = Draw::from_bits(bits);
        prop_assert!(!xfetch::triggers(far, rule, draw) || xfetch::triggers(near, rule, draw));
        prop_assert!(xfetch::probability(far, rule) <= xfetch::probability(near, rule));
    }

    #[test]
    fn auto_beta_stays_in_its_bounds(
        rate in any::<f64>(), delta in any::<u64>(), window in any::<u64>(), most in 0.1_f64..100.0,
    ) {
        let beta = xfetch::auto_beta(rate, Span(delta), Span(window), 0.01, most);
        prop_assert!(beta > 0.0 && beta <= most, "{beta}");
    }

    #[test]
    fn a_stored_entry_comes_back_as_it_was(entry in any_entry()) {
        let entry = Entry { committed: true, ..entry };
        prop_assert_eq!(entry_format::decode(&entry_format::encode(&entry), "key"), Ok(entry));
    }

    #[test]
    fn no_changed_byte_of_a_stored_body_is_served(entry in any_entry(), place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = entry_format::encode(&entry);
        // The last four bytes, after the body, hold the key's global rate.
        let end = bytes.len() - 4;
        let body = end - entry.body.len()..end;
        if !body.is_empty() {
            let place = body.start + place.index(body.len());
            bytes[place] ^= 1_u8 << bit;
            prop_assert!(entry_format::decode(&bytes, "key").is_err());
        }
        let cut = place.index(bytes.len());
        prop_assert!(entry_format::decode(&bytes[..cut], "key").is_err());
    }

    #[test]
    fn decoding_arbitrary_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = entry_format::decode(&bytes, "key");
        let _ = decode_message(&bytes);
        let _ = decode_reply(&bytes);
        let _ = key::canonical_body(&bytes, &BodyFields::All);
    }

    #[test]
    fn the_canonical_form_is_a_fixed_point_and_keeps_the_value(value in any_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        if let Ok(canonical) = key::canonical_body(text.as_bytes(), &BodyFields::All) {
            // Not with the strict parser: a double from 2^53 to 10^21 is written as an integer.
            let value: Value = serde_json::from_str(&canonical).unwrap();
            prop_assert_eq!(canonical_json::text(&value), canonical);
        }
    }

    #[test]
    fn the_canonical_text_equals_that_of_another_library(value in any_json()) {
        prop_assert_eq!(canonical_json::text(&value), serde_json_canonicalizer::to_string(&value).unwrap());
    }

    #[test]
    fn every_finite_double_is_written_as_by_another_library(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        if number.is_finite() {
            prop_assert_eq!(canonical_json::text(&number.into()), serde_json_canonicalizer::to_string(&number).unwrap());
        }
    }

    #[test]
    fn every_cache_status_is_a_structured_field(ttl in any::<i64>()) {
        let all = [
            CacheStatus::Hit { ttl, is_stale: false }, CacheStatus::Hit { ttl, is_stale: true },
            CacheStatus::Stored, CacheStatus::Miss, CacheStatus::Collapsed, CacheStatus::FellBack { ttl },
            CacheStatus::Bypass,
        ];
        for status in all {
            let value = status.value();
            let item = sfv::Parser::new(&value).parse::<sfv::Item>().unwrap();
            prop_assert!(item.params.contains_key("hit") != item.params.contains_key("fwd"), "{}", value);
        }
    }

    #[test]
    fn reordering_names_does_not_change_the_key(map in prop::collection::btree_map("[a-z]{1,4}", 0..100_i32, 0..6)) {
        let text = |pairs: Vec<(&String, &i32)>| {
            let inner: Vec<_> = pairs.iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
            format!("{{{}}}", inner.join(" , "))
        };
        let forward = text(map.iter().collect());
        let backward = text(map.iter().rev().collect());
        prop_assert_eq!(key::canonical_body(forward.as_bytes(), &BodyFields::All), key::canonical_body(backward.as_bytes(), &BodyFields::All));
    }

    #[test]
    fn no_setting_makes_the_parser_panic_and_every_refusal_names_the_setting(
        name in prop::sample::select(vec!["ttl", "beta", "origin_timeout", "early_window", "max_request", "fields", "headers", "path", "credentials", "max_waiters", "cache_control"]),
        value in any_json(),
    ) {
        let mut route = Map::new();
        route.insert("path".to_owned(), "/a".into());
        route.insert(name.to_owned(), value);
        let mut vars = Map::new();
        vars.insert("ORIGIN_URL".to_owned(), "https://origin.example".into());
        vars.insert("ROUTES".to_owned(), Value::Array(vec![Value::Object(route)]));
        if let Err(error) = Config::parse(&vars, false) {
            prop_assert!(error.to_string().contains(name), "{}", error);
        }
    }

    #[test]
    fn no_cache_control_makes_the_parser_panic(field in ".{0,64}") {
        let headers = http::StoringHeaders { cache_control: Some(&field), ..Default::default() };
        let _ = headers.allow();
        let _ = http::retry_after(&field, Instant(0));
        let _ = http::is_json(&field);
        let _ = http::unambiguous(&field);
        let _ = http::none_match_names(&field, "\"a\"");
    }

    #[test]
    fn memory_keeps_its_bounds_and_its_generations_never_go_down(
        steps in prop::collection::vec((0_u8..6, 1_u64..20, any::<bool>(), 0_u8..3), 1..80),
    ) {
        let mut memory = Memory::new(4_000, 4);
        let now = Instant(1_000_000);
        for (key, generation, committed, what) in steps {
            let hash = [key; 32];
            let before = memory.get(&hash, "key", now).map(|it| it.generation);
            match what {
                0 => { memory.hear(hash, Floor { soft: generation, hard: 0 }, now); }
                1 => { memory.hear(hash, Floor { soft: 0, hard: generation }, now); }
                _ => {
                    let entry = Entry { committed, ..super::promises::entry(generation, now.0) };
                    memory.accept(hash, &Arc::new(entry), now);
                    let after = memory.get(&hash, "key", now).map(|it| it.generation);
                    prop_assert!(after >= before);
                }
            }
            let floor = memory.floor(&hash);
            if let Some(entry) = memory.get(&hash, "key", now) {
                prop_assert!(entry.generation >= floor.hard);
            }
            prop_assert!(memory.bytes() <= 4_000 && memory.keys() <= 4);
        }
    }

    #[test]
    fn the_sums_hold_after_every_event(events in prop::collection::vec((0_u8..3, 0_u8..5, any::<bool>()), 0..60)) {
        let mut counters = Counters::default();
        for (kind, which, flag) in events {
            let purpose = if flag { Purpose::Early } else { Purpose::Stale };
            counters.fold(match kind {
                0 => MetricEvent::Answered {
                    class: [ServedAs::HitFresh, ServedAs::HitStale, ServedAs::Miss, ServedAs::Bypass, ServedAs::Rejected][usize::from(which)],
                    took: Span(which.into()),
                },
                1 => MetricEvent::Triggered {
                    purpose,
                    trigger: [TriggerOutcome::Started, TriggerOutcome::Contention, TriggerOutcome::RecheckSkip, TriggerOutcome::LockError, TriggerOutcome::Backoff][usize::from(which)],
                },
                _ => MetricEvent::Called {
                    purpose: if which == 0 { Purpose::Cold } else { purpose },
                    call: match which { 0 | 1 => CallOutcome::Ok(Span(7)), 2 | 3 => CallOutcome::Failed(None), _ => CallOutcome::Abandoned },
                },
            });
            let sum = |names: &[Counter]| names.iter().map(|it| counters.get(*it)).sum::<u64>();
            prop_assert_eq!(sum(&[Counter::TotalRequests]), sum(&[Counter::CacheHitFresh, Counter::CacheHitStale, Counter::CacheMiss, Counter::Bypass, Counter::Rejected]));
            prop_assert_eq!(sum(&[Counter::XfetchTriggers]), sum(&[Counter::XfetchEarlyTriggers, Counter::XfetchStaleTriggers]));
            prop_assert_eq!(sum(&[Counter::XfetchTriggers]), sum(&[Counter::RefreshesStarted, Counter::XfetchLockContentionTotal, Counter::XfetchRecheckSkipsTotal, Counter::RefreshLockErrors, Counter::RefreshBackoffs]));
            prop_assert_eq!(sum(&[Counter::XfetchLockContentionTotal]), sum(&[Counter::XfetchLockContentionEarly, Counter::XfetchLockContentionStale]));
            prop_assert_eq!(sum(&[Counter::ComputeCalls]), sum(&[Counter::ComputeCallsCold, Counter::ComputeCallsRefresh]));
            prop_assert_eq!(sum(&[Counter::ComputeCalls]), sum(&[Counter::ComputeOk, Counter::ComputeFailed, Counter::ComputeAbandoned]));
        }
    }

    #[test]
    fn a_batch_counts_once_however_often_it_arrives(repeats in prop::collection::vec(0_usize..4, 1..12)) {
        let mut ledger = Ledger::new("epoch".to_owned(), Instant(0));
        let batch = |sequence: u64| {
            let mut counters = Counters::default();
            counters.fold(MetricEvent::CommitRejected);
            Batch { isolate: "a".to_owned(), sequence, epoch: Some("epoch".to_owned()), counters, gauges: Gauges::default() }
        };
        let mut sent = 0;
        for (sequence, repeats) in (1..).zip(repeats) {
            for _ in 0..=repeats { ledger.take(&batch(sequence), Instant(sequence)); }
            sent += 1;
            prop_assert_eq!(ledger.counters.get(Counter::CommitsRejected), sent);
        }
        let stale = Batch { epoch: Some("older".to_owned()), ..batch(1_000) };
        ledger.take(&stale, Instant(0));
        prop_assert_eq!(ledger.counters.get(Counter::CommitsRejected), sent);
    }
}
