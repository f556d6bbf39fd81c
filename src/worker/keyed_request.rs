//! A request to a cached route once its key is known.

use std::rc::Rc;

use super::{
    context::RequestContext,
    object_stub::{Address, LEASE_BINDING},
};
use crate::core::{config::Route, http::Method, key::Key};

/// The key of a request, and the parts of the request that the origin gets.
pub(super) struct CacheRequest {
    pub(super) key: Key,
    /// The method that the origin gets.
    pub(super) method: Method,
    /// The path and the canonical query that the origin gets.
    pub(super) target: String,
    /// The canonical body; empty for a method without one.
    pub(super) body: String,
    /// The route's keyed headers.
    pub(super) headers: Vec<(String, Option<String>)>,
}

/// A request to a cached route whose key is known.
pub(super) struct KeyedRequest {
    pub(super) context: Rc<RequestContext>,
    pub(super) route: Rc<Route>,
    pub(super) request: Rc<CacheRequest>,
}

impl KeyedRequest {
    /// The address of the key's object.
    pub(super) fn address(&self) -> Address {
        Address {
            binding: LEASE_BINDING,
            name: self.request.key.name(),
            location_hint: self.context.config.location_hint.clone(),
        }
    }

    /// The host that the request came to.
    pub(super) fn host(&self) -> &str {
        self.context.target().host()
    }
}
