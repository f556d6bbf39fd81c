//! How often a key is asked for in the world. Each isolate sees its own share of the requests only, and a
//! beta chosen from a share is too eager: the earliest of many draws comes sooner than one would.
//!
//! Whoever asks a key's object for the lease tells its share, or that it has seen too little to know. The object adds
//! them up and writes the sum into the entry that is committed, which takes it into every tier. In the first cycle
//! nobody knows, but that several ask is known already. Shares are forgotten after two generations without a
//! word, and when nobody has refreshed the key for a TTL beyond its expiry. What was never told is missing in the
//! sum, which errs on the early side; an isolate that has just been replaced counts twice for two generations, which
//! may then land a moment late.

use serde::{Deserialize, Serialize};

/// What one isolate sees of a key's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct RateShare {
    /// The isolate, by a number of its own; 0 for one without entropy, whose share is not counted.
    pub isolate: u64,
    /// Requests in 1,000 seconds; 0 for none that is known.
    pub millihertz: u32,
}

/// What a share takes on its way.
const SHARE_BYTES: usize = 12;

impl RateShare {
    /// From requests per second, as [`crate::core::arrival_rate`] estimates them.
    #[must_use]
    pub fn new(isolate: u64, per_second: Option<f64>) -> Self {
        // A rate that is known is never none, however low.
        Self { isolate, millihertz: per_second.map_or(0, |rate| ((rate * 1e3) as u32).max(1)) }
    }

    /// Twelve bytes, to travel beside a message.
    #[must_use]
    fn to_bytes(self) -> [u8; SHARE_BYTES] {
        let mut bytes = [0; SHARE_BYTES];
        bytes[..8].copy_from_slice(&self.isolate.to_le_bytes());
        bytes[8..].copy_from_slice(&self.millihertz.to_le_bytes());
        bytes
    }

    /// What [`Self::to_bytes`] has written; anything else is a share that is not known.
    #[must_use]
    fn from_bytes(bytes: &[u8]) -> Self {
        let read = bytes.split_first_chunk().zip(bytes.last_chunk()).filter(|_| bytes.len() == SHARE_BYTES);
        read.map_or(Self::default(), |((isolate, _), millihertz)| Self {
            isolate: u64::from_le_bytes(*isolate),
            millihertz: u32::from_le_bytes(*millihertz),
        })
    }
}

/// The sum where more than one isolate asks for the key, and none of them knows yet how often.
pub const SEVERAL: u32 = u32::MAX;
/// The most isolates whose shares are kept; beyond it the sum is too small.
pub const MAX_SHARES: usize = 64;
/// For so many commits a share counts.
const LASTS: u8 = 2;
/// A share, and for how many commits it still counts.
const RECORD_BYTES: usize = SHARE_BYTES + 1;

/// The shares told lately, in their stored form: each is read where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct GlobalRate(Vec<u8>);

impl GlobalRate {
    /// An isolate tells its share, in place of what it told before.
    pub fn hear(&mut self, share: RateShare) {
        let told = share.to_bytes();
        // That one does not know is news only while nobody does: later it is one that is seldom asked.
        let is_full = self.0.len() >= MAX_SHARES * RECORD_BYTES;
        let is_news = share.millihertz > 0
            || !is_full && self.records().all(|it| it[..8] != told[..8] && rate_of(it) == 0);
        if share.isolate == 0 || !is_news {
            return;
        }
        let mut kept = self.records().filter(|it| it[..8] != told[..8]).fold(Vec::new(), joined);
        // Where there are too many, who has been silent for longest goes.
        let beyond = (kept.len() + RECORD_BYTES).saturating_sub(MAX_SHARES * RECORD_BYTES);
        kept.drain(..beyond);
        kept.extend_from_slice(&told);
        kept.push(LASTS);
        self.0 = kept;
    }

    /// A generation has been committed: who tells nothing for two of them is gone.
    pub fn committed(&mut self) {
        self.0 = self.records().filter(|it| it[SHARE_BYTES] > 0).fold(Vec::new(), joined);
        for record in self.0.chunks_exact_mut(RECORD_BYTES) {
            record[SHARE_BYTES] -= 1;
        }
    }

    /// All shares, in requests per 1,000 seconds. Who asked when nobody knew counts as one of those who know now, but
    /// all of them together for no more than is known. 0 where nobody knows, or [`SEVERAL`].
    #[must_use]
    pub fn total(&self) -> u32 {
        let rates = || self.records().map(rate_of);
        let (all, known) = (rates().count(), rates().filter(|it| *it > 0).count());
        let sum = rates().map(u64::from).sum::<u64>();
        let others = (all - known).min(known) as u64;
        match (known, all) {
            (0, 0 | 1) => 0,
            (0, _) => SEVERAL,
            _ => (sum + others * sum / known as u64).min(u64::from(SEVERAL - 1)) as u32,
        }
    }

    /// How many isolates' shares are kept.
    #[must_use]
    pub fn isolates(&self) -> usize {
        self.records().count()
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.0.chunks_exact(RECORD_BYTES)
    }
}

fn rate_of(record: &[u8]) -> u32 {
    RateShare::from_bytes(&record[..SHARE_BYTES]).millihertz
}

fn joined(mut all: Vec<u8>, record: &[u8]) -> Vec<u8> {
    all.extend_from_slice(record);
    all
}
