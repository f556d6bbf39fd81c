//! What happens in a simulated world.

use std::rc::Rc;

use super::faults::Faults;
use crate::core::{
    config::{Beta, Credentials, Route},
    entry::Lifetime,
    time::Span,
};

/// How a cache deals with expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// Whoever finds nothing fresh computes, and waits for it.
    NoProtection,
    /// The first computes, the others wait for it; one lock per key in the world.
    PlainLock,
    /// Stale is served, and every request that finds it stale computes behind its answer.
    StaleWhileRevalidate,
    /// Every request within a fixed time before expiry computes behind its answer.
    FixedThreshold,
    /// The paper's rule, each trigger a computation behind the answer.
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
    /// Decides all chance. The arrivals depend on nothing else but the traffic's own settings.
    pub seed: u64,
    /// How long requests arrive.
    pub duration: Span,
    /// How expiry is dealt with.
    pub strategy: Strategy,
    /// Data centres, each with a cache of its own.
    pub colos: u32,
    /// Isolates in each, each with a memory of its own.
    pub isolates: u32,
    /// Keys that are asked for.
    pub keys: u32,
    /// The exponent of Zipf's law over the keys: 0 asks for all alike, 1 is the web's usual.
    pub zipf: f64,
    /// Requests per second, over all keys and colos; their distances are exponential.
    pub rate: f64,
    /// Requests that come on top, all at once.
    pub burst: Option<Burst>,
    /// How long entries may be served.
    pub lifetime: Lifetime,
    /// The beta of the strategies in which it is fixed; "auto" chooses its own.
    pub beta: f64,
    /// The share of the cycles in which "auto" lets the new value land late.
    pub late_share: f64,
    /// The largest beta that "auto" chooses.
    pub max_beta: f64,
    /// The share of the TTL in which an early refresh may begin.
    pub early_window: f64,
    /// Before expiry, for [`Strategy::FixedThreshold`].
    pub threshold: Span,
    /// How long a call to the origin may take.
    pub origin_timeout: Span,
    /// Mean cost of a computation.
    pub delta: Span,
    /// Its spread: the standard deviation of its logarithm. 0 is always the mean.
    pub spread: f64,
    /// The share of the calls that fail.
    pub failing: f64,
    /// A time in which all of them fail.
    pub outage: Option<Outage>,
    /// One way between a colo and a key's object.
    pub object_delay: Span,
    /// One look into the colo's cache, or one write.
    pub colo_delay: Span,
    /// What goes wrong beside the origin.
    pub faults: Faults,
}

/// Requests for the most wanted key that come at once, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The distance between bursts.
    pub every: Span,
    /// How many requests.
    pub size: u32,
}

impl Default for Scenario {
    fn default() -> Self {
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
            lifetime: Lifetime {
                ttl: Span(10_000),
                stale_while_revalidate: Span(3_600_000),
                stale_if_error: Span(86_400_000),
            },
            beta: 1.0,
            late_share: 0.01,
            max_beta: 6.0,
            early_window: 0.5,
            threshold: Span(2_000),
            origin_timeout: Span(15_000),
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
    /// How long after the last request everything must have ended, in a kind world.
    pub(super) fn aftermath(&self) -> Span {
        self.origin_timeout.plus(self.origin_timeout).plus(Span(60_000))
    }

    /// The route that the deployed core is given.
    pub(super) fn route(&self) -> Rc<Route> {
        let auto = Beta::Auto { late_share: self.late_share, max_beta: self.max_beta };
        let is_auto = self.strategy == Strategy::LeaseBetaAuto;
        let beta = if is_auto { auto } else { Beta::Fixed(self.beta) };
        Rc::new(Route {
            path: "/".to_owned(),
            origin: None,
            fields: None,
            headers: Vec::new(),
            credentials: Credentials::Bypass,
            credential_headers: Vec::new(),
            lifetime: self.lifetime,
            beta,
            early_window: self.early_window,
            origin_timeout: self.origin_timeout,
            max_request: 65_536,
            max_response: 1_048_576,
            negative_ttl: Span::ZERO,
            max_waiters: 1_000,
            max_origin_calls: 50,
            cache_control: "no-cache".to_owned(),
        })
    }
}

/// A time in which every call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Its begin.
    pub from: Span,
    /// Its end.
    pub until: Span,
}
