//! The settings at the ends of their ranges, and refused values, for which the error names the setting.

use serde_json::{Map, Value, json};
use xfetch_edge::{
    core::{
        body_fields::{BodyFields, Pointer},
        config::{Beta, Config, Credentials, Origin, OriginPolicy, OriginUrl},
        http::{KeyedQuery, Methods},
        time::Span,
    },
    protocol::{lease, message::Message},
};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// A minimal valid configuration, with these settings added or replaced.
fn vars(more: Value) -> Map<String, Value> {
    let mut vars = object(json!({ "ORIGIN_URL": "https://api.example", "ROUTES": [{ "path": "/a" }] }));
    vars.extend(object(more));
    vars
}

fn good(more: Value) -> Config {
    let shown = more.to_string();
    Config::parse(&vars(more), false).unwrap_or_else(|refused| panic!("{shown}: {refused}"))
}

/// The name of the refused setting.
fn refused(more: Value) -> String {
    let shown = more.to_string();
    match Config::parse(&vars(more), false) {
        Ok(_) => panic!("{shown} was taken"),
        Err(refused) => {
            assert!(refused.allowed.len() > 10, "{shown}: {refused}");
            refused.setting
        }
    }
}

fn route(more: Value) -> Value {
    let mut table = object(json!({ "path": "/a" }));
    table.extend(object(more));
    json!({ "ROUTES": [table] })
}

#[test]
fn a_minimal_configuration_has_the_documented_defaults() {
    let config = good(json!({}));
    assert!(matches!(&config.origin, Origin::Url(url) if url.as_str() == "https://api.example"));
    assert_eq!(config.cache_version, "1");
    assert_eq!((config.page, config.development), (false, false));
    assert_eq!(config.flush_interval, Span(10_000));
    assert_eq!(config.memory_bytes, 33_554_432);
    assert_eq!((config.location_hint, config.secrets.admin_token), (None, None));
    assert!(
        config.forward.is_empty()
            && config.cors_origins.is_empty()
            && config.secrets.origin_headers.is_empty()
    );
    let route = &config.routes[0];
    assert_eq!((route.path.as_str(), &route.fields), ("/a", &BodyFields::All));
    assert!(route.headers.is_empty());
    assert_eq!(
        (route.credentials, &route.credential_headers[..]),
        (Credentials::Bypass, &["x-api-key".to_owned()][..])
    );
    assert_eq!(route.lifetime.ttl, Span(300_000));
    assert_eq!(route.lifetime.stale_while_revalidate, Span(3_600_000));
    assert_eq!(route.lifetime.stale_if_error, Span(86_400_000));
    assert_eq!(route.beta, Beta::Auto { late_share: 0.01, max_beta: 6.0 });
    assert!((route.early_window - 0.5).abs() < 1e-12);
    assert_eq!((route.origin_timeout, route.negative_ttl), (Span(15_000), Span::ZERO));
    assert_eq!((route.max_request, route.max_response), (65_536, 1_048_576));
    assert_eq!((route.max_waiters, route.max_origin_calls), (1_000, 50));
    assert_eq!(route.cache_control.as_deref(), Some("no-cache"));
    assert_eq!(route.lease(), Span(20_000));
    assert_eq!(route.patience(), Span(40_000));
}

#[test]
fn a_header_named_twice_is_keyed_once_and_the_order_stays() {
    let config =
        good(route(json!({ "headers": ["X-B", "x-a", "x-b"], "credential_headers": ["X-Key", "x-key"] })));
    assert_eq!(config.routes[0].headers, ["x-b", "x-a"]);
    assert_eq!(config.routes[0].credential_headers, ["x-key"]);
}

#[test]
fn a_first_wait_never_exceeds_the_patience() {
    let config = good(route(json!({ "origin_timeout": 0.1 })));
    let sleep = lease::time_limit(&Message::Wait { seen: 0, max_waiters: 1 });
    assert!(sleep < config.routes[0].patience());
}

#[test]
fn numbers_are_taken_up_to_both_ends_of_their_range_and_no_further() {
    for (name, least, most) in [
        ("ttl", 0.1, 31_536_000.0),
        ("stale_while_revalidate", 0.0, 31_536_000.0),
        ("stale_if_error", 0.0, 31_536_000.0),
        ("beta", 0.01, 100.0),
        ("late_share", 0.000_1, 0.5),
        ("max_beta", 0.1, 100.0),
        ("early_window", 0.01, 1.0),
        ("origin_timeout", 0.1, 20.0),
        ("max_request", 1.0, 262_144.0),
        ("max_response", 1.0, 1_048_576.0),
        ("negative_ttl", 0.0, 86_400.0),
        ("max_waiters", 1.0, 10_000.0),
        ("max_origin_calls", 1.0, 1_000.0),
    ] {
        for fine in [least, most] {
            good(route(json!({ name: fine })));
        }
        for wrong in
            [json!(least - 0.000_05), json!(most * 1.000_01), json!(-1), json!("1"), json!(null), json!([])]
        {
            assert_eq!(refused(route(json!({ name: wrong }))), format!("ROUTES[0].{name}"), "{wrong}");
        }
    }
    for name in ["max_request", "max_response", "max_waiters", "max_origin_calls"] {
        assert_eq!(refused(route(json!({ name: 1.5 }))), format!("ROUTES[0].{name}"));
    }
    for (name, least, most) in [("FLUSH_INTERVAL", 0.1, 20.0), ("MEMORY_BYTES", 65_536.0, 67_108_864.0)] {
        for fine in [json!(least), json!(most), json!(least.to_string()), json!(most.to_string())] {
            good(json!({ name: fine }));
        }
        for wrong in [json!(least * 0.99), json!(most * 1.01), json!("much"), json!(""), json!(true)] {
            assert_eq!(refused(json!({ name: wrong })), name, "{wrong}");
        }
    }
}

#[test]
fn configured_numbers_have_their_documented_units() {
    let config = good(json!({
        "FLUSH_INTERVAL": 1.5,
        "MEMORY_BYTES": "100000",
        "CACHE_VERSION": "7",
        "PAGE": "true",
        "DEVELOPMENT": false,
        "LOCATION_HINT": "weur",
        "ROUTES": [{ "path": "/a", "ttl": 0.25, "stale_while_revalidate": 1, "stale_if_error": 2, "beta": 2.5, "early_window": 0.75,
            "origin_timeout": 3, "max_request": 10, "max_response": 20, "negative_ttl": 4, "max_waiters": 30, "max_origin_calls": 40,
            "credentials": "refuse", "credential_headers": ["X-Key"], "headers": ["X-Lang"], "fields": ["a", "b"], "methods": ["POST"],
            "cache_control": "max-age=1, private", "description": "any words" }],
    }));
    assert_eq!((config.flush_interval, config.memory_bytes), (Span(1_500), 100_000));
    assert_eq!((config.cache_version.as_str(), config.page, config.development), ("7", true, false));
    assert_eq!(config.location_hint.as_deref(), Some("weur"));
    let route = &config.routes[0];
    assert_eq!(route.lifetime.ttl, Span(250));
    assert_eq!(route.lifetime.stale_while_revalidate, Span(1_000));
    assert_eq!(route.lifetime.stale_if_error, Span(2_000));
    assert_eq!(route.beta, Beta::Fixed(2.5));
    assert!((route.early_window - 0.75).abs() < 1e-12);
    assert_eq!((route.origin_timeout, route.negative_ttl), (Span(3_000), Span(4_000)));
    assert_eq!(
        (route.max_request, route.max_response, route.max_waiters, route.max_origin_calls),
        (10, 20, 30, 40)
    );
    assert_eq!(route.credentials, Credentials::Refuse);
    assert_eq!((&route.credential_headers[0][..], &route.headers[0][..]), ("x-key", "x-lang"));
    let named = ["a", "b"].map(|name| Pointer::parse(name).unwrap());
    assert_eq!(route.fields, BodyFields::Only(named.to_vec()));
    assert_eq!(route.cache_control.as_deref(), Some("max-age=1, private"));
}

#[test]
fn texts_and_lists_are_accepted_or_refused_by_name() {
    let many = |count: usize| (0..count).map(|it| json!(format!("x{it}"))).collect::<Vec<_>>();
    for fine in [
        json!({ "credentials": "bypass" }),
        json!({ "credentials": "ignore" }),
        json!({ "beta": "auto" }),
        json!({ "fields": many(100) }),
        json!({ "headers": many(20) }),
        json!({ "headers": [format!("x{}", "a".repeat(127)), "x_1-b"] }),
        json!({ "credential_headers": [] }),
        json!({ "credential_headers": ["accept"] }),
        json!({ "cache_control": "x".repeat(256) }),
        json!({ "origin": "https://other.example" }),
    ] {
        good(route(fine));
    }
    for (name, wrong) in [
        ("credentials", json!("drop")),
        ("credentials", json!("")),
        ("credentials", json!(1)),
        ("beta", json!("Auto")),
        ("beta", json!(true)),
        ("fields", json!([])),
        ("fields", json!(many(101))),
        ("fields", json!([1])),
        ("fields", json!({})),
        ("fields", json!([""])),
        ("fields", json!(["/a~2"])),
        ("ignore", json!([])),
        ("ignore", json!("user")),
        ("ignore", json!(["/~"])),
        ("headers", json!(many(21))),
        ("headers", json!(["accept"])),
        ("headers", json!(["Content-Type"])),
        ("headers", json!([""])),
        ("headers", json!(["a b"])),
        ("headers", json!(["a:b"])),
        ("headers", json!(["x".repeat(129)])),
        ("headers", json!("x-lang")),
        ("credential_headers", json!(["ü"])),
        ("methods", json!(["PUT"])),
        ("methods", json!(["post"])),
        ("methods", json!(["POST", "POST"])),
        ("methods", json!("GET")),
        ("methods", json!([])),
        ("policy", json!("")),
        ("policy", json!("browser")),
        ("request_directives", json!("honor")),
        ("pass_ttl", json!(-1)),
        ("pass_ttl", json!(3_601)),
        ("body", json!("text")),
        ("body", json!(1)),
        ("forward", json!("all")),
        ("heuristic", json!(0.1)),
        ("heuristic_most", json!(60)),
        ("max_variants", json!(8)),
        ("credentials", json!("origin")),
        ("query", json!("some")),
        ("query", json!([])),
        ("query", json!([""])),
        ("query", json!([1])),
        ("query_other", json!("keep")),
        ("query_other", json!(true)),
        ("content_types", json!([])),
        ("content_types", json!("text/plain")),
        ("content_types", json!(["text"])),
        ("content_types", json!(["*/json"])),
        ("content_types", json!(["text/html; charset=utf-8"])),
        ("cache_control", json!("x".repeat(257))),
        ("cache_control", json!("a\nb")),
        ("cache_control", json!("\u{7f}")),
        ("origin", json!("http://other.example")),
        ("origin", json!("")),
        ("unknown", json!(1)),
    ] {
        assert_eq!(refused(route(json!({ name: wrong.clone() }))), format!("ROUTES[0].{name}"), "{wrong}");
    }
}

#[test]
fn route_paths_are_plain_and_unique() {
    for fine in
        ["/a", "/api/v1/brain/calculate", "/a-b_c.d~e", "/a:b@c!d$e&f'g(h)i*j+k,l=m", "/_x", "/...", "/.a"]
    {
        let config = good(json!({ "ROUTES": [{ "path": fine }] }));
        assert_eq!(config.place(fine), Some(0));
    }
    for wrong in [
        "",
        "a",
        "/",
        "/a/",
        "//a",
        "/a//b",
        "/a/../b",
        "/./a",
        "/a?b",
        "/a#b",
        "/a%20",
        "/a b",
        "/ä",
        "/_xfetch",
        "/_xfetch/a",
        "/a;b",
        "/a\\b",
    ] {
        assert_eq!(refused(json!({ "ROUTES": [{ "path": wrong }] })), "ROUTES[0].path", "{wrong}");
    }
    for wrong in [json!([]), json!({}), json!("x"), json!([1]), json!(vec![json!({ "path": "/a" }); 101])] {
        assert!(refused(json!({ "ROUTES": wrong })).starts_with("ROUTES"), "{wrong}");
    }
    assert_eq!(refused(json!({ "ROUTES": [{ "path": "/a" }, { "path": "/a" }] })), "ROUTES[1].path");
    let most: Vec<_> = (0..100).map(|it| json!({ "path": format!("/a{it}") })).collect();
    let config = good(json!({ "ROUTES": Value::Array(most).to_string() }));
    assert_eq!((config.place("/a0"), config.place("/a99"), config.place("/a100")), (Some(0), Some(99), None));
    assert_eq!(config.route("/a7").map(|route| route.path.as_str()), Some("/a7"));
    assert_eq!(config.place("/A7"), None, "no other spelling");
}

#[test]
fn a_prefix_is_forwarded_by_whole_segments() {
    let config = good(json!({ "FORWARD": ["/open", "/tree/"] }));
    for path in ["/open", "/open/", "/open/x", "/tree/", "/tree/x/y"] {
        assert!(config.is_forwarded(path), "{path}");
    }
    for path in ["/", "/opening", "/ope", "/tree", "/a", "/x/open"] {
        assert!(!config.is_forwarded(path), "{path}");
    }
    for wrong in ["/", "open", "/_xfetch", "/_xfetch/x", "/a//b", "/a?b", ""] {
        assert_eq!(refused(json!({ "FORWARD": ["/fine", wrong] })), "FORWARD", "{wrong}");
    }
    assert_eq!(refused(json!({ "FORWARD": "/open" })), "FORWARD");
}

#[test]
fn cors_origins_are_web_origins() {
    let config = good(
        json!({ "CORS_ORIGINS": ["*", "https://app.example", "http://localhost:8080", "https://[::1]:1"] }),
    );
    assert_eq!(config.cors_origins.len(), 4);
    assert_eq!(good(json!({ "CORS_ORIGINS": "*" })).cors_origins, ["*"]);
    assert_eq!(good(json!({ "CORS_ORIGINS": "https://app.example" })).cors_origins, ["https://app.example"]);
    assert_eq!(refused(json!({ "CORS_ORIGINS": "" })), "CORS_ORIGINS");
    for wrong in [
        "",
        "app.example",
        "https:",
        "https://",
        "https:/app",
        "ftp://a",
        "https://a/",
        "https://a b",
        "https://a?b",
        "null",
    ] {
        assert_eq!(
            refused(json!({ "CORS_ORIGINS": ["https://fine.example", wrong] })),
            "CORS_ORIGINS",
            "{wrong}"
        );
    }
}

#[test]
fn secrets_are_long_enough_and_never_shown() {
    for fine in ["x".repeat(16), "~".repeat(512)] {
        assert_eq!(good(json!({ "ADMIN_TOKEN": fine.clone() })).secrets.admin_token, Some(fine));
    }
    assert_eq!(good(json!({ "ADMIN_TOKEN": "" })).secrets.admin_token, None);
    for wrong in
        ["x".repeat(15), "x".repeat(513), format!("secret secret {}", "x".repeat(16)), "ü".repeat(16)]
    {
        let error = Config::parse(&vars(json!({ "ADMIN_TOKEN": wrong.clone() })), false).expect_err(&wrong);
        assert_eq!(error.setting, "ADMIN_TOKEN");
        assert!(!error.to_string().contains(&wrong[..8]), "{error}");
    }
    assert_eq!(refused(json!({ "ADMIN_TOKEN": 12_345_678_901_234_567_u64 })), "ADMIN_TOKEN");

    let headers = |value: Value| good(json!({ "ORIGIN_HEADERS": value })).secrets.origin_headers;
    assert!(headers(json!("")).is_empty());
    assert!(headers(json!("{}")).is_empty());
    let kept = [("authorization".to_owned(), "Bearer x".to_owned())];
    assert_eq!(headers(json!({ "Authorization": "Bearer x" })), kept);
    assert_eq!(headers(json!(r#"{"Authorization":"Bearer x"}"#)), kept);
    for wrong in [
        json!("Bearer x"),
        json!([]),
        json!({ "host": "x" }),
        json!({ "Accept": "x" }),
        json!({ "a b": "x" }),
        json!({ "": "x" }),
        json!({ "x-key": 1 }),
        json!({ "x-key": "secret\r\nx: y" }),
        json!({ "x-key": "secret\u{7f}" }),
    ] {
        let error = Config::parse(&vars(json!({ "ORIGIN_HEADERS": wrong.clone() })), false)
            .expect_err("it is refused");
        assert_eq!(error.setting, "ORIGIN_HEADERS", "{wrong}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn other_settings_are_refused_by_name() {
    for (name, wrong) in [
        ("LOCATION_HINT", json!("mars")),
        ("LOCATION_HINT", json!("")),
        ("CACHE_VERSION", json!("")),
        ("CACHE_VERSION", json!(1)),
        ("PAGE", json!("yes")),
        ("DEVELOPMENT", json!(1)),
        ("ORIGIN_URL", json!("")),
        ("ORIGIN_URL", json!(1)),
    ] {
        assert_eq!(refused(json!({ name: wrong.clone() })), name, "{wrong}");
    }
    for hint in ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"] {
        assert_eq!(good(json!({ "LOCATION_HINT": hint })).location_hint.as_deref(), Some(hint));
    }
}

#[test]
fn a_refused_setting_gives_a_short_error_with_name_value_and_range() {
    let long = "x".repeat(500);
    let error = Config::parse(&vars(route(json!({ "ttl": long }))), false).expect_err("it is refused");
    assert_eq!(error.setting, "ROUTES[0].ttl");
    assert!(error.value.ends_with('…') && error.value.chars().count() == 81, "{}", error.value);
    assert_eq!(error.allowed, "a number of seconds from 0.1 to 31536000");
    let missing =
        Config::parse(&object(json!({ "ORIGIN_URL": "https://api.example" })), false).expect_err("no route");
    assert_eq!((missing.setting.as_str(), missing.value.as_str()), ("ROUTES", "missing"));
    // Of several mistakes the first is reported.
    assert_eq!(refused(json!({ "FORWARD": ["x"], "CORS_ORIGINS": ["x"] })), "FORWARD");
}

#[test]
fn a_binding_takes_precedence_over_a_url_and_a_routes_own_origin_over_both() {
    let with_own = vars(route(json!({ "origin": "https://own.example/" })));
    let config = Config::parse(&with_own, true).expect("it is good");
    assert_eq!(config.origin, Origin::Binding);
    assert_eq!(config.origin_of(None), None);
    let own = config.origin_of(Some(&config.routes[0])).map(OriginUrl::as_str);
    assert_eq!(own, Some("https://own.example"));
    let config = good(json!({}));
    for route in [None, Some(&*config.routes[0])] {
        assert_eq!(config.origin_of(route).map(OriginUrl::as_str), Some("https://api.example"));
    }
    let mut without = vars(json!({}));
    without.remove("ORIGIN_URL");
    assert!(Config::parse(&without, true).is_ok());
    assert_eq!(Config::parse(&without, false).expect_err("no origin").setting, "ORIGIN_URL");
}

/// The normalised origin URL; `None` if it is refused.
fn taken(url: &str, development: bool) -> Option<String> {
    let vars = vars(json!({ "ORIGIN_URL": url, "DEVELOPMENT": development }));
    Config::parse(&vars, false).ok().map(|config| match config.origin {
        Origin::Url(url) => url.as_str().to_owned(),
        Origin::Binding => panic!("there is none"),
    })
}

#[test]
fn an_origin_is_a_public_host_by_https() {
    for (url, normal) in [
        ("https://api.example", "https://api.example"),
        ("https://API.Example/", "https://api.example"),
        ("https://api.example.", "https://api.example."),
        ("https://api.example:8443", "https://api.example:8443"),
        ("https://8.8.8.8", "https://8.8.8.8"),
        ("https://100.63.0.1", "https://100.63.0.1"),
        ("https://100.128.0.1", "https://100.128.0.1"),
        ("https://198.17.0.1", "https://198.17.0.1"),
        ("https://198.20.0.1", "https://198.20.0.1"),
        ("https://192.1.0.1", "https://192.1.0.1"),
        ("https://[2606:4700::1111]:1", "https://[2606:4700::1111]:1"),
        ("https://[2001:4860::8888]", "https://[2001:4860::8888]"),
        ("https://[2606:db8::1]", "https://[2606:db8::1]"),
        ("https://a_b.example", "https://a_b.example"),
        ("https://0xyz.example0", "https://0xyz.example0"),
    ] {
        assert_eq!(taken(url, false).as_deref(), Some(normal), "{url}");
    }
    let label = |length| format!("https://{}.example", "a".repeat(length));
    let name = |length: usize| format!("https://{}example", "a.".repeat((length - 7) / 2));
    assert!(taken(&label(63), false).is_some() && taken(&name(253), false).is_some());
    let (long_label, long_name) = (label(64), name(255));
    let longer_by_one = name(253).replace("example", "examples");
    for url in [
        "api.example",
        "https:api.example",
        "https:/api.example",
        "https://",
        "https:///",
        "ftp://api.example",
        "http://api.example",
        "https://user@api.example",
        "https://api.example/path",
        "https://api.example?x",
        "https://api.example#x",
        "https://api.example\\x",
        "https://api..example",
        "https://.example",
        "https://api.example:0",
        "https://api.example:65536",
        "https://api.example:",
        "https://api.example:+1",
        "https://api example",
        "https://ä.example",
        "https://1",
        "https://0x7f000001",
        "https://1.2.3",
        "https://1.2.3.4.5",
        "https://a.0x1f",
        "https://localhost",
        "https://x.localhost",
        "https://127.0.0.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://10.0.0.1",
        "https://172.16.0.1",
        "https://192.168.0.1",
        "https://169.254.169.254",
        "https://0.0.0.0",
        "https://0.1.2.3",
        "https://255.255.255.255",
        "https://224.0.0.1",
        "https://240.0.0.1",
        "https://250.0.0.1",
        "https://192.0.2.1",
        "https://192.0.0.1",
        "https://203.0.113.1",
        "https://100.64.0.1",
        "https://100.127.255.255",
        "https://198.18.0.1",
        "https://198.19.255.255",
        "https://a.internal",
        "https://a.local",
        "https://local",
        "https://[fc00::1]",
        "https://[fe80::1]",
        "https://[ff02::1]",
        "https://[::]",
        "https://[2002::1]",
        "https://[2001::1]",
        "https://[2001:db8::1]",
        "https://[64:ff9b::1]",
        "https://[::1",
        "https://[2606:4700::1111]x",
        "https://[2606:4700::1111]:0",
        "https://[api.example]",
        &long_label,
        &long_name,
        &longer_by_one,
    ] {
        assert_eq!(taken(url, false), None, "{url}");
    }
}

#[test]
fn an_origin_in_development_may_be_loopback_and_no_origin_shows_its_secrets() {
    for url in ["http://localhost:8788", "http://127.0.0.1:1", "https://[::1]", "http://x.localhost"] {
        assert!(taken(url, true).is_some(), "{url}, in development");
    }
    for url in ["http://api.example", "http://10.0.0.1", "https://10.0.0.1", "ftp://localhost"] {
        assert_eq!(taken(url, true), None, "{url}, in development");
    }
    let error = Config::parse(&vars(json!({ "ORIGIN_URL": "https://me:secret@api.example" })), false)
        .expect_err("a secret");
    assert!(!error.to_string().contains("secret@"), "{error}");
}

#[test]
fn fields_and_ignore_exclude_each_other() {
    let metadata = Pointer::parse("/metadata").unwrap();
    assert_eq!(
        good(route(json!({ "ignore": ["/metadata"] }))).routes[0].fields,
        BodyFields::AllBut(vec![metadata])
    );
    assert_eq!(refused(route(json!({ "fields": ["a"], "ignore": ["b"] }))), "ROUTES[0].ignore");
    assert_eq!(refused(route(json!({ "body": "raw", "ignore": ["b"] }))), "ROUTES[0].ignore");
    assert_eq!(refused(route(json!({ "body": "raw", "fields": ["b"] }))), "ROUTES[0].fields");
    let raw = good(route(json!({ "body": "raw", "headers": ["x-a"] }))).routes[0].clone();
    assert_eq!((raw.is_raw, raw.headers.len()), (true, 2));
    assert_eq!(raw.headers, ["x-a", "content-type"]);
}

#[test]
fn what_the_origin_decides_has_its_own_settings_and_defaults() {
    let policy = |change: Value| good(route(change)).routes[0].origin_policy().cloned();
    assert_eq!(policy(json!({})), None);
    assert_eq!(policy(json!({ "policy": "route" })), None);
    assert_eq!(policy(json!({ "methods": ["GET"] })), Some(OriginPolicy::default()));
    assert_eq!(policy(json!({ "policy": "origin" })), Some(OriginPolicy::default()));
    let all = json!({
        "methods": ["GET"], "ttl": 60, "stale_while_revalidate": 0, "stale_if_error": 30, "heuristic": 0,
        "heuristic_most": 10, "forward": "all", "max_variants": 2, "credentials": "origin",
    });
    assert_eq!(
        refused(route(all.clone())),
        "DIGEST_SECRET",
        "a key that varies by a credential holds its digest"
    );
    let mut all = route(all);
    all["DIGEST_SECRET"] = json!("0123456789abcdef0123456789abcdef");
    let read = good(all).routes[0].clone();
    let expected = OriginPolicy {
        most_fresh: Some(Span(60_000)),
        stale_while_revalidate: Some(Span::ZERO),
        stale_if_error: Some(Span(30_000)),
        heuristic: 0.0,
        heuristic_most: Span(10_000),
        forwards_all: true,
        max_variants: 2,
    };
    assert_eq!(read.origin_policy(), Some(&expected));
    assert_eq!(read.credentials, Credentials::Origin);
    assert_eq!(read.content_types, ["*/*"]);
    assert_eq!(read.cache_control, None, "the origin's");
    let named = json!({ "policy": "origin", "content_types": ["text/html"], "cache_control": "no-store" });
    let named = good(route(named)).routes[0].clone();
    assert_eq!((named.content_types.len(), named.cache_control.as_deref()), (1, Some("no-store")));
    let origin = |name: &str, value: Value| {
        let mut change = json!({ "policy": "origin" });
        change[name] = value;
        refused(route(change))
    };
    for (name, value) in [
        ("forward", json!("some")),
        ("heuristic", json!(1.5)),
        ("heuristic_most", json!(-1)),
        ("max_variants", json!(0)),
        ("max_variants", json!(1.5)),
        ("negative_ttl", json!(5)),
        ("ttl", json!(0)),
        ("stale_if_error", json!("60")),
        ("credentials", json!("origin")),
    ] {
        assert_eq!(origin(name, value.clone()), format!("ROUTES[0].{name}"), "{value}");
    }
}

#[test]
fn a_route_with_get_and_other_methods_says_whose_times_count() {
    assert_eq!(refused(route(json!({ "methods": ["GET", "POST"] }))), "ROUTES[0].policy");
    let config = good(route(json!({
        "path": "/articles/*", "methods": ["GET", "QUERY"], "policy": "route", "query": ["page", "lang"],
        "query_other": "drop", "content_types": ["Text/*", "application/json"],
    })));
    let read = &config.routes[0];
    assert_eq!(read.methods, Methods { get: true, query: true, post: false });
    assert_eq!(read.methods.allow(), "GET, HEAD, QUERY, OPTIONS");
    assert_eq!(read.query, KeyedQuery::Names(vec!["page".to_owned(), "lang".to_owned()]));
    assert!(read.drops_other_query && !read.takes_json_only());
    assert_eq!(read.content_types, ["text/*", "application/json"]);
    assert_eq!(good(route_of("/a")).routes[0].query, KeyedQuery::All);
    assert_eq!(good(route(json!({ "query": "none" }))).routes[0].query, KeyedQuery::None);
}

fn route_of(path: &str) -> Value {
    route(json!({ "path": path }))
}

#[test]
fn the_most_specific_path_wins() {
    let paths = ["/a/*", "/a/b", "/a/b/*", "/*"];
    let config = good(json!({ "ROUTES": paths.map(|path| json!({ "path": path })) }));
    for (path, place) in [
        ("/a/b", Some(1)),
        ("/a/b/", Some(2)),
        ("/a/b/c/d", Some(2)),
        ("/a/", Some(0)),
        ("/a/bc", Some(0)),
        ("/a", Some(3)),
        ("/", Some(3)),
        ("a", None),
    ] {
        assert_eq!(config.place(path), place, "{path}");
    }
    assert_eq!(good(route_of("/a/*")).place("/a"), None);
    assert_eq!(refused(json!({ "ROUTES": [{ "path": "/a/*" }, { "path": "/a/*" }] })), "ROUTES[1].path");
    for wrong in ["/a*", "/a/*/b", "/a/**", "*", "/_xfetch/*", "/_xfetch", "/a//*", "/a/../*", "/a?b/*"] {
        assert_eq!(refused(route_of(wrong)), "ROUTES[0].path", "{wrong}");
    }
}
