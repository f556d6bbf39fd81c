//! Recent requests and their keys, so that a repeated body needs no parsing, no canonical form and no hashing.
//!
//! A table with one request per slot: a new request replaces the previous one. The stored request is compared
//! byte by byte before its key is used, so a collision of slots costs time only.

/// Number of requests that are remembered at most.
const SLOTS: usize = 512;
/// A longer request is not remembered: its parsing costs little beside its reading, and memory is bounded.
const MAX_BYTES: usize = 1_024;

/// What decides a key, as it arrives: the place of the route, the values of its keyed headers, the raw body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRequest {
    /// The place of the route in the configuration.
    pub route: usize,
    /// The route's `headers` with the request's values.
    pub headers: Vec<(String, Option<String>)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

impl RawRequest {
    /// The size of what the client has sent of it, in bytes.
    fn bytes(&self) -> usize {
        let values = self.headers.iter().filter_map(|(_, value)| value.as_deref());
        self.body.len() + values.map(str::len).sum::<usize>()
    }

    /// FNV-1a over the body: a place in the table, not an identity.
    fn slot(&self) -> usize {
        let seed = 0xcbf2_9ce4_8422_2325 ^ self.route as u64;
        let hash =
            self.body.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        ((hash ^ hash >> 32) as usize) % SLOTS
    }
}

/// What was asked recently, bounded in number and in the size of each request.
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
    /// What is remembered of exactly this request.
    pub fn get(&mut self, request: &RawRequest) -> Option<&mut T> {
        let (asked, value) = self.slots.get_mut(request.slot())?.as_mut()?;
        (asked == request).then_some(value)
    }

    /// Remembers it, unless it is long; answers whether it does.
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
