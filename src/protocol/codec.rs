//! One shape for everything that is stored or sent with a body beside it: a version, a head, and the
//! body's bytes as they are. The head says what the body is; the body is never escaped or copied into
//! it.
//!
//! Heads are written by postcard, which names no fields: it costs a fifth of the wasm that JSON heads
//! do. So a head never changes under its version; a change is a new version, read by its own type.

use serde::{Serialize, de::DeserializeOwned};

/// A version's bytes, little-endian.
const PREFIX: usize = 4;

/// The version, the head, then the body.
///
/// # Panics
/// Never for the heads of this crate: sequences of known length serialize.
#[must_use]
pub fn join<H: Serialize>(version: u32, head: &H, body: &[u8]) -> Vec<u8> {
    // Not `expect`: what it says of the error is never said.
    let Ok(head) = postcard::to_allocvec(head) else { unreachable!("sequences of known length serialize") };
    let mut bytes = Vec::with_capacity(PREFIX + head.len() + body.len());
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(body);
    bytes
}

/// The version of a frame, and what follows it.
#[must_use]
pub fn version(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX>()?;
    Some((u32::from_le_bytes(*prefix), rest))
}

/// The head and the body of a frame of this version, or `None` when the bytes are none.
#[must_use]
pub fn split<H: DeserializeOwned>(wanted: u32, bytes: &[u8]) -> Option<(H, &[u8])> {
    let (found, rest) = version(bytes)?;
    (found == wanted).then_some(())?;
    postcard::take_from_bytes(rest).ok()
}
