//! `POST /_xfetch/purge`, `POST /_xfetch/inspect` and `POST /_xfetch/explain`: one key, through all tiers.

use std::rc::Rc;

use serde_json::{Map, Value};
use web_sys::{Headers, Response};

use crate::{
    core::{
        access::{Identity, Scope, is_tenant},
        canonical_json,
        config::{Beta, Credentials, OBJECT_TIMEOUT, Route, ScopedRoute},
        entry::Entry,
        failure::Failure,
        freshness,
        global_rate::SEVERAL,
        http::{self, Method},
        purge::Floor,
        time::{Instant, Span},
        xfetch::{self, Draw},
    },
    isolate::{
        explain::{self, ExpectedAnswer, Explanation},
        step::{Done, Event, KeyedRoute},
        task::Task,
    },
    protocol::{
        colo_record::ColoRecord,
        message::{self, Answer, Inspection, Message, Reply},
        snapshot::Snapshot,
    },
    worker::{
        body, cache_api,
        context::RequestContext,
        driver, globals,
        keyed_request::{KeyedRequest, RequestBody},
        object_stub,
        platform::clock,
        problem::Problem,
        request, response,
    },
};

/// The form that a request must have, for error messages.
const SHAPE: &str = "The body must be {\"path\": \"…\", \"body\": …, \"headers\": {}, \"hard\": false}, without \"body\" for GET, with \"tenant\": \"…\" or \"credentials\": {} on a route of that scope";
/// The largest request, in bytes: it contains the body of a request to a cached route as JSON.
const MAX_REQUEST: usize = 2 << 20;

struct TierRequest {
    keyed: Rc<KeyedRequest>,
    hard: bool,
    /// The header with the request's credential.
    credential: Option<String>,
}

async fn subject(context: &Rc<RequestContext>) -> Result<TierRequest, Problem> {
    let bad = |why: String| Problem::new(400, "bad_body", format!("{SHAPE}: {why}."));
    let bytes = body::read(context.request.body(), MAX_REQUEST).await;
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| bad("it is too large, or not UTF-8".to_owned()))?;
    let named = canonical_json::parse(&text).map_err(bad)?;
    let is_known = |fields: &Map<String, Value>| {
        fields
            .keys()
            .all(|it| matches!(it.as_str(), "path" | "body" | "headers" | "hard" | "tenant" | "credentials"))
    };
    let (path, hard) = match (named.as_object(), named["path"].as_str(), &named["hard"]) {
        (Some(fields), Some(path), Value::Null) if is_known(fields) => (path, false),
        (Some(fields), Some(path), Value::Bool(hard)) if is_known(fields) => (path, *hard),
        _ => return Err(bad("a name is missing, not known, or has another type".to_owned())),
    };
    let only_path = path.split('?').next().unwrap_or_default();
    let Some(route) = context.config.route(only_path).cloned() else {
        return Err(Problem::new(404, "unknown_route", "No route has this path."));
    };
    let scoped = scoped(context, &route, &named).ok_or_else(|| {
        let scope = route.scope.as_str();
        bad(format!(
            "the scope of this route is {scope}, and whose entries are meant is said in that way alone"
        ))
    })?;
    let (method, target, canonical) = match named.get("body") {
        None if route.methods.get => {
            (Method::Get, request::canonical_target(path, &route)?, RequestBody::Json("".into()))
        }
        None => return Err(bad("there is no body".to_owned())),
        Some(_) if path != only_path || !(route.methods.post || route.methods.query) => {
            return Err(bad("a path with a query is asked by GET, which has no body".to_owned()));
        }
        Some(body) if route.is_raw => {
            let text = body.as_str().ok_or_else(|| bad("the body of this route is a text".to_owned()))?;
            let method = if route.methods.post { Method::Post } else { Method::Query };
            (method, http::plain_escapes(path), RequestBody::Raw(text.as_bytes().into()))
        }
        Some(body) => {
            let keyed = route.fields.of(body.clone());
            let keyed = keyed.map_err(|why| Problem::new(400, "bad_body", why.to_string()))?;
            let canonical = canonical_json::text(&keyed);
            let method = if route.methods.post { Method::Post } else { Method::Query };
            (method, http::plain_escapes(path), RequestBody::Json(canonical.into()))
        }
    };
    let length = match &canonical {
        RequestBody::Json(text) => text.len(),
        RequestBody::Raw(bytes) => bytes.len(),
    };
    if length > route.max_request as usize {
        return Err(request::too_large(&route));
    }
    let AskedHeaders { keyed, all, credential } = asked_headers(&named["headers"], &route).map_err(bad)?;
    let request = request::keyed(&context.config, &scoped, method, target, keyed, canonical);
    let request = Rc::new(request);
    let keyed = Rc::new(KeyedRequest::new(Rc::clone(context), route, request, all));
    Ok(TierRequest { keyed, hard, credential })
}

/// Whose entries are meant: on a route by tenant `tenant`, on one by credential `credentials`, which are header fields
/// with their values, none for the clients without one. `None` if it is not said so, or said on another route.
fn scoped<'a>(context: &RequestContext, route: &'a Route, named: &Value) -> Option<ScopedRoute<'a>> {
    let (tenant, credentials) = (&named["tenant"], &named["credentials"]);
    let identity = match route.scope {
        Scope::None if tenant.is_null() && credentials.is_null() => Identity::ANONYMOUS,
        Scope::Tenant if credentials.is_null() => {
            let tenant = tenant.as_str().filter(|it| is_tenant(it))?;
            Identity { tenant: Some(tenant.into()), credential: None }
        }
        Scope::Credential if tenant.is_null() => {
            let given = credentials.as_object()?;
            let is_field = |name: &String| route.credential_fields().any(|it| it == name);
            if !given.iter().all(|(name, value)| is_field(name) && value.is_string()) {
                return None;
            }
            let fields =
                route.credential_fields().filter_map(|name| Some((name, given.get(name)?.as_str()?)));
            Identity { tenant: None, credential: context.config.secrets.digest_of(fields) }
        }
        Scope::None | Scope::Tenant | Scope::Credential => return None,
    };
    route.scoped(&identity)
}

/// The headers of a request that is asked about.
struct AskedHeaders {
    /// The route's keyed headers.
    keyed: Vec<(String, Option<String>)>,
    /// All of them, on a route whose answers may vary by any header.
    all: Option<Headers>,
    /// The credential that the request has.
    credential: Option<String>,
}

/// Reads headers from a JSON object.
///
/// # Errors
/// A value is not a string, or a name occurs twice, or changes nothing on this route.
fn asked_headers(given: &Value, route: &Route) -> Result<AskedHeaders, String> {
    let empty = serde_json::Map::new();
    let given = if given.is_null() { Some(&empty) } else { given.as_object() };
    let given = given.ok_or("the headers are an object")?;
    let mut headers = AskedHeaders {
        keyed: route.headers.iter().map(|name| (name.clone(), None)).collect(),
        all: route.forwards_all().then(|| response::headers(&[])),
        credential: None,
    };
    for (name, value) in given {
        let (name, value) = (name.to_ascii_lowercase(), value.as_str().ok_or("a header's value is a text")?);
        let is_credential = !route.tells_clients_apart() && route.credential_fields().any(|it| it == name);
        let keyed = headers.keyed.iter_mut().find(|(it, _)| *it == name);
        match (keyed, &headers.all) {
            (Some((_, Some(_))), _) => return Err(format!("the header {name} is given twice")),
            (Some((_, keyed)), _) => *keyed = Some(value.to_owned()),
            (None, Some(all)) => response::set(all, &name, value),
            (None, None) if is_credential => {}
            (None, None) if route.headers.is_empty() => {
                return Err(format!("no header changes an answer of this route, also not {name}"));
            }
            (None, None) => {
                return Err(format!("the headers of this route's keys are {}", route.headers.join(", ")));
            }
        }
        if is_credential {
            headers.credential = Some(name);
        }
    }
    Ok(headers)
}

/// Purges the object first: a nearer tier, if purged before it, could take the old entry from it again.
pub(super) async fn purge(context: &Rc<RequestContext>) -> Response {
    let TierRequest { keyed, hard, .. } = match subject(context).await {
        Ok(subject) => subject,
        Err(problem) => return problem.response(),
    };
    let Done::Purged(Some(floor)) = driver::run(Rc::clone(&keyed), Task::purge(hard), Event::Started).await
    else {
        let detail = "It is not known to be purged: the key's object cannot be reached now. Ask again.";
        let problem = Problem::new(503, "coordination_unavailable", detail);
        return problem.header("retry-after", "1".to_owned()).response();
    };
    response::json(
        200,
        &canonical_json::object([
            ("purged", true.into()),
            ("hard", hard.into()),
            ("key", keyed.request.key.name().into()),
            ("floor", floor.highest().into()),
        ]),
    )
}

/// What each tier holds. Changes nothing.
pub(super) async fn inspect(context: &Rc<RequestContext>) -> Response {
    match subject(context).await {
        Ok(TierRequest { keyed, .. }) => response::json(200, &tiers(&keyed, &Message::Inspect).await.value),
        Err(problem) => problem.response(),
    }
}

/// What a request would get now, and why, with what each tier holds. Changes nothing.
pub(super) async fn explain(context: &Rc<RequestContext>) -> Response {
    let TierRequest { mut keyed, credential, .. } = match subject(context).await {
        Ok(subject) => subject,
        Err(problem) => return problem.response(),
    };
    loop {
        let tiers = tiers(&keyed, &Message::Snapshot).await;
        let now = clock::now();
        let subject = KeyedRoute { key: &keyed.request.key, route: &keyed.route, fields: &*keyed };
        let (colo, snapshot) = (tiers.colo.as_deref(), tiers.snapshot.as_ref());
        let explained =
            globals::with(|globals| explain::explain(&globals.state, subject, colo, snapshot, now));
        // As the request itself: on with the key of its own variant.
        if let ExpectedAnswer::OtherVariant(names) = &explained.answer
            && let Some(variant) = request::next_variant(&keyed, names)
        {
            keyed = Rc::new(variant);
            continue;
        }
        let mut value = explanation(&keyed, tiers, &explained, now);
        if let Some((answer, why)) = credential.and_then(|name| not_cached(&keyed.route, &name)) {
            for name in ["generation", "refresh", "early_window_opens", "early_window_opens_at"] {
                value[name] = Value::Null;
            }
            value["refresh_probability"] = 0.into();
            value["answer"] = answer.into();
            value["why"] = vec![why].into();
        }
        return response::json(200, &value);
    }
}

/// What becomes of a request whose credential keeps it from the cache, as a word and as a sentence.
fn not_cached(route: &Route, name: &str) -> Option<(&'static str, String)> {
    let (answer, what) = match route.credentials {
        Credentials::Bypass => ("bypass", "it goes to the origin uncached"),
        Credentials::Refuse => ("refused", "it is refused with 403"),
        Credentials::Ignore | Credentials::Origin | Credentials::Verify => return None,
    };
    let setting = "the route's setting `credentials` says so";
    Some((answer, format!("The request has the credential {name}, so {what}: {setting}.")))
}

fn explanation(keyed: &KeyedRequest, tiers: Tiers, explained: &Explanation, now: Instant) -> Value {
    let Tiers { mut value, inspection, floor, .. } = tiers;
    let subject = KeyedRoute { key: &keyed.request.key, route: &keyed.route, fields: keyed };
    let words = explained.words(subject, inspection.as_ref(), floor, now);
    let opens = explained.window_opens.map(|at| at.as_seconds() - now.as_seconds());
    let opens_at = explained.window_opens.map(|at| js_sys::Date::new(&(at.0 as f64).into()).to_iso_string());
    let more = [
        ("path", keyed.request.target.as_str().into()),
        ("method", keyed.request.method.as_str().into()),
        ("body", body_text(&keyed.request.body).into()),
        ("answer", explained.as_str().into()),
        ("generation", explained.entry().map(|entry| entry.generation).into()),
        ("refresh_probability", explained.probability.into()),
        ("early_window_opens", opens.into()),
        ("early_window_opens_at", opens_at.map(String::from).into()),
        ("refresh", explained.refresh_words().map(|(word, _)| word).into()),
        ("why", words.into()),
    ];
    for (name, explained) in more {
        value[name] = explained;
    }
    value
}

/// A body as it is shown: bytes that are no text are not.
fn body_text(body: &RequestBody) -> Option<&str> {
    match body {
        RequestBody::Json(text) => Some(text),
        RequestBody::Raw(bytes) => str::from_utf8(bytes).ok(),
    }
}

/// What each tier holds, as JSON, and the parts from which an explanation is made.
struct Tiers {
    value: Value,
    colo: Option<Vec<u8>>,
    inspection: Option<Inspection>,
    /// What the object has stored, if that was asked for.
    snapshot: Option<Snapshot>,
    /// The highest purge floor that a tier knows.
    floor: Floor,
}

/// `question` is what the object is asked.
async fn tiers(keyed: &KeyedRequest, question: &Message) -> Tiers {
    let (route, key, now) = (&keyed.route, &keyed.request.key, clock::now());
    let (memory, memory_floor, rate) = globals::with(|globals| {
        let memory = &globals.state.memory;
        let entry = memory.peek(&key.hash, &key.text, now);
        (entry, memory.floor(&key.hash), memory.rate(&key.hash, route.lifetime.ttl))
    });
    let colo = cache_api::look_up(keyed.host(), key).await.ok().flatten();
    let record =
        colo.as_deref().map(|bytes| ColoRecord::decode(bytes, &key.text, clock::now()).0).unwrap_or_default();
    let mut highest = memory_floor.raised(record.floor);
    let (object, inspection, snapshot) = match ask_object(keyed, question).await {
        Some((Reply { floor, answer: Answer::Inspected(inspection), .. }, snapshot)) => {
            highest = highest.raised(floor);
            let fields = [("reachable", true.into()), ("floor", floors(floor)), ("holds", held(&inspection))];
            (canonical_json::object(fields), Some(inspection), snapshot)
        }
        Some(_) | None => (canonical_json::object([("reachable", false.into())]), None, None),
    };
    let tier = |entry: Option<&Entry>, floor: Floor| {
        let entry = entry.map(|entry| described(entry, route, rate));
        canonical_json::object([("entry", entry.into()), ("floor", floors(floor))])
    };
    let beta = match route.beta {
        Beta::Fixed(beta) => beta.into(),
        Beta::Auto { .. } => "auto".into(),
    };
    let value = canonical_json::object([
        ("key", key.name().into()),
        ("canonical", (*key.text).into()),
        ("rate", rate.into()),
        ("beta", beta),
        ("memory", tier(memory.as_deref(), memory_floor)),
        ("colo", tier(record.entry.as_deref(), record.floor)),
        ("object", object),
    ]);
    Tiers { value, colo, inspection, snapshot, floor: highest }
}

async fn ask_object(keyed: &KeyedRequest, question: &Message) -> Option<(Reply, Option<Snapshot>)> {
    let bytes = message::encode_message(question, &[]);
    let sent = object_stub::send(&keyed.context.env, keyed.address(), bytes, OBJECT_TIMEOUT).await;
    let bytes = sent.ok()?.ok()?;
    message::decode_reply(&bytes).map(|(reply, body)| (reply, Snapshot::read(body)))
}

fn floors(floor: Floor) -> Value {
    canonical_json::object([("soft", floor.soft.into()), ("hard", floor.hard.into())])
}

fn held(inspection: &Inspection) -> Value {
    let seconds = |time: Option<Span>| time.map(Span::as_seconds).into();
    canonical_json::object([
        ("generation", inspection.generation.into()),
        ("age", seconds(inspection.age)),
        ("last_token", inspection.last_token.into()),
        ("lease_token", inspection.lease_token.into()),
        ("lease_remaining", seconds(inspection.lease_remaining)),
        ("failure", inspection.failure.as_ref().map(Failure::as_str).into()),
        ("failure_remaining", seconds(inspection.failure_remaining)),
        ("waiters", inspection.waiters.into()),
    ])
}

fn described(entry: &Entry, route: &Route, rate: Option<f64>) -> Value {
    let now = clock::now();
    // `auto` is resolved only in the early window, so take the eagerness at an instant in it.
    let at = now.max(entry.expiry().minus(Span(1)));
    let eagerness = freshness::eagerness(Some(entry), at, route, || rate);
    let rule = freshness::rule(entry, eagerness);
    let probability = xfetch::probability(entry.expiry().since(now), rule);
    // The verdict without an early refresh, which is a matter of chance: `probability` shows it.
    let verdict = freshness::judge(Some(entry), now, eagerness, Draw::NEVER_EARLY);
    let global_rate = if entry.global_rate == SEVERAL { 0 } else { entry.global_rate };
    canonical_json::object([
        ("generation", entry.generation.into()),
        ("committed", entry.committed.into()),
        ("age", entry.age(now).as_seconds().into()),
        ("ttl", entry.lifetime.ttl.as_seconds().into()),
        ("remaining", (entry.expiry().as_seconds() - now.as_seconds()).into()),
        ("delta", entry.delta.as_seconds().into()),
        ("demand", (f64::from(global_rate) / 1e3).into()),
        ("beta", eagerness.beta.into()),
        ("early_window", rule.window.as_seconds().into()),
        ("refresh_probability", probability.into()),
        ("verdict", verdict.as_str().into()),
        ("etag", entry.etag.as_str().into()),
        ("bytes", entry.body.len().into()),
    ])
}
