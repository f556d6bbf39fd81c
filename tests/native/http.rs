//! Edge cases of the HTTP clauses, as tables.

use xfetch_edge::core::{
    failure::{Failure, Reason},
    http::{self, CacheStatus, KeyedQuery, Method, Methods, Ranges, Status, StoringHeaders},
    time::{Instant, Span},
};

#[test]
fn a_structured_fields_integer_stays_in_its_range() {
    for (ttl, shown) in [
        (0, "0"),
        (-7, "-7"),
        (999_999_999_999_999, "999999999999999"),
        (i64::MAX, "999999999999999"),
        (i64::MIN, "-999999999999999"),
    ] {
        let field = CacheStatus::Hit { ttl, is_stale: false }.value();
        assert_eq!(field, format!("xfetch-edge; hit; ttl={shown}"));
    }
}

#[test]
fn if_none_match_matches_strong_and_weak_validators_and_a_star() {
    let tag = r#""abc""#;
    for field in [tag, "*", " * ", r#"W/"abc""#, r#""x", "abc""#, r#""x",W/"abc" , "y""#] {
        assert!(http::none_match_names(field, tag), "{field}");
    }
    for field in ["", "abc", r#""ab""#, r#"w/"abc""#, r#""x", "y""#, "**", r#"W/W/"abc""#] {
        assert!(!http::none_match_names(field, tag), "{field}");
    }
}

#[test]
fn only_json_in_utf_8_is_accepted_as_json() {
    for good in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json; profile=x; Charset=utf-8",
        "application/json; v",
        "application/problem+json",
        "application/vnd.api+json ; charset=utf-8",
    ] {
        assert!(http::is_json(good), "{good}");
    }
    for bad in [
        "",
        "text/json",
        "text/x+json",
        "application/jsonp",
        "application/xml",
        "application/",
        "json",
        "application/json; charset=latin-1",
        "application/json; charset",
        "application/json; charset=",
        "application/json; profile=x; charset=utf-16",
    ] {
        assert!(!http::is_json(bad), "{bad}");
    }
}

#[test]
fn list_members_are_matched_whole_and_in_any_case() {
    for field in ["a", "A", "x, a", "x;v=1 , A;b=c", "a;", ",a,"] {
        assert!(http::list_names(field, "a"), "{field}");
    }
    for field in ["", "ab", "x;a", "b a", "x=a"] {
        assert!(!http::list_names(field, "a"), "{field}");
    }
}

#[test]
fn a_response_is_storable_unless_one_of_three_headers_forbids_it() {
    let allow = |cache_control, vary, has_set_cookie| {
        StoringHeaders { cache_control, vary, has_set_cookie, is_personal: false }.allow()
    };
    assert!(allow(None, None, false));
    assert!(!allow(None, None, true));
    assert!(!allow(Some("max-age=1"), Some("accept"), true));
    for fine in [
        "public, max-age=60",
        "no-cache",
        "privates",
        "max-age=0, must-revalidate",
        "ext=\"a, no-store, b\"",
        "ext=\"a\\\", private, \\\" b\", public",
        "ext=\"\\\\\", public",
        "max-age=60; public",
        "ext=no-store",
        "",
    ] {
        assert!(allow(Some(fine), None, false), "{fine}");
    }
    for forbidden in [
        "no-store",
        "private",
        "No-Store",
        "public, PRIVATE",
        "private=\"set-cookie\"",
        " no-store , max-age=1",
        "ext=\"a\", private",
        "ext=\"a\\\"b\", no-store",
        "ext=\"\\\\\", private",
        "no-store=1",
        "no-store\"x\"",
        "ext=\\\"a, no-store, b\"",
        "\"no-store\"",
        "private:",
        "max-age=60\u{a0}private",
        "ext=\"a\"private",
        "no-store; max-age=0",
        "max-age=0;private",
        "private max-age=0",
        "max-age=0\tno-store",
        "ext=\"a, no-store",
        "ext=\"a, max-age=60",
        "ext=\"a\\\", no-store",
    ] {
        assert!(!allow(Some(forbidden), None, false), "{forbidden}");
    }
    for (vary, is_fine) in [
        ("accept", true),
        ("origin, accept", true),
        ("*", false),
        ("accept, *", false),
        ("\"*\"", false),
        ("accept *", false),
    ] {
        assert_eq!(allow(None, Some(vary), false), is_fine, "{vary}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_read_by_the_clock() {
    let now = Instant(1_795_000_000_000);
    for (field, wanted) in
        [("0", Some(0)), (" 17 ", Some(17_000)), ("-1", None), ("1.5", None), ("soon", None), ("", None)]
    {
        assert_eq!(http::retry_after(field, now), wanted.map(Span), "{field}");
    }
    assert_eq!(http::retry_after("18446744073709551615", now), Some(Span(u64::MAX)));
    // 2026-11-18 13:46:40 UTC is 1,795,009,600 s.
    let date = "Wed, 18 Nov 2026 13:46:40 GMT";
    assert_eq!(http::retry_after(date, Instant(1_795_009_570_000)), Some(Span(30_000)));
    assert_eq!(http::retry_after(date, Instant(1_795_009_700_000)), Some(Span::ZERO), "long past");
}

#[test]
fn an_origins_status_is_a_success_a_refusal_or_a_failure() {
    use Reason::{OriginBusy, OriginError, OriginRedirect, OriginUnauthorized, OriginUnexpectedStatus};
    for fine in [200, 201, 203, 299] {
        assert_eq!(http::status(fine, None), Status::Success, "{fine}");
    }
    for no in [400, 402, 404, 406, 409, 410, 422, 499] {
        assert_eq!(http::status(no, None), Status::Refusal, "{no}");
    }
    for (status, reason) in [
        (100, OriginUnexpectedStatus),
        (204, OriginUnexpectedStatus),
        (205, OriginUnexpectedStatus),
        (206, OriginUnexpectedStatus),
        (304, OriginUnexpectedStatus),
        (600, OriginUnexpectedStatus),
        (300, OriginRedirect),
        (302, OriginRedirect),
        (399, OriginRedirect),
        (401, OriginUnauthorized),
        (403, OriginUnauthorized),
        (407, OriginUnauthorized),
        (408, OriginBusy),
        (425, OriginBusy),
        (429, OriginBusy),
        (500, OriginError),
        (599, OriginError),
    ] {
        let retry_after = Some(Span(5));
        let failed = Status::Failure(Failure::Transient { reason, retry_after });
        assert_eq!(http::status(status, retry_after), failed, "{status}");
    }
}

#[test]
fn a_failure_gives_a_gateway_status_and_one_sentence() {
    for reason in Reason::ALL {
        let expected = match reason {
            Reason::OriginTimeout => 504,
            Reason::TooManyOriginCalls => 503,
            _ => 502,
        };
        assert_eq!(reason.status(), expected, "{reason:?}");
        let detail = reason.detail();
        assert!(detail.len() > 15 && detail.contains(' ') && detail.ends_with('.'), "{reason:?}: {detail}");
    }
}

#[test]
fn a_path_that_servers_may_read_differently_is_refused() {
    for (path, decoded) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a%20b", "/a b"),
        ("/%61%62", "/ab"),
        ("/a%2", "/a%2"),
        ("/a%zz", "/a%zz"),
        ("/a;b=1/c", "/a;b=1/c"),
        ("/a%2561", "/aa"),
        ("/...", "/..."),
        ("/.a", "/.a"),
        ("/%C3%A4", "/ä"),
    ] {
        assert_eq!(http::unambiguous(path).as_deref(), Some(decoded), "{path}");
    }
    for path in [
        "/a//b",
        "/a/../b",
        "/a/./b",
        "/..",
        "/.",
        "/..;x/b",
        "/a\\b",
        "/a\tb",
        "/a\x7fb",
        "/a%2fb",
        "/a%2Fb",
        "/a%3fb",
        "/a%23b",
        "/a%5cb",
        "/a%00",
        "/%2e%2e/b",
        "/%2E",
        "/a%252fb",
        "/a%25252561",
        "/%ff",
    ] {
        assert_eq!(http::unambiguous(path), None, "{path}");
    }
}

#[test]
fn a_path_that_a_lenient_server_takes_for_a_route_is_recognised() {
    for path in ["/a/b", "/A/B", "/a/b/", "/a/b//", "/a/b;x=1", "/a/b/;x"] {
        assert!(http::reads_as(path, "/a/b"), "{path}");
    }
    for path in ["/a", "/a/b/c", "/a/bb", "/", ""] {
        assert!(!http::reads_as(path, "/a/b"), "{path}");
    }
    for path in ["/a/b/c", "/A/B/c", "/a/b;x/c", "/a;x/b;y/c", "/a/b/c;x"] {
        assert!(http::reads_as(path, "/a/b/*"), "{path}");
    }
    for path in ["/a/bc/d", "/a/c;/b/d", "/a"] {
        assert!(!http::reads_as(path, "/a/b/*"), "{path}");
    }
}

#[test]
fn a_date_is_read_in_each_of_its_three_formats() {
    let at = |seconds: u64| Some(Instant(seconds * 1_000));
    let now = Instant(1_795_824_000_000);
    for (field, date) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", at(784_111_777)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", at(784_111_777)),
        ("Sun Nov  6 08:49:37 1994", at(784_111_777)),
        ("Wed Nov 16 08:49:37 1994", at(784_975_777)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", at(0)),
        ("Wed, 31 Dec 1969 23:59:59 GMT", at(0)),
        ("Mon, 01 Jan 0000 00:00:00 GMT", None),
        ("Tue, 29 Feb 2000 00:00:00 GMT", at(951_782_400)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", at(253_402_300_799)),
        ("Sat, 31 Dec 2016 23:59:60 GMT", at(1_483_228_800)),
    ] {
        assert_eq!(http::http_date(field, now), date, "{field}");
    }
}

#[test]
fn a_year_of_two_digits_lies_at_most_fifty_years_ahead() {
    let now = http::http_date("Sat, 28 Nov 2026 00:00:00 GMT", Instant::EPOCH).unwrap();
    for (short, whole) in [
        ("Friday, 27-Nov-76 00:00:00 GMT", "Fri, 27 Nov 2076 00:00:00 GMT"),
        ("Monday, 29-Nov-76 00:00:00 GMT", "Mon, 29 Nov 1976 00:00:00 GMT"),
        ("Friday, 01-Jan-99 00:00:00 GMT", "Fri, 01 Jan 1999 00:00:00 GMT"),
        ("Saturday, 01-Jan-00 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("Tuesday, 29-Feb-00 00:00:00 GMT", "Tue, 29 Feb 2000 00:00:00 GMT"),
    ] {
        assert_eq!(http::http_date(short, now), http::http_date(whole, now), "{short}");
    }
}

#[test]
fn what_is_no_date_is_refused() {
    for field in [
        "",
        "0",
        "-1",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Su, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 anF 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 1900 00:00:00 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37:00 GMT",
        "Sun, 06 Nov 1994 08:49:+7 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov 06 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Növ 1994 08:49:37 GMT",
        "Sun Növ  6 08:49:37 1994",
    ] {
        assert_eq!(http::http_date(field, Instant(1_795_824_000_000)), None, "{field}");
    }
}

#[test]
fn equivalent_escapes_have_one_spelling() {
    for (given, plain) in [
        ("/a/b", "/a/b"),
        ("/%61%2d%5F%7e", "/a-_~"),
        ("/a%2fb%2Fc", "/a%2Fb%2Fc"),
        ("/%c3%a9", "/%C3%A9"),
        ("/100%", "/100%25"),
        ("/%zz%4", "/%25zz%254"),
        ("/%%41b", "/%25Ab"),
        ("/é%é", "/é%25é"),
    ] {
        assert_eq!(http::plain_escapes(given), plain, "{given}");
    }
}

#[test]
fn keyed_parameters_are_sorted_and_others_refused_or_dropped() {
    let names = KeyedQuery::Names(vec!["page".to_owned(), "größe".to_owned()]);
    for (query, keyed, drops, canonical) in [
        ("", &KeyedQuery::All, false, Ok("")),
        ("b=2&a=1", &KeyedQuery::All, false, Ok("?a=1&b=2")),
        ("a=2&b=1&a=1", &KeyedQuery::All, false, Ok("?a=2&a=1&b=1")),
        ("&&a=1&&", &KeyedQuery::All, false, Ok("?a=1")),
        ("a&a=&%61=%7e", &KeyedQuery::All, false, Ok("?a&a=&a=~")),
        ("", &KeyedQuery::None, false, Ok("")),
        ("a=1", &KeyedQuery::None, false, Err("a")),
        ("a=1", &KeyedQuery::None, true, Ok("")),
        ("page=2", &names, false, Ok("?page=2")),
        ("p%61ge=2", &names, false, Ok("?page=2")),
        ("gr%C3%B6%c3%9fe=1&page=2", &names, false, Ok("?gr%C3%B6%C3%9Fe=1&page=2")),
        ("page=2&utm_source=x", &names, false, Err("utm_source")),
        ("page=2&utm_source=x&PAGE=3", &names, true, Ok("?page=2")),
        ("utm=1;page=2", &names, false, Err("utm")),
    ] {
        let read = http::canonical_query(query, keyed, drops);
        assert_eq!(read, canonical.map(str::to_owned).map_err(str::to_owned), "{query}");
    }
}

#[test]
fn ranges_are_read_as_the_rfc_says() {
    let parts = |parts: &[(usize, usize)]| Ranges::Parts(parts.iter().map(|(from, to)| *from..*to).collect());
    for (field, length, read) in [
        ("bytes=0-3", 10, parts(&[(0, 4)])),
        ("bytes=4-", 10, parts(&[(4, 10)])),
        ("bytes=-3", 10, parts(&[(7, 10)])),
        ("bytes=-30", 10, parts(&[(0, 10)])),
        ("bytes=8-99999999999999999999999999", 10, parts(&[(8, 10)])),
        ("Bytes= 0-0 , 9-9", 10, parts(&[(0, 1), (9, 10)])),
        ("bytes=9-9,0-0", 10, parts(&[(9, 10), (0, 1)])),
        ("bytes=0-1,20-30", 10, parts(&[(0, 2)])),
        ("bytes=10-", 10, Ranges::Unsatisfiable),
        ("bytes=-0", 10, Ranges::Unsatisfiable),
        ("bytes=0-", 0, Ranges::Unsatisfiable),
        ("bytes=0-5,3-8", 10, Ranges::Whole),
        ("bytes=3-2", 10, Ranges::Whole),
        ("bytes=-", 10, Ranges::Whole),
        ("bytes=", 10, Ranges::Whole),
        ("bytes=a-b", 10, Ranges::Whole),
        ("bytes=0-1,x", 10, Ranges::Whole),
        ("bytes=+1-2", 10, Ranges::Whole),
        ("lines=0-1", 10, Ranges::Whole),
        ("bytes", 10, Ranges::Whole),
        ("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", 10, Ranges::Whole),
    ] {
        assert_eq!(http::ranges(field, length), read, "{field}");
    }
}

#[test]
fn dates_and_validators_decide_over_copies_and_parts() {
    let now = Instant(1_795_824_000_000);
    let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
    assert!(http::is_unmodified_since(date, date, now));
    assert!(http::is_unmodified_since(later, date, now));
    assert!(http::is_unmodified_since("Sunday, 06-Nov-94 08:49:37 GMT", date, now));
    assert!(!http::is_unmodified_since(date, later, now));
    assert!(!http::is_unmodified_since("yesterday", date, now));
    assert!(!http::is_unmodified_since(date, "yesterday", now));
    assert!(http::range_applies("\"a\"", "\"a\"", None));
    assert!(!http::range_applies("\"b\"", "\"a\"", None));
    assert!(!http::range_applies("W/\"a\"", "W/\"a\"", None), "a weak validator names no bytes");
    assert!(http::range_applies(date, "\"a\"", Some(date)));
    assert!(!http::range_applies(later, "\"a\"", Some(date)));
    assert!(!http::range_applies(date, "\"a\"", None));
}

#[test]
fn a_type_matches_its_patterns() {
    for (content_type, pattern, matches) in [
        ("application/json", "application/json", true),
        ("application/problem+json", "application/json", true),
        ("application/json; charset=latin-1", "application/json", false),
        ("text/html; charset=utf-8", "text/html", true),
        ("Text/HTML", "text/*", true),
        ("text/html", "text/plain", false),
        ("textual/html", "text/*", false),
        ("image/png", "*/*", true),
        ("", "*/*", true),
        ("", "text/*", false),
    ] {
        assert_eq!(http::matches_type(content_type, pattern), matches, "{content_type} {pattern}");
    }
}

#[test]
fn query_and_post_share_their_entries_where_a_route_has_both() {
    let (post, both) =
        (Methods { get: false, query: true, post: false }, Methods { get: true, query: true, post: true });
    assert_eq!((post.keyed(Method::Query), both.keyed(Method::Query)), (Method::Query, Method::Post));
    assert_eq!((both.keyed(Method::Post), both.keyed(Method::Get)), (Method::Post, Method::Get));
    assert!(both.contain(Method::Get) && !post.contain(Method::Post));
}

fn fields(pairs: &[(&str, &str)]) -> http::Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn fields_of_one_connection_are_not_sent_on() {
    let told = fields(&[
        ("connection", "close, X-Hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("x-own", "2"),
        ("transfer-encoding", "chunked"),
    ]);
    assert_eq!(http::end_to_end(told.clone()), fields(&[("x-own", "2")]));
    let mut asked = told;
    for name in
        ["host", "range", "if-none-match", "if-modified-since", "content-length", "cdn-loop", "expect"]
    {
        asked.push((name.to_owned(), "x".to_owned()));
    }
    asked.push(("accept-encoding".to_owned(), "gzip".to_owned()));
    assert_eq!(http::to_origin(asked), fields(&[("x-own", "2"), ("accept-encoding", "gzip")]));
}

#[test]
fn a_decoded_answer_loses_its_coding_and_the_strength_of_its_validator() {
    for (coding, etag, kept, told) in [
        ("gzip", "\"a\"", false, "W/\"a\""),
        ("br", "\"a\"", false, "W/\"a\""),
        ("GZIP", "\"a\"", true, "\"a\""),
        ("deflate", "\"a\"", true, "\"a\""),
        ("gzip, br", "\"a\"", true, "\"a\""),
        ("gzip", "W/\"a\"", false, "W/\"a\""),
        ("x-own", "\"a\"", true, "\"a\""),
        ("gzip, x-own", "\"a\"", true, "\"a\""),
    ] {
        let answer = fields(&[("content-encoding", coding), ("content-length", "9"), ("etag", etag)]);
        let stored = http::to_keep(answer);
        assert_eq!(http::value(&stored, "content-encoding").is_some(), kept, "{coding}");
        assert_eq!(http::value(&stored, "etag"), Some(told), "{coding}");
        assert_eq!(http::value(&stored, "content-length"), None);
    }
}

#[test]
fn a_304_replaces_the_fields_that_it_names() {
    let stored = fields(&[("a", "1"), ("b", "2"), ("etag", "\"v\"")]);
    let mut updated = http::updated(&stored, fields(&[("b", "3"), ("c", "4")]));
    updated.sort();
    assert_eq!(updated, fields(&[("a", "1"), ("b", "3"), ("c", "4"), ("etag", "\"v\"")]));
    // The body was decoded, so its validator stays weak.
    let decoded = fields(&[("etag", "W/\"v\"")]);
    assert_eq!(http::updated(&decoded, fields(&[("etag", "\"v\"")])), decoded);
    assert_eq!(http::updated(&decoded, fields(&[("etag", "\"w\"")])), fields(&[("etag", "\"w\"")]));
}

#[test]
fn only_an_unsafe_request_that_succeeds_invalidates() {
    for (method, status, does) in [
        ("POST", 201, true),
        ("PUT", 204, true),
        ("DELETE", 303, true),
        ("UNKNOWN", 200, true),
        ("POST", 404, false),
        ("POST", 500, false),
        ("GET", 200, false),
        ("HEAD", 200, false),
        ("QUERY", 200, false),
        ("OPTIONS", 200, false),
    ] {
        assert_eq!(http::invalidates(method, status), does, "{method} {status}");
    }
}

#[test]
fn a_reference_invalidates_on_its_own_origin_only() {
    let origin = "https://api.example";
    for (reference, target) in [
        ("/a?b=c#d", Some("/a?b=c")),
        ("https://api.example/a", Some("/a")),
        ("https://api.example", Some("/")),
        ("https://api.example?x", Some("/?x")),
        ("https://api.example.evil/a", None),
        ("https://api.example:8443/a", None),
        ("https://api.example@evil/a", None),
        ("https://other.example/a", None),
        ("http://api.example/a", None),
        ("//other.example/a", None),
        ("mailto:a@b", None),
        ("", Some("/own/page?q=1")),
        ("?q=2", Some("/own/page?q=2")),
        ("other", Some("/own/other")),
    ] {
        assert_eq!(http::same_origin(reference, origin, "/own/page?q=1").as_deref(), target, "{reference}");
    }
}

#[test]
fn a_comma_within_a_validator_does_not_end_it() {
    assert!(http::none_match_names("\"x\", \"a,b\"", "\"a,b\""));
    assert!(http::none_match_names("W/\"a\"", "\"a\""));
    assert!(http::none_match_names("\"a\"", "W/\"a\""), "the comparison is weak");
    assert!(!http::none_match_names("\"a", "\"a,b\""));
    assert!(!http::none_match_names("\"b\"", "\"a,b\""));
}

#[test]
fn a_status_is_an_answer_where_the_origin_decides() {
    for status in [200, 204, 206, 301, 404, 451, 500, 503, 599] {
        assert_eq!(http::status_of_origin(status, false), Status::Success, "{status}");
    }
    assert_eq!(http::status_of_origin(304, true), Status::Success);
    for status in [100, 304, 600, 999] {
        assert!(matches!(http::status_of_origin(status, false), Status::Failure(_)), "{status}");
    }
}
