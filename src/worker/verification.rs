//! Finds out who asks, by the way that the route's settings name.

use std::{rc::Rc, sync::Arc};

use js_sys::Uint8Array;
use wasm_bindgen_futures::JsFuture;

use super::{
    context::RequestContext, globals, helpers, inquiry, new_keys, platform::clock, presented::Presented,
    problem::Problem,
};
use crate::{
    core::{
        access::{BadToken, Identity, KeySet, Token, bearer_token, is_tenant, same_text},
        config::{JwtVerify, Route, Verify},
        entry::Entry,
        time::{Instant, Span},
    },
    isolate::metrics::{MetricEvent, Refusal},
};

/// How long a client is remembered whose secret can change with a new deployment only, which has new isolates.
const REMEMBERED: Span = Span::DAY;
/// A key set younger than this is not fetched again for a token that names an unknown key: strangers choose the name.
const MIN_KEY_SET_AGE: Span = Span(30_000);
/// How long the result of a question is used again without looking at its entry, where that is due for a refresh.
const REUSED: Span = Span::SECOND;

/// A client that is known, until this instant.
pub(super) struct Verified {
    pub(super) identity: Identity,
    pub(super) until: Instant,
}

/// Finds out who asks.
///
/// # Errors
/// The answer to a client that is refused, or that cannot be verified now.
pub(super) async fn verify(
    context: &Rc<RequestContext>,
    route: &Rc<Route>,
    presented: &Presented,
) -> Result<Verified, Problem> {
    let now = clock::now();
    let digest = || context.config.secrets.digest_of(presented.fields());
    let credential = if route.is_personal() { digest() } else { None };
    let secrets = &context.config.secrets;
    let (tenant, until) = match &route.verify {
        None => (None, now.plus(REMEMBERED)),
        Some(verify @ Verify::Keys { header }) => {
            let key = credential_text(presented, header).ok_or_else(|| missing(verify))?;
            let tenant = secrets.api_keys.tenant(key).ok_or_else(|| unknown(verify))?;
            (Some(tenant), now.plus(REMEMBERED))
        }
        Some(verify @ Verify::Proxy { .. }) => {
            let token = presented.value(0).ok_or_else(|| missing(verify))?;
            // All are compared, so that the time says nothing about which one matches.
            let is_known = secrets.proxy_tokens.iter().fold(false, |known, it| same_text(it, token) | known);
            if !is_known {
                return Err(unknown(verify));
            }
            (presented.value(1).filter(|it| is_tenant(it)).map(Arc::from), now.plus(REMEMBERED))
        }
        Some(verify @ Verify::Props { .. }) => {
            let tenant = presented.value(0).filter(|it| is_tenant(it)).ok_or_else(|| unknown(verify))?;
            (Some(Arc::from(tenant)), now.plus(REMEMBERED))
        }
        Some(Verify::Jwt(jwt)) => by_token(context, route, jwt, presented).await?,
        Some(verify @ Verify::Origin { .. }) => {
            presented.value(0).ok_or_else(|| missing(verify))?;
            let inquiries = route.inquiries.as_ref().ok_or_else(unavailable)?;
            by_origin(context, route, inquiries, Identity { tenant: None, credential: digest() }).await?
        }
    };
    Ok(Verified { identity: Identity { tenant, credential }, until })
}

/// An API key or a token; in `Authorization` it has the scheme `Bearer`.
fn credential_text<'a>(presented: &'a Presented, header: &str) -> Option<&'a str> {
    let value = presented.value(0)?;
    let text = if header == "authorization" { bearer_token(value)? } else { value.trim() };
    (!text.is_empty()).then_some(text)
}

/// By a token's signature and claims.
async fn by_token(
    context: &Rc<RequestContext>,
    route: &Route,
    jwt: &JwtVerify,
    presented: &Presented,
) -> Result<(Option<Arc<str>>, Instant), Problem> {
    let text = credential_text(presented, &jwt.header).ok_or_else(|| refuse(jwt_challenge(jwt, None)))?;
    let bad = |why: BadToken| refuse(jwt_challenge(jwt, Some(why)));
    let token = Token::parse(text, &jwt.algorithms).map_err(bad)?;
    // First the claims: they cost less than a signature.
    token.claims(&jwt.rules, clock::now()).map_err(bad)?;
    let (is_signed, until) = match &route.inquiries {
        None => {
            let set = KeySet::of_secrets(&context.config.secrets.jwt);
            (is_signed(&set, &token).await, clock::now().plus(REMEMBERED))
        }
        Some(inquiries) => is_signed_by_provider(context, inquiries, &token).await?,
    };
    if !is_signed {
        return Err(bad(BadToken::Signature));
    }
    // It may have expired during the wait.
    let claims = token.claims(&jwt.rules, clock::now()).map_err(bad)?;
    Ok((claims.tenant, claims.expiry.min(until)))
}

/// How long what an entry says may be used without looking at it again: to its expiry or, beyond that, a moment.
fn good_until(entry: &Entry) -> Instant {
    entry.expiry().max(clock::now().plus(REUSED))
}

/// Whether one of the provider's keys has signed a token, and until when that is known. The keys are fetched anew if the
/// token names one that is not among them, as after a rotation; meanwhile the known keys stay good for everybody else.
async fn is_signed_by_provider(
    context: &Rc<RequestContext>,
    inquiries: &Rc<Route>,
    token: &Token<'_>,
) -> Result<(bool, Instant), Problem> {
    let keyed = inquiry::keyed(context, inquiries, &Identity::ANONYMOUS).ok_or_else(unavailable)?;
    let mut entry = inquiry::ask(&keyed).await.ok_or_else(unavailable)?;
    let mut set = key_set(&entry).ok_or_else(unavailable)?;
    if set.candidates(token).is_empty() && entry.age(clock::now()) >= MIN_KEY_SET_AGE {
        inquiry::renew(&keyed, &entry).await;
        if let Some(renewed) = inquiry::ask(&keyed).await
            && let Some(keys) = key_set(&renewed)
        {
            (entry, set) = (renewed, keys);
        }
    }
    Ok((is_signed(&set, token).await, good_until(&entry)))
}

fn key_set(entry: &Entry) -> Option<KeySet> {
    KeySet::parse(str::from_utf8(&entry.body).ok()?)
}

/// Whether one of the keys that may have signed a token has.
async fn is_signed(set: &KeySet, token: &Token<'_>) -> bool {
    let signature = Uint8Array::from(token.signature());
    for key in set.candidates(token) {
        let algorithm = token.algorithm().as_str();
        let verified = helpers::verify_signature(key, algorithm, &signature, token.signed());
        if JsFuture::from(verified).await.is_ok_and(|it| it.is_truthy()) {
            return true;
        }
    }
    false
}

/// By the origin's answer to the credential alone.
async fn by_origin(
    context: &Rc<RequestContext>,
    route: &Route,
    inquiries: &Rc<Route>,
    identity: Identity,
) -> Result<(Option<Arc<str>>, Instant), Problem> {
    let keyed = inquiry::keyed(context, inquiries, &identity).ok_or_else(unavailable)?;
    new_keys::enter_question(route, &keyed)?;
    let entry = inquiry::ask(&keyed).await.ok_or_else(unavailable)?;
    let now = clock::now();
    match entry.status {
        200 => {
            let tenant = str::from_utf8(&entry.body).ok().filter(|it| is_tenant(it)).map(Arc::from);
            // From the early window on, its entry decides whether the origin is asked again.
            let window = entry.expiry().minus(entry.lifetime.ttl.share(inquiries.early_window));
            Ok((tenant, window.max(now.plus(REUSED)).min(good_until(&entry))))
        }
        403 => Err(refuse(Problem::new(403, "forbidden", "The origin refuses this credential."))),
        _ => {
            let challenge = entry.header("www-authenticate").unwrap_or("Bearer realm=\"xfetch-edge\"");
            let problem = Problem::new(401, "unauthorized", "The origin does not accept this credential.");
            Err(refuse(problem.header("www-authenticate", challenge.to_owned())))
        }
    }
}

/// The answer to a request without what the route's verification needs.
pub(super) fn missing(verify: &Verify) -> Problem {
    match verify {
        Verify::Jwt(jwt) => refuse(jwt_challenge(jwt, None)),
        Verify::Keys { header } | Verify::Origin { header, .. } => {
            let detail = format!("This path needs a credential in the header {header}.");
            refuse(Problem::new(401, "unauthorized", detail).header("www-authenticate", challenge(header)))
        }
        Verify::Proxy { .. } | Verify::Props { .. } => unknown(verify),
    }
}

/// The answer to a credential that is not known here.
fn unknown(verify: &Verify) -> Problem {
    match verify {
        Verify::Jwt(_) | Verify::Keys { .. } | Verify::Origin { .. } => {
            let header = verify.headers().next().unwrap_or_default();
            let problem = Problem::new(401, "unauthorized", "This credential is not known here.");
            refuse(problem.header("www-authenticate", challenge(header)))
        }
        Verify::Proxy { .. } | Verify::Props { .. } => {
            refuse(Problem::new(403, "forbidden", "This path is only for callers that are configured here."))
        }
    }
}

/// The answer to a client that is known, but belongs to no tenant.
pub(super) fn no_tenant() -> Problem {
    refuse(Problem::new(403, "tenant_missing", "This credential belongs to no tenant."))
}

/// `WWW-Authenticate` for a credential in this header. No scheme is registered for API keys.
fn challenge(header: &str) -> String {
    match header {
        "authorization" => "Bearer realm=\"xfetch-edge\"".to_owned(),
        _ => format!("ApiKey realm=\"xfetch-edge\", header=\"{header}\""),
    }
}

/// The answer to a request without a token, or with a bad one (RFC 6750, section 3).
fn jwt_challenge(jwt: &JwtVerify, why: Option<BadToken>) -> Problem {
    let challenge = challenge(&jwt.header);
    let (detail, challenge) = match why {
        None => (format!("This path needs a token in the header {}.", jwt.header), challenge),
        Some(why) => {
            let detail = why.detail();
            let challenge = format!("{challenge}, error=\"invalid_token\", error_description=\"{detail}\"");
            (format!("The token is refused: {detail}."), challenge)
        }
    };
    Problem::new(401, "unauthorized", detail).header("www-authenticate", challenge)
}

/// Counts a refusal.
fn refuse(problem: Problem) -> Problem {
    globals::count(MetricEvent::Refused(Refusal::Unauthorized));
    problem
}

/// Whether a credential is good cannot be found out now.
fn unavailable() -> Problem {
    Problem::new(503, "verification_unavailable", "Credentials cannot be verified now.")
        .retry_after(Span::SECOND)
}
