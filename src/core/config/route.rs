//! One cached route.

use std::rc::Rc;

use serde_json::Value;

use super::{
    names::{RESERVED_HEADERS, is_content_type, is_header_name, is_plain_path},
    origin::{OriginUrl, origin_url},
    origin_policy::{OriginPolicy, origin_policy},
    rate_limit::{RateLimit, rate_limit},
    reader::{Reader, YEAR},
    verify::{Credentials, Inquiry, InquiryAbout, Verify, scope, verify},
};
use crate::core::{
    access::{Identity, Partition, Scope},
    body_fields::{BodyFields, Pointer},
    entry::Lifetime,
    failure::PASS_TTL,
    http::{KeyedQuery, Methods},
    key::{self, Key, KeyParts},
    time::Span,
};

/// How eager the early refresh is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Beta {
    /// This value of the paper's beta.
    Fixed(f64),
    /// Chosen from the key's request rate and cost.
    Auto {
        /// The share of the cycles in which the new value may arrive after expiry, in (0, 1).
        late_share: f64,
        /// The largest beta that may be chosen.
        max_beta: f64,
    },
}

/// One cached route. All its settings, with their units, are described in `docs/settings.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The path: exact, or a prefix that ends in `/*`.
    pub path: String,
    /// The methods whose answers are cached.
    pub methods: Methods,
    /// What the origin decides; `None` if this route says how long its answers may be served.
    pub origin_decides: Option<OriginPolicy>,
    /// Which parameters of a `GET` request are keyed.
    pub query: KeyedQuery,
    /// Whether other parameters are dropped; they are refused otherwise.
    pub drops_other_query: bool,
    /// The types that may be stored, lower-case: `type/subtype`, `type/*` or `*/*`.
    pub content_types: Vec<String>,
    /// The route's own origin; `None` for the default origin.
    pub origin: Option<OriginUrl>,
    /// Whether a body is keyed and sent as its bytes are; else it is JSON.
    pub is_raw: bool,
    /// Which parts of a JSON body are keyed.
    pub fields: BodyFields,
    /// Request headers that are forwarded and keyed, lower-case; with bodies as they are also `content-type`.
    pub headers: Vec<String>,
    /// Whether the `Cache-Control` of a request is honoured.
    pub honours_requests: bool,
    /// How a request with credentials is handled.
    pub credentials: Credentials,
    /// Headers that count as credentials beside `Authorization` and `Cookie`, lower-case.
    pub credential_headers: Vec<String>,
    /// How it is found out who asks; `None` unless the credentials are verified.
    pub verify: Option<Verify>,
    /// With whom entries are shared.
    pub scope: Scope,
    /// The header in which the origin gets the tenant.
    pub send_tenant: Option<String>,
    /// The platform's limit of requests.
    pub rate_limit: Option<RateLimit>,
    /// How many requests of a tenant, or without one of all clients, one isolate lets pass in a minute for keys that
    /// its memory does not hold.
    pub max_new_keys: Option<u32>,
    /// The route of the cache's own on which it is asked what the verification needs to know.
    pub inquiries: Option<Rc<Route>>,
    /// What a route of the cache's own asks. It answers no client.
    pub inquiry: Option<Inquiry>,
    /// How long entries may be served.
    pub lifetime: Lifetime,
    /// How eager the early refresh is.
    pub beta: Beta,
    /// The share of the TTL in which an early refresh may begin.
    pub early_window: f64,
    /// How long one origin call may take.
    pub origin_timeout: Span,
    /// The largest request body, in bytes.
    pub max_request: u32,
    /// The largest decoded response body, in bytes.
    pub max_response: u32,
    /// How long an origin's 4xx is remembered.
    pub negative_ttl: Span,
    /// How long it is remembered that a key's answers must not be stored.
    pub pass_ttl: Span,
    /// How many requests of one isolate may wait for a key, and how many messages may wait at its object.
    pub max_waiters: u32,
    /// How many origin calls one isolate may have in progress, over all keys.
    pub max_origin_calls: u32,
    /// The `Cache-Control` of the answers; `None` for the origin's.
    pub cache_control: Option<String>,
}

impl Route {
    /// The prefix of the paths that it matches, which ends in a slash; `None` for an exact path.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        self.path.strip_suffix('*')
    }

    /// Whether it stores JSON alone, so that any other answer of the origin is a failure.
    #[must_use]
    pub fn takes_json_only(&self) -> bool {
        self.content_types == [JSON]
    }

    /// What the origin decides, if not all is the route's.
    #[must_use]
    pub fn origin_policy(&self) -> Option<&OriginPolicy> {
        self.origin_decides.as_ref()
    }

    /// Whether the origin gets all of the client's headers, so that its answers may vary by any of them.
    #[must_use]
    pub fn forwards_all(&self) -> bool {
        self.origin_decides.as_ref().is_some_and(|policy| policy.forwards_all)
    }

    /// The request's headers that are credentials here, in the order in which they are digested.
    pub fn credential_fields(&self) -> impl Iterator<Item = &str> {
        let verified = self.verify.iter().flat_map(Verify::headers);
        let always = if self.verify.is_some() || self.inquiry.is_some() { [].iter() } else { ALWAYS.iter() };
        let named = if self.verify.is_some() { [].iter() } else { self.credential_headers.iter() };
        verified.chain(always.copied()).chain(named.map(String::as_str))
    }

    /// The route with the partition of a client; `None` if the route is by tenant and the client has none.
    #[must_use]
    pub fn scoped(&self, identity: &Identity) -> Option<ScopedRoute<'_>> {
        self.scope.partition(identity).map(|partition| ScopedRoute { route: self, partition })
    }

    /// Whether requests of different clients are told apart.
    #[must_use]
    pub fn tells_clients_apart(&self) -> bool {
        self.verify.is_some() || self.scope != Scope::None
    }

    /// Whether each entry is for one client, so that this cache acts for that client alone.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.scope == Scope::Credential
    }

    /// Whether the origin gets the credential in this header.
    #[must_use]
    pub fn sends_credential(&self, name: &str) -> bool {
        self.credentials == Credentials::Origin
            || (self.is_personal() && self.credential_fields().any(|it| it == name))
    }

    /// How long a lease for this route lasts.
    #[must_use]
    pub fn lease(&self) -> Span {
        self.origin_timeout.plus(LEASE_BEYOND_TIMEOUT)
    }

    /// The longest wait of a request for a computation, when it has nothing to serve.
    #[must_use]
    pub fn patience(&self) -> Span {
        self.lease().plus(self.origin_timeout).plus(LEASE_BEYOND_TIMEOUT)
    }
}

/// A route with the partition of a client. Keys are made of it alone, so that no key of a scoped route is without its
/// client.
#[derive(Clone, Debug)]
pub struct ScopedRoute<'a> {
    route: &'a Route,
    partition: Partition,
}

impl<'a> ScopedRoute<'a> {
    /// The route.
    #[must_use]
    pub fn route(&self) -> &'a Route {
        self.route
    }

    /// The client's partition.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The key of a request with this canonical body.
    #[must_use]
    pub fn key(&self, parts: &KeyParts<'_>, canonical_body: &str) -> Key {
        key::key(&self.partition, parts, canonical_body)
    }
}

/// The headers that are credentials on each route.
const ALWAYS: [&str; 2] = ["authorization", "cookie"];
/// The default of `content_types`.
const JSON: &str = "application/json";
/// The largest `max_request`, in bytes. A key contains the request body with its quotes escaped; the key and
/// the largest response must together fit into the 2 MB of a Durable Object's row.
const MAX_REQUEST: u32 = 262_144;
/// The largest response that is cached, in bytes.
const MAX_RESPONSE: u32 = 1_048_576;
/// The largest key set of an identity provider, in bytes.
const MAX_KEY_SET: u32 = 262_144;
/// How long an inquiry may take.
const INQUIRY_TIMEOUT: Span = Span(5_000);
/// How long the Worker waits for the object.
pub const OBJECT_TIMEOUT: Span = Span(2_000);
/// A lease outlives the origin call by this much.
const LEASE_BEYOND_TIMEOUT: Span = Span(5_000);
/// All of a refresh must fit here: the platform ends `waitUntil` after 30 s.
const MAX_REFRESH: Span = Span(25_000);

const NAMES: [&str; 39] = [
    "path",
    "methods",
    "policy",
    "forward",
    "heuristic",
    "heuristic_most",
    "max_variants",
    "query",
    "query_other",
    "content_types",
    "origin",
    "body",
    "fields",
    "ignore",
    "headers",
    "request_directives",
    "credentials",
    "credential_headers",
    "verify",
    "scope",
    "send_tenant",
    "rate_limit",
    "max_new_keys",
    "ttl",
    "stale_while_revalidate",
    "stale_if_error",
    "beta",
    "late_share",
    "max_beta",
    "early_window",
    "origin_timeout",
    "max_request",
    "max_response",
    "negative_ttl",
    "pass_ttl",
    "max_waiters",
    "max_origin_calls",
    "cache_control",
    "description",
];

impl Route {
    /// A route of this path with the default of every other setting.
    #[must_use]
    pub fn with_defaults(path: String) -> Self {
        Self {
            path,
            methods: Methods { get: false, query: false, post: true },
            origin_decides: None,
            query: KeyedQuery::All,
            drops_other_query: false,
            content_types: vec![JSON.to_owned()],
            origin: None,
            is_raw: false,
            fields: BodyFields::All,
            headers: Vec::new(),
            honours_requests: false,
            credentials: Credentials::Bypass,
            credential_headers: vec!["x-api-key".to_owned()],
            verify: None,
            scope: Scope::None,
            send_tenant: None,
            rate_limit: None,
            max_new_keys: None,
            inquiries: None,
            inquiry: None,
            lifetime: Lifetime {
                ttl: Span(300_000),
                stale_while_revalidate: Span(3_600_000),
                stale_if_error: Span(86_400_000),
                kept: Span::ZERO,
            },
            beta: Beta::Auto { late_share: LATE_SHARE, max_beta: MAX_BETA },
            early_window: 0.5,
            origin_timeout: Span(15_000),
            max_request: 65_536,
            max_response: MAX_RESPONSE,
            negative_ttl: Span::ZERO,
            pass_ttl: PASS_TTL,
            max_waiters: 1_000,
            max_origin_calls: 50,
            cache_control: Some("no-cache".to_owned()),
        }
    }
}

pub(super) fn parse_all(reader: &Reader<'_>, development: bool) -> Vec<Rc<Route>> {
    const ALLOWED: &str = "a list of 1 to 100 route tables, each with a path of its own";
    let tables = reader.list("ROUTES", ALLOWED).unwrap_or_default();
    reader.demand((1..=100).contains(&tables.len()), "ROUTES", ALLOWED);
    let mut routes: Vec<Rc<Route>> = Vec::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let Value::Object(table) = table else {
            reader.refuse("ROUTES", ALLOWED);
            continue;
        };
        let own = reader.of(format!("ROUTES[{index}]."), table);
        let route = parse(&own, development);
        own.demand(
            routes.iter().all(|other| other.path != route.path),
            "path",
            "a path that no other route has",
        );
        routes.push(Rc::new(route));
    }
    routes
}

fn parse(reader: &Reader<'_>, development: bool) -> Route {
    if let Some(unknown) = reader.table().keys().find(|name| !NAMES.contains(&name.as_str())) {
        reader.refuse(unknown, &format!("one of the settings {}", NAMES.join(", ")));
    }
    let usual = Route::with_defaults(path(reader));
    let methods = methods(reader, usual.methods);
    let origin_decides = origin_policy(reader, methods);
    let any = || vec!["*/*".to_owned()];
    let is_raw = is_raw(reader);
    let mut headers = header_names(reader, "headers", &RESERVED_HEADERS).unwrap_or(usual.headers);
    if is_raw {
        headers.push("content-type".to_owned());
    }
    let forwards_all = origin_decides.as_ref().is_some_and(|policy| policy.forwards_all);
    let types = if origin_decides.is_some() { any() } else { usual.content_types };
    let Lifetime { ttl, stale_while_revalidate, stale_if_error, .. } = usual.lifetime;
    let seconds = |name: &str, usual: Span, least: f64, most: f64| {
        reader.seconds(name, usual.as_seconds(), least, most)
    };
    let credentials = credentials(reader, forwards_all);
    let origin = origin_url(reader, "origin", development);
    let verify = verify(reader, credentials, development);
    let scope = scope(reader, credentials, verify.as_ref());
    let is_for_all = verify.is_none() && scope == Scope::None;
    let route = Route {
        methods,
        cache_control: cache_control(
            reader,
            match (&origin_decides, is_for_all) {
                (Some(_), _) => None,
                (None, true) => usual.cache_control,
                (None, false) => Some("private, no-cache".to_owned()),
            },
        ),
        origin_decides,
        query: query(reader),
        drops_other_query: drops_other_query(reader),
        content_types: content_types(reader, types),
        send_tenant: send_tenant(reader, scope, &headers),
        rate_limit: rate_limit(reader, verify.as_ref().is_some_and(Verify::names_tenant)),
        max_new_keys: max_new_keys(reader),
        inquiries: inquiries(verify.as_ref(), origin.as_ref()).map(Rc::new),
        verify,
        scope,
        inquiry: None,
        origin,
        fields: fields(reader),
        is_raw,
        headers,
        honours_requests: honours_requests(reader),
        credentials,
        credential_headers: header_names(reader, "credential_headers", &[])
            .unwrap_or(usual.credential_headers),
        lifetime: Lifetime {
            ttl: seconds("ttl", ttl, 0.1, YEAR),
            stale_while_revalidate: seconds("stale_while_revalidate", stale_while_revalidate, 0.0, YEAR),
            stale_if_error: seconds("stale_if_error", stale_if_error, 0.0, YEAR),
            kept: Span::ZERO,
        },
        beta: beta(reader),
        early_window: reader.number("early_window", usual.early_window, 0.01, 1.0, "the TTL's share"),
        origin_timeout: seconds("origin_timeout", usual.origin_timeout, 0.1, 20.0),
        max_request: reader.whole("max_request", usual.max_request, 1, MAX_REQUEST, "bytes"),
        max_response: reader.whole("max_response", usual.max_response, 1, MAX_RESPONSE, "bytes"),
        negative_ttl: seconds("negative_ttl", usual.negative_ttl, 0.0, 86_400.0),
        pass_ttl: seconds("pass_ttl", usual.pass_ttl, 0.0, 3_600.0),
        max_waiters: reader.whole("max_waiters", usual.max_waiters, 1, 10_000, "requests"),
        max_origin_calls: reader.whole("max_origin_calls", usual.max_origin_calls, 1, 1_000, "calls"),
        path: usual.path,
    };
    // A keyed header stands in each key as it is.
    let is_secret =
        |name: &String| ALWAYS.contains(&name.as_str()) || route.credential_fields().any(|it| it == name);
    reader.demand(
        !(route.tells_clients_apart() && route.headers.iter().any(is_secret)),
        "headers",
        "a list without credentials where clients are verified or scoped",
    );
    let whole = OBJECT_TIMEOUT.plus(OBJECT_TIMEOUT).plus(route.origin_timeout).plus(Span::SECOND);
    reader.demand(whole <= MAX_REFRESH, "origin_timeout", "at most 20 seconds");
    route
}

fn path(reader: &Reader<'_>) -> String {
    const ALLOWED: &str = "a path such as /api/v1/brain/calculate, without a query, an escape or a trailing slash, outside /_xfetch, or a prefix of paths such as /articles/*";
    let path = reader.optional_text("path", ALLOWED).unwrap_or_default();
    let plain = path.strip_suffix("/*").unwrap_or(&path);
    let is_below_root = is_plain_path(plain)
        && !plain.ends_with('/')
        && !plain.ends_with('*')
        && !plain.split('/').any(|segment| segment == "*")
        && plain != "/_xfetch"
        && !plain.starts_with("/_xfetch/");
    reader.demand(is_below_root || path == "/*", "path", ALLOWED);
    path
}

fn methods(reader: &Reader<'_>, usual: Methods) -> Methods {
    const ALLOWED: &str = "a list of GET, QUERY and POST, each at most once";
    let Some(given) = reader.texts("methods", ALLOWED) else { return usual };
    let mut methods = Methods { get: false, query: false, post: false };
    for name in &given {
        let method = match name.as_str() {
            "GET" => &mut methods.get,
            "QUERY" => &mut methods.query,
            "POST" => &mut methods.post,
            _ => {
                reader.refuse("methods", ALLOWED);
                continue;
            }
        };
        reader.demand(!*method, "methods", ALLOWED);
        *method = true;
    }
    reader.demand(!given.is_empty(), "methods", ALLOWED);
    methods
}

fn query(reader: &Reader<'_>) -> KeyedQuery {
    const ALLOWED: &str = "a list of 1 to 100 names of parameters, \"all\" or \"none\"";
    match reader.json("query") {
        None => KeyedQuery::All,
        Some(Value::String(word)) if word == "all" => KeyedQuery::All,
        Some(Value::String(word)) if word == "none" => KeyedQuery::None,
        Some(_) => {
            let names = reader.texts("query", ALLOWED).unwrap_or_default();
            let is_good = (1..=100).contains(&names.len()) && names.iter().all(|it| !it.is_empty());
            reader.demand(is_good, "query", ALLOWED);
            KeyedQuery::Names(names)
        }
    }
}

fn drops_other_query(reader: &Reader<'_>) -> bool {
    const ALLOWED: &str = "\"refuse\" or \"drop\"";
    let word = reader.optional_text("query_other", ALLOWED);
    reader.demand(word.as_deref().is_none_or(|it| matches!(it, "refuse" | "drop")), "query_other", ALLOWED);
    word.as_deref() == Some("drop")
}

fn content_types(reader: &Reader<'_>, usual: Vec<String>) -> Vec<String> {
    const ALLOWED: &str = "a list of 1 to 20 types such as application/json, text/* or */*";
    let Some(mut types) = reader.texts("content_types", ALLOWED) else { return usual };
    for name in &mut types {
        name.make_ascii_lowercase();
    }
    let is_good = (1..=20).contains(&types.len()) && types.iter().all(|it| is_content_type(it));
    reader.demand(is_good, "content_types", ALLOWED);
    types
}

fn is_raw(reader: &Reader<'_>) -> bool {
    const ALLOWED: &str = "\"json\" or \"raw\"";
    let word = reader.optional_text("body", ALLOWED);
    reader.demand(word.as_deref().is_none_or(|it| matches!(it, "json" | "raw")), "body", ALLOWED);
    let is_raw = word.as_deref() == Some("raw");
    for name in ["fields", "ignore"] {
        let is_there = reader.table().contains_key(name);
        reader.demand(!(is_raw && is_there), name, "missing where the body is \"raw\", which has no parts");
    }
    is_raw
}

fn fields(reader: &Reader<'_>) -> BodyFields {
    let only = pointers(reader, "fields");
    let but = pointers(reader, "ignore");
    match (only, but) {
        (Some(_), Some(_)) => {
            reader.refuse("ignore", "missing where there is `fields`, which leaves out all else");
            BodyFields::All
        }
        (Some(only), None) => BodyFields::Only(only),
        (None, Some(but)) => BodyFields::AllBut(but),
        (None, None) => BodyFields::All,
    }
}

fn pointers(reader: &Reader<'_>, name: &str) -> Option<Vec<Pointer>> {
    const ALLOWED: &str = "a list of 1 to 100 names of fields or JSON pointers such as /options/lang";
    let texts = reader.texts(name, ALLOWED)?;
    let pointers: Option<Vec<_>> = texts.iter().map(|text| Pointer::parse(text)).collect();
    reader.demand((1..=100).contains(&texts.len()) && pointers.is_some(), name, ALLOWED);
    pointers
}

fn header_names(reader: &Reader<'_>, name: &str, refused: &[&str]) -> Option<Vec<String>> {
    const ALLOWED: &str =
        "a list of at most 20 header names, none of those that the cache sets or drops itself";
    // A duplicate changes nothing, so it is dropped. The order is kept: the key lists the headers in it.
    let mut names: Vec<String> = Vec::new();
    for mut name in reader.texts(name, ALLOWED)? {
        name.make_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let is_good = |it: &String| is_header_name(it) && !refused.contains(&it.as_str());
    reader.demand(names.len() <= 20 && names.iter().all(is_good), name, ALLOWED);
    Some(names)
}

fn honours_requests(reader: &Reader<'_>) -> bool {
    const ALLOWED: &str = "\"ignore\" or \"honour\"";
    let word = reader.optional_text("request_directives", ALLOWED);
    let is_good = word.as_deref().is_none_or(|it| matches!(it, "ignore" | "honour"));
    reader.demand(is_good, "request_directives", ALLOWED);
    word.as_deref() == Some("honour")
}

fn credentials(reader: &Reader<'_>, forwards_all: bool) -> Credentials {
    const ALLOWED: &str = "\"bypass\", \"refuse\", \"ignore\", \"verify\" or, where `forward` is \"all\" or `scope` is \"credential\", \"origin\"";
    let is_scoped = reader.table().get("scope").is_some_and(|it| it == "credential");
    match reader.optional_text("credentials", ALLOWED).as_deref() {
        None | Some("bypass") => Credentials::Bypass,
        Some("refuse") => Credentials::Refuse,
        Some("ignore") => Credentials::Ignore,
        Some("verify") => Credentials::Verify,
        Some("origin") if forwards_all || is_scoped => Credentials::Origin,
        Some(_) => {
            reader.refuse("credentials", ALLOWED);
            Credentials::Refuse
        }
    }
}

/// The route on which the verification asks. After its TTL a client waits: a key or a credential that was withdrawn is
/// accepted no longer than the settings say, except while nobody can be asked.
fn inquiries(verify: Option<&Verify>, origin: Option<&OriginUrl>) -> Option<Route> {
    let verify = verify?;
    let inquiry = verify.inquiry()?;
    let Inquiry { provider, target, ttl, stale_if_error, about } = inquiry;
    let is_of_client = *about != InquiryAbout::KeySet;
    Some(Route {
        methods: Methods { get: true, query: false, post: false },
        query: KeyedQuery::None,
        content_types: vec!["*/*".to_owned()],
        origin: provider.as_ref().or(origin).cloned(),
        credentials: if is_of_client { Credentials::Origin } else { Credentials::Ignore },
        credential_headers: verify.headers().map(str::to_owned).collect(),
        scope: if is_of_client { Scope::Credential } else { Scope::None },
        lifetime: Lifetime {
            ttl: *ttl,
            stale_while_revalidate: Span::ZERO,
            stale_if_error: *stale_if_error,
            kept: Span::ZERO,
        },
        origin_timeout: INQUIRY_TIMEOUT,
        max_response: MAX_KEY_SET,
        inquiry: Some(inquiry.clone()),
        // No path has this name.
        ..Route::with_defaults(format!("inquiry:{target}"))
    })
}

/// The header in which the origin gets the tenant: one that no client can set.
fn send_tenant(reader: &Reader<'_>, scope: Scope, headers: &[String]) -> Option<String> {
    const ALLOWED: &str = "the name of a header that is not in `headers`, where `scope` is \"tenant\"";
    let name = reader.optional_text("send_tenant", ALLOWED)?.to_ascii_lowercase();
    let is_good = is_header_name(&name)
        && !RESERVED_HEADERS.contains(&name.as_str())
        && !headers.contains(&name)
        && scope == Scope::Tenant;
    reader.demand(is_good, "send_tenant", ALLOWED);
    Some(name)
}

fn max_new_keys(reader: &Reader<'_>) -> Option<u32> {
    let is_set = reader.table().contains_key("max_new_keys");
    is_set.then(|| reader.whole("max_new_keys", 1, 1, 1_000_000, "requests a minute"))
}

/// The default `late_share` of `auto`. This and [`MAX_BETA`] are chosen from the results of `auto_beta` for 0.01
/// to 1,000 requests per delta; `docs/concepts.md` states what they cost.
pub const LATE_SHARE: f64 = 0.01;
/// The default `max_beta` of `auto`.
pub const MAX_BETA: f64 = 6.0;

fn beta(reader: &Reader<'_>) -> Beta {
    let late_share = reader.number("late_share", LATE_SHARE, 0.000_1, 0.5, "the cycles' share");
    let max_beta = reader.number("max_beta", MAX_BETA, 0.1, 100.0, "beta");
    let auto = Beta::Auto { late_share, max_beta };
    match reader.table().get("beta") {
        None => auto,
        Some(Value::String(text)) if text == "auto" => auto,
        Some(value) => match value.as_f64().filter(|beta| (0.01..=100.0).contains(beta)) {
            Some(beta) => Beta::Fixed(beta),
            None => {
                reader.refuse("beta", "\"auto\" or a number from 0.01 to 100");
                auto
            }
        },
    }
}

fn cache_control(reader: &Reader<'_>, usual: Option<String>) -> Option<String> {
    const ALLOWED: &str = "a Cache-Control value of visible ASCII characters and spaces";
    let Some(value) = reader.optional_text("cache_control", ALLOWED) else { return usual };
    let is_good = value.len() <= 256 && value.bytes().all(|b| (0x20..0x7f).contains(&b));
    reader.demand(is_good, "cache_control", ALLOWED);
    Some(value)
}
