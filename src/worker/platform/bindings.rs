//! The bindings of this Worker: services, and namespaces of Durable Objects.
//!
//! The `worker` crate has types for these too. They convert every error and request into types of their own,
//! which costs an eighth of the wasm.

use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, RequestInit, Response};
use worker::Env;

#[wasm_bindgen]
extern "C" {
    type Namespace;

    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn get_by_name(this: &Namespace, name: &str, options: &JsValue) -> Result<Stub, JsValue>;

    type Stub;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Stub, url: &str, init: &RequestInit) -> Result<Promise, JsValue>;

    type Fetcher;

    #[wasm_bindgen(method, catch, js_name = fetch)]
    fn fetch_request(this: &Fetcher, request: &Request) -> Result<Promise, JsValue>;

    type Limiter;

    #[wasm_bindgen(method, catch)]
    fn limit(this: &Limiter, options: &Object) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = fetch)]
    fn fetch_by_network(request: &Request) -> Result<Promise, JsValue>;
}

/// A binding of this Worker; undefined where there is none.
pub(crate) fn binding(env: &Env, name: &str) -> JsValue {
    Reflect::get(env, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

/// Sends a request by the network, or to the service behind a binding.
pub(crate) fn fetch(env: &Env, binding_name: Option<&str>, request: &Request) -> Result<Promise, JsValue> {
    match binding_name {
        None => fetch_by_network(request),
        Some(name) => binding(env, name).unchecked_ref::<Fetcher>().fetch_request(request),
    }
}

/// Posts bytes to the object of this name and reads the bytes of its answer; `None` for anything but a 200.
pub(crate) async fn post(
    namespace: &JsValue,
    name: &str,
    location_hint: Option<&str>,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, JsValue> {
    let options = Object::new();
    if let Some(hint) = location_hint {
        Reflect::set(&options, &"locationHint".into(), &hint.into())?;
    }
    // A new stub for each message, because a stub that has failed once may fail for all later messages.
    let stub = namespace.unchecked_ref::<Namespace>().get_by_name(name, &options)?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&Uint8Array::from(bytes));
    let response = JsFuture::from(stub.fetch("https://object/", &init)?).await?;
    let response: Response = response.unchecked_into();
    if response.status() != 200 {
        return Ok(None);
    }
    bytes_of(response.array_buffer()).await.map(Some)
}

/// Counts a request at a rate limiter; false if there were too many with this key.
pub(crate) async fn within_limit(env: &Env, binding_name: &str, key: &str) -> Result<bool, JsValue> {
    let options = Object::new();
    Reflect::set(&options, &"key".into(), &key.into())?;
    let limiter = binding(env, binding_name);
    let outcome = JsFuture::from(limiter.unchecked_ref::<Limiter>().limit(&options)?).await?;
    Ok(Reflect::get(&outcome, &"success".into())?.is_truthy())
}

/// The bytes that a promised buffer holds.
pub(crate) async fn bytes_of(buffer: Result<Promise, JsValue>) -> Result<Vec<u8>, JsValue> {
    let buffer = JsFuture::from(buffer?).await?;
    Ok(Uint8Array::new(&buffer).to_vec())
}
