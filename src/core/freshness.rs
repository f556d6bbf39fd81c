//! What to do for a request, given the entry at hand and the time: the one decision of the read path.

use crate::core::{
    config::{Beta, Route},
    entry::{CLOCK_TOLERANCE, Entry},
    global_rate::SEVERAL,
    time::Instant,
    xfetch::{self, Draw, Rule},
};

/// What to do for an entry, now. Only [`Verdict::Miss`] lets a request wait for the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve it.
    Fresh,
    /// Serve it and refresh it in the background: it has not expired, but the draw triggers.
    RefreshEarly,
    /// Serve it at once and refresh it in the background: it has expired.
    Stale,
    /// Nothing to serve before a computation.
    Miss {
        /// Whether the old entry answers if the computation fails or cannot be waited for.
        usable_on_error: bool,
    },
}

impl Verdict {
    /// The word for it in logs and in `inspect`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::RefreshEarly => "refresh_early",
            Self::Stale => "stale",
            Self::Miss { usable_on_error: true } => "stale_if_error",
            Self::Miss { usable_on_error: false } => "miss",
        }
    }
}

/// How eagerly a route refreshes, once `auto` has been resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eagerness {
    /// The beta of the rule.
    pub beta: f64,
    /// The share of the TTL in which an early refresh may begin, in (0, 1].
    pub early_window: f64,
}

/// The rule's arguments for this entry.
#[must_use]
pub fn rule(entry: &Entry, eagerness: Eagerness) -> Rule {
    Rule {
        delta: xfetch::clamp_delta(entry.delta, entry.lifetime.ttl),
        beta: eagerness.beta,
        window: entry.lifetime.ttl.share(eagerness.early_window),
    }
}

/// The verdict on `entry` at `now`. Total: any clock, any draw, any stored values.
///
/// ```
/// use xfetch_edge::core::{
///     entry::{Entry, Lifetime},
///     freshness::{Eagerness, Verdict, judge},
///     time::{Instant, Span},
///     xfetch::Draw,
/// };
///
/// let entry = Entry {
///     generation: 1,
///     stored_at: Instant(100_000),
///     delta: Span(1_000),
///     lifetime: Lifetime {
///         ttl: Span(10_000),
///         stale_while_revalidate: Span(60_000),
///         stale_if_error: Span(600_000),
///         kept: Span::ZERO,
///     },
///     global_rate: 0,
///     committed: true,
///     key: "key".into(),
///     variant: Vec::new(),
///     status: 200,
///     headers: vec![],
///     etag: "\"…\"".into(),
///     body: b"{}"[..].into(),
/// };
/// let eagerness = Eagerness { beta: 1.0, early_window: 0.5 };
/// let at = |seconds: u64, draw| judge(Some(&entry), Instant(100_000 + seconds * 1_000), eagerness, draw);
/// let (late, early) = (Draw::NEVER_EARLY, Draw::from_bits(0));
/// assert_eq!(at(4, early), Verdict::Fresh, "before the early window");
/// assert_eq!(at(6, early), Verdict::RefreshEarly);
/// assert_eq!(at(6, late), Verdict::Fresh);
/// assert_eq!(at(10, late), Verdict::Stale);
/// assert_eq!(at(70, late), Verdict::Miss { usable_on_error: true });
/// assert_eq!(at(700, late), Verdict::Miss { usable_on_error: false });
/// ```
#[must_use]
pub fn judge(entry: Option<&Entry>, now: Instant, eagerness: Eagerness, draw: Draw) -> Verdict {
    let Some(entry) = entry else {
        return Verdict::Miss { usable_on_error: false };
    };
    let expiry = entry.expiry();
    if entry.stored_at > now.plus(CLOCK_TOLERANCE) {
        // A clock has stepped, so the entry's age is unknown. Serve it, and replace it.
        return Verdict::Stale;
    }
    if now < expiry {
        return if xfetch::triggers(expiry.since(now), rule(entry, eagerness), draw) {
            Verdict::RefreshEarly
        } else {
            Verdict::Fresh
        };
    }
    if now < expiry.plus(entry.lifetime.stale_while_revalidate) {
        return Verdict::Stale;
    }
    Verdict::Miss { usable_on_error: entry.is_usable_on_error(now) }
}

/// The eagerness of a route for this entry. `auto` is resolved from the key's request rate, and only within
/// the early window, as it has no effect elsewhere. The rate is the larger of the one that this isolate
/// observes (`rate`, in requests per second) and the global rate in the entry. If neither is known, beta is 1
/// as in the paper.
#[must_use]
pub fn eagerness(
    entry: Option<&Entry>,
    now: Instant,
    route: &Route,
    rate: impl FnOnce() -> Option<f64>,
) -> Eagerness {
    let early_window = route.early_window;
    let paper = Eagerness { beta: 1.0, early_window };
    let (late_share, max_beta) = match route.beta {
        Beta::Fixed(beta) => return Eagerness { beta, early_window },
        Beta::Auto { late_share, max_beta } => (late_share, max_beta),
    };
    let in_window = entry.filter(|entry| {
        now < entry.expiry() && entry.expiry().since(now) <= entry.lifetime.ttl.share(early_window)
    });
    let Some(entry) = in_window else {
        return paper;
    };
    let own = rate().unwrap_or(0.0);
    let rate = match entry.global_rate {
        // There are at least two isolates; each assumes that the other has the same rate.
        SEVERAL => 2.0 * own,
        told => own.max(f64::from(told) / 1e3),
    };
    if rate <= 0.0 {
        return paper;
    }
    let Rule { delta, window, .. } = rule(entry, paper);
    let (beta, window) = xfetch::auto(rate, delta, window, late_share, max_beta);
    Eagerness { beta, early_window: window.0 as f64 / entry.lifetime.ttl.0 as f64 }
}
