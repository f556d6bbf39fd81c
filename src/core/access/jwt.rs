//! JSON Web Tokens: the compact form (RFC 7515, section 7.1), and the claims that are checked (RFC 7519).

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::Value;

use super::{audience::Accepted, identity::is_tenant};
use crate::core::{
    body_fields::Pointer,
    canonical_json,
    time::{Instant, Span},
};

/// The longest name of a key that is looked up, in bytes.
const MAX_KEY_ID: usize = 512;

macro_rules! algorithms {
    ($($variant:ident $name:literal,)*) => {
        /// A signature algorithm (RFC 7518, section 3.1; RFC 8037). `none` is not one of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Algorithm {
            $(#[doc = $name] $variant,)*
        }

        impl Algorithm {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in a token's header.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

algorithms! {
    Hs256 "HS256",
    Hs384 "HS384",
    Hs512 "HS512",
    Rs256 "RS256",
    Rs384 "RS384",
    Rs512 "RS512",
    Ps256 "PS256",
    Ps384 "PS384",
    Ps512 "PS512",
    Es256 "ES256",
    Es384 "ES384",
    Es512 "ES512",
    EdDsa "EdDSA",
}

impl Algorithm {
    /// The algorithm of this name. Names are case-sensitive.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == name)
    }
}

/// Why a token is refused. The client is told no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// It is no token in the compact form.
    Malformed,
    /// Its algorithm is not allowed here.
    Algorithm,
    /// No key that is known here has signed it.
    Signature,
    /// It has expired, or does not say when it does.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// Another party has issued it.
    Issuer,
    /// It is for another audience.
    Audience,
}

impl BadToken {
    /// One phrase, for `error_description`.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Malformed => "the token is malformed",
            Self::Algorithm => "the token's algorithm is not allowed",
            Self::Signature => "the token's signature is not valid",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Issuer => "the token is of another issuer",
            Self::Audience => "the token is for another audience",
        }
    }
}

/// A token in its parts. Nothing of it is to be believed before its signature has been verified.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
}

impl<'a> Token<'a> {
    /// Reads a token whose algorithm is one of those allowed.
    ///
    /// # Errors
    /// [`BadToken::Malformed`] or [`BadToken::Algorithm`].
    pub fn parse(token: &'a str, allowed: &[Algorithm]) -> Result<Self, BadToken> {
        let (signed, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(BadToken::Malformed)?;
        let signature = Base64UrlUnpadded::decode_vec(signature).map_err(|_| BadToken::Malformed)?;
        let header = object(header)?;
        // Extensions that must be understood are not (RFC 7515, section 4.1.11).
        if signature.is_empty() || claims.contains('.') || header.get("crit").is_some() {
            return Err(BadToken::Malformed);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(BadToken::Malformed)?;
        let algorithm = allowed.iter().copied().find(|it| it.as_str() == algorithm);
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= MAX_KEY_ID => Some(id.clone()),
            Some(_) => return Err(BadToken::Malformed),
        };
        Ok(Self { signed, claims, signature, algorithm: algorithm.ok_or(BadToken::Algorithm)?, key_id })
    }

    /// Its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the key that has signed it, if it says so.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The text that is signed.
    #[must_use]
    pub fn signed(&self) -> &'a str {
        self.signed
    }

    /// The bytes of the signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Checks the claims at this instant.
    ///
    /// # Errors
    /// The first claim that is not met.
    pub fn claims(&self, rules: &ClaimRules, now: Instant) -> Result<Claims, BadToken> {
        let claims = object(self.claims)?;
        let instant = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(seconds) if (0.0..1e12).contains(&seconds) => Ok(Some(Instant((seconds * 1e3) as u64))),
                _ => Err(BadToken::Malformed),
            },
        };
        let expiry = instant("exp")?.ok_or(BadToken::Expired)?.plus(rules.leeway);
        if now >= expiry {
            return Err(BadToken::Expired);
        }
        if instant("nbf")?.is_some_and(|begin| now.plus(rules.leeway) < begin) {
            return Err(BadToken::NotYetValid);
        }
        if !rules.issuer.accepts(&texts(claims.get("iss"), false)?) {
            return Err(BadToken::Issuer);
        }
        if !rules.audience.accepts(&texts(claims.get("aud"), true)?) {
            return Err(BadToken::Audience);
        }
        let tenant = rules.tenant.as_ref().and_then(|claim| claim.find(&claims)).and_then(Value::as_str);
        Ok(Claims { expiry, tenant: tenant.filter(|it| is_tenant(it)).map(Arc::from) })
    }
}

/// What a token must claim.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRules {
    /// The accepted values of `iss`.
    pub issuer: Accepted,
    /// The accepted values of `aud`.
    pub audience: Accepted,
    /// How much later than `exp`, and earlier than `nbf`, a token is accepted.
    pub leeway: Span,
    /// The claim that names the tenant.
    pub tenant: Option<Pointer>,
}

/// The claims of a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The instant from which it is not accepted any more.
    pub expiry: Instant,
    /// The tenant, if the token names one.
    pub tenant: Option<Arc<str>>,
}

/// Decodes a part of a token, which is a JSON object without duplicate names.
fn object(part: &str) -> Result<Value, BadToken> {
    let bytes = Base64UrlUnpadded::decode_vec(part).map_err(|_| BadToken::Malformed)?;
    let text = str::from_utf8(&bytes).map_err(|_| BadToken::Malformed)?;
    let value = canonical_json::parse_any_number(text).map_err(|_| BadToken::Malformed)?;
    if value.is_object() { Ok(value) } else { Err(BadToken::Malformed) }
}

/// The values of a claim that is a text or, if `may_be_list`, a list of texts.
fn texts(claim: Option<&Value>, may_be_list: bool) -> Result<Vec<String>, BadToken> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(BadToken::Malformed);
    match claim {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) if may_be_list => values.iter().map(text).collect(),
        Some(value) => text(value).map(|it| vec![it]),
    }
}
