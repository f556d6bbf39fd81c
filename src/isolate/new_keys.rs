//! How many keys that are not in memory a tenant has asked for in this minute: each costs an object and a computation,
//! and one tenant must not use up what is for all.

use crate::core::time::{Instant, Span};

/// After this long a count begins anew.
const PERIOD: Span = Span(60_000);
/// The greatest number of counts. Beyond it the oldest is forgotten.
const MAX_COUNTS: usize = 1_000;

/// The counts, by route and tenant.
#[derive(Clone, Debug, Default)]
pub struct NewKeys(Vec<Count>);

#[derive(Clone, Debug)]
struct Count {
    route: String,
    tenant: String,
    since: Instant,
    requests: u32,
}

impl NewKeys {
    /// Counts a request of a tenant, empty for all clients of a route without tenants.
    ///
    /// # Errors
    /// The time after which the next one is let pass, if `most` were in this minute.
    pub fn enter(&mut self, route: &str, tenant: &str, most: u32, now: Instant) -> Result<(), Span> {
        self.0.retain(|it| it.since.covers(PERIOD, now));
        if let Some(count) = self.0.iter_mut().find(|it| it.tenant == tenant && it.route == route) {
            if count.requests >= most {
                return Err(PERIOD.minus(now.since(count.since)));
            }
            count.requests += 1;
            return Ok(());
        }
        if self.0.len() >= MAX_COUNTS {
            self.0.remove(0);
        }
        self.0.push(Count { route: route.to_owned(), tenant: tenant.to_owned(), since: now, requests: 1 });
        Ok(())
    }
}
