//! Edge cases of the metrics: histogram buckets, sums over isolates, batches.

use xfetch_edge::{
    core::{
        failure::Reason,
        time::{Instant, Span},
    },
    isolate::{
        computation::{Purpose, TriggerOutcome},
        metrics::{
            BUCKETS, Batch, COUNTERS, CallOutcome, Counter, Counters, Gauges, Ledger, MAX_NAMES, MetricEvent,
            ServedAs, Spent, TopList,
        },
    },
};

fn counters(events: impl IntoIterator<Item = MetricEvent>) -> Counters {
    events.into_iter().fold(Counters::default(), |mut counters, event| {
        counters.fold(event);
        counters
    })
}

const fn answered(took: u64) -> MetricEvent {
    MetricEvent::Answered { class: ServedAs::HitFresh, took: Span(took) }
}

#[test]
fn a_bucket_counts_values_up_to_its_bound() {
    for (place, bound) in BUCKETS.into_iter().enumerate() {
        let seen = counters([answered(bound), answered(bound), answered(bound + 1)]).answer_time;
        let mut counts = [0; BUCKETS.len() + 1];
        counts[place] = 2;
        // Also for the bound 1, because 2 ms is the bound of the next bucket.
        counts[place + 1] = 1;
        assert_eq!(
            (seen.counts().collect::<Vec<_>>(), seen.sum, seen.count()),
            (counts.to_vec(), 3 * bound + 1, 3),
            "{bound} ms"
        );
    }
}

#[test]
fn counters_are_empty_until_an_event_arrives() {
    assert!(Counters::default().is_empty());
    assert!(!counters([answered(0)]).is_empty());
    assert_eq!(Counters::default().answer_time.count(), 0);
}

#[test]
fn counters_are_added_bucket_by_bucket() {
    let called = |delta| MetricEvent::Called { purpose: Purpose::Cold, call: CallOutcome::Ok(Span(delta)) };
    let events = [answered(1), answered(7), called(900), called(30_000)];
    let (mut left, right) = (counters([answered(7), called(900)]), counters(events));
    left.merge(&right);
    assert_eq!(left, counters([answered(7), called(900)].into_iter().chain(events)));
    assert_eq!((left.answer_time.count(), left.delta.count()), (3, 3));
    assert_eq!((left.answer_time.sum, left.delta.sum), (15, 31_800));
    assert_eq!((left.get(Counter::TotalRequests), left.get(Counter::ComputeOk)), (3, 3));
}

/// The counters that an event moves, and by how much.
fn moved(event: MetricEvent) -> Vec<(&'static str, u64)> {
    let seen = counters([event]);
    let all = COUNTERS.iter().enumerate().map(|(place, (name, _))| (*name, seen.at(place)));
    all.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn each_event_moves_its_own_counters_by_one() {
    let mut cases: Vec<(MetricEvent, Vec<&str>)> = vec![
        (MetricEvent::CommitRejected, vec!["commits_rejected"]),
        (MetricEvent::GrantGivenBack, vec!["grants_given_back"]),
        (MetricEvent::CacheFailed, vec!["cache_api_errors"]),
        (MetricEvent::EntryUnreadable, vec!["entries_unreadable"]),
        (MetricEvent::NoEntropy, vec!["entropy_errors"]),
    ];
    for (class, name) in [
        (ServedAs::HitFresh, "cache_hit_fresh"),
        (ServedAs::HitStale, "cache_hit_stale"),
        (ServedAs::Miss, "cache_miss"),
        (ServedAs::Bypass, "bypass"),
        (ServedAs::Rejected, "rejected"),
    ] {
        cases.push((MetricEvent::Answered { class, took: Span(1) }, vec!["total_requests", name]));
    }
    for (trigger, name) in [
        (TriggerOutcome::Started, "refreshes_started"),
        (TriggerOutcome::Contention, "xfetch_lock_contention_total"),
        (TriggerOutcome::RecheckSkip, "xfetch_recheck_skips_total"),
        (TriggerOutcome::LockError, "refresh_lock_errors"),
        (TriggerOutcome::Backoff, "refresh_backoffs"),
    ] {
        for (purpose, triggers, contention) in [
            (Purpose::Early, "xfetch_early_triggers", "xfetch_lock_contention_early"),
            (Purpose::Stale, "xfetch_stale_triggers", "xfetch_lock_contention_stale"),
        ] {
            let mut names = vec!["xfetch_triggers", triggers, name];
            if trigger == TriggerOutcome::Contention {
                names.push(contention);
            }
            cases.push((MetricEvent::Triggered { purpose, trigger }, names));
        }
        // A cold computation has no trigger, so no counter moves.
        cases.push((MetricEvent::Triggered { purpose: Purpose::Cold, trigger }, vec![]));
    }
    for (purpose, calls) in [
        (Purpose::Cold, "compute_calls_cold"),
        (Purpose::Early, "compute_calls_refresh"),
        (Purpose::Stale, "compute_calls_refresh"),
    ] {
        let mut called = |call, names: &[&'static str]| {
            let all = ["compute_calls", calls].into_iter().chain(names.iter().copied());
            cases.push((MetricEvent::Called { purpose, call }, all.collect()));
        };
        called(CallOutcome::Ok(Span(1)), &["compute_ok"]);
        called(CallOutcome::Abandoned, &["compute_abandoned"]);
        called(CallOutcome::Failed(None), &["compute_failed"]);
        called(CallOutcome::Failed(Some(Reason::OriginBusy)), &["compute_failed", "failed_origin_busy"]);
        called(CallOutcome::Failed(Some(Reason::TooManyOriginCalls)), &["compute_failed"]);
    }
    for (event, names) in cases {
        let mut wanted: Vec<_> = names.into_iter().map(|name| (name, 1)).collect();
        let mut seen = moved(event);
        wanted.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, wanted, "{event:?}");
    }
}

fn batch(isolate: &str, sequence: u64, epoch: Option<&str>, in_flight: u64) -> Batch {
    Batch {
        isolate: isolate.to_owned(),
        sequence,
        epoch: epoch.map(str::to_owned),
        counters: counters([answered(1)]),
        gauges: Gauges { computations_in_flight: in_flight, memory_entries: 2, memory_bytes: 300 },
    }
}

#[test]
fn a_batch_counts_once_and_only_in_its_own_epoch() {
    let mut ledger = Ledger::new("first".to_owned(), Instant(1));
    let requests = |ledger: &Ledger| ledger.counters.get(Counter::TotalRequests);
    ledger.take(&batch("a", 1, None, 0), Instant(1));
    assert_eq!(requests(&ledger), 1, "an isolate that knows of no epoch yet");
    ledger.take(&batch("a", 1, Some("first"), 0), Instant(2));
    assert_eq!(requests(&ledger), 1, "a repeated batch is not counted");
    ledger.take(&batch("b", 1, Some("first"), 0), Instant(3));
    ledger.take(&batch("a", 2, Some("first"), 0), Instant(4));
    assert_eq!(requests(&ledger), 3);
    ledger.reset("second".to_owned(), Instant(5));
    assert_eq!((requests(&ledger), ledger.since), (0, Instant(5)));
    ledger.take(&batch("a", 3, Some("first"), 0), Instant(6));
    assert_eq!(requests(&ledger), 0, "a batch of an earlier epoch is not counted");
    ledger.take(&batch("a", 3, Some("second"), 0), Instant(7));
    assert_eq!(requests(&ledger), 0, "its sequence number has been used");
    ledger.take(&batch("a", 4, Some("second"), 0), Instant(8));
    assert_eq!(requests(&ledger), 1);
}

#[test]
fn gauges_are_those_of_isolates_that_reported_within_a_minute() {
    let mut ledger = Ledger::new("first".to_owned(), Instant(0));
    ledger.take(&batch("a", 1, None, 5), Instant(1_000));
    ledger.take(&batch("b", 1, None, 7), Instant(31_000));
    let seen = |now| ledger.gauges(Instant(now));
    let sum = |in_flight, isolates: u64| Gauges {
        computations_in_flight: in_flight,
        memory_entries: 2 * isolates,
        memory_bytes: 300 * isolates,
    };
    assert_eq!(seen(31_000), sum(12, 2));
    assert_eq!(seen(60_999), sum(12, 2));
    assert_eq!(seen(61_000), sum(7, 1));
    assert_eq!(seen(91_000), sum(0, 0));
}

#[test]
fn beyond_the_limit_the_isolate_silent_for_longest_is_removed() {
    const MAX_ISOLATES: u64 = 2_000;
    let mut ledger = Ledger::new("first".to_owned(), Instant(0));
    for number in 0..MAX_ISOLATES {
        ledger.take(&batch(&number.to_string(), 1, None, 0), Instant(1));
    }
    ledger.take(&batch("0", 2, None, 0), Instant(2));
    ledger.take(&batch("new", 1, None, 0), Instant(3));
    let requests = |ledger: &Ledger| ledger.counters.get(Counter::TotalRequests);
    assert_eq!(
        (requests(&ledger), ledger.gauges(Instant(3)).memory_entries),
        (MAX_ISOLATES + 2, 2 * MAX_ISOLATES)
    );
    ledger.take(&batch("0", 2, None, 0), Instant(4));
    assert_eq!(requests(&ledger), MAX_ISOLATES + 2, "isolate 0 is still known, so its batch is a repetition");
    ledger.take(&batch("1", 1, None, 0), Instant(4));
    assert_eq!(requests(&ledger), MAX_ISOLATES + 3, "isolate 1 was removed, so its batch counts again");
}

fn named(list: &TopList) -> Vec<(String, u64, u64)> {
    list.sorted().iter().map(|it| (it.name.clone(), it.spent.requests, it.spent.computations)).collect()
}

#[test]
fn the_top_list_adds_up_what_each_name_has_cost() {
    let mut counters = Counters::default();
    counters.spend("/a", Some("acme"), Spent::REQUEST);
    counters.spend("/a", Some("globex"), Spent::REQUEST);
    counters.spend("/b", None, Spent::computation(Span(1_500)));
    let mut other = Counters::default();
    other.spend("/a", Some("globex"), Spent::REQUEST);
    counters.merge(&other);
    assert_eq!(named(&counters.routes), [("/b".to_owned(), 0, 1), ("/a".to_owned(), 3, 0)]);
    assert_eq!(named(&counters.tenants), [("globex".to_owned(), 2, 0), ("acme".to_owned(), 1, 0)]);
    assert_eq!(counters.routes.sorted()[0].spent.origin_time, Span(1_500));
    assert!(counters.routes.sorted().iter().all(|it| !it.may_be_incomplete()));
}

#[test]
fn the_top_list_is_bounded_and_keeps_who_weighs_most() {
    let mut list = TopList::default();
    for round in 0..200 {
        for _ in 0..20 {
            list.add("heavy", Spent::REQUEST);
        }
        list.add("costly", Spent::computation(Span(10)));
        for number in 0..100 {
            list.add(&format!("stranger {round} {number}"), Spent::REQUEST);
        }
    }
    let sorted = list.sorted();
    assert_eq!(sorted.len(), MAX_NAMES);
    assert_eq!((sorted[0].name.as_str(), sorted[0].spent.computations), ("costly", 200));
    assert_eq!((sorted[1].name.as_str(), sorted[1].spent.requests), ("heavy", 4_000));
    assert!(!sorted[0].may_be_incomplete() && !sorted[1].may_be_incomplete());
    assert!(sorted[2].may_be_incomplete(), "it has taken the place of others");
}
