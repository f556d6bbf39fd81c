//! Small parts by themselves: what only they decide, at the edges where a mistake would not show elsewhere.

use std::sync::Arc;

use xfetch_edge::{
    calls::Calls,
    cold::{Action, Cold, Event, Outcome},
    entry::{Entry, Floor, Lifetime},
    failure::{Failure, Reason},
    message::{Answer, Reply},
    refresh::{Ending, Purpose},
    time::Millis,
};

const NOW: Millis = Millis(1_000_000);
const LEASE: Millis = Millis(10_000);

fn entry(generation: u64, stored_at: Millis) -> Entry {
    Entry {
        generation,
        stored_at,
        delta: Millis(100),
        lifetime: Lifetime {
            ttl: Millis(1_000),
            stale_while_revalidate: Millis(2_000),
            stale_if_error: Millis(5_000),
        },
        committed: true,
        key: "key".into(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        etag: "\"e\"".to_owned(),
        body: Arc::from(&b"{}"[..]),
    }
}

#[test]
fn calls_under_way_are_counted_settled_once_and_swept_at_the_end_of_their_lease() {
    let mut calls = Calls::default();
    assert_eq!(calls.under_way(), 0);
    let first = calls.begin(Purpose::Cold, NOW, LEASE);
    let second = calls.begin(Purpose::Early, NOW.plus(Millis(5_000)), LEASE);
    assert_ne!(first, second);
    assert_eq!(calls.under_way(), 2);
    assert!(calls.settle(second));
    assert!(!calls.settle(second), "it has ended already");
    assert_eq!(calls.under_way(), 1, "the other goes on");
    assert_eq!(calls.sweep(NOW.plus(Millis(9_999))), []);
    assert_eq!(calls.sweep(NOW.plus(LEASE)), [Purpose::Cold]);
    assert!(!calls.settle(first), "it was swept");
    assert_eq!(calls.under_way(), 0);
}

#[test]
fn an_entry_is_served_until_its_window_ends_and_not_at_that_instant() {
    let entry = entry(1, NOW);
    assert!(entry.is_servable(NOW.plus(Millis(2_999))));
    assert!(!entry.is_servable(NOW.plus(Millis(3_000))));
    assert!(entry.is_usable_on_error(NOW.plus(Millis(5_999))));
    assert!(!entry.is_usable_on_error(NOW.plus(Millis(6_000))));
    assert!(!entry.is_gone(NOW.plus(Millis(5_999))));
    assert!(entry.is_gone(NOW.plus(Millis(6_000))));
}

#[test]
fn of_one_generation_the_copy_that_expires_earlier_supersedes_and_an_equal_one_does_not() {
    let held = entry(5, NOW);
    assert!(!entry(5, NOW).supersedes(&held), "the same is no news");
    assert!(!entry(4, NOW.plus(Millis(500))).supersedes(&held));
    assert!(entry(6, NOW).supersedes(&held));
    let mut purged = entry(5, NOW);
    purged.expire(NOW.plus(Millis(10)));
    assert!(purged.supersedes(&held), "a soft purge");
    assert!(!held.supersedes(&purged), "which nothing undoes");
    let uncommitted = Entry { committed: false, ..entry(5, NOW.plus(Millis(2_000))) };
    assert!(uncommitted.supersedes(&held), "computed to replace it");
    assert!(!held.supersedes(&uncommitted));
    let newer = Entry { committed: false, ..entry(5, NOW.plus(Millis(3_000))) };
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

fn failed(cold: &mut Cold, now: Millis) -> Action {
    let failure = Failure::Transient { reason: Reason::OriginError, retry_after: None };
    cold.on(Event::Led(Ending::Failed(failure), Floor::default()), now)
}

#[test]
fn a_failed_computation_falls_back_on_what_may_still_be_used_and_on_nothing_else() {
    let old = Arc::new(entry(3, NOW));
    for (age, is_usable) in [(4_000, true), (5_999, true), (6_000, false)] {
        let now = NOW.plus(Millis(age));
        let mut cold = Cold::new(3, Some(Arc::clone(&old)), now);
        cold.on(Event::Started { led_here: false }, now);
        let action = failed(&mut cold, now);
        let fell_back = matches!(action, Action::Answer(Outcome::Fallback(_)));
        assert_eq!(fell_back, is_usable, "at an age of {age} ms: {action:?}");
    }
}

#[test]
fn who_waits_too_long_is_told_whether_it_was_the_object_that_was_missing() {
    for (is_lost, told) in [(true, "Unavailable"), (false, "TimedOut")] {
        let mut cold = Cold::new(0, None, NOW);
        cold.on(Event::Started { led_here: false }, NOW);
        if is_lost {
            cold.on(Event::Led(Ending::ObjectLost, Floor::default()), NOW);
        }
        let action = cold.on(Event::TimedOut, NOW.plus(Millis(60_000)));
        assert!(matches!(&action, Action::Answer(outcome) if format!("{outcome:?}") == told), "{action:?}");
    }
}

#[test]
fn what_the_object_holds_is_overtaken_and_kept_in_hand_while_it_may_still_be_used() {
    let held = Arc::new(entry(7, NOW));
    for (age, falls_back) in [(4_000, true), (6_500, false)] {
        let now = NOW.plus(Millis(age));
        let mut cold = Cold::new(0, None, now);
        cold.on(Event::Started { led_here: false }, now);
        let newer = Answer::Newer { generation: 7, age: Millis(age), ttl: held.lifetime.ttl };
        let reply = Reply { floor: Floor::default(), answer: newer };
        let action = cold.on(Event::Woken(reply, Some(Arc::clone(&held))), now);
        assert!(matches!(action, Action::Lead { seen: 7 }), "{action:?}");
        let action = failed(&mut cold, now);
        assert_eq!(matches!(action, Action::Answer(Outcome::Fallback(_))), falls_back, "{action:?}");
    }
}
