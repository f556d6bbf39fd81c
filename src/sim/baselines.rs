//! The strategies that this cache is compared with, as they are commonly written: one store per colo, and
//! none of this cache's protocol. What they share with it is the formula.

use std::sync::Arc;

use super::{
    baseline_stores::Kept,
    event::{Arrival, WorldEvent},
    origin::{self, Fate, OriginCall, Question},
    scenario::Strategy,
    world::World,
};
use crate::core::{
    purge::Floor,
    time::Span,
    xfetch::{self, Rule},
};

impl World {
    pub(super) fn on_baseline_request(&mut self, colo: usize, key: usize) {
        let request = Arrival { at: self.now, is_warm: false, floor: Floor::default(), rounds: 0 };
        let kept = self.baselines.stores[colo][key].clone();
        let remaining = kept.as_ref().map_or(Span::ZERO, |kept| kept.expiry.since(self.now));
        let is_usable = kept
            .as_ref()
            .is_some_and(|it| self.now < it.expiry.plus(self.scenario.lifetime.stale_while_revalidate));
        let is_fresh = remaining > Span::ZERO;
        let is_due = match self.scenario.strategy {
            Strategy::NoProtection | Strategy::PlainLock => false,
            Strategy::StaleWhileRevalidate => is_usable && !is_fresh,
            Strategy::FixedThreshold => is_usable && remaining <= self.scenario.threshold,
            Strategy::XFetchAlone | Strategy::LeaseBetaOne | Strategy::LeaseBetaAuto => {
                is_usable && kept.as_ref().is_some_and(|kept| self.draws_a_refresh(kept, remaining))
            }
        };
        let serves = match self.scenario.strategy {
            Strategy::NoProtection | Strategy::PlainLock => is_fresh,
            Strategy::StaleWhileRevalidate
            | Strategy::FixedThreshold
            | Strategy::XFetchAlone
            | Strategy::LeaseBetaOne
            | Strategy::LeaseBetaAuto => is_usable,
        };
        match kept.filter(|_| serves) {
            Some(kept) => {
                self.plain_answer(request, Some(&kept.body));
                if is_due {
                    self.triggered(key, 0);
                    self.plain_compute(colo, key, None);
                }
            }
            None if self.scenario.strategy == Strategy::PlainLock => self.lock(colo, key, request),
            None => {
                self.triggered(key, 0);
                self.plain_compute(colo, key, Some(request));
            }
        }
    }

    fn draws_a_refresh(&mut self, kept: &Kept, remaining: Span) -> bool {
        let rule = Rule {
            delta: xfetch::clamp_delta(kept.delta, self.scenario.lifetime.ttl),
            beta: self.scenario.beta,
            window: self.scenario.lifetime.ttl.share(self.scenario.early_window),
        };
        xfetch::triggers(remaining, rule, self.chance().draw())
    }

    /// The first computes, the others wait for it.
    fn lock(&mut self, colo: usize, key: usize, request: Arrival) {
        if let Some(waiting) = &mut self.baselines.locks[key] {
            return waiting.push((colo, request));
        }
        self.baselines.locks[key] = Some(Vec::new());
        self.triggered(key, 0);
        self.plain_compute(colo, key, Some(request));
    }

    fn plain_compute(&mut self, colo: usize, key: usize, waits: Option<Arrival>) {
        let call = self.call_origin(&Question { key, variant: None, tenant: None, held: None });
        self.schedule(call.takes, WorldEvent::Baseline { colo, key, call, waits });
    }

    pub(super) fn on_baseline(&mut self, colo: usize, key: usize, call: &OriginCall, waits: Option<Arrival>) {
        let body = match &call.fate {
            Fate::Body(body, true) => Some(Arc::clone(body)),
            Fate::Body(_, false) | Fate::Failure(_) => None,
        };
        let mut waiting: Vec<(usize, Arrival)> = waits.into_iter().map(|request| (colo, request)).collect();
        waiting.extend(self.baselines.locks[key].take().into_iter().flatten());
        let mut colos = vec![colo];
        colos.extend(waiting.iter().map(|(colo, _)| *colo));
        if let Some(body) = &body {
            colos.sort_unstable();
            colos.dedup();
            for colo in colos {
                self.plain_store(colo, key, call, body);
            }
            self.cycle_ends(key, 0);
        }
        for (colo, request) in waiting {
            let old = self.baselines.stores[colo][key].as_ref().map(|kept| Arc::clone(&kept.body));
            self.plain_answer(request, body.as_ref().or(old.as_ref()));
        }
    }

    fn plain_store(&mut self, colo: usize, key: usize, call: &OriginCall, body: &Arc<[u8]>) {
        let before = self.baselines.stores[colo][key].as_ref().map(|kept| kept.delta);
        self.baselines.stores[colo][key] = Some(Kept {
            expiry: self.now.plus(self.scenario.lifetime.ttl),
            delta: xfetch::smooth_delta(before, call.takes),
            body: Arc::clone(body),
        });
    }

    fn plain_answer(&mut self, request: Arrival, body: Option<&Arc<[u8]>>) {
        let ended = body.and_then(|body| origin::read(body)).map(|(_, number)| self.origin.ended[number]);
        let (at, took) = (self.elapsed(), self.now.since(request.at));
        let age = body.map(|_| self.now.since(ended.unwrap_or(self.now)));
        self.report.answered(at, took, age, self.scenario.lifetime.ttl);
    }
}
