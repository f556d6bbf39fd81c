//! Unit tests of small parts, for edge cases in which no other test would notice a mistake.

use std::{rc::Rc, sync::Arc};

use xfetch_edge::{
    core::{
        arrival_rate::ArrivalRate,
        config::{Config, Route},
        entry::{Entry, Lifetime},
        failure::{self, Failure, Reason},
        freshness,
        global_rate::{GlobalRate, MAX_SHARES, RateShare, SEVERAL},
        purge::Floor,
        time::{Instant, Span},
        xfetch::Draw,
    },
    isolate::{
        coalesce::{Coalesce, Joined, MAX_WAITERS},
        computation::Purpose,
        memory::Memory,
        miss::{Miss, MissAction, MissEvent, MissOutcome},
        origin_calls::OriginCalls,
        refresh_outcome::RefreshOutcome,
    },
    protocol::{
        lease::{self, CleanUp, TOKEN_END},
        message::{Answer, LeaseRequest, Reply},
    },
};

const NOW: Instant = Instant(1_000_000);
const LEASE: Span = Span(10_000);

fn entry(generation: u64, stored_at: Instant) -> Entry {
    Entry {
        generation,
        stored_at,
        delta: Span(100),
        lifetime: Lifetime {
            ttl: Span(1_000),
            stale_while_revalidate: Span(2_000),
            stale_if_error: Span(5_000),
            kept: Span::ZERO,
        },
        global_rate: 0,
        committed: true,
        key: "key".into(),
        variant: Vec::new(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        etag: "\"e\"".to_owned(),
        body: Arc::from(&b"{}"[..]),
    }
}

#[test]
fn calls_under_way_are_counted_settled_once_and_swept_at_the_end_of_their_lease() {
    let mut calls = OriginCalls::default();
    assert_eq!(calls.under_way(NOW), 0);
    let first = calls.begin(Purpose::Cold, NOW, LEASE);
    let second = calls.begin(Purpose::Early, NOW.plus(Span(5_000)), LEASE);
    assert_ne!(first, second);
    assert_eq!(calls.under_way(NOW.plus(Span(5_000))), 2);
    assert!(calls.settle(second));
    assert!(!calls.settle(second), "it has ended already");
    assert_eq!(calls.under_way(NOW), 1, "the other goes on");
    assert_eq!(calls.under_way(NOW.plus(LEASE)), 0, "beyond its lease it takes no room, swept or not");
    assert_eq!(calls.sweep(NOW.plus(Span(9_999))), []);
    assert_eq!(calls.sweep(NOW.plus(LEASE)), [Purpose::Cold]);
    assert!(!calls.settle(first), "it was swept");
    assert_eq!(calls.under_way(NOW), 0);
}

#[test]
fn shares_of_a_keys_requests_are_added_up_and_forgotten_after_two_commits() {
    let share = |isolate, per_second| RateShare::new(isolate, Some(per_second));
    assert_eq!(share(7, 1.5), RateShare { isolate: 7, millihertz: 1_500 });
    assert_eq!(RateShare::new(7, None).millihertz, 0);
    let mut global_rate = GlobalRate::default();
    assert_eq!(global_rate.total(), 0);
    for told in [share(1, 10.0), share(2, 5.0), share(1, 12.0), share(0, 99.0), RateShare::new(2, None)] {
        global_rate.hear(told);
    }
    assert_eq!(global_rate.total(), 17_000, "the newest known rate of each named isolate");
    global_rate.committed();
    global_rate.hear(share(2, 6.0));
    assert_eq!(global_rate.total(), 18_000, "the first is still remembered");
    global_rate.committed();
    assert_eq!(global_rate.total(), 18_000, "and once more");
    global_rate.committed();
    assert_eq!(global_rate.total(), 6_000, "the first has not reported for two generations");
    global_rate.committed();
    assert_eq!(global_rate.total(), 0);
    assert_eq!(GlobalRate::default(), global_rate);
    for isolate in 1..=MAX_SHARES as u64 + 5 {
        global_rate.hear(share(isolate, 1.0));
    }
    assert_eq!(global_rate.total(), 1_000 * MAX_SHARES as u32, "no more are kept, the oldest are removed");
    assert_eq!(global_rate.isolates(), MAX_SHARES);
    global_rate.hear(share(3, 1e12));
    global_rate.hear(share(4, f64::INFINITY));
    assert_eq!(global_rate.total(), SEVERAL - 1, "no sum equals SEVERAL");
}

#[test]
fn an_isolate_without_a_rate_counts_as_an_average_one() {
    let mut global_rate = GlobalRate::default();
    let total = |global_rate: &GlobalRate| global_rate.total();
    global_rate.hear(RateShare::new(1, None));
    assert_eq!(total(&global_rate), 0, "one isolate without a rate gives no sum");
    global_rate.hear(RateShare::new(0, None));
    global_rate.hear(RateShare::new(1, None));
    assert_eq!(total(&global_rate), 0, "nor does a repeated report, or one without a name");
    global_rate.hear(RateShare::new(2, None));
    assert_eq!(total(&global_rate), SEVERAL);
    global_rate.hear(RateShare::new(1, Some(15.0)));
    assert_eq!(total(&global_rate), 30_000, "the second isolate counts as much as the first");
    for isolate in 3..9 {
        global_rate.hear(RateShare::new(isolate, None));
    }
    assert_eq!(total(&global_rate), 30_000);
    assert_eq!(global_rate.isolates(), 2, "once a rate is known, further isolates without one are not kept");
    global_rate.hear(RateShare::new(2, Some(5.0)));
    assert_eq!(total(&global_rate), 20_000);
    let mut global_rate = GlobalRate::default();
    for (isolate, rate) in [(1, None), (2, None), (3, None), (1, Some(10.0)), (2, Some(5.0))] {
        global_rate.hear(RateShare::new(isolate, rate));
    }
    assert_eq!(
        total(&global_rate),
        22_500,
        "two rates are known, and the third isolate counts as their average"
    );
    let mut global_rate = GlobalRate::default();
    for isolate in 1..200 {
        global_rate.hear(RateShare::new(isolate, None));
    }
    assert_eq!((total(&global_rate), global_rate.isolates()), (SEVERAL, MAX_SHARES));
    global_rate.hear(RateShare::new(3, Some(1e-9)));
    assert_eq!(
        total(&global_rate),
        2,
        "a known rate is at least 1, and the isolates without one add at most as much"
    );
}

#[test]
fn until_rates_are_known_auto_assumes_twice_its_own_rate() {
    assert!((lookup_beta(SEVERAL, Some(15.0)) - lookup_beta(0, Some(30.0))).abs() < 1e-9);
    assert!((lookup_beta(SEVERAL, None) - 1.0).abs() < 1e-9, "without its own rate beta is 1");
}

#[test]
fn shares_of_a_key_without_refreshes_expire() {
    let told_after = |ms: u64| {
        let mut state = lease::State::default();
        let ask = |isolate| LeaseRequest {
            lease: LEASE,
            share: RateShare::new(isolate, Some(1.0)),
            ..LeaseRequest::default()
        };
        let Answer::Granted { token } = state.acquire(0, Some(1), ask(1), NOW) else { panic!("the first") };
        state.commit(token, Span::ZERO, entry(1, NOW).lifetime, NOW);
        state.acquire(token, Some(2), ask(2), NOW.plus(Span(ms)));
        state.reply(Answer::Again).global_rate
    };
    assert_eq!(told_after(2_000), 2_000, "a TTL beyond expiry");
    assert_eq!(told_after(2_001), 1_000, "and later");
}

fn granted(state: &mut lease::State, seen: u64, now: Instant) -> u64 {
    match state.acquire(seen, Some(1), LeaseRequest { lease: LEASE, ..LeaseRequest::default() }, now) {
        Answer::Granted { token } => token,
        other => panic!("{other:?}"),
    }
}

fn committed(lifetime: Lifetime, seen: u64, now: Instant) -> (lease::State, u64) {
    let mut state = lease::State::default();
    let token = granted(&mut state, seen, now);
    assert_eq!(state.commit(token, Span::ZERO, lifetime, now).0, Answer::Committed);
    (state, token)
}

#[test]
fn the_alarm_looks_again_when_there_is_something_to_do() {
    let day = Span::DAY;
    let (mut state, _) = committed(entry(1, NOW).lifetime, 0, NOW);
    assert_eq!(state.next_clean_up(NOW.plus(Span(1_000))), Span(5_000));
    assert_eq!(state.next_clean_up(NOW.plus(Span(9_999))), Span::SECOND, "not at once");
    assert_eq!(state.clean_up(0, NOW.plus(Span(1_000))), CleanUp::Later(Span(5_000)));
    let body_end = NOW.plus(Span(6_000));
    assert_eq!(state.clean_up(0, body_end), CleanUp::DropBody(day));
    assert_eq!(state.clean_up(0, body_end), CleanUp::Later(day));
    assert_eq!(state.clean_up(0, body_end.plus(Span(3_600_000))), CleanUp::Later(day.minus(Span(3_600_000))));
    assert_eq!(state.clean_up(0, body_end.plus(day)), CleanUp::Forget);

    // A clock that was ahead has left a token more than a day in the future.
    let (mut state, token) = committed(Lifetime::default(), NOW.plus(day).0, NOW);
    assert_eq!(token, NOW.plus(day).0 + 1);
    assert_eq!(state.clean_up(0, NOW), CleanUp::DropBody(day));
    for now in [NOW.plus(day), Instant(token)] {
        assert_eq!(state.clean_up(0, now), CleanUp::Later(day), "tokens must go on increasing");
    }
    assert_eq!(state.clean_up(0, Instant(token + 1)), CleanUp::Forget);
}

#[test]
fn a_generation_that_leaves_too_few_tokens_is_ignored() {
    let lifetime = entry(1, NOW).lifetime;
    let (mut state, token) = committed(lifetime, 0, Instant(TOKEN_END));
    assert_eq!(token, TOKEN_END - 1);
    let ask = |state: &mut lease::State, seen, now| state.acquire(seen, None, LeaseRequest::default(), now);
    assert!(matches!(ask(&mut state, token, Instant(TOKEN_END)), Answer::Newer { .. }), "ignored");
    let half = Instant(TOKEN_END / 2 + 1);
    let (mut state, token) = committed(lifetime, 0, half);
    assert!(matches!(ask(&mut state, token, half), Answer::Granted { .. }), "accepted");
}

#[test]
fn a_soft_purge_does_not_shorten_the_back_off() {
    let sixth_window = |is_purged: bool| {
        let (mut state, _) = committed(entry(1, NOW).lifetime, 0, NOW);
        if is_purged {
            state.purge(false, Span::ZERO, NOW);
        }
        let mut now = NOW;
        let mut length = Span::ZERO;
        for _ in 0..6 {
            now = now.plus(Span(60_000));
            let token = granted(&mut state, NOW.plus(Span(60_000)).0, now);
            let failed = Failure::Transient { reason: Reason::OriginError, retry_after: None };
            match state.fail(token, failed, now, Draw::NEVER_EARLY).0 {
                Answer::Closed { retry_after, .. } => length = retry_after,
                other => panic!("{other:?}"),
            }
        }
        length
    };
    assert_eq!(sixth_window(false), Span(10_000), "no longer than a healthy cycle");
    assert_eq!(sixth_window(true), Span(30_000), "the TTL of a purged entry is not used");
}

#[test]
fn a_few_requests_at_one_instant_give_no_rate() {
    let memory = Span(10_000);
    let mut rate = ArrivalRate::default();
    assert_eq!(rate.per_second(memory), None);
    for at in [0, 1, 2, 3] {
        rate.arrived(NOW.plus(Span(at)), memory);
    }
    assert!(rate.per_second(memory).is_some_and(|it| it < 1.0), "{rate:?}");
    let mut steady = ArrivalRate::default();
    for at in 0..40 {
        steady.arrived(NOW.plus(Span(250 * at)), memory);
    }
    let seen = steady.per_second(memory).expect("forty requests");
    assert!((seen - 4.0).abs() < 0.1, "{seen}");
    let mut rare = ArrivalRate::default();
    for at in [0, 100_000, 200_000] {
        rare.arrived(NOW.plus(Span(at)), Span(300_000));
    }
    assert!(rare.per_second(Span(300_000)).is_some_and(|it| (it - 0.01).abs() < 0.002), "{rare:?}");
}

#[test]
fn auto_takes_the_larger_of_its_own_and_the_global_rate() {
    let own = lookup_beta(0, Some(15.0));
    assert!((lookup_beta(15_000, Some(3.0)) - own).abs() < 1e-9, "the global rate is larger");
    assert!((lookup_beta(3_000, Some(15.0)) - own).abs() < 1e-9, "its own is larger");
    assert!((lookup_beta(15_000, None) - own).abs() < 1e-9, "only the global rate is known");
    assert!(lookup_beta(30_000, Some(15.0)) < own);
    assert!((lookup_beta(0, None) - 1.0).abs() < 1e-9, "the paper's beta, if no rate is known");
    for (age, is_chosen) in
        [(0, false), (749, false), (750, true), (999, true), (1_000, false), (5_000, false)]
    {
        let beta = beta_at(age, 0.25, 15_000, None);
        assert_eq!((beta - 1.0).abs() > 1e-9, is_chosen, "{beta} at {age} ms: only in the early window");
    }
}

#[test]
fn the_auto_window_is_two_and_a_half_computations_at_any_ttl() {
    for (ttl, share) in [(10_000, 0.25), (100_000, 0.025), (3_600_000, 2.5 / 3_600.0)] {
        let lifetime = Lifetime { ttl: Span(ttl), ..Lifetime::default() };
        let entry = Entry { lifetime, delta: Span(1_000), global_rate: 50_000, ..entry(1, NOW) };
        let seen = freshness::eagerness(Some(&entry), NOW.plus(Span(ttl - 1)), &route(1.0), || None);
        assert!((seen.early_window - share).abs() < 1e-9, "{} of {ttl} ms", seen.early_window);
    }
}

/// The beta half a second before expiry, for the global rate in the entry and the rate that the isolate sees.
fn lookup_beta(global_rate: u32, rate: Option<f64>) -> f64 {
    beta_at(500, 1.0, global_rate, rate)
}

fn beta_at(age: u64, early_window: f64, global_rate: u32, rate: Option<f64>) -> f64 {
    let entry = Entry { global_rate, ..entry(1, NOW) };
    freshness::eagerness(Some(&entry), NOW.plus(Span(age)), &route(early_window), || rate).beta
}

fn route(early_window: f64) -> Rc<Route> {
    let vars = serde_json::json!({
        "ORIGIN_URL": "https://api.example",
        "ROUTES": [{ "path": "/a", "ttl": 1, "early_window": early_window }],
    });
    let vars = vars.as_object().expect("it is one");
    let config = Config::parse(vars, false).expect("it is a good configuration");
    Rc::clone(&config.routes[0])
}

#[test]
fn back_off_doubles_up_to_its_maximum_and_is_no_longer_than_a_healthy_cycle() {
    let window = |in_a_row, ttl: Option<u64>, spread| failure::backoff(in_a_row, None, ttl.map(Span), spread);
    for (in_a_row, length) in
        [(1, 1_000), (2, 2_000), (3, 4_000), (5, 16_000), (6, 30_000), (u32::MAX, 30_000)]
    {
        assert_eq!(window(in_a_row, None, 1.0), Span(length));
        assert_eq!(window(in_a_row, None, 0.5), Span(length * 3 / 4), "jitter");
        assert_eq!(window(in_a_row, None, 0.0), Span(length / 2), "jitter");
    }
    for (ttl, most) in [(0, 10_000), (5_000, 10_000), (15_000, 15_000), (3_600_000, 30_000)] {
        assert_eq!(window(9, Some(ttl), 1.0), Span(most), "a TTL of {ttl} ms");
    }
    for (asked, granted) in [(0, 1_000), (7_000, 7_000), (120_000, 120_000), (999_000, 120_000)] {
        let wish = |spread| failure::backoff(9, Some(Span(asked)), Some(Span(5_000)), spread);
        assert_eq!(wish(0.0), Span(granted), "the TTL does not bound Retry-After");
        assert_eq!(wish(1.0), Span(granted * 11 / 10));
    }
}

#[test]
fn an_entry_is_served_until_its_window_ends_and_not_at_that_instant() {
    let entry = entry(1, NOW);
    assert!(entry.is_servable(NOW.plus(Span(2_999))));
    assert!(!entry.is_servable(NOW.plus(Span(3_000))));
    assert!(entry.is_usable_on_error(NOW.plus(Span(5_999))));
    assert!(!entry.is_usable_on_error(NOW.plus(Span(6_000))));
    assert!(!entry.is_gone(NOW.plus(Span(5_999))));
    assert!(entry.is_gone(NOW.plus(Span(6_000))));
}

#[test]
fn a_purge_floor_removes_generations_below_it_and_keeps_its_own() {
    let later = NOW.plus(Span(100));
    let left = |generation, committed, floor: Floor| {
        let seen = floor.applied(Arc::new(Entry { committed, ..entry(generation, NOW) }), later);
        seen.map(|it| later < it.expiry())
    };
    for committed in [false, true] {
        let hard = |generation| left(generation, committed, Floor { hard: 8, soft: 0 });
        assert_eq!((hard(7), hard(8), hard(9)), (None, Some(true), Some(true)));
        let soft = |generation| left(generation, committed, Floor { hard: 0, soft: 8 });
        assert_eq!((soft(8), soft(9)), (Some(true), Some(true)), "committed: {committed}");
    }
    let soft = Floor { hard: 0, soft: 8 };
    assert_eq!(left(7, true, soft), Some(false), "it has expired");
    assert_eq!(left(7, false, soft), None, "an uncommitted value may be older than the purge");
}

#[test]
fn a_copy_of_one_generation_supersedes_only_if_it_expires_earlier() {
    let held = entry(5, NOW);
    assert!(!entry(5, NOW).supersedes(&held), "an equal copy does not supersede");
    assert!(!entry(4, NOW.plus(Span(500))).supersedes(&held));
    assert!(entry(6, NOW).supersedes(&held));
    let mut purged = entry(5, NOW);
    purged.expire(NOW.plus(Span(10)));
    assert!(purged.supersedes(&held), "a soft purge");
    assert!(!held.supersedes(&purged), "a soft purge is not undone");
    let uncommitted = Entry { committed: false, ..entry(5, NOW.plus(Span(2_000))) };
    assert!(uncommitted.supersedes(&held), "computed to replace it");
    assert!(!held.supersedes(&uncommitted));
    let newer = Entry { committed: false, ..entry(5, NOW.plus(Span(3_000))) };
    assert!(!entry(5, NOW).supersedes(&newer));
}

#[test]
fn an_entry_weighs_its_parts() {
    let light = entry(1, NOW);
    let plus = |change: &dyn Fn(&mut Entry)| {
        let mut heavier = light.clone();
        change(&mut heavier);
        heavier.weight() - light.weight()
    };
    assert!(light.weight() >= light.body.len() + light.key.len() + light.etag.len());
    assert!(light.weight() < 2_048, "{}", light.weight());
    assert_eq!(plus(&|it| it.body = Arc::from(vec![0; 1_002])), 1_000);
    assert_eq!(plus(&|it| it.key = "k".repeat(503).into()), 500);
    let header = plus(&|it| it.headers.push(("n".repeat(10), "v".repeat(20))));
    assert!((30..200).contains(&header), "{header}");
}

fn failed(cold: &mut Miss, now: Instant) -> MissAction {
    let failure = Failure::Transient { reason: Reason::OriginError, retry_after: None };
    cold.on(MissEvent::Led(RefreshOutcome::Failed(failure), Floor::default()), now)
}

#[test]
fn a_failed_computation_falls_back_only_on_an_entry_within_its_window() {
    let old = Arc::new(entry(3, NOW));
    for (age, is_usable) in [(4_000, true), (5_999, true), (6_000, false)] {
        let now = NOW.plus(Span(age));
        let mut cold = Miss::new(3, Some(Arc::clone(&old)), now);
        cold.on(MissEvent::Started { led_here: false }, now);
        let action = failed(&mut cold, now);
        let fell_back = matches!(action, MissAction::Answer(MissOutcome::Fallback(_)));
        assert_eq!(fell_back, is_usable, "at an age of {age} ms: {action:?}");
    }
}

#[test]
fn an_unusable_entry_never_replaces_a_usable_one() {
    let now = NOW.plus(Span(4_000));
    let mut cold = Miss::new(3, Some(Arc::new(entry(3, NOW))), now);
    cold.on(MissEvent::Started { led_here: false }, now);
    let brief = Lifetime { ttl: Span(1_000), ..Lifetime::default() };
    let newer = Arc::new(Entry { lifetime: brief, ..entry(4, NOW) });
    let action = cold.on(MissEvent::Led(RefreshOutcome::Adopted(newer), Floor::default()), now);
    assert!(matches!(action, MissAction::Lead { seen: 4 }), "{action:?}");
    let action = failed(&mut cold, now);
    assert!(
        matches!(&action, MissAction::Answer(MissOutcome::Fallback(it)) if it.generation == 3),
        "{action:?}"
    );
}

#[test]
fn memory_never_exceeds_its_bytes_even_with_few_large_entries() {
    let body: Arc<[u8]> = Arc::from(vec![0; 10_000]);
    let large = |generation| Entry { body: Arc::clone(&body), ..entry(generation, NOW) };
    for fit in 1..=5 {
        let most = large(0).weight() * fit + 5_000;
        let mut memory = Memory::new(most, 100);
        let mut rng = fastrand::Rng::with_seed(7);
        for generation in 0..5_000 {
            let hash = [rng.u8(1..9); 32];
            match rng.u8(0..3) {
                0 => drop(memory.get(&hash, "key", NOW)),
                _ => assert!(memory.accept(hash, &Arc::new(large(generation)), NOW)),
            }
            assert!(memory.bytes() <= most, "{} of {most} bytes", memory.bytes());
            assert!(memory.keys() <= fit, "{} of {fit}", memory.keys());
        }
        assert_eq!(memory.keys(), fit, "and it is full");
    }
}

#[test]
fn a_waiter_past_its_patience_learns_whether_the_object_was_unreachable() {
    for (is_lost, told) in [(true, "Unavailable"), (false, "TimedOut")] {
        let mut cold = Miss::new(0, None, NOW);
        cold.on(MissEvent::Started { led_here: false }, NOW);
        if is_lost {
            cold.on(MissEvent::Led(RefreshOutcome::ObjectLost, Floor::default()), NOW);
        }
        let action = cold.on(MissEvent::TimedOut, NOW.plus(Span(60_000)));
        assert!(
            matches!(&action, MissAction::Answer(outcome) if format!("{outcome:?}") == told),
            "{action:?}"
        );
    }
}

#[test]
fn a_miss_keeps_the_objects_usable_entry_as_a_fallback() {
    let held = Arc::new(entry(7, NOW));
    for (age, falls_back) in [(4_000, true), (6_500, false)] {
        let now = NOW.plus(Span(age));
        let mut cold = Miss::new(0, None, now);
        cold.on(MissEvent::Started { led_here: false }, now);
        let newer = Answer::Newer { generation: 7, age: Span(age), ttl: held.lifetime.ttl };
        let reply = Reply { floor: Floor::default(), global_rate: 0, answer: newer };
        let action = cold.on(MissEvent::Woken(reply, Some(Arc::clone(&held))), now);
        assert!(matches!(action, MissAction::Lead { seen: 7 }), "{action:?}");
        let action = failed(&mut cold, now);
        assert_eq!(matches!(action, MissAction::Answer(MissOutcome::Fallback(_))), falls_back, "{action:?}");
    }
}

#[test]
fn waiters_that_saw_the_same_entry_share_one_message_and_get_its_answer_once() {
    let mut sleeps = Coalesce::default();
    let mut join = |key: u8, seen, who: u64| sleeps.join([key; 32], seen, who, 2, LEASE, NOW);
    let firsts = [join(1, 0, 10), join(1, 7, 11), join(2, 0, 12), join(255, 1, 15), join(255, 2, 16)];
    assert_eq!(join(1, 0, 13), Joined::Follows);
    assert_eq!(join(1, 0, 14), Joined::TooMany, "two at most");
    let owners: Vec<u64> = firsts.into_iter().filter_map(owner).collect();
    assert_eq!(owners.len(), firsts.len(), "each of them sends a message of its own");
    assert_eq!(sleeps.end([1; 32], 0, owners[0]), [10, 13], "in the order in which they came");
    assert!(sleeps.end([1; 32], 0, owners[0]).is_empty(), "once");
    assert_eq!(sleeps.end([1; 32], 7, owners[1]), [11]);
    assert_eq!(sleeps.end([2; 32], 0, owners[2]), [12]);
}

#[test]
fn no_waiter_joins_an_expired_message_or_one_from_the_future() {
    let key = [1; 32];
    let began = || {
        let mut sleeps = Coalesce::default();
        let name = owner(sleeps.join(key, 0, 1, 9, LEASE, NOW)).expect("it is the first");
        (sleeps, name)
    };
    let (mut sleeps, name) = began();
    let last = Instant(NOW.0 + LEASE.0 - 1);
    assert_eq!(sleeps.left(key, 0, NOW), Some(LEASE));
    assert_eq!(sleeps.left(key, 7, NOW), None, "nobody sleeps there");
    assert_eq!(sleeps.left(key, 0, last), Some(Span(1)), "no longer than the message may take");
    assert_eq!(sleeps.join(key, 0, 2, 9, LEASE, last), Joined::Follows);
    assert_eq!(sleeps.end(key, 0, name), [1, 2]);
    for (later, heard) in [(NOW.plus(LEASE), vec![2]), (Instant(NOW.0 - 1), vec![1, 2])] {
        let (mut sleeps, name) = began();
        assert_eq!(sleeps.left(key, 0, later), None);
        let next = owner(sleeps.join(key, 0, 2, 9, LEASE, later)).expect("it sends one of its own");
        assert!(sleeps.end(key, 0, name).is_empty(), "no waiter is left for the expired message");
        assert_eq!(sleeps.end(key, 0, next), heard, "waiters from the future hear the next reply");
    }
}

fn owner(joined: Joined) -> Option<u64> {
    match joined {
        Joined::First(owner) => Some(owner),
        Joined::Follows | Joined::TooMany => None,
    }
}

#[test]
fn expired_waits_do_not_accumulate() {
    let mut sleeps = Coalesce::default();
    for number in 0..10_000_u64 {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        let now = NOW.plus(Span(number * 100));
        sleeps.join(key, 0, number, 9, LEASE, now);
    }
    let left = sleeps.waiters();
    assert!((100..=512).contains(&left), "{left} of ten thousand are left, of which a hundred are live");
}

#[test]
fn the_number_of_waiters_in_an_isolate_is_bounded_over_all_keys() {
    let key = |number: usize| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(number as u64).to_le_bytes());
        key
    };
    let full = || {
        let mut sleeps = Coalesce::default();
        let firsts: Vec<_> = (0..MAX_WAITERS / 2)
            .map(|it| owner(sleeps.join(key(it), 0, it as u64, 9, LEASE, NOW)).expect("there is room"))
            .collect();
        for it in 0..MAX_WAITERS / 2 {
            assert_eq!(sleeps.join(key(it), 0, it as u64, 9, LEASE, NOW), Joined::Follows);
        }
        (sleeps, firsts)
    };
    let (mut sleeps, firsts) = full();
    for it in [0, MAX_WAITERS] {
        assert_eq!(
            sleeps.join(key(it), 0, it as u64, 9, LEASE, NOW),
            Joined::TooMany,
            "of a known key or a new one"
        );
    }
    // A woken waiter frees its place.
    assert_eq!(sleeps.end(key(1), 0, firsts[1]), [1, 1]);
    assert_eq!(sleeps.join(key(0), 0, 0, 9, LEASE, NOW), Joined::Follows);
    assert!(owner(sleeps.join(key(MAX_WAITERS), 0, 0, 9, LEASE, NOW)).is_some());
    assert_eq!(sleeps.join(key(0), 0, 0, 9, LEASE, NOW), Joined::TooMany);
    // So do the waiters of an expired message, or of one from the future.
    for later in [NOW.plus(LEASE), Instant(NOW.0 - 1)] {
        let (mut sleeps, _) = full();
        assert_eq!(sleeps.join(key(0), 0, 0, 9, LEASE, NOW), Joined::TooMany);
        for it in 0..MAX_WAITERS {
            assert!(owner(sleeps.join(key(it), 0, it as u64, 9, LEASE, later)).is_some(), "{it}");
        }
        assert_eq!(sleeps.join(key(0), 0, 0, 9, LEASE, later), Joined::TooMany);
    }
}

#[test]
fn times_are_rounded_up_or_down_as_each_use_requires() {
    for (milliseconds, seconds) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (60_000, 60)] {
        assert_eq!(Span(milliseconds).whole_seconds_up(), seconds, "{milliseconds} ms");
    }
    for (seconds, milliseconds) in
        [(0.0, 0), (0.0004, 0), (0.0006, 1), (1.5, 1_500), (-1.0, 0), (f64::NAN, 0)]
    {
        assert_eq!(Span::from_seconds(seconds), Span(milliseconds), "{seconds} s");
    }
    assert_eq!(Span(1_000).share(0.5), Span(500));
    assert_eq!(Span(1_000).share(-0.5), Span::ZERO);
    assert_eq!((Span(2).plus(Span(3)), Span(3).minus(Span(1))), (Span(5), Span(2)));
    assert_eq!((Span(u64::MAX).plus(Span(3)), Span(1).minus(Span(3))), (Span(u64::MAX), Span::ZERO));
}
