//! What goes wrong on its own: clocks step, isolates restart, objects are evicted or out of reach, keys are
//! purged.

use super::{
    faults::Faults,
    rng::Chance,
    tiers::Clock,
    world::{Fault, Happened, Loss, What, World},
};
use crate::{
    core::{
        time::{Instant, Span},
        xfetch::Draw,
    },
    protocol::lease::CleanUp,
};

impl World {
    /// Whether a fault of this share happens now.
    pub(super) fn fault(&mut self, share: impl FnOnce(&Faults) -> f64) -> bool {
        let is_hostile = self.elapsed() < self.scenario.faults.until;
        is_hostile && {
            let share = share(&self.scenario.faults);
            self.chance.happens(share)
        }
    }

    pub(super) fn draw(&mut self) -> Draw {
        if self.fault(|it| it.no_entropy) { Draw::NEVER_EARLY } else { Draw::from_bits(self.chance.bits()) }
    }

    pub(super) fn after_fault(&mut self, fault: Fault) {
        let faults = &self.scenario.faults;
        let mean = match fault {
            Fault::Step => faults.steps_every,
            Fault::Restart => faults.restarts_every,
            Fault::Evict => faults.evictions_every,
            Fault::CleanUp => faults.cleanups_every,
            Fault::Leap => faults.leaps_every,
            Fault::Purge => faults.purges_every,
            Fault::Unreachable => faults.unreachable_every,
            Fault::KindAgain => Span::ZERO,
        };
        let until = faults.until;
        if mean == Span::ZERO {
            return;
        }
        let after = Span(self.chance.exponential(mean.0 as f64) as u64 + 1);
        if self.elapsed().plus(after) < until {
            self.schedule(after, What::Fault(fault));
        }
    }

    pub(super) fn on_fault(&mut self, fault: Fault) {
        let faults = self.scenario.faults.clone();
        match fault {
            Fault::Step => {
                let place = self.chance.below(self.colos.len() as u64 + 1) as usize;
                let step = skewed(&mut self.chance, faults.step_most).0;
                let clock = match self.colos.get_mut(place) {
                    Some(colo) => &mut colo.clock,
                    None => &mut self.objects.clock,
                };
                clock.0 += step;
                self.promises.clock(*clock);
            }
            Fault::Restart => {
                let place = self.chance.below(self.isolates.len() as u64) as usize;
                self.restart(place);
            }
            Fault::Evict => {
                let key = self.chance.below(self.keys.len() as u64) as usize;
                for sleeper in self.objects.all[key].evict() {
                    self.schedule(Span(1), What::Task(sleeper, Happened::Lost(Loss::Retryable)));
                }
            }
            Fault::CleanUp => {
                let key = self.chance.below(self.keys.len() as u64) as usize;
                let now = self.objects.clock.read(self.now);
                match self.objects.all[key].clean_up(now) {
                    CleanUp::Later(_) => {}
                    CleanUp::DropBody(_) => self.figures.cleaned_up.0 += 1,
                    CleanUp::Forget => {
                        self.figures.cleaned_up.1 += 1;
                        self.promises.forgotten(key);
                    }
                }
            }
            Fault::Leap => {
                self.objects.clock.0 += skewed(&mut self.chance, faults.leap_most).0;
                self.promises.clock(self.objects.clock);
            }
            Fault::Purge => {
                let key = self.chance.below(self.keys.len() as u64) as usize;
                let isolate = self.chance.below(self.isolates.len() as u64) as usize;
                let hard = self.chance.happens(0.5);
                self.purge(isolate, key, hard);
            }
            Fault::Unreachable => self.unreachable_until = self.now.plus(faults.unreachable_for),
            Fault::KindAgain => {
                self.unreachable_until = Instant::EPOCH;
                return;
            }
        }
        self.after_fault(fault);
    }
}

pub(super) fn skewed(chance: &mut Chance, most: Span) -> Clock {
    let most = most.0.cast_signed();
    Clock(chance.below(2 * most.unsigned_abs() + 1).cast_signed() - most)
}
