//! `POST /_xfetch/purge` and `POST /_xfetch/inspect`: one key, through all tiers.

use std::rc::Rc;

use serde_json::{Value, json};
use web_sys::{Request, Response};
use worker::Env;

use crate::{
    config::{Beta, Config, Route},
    edge::{
        body, cached, colo, isolate, reply,
        reply::Problem,
        router::Target,
        stub::{self, Answered, Lost},
    },
    entry::Entry,
    host, json,
    key::{self, Key},
    lookup,
    message::{Answer, Message},
    xfetch::{self, Draw},
};

/// What a request must look like.
const SHAPE: &str = "The body must be {\"path\": \"…\", \"body\": …, \"headers\": {}, \"hard\": false}";
/// The largest request: a body within a JSON text.
const REQUEST_MOST: usize = 2 << 20;

struct Subject {
    route: Rc<Route>,
    key: Key,
    hard: bool,
}

async fn subject(request: &Request, config: &Config) -> Result<Subject, Problem> {
    let bad = |detail: String| Problem::new(400, "bad_body", detail);
    let bytes = body::read(request.body(), REQUEST_MOST)
        .await
        .map_err(|_| bad("The body could not be read, or is too large.".to_owned()))?;
    let named: Value = serde_json::from_slice(&bytes).map_err(|error| bad(format!("{SHAPE}: {error}.")))?;
    let fields = named.as_object().ok_or_else(|| bad(format!("{SHAPE}.")))?;
    if let Some(unknown) =
        fields.keys().find(|it| !["path", "body", "headers", "hard"].contains(&it.as_str()))
    {
        return Err(bad(format!("{SHAPE}; {} is not known.", json::text(unknown))));
    }
    let hard = match &named["hard"] {
        Value::Null => false,
        Value::Bool(hard) => *hard,
        _ => return Err(bad(format!("{SHAPE}; \"hard\" is true or false."))),
    };
    let (Some(path), Some(body)) = (named["path"].as_str(), fields.get("body")) else {
        return Err(bad(format!("{SHAPE}; path and body are missing.")));
    };
    let route = config
        .route(path)
        .cloned()
        .ok_or_else(|| Problem::new(404, "unknown_route", "No route has this path."))?;
    let canonical = key::canonical_body(json::text(body).as_bytes(), route.fields.as_deref())
        .map_err(|why| bad(why.to_string()))?;
    let headers = keyed_headers(&named["headers"], &route).ok_or_else(|| {
        bad(format!("{SHAPE}; the headers of this route's keys are [{}].", route.headers.join(", ")))
    })?;
    let key = cached::key_of(config, &route, &headers, &canonical);
    Ok(Subject { route, key, hard })
}

/// The route's keyed headers out of an object of texts; `None` when there are others in it.
fn keyed_headers(given: &Value, route: &Route) -> Option<Vec<(String, Option<String>)>> {
    let empty = serde_json::Map::new();
    let given = if given.is_null() { &empty } else { given.as_object()? };
    let find =
        |name: &str| given.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let is_known = given.iter().all(|(name, value)| {
        value.is_string() && route.headers.iter().any(|it| it.eq_ignore_ascii_case(name))
    });
    let value = |name: &String| find(name).and_then(Value::as_str).map(str::to_owned);
    is_known.then(|| route.headers.iter().map(|name| (name.clone(), value(name))).collect())
}

async fn send(env: &Env, config: &Config, key: &Key, message: Message) -> Answered {
    let hint = config.location_hint.as_deref();
    stub::send_within(env, &key.name(), hint, message, Vec::new()).await.unwrap_or(Err(Lost::Broken))
}

/// The object first: what is dropped here before that could be brought back from it.
pub(super) async fn purge(request: &Request, env: &Env, config: &Config, target: &Target) -> Response {
    let subject = match subject(request, config).await {
        Ok(subject) => subject,
        Err(problem) => return problem.response(),
    };
    let Subject { route, key, hard } = subject;
    let physical = route.lifetime.physical();
    let floor = match send(env, config, &key, Message::Purge { hard, physical }).await {
        Ok((reply, _)) if reply.answer == Answer::Purged => reply.floor,
        Ok(_) | Err(_) => {
            return Problem::new(
                503,
                "coordination_unavailable",
                "It is not known to be purged: the key's object cannot be reached now. Ask again.",
            )
            .header("retry-after", "1".to_owned())
            .response();
        }
    };
    isolate::with(|isolate| {
        isolate.memory.hear(key.hash, floor, host::now());
        isolate.marks.forget(&key.hash);
    });
    colo::hear(&target.host, &key, floor, physical).await;
    reply::json(200, &json!({ "purged": true, "hard": hard, "key": key.name(), "floor": floor.highest() }))
}

/// What each tier holds. Changes nothing.
pub(super) async fn inspect(request: &Request, env: &Env, config: &Config, target: &Target) -> Response {
    let Subject { route, key, .. } = match subject(request, config).await {
        Ok(subject) => subject,
        Err(problem) => return problem.response(),
    };
    let now = host::now();
    let (memory, memory_floor, rate) = isolate::with(|isolate| {
        let entry = isolate.memory.get(&key.hash, &key.text, now);
        (entry, isolate.memory.floor(&key.hash), isolate.memory.rate(&key.hash))
    });
    let record = colo::look_up(&target.host, &key).await;
    let object = match send(env, config, &key, Message::Inspect).await {
        Ok((reply, _)) => match reply.answer {
            Answer::Inspected(inspection) => {
                json!({ "reachable": true, "floor": reply.floor, "holds": inspection })
            }
            _ => json!({ "reachable": false }),
        },
        Err(_) => json!({ "reachable": false }),
    };
    let describe = |entry: Option<&Entry>| entry.map(|entry| described(entry, &route, rate));
    reply::json(
        200,
        &json!({
            "key": key.name(),
            "canonical": &*key.text,
            "rate": rate,
            "beta": match route.beta { Beta::Fixed(beta) => json!(beta), Beta::Auto { .. } => json!("auto") },
            "memory": { "entry": describe(memory.as_deref()), "floor": memory_floor },
            "colo": { "entry": describe(record.entry.as_deref()), "floor": record.floor },
            "object": object,
        }),
    )
}

fn described(entry: &Entry, route: &Route, rate: Option<f64>) -> Value {
    let now = host::now();
    let eagerness = lookup::eagerness(Some(entry), now, route, || rate);
    let rule = lookup::rule(entry, eagerness);
    let probability = xfetch::probability(entry.expiry().minus(now), rule);
    // Without a draw: whether it refreshes early is chance, and shown as such.
    let verdict = lookup::judge(Some(entry), now, eagerness, Draw::NEVER_EARLY);
    json!({
        "generation": entry.generation,
        "committed": entry.committed,
        "age": entry.age(now).as_seconds(),
        "ttl": entry.lifetime.ttl.as_seconds(),
        "remaining": entry.expiry().0 as f64 / 1_000.0 - now.as_seconds(),
        "delta": entry.delta.as_seconds(),
        "beta": eagerness.beta,
        "early_window": rule.window.as_seconds(),
        "refresh_probability": probability,
        "verdict": verdict.as_str(),
        "etag": entry.etag,
        "bytes": entry.body.len(),
    })
}
