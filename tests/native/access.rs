//! Who may see what: partitions of keys, digests, API keys, tokens, key sets, and what an isolate remembers of clients.

use std::{collections::BTreeSet, sync::Arc};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use xfetch_edge::{
    core::{
        access::{
            Accepted, Algorithm, ApiKeys, BadToken, ClaimRules, DigestSecret, Identity, KeySet, Scope, Token,
            bearer_token, is_tenant, same_text,
        },
        body_fields::Pointer,
        canonical_json,
        config::{Config, Credentials, InquiryAbout, LimitBy, OriginUrl, Route, Verify},
        http::{Asker, OriginAnswer, StoringHeaders, may_store},
        key::{Key, KeyParts},
        time::{Instant, Span},
    },
    isolate::{identities::Identities, new_keys::NewKeys},
};

const NOW: Instant = Instant(1_700_000_000_000);
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn vars(route: Value, more: Value) -> Map<String, Value> {
    let mut table = object(json!({ "path": "/api", "credentials": "verify" }));
    table.extend(object(route));
    let mut vars =
        object(json!({ "ORIGIN_URL": "https://api.example", "ROUTES": [table], "DIGEST_SECRET": SECRET }));
    vars.extend(object(more));
    vars
}

fn parse(route: Value, more: Value) -> Result<Config, String> {
    Config::parse(&vars(route, more), false).map_err(|refused| {
        assert!(!refused.to_string().contains(SECRET), "an error shows a secret: {refused}");
        refused.setting
    })
}

fn route(scope: Scope) -> Route {
    Route { scope, ..Route::with_defaults("/api".to_owned()) }
}

fn identity(tenant: Option<&str>, credential: Option<&str>) -> Identity {
    let secret = DigestSecret::new(SECRET.to_owned());
    Identity {
        tenant: tenant.map(Arc::from),
        credential: credential.map(|it| secret.digest([("authorization", it)])),
    }
}

fn key_of(scope: Scope, identity: &Identity, body: &str) -> Key {
    let parts = KeyParts { version: "1", origin: "https://a", method: "POST", path: "/api", headers: &[] };
    route(scope).scoped(identity).expect("it has what the scope needs").key(&parts, body)
}

#[test]
fn keys_of_different_clients_differ_in_text_hash_and_name() {
    let mut seen = BTreeSet::new();
    let scopes = [
        (Scope::None, identity(Some("a"), Some("x"))),
        (Scope::Tenant, identity(Some("a"), Some("x"))),
        (Scope::Tenant, identity(Some("b"), Some("x"))),
        (Scope::Tenant, identity(Some("A"), Some("x"))),
        (Scope::Tenant, identity(Some("a\",\"1"), None)),
        (Scope::Credential, identity(Some("a"), Some("x"))),
        (Scope::Credential, identity(Some("a"), Some("y"))),
        (Scope::Credential, identity(Some("a"), None)),
    ];
    for (scope, identity) in &scopes {
        for body in ["{}", "[]", "[\"tenant\",\"a\"]"] {
            let key = key_of(*scope, identity, body);
            assert!(seen.insert(key.text.to_string()), "{}", key.text);
            assert!(seen.insert(key.name()), "{}", key.text);
            assert_eq!(key.scope.is_some(), *scope != Scope::None);
            let variant = key.variant(&vec![("accept".to_owned(), None)]);
            assert_eq!(variant.scope, key.scope, "a variant is of the same client");
            assert!(seen.insert(variant.name()));
        }
    }
}

#[test]
fn names_of_one_clients_keys_begin_alike_and_of_others_do_not() {
    let name = |tenant: &str, body: &str| key_of(Scope::Tenant, &identity(Some(tenant), None), body).name();
    assert_eq!(name("a", "{}")[..33], name("a", "[]")[..33]);
    assert_ne!(name("a", "{}")[..33], name("b", "{}")[..33]);
    assert_eq!(name("a", "{}").len(), 32 + 1 + 64);
}

#[test]
fn a_route_by_tenant_has_no_partition_for_a_client_without_one() {
    assert!(route(Scope::Tenant).scoped(&Identity::ANONYMOUS).is_none());
    assert!(route(Scope::Tenant).scoped(&identity(None, Some("x"))).is_none());
    assert!(route(Scope::Credential).scoped(&Identity::ANONYMOUS).is_some());
    assert!(route(Scope::None).scoped(&Identity::ANONYMOUS).is_some());
}

#[test]
fn a_key_holds_no_credential_and_its_digest_needs_the_secret() {
    let token = "a-very-secret-token";
    let key = key_of(Scope::Credential, &identity(None, Some(token)), "{}");
    assert!(!key.text.contains(token));
    let plain = canonical_json::hex(&Sha256::digest(token));
    assert!(!key.text.contains(&plain), "an unkeyed digest can be guessed");
    let other = DigestSecret::new("another secret of the same length".to_owned());
    let own = DigestSecret::new(SECRET.to_owned());
    assert_ne!(own.digest([("a", "b")]), other.digest([("a", "b")]));
    // The parts are kept apart.
    assert_ne!(own.digest([("a", "bc")]), own.digest([("ab", "c")]));
    assert_ne!(own.digest([("a", "b"), ("c", "d")]), own.digest([("a", "bcd")]));
    assert!(!format!("{own:?}").contains(SECRET));
}

#[test]
fn a_digest_is_hmac_sha256() {
    // RFC 4231 has no vector of this form: the length of each part stands before it.
    let digest = DigestSecret::new("key".to_owned()).digest([("a", "b")]);
    let message = [&1_u64.to_le_bytes()[..], b"a", &1_u64.to_le_bytes()[..], b"b"].concat();
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        for (place, own) in b"key".iter().enumerate() {
            block[place] ^= own;
        }
        block.to_vec()
    };
    let inner = Sha256::digest([pad(0x36), message].concat());
    let outer = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
    assert_eq!(digest.hex(), canonical_json::hex(&outer));
}

#[test]
fn an_api_key_has_the_tenant_of_its_digest() {
    let hex = |key: &str| canonical_json::hex(&Sha256::digest(key));
    let mut keys = ApiKeys::default();
    assert!(keys.is_empty());
    assert!(keys.add("acme", &hex("one")) && keys.add("acme", &hex("two").to_uppercase()));
    assert!(keys.add("globex", &hex("three")));
    for bad in ["", "00", &hex("x")[1..], &hex("one"), &format!("{}g", &hex("y")[1..])] {
        assert!(!keys.add("other", bad), "{bad}");
    }
    assert_eq!(keys.tenant("one").as_deref(), Some("acme"));
    assert_eq!(keys.tenant("two").as_deref(), Some("acme"), "two digests at once, for a rotation");
    assert_eq!(keys.tenant("three").as_deref(), Some("globex"));
    for other in ["", "One", "one ", "four", &hex("one")] {
        assert_eq!(keys.tenant(other), None, "{other}");
    }
}

#[test]
fn tenants_and_bearer_tokens_have_one_spelling() {
    for good in ["a", "acme", "org/7", &"x".repeat(256)] {
        assert!(is_tenant(good), "{good}");
    }
    for bad in ["", " a", "a b", "a\n", "ä", "\u{200b}", &"x".repeat(257)] {
        assert!(!is_tenant(bad), "{bad:?}");
    }
    assert_eq!(bearer_token("Bearer a.b-c_~+/="), Some("a.b-c_~+/="));
    assert_eq!(bearer_token("bEARER  a "), Some("a"));
    for bad in ["", "a", "Bearer", "Bearer ", "Basic a", "Bearer a, Bearer b", "Bearer a b", "Bearer\ta"] {
        assert_eq!(bearer_token(bad), None, "{bad:?}");
    }
    assert!(same_text("a", "a") && !same_text("a", "b") && !same_text("a", "aa") && same_text("", ""));
}

fn part(value: &Value) -> String {
    Base64UrlUnpadded::encode_string(value.to_string().as_bytes())
}

fn token(header: &Value, claims: &Value) -> String {
    format!("{}.{}.{}", part(header), part(claims), Base64UrlUnpadded::encode_string(b"signature"))
}

fn rules() -> ClaimRules {
    ClaimRules {
        issuer: Accepted::OneOf(vec!["https://id.example".to_owned()]),
        audience: Accepted::OneOf(vec!["api".to_owned(), "other".to_owned()]),
        leeway: Span(30_000),
        tenant: Pointer::parse("/org/id"),
    }
}

/// The claims of a token that is good at [`NOW`], with others added, replaced or, as null, removed.
fn claims(more: Value) -> Value {
    let mut claims = object(json!({
        "iss": "https://id.example", "aud": "api", "exp": 1_700_000_100, "org": { "id": "acme" },
    }));
    for (name, value) in object(more) {
        match value {
            Value::Null => drop(claims.remove(&name)),
            value => drop(claims.insert(name, value)),
        }
    }
    claims.into()
}

fn checked(more: Value) -> Result<Option<String>, BadToken> {
    let text = token(&json!({ "alg": "RS256" }), &claims(more));
    let token = Token::parse(&text, &[Algorithm::Rs256])?;
    token.claims(&rules(), NOW).map(|claims| claims.tenant.map(|it| it.to_string()))
}

#[test]
fn a_token_is_checked_claim_by_claim() {
    assert_eq!(checked(json!({})), Ok(Some("acme".to_owned())));
    let seconds = NOW.0 / 1_000;
    for (more, wanted) in [
        (json!({ "exp": null }), BadToken::Expired),
        (json!({ "exp": seconds - 30 }), BadToken::Expired),
        (json!({ "exp": 0 }), BadToken::Expired),
        (json!({ "exp": "1800000000" }), BadToken::Malformed),
        (json!({ "exp": -1 }), BadToken::Malformed),
        (json!({ "exp": 1e300 }), BadToken::Malformed),
        (json!({ "nbf": seconds + 31 }), BadToken::NotYetValid),
        (json!({ "nbf": [] }), BadToken::Malformed),
        (json!({ "iss": null }), BadToken::Issuer),
        (json!({ "iss": "https://id.example/" }), BadToken::Issuer),
        (json!({ "iss": ["https://id.example"] }), BadToken::Malformed),
        (json!({ "aud": null }), BadToken::Audience),
        (json!({ "aud": "API" }), BadToken::Audience),
        (json!({ "aud": [] }), BadToken::Audience),
        (json!({ "aud": ["nobody", "else"] }), BadToken::Audience),
        (json!({ "aud": [1] }), BadToken::Malformed),
    ] {
        assert_eq!(checked(more.clone()), Err(wanted), "{more}");
    }
    for (more, tenant) in [
        (json!({ "exp": seconds - 29 }), Some("acme")),
        (json!({ "exp": 1_700_000_000.5 }), Some("acme")),
        (json!({ "nbf": seconds + 30 }), Some("acme")),
        (json!({ "aud": ["nobody", "other"] }), Some("acme")),
        (json!({ "number": 12_345_678_901_234_567_890_u64 }), Some("acme")),
        (json!({ "org": { "id": 7 } }), None),
        (json!({ "org": { "id": "a b" } }), None),
        (json!({ "org": { "id": "" } }), None),
        (json!({ "org": ["acme"] }), None),
        (json!({ "org": null }), None),
    ] {
        assert_eq!(checked(more.clone()), Ok(tenant.map(str::to_owned)), "{more}");
    }
    assert!(Accepted::Any.accepts(&[]));
}

#[test]
fn a_token_in_another_form_is_malformed() {
    let good = token(&json!({ "alg": "RS256" }), &claims(json!({})));
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let twice = Base64UrlUnpadded::encode_string(br#"{"alg":"none","alg":"RS256"}"#);
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        signed.to_owned(),
        format!("{signed}."),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!(" {good}"),
        format!("{signed}.a"),
        format!("{signed}.a+b/"),
        format!("{twice}.{}", good.split_once('.').expect("three parts").1),
        token(&json!([]), &claims(json!({}))),
        token(&json!({}), &claims(json!({}))),
        token(&json!({ "alg": 1 }), &claims(json!({}))),
        token(&json!({ "alg": "RS256", "crit": ["exp"] }), &claims(json!({}))),
        token(&json!({ "alg": "RS256", "crit": [] }), &claims(json!({}))),
        token(&json!({ "alg": "RS256", "kid": 1 }), &claims(json!({}))),
        token(&json!({ "alg": "RS256", "kid": "x".repeat(513) }), &claims(json!({}))),
    ] {
        assert_eq!(Token::parse(&bad, &[Algorithm::Rs256]).map(drop), Err(BadToken::Malformed), "{bad}");
    }
    let no_object = format!("{}.{}.{signature}", part(&json!({ "alg": "RS256" })), part(&json!("x")));
    let parsed = Token::parse(&no_object, &[Algorithm::Rs256]).expect("its header is good");
    assert_eq!(parsed.claims(&rules(), NOW), Err(BadToken::Malformed));
}

#[test]
fn an_algorithm_outside_the_list_is_refused_whatever_its_spelling() {
    for name in ["none", "None", "NONE", "", "HS256", "rs256", "RS512", "RS256 ", "EdDSA"] {
        let text = token(&json!({ "alg": name }), &claims(json!({})));
        assert_eq!(Token::parse(&text, &[Algorithm::Rs256]).map(drop), Err(BadToken::Algorithm), "{name}");
    }
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(*algorithm));
        let text = token(&json!({ "alg": algorithm.as_str() }), &claims(json!({})));
        assert_eq!(Token::parse(&text, &[*algorithm]).map(|it| it.algorithm()), Ok(*algorithm));
    }
}

fn rsa(more: Value) -> Value {
    let modulus = Base64UrlUnpadded::encode_string(&[0xff; 256]);
    let mut jwk = object(json!({ "kty": "RSA", "n": modulus, "e": "AQAB" }));
    jwk.extend(object(more));
    jwk.into()
}

fn set(keys: &[Value]) -> Option<KeySet> {
    KeySet::parse(&json!({ "keys": keys }).to_string())
}

#[test]
fn a_key_set_without_a_key_that_can_verify_is_none() {
    for bad in ["", "{}", "[]", r#"{"keys":[]}"#, r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert_eq!(KeySet::parse(bad), None, "{bad}");
    }
    let short = Base64UrlUnpadded::encode_string(&[0xff; 255]);
    let long = Base64UrlUnpadded::encode_string(&[0xff; 1_025]);
    let padded = Base64UrlUnpadded::encode_string(&[[0; 8].as_slice(), &[0xff; 255]].concat());
    for bad in [
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
        rsa(json!({ "use": "enc" })),
        rsa(json!({ "key_ops": ["sign"] })),
        rsa(json!({ "key_ops": "verify" })),
        rsa(json!({ "d": "AA" })),
        rsa(json!({ "n": short })),
        rsa(json!({ "n": long })),
        rsa(json!({ "n": padded })),
        rsa(json!({ "n": "+/" })),
        rsa(json!({ "e": null })),
        json!("RSA"),
    ] {
        assert_eq!(set(std::slice::from_ref(&bad)), None, "{bad}");
    }
    assert!(set(&[rsa(json!({ "use": "sig", "key_ops": ["verify"] }))]).is_some());
}

#[test]
fn a_token_is_verified_by_the_keys_of_its_name_and_algorithm_alone() {
    let keys = [
        rsa(json!({ "kid": "a" })),
        rsa(json!({ "kid": "b", "alg": "RS512" })),
        rsa(json!({})),
        json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": "AA" }),
    ];
    let set = set(&keys).expect("good keys");
    let count = |alg: &str, kid: Option<&str>| {
        let header = match kid {
            Some(kid) => json!({ "alg": alg, "kid": kid }),
            None => json!({ "alg": alg }),
        };
        let text = token(&header, &claims(json!({})));
        set.candidates(&Token::parse(&text, Algorithm::ALL).expect("a token")).len()
    };
    assert_eq!(count("RS256", Some("a")), 1);
    assert_eq!(count("RS256", Some("b")), 0, "its key is for another algorithm");
    assert_eq!(count("RS512", Some("b")), 1);
    assert_eq!(count("ES256", Some("a")), 1);
    assert_eq!(count("ES384", Some("a")), 0);
    assert_eq!(count("RS256", Some("A")), 0);
    assert_eq!(count("RS256", Some("")), 0);
    assert_eq!(count("RS256", None), 2);
    assert_eq!(count("HS256", None), 0, "a public key is no secret");
    let many: Vec<Value> = (0..200).map(|_| rsa(json!({}))).collect();
    let many = KeySet::parse(&json!({ "keys": many }).to_string()).expect("good keys");
    let text = token(&json!({ "alg": "RS256" }), &claims(json!({})));
    let candidates = many.candidates(&Token::parse(&text, Algorithm::ALL).expect("a token")).len();
    assert_eq!(candidates, 4, "a token without a name costs a bounded number of signatures");
    let secrets = KeySet::of_secrets(&[SECRET.to_owned()]);
    let text = token(&json!({ "alg": "RS256" }), &claims(json!({})));
    assert!(secrets.candidates(&Token::parse(&text, Algorithm::ALL).expect("a token")).is_empty());
}

/// A table with one setting replaced.
fn with(value: &Value, name: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[name] = new;
    value
}

#[test]
fn a_route_that_verifies_tokens_has_its_settings_and_its_secret() {
    let jwks = json!({ "jwks_url": "https://id.example/jwks.json", "algorithms": ["RS256"], "issuer": "a", "audience": ["b"] });
    let jwt = |table: Value| parse(json!({ "verify": { "jwt": table } }), json!({}));
    let config = jwt(jwks.clone()).expect("good");
    let Some(Verify::Jwt(rules)) = &config.routes[0].verify else { panic!("no token") };
    let inquiry = config.routes[0].inquiries.as_ref().expect("a key set");
    assert_eq!(inquiry.origin.as_ref().map(OriginUrl::as_str), Some("https://id.example"));
    assert_eq!(inquiry.inquiry.as_ref().map(|it| it.target.as_str()), Some("/jwks.json"));
    assert_eq!(inquiry.scope, Scope::None);
    assert_eq!(inquiry.lifetime.stale_if_error, Span::DAY);
    assert_eq!(inquiry.lifetime.stale_while_revalidate, Span::ZERO);
    assert_eq!((rules.header.as_str(), rules.rules.leeway), ("authorization", Span(30_000)));
    for (name, value) in [
        ("jwks_url", json!("http://id.example/jwks.json")),
        ("jwks_url", json!("https://id.example")),
        ("jwks_url", json!("https://user:password@id.example/a")),
        ("jwks_url", json!("https://10.0.0.1/a")),
        ("jwks_url", json!("https://id.example/a?b")),
        ("jwks_url", json!(1)),
        ("jwks_ttl", json!(9)),
        ("jwks_stale", json!(604_801)),
        ("algorithms", json!([])),
        ("algorithms", json!(["none"])),
        ("algorithms", json!(["HS256"])),
        ("algorithms", json!(["RS256", "HS256"])),
        ("algorithms", Value::Null),
        ("issuer", Value::Null),
        ("issuer", json!([])),
        ("audience", json!("")),
        ("audience", json!(["*"])),
        ("leeway", json!(601)),
        ("tenant", json!("/a~")),
        ("header", json!("a b")),
        ("unknown", json!(1)),
    ] {
        assert_eq!(
            jwt(with(&jwks, name, value.clone())).err(),
            Some(format!("ROUTES[0].verify.jwt.{name}")),
            "{value}"
        );
    }
    let hmac = json!({ "algorithms": ["HS256"], "issuer": "*", "audience": "*" });
    assert_eq!(jwt(hmac.clone()).err().as_deref(), Some("JWT_SECRET"));
    let secret =
        |secret: Value| parse(json!({ "verify": { "jwt": hmac.clone() } }), json!({ "JWT_SECRET": secret }));
    for good in [json!(SECRET), json!([SECRET, "x".repeat(64)]), json!("1".repeat(32))] {
        assert!(secret(good.clone()).is_ok(), "{good}");
    }
    for bad in [json!("short"), json!([]), json!([SECRET, "short"]), json!({}), json!([1])] {
        assert_eq!(secret(bad.clone()).err().as_deref(), Some("JWT_SECRET"), "{bad}");
    }
    assert_eq!(
        jwt(with(&hmac, "jwks_ttl", json!(60))).err().as_deref(),
        Some("ROUTES[0].verify.jwt.jwks_ttl")
    );
    assert_eq!(
        jwt(with(&hmac, "algorithms", json!(["RS256"]))).err().as_deref(),
        Some("ROUTES[0].verify.jwt.algorithms")
    );
}

#[test]
fn a_route_that_verifies_api_keys_needs_their_digests() {
    let hex = canonical_json::hex(&Sha256::digest("key"));
    let keys = |keys: Value| parse(json!({ "verify": { "keys": {} } }), json!({ "API_KEYS": keys }));
    for good in [json!({ "acme": hex }), json!({ "acme": [hex] }), json!(format!("{{\"acme\":\"{hex}\"}}"))] {
        assert!(keys(good.clone()).is_ok(), "{good}");
    }
    for bad in [
        json!(""),
        json!({}),
        json!({ "": hex }),
        json!({ "a b": hex }),
        json!({ "acme": "key" }),
        json!({ "acme": [] }),
        json!({ "acme": hex, "globex": hex }),
        json!([hex]),
    ] {
        assert_eq!(keys(bad.clone()).err().as_deref(), Some("API_KEYS"), "{bad}");
    }
}

#[test]
fn a_route_whose_origin_verifies_has_its_settings_and_a_secret() {
    let origin = |table: Value| parse(json!({ "verify": { "origin": table } }), json!({}));
    let config = origin(json!({ "path": "/me", "method": "HEAD", "tenant_header": "X-Org" })).expect("good");
    let inquiry = config.routes[0].inquiries.as_ref().expect("a question");
    let about = inquiry.inquiry.as_ref().map(|it| &it.about);
    assert!(matches!(about, Some(InquiryAbout::Credential { is_head: true, tenant_header: Some(_), .. })));
    assert_eq!((inquiry.scope, inquiry.lifetime.ttl), (Scope::Credential, Span(300_000)));
    for (name, value) in [
        ("path", json!("me")),
        ("path", Value::Null),
        ("method", json!("POST")),
        ("verify_ttl", json!(0)),
        ("verify_stale", json!(86_401)),
        ("refused_ttl", json!(0)),
        ("tenant_header", json!("")),
        ("header", json!("ä")),
        ("ttl", json!(1)),
    ] {
        let table = with(&json!({ "path": "/me" }), name, value.clone());
        assert_eq!(origin(table).err(), Some(format!("ROUTES[0].verify.origin.{name}")), "{value}");
    }
    let without = vars(json!({ "verify": { "origin": { "path": "/me" } } }), json!({ "DIGEST_SECRET": "" }));
    assert_eq!(Config::parse(&without, false).err().map(|it| it.setting).as_deref(), Some("DIGEST_SECRET"));
}

#[test]
fn a_route_behind_a_proxy_or_a_binding_has_its_settings() {
    let proxy = |token: Value| {
        parse(json!({ "verify": { "proxy": {} }, "scope": "tenant" }), json!({ "PROXY_TOKEN": token }))
    };
    assert!(proxy(json!("0123456789abcdef")).is_ok());
    for bad in [json!(""), json!("short"), json!("with a space in it")] {
        assert_eq!(proxy(bad.clone()).err().as_deref(), Some("PROXY_TOKEN"), "{bad}");
    }
    let same = json!({ "verify": { "proxy": { "token_header": "x-tenant" } } });
    let refused = parse(same, json!({ "PROXY_TOKEN": "0123456789abcdef" })).err();
    assert_eq!(refused.as_deref(), Some("ROUTES[0].verify.proxy.tenant_header"));
    assert!(parse(json!({ "verify": { "props": {} }, "scope": "tenant" }), json!({})).is_ok());
}

#[test]
fn settings_of_who_may_see_what_that_contradict_each_other_are_refused() {
    let keys = json!({ "API_KEYS": { "acme": canonical_json::hex(&Sha256::digest("key")) } });
    for (route, setting) in [
        (json!({}), "verify"),
        (json!({ "credentials": "ignore", "verify": { "keys": {} } }), "verify"),
        (json!({ "verify": { "keys": {}, "props": {} } }), "verify"),
        (json!({ "verify": { "other": {} } }), "verify"),
        (json!({ "verify": { "keys": [] } }), "verify"),
        (json!({ "verify": "keys" }), "verify"),
        (json!({ "verify": { "props": {} }, "scope": "credential" }), "scope"),
        (json!({ "verify": { "origin": { "path": "/me" } }, "scope": "tenant" }), "scope"),
        (json!({ "credentials": "ignore", "scope": "tenant" }), "scope"),
        (json!({ "credentials": "ignore", "scope": "credential" }), "scope"),
        (json!({ "verify": { "keys": {} }, "scope": "all" }), "scope"),
        (json!({ "credentials": "origin" }), "credentials"),
        (json!({ "credentials": "origin", "scope": "tenant" }), "credentials"),
        (json!({ "verify": { "keys": {} }, "send_tenant": "x-tenant" }), "send_tenant"),
        (json!({ "verify": { "keys": {} }, "scope": "tenant", "send_tenant": "host" }), "send_tenant"),
        (
            json!({ "verify": { "keys": {} }, "scope": "tenant", "send_tenant": "x", "headers": ["x"] }),
            "send_tenant",
        ),
        (json!({ "verify": { "keys": {} }, "rate_limit": {} }), "rate_limit"),
        (
            json!({ "verify": { "keys": {} }, "rate_limit": { "binding": "L", "by": "key", "period": 10 } }),
            "rate_limit",
        ),
        (
            json!({ "verify": { "keys": {} }, "rate_limit": { "binding": "L", "by": "tenant", "period": 30 } }),
            "rate_limit",
        ),
        (
            json!({ "credentials": "ignore", "rate_limit": { "binding": "L", "by": "tenant", "period": 10 } }),
            "rate_limit",
        ),
        (json!({ "verify": { "keys": {} }, "max_new_keys": 0 }), "max_new_keys"),
        (json!({ "verify": { "keys": {} }, "headers": ["X-Api-Key"] }), "headers"),
        (json!({ "verify": { "keys": { "header": "x-k" } }, "headers": ["x-k"] }), "headers"),
        (json!({ "verify": { "keys": {} }, "headers": ["cookie"] }), "headers"),
        (json!({ "credentials": "origin", "scope": "credential", "headers": ["authorization"] }), "headers"),
    ] {
        assert_eq!(parse(route.clone(), keys.clone()).err(), Some(format!("ROUTES[0].{setting}")), "{route}");
    }
    for (route, name) in [
        (json!({ "verify": { "keys": {} }, "scope": "tenant", "send_tenant": "x-tenant" }), "X-Tenant"),
        (json!({ "verify": { "keys": {} }, "scope": "credential" }), "x-api-key"),
        (json!({ "credentials": "origin", "scope": "credential" }), "cookie"),
    ] {
        let mut more = keys.clone();
        more["ORIGIN_HEADERS"] = json!({ name: "secret" });
        assert_eq!(parse(route.clone(), more).err().as_deref(), Some("ORIGIN_HEADERS"), "{route}");
    }
    let mut both = keys.clone();
    both["ORIGIN_HEADERS"] = json!({ "authorization": "Bearer secret" });
    let route = json!({ "verify": { "keys": { "header": "authorization" } }, "scope": "tenant" });
    assert!(parse(route, both).is_ok(), "the client's is not sent");
    let route = json!({
        "verify": { "keys": {} }, "scope": "tenant", "send_tenant": "X-Tenant", "max_new_keys": 100,
        "rate_limit": { "binding": "LIMITER", "by": "tenant", "period": 60 },
    });
    let config = parse(route, keys).expect("good");
    let route = &config.routes[0];
    assert_eq!(route.send_tenant.as_deref(), Some("x-tenant"));
    assert_eq!(route.max_new_keys, Some(100));
    let limit = route.rate_limit.as_ref().expect("a limit");
    assert_eq!((limit.by, limit.period), (LimitBy::Tenant, Span(60_000)));
    assert_eq!(route.cache_control.as_deref(), Some("private, no-cache"));
    let personal = parse(json!({ "credentials": "origin", "scope": "credential" }), json!({})).expect("good");
    assert_eq!(personal.routes[0].credentials, Credentials::Origin);
    assert!(personal.routes[0].sends_credential("authorization"));
}

#[test]
fn an_answer_for_one_client_may_be_private() {
    let allow = |field, is_personal| {
        let headers =
            StoringHeaders { cache_control: Some(field), vary: None, has_set_cookie: false, is_personal };
        headers.allow()
    };
    assert!(allow("private, max-age=60", true) && !allow("private, max-age=60", false));
    assert!(!allow("no-store", true) && !allow("private, no-store", true));
    let store = |field, is_personal| {
        let asker = if is_personal { Asker::OneClient } else { Asker::Anybody };
        let answer =
            OriginAnswer { status: 200, cache_control: Some(field), asker, ..OriginAnswer::default() };
        let (directives, expires) = answer.policy();
        may_store(&answer, &directives, expires)
    };
    assert!(store("private, max-age=60", true) && !store("private, max-age=60", false));
    assert!(!store("no-store", true));
}

#[test]
fn only_a_client_that_was_verified_is_known_and_only_until_its_end() {
    let mut known = Identities::default();
    known.set_key(Some([7; 16]));
    let hash =
        |known: &Identities, route: &str, values: &[Option<&str>]| known.hash(route, values.iter().copied());
    let client = hash(&known, "/a", &[Some("token")]);
    let who = identity(Some("acme"), None);
    assert_eq!(known.get(client, NOW), None);
    known.put(client, who.clone(), NOW.plus(Span(10)));
    assert_eq!(known.get(client, NOW.plus(Span(9))), Some(&who));
    assert_eq!(known.get(client, NOW.plus(Span(10))), None);
    for (route, values) in [
        ("/a", &[Some("Token")][..]),
        ("/a", &[Some("toke")]),
        ("/a", &[Some("token"), None]),
        ("/a", &[None]),
        ("/a", &[Some("")]),
        ("/a", &[Some("to"), Some("ken")]),
        ("/a", &[Some("t"), Some("oken")]),
        ("/b", &[Some("token")]),
    ] {
        assert_eq!(known.get(hash(&known, route, values), NOW), None, "{route} {values:?}");
    }
    let mut other = Identities::default();
    other.set_key(Some([8; 16]));
    assert_ne!(hash(&other, "/a", &[Some("token")]), client, "another isolate has another key");
    let mut without = Identities::default();
    without.put(client, who, NOW.plus(Span(10)));
    assert_eq!(without.get(client, NOW), None, "without entropy nobody is remembered");
}

#[test]
fn a_tenant_that_asks_for_too_many_new_keys_waits_and_others_do_not() {
    let mut counts = NewKeys::default();
    for _ in 0..3 {
        assert_eq!(counts.enter("/a", "acme", 3, NOW), Ok(()));
    }
    assert_eq!(counts.enter("/a", "acme", 3, NOW.plus(Span(20_000))), Err(Span(40_000)));
    assert_eq!(counts.enter("/a", "globex", 3, NOW), Ok(()));
    assert_eq!(counts.enter("/b", "acme", 3, NOW), Ok(()));
    assert_eq!(counts.enter("/a", "acme", 3, NOW.plus(Span(60_000))), Ok(()), "a new minute");
    assert_eq!(
        counts.enter("/a", "acme", 3, NOW.minus(Span(1))),
        Ok(()),
        "a clock that steps back locks nobody out"
    );
    for number in 0..30_000 {
        let _ = counts.enter("/a", &number.to_string(), 1, NOW);
    }
}
