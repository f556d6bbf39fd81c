//! Regressions of earlier rules of the protocol, and the mistakes that the theory lists, each as a transcript
//! of the object's rules or of the state machines. A test is named after the property that holds now.

use std::sync::Arc;

use xfetch_edge::{
    core::{
        entry::{Entry, Lifetime},
        failure::{Failure, PASS_TTL, Reason},
        global_rate::RateShare,
        key::Key,
        purge::Floor,
        time::{Instant, Span},
        xfetch::Draw,
    },
    isolate::{
        computation::{Computed, Purpose, TriggerOutcome},
        memory::Memory,
        metrics::{CallOutcome, Counter, Counters, MetricEvent},
        miss::{self, Miss, MissOutcome},
        refresh::{Refresh, RefreshAction, RefreshEvent, RefreshInput},
        refresh_gate::{Blocked, RefreshGate},
        refresh_outcome::RefreshOutcome,
        state::IsolateState,
    },
    protocol::{
        lease::{CleanUp, State, WaitDecision, Wake},
        message::{Answer, LeaseRequest, Reply},
    },
};

use super::promises::entry;

pub(super) const LIFETIME: Lifetime = Lifetime {
    ttl: Span(5_000),
    stale_while_revalidate: Span(10_000),
    stale_if_error: Span(60_000),
    kept: Span::ZERO,
};
const TERMS: LeaseRequest = LeaseRequest {
    lease: Span(20_000),
    expected: Span(1_000),
    physical: Span(65_000),
    share: RateShare { isolate: 0, millihertz: 0 },
};
pub(super) const NOW: Instant = Instant(1_000_000);

pub(super) fn at(ms: u64) -> Instant {
    Instant(NOW.0 + ms)
}

/// A nonce made of a word that names the asking isolate.
fn nonce(word: &str) -> u64 {
    word.bytes().fold(0, |sum, byte| sum << 8 | u64::from(byte))
}

fn acquire(state: &mut State, seen: u64, word: &str, now: Instant) -> Answer {
    state.acquire(seen, Some(nonce(word)), TERMS, now)
}

fn grant(state: &mut State, seen: u64, nonce: &str, now: Instant) -> u64 {
    match acquire(state, seen, nonce, now) {
        Answer::Granted { token } => token,
        other => panic!("expected a grant, got {other:?}"),
    }
}

fn committed(now: Instant) -> (State, u64) {
    let mut state = State::default();
    let token = grant(&mut state, 0, "first", now);
    assert_eq!(state.commit(token, Span::ZERO, LIFETIME, now).0, Answer::Committed);
    (state, token)
}

pub(super) fn transient(retry_after: Option<Span>) -> Failure {
    Failure::Transient { reason: Reason::OriginError, retry_after }
}

// The re-check inside the lock.

#[test]
fn an_early_refresh_is_granted_for_an_entry_that_is_still_fresh() {
    let (mut state, seen) = committed(NOW);
    // One second after the commit the entry is as fresh as can be; a re-check by freshness would skip.
    assert!(matches!(acquire(&mut state, seen, "early", at(1_000)), Answer::Granted { .. }));
}

#[test]
fn the_recheck_inside_the_lock_finds_a_commit_made_meanwhile() {
    let (mut state, token) = committed(NOW);
    let answer = acquire(&mut state, token - 1, "slow", at(500));
    assert_eq!(answer, Answer::Newer { generation: token, age: Span(500), ttl: LIFETIME.ttl });
}

#[test]
fn the_check_before_the_lock_compares_generations_and_not_freshness() {
    let subject = || RefreshInput {
        key: "key".into(),
        lifetime: LIFETIME,
        pass_ttl: PASS_TTL,
        seen: 5,
        ..RefreshInput::default()
    };
    let start = || {
        let mut refresh = Refresh::new(subject(), Purpose::Early);
        assert_eq!(refresh.on(RefreshEvent::Started, NOW), RefreshAction::LookInColo);
        refresh
    };
    // The same generation, fresh: go on. A higher one, stale: adopt it.
    let same = Arc::new(entry(5, NOW.0));
    assert_eq!(start().on(RefreshEvent::LookedInColo(Some(same)), NOW), RefreshAction::Acquire { seen: 5 });
    let newer = Arc::new(entry(6, NOW.0 - 20_000));
    let mut refresh = start();
    let next = refresh.on(RefreshEvent::LookedInColo(Some(newer.clone())), NOW);
    assert_eq!(next, RefreshAction::End(RefreshOutcome::AdoptedFromColo(newer)));
    assert_eq!(refresh.take_trigger(), Some(TriggerOutcome::RecheckSkip));
}

// Tokens.

#[test]
fn a_commit_with_an_old_token_changes_nothing() {
    let (mut state, _) = committed(NOW);
    let old = grant(&mut state, NOW.0, "slow", at(1_000));
    let new = grant(&mut state, NOW.0, "quick", at(30_000));
    assert_eq!(state.commit(new, Span::ZERO, LIFETIME, at(31_000)).0, Answer::Committed);
    let before = state.clone();
    assert_eq!(state.commit(old, Span::ZERO, LIFETIME, at(32_000)), (Answer::Rejected, Wake::Nobody));
    assert_eq!(state, before);
}

#[test]
fn a_commit_with_an_old_token_is_refused_while_a_newer_grant_is_open() {
    let (mut state, seen) = committed(NOW);
    let old = grant(&mut state, seen, "slow", at(1_000));
    let new = grant(&mut state, seen, "quick", at(30_000));
    let before = state.clone();
    assert_eq!(state.commit(old, Span::ZERO, LIFETIME, at(31_000)), (Answer::Rejected, Wake::Nobody));
    assert_eq!(state, before);
    assert_eq!(state.commit(new, Span::ZERO, LIFETIME, at(32_000)).0, Answer::Committed);
}

#[test]
fn a_commit_counts_although_its_lease_has_just_run_out() {
    let mut state = State::default();
    let token = grant(&mut state, 0, "slow", NOW);
    assert_eq!(state.commit(token, Span::ZERO, LIFETIME, at(20_001)).0, Answer::Committed);
}

#[test]
fn only_the_holder_can_release_the_lease() {
    let mut state = State::default();
    let token = grant(&mut state, 0, "holder", NOW);
    let before = state.clone();
    for foreign in [token - 1, token + 1, 0] {
        let closed = state.fail(foreign, transient(None), at(10), Draw::NEVER_EARLY);
        assert_eq!(closed, (Answer::Closed { applied: false, retry_after: Span::ZERO }, Wake::Nobody));
        assert_eq!(state, before);
    }
    assert!(matches!(acquire(&mut state, 0, "other", at(10)), Answer::Held { .. }));
}

#[test]
fn a_repeated_acquire_gets_its_grant_again_and_does_not_extend_it() {
    let mut state = State::default();
    let token = grant(&mut state, 0, "same", NOW);
    assert_eq!(acquire(&mut state, 0, "same", at(19_999)), Answer::Granted { token });
    assert!(grant(&mut state, 0, "other", at(20_000)) > token);
}

#[test]
fn without_a_nonce_a_repeated_acquire_is_just_another_one() {
    let mut state = State::default();
    assert!(matches!(state.acquire(0, None, TERMS, NOW), Answer::Granted { .. }));
    assert!(matches!(state.acquire(0, None, TERMS, NOW), Answer::Held { .. }));
}

#[test]
fn a_repeated_commit_gets_the_same_answer_and_wakes_nobody() {
    let (mut state, token) = committed(NOW);
    let before = state.clone();
    assert_eq!(state.commit(token, Span::ZERO, LIFETIME, at(9)), (Answer::Committed, Wake::Nobody));
    assert_eq!(state, before);
}

#[test]
fn tokens_increase_when_the_clock_steps_back() {
    let (mut state, first) = committed(Instant(NOW.0 + 3_600_000));
    let second = grant(&mut state, first, "after", NOW);
    assert!(second > first);
}

#[test]
fn a_corrupt_generation_is_ignored_and_a_plausible_one_ahead_is_accepted() {
    let mut state = State::default();
    let token = grant(&mut state, (1 << 53) - 1, "corrupt", NOW);
    assert_eq!(token, NOW.0);
    // The clock was once three days ahead. This object granted the generation itself, so it is accepted.
    let (mut state, ahead) = committed(NOW.plus(Span(3 * 86_400_000)));
    assert!(matches!(acquire(&mut state, ahead, "true", NOW), Answer::Granted { token } if token > ahead));
}

// Leases and clocks.

#[test]
fn a_dead_holder_delays_the_next_computation_by_one_lease_at_most() {
    let mut state = State::default();
    grant(&mut state, 0, "dies", NOW);
    assert!(matches!(acquire(&mut state, 0, "next", at(19_999)), Answer::Held { .. }));
    assert!(matches!(acquire(&mut state, 0, "next", at(20_000)), Answer::Granted { .. }));
}

#[test]
fn a_clock_step_in_either_direction_ends_a_lease() {
    // L6: a step ends a lease early, or lets the next one begin, so that a key is never locked for longer than two.
    for stepped in [NOW.minus(Span(1)), NOW.minus(Span(3_600_000)), at(3_600_000)] {
        let mut state = State::default();
        grant(&mut state, 0, "dies", NOW);
        assert!(matches!(acquire(&mut state, 0, "next", stepped), Answer::Granted { .. }));
    }
}

#[test]
fn a_request_that_finds_the_lease_held_is_told_to_return_when_the_computation_should_have_ended() {
    let mut state = State::default();
    grant(&mut state, 0, "holder", NOW);
    assert_eq!(acquire(&mut state, 0, "b", NOW), Answer::Held { retry_in: Span(1_250) });
    assert_eq!(acquire(&mut state, 0, "c", at(5_000)), Answer::Held { retry_in: Span(250) });
    assert_eq!(acquire(&mut state, 0, "d", at(19_900)), Answer::Held { retry_in: Span(100) });
}

// Waiting.

#[test]
fn a_wait_for_a_past_commit_returns_at_once() {
    let (state, token) = committed(NOW);
    let answer = state.wait(0, 0, 10, at(7));
    assert_eq!(
        answer,
        WaitDecision::Answer(Answer::Newer { generation: token, age: Span(7), ttl: LIFETIME.ttl })
    );
}

#[test]
fn a_wait_without_a_live_lease_returns_at_once() {
    assert_eq!(State::default().wait(0, 0, 10, NOW), WaitDecision::Answer(Answer::Again));
}

#[test]
fn a_purge_wakes_the_waiters() {
    let mut state = State::default();
    grant(&mut state, 0, "holder", NOW);
    assert_eq!(state.wait(0, 0, 10, NOW), WaitDecision::Sleep(Span(5_000)));
    assert_eq!(state.purge(false, TERMS.physical, at(5)).1, Wake::With(Answer::Again));
    assert_eq!(state.wait(0, 0, 10, at(6)), WaitDecision::Answer(Answer::Again));
}

#[test]
fn a_waiter_sleeps_no_longer_than_the_lease_and_the_number_of_waiters_is_bounded() {
    let mut state = State::default();
    grant(&mut state, 0, "holder", NOW);
    assert_eq!(state.wait(0, 0, 10, at(18_000)), WaitDecision::Sleep(Span(2_000)));
    assert_eq!(state.wait(0, 10, 10, at(0)), WaitDecision::Answer(Answer::TooManyWaiters));
}

#[test]
fn a_failing_origin_gets_one_call_per_window_and_all_waiters_get_the_failure() {
    let mut state = State::default();
    let token = grant(&mut state, 0, "holder", NOW);
    let (answer, wake) = state.fail(token, transient(None), NOW, Draw::NEVER_EARLY);
    assert_eq!(answer, Answer::Closed { applied: true, retry_after: Span::SECOND });
    let told = Answer::Failed { failure: transient(None), retry_after: Span(1_000) };
    assert_eq!(wake, Wake::With(told));
    assert!(matches!(acquire(&mut state, 0, "b", at(999)), Answer::Failed { .. }));
    assert!(matches!(state.wait(0, 0, 10, at(999)), WaitDecision::Answer(Answer::Failed { .. })));
    // The second failure in a row doubles the back-off, and a commit resets it.
    let token = grant(&mut state, 0, "c", at(1_000));
    state.fail(token, transient(None), at(1_000), Draw::NEVER_EARLY);
    assert!(matches!(acquire(&mut state, 0, "d", at(2_999)), Answer::Failed { .. }));
    let token = grant(&mut state, 0, "e", at(3_000));
    state.commit(token, Span::ZERO, LIFETIME, at(3_000));
    let token = grant(&mut state, token, "f", at(8_000));
    state.fail(token, transient(None), at(8_000), Draw::NEVER_EARLY);
    assert!(matches!(acquire(&mut state, token, "g", at(9_000)), Answer::Granted { .. }));
}

#[test]
fn retry_after_is_honoured_and_capped() {
    for (asked, granted_at) in [(7_000, 7_700), (3_600_000, 132_000), (0, 1_100)] {
        let mut state = State::default();
        let token = grant(&mut state, 0, "a", NOW);
        state.fail(token, transient(Some(Span(asked))), NOW, Draw::NEVER_EARLY);
        assert!(matches!(acquire(&mut state, 0, "b", at(granted_at - 1)), Answer::Failed { .. }), "{asked}");
        assert!(matches!(acquire(&mut state, 0, "b", at(granted_at)), Answer::Granted { .. }), "{asked}");
    }
}

#[test]
fn an_origins_refusal_is_no_back_off_and_is_remembered_for_its_ttl() {
    let refused = |ttl| Failure::Negative {
        status: 404,
        content_type: "application/json".to_owned(),
        body: "{}".to_owned(),
        ttl: Span(ttl),
    };
    let mut state = State::default();
    let token = grant(&mut state, 0, "a", NOW);
    state.fail(token, refused(0), NOW, Draw::NEVER_EARLY);
    let token = grant(&mut state, 0, "b", NOW);
    state.fail(token, refused(3_000), NOW, Draw::NEVER_EARLY);
    assert!(matches!(acquire(&mut state, 0, "c", at(2_999)), Answer::Failed { .. }));
    assert!(matches!(acquire(&mut state, 0, "d", at(3_000)), Answer::Granted { .. }));
}

#[test]
fn a_grant_given_back_frees_the_key_at_once() {
    let mut state = State::default();
    let token = grant(&mut state, 0, "late", NOW);
    let (answer, wake) = state.fail(token, Failure::GivenBack, NOW, Draw::NEVER_EARLY);
    let closed = Answer::Closed { applied: true, retry_after: Span::ZERO };
    assert_eq!((answer, wake), (closed, Wake::With(Answer::Again)));
    assert!(matches!(acquire(&mut state, 0, "next", NOW), Answer::Granted { .. }));
}

// Purges.

#[test]
fn a_purge_wins_over_a_commit_that_began_before_it() {
    for hard in [false, true] {
        let (mut state, seen) = committed(NOW);
        let token = grant(&mut state, seen, "began", at(1_000));
        assert_eq!(state.purge(hard, TERMS.physical, at(2_000)).0, Answer::Purged);
        assert_eq!(state.commit(token, Span::ZERO, LIFETIME, at(3_000)).0, Answer::Rejected);
        assert_eq!(state.committed_generation(), (!hard).then_some(seen));
        let floor = state.reply(Answer::Again).floor;
        assert!(floor.highest() > token);
    }
}

#[test]
fn every_answer_carries_the_floor() {
    let (mut state, seen) = committed(NOW);
    state.purge(true, TERMS.physical, at(1));
    for answer in [acquire(&mut state, seen, "a", at(2)), acquire(&mut state, seen, "b", at(3))] {
        assert!(state.reply(answer).floor.hard > seen);
    }
}

#[test]
fn a_purge_keeps_a_back_off_and_forgets_a_pass() {
    let mut state = State::default();
    let token = grant(&mut state, 0, "a", NOW);
    state.fail(token, transient(None), NOW, Draw::NEVER_EARLY);
    state.purge(true, TERMS.physical, at(1));
    assert!(matches!(acquire(&mut state, 0, "b", at(2)), Answer::Failed { .. }));
    let mut state = State::default();
    let token = grant(&mut state, 0, "a", NOW);
    state.fail(token, Failure::Pass { ttl: PASS_TTL }, NOW, Draw::NEVER_EARLY);
    state.purge(false, TERMS.physical, at(1));
    assert!(matches!(acquire(&mut state, 0, "b", at(2)), Answer::Granted { .. }));
}

#[test]
fn memory_rejects_a_purged_entry() {
    let mut memory = Memory::new(1 << 20, 10);
    let (hash, key) = ([1; 32], "key");
    let old = Arc::new(entry(5, NOW.0));
    assert!(memory.accept(hash, &old, NOW));
    let floor = |soft, hard| Floor { soft, hard };
    assert!(memory.hear(hash, floor(0, 9), NOW));
    assert_eq!(memory.get(&hash, key, NOW), None);
    assert!(!memory.accept(hash, &old, NOW));
    assert!(memory.accept(hash, &Arc::new(entry(9, NOW.0)), NOW));
    assert!(!memory.hear(hash, floor(0, 9), NOW), "the same floor is no news");
}

// Waiting for another isolate's computation.

/// A refresh that has seen generation 5 and was told that the lease is held, to retry in four seconds.
fn contending() -> Refresh {
    contending_for(Span(4_000))
}

fn contending_for(retry_in: Span) -> Refresh {
    let subject = RefreshInput {
        key: "key".into(),
        lifetime: LIFETIME,
        pass_ttl: PASS_TTL,
        seen: 5,
        ..RefreshInput::default()
    };
    let mut refresh = Refresh::new(subject, Purpose::Stale);
    refresh.on(RefreshEvent::Started, NOW);
    refresh.on(RefreshEvent::LookedInColo(None), NOW);
    let next = refresh.on(told(Answer::Held { retry_in }), NOW);
    assert_eq!(next, RefreshAction::Wait { seen: 5 });
    assert_eq!(refresh.take_trigger(), Some(TriggerOutcome::Contention));
    refresh
}

fn told(answer: Answer) -> RefreshEvent {
    RefreshEvent::Replied(Reply { floor: Floor::default(), global_rate: 0, answer }, None)
}

fn held(retry_in: u64) -> RefreshAction {
    RefreshAction::End(RefreshOutcome::Held { retry_in: Span(retry_in) })
}

#[test]
fn a_request_that_finds_the_lease_held_takes_the_entry_committed_meanwhile() {
    let mut refresh = contending();
    let newer = Arc::new(entry(9, NOW.0));
    let answer = Answer::Newer { generation: 9, age: Span::ZERO, ttl: LIFETIME.ttl };
    let reply = Reply { floor: Floor::default(), global_rate: 0, answer };
    let next = refresh.on(RefreshEvent::Replied(reply, Some(Arc::clone(&newer))), at(700));
    assert_eq!(next, RefreshAction::Store(Arc::clone(&newer)));
    assert_eq!(refresh.on(RefreshEvent::Stored, at(700)), RefreshAction::End(RefreshOutcome::Adopted(newer)));
    assert_eq!(refresh.take_trigger(), None, "each trigger is counted once");
}

#[test]
fn a_refresh_that_waits_for_a_failing_computation_remembers_the_failure() {
    let failed = Answer::Failed { failure: transient(None), retry_after: Span(7_000) };
    let ending = RefreshOutcome::BackedOff { failure: transient(None), retry_after: Span(7_000) };
    assert_eq!(contending().on(told(failed), at(700)), RefreshAction::End(ending));
}

#[test]
fn a_waiter_without_a_result_asks_again_after_retry_in() {
    for answer in [Answer::TooManyWaiters, Answer::Purged, Answer::Refused { speaks: 9 }] {
        assert_eq!(contending().on(told(answer.clone()), at(700)), held(3_300), "{answer:?}");
    }
    assert_eq!(contending().on(RefreshEvent::ObjectLost { may_compute: true }, at(700)), held(3_300));
    let unreadable = Answer::Newer { generation: 9, age: Span::ZERO, ttl: LIFETIME.ttl };
    assert_eq!(contending().on(told(unreadable), at(3_900)), held(250), "not at once");
    assert_eq!(contending().on(told(Answer::Again), at(700)), held(250), "a purge, or a lease given back");
}

#[test]
fn an_expired_wait_is_followed_by_exactly_one_more() {
    let mut refresh = contending_for(Span(12_000));
    assert_eq!(refresh.on(told(Answer::Again), at(5_000)), RefreshAction::Wait { seen: 5 });
    assert_eq!(refresh.on(told(Answer::Again), at(10_000)), held(2_000));
    let mut refresh = contending_for(Span(12_000));
    assert_eq!(refresh.on(told(Answer::Again), at(5_000)), RefreshAction::Wait { seen: 5 });
    assert_eq!(refresh.on(told(Answer::Again), at(7_000)), held(250), "the lease was closed");
    assert_eq!(contending().on(told(Answer::Again), at(5_000)), held(250), "the holder should have ended");
}

#[test]
fn a_clock_step_during_a_wait_blocks_no_later_request() {
    assert_eq!(contending().on(told(Answer::TooManyWaiters), Instant(NOW.0 - 900_000)), held(4_000));
    assert_eq!(contending().on(told(Answer::TooManyWaiters), at(900_000)), held(250));
    assert_eq!(contending().on(told(Answer::Again), Instant(NOW.0 - 900_000)), held(250));
}

// What a refresh reports.

#[test]
fn a_refresh_reports_its_token_its_floor_and_its_cost() {
    let refresh = |delta: Option<u64>| {
        let subject = RefreshInput {
            key: "key".into(),
            lifetime: LIFETIME,
            pass_ttl: PASS_TTL,
            seen: 0,
            delta: delta.map(Span),
            ..RefreshInput::default()
        };
        Refresh::new(subject, Purpose::Cold)
    };
    for (delta, pause) in [(None, 1_000), (Some(300), 1_000), (Some(4_000), 4_000)] {
        assert_eq!(refresh(delta).delta(), delta.map(Span));
        assert_eq!(refresh(delta).pause(), Span(pause), "a second at least");
    }
    let mut refresh = refresh(None);
    refresh.on(RefreshEvent::Started, NOW);
    assert_eq!((refresh.token(), refresh.floor()), (None, Floor::default()));
    let floor = Floor { soft: 3, hard: 2 };
    let reply = Reply { floor, global_rate: 0, answer: Answer::Granted { token: 9 } };
    assert_eq!(refresh.on(RefreshEvent::Replied(reply, None), NOW), RefreshAction::Compute);
    assert_eq!((refresh.token(), refresh.floor()), (Some(9), floor));
}

#[test]
fn a_client_is_told_of_the_back_off_that_the_object_remembers() {
    let ended = |remembered: u64| {
        let subject = RefreshInput {
            key: "key".into(),
            lifetime: LIFETIME,
            pass_ttl: PASS_TTL,
            seen: 0,
            ..RefreshInput::default()
        };
        let mut refresh = Refresh::new(subject, Purpose::Cold);
        refresh.on(RefreshEvent::Started, NOW);
        refresh.on(told(Answer::Granted { token: 9 }), NOW);
        let next = refresh.on(RefreshEvent::Failed(transient(None)), NOW);
        assert_eq!(next, RefreshAction::Fail(9, transient(None)));
        refresh.on(told(Answer::Closed { applied: true, retry_after: Span(remembered) }), NOW)
    };
    assert_eq!(ended(7_000), RefreshAction::End(RefreshOutcome::Failed(transient(Some(Span(7_000))))));
    assert_eq!(
        ended(0),
        RefreshAction::End(RefreshOutcome::Failed(transient(None))),
        "nothing is remembered"
    );
}

// Cold requests.

#[test]
fn a_miss_replaces_the_objects_entry_past_every_window() {
    let mut cold = Miss::new(0, None, NOW);
    assert_eq!(
        cold.on(miss::MissEvent::Started { led_here: false }, NOW),
        miss::MissAction::Lead { seen: 0 }
    );
    let dead = Arc::new(entry(7, NOW.0 - 70_000));
    let next = cold.on(miss::MissEvent::Led(RefreshOutcome::Adopted(dead), Floor::default()), NOW);
    assert_eq!(next, miss::MissAction::Lead { seen: 7 });
}

#[test]
fn an_entry_that_cannot_be_read_is_overtaken() {
    let subject = RefreshInput {
        key: "key".into(),
        lifetime: LIFETIME,
        pass_ttl: PASS_TTL,
        seen: 0,
        ..RefreshInput::default()
    };
    let mut refresh = Refresh::new(subject, Purpose::Cold);
    refresh.on(RefreshEvent::Started, NOW);
    let newer = Answer::Newer { generation: 9, age: Span::ZERO, ttl: LIFETIME.ttl };
    let reply = Reply { floor: Floor::default(), global_rate: 0, answer: newer };
    assert_eq!(
        refresh.on(RefreshEvent::Replied(reply.clone(), None), NOW),
        RefreshAction::Acquire { seen: 9 }
    );
    assert_eq!(
        refresh.on(RefreshEvent::Replied(reply, None), NOW),
        RefreshAction::End(RefreshOutcome::ObjectLost)
    );
}

#[test]
fn the_stale_entry_answers_when_the_origin_fails_or_exceeds_the_patience() {
    let old = Arc::new(entry(7, NOW.0 - 20_000));
    let fallback = || Miss::new(7, Some(old.clone()), NOW);
    let led = |ending| miss::MissEvent::Led(ending, Floor::default());
    let outcome = miss::MissAction::Answer(MissOutcome::Fallback(old.clone()));
    let failed = RefreshOutcome::Failed(transient(None));
    assert_eq!(fallback().on(led(failed), NOW), outcome);
    let backed_off = RefreshOutcome::BackedOff { failure: transient(None), retry_after: Span::SECOND };
    assert_eq!(fallback().on(led(backed_off), NOW), outcome);
    assert_eq!(fallback().on(led(RefreshOutcome::ObjectLost), NOW), outcome);
    assert_eq!(fallback().on(miss::MissEvent::TimedOut, NOW), outcome);
}

#[test]
fn a_fallback_that_was_purged_meanwhile_is_not_served_when_the_object_is_lost() {
    let old = Arc::new(entry(7, NOW.0 - 20_000));
    let mut cold = Miss::new(7, Some(old), NOW);
    cold.hear(Floor { soft: 0, hard: 8 });
    let lost = miss::MissEvent::Led(RefreshOutcome::ObjectLost, Floor::default());
    assert_eq!(cold.on(lost, NOW), miss::MissAction::WatchMemory);
}

#[test]
fn an_entry_warm_on_arrival_is_served_even_if_the_lookup_fails() {
    let key = Key { text: "key".into(), hash: [1; 32], scope: None };
    let stale = Arc::new(entry(7, NOW.0 - 6_000));
    let older = Arc::new(entry(9, NOW.0 - 60_000));
    let mut local = IsolateState::new(1 << 20, 10);
    // Memory has lost the entry, or holds a higher generation that was computed earlier.
    assert_eq!(local.after_colo(&key, None, Some(stale.clone()), NOW), Some(stale.clone()));
    assert_eq!(local.after_colo(&key, Some(older.clone()), Some(stale.clone()), NOW), Some(stale.clone()));
    assert_eq!(local.after_colo(&key, Some(older.clone()), None, NOW), Some(older));
    // A purge that was heard meanwhile also removes the copy that the request holds.
    local.hear(key.hash, Floor { soft: 0, hard: 8 }, NOW);
    assert_eq!(local.after_colo(&key, None, Some(stale), NOW), None);
}

#[test]
fn an_uncommitted_value_is_kept_at_the_generation_seen() {
    let subject = RefreshInput {
        key: "key".into(),
        lifetime: LIFETIME,
        pass_ttl: PASS_TTL,
        seen: 4,
        ..RefreshInput::default()
    };
    let mut refresh = Refresh::new(subject, Purpose::Stale);
    refresh.on(RefreshEvent::Started, NOW);
    refresh.on(RefreshEvent::LookedInColo(None), NOW);
    assert_eq!(refresh.on(RefreshEvent::ObjectLost { may_compute: true }, NOW), RefreshAction::Compute);
    assert_eq!(refresh.take_trigger(), Some(TriggerOutcome::LockError));
    let computed = Computed {
        status: 200,
        headers: Vec::new(),
        body: Arc::from(&b"1"[..]),
        delta: Span(900),
        storable: true,
        at: NOW,
        ..Computed::default()
    };
    let RefreshAction::Store(kept) = refresh.on(RefreshEvent::Computed(computed.clone()), NOW) else {
        panic!("it is kept")
    };
    assert_eq!((kept.generation, kept.committed), (4, false));
    // The same if a lease was granted and the object is lost before the commit.
    let subject = RefreshInput {
        key: "key".into(),
        lifetime: LIFETIME,
        pass_ttl: PASS_TTL,
        seen: 4,
        ..RefreshInput::default()
    };
    let mut refresh = Refresh::new(subject, Purpose::Stale);
    refresh.on(RefreshEvent::Started, NOW);
    refresh.on(RefreshEvent::LookedInColo(None), NOW);
    assert_eq!(refresh.on(told(Answer::Granted { token: 9 }), NOW), RefreshAction::Compute);
    let RefreshAction::Commit(handed_in) = refresh.on(RefreshEvent::Computed(computed), NOW) else {
        panic!("it is handed in")
    };
    assert_eq!((handed_in.generation, handed_in.committed), (9, true));
    let RefreshAction::Store(left) = refresh.on(RefreshEvent::ObjectLost { may_compute: false }, NOW) else {
        panic!("it is kept")
    };
    assert_eq!(left, kept);
    assert_eq!(refresh.on(RefreshEvent::Stored, NOW), RefreshAction::End(RefreshOutcome::Uncommitted(left)));
    let old = entry(4, NOW.0 - 6_000);
    assert!(kept.supersedes(&old) && !old.supersedes(&kept));
    assert!(entry(5, NOW.0).supersedes(&kept));
}

#[test]
fn a_fallback_that_was_purged_or_whose_window_ended_meanwhile_is_not_served() {
    let old = Arc::new(entry(7, NOW.0 - 20_000));
    let failed = || RefreshOutcome::Failed(transient(None));
    let outcome = |floor: Floor, now: Instant| {
        Miss::new(7, Some(old.clone()), NOW).on(miss::MissEvent::Led(failed(), floor), now)
    };
    let told =
        |action: &miss::MissAction| matches!(action, miss::MissAction::Answer(MissOutcome::Failed { .. }));
    assert!(told(&outcome(Floor { soft: 0, hard: 8 }, NOW)), "purged");
    assert!(told(&outcome(Floor::default(), at(45_000))), "past stale_if_error");
    assert!(!told(&outcome(Floor::default(), at(44_999))));
}

#[test]
fn an_entry_present_before_the_wait_is_a_hit_and_a_later_one_collapsed() {
    for (stored_at, outcome) in [
        (NOW.0 - 1, MissOutcome::Hit as fn(Arc<Entry>) -> MissOutcome),
        (NOW.0, MissOutcome::Collapsed as fn(Arc<Entry>) -> MissOutcome),
    ] {
        let held = Arc::new(entry(7, stored_at));
        let mut cold = Miss::new(0, None, NOW);
        cold.on(miss::MissEvent::Started { led_here: true }, NOW);
        let answer = Answer::Newer { generation: 7, age: Span::ZERO, ttl: LIFETIME.ttl };
        let reply = Reply { floor: Floor::default(), global_rate: 0, answer };
        let action = cold.on(miss::MissEvent::Woken(reply, Some(held.clone())), at(10));
        assert_eq!(action, miss::MissAction::Answer(outcome(held)));
    }
}

#[test]
fn a_failure_is_remembered_by_the_isolate_with_its_reason() {
    let mut marks = RefreshGate::new(4);
    let owner = marks.begin([1; 32], NOW, Span(20_000));
    marks.end_failed([1; 32], owner, &transient(None), NOW, Span(2_000));
    let blocked = Blocked::BackingOff { failure: transient(None), retry_after: Span(500) };
    assert_eq!(marks.blocked(&[1; 32], at(1_500)), Some(blocked));
    marks.forget(&[1; 32]);
    assert_eq!(marks.blocked(&[1; 32], at(1_500)), None, "a purge makes it meaningless");
}

// Tiers.

#[test]
fn no_tier_stores_a_stale_answer_as_fresh() {
    let stale = entry(5, NOW.0 - 7_000);
    let adopted: Entry = stale.adopted(Instant(2_000_000), Span(7_000), LIFETIME.ttl);
    assert_eq!(adopted.age(Instant(2_000_000)), Span(7_000));
    assert!(adopted.expiry() < Instant(2_000_000));
}

#[test]
fn an_older_generation_never_overwrites_a_newer_one() {
    let mut memory = Memory::new(1 << 20, 10);
    assert!(memory.accept([1; 32], &Arc::new(entry(6, NOW.0)), NOW));
    assert!(!memory.accept([1; 32], &Arc::new(entry(5, at(1).0)), NOW));
    // The same generation with an earlier expiry results from a soft purge, so it is accepted.
    let mut expired = entry(6, NOW.0);
    expired.expire(at(1));
    assert!(memory.accept([1; 32], &Arc::new(expired), at(1)));
}

#[test]
fn memory_is_bounded_in_bytes_and_in_keys() {
    let mut memory = Memory::new(20_000, 8);
    for place in 0..100_u8 {
        memory.accept([place; 32], &Arc::new(entry(1, NOW.0)), NOW);
        memory.get(&[0; 32], "key", NOW);
        assert!(memory.bytes() <= 20_000 && memory.keys() <= 8);
    }
    assert!(memory.get(&[0; 32], "key", NOW).is_some(), "a used key stays");
    assert!(memory.get(&[1; 32], "key", NOW).is_none(), "an unused key is removed");
}

#[test]
fn an_entry_of_another_key_is_not_returned() {
    let mut memory = Memory::new(1 << 20, 10);
    memory.accept([1; 32], &Arc::new(entry(1, NOW.0)), NOW);
    assert!(memory.get(&[1; 32], "another key", NOW).is_none());
}

// The refresh gate.

#[test]
fn a_mark_blocks_no_longer_than_the_lease_and_not_from_the_future() {
    let mut marks = RefreshGate::new(10);
    marks.begin([1; 32], NOW, Span(20_000));
    assert_eq!(marks.blocked(&[1; 32], at(19_999)), Some(Blocked::UnderWay));
    assert_eq!(marks.blocked(&[1; 32], at(20_000)), None);
    assert_eq!(marks.blocked(&[1; 32], NOW.minus(Span(1))), None);
}

#[test]
fn a_mark_is_removed_by_its_owner_only() {
    let mut marks = RefreshGate::new(10);
    let first = marks.begin([1; 32], NOW, Span(1_000));
    let second = marks.begin([1; 32], at(1_000), Span(1_000));
    marks.end(&[1; 32], first);
    assert_eq!(marks.blocked(&[1; 32], at(1_500)), Some(Blocked::UnderWay));
    marks.end(&[1; 32], second);
    assert_eq!(marks.blocked(&[1; 32], at(1_500)), None);
}

#[test]
fn a_flood_of_keys_does_not_grow_the_refresh_gate() {
    let mut marks = RefreshGate::new(4);
    for place in 0..50_u8 {
        marks.begin([place; 32], NOW, Span(1_000));
    }
    let live = (0..50_u8).filter(|place| marks.blocked(&[*place; 32], NOW).is_some()).count();
    assert_eq!(live, 4);
}

#[test]
fn without_the_object_a_key_is_computed_once_per_pause() {
    let mut marks = RefreshGate::new(4);
    assert!(marks.may_compute_without_lease([1; 32], NOW, Span(1_000)));
    assert!(!marks.may_compute_without_lease([1; 32], at(999), Span(1_000)));
    assert!(marks.may_compute_without_lease([1; 32], at(1_000), Span(1_000)));
}

// Clean-up.

#[test]
fn clean_up_keeps_counter_and_floor_until_no_copy_can_be_left() {
    let (mut state, _) = committed(NOW);
    state.purge(false, TERMS.physical, at(1));
    let floor = state.reply(Answer::Again).floor;
    assert_eq!(state.clean_up(0, at(10_000)), CleanUp::Later(Span(55_001)));
    assert!(matches!(state.clean_up(0, at(70_000)), CleanUp::DropBody(_)));
    assert_eq!(state.committed_generation(), None);
    assert_eq!(state.reply(Answer::Again).floor, floor);
    assert!(matches!(state.clean_up(0, at(80_000)), CleanUp::Later(_)), "a second alarm is harmless");
    assert_eq!(state.clean_up(0, at(65_001 + 86_400_000)), CleanUp::Forget);
}

#[test]
fn clean_up_never_comes_between_a_holder_and_its_commit() {
    let mut state = State::default();
    grant(&mut state, 0, "holder", NOW);
    assert!(matches!(state.clean_up(0, at(1)), CleanUp::Later(_)));
    assert!(matches!(state.clean_up(3, at(200_000_000)), CleanUp::Later(_)), "nor while messages wait");
}

#[test]
fn a_counter_in_the_future_is_not_forgotten() {
    let (mut state, _) = committed(NOW.plus(Span(10 * 86_400_000)));
    // By the corrected clock, the last change and the counter are in the future.
    assert!(matches!(state.clean_up(0, NOW), CleanUp::Later(_)));
}

// Counters.

#[test]
fn triggers_are_the_sum_of_their_outcomes_and_a_cold_acquire_is_not_among_them() {
    let mut tally = Counters::default();
    tally.fold(MetricEvent::Triggered { purpose: Purpose::Early, trigger: TriggerOutcome::Contention });
    tally.fold(MetricEvent::Triggered { purpose: Purpose::Stale, trigger: TriggerOutcome::Started });
    tally.fold(MetricEvent::Triggered { purpose: Purpose::Cold, trigger: TriggerOutcome::Started });
    let sum = [
        Counter::RefreshesStarted,
        Counter::XfetchLockContentionTotal,
        Counter::XfetchRecheckSkipsTotal,
        Counter::RefreshLockErrors,
        Counter::RefreshBackoffs,
    ];
    let sum: u64 = sum.into_iter().map(|counter| tally.get(counter)).sum();
    assert_eq!((tally.get(Counter::XfetchTriggers), sum), (2, 2), "a cold acquire moves none of these");
}

#[test]
fn an_abandoned_call_counts_once_and_its_late_result_is_not_counted() {
    let mut calls = xfetch_edge::isolate::origin_calls::OriginCalls::default();
    let call = calls.begin(Purpose::Early, NOW, Span(20_000));
    assert_eq!(calls.sweep(at(19_999)), []);
    assert_eq!(calls.sweep(at(20_000)), [Purpose::Early]);
    assert!(!calls.settle(call));
    let mut tally = Counters::default();
    tally.fold(MetricEvent::Called { purpose: Purpose::Early, call: CallOutcome::Abandoned });
    assert_eq!(tally.get(Counter::ComputeCalls), tally.get(Counter::ComputeAbandoned));
}
