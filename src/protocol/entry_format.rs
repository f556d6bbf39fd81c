//! The stored form of an entry, for the colo's cache and the key's object.
//!
//! A frame ([`super::codec`]) of version 2 whose head describes the body. A change of any field is a new
//! version; `tests/native/formats.rs` reads version 2 from a file.

use serde::{Deserialize, Serialize};

use super::codec;
use crate::core::{
    entry::{self, Entry, Lifetime, Variant},
    time::{Instant, Span},
};

/// The version of this form.
pub const FORMAT: u32 = u32::from_le_bytes(*b"XFE2");

/// Why stored bytes are not an entry of this key. Each is treated as a miss and then overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not a frame, cut short, or changed.
    Corrupt,
    /// Written by a version of this program that this one does not know.
    UnknownVersion,
    /// A whole entry, but of another key.
    ForeignKey,
}

#[derive(Serialize, Deserialize)]
struct EntryHead {
    generation: u64,
    stored_at: Instant,
    delta: Span,
    lifetime: Lifetime,
    global_rate: u32,
    key: String,
    variant: Variant,
    status: u16,
    headers: Vec<(String, String)>,
    etag: String,
    length: usize,
}

/// Encodes an entry. Only committed entries are stored.
#[must_use]
pub fn encode(entry: &Entry) -> Vec<u8> {
    let head = EntryHead {
        generation: entry.generation,
        stored_at: entry.stored_at,
        delta: entry.delta,
        lifetime: entry.lifetime,
        global_rate: entry.global_rate,
        key: entry.key.to_string(),
        variant: entry.variant.clone(),
        status: entry.status,
        headers: entry.headers.clone(),
        etag: entry.etag.clone(),
        length: entry.body.len(),
    };
    codec::join(FORMAT, &head, &entry.body)
}

/// Decodes an entry and checks its body against the length and digest in its head.
///
/// # Errors
/// [`Unreadable`], when the bytes are not a whole entry of `key`.
pub fn decode(bytes: &[u8], key: &str) -> Result<Entry, Unreadable> {
    let (version, _) = codec::version(bytes).ok_or(Unreadable::Corrupt)?;
    if version != FORMAT {
        return Err(Unreadable::UnknownVersion);
    }
    let (head, body) = codec::split::<EntryHead>(FORMAT, bytes).ok_or(Unreadable::Corrupt)?;
    if head.key != key {
        return Err(Unreadable::ForeignKey);
    }
    if body.len() != head.length || entry::etag(body) != head.etag {
        return Err(Unreadable::Corrupt);
    }
    Ok(Entry {
        generation: head.generation,
        stored_at: head.stored_at,
        delta: head.delta,
        lifetime: head.lifetime,
        global_rate: head.global_rate,
        committed: true,
        key: head.key.into(),
        variant: head.variant,
        status: head.status,
        headers: head.headers,
        etag: head.etag,
        body: body.into(),
    })
}
