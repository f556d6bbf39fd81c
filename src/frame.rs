//! One shape for everything that is stored or sent with a body beside it: a length, a JSON head, and
//! the body's bytes as they are. The head says what the body is; the body is never escaped or copied
//! into it.

use serde::{Serialize, de::DeserializeOwned};

/// Bytes before the head: its length, little-endian.
const PREFIX: usize = 4;

/// `head` as JSON, then `body`.
///
/// # Panics
/// Never for the heads of this crate: they are plain structs with string keys and finite numbers.
#[must_use]
pub fn join<H: Serialize>(head: &H, body: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(head).expect("plain structs with string keys serialize");
    let length = u32::try_from(head.len()).expect("a head is far below 4 GiB");
    let mut bytes = Vec::with_capacity(PREFIX + head.len() + body.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(body);
    bytes
}

/// The head and the body, or `None` when the bytes are no frame, or the head is not an `H`.
#[must_use]
pub fn split<H: DeserializeOwned>(bytes: &[u8]) -> Option<(H, &[u8])> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX>()?;
    let length = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
    let (head, body) = rest.split_at_checked(length)?;
    Some((serde_json::from_slice(head).ok()?, body))
}
