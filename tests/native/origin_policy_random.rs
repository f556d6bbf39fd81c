//! Random header fields for the policy "origin": laws, and two other libraries that read the same fields.

use std::time::{Duration, UNIX_EPOCH};

use ::http::{HeaderValue, Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};
use proptest::prelude::*;
use xfetch_edge::core::{
    http::{
        self, Asker, Extent, Heuristic, Judged, OriginAnswer, RequestDirectives, ResponseDirectives,
        StoringHeaders, Terms, Value, Vary,
    },
    time::{Instant, Span},
};

/// Sat, 28 Nov 2026 00:00:00 GMT.
const NOW: Instant = Instant(1_795_824_000_000);

/// The header fields of an answer.
#[derive(Clone, Debug)]
struct Sent {
    status: u16,
    directives: Vec<String>,
    cdn_cache_control: Option<String>,
    expires: Option<String>,
    date: Option<String>,
    age: Option<String>,
    last_modified: Option<String>,
    vary: Option<String>,
    has_set_cookie: bool,
    asked_with_authorization: bool,
}

impl Sent {
    fn new(status: u16, directives: &[&str]) -> Self {
        Self {
            status,
            directives: directives.iter().map(|it| (*it).to_owned()).collect(),
            cdn_cache_control: None,
            expires: None,
            date: None,
            age: None,
            last_modified: None,
            vary: None,
            has_set_cookie: false,
            asked_with_authorization: false,
        }
    }

    fn cache_control(&self) -> Option<String> {
        (!self.directives.is_empty()).then(|| self.directives.join(", "))
    }

    fn judged(&self, terms: &Terms, delay: Span) -> Judged {
        let cache_control = self.cache_control();
        let answer = OriginAnswer {
            status: self.status,
            cache_control: cache_control.as_deref(),
            cdn_cache_control: self.cdn_cache_control.as_deref(),
            expires: self.expires.as_deref(),
            date: self.date.as_deref(),
            age: self.age.as_deref(),
            last_modified: self.last_modified.as_deref(),
            vary: self.vary.as_deref(),
            has_validator: self.last_modified.is_some(),
            has_set_cookie: self.has_set_cookie,
            asker: if self.asked_with_authorization { Asker::Authorized } else { Asker::Anybody },
        };
        http::judged(&answer, terms, NOW.minus(delay), NOW)
    }

    /// Whether it is stored, and for how many seconds it is fresh from now on.
    fn ours(&self) -> (bool, u64) {
        let heuristic = Heuristic { share: 0.1, most: Span(u64::MAX) };
        match self.judged(&Terms { heuristic, ..Terms::default() }, Span::ZERO) {
            Judged::DoNotStore => (false, 0),
            Judged::Store(stored) => (true, stored.lifetime.ttl.minus(stored.initial_age).0 / 1_000),
        }
    }

    /// The same, as the crate `http-cache-semantics` sees it.
    fn theirs(&self) -> (bool, u64) {
        let mut request = Request::get("https://origin.example/");
        if self.asked_with_authorization {
            request = request.header("authorization", "x");
        }
        let mut response = Response::builder().status(self.status);
        for (name, value) in [
            ("cache-control", &self.cache_control()),
            ("expires", &self.expires),
            ("date", &self.date),
            ("age", &self.age),
            ("last-modified", &self.last_modified),
            ("vary", &self.vary),
            ("set-cookie", &self.has_set_cookie.then(|| "a=b".to_owned())),
        ] {
            if let Some(value) = value.as_ref().and_then(|it| HeaderValue::from_str(it).ok()) {
                response = response.header(name, value);
            }
        }
        // RFC 8246 gives `immutable` no lifetime of its own.
        let options = CacheOptions { immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
        let now = UNIX_EPOCH + Duration::from_millis(NOW.0);
        let (request, response) = (request.body(()).unwrap(), response.body(()).unwrap());
        let policy = CachePolicy::new_options(&request, &response, now, options);
        if policy.is_storable() { (true, policy.time_to_live(now).as_secs()) } else { (false, 0) }
    }

    fn says(&self, directive: &str) -> bool {
        self.directives.iter().any(|it| it == directive)
    }

    /// The directives with this name, in any case and form.
    fn named(&self, name: &str) -> Vec<&str> {
        let own = |it: &str| it.to_ascii_lowercase().split(['=', ';', ' ']).next() == Some(name);
        self.directives.iter().map(String::as_str).filter(|it| own(it)).collect()
    }
}

/// How the result of this cache differs from the other library's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Stored here only.
    Stored,
    /// Stored there only.
    Refused,
    /// Fresh for longer here.
    Longer,
    /// Fresh for longer there.
    Shorter,
}

fn effect(ours: (bool, u64), theirs: (bool, u64)) -> Option<Effect> {
    match (ours.0, theirs.0) {
        (true, false) => Some(Effect::Stored),
        (false, true) => Some(Effect::Refused),
        _ if ours.1 > theirs.1 => Some(Effect::Longer),
        _ if ours.1 < theirs.1 => Some(Effect::Shorter),
        _ => None,
    }
}

/// A difference between this cache and `http-cache-semantics` 3.0.0 that is meant.
struct Decision {
    /// What this cache does, and where that is written.
    rule: &'static str,
    /// When the two may differ for this reason.
    applies: fn(&Sent) -> bool,
    /// What it can change.
    effects: &'static [Effect],
    /// An answer for which they differ for this reason alone.
    example: fn() -> Sent,
    ours: (bool, u64),
    theirs: (bool, u64),
}

const DECISIONS: [Decision; 17] = [
    Decision {
        rule: "a final status with an explicit lifetime is stored, known or not (RFC 9111, section 3)",
        applies: |sent| {
            ![200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501].contains(&sent.status)
        },
        effects: &[Effect::Stored],
        example: || Sent::new(503, &["max-age=60"]),
        ours: (true, 60),
        theirs: (false, 0),
    },
    Decision {
        rule: "`must-understand` makes `no-store` void (RFC 9111, section 5.2.2.3)",
        applies: |sent| sent.says("must-understand") && !sent.named("no-store").is_empty(),
        effects: &[Effect::Stored],
        example: || Sent::new(200, &["no-store", "must-understand", "max-age=60"]),
        ours: (true, 60),
        theirs: (false, 0),
    },
    Decision {
        rule: "`private` with names leaves the fields out (RFC 9111, section 5.2.2.7)",
        applies: |sent| sent.says("private=\"x\""),
        effects: &[Effect::Stored],
        example: || Sent::new(200, &["private=\"x\"", "max-age=60"]),
        ours: (true, 60),
        theirs: (false, 0),
    },
    Decision {
        rule: "`no-cache` with names leaves the fields out (RFC 9111, section 5.2.2.4)",
        applies: |sent| sent.says("no-cache=\"x\""),
        effects: &[Effect::Longer],
        example: || Sent::new(200, &["no-cache=\"x\"", "max-age=60"]),
        ours: (true, 60),
        theirs: (true, 0),
    },
    Decision {
        rule: "an answer with `Set-Cookie` is not stored (this project's rule)",
        applies: |sent| sent.has_set_cookie,
        effects: &[Effect::Refused],
        example: || Sent { has_set_cookie: true, ..Sent::new(200, &["public", "max-age=60"]) },
        ours: (false, 0),
        theirs: (true, 60),
    },
    Decision {
        rule: "an answer whose `Vary` has `*` or no field's name is not stored: it matches no request (RFC 9111, section 4.1)",
        applies: |sent| sent.vary.as_ref().is_some_and(|field| field.contains(['*', ' '])),
        effects: &[Effect::Refused],
        example: || Sent { vary: Some("a, *".to_owned()), ..Sent::new(200, &["max-age=60"]) },
        ours: (false, 0),
        theirs: (true, 60),
    },
    Decision {
        rule: "names of directives have no case (RFC 9111, section 5.2)",
        applies: |sent| sent.directives.iter().any(|it| it.contains(|c: char| c.is_ascii_uppercase())),
        effects: &[Effect::Stored, Effect::Refused, Effect::Longer, Effect::Shorter],
        example: || Sent::new(200, &["No-Store", "max-age=60"]),
        ours: (false, 0),
        theirs: (true, 60),
    },
    Decision {
        rule: "in a malformed field a directive that forbids is found (RFC 9111, section 4.2.1)",
        applies: |sent| sent.directives.iter().any(|it| it.contains("; ") || it.contains(" =")),
        effects: &[Effect::Refused, Effect::Shorter],
        example: || Sent::new(200, &["no-store; x", "max-age=60"]),
        ours: (false, 0),
        theirs: (true, 60),
    },
    Decision {
        rule: "a comma in a quoted string separates nothing (RFC 9111, section 5.2)",
        applies: |sent| sent.directives.iter().any(|it| it.contains("\"a, ")),
        effects: &[Effect::Stored, Effect::Refused, Effect::Longer, Effect::Shorter],
        example: || Sent::new(200, &["ext=\"a, no-store, b\"", "max-age=60"]),
        ours: (true, 60),
        theirs: (false, 0),
    },
    Decision {
        rule: "`proxy-revalidate` is about stale answers only (RFC 9111, section 5.2.2.8)",
        applies: |sent| sent.says("proxy-revalidate"),
        effects: &[Effect::Longer],
        example: || Sent::new(200, &["proxy-revalidate", "max-age=60"]),
        ours: (true, 60),
        theirs: (true, 0),
    },
    Decision {
        rule: "the apparent age counts (RFC 9111, section 4.2.3)",
        applies: |sent| {
            sent.date.as_ref().and_then(|it| http::earliest_date(it, NOW)).is_some_and(|date| date < NOW)
        },
        effects: &[Effect::Shorter],
        example: || Sent {
            date: Some("Fri, 27 Nov 2026 23:59:50 GMT".to_owned()),
            ..Sent::new(200, &["max-age=60"])
        },
        ours: (true, 50),
        theirs: (true, 60),
    },
    Decision {
        rule: "the heuristic needs `public` or a status that allows it (RFC 9111, section 4.2.2)",
        applies: |sent| {
            sent.last_modified.is_some()
                && !http::is_heuristically_cacheable(sent.status)
                && !sent.says("public")
        },
        effects: &[Effect::Shorter],
        // The lifetime of the other is from a directive that is no lifetime.
        example: || Sent {
            last_modified: Some("Fri, 27 Nov 2026 00:00:00 GMT".to_owned()),
            ..Sent::new(302, &["s-maxage"])
        },
        ours: (true, 0),
        theirs: (true, 8_640),
    },
    Decision {
        rule: "of several lifetimes the shortest counts, one without a valid value is zero (RFC 9111, section 4.2.1)",
        applies: |sent| {
            ["max-age", "s-maxage"].iter().any(|name| {
                let named = sent.named(name);
                named.len() > 1 || named.iter().any(|it| !it.contains('='))
            })
        },
        effects: &[Effect::Shorter],
        example: || Sent::new(200, &["max-age=60", "max-age=7"]),
        ours: (true, 7),
        theirs: (true, 60),
    },
    Decision {
        rule: "two values of one directive do not allow the answer to a request with `Authorization` (RFC 9111, section 3.5)",
        applies: |sent| {
            let name = |it: &String| it.split('=').next().unwrap_or_default().trim().to_owned();
            let mut names: Vec<String> = sent.directives.iter().map(name).collect();
            names.sort_unstable();
            sent.asked_with_authorization && names.windows(2).any(|pair| pair[0] == pair[1])
        },
        effects: &[Effect::Refused],
        example: || Sent { asked_with_authorization: true, ..Sent::new(200, &["max-age=60", "max-age=7"]) },
        ours: (false, 0),
        theirs: (true, 60),
    },
    Decision {
        rule: "a lifetime above 2^31 seconds counts as that many (RFC 9111, section 1.2.2)",
        applies: |sent| sent.directives.iter().any(|it| it.contains("99999999999")),
        effects: &[Effect::Shorter],
        example: || Sent::new(200, &["max-age=99999999999"]),
        ours: (true, 1 << 31),
        theirs: (true, 99_999_999_999),
    },
    Decision {
        rule: "all three formats of a date are read, and of several dates the earliest (RFC 9110, section 5.6.7)",
        applies: |sent| {
            let is_plain = |field: &Option<String>| field.as_ref().is_none_or(|it| it.len() == 29);
            !(is_plain(&sent.expires) && is_plain(&sent.date) && is_plain(&sent.last_modified))
        },
        effects: &[Effect::Longer, Effect::Shorter],
        example: || Sent { expires: Some("Sat Nov 28 00:01:00 2026".to_owned()), ..Sent::new(200, &[]) },
        ours: (true, 60),
        theirs: (true, 0),
    },
    Decision {
        rule: "the first member of `Age` counts, if it has only digits (RFC 9111, section 5.1)",
        applies: |sent| sent.age.as_ref().is_some_and(|it| it.contains(['+', ','])),
        effects: &[Effect::Longer, Effect::Shorter],
        example: || Sent { age: Some("7, 0".to_owned()), ..Sent::new(200, &["max-age=60"]) },
        ours: (true, 53),
        theirs: (true, 60),
    },
];

#[test]
fn each_decision_against_the_other_cache_library_has_an_example() {
    for decision in &DECISIONS {
        let sent = (decision.example)();
        assert_eq!(sent.ours(), decision.ours, "{}", decision.rule);
        assert_eq!(sent.theirs(), decision.theirs, "{}", decision.rule);
        let effect = effect(decision.ours, decision.theirs).expect("they differ");
        assert!((decision.applies)(&sent) && decision.effects.contains(&effect), "{}", decision.rule);
    }
}

fn any_directive() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "no-store",
        "No-Store",
        "no-store; x",
        "private",
        "private=\"x\"",
        "no-cache",
        "no-cache=\"x\"",
        "public",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "immutable",
        "ext",
        "ext=\"a, no-store, b\"",
        "ext=\"a, max-age=9, b\"",
        "stale-while-revalidate=60",
        "stale-if-error=60",
    ]);
    let value = prop_oneof![
        6 => (0..200_000_u64).prop_map(|it| format!("={it}")),
        1 => prop::sample::select(vec!["", "=", "=-1", "=x", "=1.5", "=\"60\"", "=0060", "=99999999999", " =60"])
            .prop_map(str::to_owned),
    ];
    let name = prop::sample::select(vec!["max-age", "s-maxage", "Max-Age"]);
    prop_oneof![3 => plain.prop_map(str::to_owned), 2 => (name, value).prop_map(|(name, value)| name.to_owned() + &value)]
}

/// Dates up to some days around the present, and texts that are none.
fn any_date() -> impl Strategy<Value = String> {
    let plain = |days: u64| {
        (0..days * 86_400).prop_map(move |it| {
            let seconds = NOW.0 / 1_000 + it - days / 2 * 86_400;
            httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
        })
    };
    let other = prop::sample::select(vec![
        "0",
        "",
        "x",
        "Sat Nov 28 00:01:00 2026",
        "Saturday, 28-Nov-26 00:01:00 GMT",
        "SAT, 28 NOV 2026 00:01:00 gmt",
        "Sat, 28 Nov 2026 00:01:00 GMT, Sat, 28 Nov 2026 00:02:00 GMT",
    ]);
    prop_oneof![8 => plain(4), 2 => other.prop_map(str::to_owned)]
}

fn any_sent() -> impl Strategy<Value = Sent> {
    let statuses = vec![200, 200, 200, 203, 204, 206, 299, 301, 302, 304, 404, 410, 500, 503, 599];
    let ages = prop_oneof![
        3 => (0..100_000_u64).prop_map(|it| it.to_string()),
        1 => prop::sample::select(vec!["", "-1", "+1", "x", "1.5", "7, 0", "99999999999"]).prop_map(str::to_owned),
    ];
    let varies = prop::sample::select(vec!["accept", "*", "a, *", "a b"]).prop_map(str::to_owned);
    let half = || prop::option::weighted(0.3, any_date());
    (
        (prop::sample::select(statuses), prop::collection::vec(any_directive(), 0..4)),
        (half(), half(), half()),
        (prop::option::weighted(0.2, ages), prop::option::weighted(0.1, varies)),
        (prop::bool::weighted(0.1), prop::bool::weighted(0.2)),
    )
        .prop_map(
            |((status, directives), (expires, date, last_modified), (age, vary), (cookie, authorization))| {
                Sent {
                    status,
                    directives,
                    cdn_cache_control: None,
                    expires,
                    date,
                    age,
                    last_modified,
                    vary,
                    has_set_cookie: cookie,
                    asked_with_authorization: authorization,
                }
            },
        )
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let span = || prop::option::of((0..100_000_u64).prop_map(Span));
    (span(), span(), 0.0..1.0, any::<u64>()).prop_map(|(swr, sie, share, most)| Terms {
        stale_while_revalidate: swr,
        stale_if_error: sie,
        heuristic: Heuristic { share, most: Span(most) },
    })
}

/// Texts that resemble a dictionary of structured fields.
fn any_dictionary() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "max-age",
        "*k",
        "A",
        "=",
        "=",
        "=",
        ",",
        ", ",
        ";",
        "; ",
        "(",
        ")",
        " ",
        "\t",
        "1",
        "-",
        "0",
        ".",
        "12",
        "999999999999",
        "\"",
        "\\",
        "\"x y\"",
        "?1",
        "?0",
        "?",
        ":",
        ":aGk=:",
        "tok",
        "/",
        "!",
        "@1",
        "%\"a\"",
        "é",
        "_",
    ]);
    prop_oneof![prop::collection::vec(piece, 0..12).prop_map(|it| it.concat()), ".{0,24}"]
}

/// A dictionary as the crate `sfv` reads it, in this crate's values.
fn dictionary_of_sfv(field: &str) -> Option<Vec<(String, Option<String>)>> {
    let parser = sfv::Parser::new(field).with_version(sfv::Version::Rfc8941);
    let dictionary: sfv::Dictionary = parser.parse().ok()?;
    let value = |entry: &sfv::ListEntry| match entry {
        sfv::ListEntry::Item(item) => match &item.bare_item {
            sfv::BareItem::Boolean(it) => Some(it.to_string()),
            sfv::BareItem::Integer(it) => Some(i64::from(*it).to_string()),
            sfv::BareItem::String(it) => Some(format!("\"{}", it.as_str())),
            _ => None,
        },
        sfv::ListEntry::InnerList(_) => None,
    };
    let mut members: Vec<_> =
        dictionary.iter().map(|(key, entry)| (key.as_str().to_owned(), value(entry))).collect();
    members.sort();
    Some(members)
}

fn own_dictionary(field: &str) -> Option<Vec<(String, Option<String>)>> {
    let value = |value| match value {
        Value::Boolean(it) => Some(it.to_string()),
        Value::Integer(it) => Some(it.parse::<i64>().unwrap().to_string()),
        Value::String(it) => Some(format!("\"{it}")),
        Value::Other => None,
    };
    let mut members: Vec<_> =
        http::dictionary(field)?.into_iter().map(|(key, it)| (key.to_owned(), value(it))).collect();
    members.sort();
    Some(members)
}

proptest! {
    #[test]
    fn every_difference_from_another_cache_library_is_a_decision(sent in any_sent()) {
        let (ours, theirs) = (sent.ours(), sent.theirs());
        let effect = effect(ours, theirs);
        let explains = |it: &Decision| effect.is_none_or(|effect| it.effects.contains(&effect)) && (it.applies)(&sent);
        prop_assert!(effect.is_none() || DECISIONS.iter().any(explains), "{:?} here, {:?} there: {:?}", ours, theirs, sent);
    }

    #[test]
    fn a_dictionary_is_read_as_by_another_library(field in any_dictionary()) {
        prop_assert_eq!(own_dictionary(&field), dictionary_of_sfv(&field));
    }

    #[test]
    fn no_text_makes_a_reader_panic(texts in prop::collection::vec(prop::option::of(".{0,40}"), 7), status in any::<u16>(), asked in any::<u64>(), answered in any::<u64>()) {
        let text = |at: usize| texts[at].as_deref();
        let answer = OriginAnswer {
            status, cache_control: text(0), cdn_cache_control: text(1), expires: text(2), date: text(3), age: text(4),
            last_modified: text(5), vary: text(6), has_validator: true, has_set_cookie: false, asker: Asker::Anybody,
        };
        let heuristic = Heuristic { share: 0.5, most: Span(u64::MAX) };
        let _ = http::judged(&answer, &Terms { heuristic, ..Terms::default() }, Instant(asked), Instant(answered));
        let _ = RequestDirectives::read(text(0), text(1));
        for name in ["accept", "accept-language", "x"] {
            let _ = http::normalised(name, text(0).unwrap_or_default());
        }
    }

    #[test]
    fn a_stored_lifetime_is_within_what_every_directive_allows(sent in any_sent(), terms in any_terms(), delay in 0..10_000_u64) {
        let read = ResponseDirectives::read(&sent.cache_control().unwrap_or_default());
        if let Judged::Store(stored) = sent.judged(&terms, Span(delay)) {
            let lifetime = stored.lifetime;
            prop_assert!(!read.no_store || read.must_understand);
            prop_assert!(read.private != Extent::Whole && !sent.has_set_cookie);
            let served = lifetime.ttl.plus(lifetime.stale_while_revalidate).plus(lifetime.stale_if_error);
            prop_assert!(read.no_cache != Extent::Whole || served == Span::ZERO);
            let within = |bound: Option<Span>, span: Span| bound.is_none_or(|bound| span <= bound);
            prop_assert!(within(read.s_maxage.or(read.max_age), lifetime.ttl));
            let is_explicit = read.s_maxage.or(read.max_age).is_some() || sent.expires.is_some();
            prop_assert!(is_explicit || lifetime.ttl <= terms.heuristic.most);
            for (window, of_origin, of_route) in [
                (lifetime.stale_while_revalidate, read.stale_while_revalidate, terms.stale_while_revalidate),
                (lifetime.stale_if_error, read.stale_if_error, terms.stale_if_error),
            ] {
                prop_assert!(within(of_origin, window) && within(of_route, window));
                prop_assert!(of_origin.or(of_route).is_some() || window == Span::ZERO);
                let is_forbidden = read.must_revalidate || read.proxy_revalidate || read.s_maxage.is_some();
                prop_assert!(!is_forbidden || window == Span::ZERO);
                prop_assert_eq!(stored.stale_forbidden_by.is_some(), is_forbidden || read.no_cache == Extent::Whole);
            }
            prop_assert!(stored.initial_age >= Span(delay));
        }
    }

    #[test]
    fn more_directives_that_forbid_never_allow_more(sent in any_sent(), more in prop::sample::select(vec!["no-store", "private", "no-cache", "max-age=0", "s-maxage=0", "max-age=x", "no-cache; x", "x=\"", "proxy-revalidate"])) {
        let mut stricter = sent.clone();
        stricter.directives.push(more.to_owned());
        let (before, after) = (sent.ours(), stricter.ours());
        // A lifetime, even one of zero, makes an answer storable; `s-maxage` does so for one to `Authorization`, too.
        prop_assert!(after.1 <= before.1 && (before.0 || !after.0 || more.contains("age=")), "{:?} {:?}", before, after);
    }

    #[test]
    fn a_valid_targeted_field_makes_the_others_void(sent in any_sent(), directives in prop::collection::vec(any_directive(), 0..4)) {
        let targeted = |directives, expires: &Option<String>| Sent {
            cdn_cache_control: Some("max-age=60, stale-if-error=7".to_owned()), directives, expires: expires.clone(), ..sent.clone()
        };
        prop_assert_eq!(targeted(sent.directives.clone(), &sent.expires).ours(), targeted(directives, &None).ours());
    }

    #[test]
    fn the_rule_of_policy_route_is_no_wider_than_the_rule_of_policy_origin(sent in any_sent()) {
        let cache_control = sent.cache_control();
        let headers = StoringHeaders { cache_control: cache_control.as_deref(), vary: sent.vary.as_deref(), has_set_cookie: sent.has_set_cookie, is_personal: false };
        let plain = Sent { status: 200, asked_with_authorization: false, vary: sent.vary.clone().filter(|it| it != "a b"), ..sent.clone() };
        prop_assert!(!headers.allow() || plain.ours().0);
    }

    #[test]
    fn a_normal_form_is_its_own_normal_form(name in prop::sample::select(vec!["accept", "accept-encoding", "accept-language", "x"]), value in "[a-cA-C*/;=q,\" \t0-1.\\\\-]{0,24}") {
        let normal = http::normalised(name, &value);
        prop_assert_eq!(http::normalised(name, &normal), normal);
    }

    #[test]
    fn the_order_of_preferences_does_not_matter(mut members in prop::collection::vec("[a-z]{1,3}(;q=0(\\.[0-9]{1,3})?)?", 1..6)) {
        let forward = http::normalised("accept-language", &members.join(", "));
        members.reverse();
        prop_assert_eq!(http::normalised("accept-language", &members.join(" ,")), forward);
    }

    #[test]
    fn a_vary_has_names_that_a_field_can_have(field in ".{0,24}") {
        if let Vary::Names(names) = Vary::read(&field) {
            prop_assert!(names.is_sorted() && names.iter().all(|it| ::http::HeaderName::from_bytes(it.as_bytes()).is_ok()));
        }
    }
}
