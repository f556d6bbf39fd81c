//! The settings, parsed once into types that cannot be wrong.
//!
//! A missing or absurd setting refuses the whole configuration with one sentence that names the
//! setting, the value and what is allowed. Nothing runs half-configured.

mod error;
mod names;
mod origin;
mod origin_policy;
mod rate_limit;
mod reader;
mod route;
mod secrets;
mod verify;

use std::rc::Rc;

use serde_json::{Map, Value};

pub use error::ConfigError;
pub use origin::OriginUrl;
pub use origin_policy::OriginPolicy;
pub use rate_limit::{LimitBy, RateLimit};
pub use route::{Beta, LATE_SHARE, MAX_BETA, OBJECT_TIMEOUT, Route, ScopedRoute};
pub use secrets::Secrets;
pub use verify::{Credentials, Inquiry, InquiryAbout, JwtVerify, Verify};

use crate::core::time::Span;
use names::is_plain_path;
use origin::origin_url;
use reader::{Reader, Refusal};

/// The origin of the routes that set none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Called over the network.
    Url(OriginUrl),
    /// Called through the service binding `ORIGIN`.
    Binding,
}

/// The default of `MEMORY_BYTES`.
pub const DEFAULT_MEMORY_BYTES: usize = 32 << 20;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The default origin.
    pub origin: Origin,
    /// The cached routes, at least one.
    pub routes: Vec<Rc<Route>>,
    /// Path prefixes that are forwarded uncached.
    pub forward: Vec<String>,
    /// Part of every key.
    pub cache_version: String,
    /// Origins, in the sense of CORS, that may read the answers.
    pub cors_origins: Vec<String>,
    /// Whether `GET /` is the demo page.
    pub page: bool,
    /// Whether this is a development server: plain http to loopback is allowed.
    pub development: bool,
    /// How long counters are gathered before they are sent.
    pub flush_interval: Span,
    /// The platform's location hint for new Durable Objects.
    pub location_hint: Option<String>,
    /// How many bytes of entries one isolate keeps in memory.
    pub memory_bytes: usize,
    /// What nobody may see.
    pub secrets: Secrets,
}

/// The names of all settings at the top level.
pub const SETTINGS: [&str; 16] = [
    "ORIGIN_URL",
    "ROUTES",
    "FORWARD",
    "CACHE_VERSION",
    "CORS_ORIGINS",
    "PAGE",
    "DEVELOPMENT",
    "FLUSH_INTERVAL",
    "LOCATION_HINT",
    "ADMIN_TOKEN",
    "ORIGIN_HEADERS",
    "MEMORY_BYTES",
    "API_KEYS",
    "JWT_SECRET",
    "PROXY_TOKEN",
    "DIGEST_SECRET",
];

/// The location hints that the platform accepts for a Durable Object.
const LOCATION_HINTS: [&str; 9] = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"];

impl Config {
    /// Parses the settings. `has_binding`: a service binding named `ORIGIN` exists.
    ///
    /// A value may have its own type or be JSON text, because `wrangler --var` can only pass strings.
    ///
    /// # Errors
    /// The first refused setting.
    pub fn parse(vars: &Map<String, Value>, has_binding: bool) -> Result<Self, ConfigError> {
        let refusal = Refusal::default();
        let reader = Reader::new(String::new(), vars, &refusal);
        let development = reader.flag("DEVELOPMENT");
        let config = Self {
            origin: origin(&reader, development, has_binding),
            routes: route::parse_all(&reader, development),
            forward: forward(&reader),
            cache_version: reader
                .optional_text("CACHE_VERSION", "a text that is not empty")
                .unwrap_or_else(|| "1".to_owned()),
            cors_origins: cors_origins(&reader),
            page: reader.flag("PAGE"),
            development,
            flush_interval: reader.seconds("FLUSH_INTERVAL", 10.0, 0.1, 20.0),
            location_hint: location_hint(&reader),
            memory_bytes: reader.whole(
                "MEMORY_BYTES",
                DEFAULT_MEMORY_BYTES as u32,
                65_536,
                67_108_864,
                "bytes",
            ) as usize,
            secrets: Secrets::parse(&reader),
        };
        config.secrets.check(&reader, &config.routes);
        match refusal.into_inner() {
            Some(refused) => Err(refused),
            None => Ok(config),
        }
    }

    /// The route of this path.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<&Rc<Route>> {
        self.place(path).map(|place| &self.routes[place])
    }

    /// The index of this path's route in `routes`: the one with exactly this path, or else the one with the longest
    /// prefix. Nothing is decoded or trimmed before.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<usize> {
        let longest = |(_, route): &(usize, &Rc<Route>)| match route.prefix() {
            None if route.path == path => Some(usize::MAX),
            Some(prefix) if path.starts_with(prefix) => Some(prefix.len()),
            _ => None,
        };
        let matching = self.routes.iter().enumerate().filter_map(|it| Some((longest(&it)?, it.0)));
        matching.max().map(|(_, place)| place)
    }

    /// Whether this path is forwarded: a prefix matches whole segments only.
    #[must_use]
    pub fn is_forwarded(&self, path: &str) -> bool {
        self.forward.iter().any(|prefix| {
            path.strip_prefix(prefix.as_str())
                .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// The origin of a route, as its URL without a path; `None` for the binding.
    #[must_use]
    pub fn origin_of<'a>(&'a self, route: Option<&'a Route>) -> Option<&'a OriginUrl> {
        match (route.and_then(|route| route.origin.as_ref()), &self.origin) {
            (Some(own), _) => Some(own),
            (None, Origin::Url(url)) => Some(url),
            (None, Origin::Binding) => None,
        }
    }
}

/// The default origin: the service binding if it exists, even if `ORIGIN_URL` is set too.
fn origin(reader: &Reader<'_>, development: bool, has_binding: bool) -> Origin {
    match origin_url(reader, "ORIGIN_URL", development) {
        Some(url) if !has_binding => Origin::Url(url),
        _ => {
            let allowed = "the https URL of the origin, unless a service binding named ORIGIN exists";
            reader.demand(has_binding, "ORIGIN_URL", allowed);
            Origin::Binding
        }
    }
}

fn forward(reader: &Reader<'_>) -> Vec<String> {
    const ALLOWED: &str =
        "a list of path prefixes that begin with / and stay outside /_xfetch, the path / itself excepted";
    let prefixes = reader.texts("FORWARD", ALLOWED).unwrap_or_default();
    let is_good = |it: &String| is_plain_path(it) && it != "/" && !it.starts_with("/_xfetch");
    reader.demand(prefixes.iter().all(is_good), "FORWARD", ALLOWED);
    prefixes
}

fn cors_origins(reader: &Reader<'_>) -> Vec<String> {
    const ALLOWED: &str = "a list of origins such as https://app.example, without a path, or \"*\"";
    let origins = match reader.json("CORS_ORIGINS") {
        Some(Value::String(one)) => vec![one],
        _ => reader.texts("CORS_ORIGINS", ALLOWED).unwrap_or_default(),
    };
    let is_origin = |it: &String| {
        it == "*"
            || it.split_once(':').is_some_and(|(scheme, rest)| {
                let host = rest.strip_prefix("//").unwrap_or_default();
                matches!(scheme, "http" | "https")
                    && !host.is_empty()
                    && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
            })
    };
    reader.demand(origins.iter().all(is_origin), "CORS_ORIGINS", ALLOWED);
    origins
}

fn location_hint(reader: &Reader<'_>) -> Option<String> {
    let allowed = format!("one of {}", LOCATION_HINTS.join(", "));
    let hint = reader.optional_text("LOCATION_HINT", &allowed)?;
    reader.demand(LOCATION_HINTS.contains(&hint.as_str()), "LOCATION_HINT", &allowed);
    Some(hint)
}
