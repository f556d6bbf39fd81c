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
        access::Partition,
        config::Route,
        http::{self, Method, RequestDirectives},
        key::Key,
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
    /// With whom its entry is shared.
    pub(super) partition: Partition,
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
        if self.is_credential(name) {
            let fields = std::iter::once((name, value.as_str()));
            return self.context.config.secrets.digest_of(fields).map(|digest| digest.hex());
        }
        Some(http::normalised(name, &value))
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
        let CacheRequest { partition, method, target, body, headers, .. } = &*self.request;
        let request = CacheRequest {
            key: self.primary().variant(&fields.collect()),
            partition: partition.clone(),
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

    /// Whether a header of the client does not go to the origin: a credential that the answer is shared in spite of,
    /// or a header that only this cache may set.
    pub(super) fn is_dropped(&self, name: &str) -> bool {
        (self.is_credential(name) && !self.route.sends_credential(name))
            // Servers that make variables of headers take an underscore for a hyphen.
            || self.route.send_tenant.as_deref().is_some_and(|own| own == name.replace('_', "-"))
    }

    /// Whether a header is a credential on this route.
    fn is_credential(&self, name: &str) -> bool {
        matches!(name, "authorization" | "cookie")
            || self.route.credential_headers.iter().any(|it| it == name)
            || self.route.credential_fields().any(|it| it == name)
    }

    /// The header fields of the client's own that the origin gets because the entry is for this client alone.
    pub(super) fn personal_fields(&self) -> Vec<(String, String)> {
        let names = self.route.credential_fields().filter(|_| self.route.is_personal());
        names.filter_map(|name| Some((name.to_owned(), self.context.header(name)?))).collect()
    }

    /// Whether a credential goes to the origin with this request, whose answer may be for other clients too.
    pub(super) fn sends_credentials(&self) -> bool {
        !self.route.is_personal() && self.route.credential_fields().any(|name| self.field(name).is_some())
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
