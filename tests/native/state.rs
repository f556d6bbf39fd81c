//! Edge cases of the decisions of one isolate: whether a refresh begins, whether the origin may be called,
//! and what the isolate remembers of a refresh that has ended.

use std::{rc::Rc, sync::Arc};

use crate::promises::shared;
use xfetch_edge::{
    core::{
        config::{Config, Route},
        entry::{Entry, Lifetime},
        failure::{Failure, PASS_TTL, Reason},
        key::{Key, KeyParts},
        purge::Floor,
        time::{Instant, Span},
    },
    isolate::{
        computation::{Purpose, TriggerOutcome},
        memory::Memory,
        refresh::{Refresh, RefreshInput},
        refresh_gate::{Blocked, RefreshGate},
        refresh_outcome::RefreshOutcome,
        state::IsolateState,
    },
    protocol::colo_record::ColoRecord,
};

const NOW: Instant = Instant(1_000_000);
const TTL: Span = Span(10_000);

fn at(milliseconds: u64) -> Instant {
    NOW.plus(Span(milliseconds))
}

fn route() -> Rc<Route> {
    let settings = serde_json::json!({
        "ORIGIN_URL": "https://api.example",
        "ROUTES": [{ "path": "/api", "ttl": 10, "max_origin_calls": 2, "origin_timeout": 5 }],
    });
    let config = Config::parse(settings.as_object().expect("a table"), false).expect("good settings");
    Rc::clone(&config.routes[0])
}

fn known() -> Key {
    shared().key(&KeyParts { version: "1", origin: "o", method: "POST", path: "/", headers: &[] }, "{}")
}

fn local() -> IsolateState {
    IsolateState::new(1 << 20, 10)
}

fn entry(key: &Key, body: &[u8]) -> Arc<Entry> {
    Arc::new(Entry {
        generation: 7,
        stored_at: NOW,
        delta: Span(1_500),
        lifetime: Lifetime { ttl: TTL, stale_while_revalidate: TTL, stale_if_error: TTL, kept: Span::ZERO },
        global_rate: 0,
        committed: true,
        key: Arc::clone(&key.text),
        variant: Vec::new(),
        status: 200,
        headers: Vec::new(),
        etag: String::new(),
        body: Arc::from(body),
    })
}

fn refresh(purpose: Purpose, delta: Option<Span>) -> Refresh {
    let key = known();
    let lifetime = Lifetime { ttl: TTL, stale_while_revalidate: TTL, stale_if_error: TTL, kept: Span::ZERO };
    Refresh::new(
        RefreshInput {
            key: key.text,
            lifetime,
            pass_ttl: PASS_TTL,
            seen: 7,
            delta,
            ..RefreshInput::default()
        },
        purpose,
    )
}

fn failed() -> Failure {
    Failure::Transient { reason: Reason::OriginError, retry_after: None }
}

#[test]
fn a_refresh_begins_unless_one_is_under_way_and_each_has_its_own_mark() {
    let (mut local, route, key) = (local(), route(), known().hash);
    let first = local.trigger(key, &route, NOW).expect("nothing is under way");
    assert_eq!(local.trigger(key, &route, NOW), Err(TriggerOutcome::Contention));
    assert_eq!(local.begin(key, NOW, TTL), Err(Blocked::UnderWay));
    let other = local.begin([9; 32], NOW, TTL).expect("another key");
    assert_ne!(first, other);
    // The owner of another key's mark cannot remove this key's mark.
    local.gate.end(&key, other);
    assert_eq!(local.trigger(key, &route, NOW), Err(TriggerOutcome::Contention));
    local.gate.end(&key, first);
    let second = local.trigger(key, &route, NOW).expect("it has ended");
    assert_ne!(first, second);
    assert_eq!(local.trigger(key, &route, NOW.plus(route.lease())).map(|_| ()), Ok(()), "a lease later");
    let owner = local.gate.begin(key, NOW, route.lease());
    local.gate.end_failed(key, owner, &failed(), NOW, Span(3_000));
    assert_eq!(local.trigger(key, &route, at(2_999)), Err(TriggerOutcome::Backoff));
    assert_eq!(local.trigger(key, &route, at(3_000)).map(|_| ()), Ok(()));
}

#[test]
fn the_number_of_concurrent_origin_calls_is_bounded() {
    let (mut local, route, key) = (local(), route(), known().hash);
    for under_way in 0..2 {
        assert!(local.has_room(&route, NOW), "{under_way} of two");
        local.calls.begin(Purpose::Cold, NOW, route.lease());
    }
    assert!(!local.has_room(&route, NOW));
    assert_eq!(local.trigger(key, &route, NOW), Err(TriggerOutcome::Backoff), "there is no room");
    local.gate.begin(key, NOW, route.lease());
    assert_eq!(local.trigger(key, &route, NOW), Err(TriggerOutcome::Contention), "it is under way already");
    assert_eq!(local.calls.sweep(NOW.plus(route.lease())).len(), 2);
    assert!(local.has_room(&route, NOW));
}

#[test]
fn without_the_object_the_origin_is_called_once_per_computation_time_and_cold_once_per_time_out() {
    let (route, key) = (route(), known().hash);
    let calls = |purpose, delta, again: u64| {
        let mut local = local();
        let refresh = refresh(purpose, delta);
        let first = local.may_compute_without_lease(key, &route, &refresh, NOW);
        (first, local.may_compute_without_lease(key, &route, &refresh, at(again)))
    };
    for (purpose, delta, pause) in [
        (Purpose::Early, Some(Span(4_000)), 4_000),
        (Purpose::Stale, Some(Span(4_000)), 4_000),
        (Purpose::Stale, Some(Span(10)), 1_000),
        (Purpose::Stale, None, 1_000),
        (Purpose::Cold, Some(Span(4_000)), 6_000),
    ] {
        assert_eq!(calls(purpose, delta, pause - 1), (true, false), "{purpose:?} {delta:?}");
        assert_eq!(calls(purpose, delta, pause), (true, true), "{purpose:?} {delta:?}");
    }
}

/// What blocks the next refresh, this long after one with this purpose has ended with this outcome.
fn after(purpose: Purpose, ending: &RefreshOutcome, milliseconds: u64) -> Option<Blocked> {
    let (mut local, key, route) = (local(), known().hash, route());
    let owner = local.gate.begin(key, NOW, route.lease());
    local.ended(key, owner, &refresh(purpose, Some(Span(2_000))), ending, NOW);
    local.gate.blocked(&key, at(milliseconds))
}

#[test]
fn the_refresh_gate_keeps_each_outcome_for_its_own_time() {
    let stored = entry(&known(), b"{}");
    let backed_off = RefreshOutcome::BackedOff { failure: failed(), retry_after: Span(4_000) };
    let told = |seconds: u64| Failure::Transient {
        reason: Reason::OriginError,
        retry_after: Some(Span(seconds * 1_000)),
    };
    for (purpose, ending, milliseconds) in [
        (Purpose::Stale, RefreshOutcome::Held { retry_in: Span(700) }, 700),
        (Purpose::Cold, RefreshOutcome::Held { retry_in: Span(700) }, 700),
        (Purpose::Stale, backed_off.clone(), 4_000),
        (Purpose::Cold, backed_off, 4_000),
        (Purpose::Stale, RefreshOutcome::Failed(told(3)), 3_000),
        (Purpose::Cold, RefreshOutcome::Failed(failed()), 1_000),
        // For the time of a computation, so that the next request does not ask the lost object again.
        (Purpose::Stale, RefreshOutcome::ObjectLost, 2_000),
        (Purpose::Early, RefreshOutcome::Uncommitted(Arc::clone(&stored)), 2_000),
    ] {
        assert!(after(purpose, &ending, milliseconds - 1).is_some(), "{purpose:?} {ending:?}");
        assert_eq!(after(purpose, &ending, milliseconds), None, "{purpose:?} {ending:?}");
    }
    for (purpose, ending) in [
        // A cold request polls memory meanwhile, so the next one may ask at once.
        (Purpose::Cold, RefreshOutcome::ObjectLost),
        (Purpose::Cold, RefreshOutcome::Uncommitted(Arc::clone(&stored))),
        (Purpose::Stale, RefreshOutcome::Stored(Arc::clone(&stored))),
        (Purpose::Stale, RefreshOutcome::Adopted(Arc::clone(&stored))),
        (Purpose::Stale, RefreshOutcome::AdoptedFromColo(Arc::clone(&stored))),
        (Purpose::Stale, RefreshOutcome::Rejected(stored)),
        (Purpose::Stale, RefreshOutcome::Failed(Failure::GivenBack)),
    ] {
        assert_eq!(after(purpose, &ending, 0), None, "{purpose:?} {ending:?}");
    }
}

#[test]
fn a_lease_request_carries_the_lease_the_cost_and_the_arrival_rate() {
    let (mut local, route, key) = (local(), route(), known());
    local.name = 5;
    let terms = local.lease_request(&key.hash, &route, None);
    assert_eq!((terms.lease, terms.expected), (route.lease(), Span::SECOND));
    assert_eq!(terms.physical, route.lifetime.physical());
    assert_eq!((terms.share.isolate, terms.share.millihertz), (5, 0), "nothing is known");
    local.memory.accept(key.hash, &entry(&key, b"{}"), NOW);
    for request in 0..=40 {
        local.arrived(&key, &route, at(request * 250));
    }
    let terms = local.lease_request(&key.hash, &route, Some(Span(1_500)));
    assert_eq!(terms.expected, Span(1_500));
    assert!((3_900..=4_100).contains(&terms.share.millihertz), "{} of 4 a second", terms.share.millihertz);
}

#[test]
fn a_full_refresh_gate_still_replaces_the_marks_that_it_holds() {
    let mut marks = RefreshGate::new(2);
    for key in [1, 2] {
        marks.begin([key; 32], NOW, TTL);
    }
    marks.begin([3; 32], NOW, TTL);
    assert_eq!(marks.blocked(&[3; 32], NOW), None, "there is no room: the object decides");
    let owner = marks.begin([1; 32], NOW, TTL);
    marks.end_failed([1; 32], owner, &failed(), NOW, TTL);
    let is_backing_off = |it| matches!(it, Some(Blocked::BackingOff { .. }));
    assert!(is_backing_off(marks.blocked(&[1; 32], NOW)), "key 1 has a mark to replace");
    assert_eq!(marks.blocked(&[2; 32], NOW), Some(Blocked::UnderWay), "other marks are kept");
    marks.begin([3; 32], NOW.plus(TTL), TTL);
    assert_eq!(marks.blocked(&[3; 32], NOW.plus(TTL)), Some(Blocked::UnderWay), "expired marks are removed");
}

#[test]
fn memory_accounts_its_bytes_and_accepts_an_entry_of_the_exact_limit() {
    let key = known();
    let (small, large) = (entry(&key, &[b'x'; 10]), entry(&key, &[b'x'; 1_010]));
    let weighed = |entry: &Arc<Entry>| {
        let mut memory = Memory::new(1 << 20, 10);
        assert!(memory.accept(key.hash, entry, NOW));
        memory.bytes()
    };
    let bare = weighed(&small) - small.weight();
    assert!(bare > 0, "floor and rate are counted, too");
    assert_eq!(weighed(&large) - weighed(&small), 1_000);
    let exactly = large.weight() + bare;
    for (room, fits) in [(exactly - 1, false), (exactly, true), (exactly + 1, true)] {
        let mut memory = Memory::new(room, 10);
        assert_eq!(memory.accept(key.hash, &large, NOW), fits, "{room} bytes");
        assert_eq!(memory.bytes(), if fits { exactly } else { 0 });
    }
}

#[test]
fn a_colo_entry_enters_memory_unless_it_was_purged() {
    let known = known();
    let look = |local: &mut IsolateState, floor| {
        let found =
            local.adopt_from_colo(known.hash, ColoRecord { floor, entry: Some(entry(&known, b"{}")) }, at(1));
        let kept = local.memory.get(&known.hash, &known.text, at(1));
        let expiry = |entry: Option<Arc<Entry>>| entry.map(|entry| entry.expiry());
        (expiry(found), expiry(kept))
    };
    let soft = |soft| Floor { soft, hard: 0 };
    let hard = |hard| Floor { soft: 0, hard };
    // With the floor in the colo's record.
    assert_eq!(look(&mut local(), Floor::default()), (Some(at(10_000)), Some(at(10_000))));
    assert_eq!(look(&mut local(), soft(8)), (Some(at(1)), Some(at(1))));
    assert_eq!(look(&mut local(), hard(8)), (None, None));
    // With a floor that this isolate has heard of and the colo has not.
    for (floor, left) in [(soft(8), Some(at(1))), (hard(8), None)] {
        let mut local = local();
        assert!(local.hear(known.hash, floor, at(1)));
        assert_eq!(look(&mut local, Floor::default()), (left, left), "{floor:?}");
    }
    // The floor of a record without an entry is heard, too.
    let mut local = local();
    assert!(local.adopt_from_colo(known.hash, ColoRecord { floor: hard(8), entry: None }, at(1)).is_none());
    assert_eq!(local.memory.floor(&known.hash), hard(8));
}

#[test]
fn a_looked_up_entry_purged_meanwhile_is_not_served() {
    let key = known();
    let found = entry(&key, b"{}");
    for (floor, is_left) in
        [(Floor::default(), true), (Floor { soft: 0, hard: 7 }, true), (Floor { soft: 0, hard: 8 }, false)]
    {
        for in_hand in [None, Some(Arc::clone(&found))] {
            let mut local = local();
            local.hear(key.hash, floor, NOW);
            let left = local.after_colo(&key, Some(Arc::clone(&found)), in_hand, at(1));
            assert_eq!(left.is_some(), is_left, "{floor:?}");
        }
    }
    let mut local = local();
    local.hear(key.hash, Floor { soft: 8, hard: 0 }, NOW);
    let left = local.after_colo(&key, Some(found), None, at(1)).expect("the stale entry");
    assert!(left.expiry() <= at(1), "stale");
}

#[test]
fn an_entry_used_since_the_last_sweep_is_spared_once() {
    let key = known();
    let mut memory = Memory::new(1 << 20, 3);
    let has = |memory: &Memory, number: u8| memory.floor(&[number; 32]).hard > 0;
    let put = |memory: &mut Memory, number: u8| {
        // The floor shows whether a key is known, and reading it does not count as a use.
        memory.hear([number; 32], Floor { soft: 0, hard: 1 }, NOW);
    };
    for number in [1, 2, 3] {
        put(&mut memory, number);
    }
    assert_eq!(memory.keys(), 3, "as many as there is room for");
    put(&mut memory, 4);
    assert_eq!((memory.keys(), has(&memory, 1)), (3, false), "all keys were used: the first is removed");
    memory.get(&[2; 32], &key.text, NOW);
    put(&mut memory, 5);
    assert_eq!((has(&memory, 2), has(&memory, 3)), (true, false), "the second was used since");
    assert!(has(&memory, 4) && has(&memory, 5));
}

#[test]
fn a_large_entry_evicts_only_as_much_as_it_needs() {
    let key = known();
    let (small, large) = (entry(&key, &[b'x'; 100]), entry(&key, &[b'x'; 1_000]));
    let weight = {
        let mut memory = Memory::new(1 << 20, 10);
        memory.accept([1; 32], &small, NOW);
        memory.bytes()
    };
    let mut memory = Memory::new(4 * weight, 10);
    for number in 1..=4 {
        memory.accept([number; 32], &small, NOW);
        assert_eq!((memory.keys(), memory.bytes()), (usize::from(number), usize::from(number) * weight));
    }
    memory.accept([5; 32], &large, NOW);
    let free = 4 * weight - (weight + 900);
    let left = free / weight;
    assert!(left < 3, "more than one has to go");
    assert_eq!((memory.keys(), memory.bytes()), (left + 1, (left + 1) * weight + 900));
    assert!(memory.get(&[5; 32], &key.text, NOW).is_some());
}
