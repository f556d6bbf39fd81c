//! The arrival rate of a key in the world. Each isolate observes only its own share of the requests, and a beta
//! chosen from one share refreshes too early: with many isolates the earliest of all draws decides.
//!
//! An isolate that asks a key's object for the lease reports its share, or that it cannot estimate one yet. The
//! object adds the shares and writes the sum into the entry that is committed, which carries it into every tier. In
//! the first cycle no rate is known, but the number of isolates is. A share expires after two generations without
//! a report, and when the key was not refreshed for a TTL beyond its expiry. A share that was never reported is
//! missing from the sum, which refreshes too early; a replaced isolate counts twice for two generations, which may
//! end slightly late.

use serde::{Deserialize, Serialize};

/// One isolate's share of a key's arrival rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct RateShare {
    /// The isolate's random number; 0 if it had no entropy, and then its share is not counted.
    pub isolate: u64,
    /// Requests per 1,000 seconds; 0 if no rate is known.
    pub millihertz: u32,
}

/// The encoded length of a share.
const SHARE_BYTES: usize = 12;

impl RateShare {
    /// From requests per second, as [`crate::core::arrival_rate`] estimates them.
    #[must_use]
    pub fn new(isolate: u64, per_second: Option<f64>) -> Self {
        // A known rate is at least 1, because 0 means unknown.
        Self { isolate, millihertz: per_second.map_or(0, |rate| ((rate * 1e3) as u32).max(1)) }
    }

    /// Encodes the share in twelve bytes.
    #[must_use]
    fn to_bytes(self) -> [u8; SHARE_BYTES] {
        let mut bytes = [0; SHARE_BYTES];
        bytes[..8].copy_from_slice(&self.isolate.to_le_bytes());
        bytes[8..].copy_from_slice(&self.millihertz.to_le_bytes());
        bytes
    }

    /// Decodes the output of [`Self::to_bytes`]; anything else gives an unknown share.
    #[must_use]
    fn from_bytes(bytes: &[u8]) -> Self {
        let read = bytes.split_first_chunk().zip(bytes.last_chunk()).filter(|_| bytes.len() == SHARE_BYTES);
        read.map_or(Self::default(), |((isolate, _), millihertz)| Self {
            isolate: u64::from_le_bytes(*isolate),
            millihertz: u32::from_le_bytes(*millihertz),
        })
    }
}

/// The sum if several isolates report and none of them knows a rate yet.
pub const SEVERAL: u32 = u32::MAX;
/// The greatest number of isolates whose shares are kept; with more, the sum is too small.
pub const MAX_SHARES: usize = 64;
/// The number of commits for which a share counts.
const LASTS: u8 = 2;
/// The encoded length of a share and the number of commits for which it still counts.
const RECORD_BYTES: usize = SHARE_BYTES + 1;

/// The recent shares, in their stored form, read without a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct GlobalRate(Vec<u8>);

impl GlobalRate {
    /// Records an isolate's share in place of its previous one.
    pub fn hear(&mut self, share: RateShare) {
        let told = share.to_bytes();
        // A report without a rate counts only until some isolate has a rate; after that it comes from an isolate
        // with little traffic.
        let is_full = self.0.len() >= MAX_SHARES * RECORD_BYTES;
        let is_news = share.millihertz > 0
            || !is_full && self.records().all(|it| it[..8] != told[..8] && rate_of(it) == 0);
        if share.isolate == 0 || !is_news {
            return;
        }
        let mut kept = self.records().filter(|it| it[..8] != told[..8]).fold(Vec::new(), joined);
        // Beyond the limit, the share that was reported longest ago is removed.
        let beyond = (kept.len() + RECORD_BYTES).saturating_sub(MAX_SHARES * RECORD_BYTES);
        kept.drain(..beyond);
        kept.extend_from_slice(&told);
        kept.push(LASTS);
        self.0 = kept;
    }

    /// Notes a commit: a share expires after two commits without a new report.
    pub fn committed(&mut self) {
        self.0 = self.records().filter(|it| it[SHARE_BYTES] > 0).fold(Vec::new(), joined);
        for record in self.0.chunks_exact_mut(RECORD_BYTES) {
            record[SHARE_BYTES] -= 1;
        }
    }

    /// The sum of all shares, in requests per 1,000 seconds. An isolate without a rate counts as an average one, and
    /// all such isolates together count for at most the known sum. If no rate is known: 0, or [`SEVERAL`] if
    /// several isolates report.
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

    /// The number of isolates whose shares are kept.
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
