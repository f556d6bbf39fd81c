//! What an answer to a question of the cache's own says.

use std::sync::Arc;

use web_sys::Response;

use super::response;
use crate::{
    core::{
        access::{KeySet, is_tenant},
        config::InquiryAbout,
        entry::Lifetime,
        failure::{Failure, Reason},
        http,
        time::Instant,
    },
    isolate::computation::Computed,
};

/// What an answer says about a credential: its entry has the status 200, 401 or 403, and the tenant as its body.
pub(super) fn about_credential(
    response: &Response,
    about: &InquiryAbout,
    started: Instant,
    at: Instant,
) -> Option<Result<Computed, Failure>> {
    let InquiryAbout::Credential { refused_ttl, tenant_header, .. } = about else { return None };
    let headers = response.headers();
    if let Some(body) = response.body() {
        let _ = body.cancel();
    }
    let (status, lifetime, kept, body) = match response.status() {
        200..=299 => {
            let tenant = tenant_header.as_ref().and_then(|name| response::get(&headers, name));
            (200, None, Vec::new(), tenant.filter(|it| is_tenant(it)).unwrap_or_default())
        }
        status @ (401 | 403) => {
            let challenge = response::get(&headers, "www-authenticate");
            let kept = challenge.map(|it| ("www-authenticate".to_owned(), it)).into_iter().collect();
            (status, Some(Lifetime { ttl: *refused_ttl, ..Lifetime::default() }), kept, String::new())
        }
        status => {
            let retry_after = response::get(&headers, "retry-after");
            let retry_after = retry_after.and_then(|field| http::retry_after(&field, at));
            return Some(Err(match http::status(status, retry_after) {
                http::Status::Failure(failure) => failure,
                // Another refusal says nothing about the credential.
                http::Status::Success | http::Status::Refusal => {
                    Failure::Transient { reason: Reason::OriginUnexpectedStatus, retry_after: None }
                }
            }));
        }
    };
    Some(Ok(Computed {
        status,
        storable: true,
        headers: kept,
        body: Arc::from(body.into_bytes()),
        delta: at.since(started),
        at,
        lifetime,
        ..Computed::default()
    }))
}

/// Whether an answer is what was asked for: a key set without a key that can be used would lock everybody out.
pub(super) fn is_good(about: &InquiryAbout, body: &[u8]) -> bool {
    match about {
        InquiryAbout::Credential { .. } => true,
        InquiryAbout::KeySet => str::from_utf8(body).is_ok_and(|text| KeySet::parse(text).is_some()),
    }
}
