//! The strategies that this cache is compared with, as they are commonly written: one store per colo, and
//! no machines. What they share with the deployed core is the formula.

use std::sync::Arc;

use super::{
    Scenario, Strategy, origin,
    origin::{Call, Fate},
    world::{Request, What, World},
};
use crate::core::{
    time::{Instant, Span},
    xfetch::{self, Rule},
};

/// What a colo keeps of a key.
#[derive(Clone, Debug)]
struct Kept {
    expiry: Instant,
    delta: Span,
    body: Arc<[u8]>,
}

/// The stores, and for [`Strategy::PlainLock`] who waits for whom.
#[derive(Debug)]
pub(super) struct Plain {
    stores: Vec<Vec<Option<Kept>>>,
    locks: Vec<Option<Vec<(usize, Request)>>>,
}

impl Plain {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let keys = scenario.keys as usize;
        Self { stores: vec![vec![None; keys]; scenario.colos as usize], locks: vec![None; keys] }
    }
}

impl World {
    pub(super) fn on_plain_request(&mut self, colo: usize, key: usize) {
        let request = Request { at: self.now, is_warm: false };
        let kept = self.plain.stores[colo][key].clone();
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
        xfetch::triggers(remaining, rule, self.draw())
    }

    /// The first computes, the others wait for it.
    fn lock(&mut self, colo: usize, key: usize, request: Request) {
        if let Some(waiting) = &mut self.plain.locks[key] {
            return waiting.push((colo, request));
        }
        self.plain.locks[key] = Some(Vec::new());
        self.triggered(key, 0);
        self.plain_compute(colo, key, Some(request));
    }

    fn plain_compute(&mut self, colo: usize, key: usize, waits: Option<Request>) {
        let call = self.call_origin(key);
        self.schedule(call.takes, What::Plain { colo, key, call, waits });
    }

    pub(super) fn plain_ended(&mut self, colo: usize, key: usize, call: &Call, waits: Option<Request>) {
        let body = match &call.fate {
            Fate::Body(body, true) => Some(Arc::clone(body)),
            Fate::Body(_, false) | Fate::Failure(_) => None,
        };
        let mut waiting: Vec<(usize, Request)> = waits.into_iter().map(|request| (colo, request)).collect();
        waiting.extend(self.plain.locks[key].take().into_iter().flatten());
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
            let old = self.plain.stores[colo][key].as_ref().map(|kept| Arc::clone(&kept.body));
            self.plain_answer(request, body.as_ref().or(old.as_ref()));
        }
    }

    fn plain_store(&mut self, colo: usize, key: usize, call: &Call, body: &Arc<[u8]>) {
        let before = self.plain.stores[colo][key].as_ref().map(|kept| kept.delta);
        self.plain.stores[colo][key] = Some(Kept {
            expiry: self.now.plus(self.scenario.lifetime.ttl),
            delta: xfetch::smooth_delta(before, call.takes),
            body: Arc::clone(body),
        });
    }

    fn plain_answer(&mut self, request: Request, body: Option<&Arc<[u8]>>) {
        let ended = body.and_then(|body| origin::read(body)).map(|(_, number)| self.origin.ended[number]);
        let (at, took) = (self.elapsed(), self.now.since(request.at));
        let age = body.map(|_| self.now.since(ended.unwrap_or(self.now)));
        self.figures.answered(at, took, age, self.scenario.lifetime.ttl);
    }
}
