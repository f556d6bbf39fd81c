//! What happens in a simulated world.

use std::rc::Rc;

use super::faults::Faults;
use crate::core::{
    access::Scope,
    config::{self, Beta, OriginPolicy, Route},
    entry::Lifetime,
    time::Span,
};

/// How a cache deals with expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// Every request that finds no fresh entry starts a computation and waits for it.
    NoProtection,
    /// The first request that finds no fresh entry starts a computation, and the others wait for it. Each key
    /// has one lock in the world.
    PlainLock,
    /// A stale entry is served at once, and every such request starts a computation in the background.
    StaleWhileRevalidate,
    /// Every request within a fixed time before expiry starts a computation in the background.
    FixedThreshold,
    /// The paper's rule: every trigger starts a computation in the background.
    XFetchAlone,
    /// This cache with beta = 1.
    LeaseBetaOne,
    /// This cache with beta = "auto".
    LeaseBetaAuto,
}

impl Strategy {
    /// Every strategy, the simplest first.
    pub const ALL: [Self; 7] = [
        Self::NoProtection,
        Self::PlainLock,
        Self::StaleWhileRevalidate,
        Self::FixedThreshold,
        Self::XFetchAlone,
        Self::LeaseBetaOne,
        Self::LeaseBetaAuto,
    ];

    /// Its name, in tables and addresses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoProtection => "no_protection",
            Self::PlainLock => "plain_lock",
            Self::StaleWhileRevalidate => "stale_while_revalidate",
            Self::FixedThreshold => "fixed_threshold",
            Self::XFetchAlone => "xfetch_alone",
            Self::LeaseBetaOne => "xfetch_lease_beta_1",
            Self::LeaseBetaAuto => "xfetch_lease_auto",
        }
    }

    /// Whether it is this cache: the others are baselines, of which no invariant is checked.
    #[must_use]
    pub fn is_this_cache(self) -> bool {
        match self {
            Self::LeaseBetaOne | Self::LeaseBetaAuto => true,
            Self::NoProtection
            | Self::PlainLock
            | Self::StaleWhileRevalidate
            | Self::FixedThreshold
            | Self::XFetchAlone => false,
        }
    }
}

/// What happens in the world, faults apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The seed of all random streams. The arrivals depend only on it and on the settings of the traffic, not
    /// on the strategy.
    pub seed: u64,
    /// How long requests arrive.
    pub duration: Span,
    /// How expiry is dealt with.
    pub strategy: Strategy,
    /// Data centres, each with a cache of its own.
    pub colos: u32,
    /// Isolates in each, each with a memory of its own.
    pub isolates: u32,
    /// The number of keys.
    pub keys: u32,
    /// The exponent of Zipf's law over the keys: 0 requests all keys equally often, 1 is typical of the web.
    pub zipf: f64,
    /// Requests per second, over all keys and colos; the intervals between them are exponential.
    pub rate: f64,
    /// Bursts of simultaneous requests, in addition to `rate`.
    pub burst: Option<Burst>,
    /// How long entries may be served.
    pub lifetime: Lifetime,
    /// How many variants the answers of a key have, by a field of the request. If there are any, the origin says how
    /// long its answers live, and half of its answers to a validation confirm the entry held.
    pub variants: u32,
    /// How many tenants ask, each with entries of its own; 0 for a route that all clients share. The keys are dealt out
    /// to the tenants in turn.
    pub tenants: u32,
    /// The beta of the strategies in which it is fixed; "auto" chooses its own.
    pub beta: f64,
    /// The share of the cycles in which "auto" accepts that the new value arrives after expiry.
    pub late_share: f64,
    /// The largest beta that "auto" chooses.
    pub max_beta: f64,
    /// The share of the TTL in which an early refresh may begin.
    pub early_window: f64,
    /// How long before expiry [`Strategy::FixedThreshold`] starts to refresh.
    pub threshold: Span,
    /// How long a call to the origin may take.
    pub origin_timeout: Span,
    /// Mean cost of a computation.
    pub delta: Span,
    /// The spread of the cost: the standard deviation of its logarithm. With 0, all costs are the mean.
    pub spread: f64,
    /// The share of the calls that fail.
    pub failing: f64,
    /// A period in which all calls fail.
    pub outage: Option<Outage>,
    /// The delay of a message between a colo and a key's object, one way.
    pub object_delay: Span,
    /// The duration of a lookup in the colo's cache, or of a write.
    pub colo_delay: Span,
    /// What goes wrong beside the origin.
    pub faults: Faults,
}

/// Recurring bursts of simultaneous requests for the hottest key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The interval between bursts.
    pub every: Span,
    /// How many requests.
    pub size: u32,
}

impl Default for Scenario {
    fn default() -> Self {
        let route = Route::with_defaults("/".to_owned());
        Self {
            seed: 1,
            duration: Span(60_000),
            strategy: Strategy::LeaseBetaAuto,
            colos: 3,
            isolates: 2,
            keys: 1,
            zipf: 1.0,
            rate: 60.0,
            burst: None,
            lifetime: Lifetime { ttl: Span(10_000), ..route.lifetime },
            variants: 0,
            tenants: 0,
            beta: 1.0,
            late_share: config::LATE_SHARE,
            max_beta: config::MAX_BETA,
            early_window: route.early_window,
            threshold: Span(2_000),
            origin_timeout: route.origin_timeout,
            delta: Span(1_000),
            spread: 0.2,
            failing: 0.0,
            outage: None,
            object_delay: Span(20),
            colo_delay: Span(2),
            faults: Faults::default(),
        }
    }
}

impl Scenario {
    /// Without faults, how long a stale entry may be served before it must have been replaced.
    pub(super) fn aftermath(&self) -> Span {
        self.origin_timeout.plus(self.origin_timeout).plus(Span(60_000))
    }

    /// How many keys there are, with those of variants. A key's own comes first, then those of its variants.
    pub(super) fn slots(&self) -> usize {
        (self.keys + self.keys * self.variants) as usize
    }

    /// The place of the key that a place belongs to.
    pub(super) fn primary(&self, slot: usize) -> usize {
        match slot.checked_sub(self.keys as usize) {
            Some(place) => place / self.variants as usize,
            None => slot,
        }
    }

    /// The place of a variant of the key in this place.
    pub(super) fn variant(&self, slot: usize, variant: u32) -> usize {
        self.keys as usize + self.primary(slot) * self.variants as usize + variant as usize
    }

    /// The tenant that a place belongs to, if there are tenants.
    pub(super) fn tenant(&self, slot: usize) -> Option<usize> {
        (self.tenants > 0).then(|| self.primary(slot) % self.tenants as usize)
    }

    /// The route that the deployed core is given.
    pub(super) fn route(&self) -> Rc<Route> {
        let auto = Beta::Auto { late_share: self.late_share, max_beta: self.max_beta };
        let is_auto = self.strategy == Strategy::LeaseBetaAuto;
        let beta = if is_auto { auto } else { Beta::Fixed(self.beta) };
        Rc::new(Route {
            lifetime: self.lifetime,
            beta,
            early_window: self.early_window,
            origin_timeout: self.origin_timeout,
            scope: if self.tenants > 0 { Scope::Tenant } else { Scope::None },
            origin_decides: (self.variants > 0)
                .then(|| OriginPolicy { forwards_all: true, ..OriginPolicy::default() }),
            ..Route::with_defaults("/".to_owned())
        })
    }
}

/// A period in which every origin call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Its begin, from the begin of the run.
    pub from: Span,
    /// Its end, from the begin of the run.
    pub until: Span,
}
