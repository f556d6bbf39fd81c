//! The settings of a route whose origin says how long its answers may be served.

use super::reader::{Reader, YEAR};
use crate::core::{http::Methods, time::Span};

/// What a route with the policy "origin" lets its origin decide, and within which bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginPolicy {
    /// The longest freshness, if the route names one.
    pub most_fresh: Option<Span>,
    /// The route's own window for stale answers during a refresh, if it names one.
    pub stale_while_revalidate: Option<Span>,
    /// The route's own window for stale answers after a failure, if it names one.
    pub stale_if_error: Option<Span>,
    /// The share of the time since `Last-Modified` for which an answer without other times is fresh; 0 for none.
    pub heuristic: f64,
    /// The longest such freshness.
    pub heuristic_most: Span,
    /// Whether the origin gets all of the client's end-to-end headers.
    pub forwards_all: bool,
    /// How many variants of a key one isolate caches.
    pub max_variants: u32,
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self {
            most_fresh: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            heuristic: 0.1,
            heuristic_most: Span::DAY,
            forwards_all: false,
            max_variants: 32,
        }
    }
}

/// The settings that mean nothing where the route itself says how long.
const OWN: [&str; 4] = ["forward", "heuristic", "heuristic_most", "max_variants"];

/// Reads the policy; `None` for "route", which is the default unless `GET` is the route's only method.
pub(super) fn origin_policy(reader: &Reader<'_>, methods: Methods) -> Option<OriginPolicy> {
    const ALLOWED: &str = "\"route\": the times of this table count, or \"origin\": those of the origin's headers; a route with GET and other methods must say which";
    let word = reader.optional_text("policy", ALLOWED);
    let is_mixed = methods.get && (methods.query || methods.post);
    reader.demand(
        word.as_deref().map_or(!is_mixed, |it| matches!(it, "route" | "origin")),
        "policy",
        ALLOWED,
    );
    if word.as_deref().map_or(!methods.get, |it| it != "origin") {
        for name in OWN {
            reader.demand(
                !reader.table().contains_key(name),
                name,
                "missing unless the policy is \"origin\"",
            );
        }
        return None;
    }
    let errors = "missing where the policy is \"origin\", whose headers say so for each status";
    reader.demand(!reader.table().contains_key("negative_ttl"), "negative_ttl", errors);
    let usual = OriginPolicy::default();
    let named = |name: &str| {
        let is_named = reader.table().contains_key(name);
        is_named.then(|| reader.seconds(name, 0.0, if name == "ttl" { 0.1 } else { 0.0 }, YEAR))
    };
    Some(OriginPolicy {
        most_fresh: named("ttl"),
        stale_while_revalidate: named("stale_while_revalidate"),
        stale_if_error: named("stale_if_error"),
        heuristic: reader.number(
            "heuristic",
            usual.heuristic,
            0.0,
            1.0,
            "the share of the time since Last-Modified",
        ),
        heuristic_most: reader.seconds("heuristic_most", usual.heuristic_most.as_seconds(), 0.0, YEAR),
        forwards_all: forwards_all(reader),
        max_variants: reader.whole("max_variants", usual.max_variants, 1, 1_000, "variants"),
    })
}

fn forwards_all(reader: &Reader<'_>) -> bool {
    const ALLOWED: &str = "\"route\" or \"all\"";
    let word = reader.optional_text("forward", ALLOWED);
    reader.demand(word.as_deref().is_none_or(|it| matches!(it, "route" | "all")), "forward", ALLOWED);
    word.as_deref() == Some("all")
}
