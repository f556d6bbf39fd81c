//! How a route finds out who asks, and with whom its entries are shared.

use serde_json::{Map, Value};

use super::{
    names::{is_header_name, is_plain_path},
    origin::OriginUrl,
    reader::Reader,
};
use crate::core::{
    access::{Accepted, Algorithm, ClaimRules, Scope},
    body_fields::Pointer,
    time::Span,
};

/// What becomes of a request that carries credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Forwarded as it is, uncached.
    Bypass,
    /// Refused.
    Refuse,
    /// Answered like any other; the credentials are dropped.
    Ignore,
    /// Sent to the origin, whose headers say whether its answer is for other clients too (RFC 9111, section 3.5).
    Origin,
    /// Checked here, before anything else.
    Verify,
}

impl Credentials {
    /// The word in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Refuse => "refuse",
            Self::Ignore => "ignore",
            Self::Origin => "origin",
            Self::Verify => "verify",
        }
    }
}

/// How the client of a request is verified.
#[derive(Clone, Debug, PartialEq)]
pub enum Verify {
    /// By the signature and the claims of a token.
    Jwt(JwtVerify),
    /// By the digest of an API key in `API_KEYS`.
    Keys {
        /// The header with the key.
        header: String,
    },
    /// By asking the origin.
    Origin {
        /// The header with the credential.
        header: String,
        /// What the origin is asked.
        inquiry: Inquiry,
    },
    /// By a proxy in front, which proves itself by `PROXY_TOKEN`.
    Proxy {
        /// The header with the proxy's token.
        token_header: String,
        /// The header with the tenant.
        tenant_header: String,
    },
    /// By the `props` of the service binding that the request came through.
    Props {
        /// The name of the property with the tenant.
        tenant: String,
    },
}

/// How a token is verified.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtVerify {
    /// The header with the token; in `Authorization` it has the scheme `Bearer`.
    pub header: String,
    /// The allowed algorithms: all with `JWT_SECRET`, or none.
    pub algorithms: Vec<Algorithm>,
    /// What the token must claim.
    pub rules: ClaimRules,
    /// How the keys are fetched; `None` for `JWT_SECRET`.
    pub inquiry: Option<Inquiry>,
}

/// A question of the cache's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Inquiry {
    /// Whom it asks; `None` for the origin of the route that needs the answer.
    pub provider: Option<OriginUrl>,
    /// The path that is asked.
    pub target: String,
    /// How long the answer is good.
    pub ttl: Span,
    /// For how long after that it is used while nobody can be asked.
    pub stale_if_error: Span,
    /// What is asked.
    pub about: InquiryAbout,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum InquiryAbout {
    /// The keys of an identity provider.
    KeySet,
    /// Whether the origin accepts a credential.
    Credential {
        /// Whether it is asked by `HEAD`.
        is_head: bool,
        /// How long a refusal is remembered.
        refused_ttl: Span,
        /// The header of the origin's answer with the tenant.
        tenant_header: Option<String>,
    },
}

impl Verify {
    /// The request's headers that say who asks.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Jwt(JwtVerify { header, .. }) | Self::Keys { header } | Self::Origin { header, .. } => {
                (Some(header), None)
            }
            Self::Proxy { token_header, tenant_header } => (Some(token_header), Some(tenant_header)),
            Self::Props { .. } => (None, None),
        };
        [first, second].into_iter().flatten().map(String::as_str)
    }

    /// What must be asked to verify a client, if anything.
    #[must_use]
    pub fn inquiry(&self) -> Option<&Inquiry> {
        match self {
            Self::Jwt(jwt) => jwt.inquiry.as_ref(),
            Self::Origin { inquiry, .. } => Some(inquiry),
            Self::Keys { .. } | Self::Proxy { .. } | Self::Props { .. } => None,
        }
    }

    /// Whether it names a tenant.
    pub(super) fn names_tenant(&self) -> bool {
        match self {
            Self::Jwt(jwt) => jwt.rules.tenant.is_some(),
            Self::Keys { .. } | Self::Proxy { .. } | Self::Props { .. } => true,
            Self::Origin { inquiry, .. } => {
                matches!(inquiry.about, InquiryAbout::Credential { tenant_header: Some(_), .. })
            }
        }
    }

    /// Whether the client itself has a credential.
    fn has_credential(&self) -> bool {
        matches!(self, Self::Jwt(_) | Self::Keys { .. } | Self::Origin { .. })
    }
}

/// The default header of an API key.
const KEY_HEADER: &str = "x-api-key";
/// The default header of a token.
const TOKEN_HEADER: &str = "authorization";
/// Reads `verify`: exactly one way if the route verifies, else nothing.
pub(super) fn verify(reader: &Reader<'_>, credentials: Credentials, development: bool) -> Option<Verify> {
    const ALLOWED: &str = "a table with one of jwt, keys, origin, proxy and props, each a table; present exactly if `credentials` is \"verify\"";
    let given = reader.json("verify");
    reader.demand(given.is_some() == (credentials == Credentials::Verify), "verify", ALLOWED);
    let given = match given? {
        Value::Object(given) if given.len() == 1 => given,
        _ => {
            reader.refuse("verify", ALLOWED);
            return None;
        }
    };
    let (kind, Value::Object(table)) = given.iter().next()? else {
        reader.refuse("verify", ALLOWED);
        return None;
    };
    let own = reader.of(reader.named(&format!("verify.{kind}.")), table);
    Some(match kind.as_str() {
        "jwt" => Verify::Jwt(jwt(&own, development)),
        "keys" => {
            check_names(&own, table, &["header"]);
            Verify::Keys { header: header(&own, "header", KEY_HEADER) }
        }
        "origin" => by_origin(&own, table),
        "proxy" => {
            check_names(&own, table, &["token_header", "tenant_header"]);
            let token_header = header(&own, "token_header", "x-proxy-token");
            let tenant_header = header(&own, "tenant_header", "x-tenant");
            own.demand(token_header != tenant_header, "tenant_header", "another header than `token_header`");
            Verify::Proxy { token_header, tenant_header }
        }
        "props" => {
            check_names(&own, table, &["tenant"]);
            let tenant = own.optional_text("tenant", "the name of a property");
            Verify::Props { tenant: tenant.unwrap_or_else(|| "tenant".to_owned()) }
        }
        _ => {
            reader.refuse("verify", ALLOWED);
            return None;
        }
    })
}

/// Reads `scope`.
pub(super) fn scope(reader: &Reader<'_>, credentials: Credentials, verify: Option<&Verify>) -> Scope {
    const ALLOWED: &str = "\"none\"; \"credential\", where `credentials` is \"origin\", or \"verify\" with jwt, keys or origin; or \"tenant\", where `verify` names the tenant";
    match reader.optional_text("scope", ALLOWED).as_deref() {
        None | Some("none") => Scope::None,
        Some("credential")
            if credentials == Credentials::Origin || verify.is_some_and(Verify::has_credential) =>
        {
            Scope::Credential
        }
        Some("tenant") if verify.is_some_and(Verify::names_tenant) => Scope::Tenant,
        Some(_) => {
            reader.refuse("scope", ALLOWED);
            Scope::Tenant
        }
    }
}

fn check_names(reader: &Reader<'_>, table: &Map<String, Value>, names: &[&str]) {
    if let Some(unknown) = table.keys().find(|name| !names.contains(&name.as_str())) {
        reader.refuse(unknown, &format!("one of the settings {}", names.join(", ")));
    }
}

fn header(reader: &Reader<'_>, name: &str, usual: &str) -> String {
    const ALLOWED: &str = "the name of a header";
    let header = reader.optional_text(name, ALLOWED).map(|it| it.to_ascii_lowercase());
    let header = header.unwrap_or_else(|| usual.to_owned());
    reader.demand(is_header_name(&header), name, ALLOWED);
    header
}

fn jwt(reader: &Reader<'_>, development: bool) -> JwtVerify {
    const NAMES: [&str; 9] = [
        "header",
        "algorithms",
        "issuer",
        "audience",
        "leeway",
        "tenant",
        "jwks_url",
        "jwks_ttl",
        "jwks_stale",
    ];
    const CLAIM: &str = "the name of a claim, or a JSON pointer such as /org/id";
    check_names(reader, reader.table(), &NAMES);
    let inquiry = key_set(reader, development);
    let tenant = reader.optional_text("tenant", CLAIM);
    let claim = tenant.as_deref().map(Pointer::parse);
    reader.demand(claim != Some(None), "tenant", CLAIM);
    JwtVerify {
        header: header(reader, "header", TOKEN_HEADER),
        algorithms: algorithms(reader, inquiry.is_some()),
        rules: ClaimRules {
            issuer: accepted(reader, "issuer"),
            audience: accepted(reader, "audience"),
            leeway: reader.seconds("leeway", 30.0, 0.0, 600.0),
            tenant: claim.flatten(),
        },
        inquiry,
    }
}

/// The allow-list. A secret and public keys never mix: a public key is no secret, and would be taken for one.
fn algorithms(reader: &Reader<'_>, has_key_set: bool) -> Vec<Algorithm> {
    const PUBLIC: &str = "a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA; without `jwks_url`, of HS256, HS384 and HS512";
    let names = reader.texts("algorithms", PUBLIC).unwrap_or_default();
    let algorithms: Vec<_> = names.iter().filter_map(|name| Algorithm::parse(name)).collect();
    let is_secret = |it: &Algorithm| it.kind() == crate::core::access::Kind::Secret;
    let is_good = !names.is_empty()
        && algorithms.len() == names.len()
        && algorithms.iter().all(|it| is_secret(it) != has_key_set);
    reader.demand(is_good, "algorithms", PUBLIC);
    algorithms
}

fn accepted(reader: &Reader<'_>, name: &str) -> Accepted {
    const ALLOWED: &str = "a text, a list of 1 to 20 texts, or \"*\" to accept any";
    let values = match reader.json(name) {
        Some(Value::String(one)) if one == "*" => return Accepted::Any,
        Some(Value::String(one)) => vec![one],
        _ => reader.texts(name, ALLOWED).unwrap_or_default(),
    };
    let is_good = (1..=20).contains(&values.len()) && values.iter().all(|it| !it.is_empty() && it != "*");
    reader.demand(is_good, name, ALLOWED);
    Accepted::OneOf(values)
}

/// How the key set is fetched; `None` without `jwks_url`.
fn key_set(reader: &Reader<'_>, development: bool) -> Option<Inquiry> {
    const ALLOWED: &str = "an https URL with a path, such as https://id.example/.well-known/jwks.json";
    let (ttl, stale) = (
        reader.seconds("jwks_ttl", 600.0, 10.0, 86_400.0),
        reader.seconds("jwks_stale", 86_400.0, 0.0, 604_800.0),
    );
    let Some(url) = reader.optional_text("jwks_url", ALLOWED) else {
        for name in ["jwks_ttl", "jwks_stale"] {
            let is_there = reader.table().contains_key(name);
            reader.demand(!is_there, name, "missing where there is no `jwks_url`");
        }
        return None;
    };
    let path = url.find("://").and_then(|at| Some(at + 3 + url[at + 3..].find('/')?));
    let (origin, path) = url.split_at(path.unwrap_or(url.len()));
    let origin = match OriginUrl::parse(origin, development) {
        Ok(origin) if is_plain_path(path) => Some(origin),
        Ok(_) => {
            // Its query may contain a key.
            reader.refuse_secret("jwks_url", ALLOWED);
            None
        }
        Err(allowed) => {
            // It may contain a password.
            reader.refuse_secret("jwks_url", allowed);
            None
        }
    };
    let about = InquiryAbout::KeySet;
    Some(Inquiry { provider: origin, target: path.to_owned(), ttl, stale_if_error: stale, about })
}

fn by_origin(reader: &Reader<'_>, table: &Map<String, Value>) -> Verify {
    const PATH: &str = "the origin's path that accepts a credential or refuses it, such as /me";
    const METHOD: &str = "\"HEAD\" or \"GET\"";
    check_names(
        reader,
        table,
        &["path", "method", "header", "verify_ttl", "verify_stale", "refused_ttl", "tenant_header"],
    );
    let path = reader.optional_text("path", PATH).unwrap_or_default();
    reader.demand(is_plain_path(&path), "path", PATH);
    let method = reader.optional_text("method", METHOD);
    let method = method.as_deref().unwrap_or("GET");
    reader.demand(matches!(method, "HEAD" | "GET"), "method", METHOD);
    let tenant_header = table.contains_key("tenant_header").then(|| header(reader, "tenant_header", ""));
    let refused_ttl = reader.seconds("refused_ttl", 10.0, 1.0, 3_600.0);
    let inquiry = Inquiry {
        provider: None,
        target: path,
        ttl: reader.seconds("verify_ttl", 300.0, 1.0, 86_400.0),
        stale_if_error: reader.seconds("verify_stale", 3_600.0, 0.0, 86_400.0),
        about: InquiryAbout::Credential { is_head: method == "HEAD", refused_ttl, tenant_header },
    };
    Verify::Origin { header: header(reader, "header", TOKEN_HEADER), inquiry }
}
