//! What a Worker and a key's object say to each other.
//!
//! Old and new code run side by side for a while after a deploy, so every message carries a protocol
//! version, and an object answers one that it does not know with [`Answer::Refused`]. Variants are encoded
//! by their position: within a version none is moved, and a new one comes last.

use serde::{Deserialize, Serialize};

use crate::{
    core::{entry::Lifetime, failure::Failure, global_rate::RateShare, purge::Floor, time::Span},
    protocol::codec,
};

/// The version of the messages.
pub const PROTOCOL: u32 = 1;

/// What an isolate asks for with `Acquire`: spans by its configuration, and the request rate it sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct LeaseRequest {
    /// How long the lease is to last.
    pub lease: Span,
    /// How long the computation should take, by what it cost before.
    pub expected: Span,
    /// The physical lifetime of the key's entries.
    pub physical: Span,
    /// How often the caller is asked for the key.
    pub share: RateShare,
}

/// A Worker's message. A committed entry travels beside it as the frame's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub enum Message {
    /// Asks for the lease. Never waits.
    Acquire {
        /// The generation of the entry that was found, fresh or stale; 0 if none was found.
        seen: u64,
        /// Makes a repeated message harmless; absent when there is no entropy.
        nonce: Option<u64>,
        /// How long it is wanted for, and what the caller knows of the key.
        request: LeaseRequest,
    },
    /// Sleeps until something happens. Never grants.
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
}

/// The object's answer. A committed entry travels beside [`Answer::Newer`] as the frame's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub enum Answer {
    /// The object holds a generation above the one seen.
    Newer {
        /// Its generation, outside the encoded entry, so that an unreadable one can be overtaken.
        generation: u64,
        /// Its age by the object's clock.
        age: Span,
        /// Its TTL, which a soft purge has shortened since its bytes were written.
        ttl: Span,
    },
    /// Another isolate holds the lease.
    Held {
        /// When it is worth asking again; the lease lasts at least as long.
        retry_in: Span,
    },
    /// The last computation failed, and this is remembered.
    Failed {
        /// How.
        failure: Failure,
        /// How long it is remembered.
        retry_after: Span,
    },
    /// The lease is yours.
    Granted {
        /// The generation of what you compute.
        token: u64,
    },
    /// Something happened; ask anew.
    Again,
    /// Too many wait for this key already.
    TooManyWaiters,
    /// The entry is stored and will be served.
    Committed,
    /// The entry is not stored: the token is not the last one, was closed, or was purged.
    Rejected,
    /// The `Fail` was heard.
    Closed {
        /// False: the token was not the open one, and nothing changed.
        applied: bool,
        /// How long the failure is remembered.
        retry_after: Span,
    },
    /// The purge is done; its floor stands beside this answer.
    Purged,
    /// What the object holds.
    Inspected(Inspection),
    /// A message or a version that this object does not know.
    Refused {
        /// The version it speaks.
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

/// Decodes a message and what travels beside it; `None` for one that this version does not know.
#[must_use]
pub fn decode_message(bytes: &[u8]) -> Option<(Message, &[u8])> {
    codec::split(PROTOCOL, bytes)
}

/// Encodes a reply, with the entry that travels beside [`Answer::Newer`].
#[must_use]
pub fn encode_reply(reply: &Reply, entry: &[u8]) -> Vec<u8> {
    codec::join(PROTOCOL, reply, entry)
}

/// Decodes a reply and what travels beside it; `None` for one that this version does not know.
#[must_use]
pub fn decode_reply(bytes: &[u8]) -> Option<(Reply, &[u8])> {
    codec::split(PROTOCOL, bytes)
}
