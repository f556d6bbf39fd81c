//! Stored forms, decoded from committed files: bytes that a released version has written must always be
//! decoded, or refused by their version. `UPDATE_FORMATS=1` writes missing files, and never changes existing
//! ones.

use std::{fs, path::PathBuf};

use xfetch_edge::{
    core::{
        canonical_json,
        entry::{Entry, Lifetime},
        failure::{Failure, PASS_TTL, Reason},
        global_rate::RateShare,
        purge::Floor,
        time::{Instant, Span},
        xfetch::Draw,
    },
    isolate::metrics::{
        self, Batch, Counters, Flusher, Gauges, Ledger, MetricEvent, MetricsRequest, ServedAs, Spent,
    },
    protocol::{
        codec,
        colo_record::ColoRecord,
        entry_format::{self, Unreadable},
        message::{self, Answer, Inspection, LeaseRequest, Message, Reply},
        object::{self, Incoming, KeyObject, Output},
    },
};

use super::promises::entry;

const STORED_AT: u64 = 1_795_000_000_900;

fn whole() -> Entry {
    let variant = vec![("accept".to_owned(), Some("text/html".to_owned())), ("x-tier".to_owned(), None)];
    let lifetime = Lifetime { kept: Span(77_000), ..entry(0, 0).lifetime };
    Entry { global_rate: 30_000, variant, lifetime, ..entry(1_795_000_000_000, STORED_AT) }
}

/// The committed file of this name, which must equal the current encoding byte for byte.
fn frozen(name: &str, current: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/native/formats").join(name);
    if std::env::var_os("UPDATE_FORMATS").is_some() && !path.exists() {
        fs::write(&path, current).expect("the folder can be written");
    }
    let stored = fs::read(&path).expect("the file is committed");
    assert_eq!(stored, current, "{name} is frozen: a change is a new version");
    stored
}

#[test]
fn an_entry_of_version_2_is_decoded() {
    let stored = frozen("entry.v2", &entry_format::encode(&whole()));
    assert_eq!(entry_format::decode(&stored, "key"), Ok(whole()));
}

/// The bytes of a version that this program no longer decodes.
fn former(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/native/formats").join(name);
    fs::read(path).expect("the file is committed")
}

#[test]
fn what_version_1_has_written_is_refused_by_its_version_and_its_floors_are_kept() {
    assert_eq!(entry_format::decode(&former("entry.v1"), "key"), Err(Unreadable::UnknownVersion));
    let (record, why) = ColoRecord::decode(&former("colo-record.v1"), "key", Instant(STORED_AT));
    assert_eq!((record.floor, record.entry), (Floor { soft: 3, hard: 2 }, None));
    assert_eq!(why, Some(Unreadable::UnknownVersion));
    for name in ["acquire.v1", "wait.v1", "commit.v1", "fail.v1", "purge.v1", "inspect.v1"] {
        assert_eq!(message::decode_message(&former(name)), None, "{name}");
    }
    assert_eq!(message::decode_reply(&former("newer.v1")), None);
    let (sent, stored) = (former("metrics-flush.v1"), former("metrics-ledger.v1"));
    assert_eq!(codec::split::<MetricsRequest>(metrics::FORMAT, &sent), None);
    assert_eq!(codec::split::<Ledger>(metrics::FORMAT, &stored), None);
    assert_eq!(object::stored_lease(&former("object-state.v1")).committed_generation(), None);
}

#[test]
fn an_entry_of_another_version_or_key_is_refused_by_name() {
    let mut stored = entry_format::encode(&entry(7, 9));
    assert_eq!(entry_format::decode(&stored, "another"), Err(Unreadable::ForeignKey));
    stored[3] = b'9';
    assert_eq!(entry_format::decode(&stored, "key"), Err(Unreadable::UnknownVersion));
    assert_eq!(entry_format::decode(b"xf", "key"), Err(Unreadable::Corrupt));
}

#[test]
fn no_byte_of_a_stored_entry_can_change_or_be_cut_off_unnoticed() {
    let stored = entry_format::encode(&whole());
    for place in 0..stored.len() {
        assert!(entry_format::decode(&stored[..place], "key").is_err(), "cut off at {place}");
        for bit in 0..8 {
            let mut changed = stored.clone();
            changed[place] ^= 1 << bit;
            assert!(entry_format::decode(&changed, "key").is_err(), "bit {bit} of byte {place}");
        }
    }
}

#[test]
fn a_colos_record_of_version_1_with_an_entry_of_version_2_is_decoded_and_its_floor_survives_a_corrupt_entry()
{
    let now = Instant(STORED_AT + 1_000);
    let floor = Floor { soft: 3, hard: 2 };
    let record = ColoRecord { floor, entry: Some(whole().into()) };
    let stored = frozen("colo-record.v2", &record.encode());
    assert_eq!(ColoRecord::decode(&stored, "key", now), (record, None));
    let tombstone = ColoRecord { floor, entry: None };
    let stored = frozen("colo-tombstone.v1", &tombstone.encode());
    assert_eq!(ColoRecord::decode(&stored, "key", now), (tombstone.clone(), None));
    let mut rotten = frozen("colo-record.v2", &ColoRecord { floor, entry: Some(whole().into()) }.encode());
    *rotten.last_mut().expect("there are bytes") ^= 1;
    assert_eq!(ColoRecord::decode(&rotten, "key", now), (tombstone, Some(Unreadable::Corrupt)));
}

#[test]
fn messages_of_version_2_are_decoded_and_others_are_not() {
    let share = RateShare { isolate: 5, millihertz: 15_000 };
    let request = LeaseRequest { lease: Span(20_000), expected: Span(1_000), physical: Span(65_000), share };
    let messages = [
        ("acquire.v2", Message::Acquire { seen: 7, nonce: Some(0x0102_0304_0506_0708), request }, &b""[..]),
        ("wait.v2", Message::Wait { seen: 7, max_waiters: 1_000 }, b""),
        ("commit.v2", Message::Commit { token: 9, age: Span(3), lifetime: whole().lifetime }, b"entry"),
        ("fail.v2", Message::Fail { token: 9, failure: failure() }, b""),
        ("purge.v2", Message::Purge { hard: true, physical: Span(65_000) }, b""),
        ("inspect.v2", Message::Inspect, b""),
        ("snapshot.v2", Message::Snapshot, b""),
    ];
    for (name, message, entry) in messages {
        let sent = frozen(name, &message::encode_message(&message, entry));
        assert_eq!(message::decode_message(&sent), Some((message, entry)), "{name}");
    }
    let reply = Reply {
        floor: Floor { soft: 1, hard: 2 },
        global_rate: 15_000,
        answer: Answer::Newer { generation: 9, age: Span(3), ttl: Span(4) },
    };
    let sent = frozen("newer.v2", &message::encode_reply(&reply, b"entry"));
    assert_eq!(message::decode_reply(&sent), Some((reply, &b"entry"[..])));
    let mut future = sent.clone();
    future[0] += 1;
    assert_eq!(message::decode_reply(&future), None);
}

/// The encoding goes by position: each variant of a reply, a failure and a reason has its own line in one file.
#[test]
fn every_variant_of_a_reply_of_version_2_is_decoded() {
    let reasons = [
        Reason::OriginUnreachable,
        Reason::OriginTimeout,
        Reason::OriginError,
        Reason::OriginBusy,
        Reason::OriginUnauthorized,
        Reason::OriginRedirect,
        Reason::OriginUnexpectedStatus,
        Reason::OriginTruncated,
        Reason::OriginBodyTooLarge,
        Reason::OriginNotJson,
        Reason::TooManyOriginCalls,
    ];
    let transient = reasons.map(|reason| Failure::Transient { reason, retry_after: None });
    let negative = Failure::Negative {
        status: 404,
        content_type: "application/json".to_owned(),
        body: "{}".to_owned(),
        ttl: Span(6),
    };
    let failures = transient.into_iter().chain([
        negative,
        Failure::Pass { ttl: PASS_TTL },
        Failure::GivenBack,
        failure(),
    ]);
    let answers = [
        Answer::Newer { generation: 9, age: Span(3), ttl: Span(4) },
        Answer::Held { retry_in: Span(5) },
        Answer::Granted { token: 9 },
        Answer::Again,
        Answer::TooManyWaiters,
        Answer::Committed,
        Answer::Rejected,
        Answer::Closed { applied: true, retry_after: Span(5) },
        Answer::Purged,
        Answer::Inspected(Inspection {
            generation: Some(9),
            age: Some(Span(3)),
            last_token: 10,
            lease_token: Some(10),
            lease_remaining: Some(Span(7)),
            failure: Some(Failure::Pass { ttl: PASS_TTL }),
            failure_remaining: Some(Span(8)),
            waiters: 2,
        }),
        Answer::Refused { speaks: 1 },
    ];
    let failed = failures.map(|failure| Answer::Failed { failure, retry_after: Span(5) });
    let replies: Vec<Reply> = answers
        .into_iter()
        .chain(failed)
        .map(|answer| Reply { floor: Floor { soft: 1, hard: 2 }, global_rate: 15_000, answer })
        .collect();
    let line = |reply: &Reply| format!("{}\n", canonical_json::hex(&message::encode_reply(reply, b"")));
    let current: String = replies.iter().map(line).collect();
    let stored = String::from_utf8(frozen("replies.v2", current.as_bytes())).expect("it is a text");
    let bytes = |line: &str| -> Vec<u8> {
        (0..line.len() / 2)
            .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).expect("hex"))
            .collect()
    };
    for (line, reply) in stored.lines().zip(&replies) {
        let sent = bytes(line);
        assert_eq!(message::decode_reply(&sent), Some((reply.clone(), &b""[..])), "{reply:?}");
    }
}

fn failure() -> Failure {
    Failure::Transient { reason: Reason::OriginBusy, retry_after: Some(Span(3_000)) }
}

/// The state of an object that has granted a lease, committed an entry and failed once.
#[test]
fn an_objects_state_of_version_2_is_decoded() {
    let mut key_object = KeyObject::default();
    let mut stored: Option<Vec<u8>> = None;
    let share = RateShare { isolate: 5, millihertz: 15_000 };
    let request = LeaseRequest { lease: Span(20_000), expected: Span(1_000), physical: Span(65_000), share };
    let acquire = |seen| Message::Acquire { seen, nonce: Some(7), request };
    let token = STORED_AT;
    let messages = [
        acquire(0),
        Message::Commit { token, age: Span::ZERO, lifetime: whole().lifetime },
        acquire(token),
        Message::Fail { token: token + 1, failure: failure() },
    ];
    for message in messages {
        let bytes = message::encode_message(&message, b"entry");
        let incoming =
            Incoming { from: 1, bytes: &bytes, now: Instant(STORED_AT), spread: Draw::NEVER_EARLY };
        for output in key_object.on(stored.clone().as_deref(), incoming) {
            if let Output::SaveState(bytes) = output {
                stored = Some(bytes);
            }
        }
    }
    let current = stored.expect("each message saves the state");
    let stored = frozen("object-state.v2", &current);
    let lease = object::stored_lease(&stored);
    assert_eq!(lease.committed_generation(), Some(token));
    assert_eq!(lease.reply(Answer::Again).global_rate, 15_000);
}

#[test]
fn messages_to_the_metrics_object_and_its_ledger_of_version_2_are_decoded() {
    let mut flusher = Flusher::default();
    flusher.fold(MetricEvent::Answered { class: ServedAs::HitFresh, took: Span(3) });
    flusher.spend("/a", Some("acme"), Spent::computation(Span(1_500)));
    let batch =
        flusher.next_batch(Gauges::default(), false, || "a1".to_owned()).expect("something is counted");
    let request = MetricsRequest::Flush { batch: Some(batch.clone()), show: true };
    let sent = frozen("metrics-flush.v2", &codec::join(metrics::FORMAT, &request, &[]));
    assert_eq!(codec::split(metrics::FORMAT, &sent), Some((request, &b""[..])));
    let mut ledger = Ledger::new("e1".to_owned(), Instant(STORED_AT));
    ledger.take(&Batch { counters: Counters::default(), ..batch.clone() }, Instant(STORED_AT));
    ledger.take(&Batch { sequence: 2, ..batch }, Instant(STORED_AT));
    let stored = frozen("metrics-ledger.v2", &codec::join(metrics::FORMAT, &ledger, &[]));
    assert_eq!(codec::split(metrics::FORMAT, &stored), Some((ledger, &b""[..])));
}
