//! The requests: when they arrive, where, and for which key.

use super::{
    event::{Arrival, WorldEvent},
    world::{Asked, Whose, World},
};
use crate::{
    core::time::Span,
    isolate::{
        step::{Event, RequestFields},
        task::Task,
    },
};

impl World {
    pub(super) fn on_arrival(&mut self) {
        let key = self.zipf.draw(&mut self.arrivals);
        self.arrive(key);
        self.schedule_arrival();
    }

    pub(super) fn schedule_arrival(&mut self) {
        if self.scenario.rate <= 0.0 {
            return;
        }
        let distance = self.arrivals.exponential(1_000.0 / self.scenario.rate);
        // Rounded up or down at random, so that the mean interval is exact although time has whole
        // milliseconds.
        let (whole, rest) = (distance.floor(), distance.fract());
        let distance = Span(whole as u64 + u64::from(self.arrivals.happens(rest)));
        if self.elapsed().plus(distance) < self.scenario.duration {
            self.schedule(distance, WorldEvent::Arrival);
        }
    }

    pub(super) fn on_burst(&mut self) {
        let burst = self.scenario.burst;
        for _ in 0..burst.map_or(0, |burst| burst.size) {
            self.arrive(0);
        }
        if let Some(burst) = burst.filter(|it| self.elapsed().plus(it.every) < self.scenario.duration) {
            self.schedule(burst.every, WorldEvent::Burst);
        }
    }

    fn arrive(&mut self, key: usize) {
        let isolate = self.arrivals.below(self.isolates.len() as u64) as usize;
        let at = self.elapsed();
        self.report.second(at).requests += 1;
        if self.covered[key]
            .is_none_or(|covered| at >= covered.plus(self.scenario.lifetime.ttl).plus(self.scenario.delta))
        {
            self.covered[key] = Some(at);
            self.report.least_calls += 1;
        }
        let variants = self.scenario.variants;
        let variant = (variants > 0).then(|| self.arrivals.below(u64::from(variants)) as u32);
        if !self.scenario.strategy.is_this_cache() {
            return self.on_baseline_request(self.isolates[isolate].colo, key);
        }
        let (known, now) = (&self.keys[key], self.clock_of(isolate));
        let memory = &self.isolates[isolate].state.memory;
        let held = memory.peek(&known.hash, &known.text, now);
        let fields = Asked(variant);
        let is_warm =
            held.is_some_and(|entry| entry.is_servable(now) && entry.answers(|name| fields.field(name)));
        let arrival = Arrival { at: self.now, is_warm, floor: memory.floor(&known.hash), rounds: 0 };
        let whose = Whose { isolate, key, variant };
        self.begin_task(whose, Task::request(), Event::Started, Some(arrival));
    }
}
