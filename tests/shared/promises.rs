//! Promises that are tested natively and in the browser from one source: the rule at the ends of its range,
//! verdicts, keys, and clock steps.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::sync::Arc;

use xfetch_edge::core::{
    access::Identity,
    body_fields::{BodyFields, Pointer},
    config::{Route, ScopedRoute},
    entry::{self, Entry, Lifetime},
    freshness::{self, Eagerness, Verdict},
    key::{self, KeyParts},
    purge::Floor,
    time::{Instant, Span},
    xfetch::{self, Draw, Rule},
};

/// A route that all clients share.
pub(crate) fn shared() -> ScopedRoute<'static> {
    let route: &Route = Box::leak(Box::new(Route::with_defaults("/".to_owned())));
    route.scoped(&Identity::ANONYMOUS).expect("all clients share")
}

pub(crate) fn entry(generation: u64, stored_at: u64) -> Entry {
    Entry {
        generation,
        stored_at: Instant(stored_at),
        delta: Span(1_000),
        lifetime: Lifetime {
            ttl: Span(5_000),
            stale_while_revalidate: Span(10_000),
            stale_if_error: Span(60_000),
            kept: Span::ZERO,
        },
        global_rate: 0,
        committed: true,
        key: "key".into(),
        variant: Vec::new(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        etag: entry::etag(b"{}"),
        body: Arc::from(&b"{}"[..]),
    }
}

const EAGER: Eagerness = Eagerness { beta: 1.0, early_window: 0.5 };

fn verdict(entry: &Entry, now: u64, draw: Draw) -> Verdict {
    freshness::judge(Some(entry), Instant(now), EAGER, draw)
}

#[test]
fn a_draw_is_never_zero_and_can_be_one() {
    assert!(Draw::from_bits(0).value() > 0.0);
    assert!(Draw::from_bits(u64::MAX).value() >= 1.0);
    assert!(Draw::from_bits(0).value().ln().is_finite());
}

#[test]
fn without_entropy_an_entry_stays_fresh_until_its_expiry() {
    let entry = entry(1, 100_000);
    assert_eq!(verdict(&entry, 104_999, Draw::NEVER_EARLY), Verdict::Fresh);
    assert_eq!(verdict(&entry, 105_000, Draw::NEVER_EARLY), Verdict::Stale);
}

#[test]
fn the_draw_and_beta_decide_how_early_a_request_triggers() {
    let rule = |beta| Rule { delta: Span(1_000), beta, window: Span(60_000) };
    let draw = Draw::from_bits(u64::MAX / 7);
    // -ln(1/7) is 1.9459: with beta 1 the draw triggers from 1,945 ms before expiry, with beta 2 from 3,891.
    assert!(xfetch::triggers(Span(1_945), rule(1.0), draw));
    assert!(!xfetch::triggers(Span(1_947), rule(1.0), draw));
    assert!(xfetch::triggers(Span(3_891), rule(2.0), draw));
    assert!(!xfetch::triggers(Span(3_893), rule(2.0), draw));
}

#[test]
fn the_verdict_uses_the_measured_cost_to_the_millisecond_and_the_routes_beta() {
    // -ln(1/7) is 1.9459: a cost of 412 ms triggers from 801 ms before expiry on, with beta 2 from 1,603.
    let entry = Entry { delta: Span(412), ..entry(1, 100_000) };
    let draw = Draw::from_bits(u64::MAX / 7);
    let judge = |beta, remaining: u64| {
        let eagerness = Eagerness { beta, early_window: 0.5 };
        freshness::judge(Some(&entry), Instant(105_000 - remaining), eagerness, draw)
    };
    assert_eq!(judge(1.0, 801), Verdict::RefreshEarly);
    assert_eq!(judge(1.0, 802), Verdict::Fresh);
    assert_eq!(judge(2.0, 1_603), Verdict::RefreshEarly);
    assert_eq!(judge(2.0, 1_604), Verdict::Fresh);
}

#[test]
fn no_refresh_begins_before_the_early_window() {
    let entry = entry(1, 100_000);
    let smallest = Draw::from_bits(0);
    assert_eq!(verdict(&entry, 102_499, smallest), Verdict::Fresh);
    assert_eq!(verdict(&entry, 102_500, smallest), Verdict::RefreshEarly);
}

#[test]
fn an_entry_outlives_its_expiry() {
    let entry = entry(1, 100_000);
    assert_eq!(verdict(&entry, 105_000, Draw::NEVER_EARLY), Verdict::Stale);
    assert_eq!(verdict(&entry, 114_999, Draw::NEVER_EARLY), Verdict::Stale);
    assert_eq!(verdict(&entry, 115_000, Draw::NEVER_EARLY), Verdict::Miss { usable_on_error: true });
    assert_eq!(verdict(&entry, 164_999, Draw::NEVER_EARLY), Verdict::Miss { usable_on_error: true });
    assert_eq!(verdict(&entry, 165_000, Draw::NEVER_EARLY), Verdict::Miss { usable_on_error: false });
    assert!(!entry.is_gone(Instant(164_999)) && entry.is_gone(Instant(165_000)));
}

#[test]
fn stale_if_error_may_be_shorter_than_stale_while_revalidate() {
    let mut entry = entry(1, 100_000);
    entry.lifetime.stale_if_error = Span(1_000);
    assert_eq!(verdict(&entry, 114_999, Draw::NEVER_EARLY), Verdict::Stale);
    assert_eq!(verdict(&entry, 115_000, Draw::NEVER_EARLY), Verdict::Miss { usable_on_error: false });
    assert!(entry.is_gone(Instant(115_000)));
}

#[test]
fn an_entry_from_the_future_is_stale_and_its_age_is_zero() {
    let entry = entry(1, 3_600_000);
    assert_eq!(verdict(&entry, 3_595_000, Draw::NEVER_EARLY), Verdict::Fresh);
    assert_eq!(verdict(&entry, 3_594_999, Draw::NEVER_EARLY), Verdict::Stale);
    assert_eq!(verdict(&entry, 0, Draw::from_bits(0)), Verdict::Stale);
    assert_eq!(entry.age(Instant(0)), Span::ZERO);
}

#[test]
fn the_cost_is_clamped_on_both_sides() {
    assert_eq!(xfetch::clamp_delta(Span(0), Span(5_000)), Span(1));
    assert_eq!(xfetch::clamp_delta(Span(5_000), Span(5_000)), Span(2_500));
    assert_eq!(xfetch::smooth_delta(None, Span(0)), Span(1));
}

#[test]
fn one_outlier_moves_the_cost_by_less_than_its_own_size() {
    let steady = Span(1_000);
    let quick = xfetch::smooth_delta(Some(steady), Span(1));
    let slow = xfetch::smooth_delta(Some(steady), Span(15_000));
    assert!(quick > Span(100), "{quick:?}");
    assert!(slow < Span(2_500), "{slow:?}");
}

#[test]
fn a_body_has_one_canonical_form() {
    let canonical = |text: &str| key::canonical_body(text.as_bytes(), &BodyFields::All);
    let one = canonical("{\"b\":1.0,\"a\":\"A\"}").unwrap();
    assert_eq!(one, "{\"a\":\"A\",\"b\":1}");
    assert_eq!(canonical(" {\"a\" : \"\\u0041\" ,\n\"b\":1e0}").unwrap(), one);
    assert_ne!(canonical("\"\u{e9}\"").unwrap(), canonical("\"e\u{301}\"").unwrap());
    assert_ne!(canonical("\"a\u{200b}\"").unwrap(), canonical("\"a\"").unwrap());
}

#[test]
fn a_body_without_a_canonical_form_is_refused() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for text in [
        "",
        " ",
        "{",
        "{\"a\":1,\"a\":1}",
        "{\"a\":{\"b\":1,\"b\":2}}",
        "1e400",
        "9007199254740993",
        "-9007199254740993",
        "18446744073709551615",
        "\"\\ud800\"",
        "{} {}",
        "nul",
        "\u{feff}{}",
        &deep,
    ] {
        assert!(key::canonical_body(text.as_bytes(), &BodyFields::All).is_err(), "{text:.40}");
    }
    assert!(key::canonical_body(b"\"\xff\"", &BodyFields::All).is_err());
}

#[test]
fn a_body_has_only_the_fields_that_its_route_names() {
    let fields = BodyFields::Only(["a", "b"].iter().filter_map(|name| Pointer::parse(name)).collect());
    let check = |text: &str| key::canonical_body(text.as_bytes(), &fields);
    assert!(check("{\"a\":\"x\",\"b\":[null,{\"c\":1}]}").is_ok());
    for text in ["[]", "1", "{\"c\":1}", "{\"a\":1,\"c\":{}}"] {
        assert!(check(text).is_err(), "{text:.40}");
    }
}

#[test]
fn requests_that_differ_have_different_keys() {
    let headers = |value: Option<&str>| vec![("x-lang".to_owned(), value.map(str::to_owned))];
    let key = |version: &str, path: &str, value: Option<&str>, body: &str| {
        let headers = headers(value);
        shared().key(&KeyParts { version, origin: "o", method: "POST", path, headers: &headers }, body).hash
    };
    let base = key("1", "/a", None, "{}");
    assert_eq!(base, key("1", "/a", None, "{}"));
    for other in [
        key("2", "/a", None, "{}"),
        key("1", "/b", None, "{}"),
        key("1", "/a", Some(""), "{}"),
        key("1", "/a", Some("x"), "{}"),
        key("1", "/a", None, "[]"),
        key("1", "/a\",\"", None, "{}"),
    ] {
        assert_ne!(base, other);
    }
    let body = |text: &str| key::canonical_body(text.as_bytes(), &BodyFields::All).unwrap();
    assert_ne!(
        key("1", "/a", None, &body(r#"{"a":"A|B","b":"C"}"#)),
        key("1", "/a", None, &body(r#"{"a":"A","b":"B|C"}"#))
    );
    assert_ne!(
        key("1", "/a", None, &body(r#"{"a":"X","b":"Y"}"#)),
        key("1", "/a", None, &body(r#"{"a":"Y","b":"X"}"#))
    );
}

#[test]
fn a_floor_drops_or_expires_entries_below_it() {
    let now = Instant(101_000);
    let apply = |soft, hard| Floor { soft, hard }.applied(Arc::new(entry(5, 100_000)), now);
    assert_eq!(apply(5, 5), Some(Arc::new(entry(5, 100_000))));
    assert_eq!(apply(0, 6), None);
    let expired = apply(6, 0).unwrap();
    assert_eq!(expired.expiry(), now);
    assert_eq!(verdict(&expired, 101_000, Draw::NEVER_EARLY), Verdict::Stale);
    let uncommitted = Arc::new(Entry { committed: false, ..entry(5, 100_000) });
    assert_eq!(Floor { soft: 6, hard: 0 }.applied(uncommitted, now), None);
}
