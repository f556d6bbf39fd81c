//! The simulated storage around a key's object: the deployed object, its stored state and its entry's bytes.

use super::{clock::Clock, rng::SimRng};
pub(super) use crate::protocol::object::MessageTicket;
use crate::protocol::object::{KeyObject, Output};

/// One key's object with its storage.
#[derive(Debug, Default)]
pub(super) struct SimObject {
    pub(super) object: KeyObject,
    pub(super) state: Option<Vec<u8>>,
    entry: Option<(u64, Vec<u8>)>,
    /// The tickets of the sleeping messages.
    sleepers: Vec<MessageTicket>,
}

/// All objects, and their clock.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) clock: Clock,
    pub(super) all: Vec<SimObject>,
}

/// What becomes visible of an object's outputs.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Replies, and whose message each answers.
    pub(super) replies: Vec<(MessageTicket, Vec<u8>)>,
    /// A message that sleeps, and how long at most.
    pub(super) sleep: Option<(MessageTicket, crate::core::time::Span)>,
    /// The entry's bytes were dropped.
    pub(super) has_dropped: bool,
    /// Everything was deleted.
    pub(super) has_forgotten: bool,
}

impl SimObject {
    /// Applies what the object has decided.
    pub(super) fn apply(&mut self, outputs: Vec<Output>) -> Applied {
        let mut applied = Applied::default();
        for output in outputs {
            match output {
                Output::SaveState(bytes) => self.state = Some(bytes),
                Output::StoreEntry { generation, bytes } => self.entry = Some((generation, bytes)),
                Output::DropEntry => {
                    self.entry = None;
                    applied.has_dropped = true;
                }
                Output::DeleteAll => {
                    (self.state, self.entry) = (None, None);
                    applied.has_forgotten = true;
                }
                // An alarm is due when an entry's lifetime has passed, which is beyond every run: the fault
                // schedule lets it fire at any time instead, early, late, twice or never.
                Output::SetAlarm(_) => {}
                Output::Reply { to, bytes } => {
                    self.sleepers.retain(|it| *it != to);
                    applied.replies.push((to, bytes.to_vec()));
                }
                Output::ReplyWithEntry { to, mut bytes, generation } => {
                    let entry = self.entry.as_ref().filter(|(stored, _)| *stored == generation);
                    bytes.extend_from_slice(entry.map_or(&[][..], |(_, bytes)| bytes));
                    applied.replies.push((to, bytes));
                }
                Output::Sleep { from, at_most } => {
                    self.sleepers.push(from);
                    applied.sleep = Some((from, at_most));
                }
            }
        }
        applied
    }

    /// Whether a message sleeps here.
    pub(super) fn sleeps(&self, from: MessageTicket) -> bool {
        self.sleepers.contains(&from)
    }

    /// Drops the object's memory and its connections, but not its storage. Returns the tickets of the
    /// messages that slept.
    pub(super) fn evict(&mut self) -> Vec<MessageTicket> {
        self.object = KeyObject::default();
        std::mem::take(&mut self.sleepers)
    }

    /// The stored entry rots.
    pub(super) fn rot(&mut self, rng: &mut SimRng) {
        if let Some((_, bytes)) = &mut self.entry {
            rot(bytes, rng);
        }
    }
}

/// Bytes rot: one changes, some are cut off, all are gone, or they are of another version.
pub(super) fn rot(bytes: &mut Vec<u8>, rng: &mut SimRng) {
    let place = rng.below(bytes.len() as u64) as usize;
    match rng.below(4) {
        0 => bytes.truncate(place),
        1 => bytes.clear(),
        2 if bytes.len() > 3 => bytes[3] = bytes[3].wrapping_add(1),
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}
