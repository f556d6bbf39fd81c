//! Stored forms, read from files: what an older version of this program has written must be read, or
//! refused by its version, for ever. `UPDATE_FORMATS=1` writes the files of a new version; those of
//! old versions are never written again.

use std::{fs, path::PathBuf};

use xfetch_edge::{
    core::{
        entry::{self, Entry, Floor, Unreadable},
        global_rate::RateShare,
        time::Span,
    },
    protocol::message::{self, Answer, LeaseRequest, Message, Reply},
};

use super::promises::entry;

fn file(name: &str, current: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/native/formats").join(name);
    if std::env::var_os("UPDATE_FORMATS").is_some() && !path.exists() {
        fs::write(&path, current).expect("the folder can be written");
    }
    fs::read(&path).expect("the file is committed")
}

#[test]
fn an_entry_of_version_1_is_read() {
    let whole = entry(1_795_000_000_000, 1_795_000_000_900);
    assert_eq!(entry::decode(&file("entry.v1", b""), "key"), Ok(whole));
}

#[test]
fn an_entry_of_version_2_is_read() {
    let whole = Entry { global_rate: 30_000, ..entry(1_795_000_000_000, 1_795_000_000_900) };
    let stored = file("entry.v2", &entry::encode(&whole));
    assert_eq!(entry::decode(&stored, "key"), Ok(whole.clone()));
    assert_eq!(entry::encode(&whole), stored, "version 2 is frozen: a change is version 3");
}

/// The object knows nothing of an entry but where its global_rate stands.
#[test]
fn the_demand_is_written_into_an_entry_of_version_2_and_into_nothing_else() {
    let whole = entry(1_795_000_000_000, 1_795_000_000_900);
    let mut stored = entry::encode(&whole);
    entry::stamp(&mut stored, 45_000);
    assert_eq!(entry::decode(&stored, "key"), Ok(Entry { global_rate: 45_000, ..whole }));
    for strange in [file("entry.v1", b""), b"XFE".to_vec(), Vec::new(), b"something else".to_vec()] {
        let mut stamped = strange.clone();
        entry::stamp(&mut stamped, 45_000);
        assert_eq!(stamped, strange);
    }
}

#[test]
fn an_entry_of_another_version_or_key_is_refused_by_name() {
    let mut stored = entry::encode(&entry(7, 9));
    assert_eq!(entry::decode(&stored, "another"), Err(Unreadable::ForeignKey));
    stored[3] = b'9';
    assert_eq!(entry::decode(&stored, "key"), Err(Unreadable::UnknownVersion));
    assert_eq!(entry::decode(b"xf", "key"), Err(Unreadable::Corrupt));
}

/// What one isolate told of a key's requests came later than the rest of version 1, beside it.
#[test]
fn messages_of_version_1_are_read_and_others_are_not() {
    let terms = LeaseRequest {
        lease: Span(20_000),
        expected: Span(1_000),
        physical: Span(65_000),
        ..LeaseRequest::default()
    };
    let acquire = |terms| Message::Acquire { seen: 7, nonce: Some("n".to_owned()), terms };
    let old = file("acquire.v1", b"");
    assert_eq!(message::decode_message(&old), Some((acquire(terms), &b""[..])));
    let share = RateShare { isolate: 5, millihertz: 15_000 };
    let terms = LeaseRequest { share, ..terms };
    let sent = file("acquire-share.v1", &message::encode_message(&acquire(terms), b""));
    assert_eq!(message::decode_message(&sent), Some((acquire(terms), &share.to_bytes()[..])));
    assert_eq!(message::encode_message(&acquire(terms), b""), sent, "version 1 is frozen");
    assert_eq!(sent[..old.len()], old, "code that knows of no share reads the same message");
    let committed = Reply { floor: Floor::default(), global_rate: 15_000, answer: Answer::Committed };
    let sent = file("committed-demand.v1", &message::encode_reply(&committed, b""));
    assert_eq!(message::encode_reply(&committed, b""), sent);
    assert_eq!(message::decode_reply(&sent).map(|it| it.0), Some(committed));
    let reply = Reply {
        floor: Floor { soft: 1, hard: 2 },
        global_rate: 0,
        answer: Answer::Newer { generation: 9, age: Span(3), ttl: Span(4) },
    };
    let sent = file("newer.v1", &message::encode_reply(&reply, b"entry"));
    assert_eq!(message::encode_reply(&reply, b"entry"), sent);
    assert_eq!(message::decode_reply(&sent), Some((reply, &b"entry"[..])));
    let mut future = sent.clone();
    future[0] = 2;
    assert_eq!(message::decode_reply(&future), None);
}
