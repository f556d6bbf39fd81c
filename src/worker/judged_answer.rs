//! An answer of an origin whose headers say what becomes of it.

use std::sync::Arc;

use super::keyed_request::KeyedRequest;
use crate::{
    core::{
        config::OriginPolicy,
        entry::Entry,
        http::{self, Asker, Fields, Heuristic, Judged, OriginAnswer, StoringTerms, Terms, Vary},
        time::{Instant, Span},
    },
    isolate::{computation::Computed, step::RequestFields},
};

/// An answer as it has come.
pub(super) struct Answered {
    pub(super) status: u16,
    /// All of its header fields.
    pub(super) told: Fields,
    pub(super) body: Arc<[u8]>,
    /// The instant just before the call.
    pub(super) started: Instant,
    /// The instant of the last byte.
    pub(super) at: Instant,
}

impl Answered {
    /// What becomes of it. `may_store`: the route stores its type. `held` is the entry that a 304 confirms.
    pub(super) fn computed(self, keyed: &KeyedRequest, may_store: bool, held: Option<&Entry>) -> Computed {
        let Self { status, told, body, started, at } = self;
        let renewed = held.filter(|_| status == 304);
        let status = renewed.map_or(status, |held| held.status);
        let body = renewed.map_or(body, |held| Arc::clone(&held.body));
        let mut fields = http::to_keep(told);
        if http::value(&fields, "date").is_none() {
            // RFC 9110, section 6.6.1.
            let date = js_sys::Date::new(&(at.0 as f64).into()).to_utc_string();
            fields.push(("date".to_owned(), date.into()));
        }
        if let Some(held) = renewed {
            fields = http::updated(&held.headers, fields);
        }
        let judged = match keyed.route.origin_policy() {
            Some(policy) if may_store => {
                let asker = match keyed.field("authorization") {
                    _ if keyed.route.is_personal() => Asker::OneClient,
                    Some(_) => Asker::Authorized,
                    None => Asker::Anybody,
                };
                let answer = OriginAnswer::of(status, &fields, asker);
                // What is not said to be for others is not guessed to be, if it may be one client's own.
                let heuristic = if keyed.sends_credentials() { 0.0 } else { policy.heuristic };
                judged(&answer, policy, heuristic, started, at)
            }
            _ => None,
        };
        let mut computed = Computed {
            status,
            storable: judged.is_some(),
            headers: fields,
            body,
            delta: at.since(started),
            at,
            is_renewal: renewed.is_some(),
            ..Computed::default()
        };
        if let Some(StoringTerms { lifetime, initial_age, left_out, stale_forbidden_by }) = judged {
            computed.variant = variant(keyed, http::value(&computed.headers, "vary"));
            // Its age is counted from here on.
            computed.headers.retain(|(name, _)| name != "age" && !left_out.contains(name));
            computed.age = initial_age;
            computed.stale_forbidden_by = stale_forbidden_by;
            computed.lifetime = Some(lifetime);
        }
        computed
    }
}

/// How an answer may be stored; `None` if it may not be, or would never be used.
fn judged(
    answer: &OriginAnswer<'_>,
    policy: &OriginPolicy,
    heuristic: f64,
    started: Instant,
    at: Instant,
) -> Option<StoringTerms> {
    let terms = Terms {
        stale_while_revalidate: policy.stale_while_revalidate,
        stale_if_error: policy.stale_if_error,
        heuristic: Heuristic { share: heuristic, most: policy.heuristic_most },
    };
    match http::judged(answer, &terms, started, at) {
        Judged::DoNotStore => None,
        Judged::Store(mut terms) => {
            let most = policy.most_fresh.unwrap_or(Span(u64::MAX));
            terms.lifetime.ttl = terms.lifetime.ttl.min(most);
            (terms.lifetime.physical() > terms.initial_age).then_some(terms)
        }
    }
}

/// The values of the request's fields that an answer with this `Vary` depends on.
fn variant(keyed: &KeyedRequest, vary: Option<&str>) -> Vec<(String, Option<String>)> {
    match vary.map(Vary::read) {
        Some(Vary::Names(names)) if keyed.route.forwards_all() => names
            .into_iter()
            .map(|name| (keyed.field(&name), name))
            .map(|(value, name)| (name, value))
            .collect(),
        _ => Vec::new(),
    }
}
