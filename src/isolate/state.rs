//! The state of one isolate, and the decisions that need nothing else: whether an entry is good enough,
//! whether a refresh may begin, and what is remembered of its outcome.

use std::sync::Arc;

use super::{
    coalesce::{Coalesce, WaitTicket},
    computation::{Purpose, TriggerOutcome},
    memory::Memory,
    metrics::{CallOutcome, MetricEvent},
    origin_calls::OriginCalls,
    refresh::Refresh,
    refresh_gate::{Blocked, RefreshGate},
    refresh_outcome::RefreshOutcome,
    variants::Variants,
};
use crate::{
    core::{
        config::Route,
        entry::Entry,
        failure::Failure,
        freshness::{self, Verdict},
        global_rate::RateShare,
        key::{Hash, Key},
        purge::Floor,
        time::{Instant, Span},
        xfetch::{self, Draw},
    },
    protocol::{colo_record::ColoRecord, message::LeaseRequest},
};

/// The most keys in an isolate's memory, whatever their size.
pub const MAX_KEYS: usize = 10_000;

/// The state of one isolate. The platform may discard it at any moment; correctness does not depend on it.
#[derive(Clone, Debug)]
pub struct IsolateState {
    /// The nearest tier.
    pub memory: Memory,
    /// Refreshes under way, and failures remembered.
    pub gate: RefreshGate,
    /// Origin calls under way.
    pub calls: OriginCalls,
    /// The same of the cache's own questions, which have room of their own: a provider that hangs blocks no computation.
    inquiries: OriginCalls,
    /// The variants of keys whose answers vary.
    pub variants: Variants,
    /// Requests that wait for one lookup in the colo's cache.
    pub looks: Coalesce,
    /// Requests that wait for one message at the key's object.
    pub waits: Coalesce,
    /// The number by which the objects that add up request rates recognise this isolate; 0 while it has none.
    pub name: u64,
    next_ticket: WaitTicket,
    /// What this isolate has seen of each route, by its path.
    routes: Vec<(String, SeenOfRoute)>,
}

/// What an isolate has seen of a route.
#[derive(Clone, Copy, Debug, Default)]
struct SeenOfRoute {
    /// The smoothed cost of its computations; `None` before the first.
    delta: Option<Span>,
    /// The directive by which its origin forbade stale answers, as last seen.
    stale_forbidden_by: Option<&'static str>,
}

impl IsolateState {
    /// Room for this many bytes of entries and this many keys.
    #[must_use]
    pub fn new(max_bytes: usize, max_keys: usize) -> Self {
        Self {
            memory: Memory::new(max_bytes, max_keys),
            gate: RefreshGate::new(max_keys),
            calls: OriginCalls::default(),
            inquiries: OriginCalls::default(),
            variants: Variants::default(),
            looks: Coalesce::default(),
            waits: Coalesce::default(),
            name: 0,
            next_ticket: 0,
            routes: Vec::new(),
        }
    }

    /// A copy of what concerns one key, without the requests that wait.
    pub(super) fn of_key(&self, hash: &Hash) -> Self {
        Self {
            memory: self.memory.of_key(hash),
            gate: self.gate.of_key(hash),
            calls: self.calls.clone(),
            inquiries: self.inquiries.clone(),
            variants: Variants::default(),
            looks: Coalesce::default(),
            waits: Coalesce::default(),
            name: self.name,
            next_ticket: 0,
            routes: Vec::new(),
        }
    }

    fn seen_of(&mut self, route: &Route) -> &mut SeenOfRoute {
        let place = self.routes.iter().position(|(path, _)| *path == route.path).unwrap_or_else(|| {
            self.routes.push((route.path.clone(), SeenOfRoute::default()));
            self.routes.len() - 1
        });
        &mut self.routes[place].1
    }

    fn known_of(&self, route: &Route) -> SeenOfRoute {
        self.routes.iter().find(|(path, _)| *path == route.path).map(|(_, seen)| *seen).unwrap_or_default()
    }

    /// Notes that the origin of a route forbids stale answers by this directive.
    pub fn forbids_stale(&mut self, route: &Route, directive: &'static str) {
        self.seen_of(route).stale_forbidden_by = Some(directive);
    }

    /// The directive by which the origin of a route has forbidden stale answers, if this isolate has seen one.
    #[must_use]
    pub fn stale_forbidden_by(&self, route: &Route) -> Option<&'static str> {
        self.known_of(route).stale_forbidden_by
    }

    /// A request for a key goes on with the key of its variant. Returns whether that may be cached. A purge of the key
    /// purges its variants: tokens of all objects follow the clock, so the key's floor is a floor for them too.
    pub fn enter_variant(&mut self, key: &Key, variant: &Key, most: u32, now: Instant) -> bool {
        let may_cache = self.variants.may_cache(key.hash, variant.hash, most, now);
        let floor = self.memory.floor(&key.hash);
        if may_cache && floor.highest() > 0 {
            self.hear(variant.hash, floor, now);
        }
        may_cache
    }

    /// A number for one wait of one request.
    pub fn ticket(&mut self) -> WaitTicket {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Adds the cost of a computation to the route's smoothed cost.
    pub fn measured(&mut self, route: &Route, delta: Span) {
        let seen = self.seen_of(route);
        seen.delta = Some(seen.delta.map_or(delta, |known| xfetch::smooth_delta(Some(known), delta)));
    }

    /// What computations of this route cost, smoothed; `None` before the first.
    #[must_use]
    pub fn measured_delta(&self, route: &Route) -> Option<Span> {
        self.known_of(route).delta
    }

    /// Counts a request for the key, and returns the entry in memory.
    pub fn arrived(&mut self, key: &Key, route: &Route, now: Instant) -> Option<Arc<Entry>> {
        let found = self.memory.get(&key.hash, &key.text, now);
        self.memory.arrived(&key.hash, now, route.lifetime.ttl);
        found
    }

    /// The verdict on an entry, with the rate at which this isolate sees its key or, if that is more, the
    /// rate over all isolates that the entry carries.
    #[must_use]
    pub fn judge(
        &self,
        hash: &Hash,
        route: &Route,
        entry: Option<&Entry>,
        now: Instant,
        draw: Draw,
    ) -> Verdict {
        let eagerness =
            freshness::eagerness(entry, now, route, || self.memory.rate(hash, route.lifetime.ttl));
        freshness::judge(entry, now, eagerness, draw)
    }

    /// The check before the lock: sets a mark in the gate for `length` at most, and returns its number.
    ///
    /// # Errors
    /// Why no refresh may begin: the key has a live mark.
    pub fn begin(&mut self, hash: Hash, now: Instant, length: Span) -> Result<u64, Blocked> {
        match self.gate.blocked(&hash, now) {
            Some(blocked) => Err(blocked),
            None => Ok(self.gate.begin(hash, now, length)),
        }
    }

    /// A request has triggered a refresh of an entry. Returns the number of the refresh's mark in the gate.
    ///
    /// # Errors
    /// The outcome of the trigger, if no refresh may begin.
    pub fn trigger(&mut self, hash: Hash, route: &Route, now: Instant) -> Result<u64, TriggerOutcome> {
        if !self.has_room(route, now) && self.gate.blocked(&hash, now).is_none() {
            return Err(TriggerOutcome::Backoff);
        }
        self.begin(hash, now, route.lease()).map_err(|blocked| match blocked {
            Blocked::UnderWay => TriggerOutcome::Contention,
            Blocked::BackingOff { .. } => TriggerOutcome::Backoff,
        })
    }

    /// Whether the origin may be called once more, over all keys of this isolate.
    #[must_use]
    pub fn has_room(&self, route: &Route, now: Instant) -> bool {
        let calls = if route.inquiry.is_some() { &self.inquiries } else { &self.calls };
        calls.under_way(now) < route.max_origin_calls as usize
    }

    /// The calls that a route's calls are counted with.
    pub(super) fn calls_of(&mut self, route: &Route) -> &mut OriginCalls {
        if route.inquiry.is_some() { &mut self.inquiries } else { &mut self.calls }
    }

    /// Removes the origin calls that were cut off, and returns what to count for them.
    pub fn abandoned(&mut self, now: Instant) -> impl Iterator<Item = MetricEvent> + use<> {
        let call = CallOutcome::Abandoned;
        // Of questions only those that have ended are counted.
        self.inquiries.sweep(now);
        self.calls.sweep(now).into_iter().map(move |purpose| MetricEvent::Called { purpose, call })
    }

    /// The contents of an `Acquire`. `delta` is the smoothed cost of the computation, if it is known.
    #[must_use]
    pub fn lease_request(&self, hash: &Hash, route: &Route, delta: Option<Span>) -> LeaseRequest {
        LeaseRequest {
            lease: route.lease(),
            expected: delta.unwrap_or(Span::SECOND),
            physical: route.lifetime.physical(),
            share: RateShare::new(self.name, self.memory.rate(hash, route.lifetime.ttl)),
        }
    }

    /// Applies a purge floor to the key; returns whether the floor was new. A new floor removes the key's
    /// mark in the gate, because the mark concerns purged content.
    pub fn hear(&mut self, hash: Hash, floor: Floor, now: Instant) -> bool {
        let is_news = self.memory.hear(hash, floor, now);
        if is_news {
            self.gate.forget(&hash);
        }
        is_news
    }

    /// Applies the floor of a colo's record to memory, and stores the record's entry there. Returns the
    /// entry, unless a purge removed it.
    pub fn adopt_from_colo(&mut self, hash: Hash, record: ColoRecord, now: Instant) -> Option<Arc<Entry>> {
        self.hear(hash, record.floor, now);
        let entry = self.memory.floor(&hash).applied(record.entry?, now)?;
        self.memory.accept(hash, &entry, now);
        Some(entry)
    }

    /// The entry to use after a lookup in the colo's cache: that of memory, or else that of the colo. If it
    /// is not servable but `in_hand`, which the request found before the lookup, is, then `in_hand`.
    ///
    /// Entries are judged at the request's arrival. A request that was warm then must not wait because,
    /// during the lookup, a window ended, memory evicted the entry, or an entry with an earlier `stored_at`
    /// replaced it.
    pub fn after_colo(
        &mut self,
        key: &Key,
        in_colo: Option<Arc<Entry>>,
        in_hand: Option<Arc<Entry>>,
        arrived: Instant,
    ) -> Option<Arc<Entry>> {
        let floor = self.memory.floor(&key.hash);
        // The isolate may have learned of a purge since the entry was found.
        let left = |entry: Arc<Entry>| floor.applied(entry, arrived);
        let newest = self.memory.get(&key.hash, &key.text, arrived).or_else(|| in_colo.and_then(left));
        let in_hand = in_hand.and_then(left);
        let is_servable = |entry: &Arc<Entry>| entry.is_servable(arrived);
        if newest.as_ref().is_some_and(is_servable) {
            return newest;
        }
        in_hand.filter(is_servable).or(newest)
    }

    /// Whether the origin may be called without a lease, because the object is out of reach: per isolate and
    /// key once per smoothed cost, or, for a miss, one call at a time.
    pub fn may_compute_without_lease(
        &mut self,
        hash: Hash,
        route: &Route,
        refresh: &Refresh,
        now: Instant,
    ) -> bool {
        let pause = match refresh.purpose() {
            Purpose::Early | Purpose::Stale => refresh.pause(),
            Purpose::Cold => route.origin_timeout.plus(Span::SECOND),
        };
        self.gate.may_compute_without_lease(hash, now, pause)
    }

    /// A computation has ended: removes its mark, or replaces it by what is remembered of the outcome.
    pub fn ended(
        &mut self,
        hash: Hash,
        owner: u64,
        refresh: &Refresh,
        outcome: &RefreshOutcome,
        now: Instant,
    ) {
        match outcome {
            RefreshOutcome::Held { retry_in } => self.gate.end_held(hash, owner, now, *retry_in),
            RefreshOutcome::BackedOff { failure, retry_after } => {
                self.gate.end_failed(hash, owner, failure, now, *retry_after);
            }
            // Without a lease the object does not remember the failure, so this isolate does for a short time.
            RefreshOutcome::Failed(failure) => {
                let pause = match failure {
                    Failure::Transient { retry_after, .. } => retry_after.unwrap_or(Span::SECOND),
                    Failure::Negative { .. } | Failure::Pass { .. } | Failure::GivenBack => Span::ZERO,
                };
                self.gate.end_failed(hash, owner, failure, now, pause);
            }
            // An object out of reach is not asked again by the next request.
            RefreshOutcome::Uncommitted(_) | RefreshOutcome::ObjectLost
                if refresh.purpose() != Purpose::Cold =>
            {
                self.gate.end_held(hash, owner, now, refresh.pause());
            }
            RefreshOutcome::Stored(_)
            | RefreshOutcome::Adopted(_)
            | RefreshOutcome::AdoptedFromColo(_)
            | RefreshOutcome::Uncommitted(_)
            | RefreshOutcome::Rejected(_)
            | RefreshOutcome::Passed(_)
            | RefreshOutcome::ObjectLost => self.gate.end(&hash, owner),
        }
    }
}
