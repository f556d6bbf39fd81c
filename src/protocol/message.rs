//! The messages between a Worker and a key's object.
//!
//! Old and new code run side by side for a while after a deploy, so every message carries a protocol version,
//! and an object answers an unknown version with [`Answer::Refused`]. Variants are encoded by their position:
//! within a version their order is fixed, and a new one comes last.

use serde::{Deserialize, Serialize};

use crate::{
    core::{entry::Lifetime, failure::Failure, global_rate::RateShare, purge::Floor, time::Span},
    protocol::codec,
};

/// The version of the messages.
pub const PROTOCOL: u32 = 2;

/// What an isolate requests with `Acquire`, and the request rate that it observes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct LeaseRequest {
    /// The length of the lease.
    pub lease: Span,
    /// The expected duration of the computation: its smoothed cost.
    pub expected: Span,
    /// The physical lifetime of the key's entries.
    pub physical: Span,
    /// The caller's share of the key's request rate.
    pub share: RateShare,
}

/// A Worker's message. The body of the frame is the entry of a `Commit`, and empty otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub enum Message {
    /// Asks for the lease. Never waits.
    Acquire {
        /// The generation of the entry that was found, fresh or stale; 0 if none was found.
        seen: u64,
        /// Makes a repeated message harmless; absent when there is no entropy.
        nonce: Option<u64>,
        /// The lease that is requested, and the rate that the caller observes.
        request: LeaseRequest,
    },
    /// Waits for a commit, a failure, a purge or the end of the lease. Never grants.
    Wait {
        /// As in `Acquire`.
        seen: u64,
        /// How many may wait for this key at once.
        max_waiters: u32,
    },
    /// Hands in the computed entry, whose generation is the token.
    Commit {
        /// The grant's token.
        token: u64,
        /// How old the entry is, by the holder's clock.
        age: Span,
        /// How long it may be served.
        lifetime: Lifetime,
    },
    /// Closes the lease without an entry.
    Fail {
        /// The grant's token.
        token: u64,
        /// What went wrong.
        failure: Failure,
    },
    /// Makes everything before now stale, or gone.
    Purge {
        /// Gone, not merely stale.
        hard: bool,
        /// The physical lifetime of the key's entries.
        physical: Span,
    },
    /// Asks what the object holds. Changes nothing.
    Inspect,
    /// The same, with a copy of all that is stored.
    Snapshot,
}

/// The object's answer. With [`Answer::Newer`] the body of the frame is the committed entry; in the reply to
/// [`Message::Snapshot`] it is what [`super::snapshot::Snapshot`] reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub enum Answer {
    /// The object holds a generation above the one seen.
    Newer {
        /// The entry's generation. It is sent outside the encoded entry too, so that the receiver can have an
        /// unreadable entry computed again.
        generation: u64,
        /// The entry's age, by the object's clock.
        age: Span,
        /// Its TTL, which a soft purge has shortened since its bytes were written.
        ttl: Span,
    },
    /// Another isolate holds the lease.
    Held {
        /// How long to wait before asking again; never longer than the lease.
        retry_in: Span,
    },
    /// The last computation failed, and its failure is still remembered.
    Failed {
        /// The failure.
        failure: Failure,
        /// How long it is still remembered.
        retry_after: Span,
    },
    /// The caller holds the lease.
    Granted {
        /// The generation of the entry to compute.
        token: u64,
    },
    /// The state may have changed, or the longest sleep has passed: ask again.
    Again,
    /// `max_waiters` messages already wait for this key.
    TooManyWaiters,
    /// The entry is stored and will be served.
    Committed,
    /// The entry is not stored: the token is not the last one, was closed, or was purged.
    Rejected,
    /// The answer to `Fail`.
    Closed {
        /// False: the token was not the open one, and nothing changed.
        applied: bool,
        /// How long the failure is remembered.
        retry_after: Span,
    },
    /// The purge is done; [`Reply::floor`] is its floor.
    Purged,
    /// What the object holds.
    Inspected(Inspection),
    /// A message or a version that this object does not know.
    Refused {
        /// The protocol version of the object.
        speaks: u32,
    },
}

/// What [`Message::Inspect`] shows of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct Inspection {
    /// Generation of the committed entry.
    pub generation: Option<u64>,
    /// Its age.
    pub age: Option<Span>,
    /// The highest token ever given.
    pub last_token: u64,
    /// The token of the live lease.
    pub lease_token: Option<u64>,
    /// How long that lease lasts at most.
    pub lease_remaining: Option<Span>,
    /// The remembered failure.
    pub failure: Option<Failure>,
    /// How long it is remembered.
    pub failure_remaining: Option<Span>,
    /// How many wait.
    pub waiters: u32,
}

/// An answer, and what every answer carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct Reply {
    /// The key's purge floor.
    pub floor: Floor,
    /// The key's request rate over all isolates, in requests per 1,000 seconds; 0 while it is unknown.
    pub global_rate: u32,
    /// The answer proper.
    pub answer: Answer,
}

/// Encodes a message, with the entry that a commit carries.
#[must_use]
pub fn encode_message(message: &Message, entry: &[u8]) -> Vec<u8> {
    codec::join(PROTOCOL, message, entry)
}

/// Decodes a message and its frame's body; `None` for another protocol version or unreadable bytes.
#[must_use]
pub fn decode_message(bytes: &[u8]) -> Option<(Message, &[u8])> {
    codec::split(PROTOCOL, bytes)
}

/// Encodes a reply, with the entry that travels beside [`Answer::Newer`].
#[must_use]
pub fn encode_reply(reply: &Reply, entry: &[u8]) -> Vec<u8> {
    codec::join(PROTOCOL, reply, entry)
}

/// Decodes a reply and its frame's body; `None` for another protocol version or unreadable bytes.
#[must_use]
pub fn decode_reply(bytes: &[u8]) -> Option<(Reply, &[u8])> {
    codec::split(PROTOCOL, bytes)
}
