//! What a client presents to a route: the values of the route's credential fields.

use super::{context::RequestContext, globals};
use crate::{
    core::{
        access::MAX_CREDENTIAL,
        config::{Route, Verify},
    },
    isolate::identities::ClientHash,
};

/// What a client presents to a route: the values of the route's credential fields, in their order.
pub(super) struct Presented(Vec<(String, Option<String>)>);

impl Presented {
    pub(super) fn of(context: &RequestContext, route: &Route) -> Self {
        if let Some(Verify::Props { tenant }) = &route.verify {
            return Self(vec![(tenant.clone(), context.background.property(tenant))]);
        }
        Self(route.credential_fields().map(|name| (name.to_owned(), context.header(name))).collect())
    }

    /// The value in this place; `None` if the request has none, or one that is too long.
    pub(super) fn value(&self, place: usize) -> Option<&str> {
        let value = self.0.get(place)?.1.as_deref()?;
        (1..=MAX_CREDENTIAL).contains(&value.len()).then_some(value)
    }

    /// The fields that the request has, with their values.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
    }

    /// By which this isolate knows the client.
    pub(super) fn client(&self, route: &Route) -> ClientHash {
        let values = self.0.iter().map(|(_, value)| value.as_deref());
        globals::with(|globals| globals.identities().hash(&route.path, values))
    }
}
