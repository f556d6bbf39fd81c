//! The settings that are secrets: no error shows their values.

use std::{fmt, rc::Rc};

use serde_json::{Map, Value};

use super::{
    names::{RESERVED_HEADERS, is_header_name},
    reader::Reader,
    route::Route,
    verify::{Credentials, Verify},
};
use crate::core::access::{ApiKeys, CredentialDigest, DigestSecret, Scope, is_tenant};

/// The secrets of a deployment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The token of the paths under `/_xfetch/`; without one they do not exist.
    pub admin_token: Option<String>,
    /// Headers for every call of a route's origin.
    pub origin_headers: Vec<(String, String)>,
    /// The digests of the API keys.
    pub api_keys: ApiKeys,
    /// The secrets that tokens may be signed with.
    pub jwt: Vec<String>,
    /// The tokens by which a proxy in front may prove itself.
    pub proxy_tokens: Vec<String>,
    /// What digests of credentials are made with.
    pub digest: Option<DigestSecret>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        Self {
            admin_token: admin_token(reader),
            origin_headers: origin_headers(reader),
            api_keys: api_keys(reader),
            jwt: texts(reader, "JWT_SECRET", JWT_SECRET, &|it| (32..=4_096).contains(&it.len())),
            proxy_tokens: texts(reader, "PROXY_TOKEN", PROXY_TOKEN, &is_token),
            digest: digest(reader),
        }
    }

    /// The digest of credential fields, each with its name; `None` if there are none.
    #[must_use]
    pub fn digest_of<'a>(
        &self,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<CredentialDigest> {
        let mut fields = fields.peekable();
        fields.peek()?;
        Some(self.digest.as_ref()?.digest(fields))
    }

    /// Refuses a secret that a route needs and that is missing.
    pub(super) fn check(&self, reader: &Reader<'_>, routes: &[Rc<Route>]) {
        for route in routes {
            match &route.verify {
                Some(Verify::Keys { .. }) if self.api_keys.is_empty() => {
                    reader.refuse_secret("API_KEYS", API_KEYS);
                }
                Some(Verify::Jwt(jwt)) if jwt.inquiry.is_none() && self.jwt.is_empty() => {
                    reader.refuse_secret("JWT_SECRET", JWT_SECRET);
                }
                Some(Verify::Proxy { .. }) if self.proxy_tokens.is_empty() => {
                    reader.refuse_secret("PROXY_TOKEN", PROXY_TOKEN);
                }
                _ => {}
            }
            let is_own = |name: &str| {
                route.send_tenant.as_deref() == Some(name)
                    || (route.is_personal() && route.credential_fields().any(|it| it == name))
            };
            if self.origin_headers.iter().any(|(name, _)| is_own(name)) {
                reader.refuse_secret("ORIGIN_HEADERS", OWN_HEADERS);
            }
            let stores_digests = route.scope == Scope::Credential
                || route.credentials == Credentials::Origin
                || matches!(route.verify, Some(Verify::Origin { .. }));
            if stores_digests && self.digest.is_none() {
                reader.refuse_secret("DIGEST_SECRET", DIGEST_SECRET);
            }
        }
    }
}

const ORIGIN_HEADERS: &str =
    "a JSON object of header names and texts, without the headers that the cache sets itself";
const OWN_HEADERS: &str = "without a header that a route sends itself: its `send_tenant`, and on a route by credential the header with the credential";
const API_KEYS: &str = "a JSON object of tenants, each with the SHA-256 of its API key in hexadecimal, or a list of at most 10 of them; a digest belongs to one tenant";
const JWT_SECRET: &str = "a secret of 32 to 4,096 bytes, or a JSON list of at most 4, for the routes with verify.jwt without jwks_url";
const PROXY_TOKEN: &str = "a secret of 16 to 512 visible ASCII characters, or a JSON list of at most 4, for the routes with verify.proxy";
const DIGEST_SECRET: &str = "a secret of 32 to 4,096 bytes, for the routes with scope \"credential\", credentials \"origin\" or verify.origin";

fn api_keys(reader: &Reader<'_>) -> ApiKeys {
    let mut keys = ApiKeys::default();
    for (tenant, digests) in &object(reader, "API_KEYS", API_KEYS) {
        let digests = match digests {
            Value::String(_) => std::slice::from_ref(digests),
            Value::Array(digests) if (1..=10).contains(&digests.len()) => digests,
            _ => &[],
        };
        let are_good = digests.iter().all(|it| it.as_str().is_some_and(|digest| keys.add(tenant, digest)));
        if !is_tenant(tenant) || digests.is_empty() || !are_good {
            reader.refuse_secret("API_KEYS", API_KEYS);
        }
    }
    keys
}

/// A secret that is a JSON object; empty if it is unset.
fn object(reader: &Reader<'_>, name: &str, allowed: &str) -> Map<String, Value> {
    match reader.json(name) {
        None => Map::new(),
        Some(Value::String(text)) if text.is_empty() => Map::new(),
        Some(Value::Object(object)) => object,
        Some(_) => {
            reader.refuse_secret(name, allowed);
            Map::new()
        }
    }
}

/// Whether a text can be a token that callers send.
fn is_token(text: &str) -> bool {
    (16..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A secret, or a JSON list of them, so that one can take the place of another.
fn texts(reader: &Reader<'_>, name: &str, allowed: &str, is_good: &dyn Fn(&str) -> bool) -> Vec<String> {
    let texts = match reader.json(name) {
        None => return Vec::new(),
        Some(Value::String(text)) if text.is_empty() => return Vec::new(),
        Some(Value::String(text)) => vec![Value::String(text)],
        Some(Value::Array(texts)) => texts,
        // A secret of digits only is a text.
        Some(_) => reader.secret_text(name, allowed).map(Value::String).into_iter().collect(),
    };
    let good: Vec<_> =
        texts.iter().filter_map(Value::as_str).filter(|it| is_good(it)).map(str::to_owned).collect();
    if good.len() != texts.len() || !(1..=4).contains(&good.len()) {
        reader.refuse_secret(name, allowed);
    }
    good
}

fn digest(reader: &Reader<'_>) -> Option<DigestSecret> {
    let secret = reader.secret_text("DIGEST_SECRET", DIGEST_SECRET)?;
    if !(32..=4_096).contains(&secret.len()) {
        reader.refuse_secret("DIGEST_SECRET", DIGEST_SECRET);
    }
    Some(DigestSecret::new(secret))
}

fn admin_token(reader: &Reader<'_>) -> Option<String> {
    const ALLOWED: &str = "a secret of 16 to 512 visible ASCII characters";
    let token = reader.secret_text("ADMIN_TOKEN", ALLOWED)?;
    if !is_token(&token) {
        reader.refuse_secret("ADMIN_TOKEN", ALLOWED);
    }
    Some(token)
}

fn origin_headers(reader: &Reader<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, value) in &object(reader, "ORIGIN_HEADERS", ORIGIN_HEADERS) {
        let name = name.to_ascii_lowercase();
        let value = value.as_str().filter(|it| it.bytes().all(|b| (0x20..0x7f).contains(&b)));
        match value {
            Some(value) if is_header_name(&name) && !RESERVED_HEADERS.contains(&name.as_str()) => {
                headers.push((name, value.to_owned()));
            }
            _ => reader.refuse_secret("ORIGIN_HEADERS", ORIGIN_HEADERS),
        }
    }
    headers
}
