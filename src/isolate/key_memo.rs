//! Questions asked a moment ago and what became of them, so that a body seen before needs no parsing, no
//! canonical form and no hashing.
//!
//! A table with one place per slot: a question takes the place of whichever stood there. What is remembered
//! is compared byte by byte before it is believed, so two questions in one slot cost time and nothing else.

/// Room for so many questions.
const SLOTS: usize = 512;
/// A longer question is not remembered: parsing it is little beside reading it, and memory is bounded.
const MAX_BYTES: usize = 1_024;

/// What decides a key, as it arrives: the place of the route, the values of its keyed headers, the raw body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The place of the route in the configuration.
    pub route: usize,
    /// The route's `headers` with the request's values.
    pub headers: Vec<(String, Option<String>)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

impl Question {
    /// What a stranger has sent of it, in bytes.
    fn bytes(&self) -> usize {
        let values = self.headers.iter().filter_map(|(_, value)| value.as_deref());
        self.body.len() + values.map(str::len).sum::<usize>()
    }

    /// FNV-1a over the body: where it stands, not who it is.
    fn slot(&self) -> usize {
        let seed = 0xcbf2_9ce4_8422_2325 ^ self.route as u64;
        let hash =
            self.body.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        ((hash ^ hash >> 32) as usize) % SLOTS
    }
}

/// What was asked recently, bounded in number and in the size of each question.
#[derive(Debug)]
pub struct KeyMemo<T> {
    slots: Vec<Option<(Question, T)>>,
}

impl<T> Default for KeyMemo<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T> KeyMemo<T> {
    /// What is remembered of exactly this question.
    pub fn get(&mut self, question: &Question) -> Option<&mut T> {
        let (asked, value) = self.slots.get_mut(question.slot())?.as_mut()?;
        (asked == question).then_some(value)
    }

    /// Remembers it, unless it is long; answers whether it does.
    pub fn put(&mut self, question: &Question, value: T) -> bool {
        if question.bytes() > MAX_BYTES {
            return false;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        self.slots[question.slot()] = Some((question.clone(), value));
        true
    }
}
