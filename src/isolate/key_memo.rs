//! Recent requests and their keys, so that a repeated body needs no parsing, no canonical form and no hashing.
//!
//! A table with one request per slot: a new request replaces the previous one. The stored request is compared
//! byte by byte before its key is used, so a collision of slots costs time only.

use super::identities::ClientHash;
use crate::core::http::Method;

/// The greatest number of remembered requests.
const SLOTS: usize = 512;
/// A longer request is not remembered: reading it costs more than parsing it, and memory must be bounded.
const MAX_BYTES: usize = 1_024;

/// The parts of a request that decide its key, as they were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRequest {
    /// The index of the route in the configuration.
    pub route: usize,
    /// The client, where requests of different clients are told apart; else 0.
    pub client: ClientHash,
    /// The method.
    pub method: Method,
    /// The path and query; empty where the route has one path and the method no query.
    pub target: String,
    /// The route's `headers` with the request's values.
    pub headers: Vec<(String, Option<String>)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

impl RawRequest {
    /// The size of the parts that the client controls, in bytes.
    fn bytes(&self) -> usize {
        let values = self.headers.iter().filter_map(|(_, value)| value.as_deref());
        self.target.len() + self.body.len() + values.map(str::len).sum::<usize>()
    }

    /// FNV-1a over the target and the body: a place in the table, not an identity.
    fn slot(&self) -> usize {
        let seed = 0xcbf2_9ce4_8422_2325 ^ self.route as u64 ^ self.client as u64;
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let hash = self.target.bytes().fold(seed, mix);
        let hash = self.body.iter().copied().fold(hash, mix);
        ((hash ^ hash >> 32) as usize) % SLOTS
    }
}

/// Recent requests with a value each, bounded in their number and in the size of each request.
#[derive(Debug)]
pub struct KeyMemo<T> {
    slots: Vec<Option<(RawRequest, T)>>,
}

impl<T> Default for KeyMemo<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T> KeyMemo<T> {
    /// The value remembered for exactly this request.
    pub fn get(&mut self, request: &RawRequest) -> Option<&mut T> {
        let (asked, value) = self.slots.get_mut(request.slot())?.as_mut()?;
        (asked == request).then_some(value)
    }

    /// Remembers a value for this request; returns false, and remembers nothing, if the request is too long.
    pub fn put(&mut self, request: &RawRequest, value: T) -> bool {
        if request.bytes() > MAX_BYTES {
            return false;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        self.slots[request.slot()] = Some((request.clone(), value));
        true
    }
}
