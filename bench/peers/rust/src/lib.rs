//! Minimal Workers in Rust, one per feature: three show the base cost of a Worker that answers, and `driver`
//! loads the cache's objects.

/// The answer's body.
pub fn filler() -> Vec<u8> {
    let mut body = b"{\"filler\":\"".to_vec();
    body.resize(2_040, b'x');
    body.extend_from_slice(b"\"}");
    body
}

/// As the `worker` crate's own examples have it.
#[cfg(any(feature = "hello", feature = "object"))]
mod hello {
    use worker::{Context, Env, Request, Response, Result, event};

    #[event(fetch)]
    async fn fetch(_: Request, _: Env, _: Context) -> Result<Response> {
        let response = Response::from_bytes(super::filler())?;
        response.headers().set("content-type", "application/json")?;
        Ok(response)
    }
}

/// Uses the web's own types and reads the body: the least cost of a cache for POST requests in Rust.
#[cfg(feature = "raw")]
mod raw {
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{Headers, Request, Response, ResponseInit};
    use worker::{Context, Env, Result, event};

    #[event(fetch)]
    async fn fetch(request: Request, _: Env, _: Context) -> Result<Response> {
        let buffer = JsFuture::from(request.array_buffer()?).await?;
        let read = js_sys::Uint8Array::new(&buffer).to_vec();
        let headers = Headers::new()?;
        headers.set("content-type", "application/json")?;
        headers.set("x-read", &read.len().to_string())?;
        let init = ResponseInit::new();
        init.set_headers(&headers);
        let body = js_sys::Uint8Array::from(super::filler().as_slice());
        Ok(Response::new_with_opt_js_u8_array_and_init(Some(&body), &init)?)
    }
}

/// One object, so that its bindings are linked.
#[cfg(feature = "object")]
mod object {
    use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

    /// Answers every request with nothing.
    #[durable_object(fetch)]
    pub struct Bare;

    impl DurableObject for Bare {
        fn new(_: State, _: Env) -> Self {
            Self
        }

        async fn fetch(&self, _: Request) -> Result<Response> {
            Response::empty()
        }
    }
}

/// Load on the cache's own objects: `/?objects=N&lanes=N&cycles=N` runs `lanes` lanes at once, each with
/// `cycles` cycles of acquire and commit on `objects` objects in turn, and returns the number of accepted
/// commits and the duration.
#[cfg(feature = "driver")]
mod driver {
    use std::sync::Arc;

    use worker::{
        Context, Date, Env, Method, ObjectNamespace, Request, RequestInit, Response, Result, event,
        wasm_bindgen::JsValue,
    };
    use xfetch_edge::{
        core::{
            entry::{Entry, Lifetime},
            global_rate::RateShare,
            time::{Instant, Span},
        },
        protocol::{
            entry_format,
            message::{self, Answer, LeaseRequest, Message},
        },
    };

    const LIFETIME: Lifetime = Lifetime {
        ttl: Span(60_000),
        stale_while_revalidate: Span(600_000),
        stale_if_error: Span(600_000),
        kept: Span::ZERO,
    };

    #[event(fetch)]
    async fn fetch(request: Request, env: Env, _: Context) -> Result<Response> {
        let url = request.url()?;
        let number = |name: &str| {
            let pair = url.query_pairs().find(|(key, _)| key == name);
            pair.and_then(|(_, value)| value.parse::<u64>().ok()).unwrap_or(1)
        };
        let (objects, lanes, cycles) = (number("objects"), number("lanes"), number("cycles"));
        let run = number("run");
        let namespace = env.durable_object("REFRESH_LEASE")?;
        let began = Date::now().as_millis();
        let lanes = (0..lanes).map(|lane| one_lane(&namespace, run, lane, objects, cycles));
        let done: u64 = futures_util::future::try_join_all(lanes).await?.iter().sum();
        let took = Date::now().as_millis() - began;
        Response::ok(format!(r#"{{"cycles":{done},"ms":{took}}}"#))
    }

    async fn one_lane(
        namespace: &ObjectNamespace,
        run: u64,
        lane: u64,
        objects: u64,
        cycles: u64,
    ) -> Result<u64> {
        let mut done = 0;
        for cycle in 0..cycles {
            let name = format!("{run} {}", (lane * cycles + cycle) % objects);
            let physical = LIFETIME.physical();
            // Every lane counts as an isolate, and reports a request rate.
            let share = RateShare::new(lane + 1, Some(1.0));
            let request = LeaseRequest { lease: Span(10_000), expected: Span(1), physical, share };
            // `seen` is above any stored generation, so the object replies with a grant or with `Held`.
            let seen = Date::now().as_millis() + 60_000 + cycle;
            let acquire = Message::Acquire { seen, nonce: Some(lane * cycles + cycle), request };
            let Some(Answer::Granted { token }) = ask(namespace, &name, &acquire, &[]).await? else {
                continue;
            };
            let commit = Message::Commit { token, age: Span::ZERO, lifetime: LIFETIME };
            let bytes = entry_format::encode(&entry(token));
            if ask(namespace, &name, &commit, &bytes).await? == Some(Answer::Committed) {
                done += 1;
            }
        }
        Ok(done)
    }

    async fn ask(
        namespace: &ObjectNamespace,
        name: &str,
        message: &Message,
        beside: &[u8],
    ) -> Result<Option<Answer>> {
        let bytes = message::encode_message(message, beside);
        let body = JsValue::from(js_sys::Uint8Array::from(bytes.as_slice()));
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(body));
        let request = Request::new_with_init("https://object/", &init)?;
        let mut response = namespace.get_by_name(name)?.fetch_with_request(request).await?;
        Ok(message::decode_reply(&response.bytes().await?).map(|(reply, _)| reply.answer))
    }

    fn entry(generation: u64) -> Entry {
        Entry {
            generation,
            stored_at: Instant(generation),
            delta: Span(1_000),
            lifetime: LIFETIME,
            global_rate: 0,
            committed: true,
            key: "bench".into(),
            variant: Vec::new(),
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            etag: "\"0123456789abcdef\"".to_owned(),
            body: Arc::from(super::filler()),
        }
    }
}
