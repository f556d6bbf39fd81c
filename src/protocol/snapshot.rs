//! A copy of all that a key's object has stored, on which its answer to a message can be tried.

use super::object::{Incoming, KeyObject, Output};
use crate::core::{time::Instant, xfetch::Draw};

/// The bytes of the state's length, little-endian. The state follows, and then the entry.
const LENGTH_BYTES: usize = 4;

/// What a key's object has stored.
#[derive(Clone, Debug)]
pub struct Snapshot {
    state: Vec<u8>,
    entry: Vec<u8>,
}

impl Snapshot {
    /// Reads the body of the reply to [`Message::Snapshot`](super::message::Message::Snapshot); `None` if it is cut off.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let (length, rest) = body.split_first_chunk::<LENGTH_BYTES>()?;
        let (state, entry) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some(Self { state: state.to_vec(), entry: entry.to_vec() })
    }

    /// What the object would reply to a message; `None` if the message would sleep there. The object itself hears
    /// nothing of it.
    pub fn ask(&mut self, message: &[u8], now: Instant) -> Option<Vec<u8>> {
        const FROM: u64 = 0;
        let incoming = Incoming { from: FROM, bytes: message, now, spread: Draw::NEVER_EARLY };
        let mut answer = None;
        for output in KeyObject::default().on(Some(&self.state), incoming) {
            match output {
                Output::SaveState(state) => self.state = state,
                Output::StoreEntry { bytes, .. } => self.entry = bytes,
                Output::DropEntry => self.entry.clear(),
                Output::DeleteAll => (self.state, self.entry) = Default::default(),
                Output::Reply { to: FROM, bytes } => answer = Some(bytes.to_vec()),
                Output::ReplyWithEntry { mut bytes, .. } => {
                    bytes.extend_from_slice(&self.entry);
                    answer = Some(bytes);
                }
                Output::Reply { .. } | Output::Sleep { .. } | Output::SetAlarm(_) => {}
            }
        }
        answer
    }
}
