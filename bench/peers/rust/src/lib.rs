//! What a Worker in Rust costs before it does anything: each feature is one Worker that answers 2 KB.

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

/// On the web's own types, reading the body: the least that a cache for POST requests in Rust can cost.
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
