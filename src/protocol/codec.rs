//! The frame of everything that is stored or sent: a version, a checksum of the head, the head, and the
//! body's unchanged bytes. The head describes the body; the body is never escaped or copied into it.
//!
//! Heads are encoded by postcard, which takes a fifth of the wasm that JSON heads would take. It stores no
//! field names, so a head never changes within a version: a change needs a new version with its own type.

use serde::{Serialize, de::DeserializeOwned};

/// The bytes of a version, little-endian.
const VERSION_BYTES: usize = 4;
/// The bytes of a head's checksum, little-endian.
const CHECKSUM_BYTES: usize = 4;

/// Encodes a frame.
///
/// # Panics
/// Never for the heads of this crate: sequences of known length serialize.
#[must_use]
pub fn join<H: Serialize>(version: u32, head: &H, body: &[u8]) -> Vec<u8> {
    // Not `expect`: its message would take space in the wasm and can never be printed.
    let Ok(head) = postcard::to_allocvec(head) else { unreachable!("sequences of known length serialize") };
    let mut bytes = Vec::with_capacity(VERSION_BYTES + CHECKSUM_BYTES + head.len() + body.len());
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&checksum(&head).to_le_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(body);
    bytes
}

/// The version of a frame and the bytes after it; `None` if the bytes are too short for a version.
#[must_use]
pub fn version(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (version, rest) = bytes.split_first_chunk::<VERSION_BYTES>()?;
    Some((u32::from_le_bytes(*version), rest))
}

/// The head and the body of a frame of this version; `None` for another version, for bytes that are not a
/// frame, and if the head does not match its checksum.
#[must_use]
pub fn split<H: DeserializeOwned>(wanted: u32, bytes: &[u8]) -> Option<(H, &[u8])> {
    let (found, rest) = version(bytes)?;
    (found == wanted).then_some(())?;
    let (sum, rest) = rest.split_first_chunk::<CHECKSUM_BYTES>()?;
    let (head, body) = postcard::take_from_bytes(rest).ok()?;
    let is_whole = checksum(&rest[..rest.len() - body.len()]) == u32::from_le_bytes(*sum);
    is_whole.then_some((head, body))
}

/// FNV-1a: a change of any single byte changes the sum. It detects corruption, not tampering.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
