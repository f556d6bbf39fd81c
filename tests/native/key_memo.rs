//! The memo of recent requests: it never returns the key of another request, is bounded, and may forget.

use proptest::prelude::*;
use xfetch_edge::{
    core::http::Method,
    isolate::key_memo::{KeyMemo, RawRequest},
};

fn question(route: usize, header: Option<&str>, body: &[u8]) -> RawRequest {
    let headers = vec![("accept-language".to_owned(), header.map(str::to_owned))];
    RawRequest { route, client: 0, method: Method::Post, target: String::new(), headers, body: body.to_vec() }
}

#[test]
fn only_an_identical_request_is_found_in_the_key_memo() {
    let mut recent = KeyMemo::default();
    let asked = question(0, Some("de"), br#"{"home":"A"}"#);
    assert_eq!(recent.get(&asked), None);
    recent.put(&asked, 1);
    assert_eq!(recent.get(&asked), Some(&mut 1));
    for other in [
        question(1, Some("de"), br#"{"home":"A"}"#),
        question(0, Some("en"), br#"{"home":"A"}"#),
        question(0, None, br#"{"home":"A"}"#),
        question(0, Some("de"), br#"{"home": "A"}"#),
        question(0, Some("de"), b""),
    ] {
        assert_eq!(recent.get(&other), None, "{other:?}");
    }
    let target = RawRequest { target: "/a".to_owned(), ..asked.clone() };
    let client = RawRequest { client: 1, ..asked.clone() };
    let method = RawRequest { method: Method::Query, ..asked.clone() };
    for other in [target, client, method] {
        assert_eq!(recent.get(&other), None, "{other:?}");
    }
}

#[test]
fn a_long_request_is_not_remembered() {
    let mut recent = KeyMemo::default();
    for (length, is_known) in [(1_024, true), (1_025, false)] {
        let asked = question(0, None, &vec![b' '; length]);
        assert_eq!(recent.put(&asked, length), is_known, "{length}");
        assert_eq!(recent.get(&asked).is_some(), is_known, "{length}");
    }
    for (length, is_known) in [(1_022, true), (1_023, false)] {
        let asked = question(0, Some(&"x".repeat(length)), b"{}");
        assert_eq!(recent.put(&asked, length), is_known, "a header of {length}");
        assert_eq!(recent.get(&asked).is_some(), is_known, "a header of {length}");
    }
}

#[test]
fn the_key_memo_is_bounded_in_number() {
    let mut recent = KeyMemo::default();
    let all: Vec<_> = (0..10_000).map(|number| question(0, None, format!("{number}").as_bytes())).collect();
    for (number, asked) in all.iter().enumerate() {
        recent.put(asked, number);
    }
    let known = all.iter().filter(|asked| recent.get(asked).is_some()).count();
    assert!((256..=512).contains(&known), "{known} of 512 slots");
}

#[test]
fn similar_requests_have_different_slots() {
    for body in ["{\"match\":NNN}", "NNN{\"home_team\":\"Arsenal\",\"away_team\":\"Chelsea\"}", "NNN"] {
        let mut recent = KeyMemo::default();
        let bodies = (0..256).map(|number| body.replace("NNN", &format!("{number:03}")));
        let all: Vec<_> = bodies.map(|body| question(0, None, body.as_bytes())).collect();
        for asked in &all {
            recent.put(asked, ());
        }
        let known = all.iter().filter(|asked| recent.get(asked).is_some()).count();
        // With random slots 201 of 256 requests are still known at the end, give or take 6.
        assert!(known > 175, "{known} of 256 are known of {body}");
    }
}

proptest! {
    #[test]
    fn the_key_memo_returns_the_last_value(steps in prop::collection::vec((0usize..3, "[ab]{0,3}", any::<bool>()), 1..200)) {
        let mut recent = KeyMemo::default();
        let mut last = std::collections::BTreeMap::new();
        for (number, (route, body, puts)) in steps.into_iter().enumerate() {
            let asked = question(route, None, body.as_bytes());
            if puts {
                recent.put(&asked, number);
                last.insert((route, body), number);
            } else if let Some(found) = recent.get(&asked) {
                prop_assert_eq!(Some(&*found), last.get(&(route, body)));
            }
        }
    }
}
