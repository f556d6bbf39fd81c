//! The faults that happen at random times: clocks step, isolates restart, objects are evicted or out of
//! reach, keys are purged, alarms fire.

use super::{
    clock::Clock,
    event::{EffectEnd, Fault, WorldEvent},
    faults::Faults,
    rng::SimRng,
    world::{Whose, World},
};
use crate::{
    core::{
        time::{Instant, Span},
        xfetch::Chance,
    },
    isolate::{
        step::{Event, ObjectError},
        task::Task,
    },
};

impl World {
    /// Whether a fault of this share happens now.
    pub(super) fn fault(&mut self, share: impl FnOnce(&Faults) -> f64) -> bool {
        let is_hostile = self.elapsed() < self.scenario.faults.until;
        is_hostile && {
            let share = share(&self.scenario.faults);
            self.rng.happens(share)
        }
    }

    /// The randomness of one step of a task.
    pub(super) fn chance(&mut self) -> Chance {
        if self.fault(|it| it.no_entropy) { Chance::NONE } else { Chance(Some(self.rng.bits())) }
    }

    pub(super) fn schedule_fault(&mut self, fault: Fault) {
        let faults = &self.scenario.faults;
        let mean = match fault {
            Fault::Step => faults.steps_every,
            Fault::Restart => faults.restarts_every,
            Fault::Evict => faults.evictions_every,
            Fault::Alarm => faults.alarms_every,
            Fault::Leap => faults.leaps_every,
            Fault::Purge => faults.purges_every,
            Fault::Unreachable => faults.unreachable_every,
            Fault::End => Span::ZERO,
        };
        let until = faults.until;
        if mean == Span::ZERO {
            return;
        }
        let after = Span(self.rng.exponential(mean.0 as f64) as u64 + 1);
        if self.elapsed().plus(after) < until {
            self.schedule(after, WorldEvent::Fault(fault));
        }
    }

    pub(super) fn on_fault(&mut self, fault: Fault) {
        let faults = self.scenario.faults.clone();
        match fault {
            Fault::Step => {
                let place = self.rng.below(self.colos.len() as u64 + 1) as usize;
                let step = self.rng.skew(faults.max_step).0;
                let clock = match self.colos.get_mut(place) {
                    Some(colo) => &mut colo.clock,
                    None => &mut self.objects.clock,
                };
                clock.0 += step;
                self.invariants.clock(*clock);
            }
            Fault::Restart => {
                let place = self.rng.below(self.isolates.len() as u64) as usize;
                self.restart(place);
            }
            Fault::Evict => {
                let key = self.rng.below(self.keys.len() as u64) as usize;
                for sleeper in self.objects.all[key].evict() {
                    self.schedule(
                        Span(1),
                        WorldEvent::Task(sleeper, EffectEnd::Lost(ObjectError::Retryable)),
                    );
                }
            }
            Fault::Alarm => {
                let key = self.rng.below(self.keys.len() as u64) as usize;
                let now = self.objects.clock.read(self.now);
                let object = &mut self.objects.all[key];
                let outputs = object.object.alarm(object.state.as_deref(), now);
                let applied = object.apply(outputs);
                self.report.cleaned_up.0 += u64::from(applied.has_dropped);
                if applied.has_forgotten {
                    self.report.cleaned_up.1 += 1;
                    self.invariants.forgotten(key);
                }
            }
            Fault::Leap => {
                self.objects.clock.0 += self.rng.skew(faults.max_leap).0;
                self.invariants.clock(self.objects.clock);
            }
            Fault::Purge => {
                // A purge of a key is one of its variants.
                let key = self.rng.below(u64::from(self.scenario.keys)) as usize;
                let isolate = self.rng.below(self.isolates.len() as u64) as usize;
                let hard = self.rng.happens(0.5);
                let whose = Whose { isolate, key, variant: None };
                self.begin_task(whose, Task::purge(hard), Event::Started, None);
            }
            Fault::Unreachable => self.unreachable_until = self.now.plus(faults.unreachable_for),
            Fault::End => {
                self.unreachable_until = Instant::EPOCH;
                return;
            }
        }
        self.schedule_fault(fault);
    }
}

impl SimRng {
    /// A clock that is off by this much at most, either way.
    pub(super) fn skew(&mut self, most: Span) -> Clock {
        let most = most.0.cast_signed();
        Clock(self.below(2 * most.unsigned_abs() + 1).cast_signed() - most)
    }
}
