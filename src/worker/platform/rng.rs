//! Randomness for one isolate: one call for entropy seeds a small generator. This is much cheaper than a call
//! per request, and XFetch does not need unpredictable numbers.

use fastrand::Rng;

use crate::core::{canonical_json, xfetch::Chance};

/// An isolate's generator. Seeded on first use, because the platform allows no entropy in global scope.
#[derive(Debug, Default)]
pub struct IsolateRng {
    generator: Option<Rng>,
    name: u64,
}

impl IsolateRng {
    /// The randomness of one step.
    pub fn chance(&mut self) -> Chance {
        Chance(self.bits())
    }

    /// A random number above 0 that identifies this isolate and never changes; 0 without entropy.
    pub fn name(&mut self) -> u64 {
        if self.name == 0 {
            self.name = self.bits().map_or(0, |bits| bits | 1);
        }
        self.name
    }

    /// A new random name of sixteen hexadecimal digits; `None` without entropy.
    pub fn unique_name(&mut self) -> Option<String> {
        Some(canonical_json::hex(&self.bits()?.to_le_bytes()))
    }

    /// A key that nobody can guess, drawn anew; `None` without entropy.
    #[must_use]
    pub fn key() -> Option<[u8; 16]> {
        let mut key = [0; 16];
        fill(&mut key).then_some(key)
    }

    fn bits(&mut self) -> Option<u64> {
        if self.generator.is_none() {
            let mut seed = [0; 8];
            if !fill(&mut seed) {
                return None;
            }
            self.generator = Some(Rng::with_seed(u64::from_le_bytes(seed)));
        }
        self.generator.as_mut().map(|generator| generator.u64(..))
    }
}

/// Fills a buffer with entropy; false if there is none.
fn fill(buffer: &mut [u8]) -> bool {
    #[expect(clippy::disallowed_methods, reason = "this is where entropy is drawn")]
    getrandom::fill(buffer).is_ok()
}
