//! A request to a cached route once its key is known.

use std::{fmt, rc::Rc};

use web_sys::Headers;

use super::{
    context::RequestContext,
    object_stub::{Address, LEASE_BINDING},
    response,
};
use crate::{
    core::{
        config::{Credentials, Route},
        http::{self, Method, RequestDirectives},
        key::{self, Key},
    },
    isolate::step::RequestFields,
};

/// A request's body.
#[derive(Clone)]
pub(super) enum RequestBody {
    /// Canonical JSON; empty for a method without a body.
    Json(Rc<str>),
    /// The bytes as they came.
    Raw(Rc<[u8]>),
}

/// The key of a request, and the parts of the request that the origin gets.
pub(super) struct CacheRequest {
    pub(super) key: Key,
    /// The method that the origin gets.
    pub(super) method: Method,
    /// The path and the canonical query that the origin gets.
    pub(super) target: String,
    /// The body that the origin gets.
    pub(super) body: RequestBody,
    /// The route's keyed headers.
    pub(super) headers: Vec<(String, Option<String>)>,
}

/// A request to a cached route whose key is known.
pub(super) struct KeyedRequest {
    pub(super) context: Rc<RequestContext>,
    pub(super) route: Rc<Route>,
    pub(super) request: Rc<CacheRequest>,
    /// The key without a variant, if this is a variant's, and how many variants this request has had.
    primary: Option<Key>,
    pub(super) rounds: u8,
    /// The header fields by which answers may vary, if not those of the request itself.
    headers: Option<Headers>,
}

impl fmt::Debug for KeyedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.request.key.text)
    }
}

impl RequestFields for KeyedRequest {
    /// Without the credentials that the origin does not get.
    fn field(&self, name: &str) -> Option<String> {
        if !self.route.forwards_all() || self.is_dropped(name) {
            return None;
        }
        let headers = self.headers();
        let value = response::get(&headers, name)?;
        let connection = response::get(&headers, "connection").unwrap_or_default();
        if http::is_of_connection(name, &connection) {
            return None;
        }
        // A key is stored, and a secret in it would be.
        Some(if self.is_credential(name) {
            key::raw_body(value.as_bytes())
        } else {
            http::normalised(name, &value)
        })
    }

    fn directives(&self) -> RequestDirectives {
        if !self.route.honours_requests {
            return RequestDirectives::default();
        }
        let value = |name| response::get(&self.headers(), name);
        RequestDirectives::read(value("cache-control").as_deref(), value("pragma").as_deref())
    }
}

impl KeyedRequest {
    pub(super) fn new(
        context: Rc<RequestContext>,
        route: Rc<Route>,
        request: Rc<CacheRequest>,
        headers: Option<Headers>,
    ) -> Self {
        Self { context, route, request, primary: None, rounds: 0, headers }
    }

    /// The key without a variant.
    pub(super) fn primary(&self) -> &Key {
        self.primary.as_ref().unwrap_or(&self.request.key)
    }

    /// The same request with the key of its variant, of answers that vary by these header fields.
    pub(super) fn variant(&self, names: Vec<String>) -> Self {
        let fields =
            names.into_iter().map(|name| (self.field(&name), name)).map(|(value, name)| (name, value));
        let CacheRequest { method, target, body, headers, .. } = &*self.request;
        let request = CacheRequest {
            key: self.primary().variant(&fields.collect()),
            method: *method,
            target: target.clone(),
            body: body.clone(),
            headers: headers.clone(),
        };
        Self {
            context: Rc::clone(&self.context),
            route: Rc::clone(&self.route),
            request: Rc::new(request),
            primary: Some(self.primary().clone()),
            rounds: self.rounds + 1,
            headers: self.headers.clone(),
        }
    }

    /// The header fields of the request.
    pub(super) fn headers(&self) -> Headers {
        self.headers.clone().unwrap_or_else(|| self.context.request.headers())
    }

    /// Whether a header is a credential, which a route that shares its answers does not send.
    pub(super) fn is_dropped(&self, name: &str) -> bool {
        self.route.credentials != Credentials::Origin && self.is_credential(name)
    }

    /// Whether a header is a credential on this route.
    fn is_credential(&self, name: &str) -> bool {
        matches!(name, "authorization" | "cookie")
            || self.route.credential_headers.iter().any(|it| it == name)
    }

    /// Whether a credential goes to the origin with this request.
    pub(super) fn sends_credentials(&self) -> bool {
        ["authorization", "cookie"]
            .into_iter()
            .chain(self.route.credential_headers.iter().map(String::as_str))
            .any(|name| self.field(name).is_some())
    }

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
