//! Chance for one isolate: one call for entropy, then a small generator. Much cheaper than one call
//! per request, and XFetch needs no secrets.

use fastrand::Rng;

use crate::xfetch::Draw;

/// The isolate's source of chance. Seeded on first use, because the platform allows no entropy in
/// global scope.
#[derive(Debug, Default)]
pub struct Dice(Option<Rng>);

impl Dice {
    /// A uniform draw on (0, 1]; without entropy the draw that never refreshes early.
    pub fn draw(&mut self) -> Draw {
        self.bits().map_or(Draw::NEVER_EARLY, Draw::from_bits)
    }

    /// A name that no other isolate has; without entropy none.
    pub fn nonce(&mut self) -> Option<String> {
        let (high, low) = (self.bits()?, self.bits()?);
        Some(format!("{high:016x}{low:016x}"))
    }

    fn bits(&mut self) -> Option<u64> {
        if self.0.is_none() {
            let mut seed = [0; 8];
            #[expect(clippy::disallowed_methods, reason = "this is where entropy is drawn")]
            getrandom::fill(&mut seed).ok()?;
            self.0 = Some(Rng::with_seed(u64::from_le_bytes(seed)));
        }
        self.0.as_mut().map(|generator| generator.u64(..))
    }
}
