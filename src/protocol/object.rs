//! A key's object without a platform: it takes messages and returns replies, sleeps and changes of storage.
//!
//! The world that runs the object stores its state and its entry's bytes. For each message the world loads
//! the state, makes one call here, and applies the outputs in order and without interruption. So every
//! decision of [`super::lease`] is based on stored state; memory holds only the tickets of sleeping messages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    codec,
    lease::{self, CleanUp, WaitDecision, Wake},
    message::{self, Answer, Message, PROTOCOL, Reply},
};
use crate::core::{
    time::{Instant, Span},
    xfetch::Draw,
};

/// The version of the stored state.
pub const FORMAT: u32 = u32::from_le_bytes(*b"XFS2");
/// The bytes that one wake-up may send to all sleepers together; the sleepers beyond it get `Again`.
pub const MAX_WAKE_BYTES: usize = 32 << 20;

/// Identifies one message to the object, so that the world can deliver its reply.
pub type MessageTicket = u64;

/// A message as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The message's ticket.
    pub from: MessageTicket,
    /// The encoded message.
    pub bytes: &'a [u8],
    /// The instant, by the object's clock.
    pub now: Instant,
    /// The jitter of a back-off that may begin.
    pub spread: Draw,
}

/// One thing that the world does for the object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Store the state.
    SaveState(Vec<u8>),
    /// Store the entry's bytes in place of any other.
    StoreEntry {
        /// Its generation.
        generation: u64,
        /// Its encoded form.
        bytes: Vec<u8>,
    },
    /// Delete the entry's bytes.
    DropEntry,
    /// Delete everything that is stored.
    DeleteAll,
    /// Set the one alarm.
    SetAlarm(Instant),
    /// Answer a message.
    Reply {
        /// The message's ticket.
        to: MessageTicket,
        /// The encoded reply.
        bytes: Arc<[u8]>,
    },
    /// Answer a message with these bytes, followed by those of the stored entry. If the stored entry has
    /// another generation, these bytes are sent alone, and the receiver then asks for the lease.
    ReplyWithEntry {
        /// The message's ticket.
        to: MessageTicket,
        /// The encoded reply.
        bytes: Vec<u8>,
        /// The entry's generation.
        generation: u64,
    },
    /// Answer this message later: when another message wakes it, or after this long by
    /// [`KeyObject::sleep_ended`].
    Sleep {
        /// The message's ticket.
        from: MessageTicket,
        /// The longest sleep.
        at_most: Span,
    },
}

/// What is stored beside the entry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Stored {
    lease: lease::State,
    alarm_at: Option<Instant>,
}

impl Stored {
    /// An unreadable state counts as an empty one, so that the key is not locked for ever. Tokens still
    /// increase, because a token is at least the clock and above what the caller has seen.
    fn load(bytes: Option<&[u8]>) -> Self {
        let read = bytes.and_then(|bytes| codec::split(FORMAT, bytes));
        read.map_or_else(Self::default, |(stored, _)| stored)
    }

    fn save(&self) -> Output {
        Output::SaveState(codec::join(FORMAT, self, &[]))
    }

    fn reply(&self, to: MessageTicket, answer: Answer) -> Output {
        let generation = match &answer {
            Answer::Newer { generation, .. } => Some(*generation),
            _ => None,
        };
        let bytes = message::encode_reply(&self.lease.reply(answer), &[]);
        match generation {
            Some(generation) => Output::ReplyWithEntry { to, bytes, generation },
            None => Output::Reply { to, bytes: bytes.into() },
        }
    }
}

/// Decodes the lease state in stored bytes, for tests.
#[must_use]
pub fn stored_lease(bytes: &[u8]) -> lease::State {
    Stored::load(Some(bytes)).lease
}

/// The part of a key's object that lives in memory: the tickets of the sleeping messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyObject {
    sleepers: Vec<MessageTicket>,
}

impl KeyObject {
    /// Handles a message. `stored` is the state as it was last saved, if there is one.
    pub fn on(&mut self, stored: Option<&[u8]>, incoming: Incoming<'_>) -> Vec<Output> {
        let (mut stored, Incoming { from, now, .. }) = (Stored::load(stored), incoming);
        let Some((message, entry)) = message::decode_message(incoming.bytes) else {
            return vec![stored.reply(from, Answer::Refused { speaks: PROTOCOL })];
        };
        let before = stored.lease.committed_generation();
        let (answer, wake) = match message {
            Message::Wait { seen, max_waiters } => {
                return vec![match stored.lease.wait(seen, self.sleepers(), max_waiters, now) {
                    WaitDecision::Answer(answer) => stored.reply(from, answer),
                    WaitDecision::Sleep(at_most) => {
                        self.sleepers.push(from);
                        Output::Sleep { from, at_most }
                    }
                }];
            }
            Message::Inspect => {
                return vec![stored.reply(from, stored.lease.inspect(self.sleepers(), now))];
            }
            Message::Snapshot => {
                let reply = stored.lease.reply(stored.lease.inspect(self.sleepers(), now));
                let state = codec::join(FORMAT, &stored, &[]);
                let state = [&(state.len() as u32).to_le_bytes()[..], &state].concat();
                let bytes = message::encode_reply(&reply, &state);
                return vec![match before {
                    Some(generation) => Output::ReplyWithEntry { to: from, bytes, generation },
                    None => Output::Reply { to: from, bytes: bytes.into() },
                }];
            }
            Message::Acquire { seen, nonce, request } => {
                (stored.lease.acquire(seen, nonce, request, now), Wake::Nobody)
            }
            Message::Commit { token, age, lifetime } => stored.lease.commit(token, age, lifetime, now),
            Message::Fail { token, failure } => stored.lease.fail(token, failure, now, incoming.spread),
            Message::Purge { hard, physical } => stored.lease.purge(hard, physical, now),
        };
        let mut outputs = match stored.lease.committed_generation() {
            after if after == before => Vec::new(),
            Some(generation) => vec![Output::StoreEntry { generation, bytes: entry.to_vec() }],
            None => vec![Output::DropEntry],
        };
        // One alarm at a time: when it fires, it sets the next one.
        let is_alarm_due = stored.alarm_at.is_none_or(|at| at <= now);
        if is_alarm_due {
            stored.alarm_at = Some(now.plus(stored.lease.next_clean_up(now)));
        }
        outputs.push(stored.save());
        outputs.push(stored.reply(from, answer));
        if let Wake::With(answer) = wake {
            self.wake(&stored.lease.reply(answer), entry, &mut outputs);
        }
        if let Some(at) = stored.alarm_at.filter(|_| is_alarm_due) {
            outputs.push(Output::SetAlarm(at));
        }
        outputs
    }

    fn wake(&mut self, reply: &Reply, entry: &[u8], outputs: &mut Vec<Output>) {
        let sleepers = std::mem::take(&mut self.sleepers);
        if sleepers.is_empty() {
            return;
        }
        let is_newer = matches!(reply.answer, Answer::Newer { .. });
        let news: Arc<[u8]> = message::encode_reply(reply, if is_newer { entry } else { &[] }).into();
        let again = Reply { answer: Answer::Again, ..reply.clone() };
        let again: Arc<[u8]> = message::encode_reply(&again, &[]).into();
        let allowed = MAX_WAKE_BYTES / news.len().max(1);
        outputs.extend(sleepers.into_iter().enumerate().map(|(place, to)| {
            let bytes = Arc::clone(if place < allowed { &news } else { &again });
            Output::Reply { to, bytes }
        }));
    }

    /// Ends the sleep of a message whose longest sleep has passed; returns its reply.
    pub fn sleep_ended(&mut self, stored: Option<&[u8]>, from: MessageTicket) -> Output {
        self.sleepers.retain(|it| *it != from);
        Stored::load(stored).reply(from, Answer::Again)
    }

    /// The alarm: deletes what no tier can hold any more. It may fire late, twice or never.
    #[must_use]
    pub fn alarm(&self, stored: Option<&[u8]>, now: Instant) -> Vec<Output> {
        let mut stored = Stored::load(stored);
        let (mut outputs, after) = match stored.lease.clean_up(self.sleepers(), now) {
            CleanUp::Forget => return vec![Output::DeleteAll],
            CleanUp::DropBody(after) => (vec![Output::DropEntry], after),
            CleanUp::Later(after) => (Vec::new(), after),
        };
        let at = now.plus(after);
        stored.alarm_at = Some(at);
        outputs.extend([stored.save(), Output::SetAlarm(at)]);
        outputs
    }

    fn sleepers(&self) -> u32 {
        self.sleepers.len() as u32
    }
}
