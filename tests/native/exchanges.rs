//! Single exchanges with the object's rules and the state machines, each for one line that the exhaustive search
//! does not cover. Regressions of older rules are in `traces.rs`; new tests of a whole task go to `tasks.rs`.

use std::sync::Arc;

use crate::promises::shared;
use xfetch_edge::{
    core::{
        entry::Entry,
        failure::{Failure, PASS_TTL, Reason},
        global_rate::RateShare,
        key::KeyParts,
        purge::Floor,
        time::{Instant, Span},
        xfetch::Draw,
    },
    isolate::{
        computation::{Computed, Purpose},
        metrics::CallOutcome,
        miss::{self, Miss, MissOutcome},
        refresh::{Refresh, RefreshAction, RefreshEvent, RefreshInput},
        refresh_gate::{Blocked, RefreshGate},
        refresh_outcome::RefreshOutcome,
    },
    protocol::{
        entry_format::{self, Unreadable},
        lease::{self, State, WaitDecision, Wake},
        message::{Answer, LeaseRequest, Message, Reply},
    },
};

use super::{
    promises::entry,
    traces::{LIFETIME, NOW, at, transient},
};

fn terms(lease: u64) -> LeaseRequest {
    let (lease, expected, physical) = (Span(lease), Span(1_000), LIFETIME.physical());
    LeaseRequest { lease, expected, physical, share: RateShare::default() }
}

fn granted(state: &mut State, seen: u64, lease: u64, now: Instant) -> u64 {
    match state.acquire(seen, Some(1), terms(lease), now) {
        Answer::Granted { token } => token,
        other => panic!("a grant, but {other:?}"),
    }
}

fn reply(floor: Floor, answer: Answer) -> Reply {
    Reply { floor, global_rate: 0, answer }
}

fn hard(hard: u64) -> Floor {
    Floor { soft: 0, hard }
}

fn computed(status: u16, storable: bool) -> Computed {
    let (headers, body) = (Vec::new(), Arc::from(&b"1"[..]));
    Computed { status, headers, body, delta: Span(900), storable, at: NOW, ..Computed::default() }
}

/// A refresh that has sent its commit under token 9, after a grant that carried this floor.
fn handed_in(floor: Floor) -> (Refresh, Arc<Entry>) {
    let subject = RefreshInput {
        key: "key".into(),
        lifetime: LIFETIME,
        pass_ttl: PASS_TTL,
        seen: 4,
        ..RefreshInput::default()
    };
    let mut refresh = Refresh::new(subject, Purpose::Cold);
    refresh.on(RefreshEvent::Started, NOW);
    refresh.on(RefreshEvent::Replied(reply(floor, Answer::Granted { token: 9 }), None), NOW);
    match refresh.on(RefreshEvent::Computed(computed(200, true)), NOW) {
        RefreshAction::Commit(entry) => (refresh, entry),
        other => panic!("it is handed in, but {other:?}"),
    }
}

// A computation.

#[test]
fn a_rejected_commit_is_stored_nowhere_and_answers_its_own_client() {
    let (mut refresh, entry) = handed_in(Floor::default());
    let next = refresh.on(RefreshEvent::Replied(reply(Floor::default(), Answer::Rejected), None), NOW);
    assert_eq!(next, RefreshAction::End(RefreshOutcome::Rejected(entry)));
}

#[test]
fn an_entry_purged_between_commit_and_reply_is_stored_nowhere() {
    for (heard_before, heard_now) in [(hard(0), hard(10)), (hard(10), hard(0))] {
        let (mut refresh, entry) = handed_in(heard_before);
        let next = refresh.on(RefreshEvent::Replied(reply(heard_now, Answer::Committed), None), NOW);
        assert_eq!(
            next,
            RefreshAction::End(RefreshOutcome::Rejected(entry)),
            "{heard_before:?} {heard_now:?}"
        );
    }
    let (mut refresh, entry) = handed_in(hard(9));
    let next = refresh.on(RefreshEvent::Replied(reply(hard(9), Answer::Committed), None), NOW);
    assert_eq!(next, RefreshAction::Store(entry), "a generation at the floor is not below it");
}

#[test]
fn a_newer_entry_below_the_floor_is_not_adopted_but_overtaken() {
    let subject = RefreshInput {
        key: "key".into(),
        lifetime: LIFETIME,
        pass_ttl: PASS_TTL,
        seen: 4,
        ..RefreshInput::default()
    };
    let mut refresh = Refresh::new(subject, Purpose::Cold);
    refresh.on(RefreshEvent::Started, NOW);
    let newer = Answer::Newer { generation: 7, age: Span::ZERO, ttl: LIFETIME.ttl };
    let told = RefreshEvent::Replied(reply(hard(8), newer), Some(Arc::new(entry(7, NOW.0))));
    assert_eq!(refresh.on(told, NOW), RefreshAction::Acquire { seen: 7 });
}

#[test]
fn a_refusal_for_one_client_only_counts_as_a_refusal() {
    assert_eq!(CallOutcome::of(&Ok(computed(404, false))), CallOutcome::Failed(None));
    assert_eq!(CallOutcome::of(&Ok(computed(299, false))), CallOutcome::Ok(Span(900)));
}

#[test]
fn the_outcome_of_a_failed_refresh_gives_the_reason() {
    let timed_out = || Failure::Transient { reason: Reason::OriginTimeout, retry_after: None };
    let backed_off = |failure| RefreshOutcome::BackedOff { failure, retry_after: Span::SECOND };
    for (ending, reason) in [
        (RefreshOutcome::Failed(timed_out()), Some(Reason::OriginTimeout)),
        (backed_off(timed_out()), Some(Reason::OriginTimeout)),
        (RefreshOutcome::Failed(Failure::GivenBack), Some(Reason::TooManyOriginCalls)),
        (backed_off(Failure::Pass { ttl: PASS_TTL }), None),
        (RefreshOutcome::ObjectLost, None),
        (RefreshOutcome::Held { retry_in: Span::SECOND }, None),
        (RefreshOutcome::Passed(computed(200, false)), None),
    ] {
        assert_eq!(ending.reason(), reason, "{ending:?}");
    }
}

// A request with nothing to serve.

#[test]
fn an_overloaded_object_is_not_asked_again() {
    let mut cold = Miss::new(0, None, NOW);
    cold.on(miss::MissEvent::Started { led_here: true }, NOW);
    assert_eq!(
        cold.on(miss::MissEvent::WaitBroken { is_overloaded: true }, NOW),
        miss::MissAction::WatchMemory
    );
    let old = Arc::new(entry(7, NOW.0 - 20_000));
    let mut cold = Miss::new(7, Some(Arc::clone(&old)), NOW);
    cold.on(miss::MissEvent::Started { led_here: true }, NOW);
    let next = cold.on(miss::MissEvent::WaitBroken { is_overloaded: true }, NOW);
    assert_eq!(next, miss::MissAction::Answer(MissOutcome::Fallback(old)));
    let mut cold = Miss::new(0, None, NOW);
    cold.on(miss::MissEvent::Started { led_here: true }, NOW);
    let next = cold.on(miss::MissEvent::WaitBroken { is_overloaded: false }, NOW);
    assert_eq!(next, miss::MissAction::LookAround, "a restarted object is asked again");
}

#[test]
fn the_old_entry_is_kept_as_a_fallback_if_answers_must_not_be_stored() {
    let old = Arc::new(entry(7, NOW.0 - 20_000));
    let passed =
        || miss::MissEvent::Led(RefreshOutcome::Failed(Failure::Pass { ttl: PASS_TTL }), Floor::default());
    let mut cold = Miss::new(7, Some(Arc::clone(&old)), NOW);
    assert_eq!(cold.on(passed(), NOW), miss::MissAction::Answer(MissOutcome::Uncached(Some(old))));
    let mut cold = Miss::new(0, None, NOW);
    assert_eq!(cold.on(passed(), NOW), miss::MissAction::Answer(MissOutcome::Uncached(None)));
}

#[test]
fn a_waiter_learns_of_a_purge_from_the_message_that_wakes_it() {
    let old = Arc::new(entry(7, NOW.0 - 20_000));
    let woken = |floor| {
        let mut cold = Miss::new(7, Some(Arc::clone(&old)), NOW);
        cold.on(miss::MissEvent::Started { led_here: true }, NOW);
        let told = Answer::Failed { failure: transient(None), retry_after: Span::SECOND };
        cold.on(miss::MissEvent::Woken(reply(floor, told), None), NOW)
    };
    assert!(matches!(woken(hard(7)), miss::MissAction::Answer(MissOutcome::Fallback(_))));
    assert!(matches!(woken(hard(8)), miss::MissAction::Answer(MissOutcome::Failed { .. })));
}

// The object.

#[test]
fn a_committed_entry_keeps_its_age() {
    let mut state = State::default();
    let token = granted(&mut state, 0, 20_000, NOW);
    let (answer, wake) = state.commit(token, Span(3_000), LIFETIME, at(4_000));
    let newer = |age| Answer::Newer { generation: token, age: Span(age), ttl: LIFETIME.ttl };
    assert_eq!((answer, wake), (Answer::Committed, Wake::With(newer(3_000))));
    assert_eq!(state.wait(0, 0, 9, at(5_000)), WaitDecision::Answer(newer(4_000)));
}

#[test]
fn a_soft_purge_bounds_the_lifetime_by_the_age_at_the_purge() {
    let mut state = State::default();
    let token = granted(&mut state, 0, 20_000, NOW);
    state.commit(token, Span::ZERO, LIFETIME, NOW);
    state.purge(false, LIFETIME.physical(), at(2_000));
    let purged = Answer::Newer { generation: token, age: Span(3_000), ttl: Span(2_000) };
    assert_eq!(state.wait(0, 0, 9, at(3_000)), WaitDecision::Answer(purged));
    // A reader of the stored bytes never gets a longer TTL than was committed.
    let adopted = entry(token, NOW.0).adopted(at(3_000), Span(3_000), Span(2_000));
    assert_eq!((adopted.stored_at, adopted.lifetime.ttl), (NOW, Span(2_000)));
    let adopted = entry(token, NOW.0).adopted(at(3_000), Span(3_000), Span(9_000));
    assert_eq!(adopted.lifetime.ttl, LIFETIME.ttl, "nor a longer TTL than the bytes state");
}

#[test]
fn a_lease_is_never_longer_than_the_maximum_whatever_is_requested() {
    for (asked, length) in [(20_000, 20_000), (25_000, 25_000), (3_600_000, 25_000)] {
        let mut state = State::default();
        let first = granted(&mut state, 0, asked, NOW);
        let held = state.acquire(0, Some(2), terms(asked), at(length - 1));
        assert!(matches!(held, Answer::Held { .. }), "{asked}: {held:?}");
        match state.acquire(0, Some(2), terms(asked), at(length)) {
            Answer::Granted { token } => assert!(token > first),
            other => panic!("{asked}: {other:?}"),
        }
    }
}

#[test]
fn a_key_whose_answers_must_not_be_stored_goes_uncached_for_ten_seconds() {
    assert_eq!(PASS_TTL, Span(10_000));
    let mut state = State::default();
    let token = granted(&mut state, 0, 20_000, NOW);
    let (answer, wake) = state.fail(token, Failure::Pass { ttl: PASS_TTL }, NOW, Draw::NEVER_EARLY);
    let told = |left| Answer::Failed { failure: Failure::Pass { ttl: PASS_TTL }, retry_after: Span(left) };
    assert_eq!(answer, Answer::Closed { applied: true, retry_after: PASS_TTL });
    assert_eq!(wake, Wake::With(told(10_000)));
    assert_eq!(state.acquire(0, None, terms(20_000), at(9_999)), told(1));
    assert!(matches!(state.acquire(0, None, terms(20_000), at(10_000)), Answer::Granted { .. }));
}

#[test]
fn a_waiting_message_times_out_after_the_longest_wait_at_the_object() {
    let wait = lease::time_limit(&Message::Wait { seen: 0, max_waiters: 1 });
    let other = lease::time_limit(&Message::Inspect);
    assert_eq!(wait, lease::MAX_WAIT.plus(other));
    let mut state = State::default();
    granted(&mut state, 0, 20_000, NOW);
    assert_eq!(state.wait(0, 0, 9, NOW), WaitDecision::Sleep(lease::MAX_WAIT));
}

// What an isolate knows.

#[test]
fn a_mark_is_lengthened_by_its_owner_only() {
    let key = [1; 32];
    for is_held in [true, false] {
        let mut marks = RefreshGate::new(10);
        let first = marks.begin(key, NOW, Span(1_000));
        let second = marks.begin(key, at(1_000), Span(1_000));
        let mut end = |owner| {
            if is_held {
                marks.end_held(key, owner, at(1_500), Span(9_000));
            } else {
                marks.end_failed(key, owner, &transient(None), at(1_500), Span(9_000));
            }
            (marks.blocked(&key, at(1_999)), marks.blocked(&key, at(2_000)).is_some())
        };
        assert_eq!(end(first), (Some(Blocked::UnderWay), false), "the second owner's mark is unchanged");
        assert!(end(second).1, "and the second owner can replace it");
    }
}

// Keys and stored bytes.

#[test]
fn stored_bytes_of_another_key_are_refused_however_similar_the_keys_are() {
    let bytes = entry_format::encode(&entry(7, NOW.0));
    assert!(entry_format::decode(&bytes, "key").is_ok());
    for other in ["kez", "Key", "ke", "keyy", ""] {
        assert_eq!(entry_format::decode(&bytes, other), Err(Unreadable::ForeignKey), "{other}");
    }
}

#[test]
fn a_change_of_any_part_of_a_scope_changes_the_key() {
    let header = |value: Option<&str>| [("x-a".to_owned(), value.map(str::to_owned))];
    let (one, two, none) = (header(Some("1")), header(Some("2")), header(None));
    let plain = KeyParts { version: "1", origin: "https://a", method: "POST", path: "/a", headers: &one };
    let scopes = [
        plain,
        KeyParts { version: "2", ..plain },
        KeyParts { origin: "https://b", ..plain },
        KeyParts { method: "PUT", ..plain },
        KeyParts { path: "/b", ..plain },
        KeyParts { headers: &two, ..plain },
        KeyParts { headers: &none, ..plain },
        KeyParts { headers: &[], ..plain },
    ];
    for (place, scope) in scopes.iter().enumerate() {
        let own = shared().key(scope, "{}");
        assert_ne!(own.hash, shared().key(scope, "[]").hash, "and so does the body");
        for other in &scopes[..place] {
            assert_ne!(own.hash, shared().key(other, "{}").hash, "{scope:?} {other:?}");
            assert_ne!(own.text, shared().key(other, "{}").text);
        }
    }
}
