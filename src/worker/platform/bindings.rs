//! What the platform gives beside the web's own types, as it is: a namespace of Durable Objects, an
//! object's own state, its SQLite and its alarm.
//!
//! The `worker` crate has types for these, too. They convert every row, error and request into types of
//! their own, which is comfortable, and costs an eighth of the wasm.

use std::{future::Future, pin::Pin};

use futures_channel::oneshot;
use js_sys::{Array, Promise};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{Request, RequestInit, Response};
use worker::{Context, Env};

use crate::worker::response;

#[wasm_bindgen]
extern "C" {
    pub(crate) type Namespace;

    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn get_by_name(this: &Namespace, name: &str, options: &JsValue) -> Result<Stub, JsValue>;

    type Stub;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Stub, url: &str, init: &RequestInit) -> Result<Promise, JsValue>;

    type Fetcher;

    #[wasm_bindgen(method, catch, js_name = fetch)]
    fn fetch_request(this: &Fetcher, request: &Request) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = fetch)]
    fn fetch_by_network(request: &Request) -> Result<Promise, JsValue>;

    /// The context of a request, as its handler gets it.
    #[derive(Clone)]
    pub type ExecutionContext;

    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    fn wait_until(this: &ExecutionContext, promise: &Promise) -> Result<(), JsValue>;

    /// The state of an object, as its constructor gets it.
    pub type ObjectState;

    #[wasm_bindgen(method, getter)]
    fn storage(this: &ObjectState) -> Storage;

    pub(crate) type Storage;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn sql(this: &Storage) -> Sql;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &Storage, at: f64) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAll)]
    fn delete_all(this: &Storage) -> Result<Promise, JsValue>;

    pub(crate) type Sql;

    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &Sql, query: &str, bindings: &Array) -> Result<Cursor, JsValue>;

    type Cursor;

    #[wasm_bindgen(method, catch)]
    fn raw(this: &Cursor) -> Result<Rows, JsValue>;

    type Rows;

    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &Rows) -> Result<Array, JsValue>;
}

/// A binding of this Worker; undefined where there is none.
pub(crate) fn binding(env: &Env, name: &str) -> JsValue {
    js_sys::Reflect::get(env, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

/// Sends a request by the network, or to the service behind a binding.
pub(crate) fn fetch(env: &Env, binding_name: Option<&str>, request: &Request) -> Result<Promise, JsValue> {
    match binding_name {
        None => fetch_by_network(request),
        Some(name) => binding(env, name).unchecked_ref::<Fetcher>().fetch_request(request),
    }
}

/// A task whose type no longer matters: one piece of code runs them all.
pub(crate) type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// What lets a task go on behind the answer: the context of a request, as `worker` wraps it or as it is.
pub(crate) trait Background {
    fn wait_until(&self, task: Task<()>);
}

impl Background for Context {
    fn wait_until(&self, task: Task<()>) {
        Self::wait_until(self, task);
    }
}

impl Background for ExecutionContext {
    fn wait_until(&self, task: Task<()>) {
        let promise = promise(Box::pin(async move {
            task.await;
            Ok(JsValue::UNDEFINED)
        }));
        keep(self, &promise);
    }
}

/// Keeps a request alive until this has ended, whether or not its client still waits for it: where the platform
/// cancels a request, a task of Rust's is never run again, and what it holds, in memory and of what is counted, is
/// never given back.
pub(crate) fn keep(context: &ExecutionContext, promise: &Promise) {
    // It fails for a request that has ended already, and that one has nothing to hold open.
    let _ = context.wait_until(promise);
}

/// Runs a task behind the answer, in `waitUntil`.
pub(crate) fn behind(context: &dyn Background, task: impl Future<Output = ()> + 'static) {
    context.wait_until(Box::pin(task));
}

/// Runs a task in `waitUntil`, so that it goes on when the client hangs up, and tells its output to whoever still
/// waits for it.
pub(crate) fn to_its_end<T: 'static>(
    context: &dyn Background,
    task: impl Future<Output = T> + 'static,
) -> oneshot::Receiver<T> {
    let (sender, output) = oneshot::channel();
    behind(context, async move {
        // A client that has hung up hears nothing.
        let _ = sender.send(task.await);
    });
    output
}

/// Answers a message to an object: bytes in, bytes out, or an empty 400 for what is no message.
pub(crate) fn answer<F>(request: Request, answer: impl FnOnce(Vec<u8>) -> F + 'static) -> Promise
where
    F: Future<Output = Result<Option<Vec<u8>>, JsValue>> + 'static,
{
    promise(Box::pin(async move {
        let bytes = bytes_of(request.array_buffer()).await?;
        let headers = response::headers(&[]);
        Ok(match answer(bytes).await? {
            Some(bytes) => response::with_bytes(200, &headers, &bytes),
            None => response::empty(400, &headers),
        }
        .into())
    }))
}

/// The promise of a task.
pub(crate) fn promise(task: Task<Result<JsValue, JsValue>>) -> Promise {
    future_to_promise(task)
}

/// Posts bytes to an object and reads the bytes of its answer; `None` for anything but a 200.
pub(crate) async fn post(
    namespace: &JsValue,
    name: &str,
    location_hint: Option<&str>,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, JsValue> {
    let options = js_sys::Object::new();
    if let Some(hint) = location_hint {
        js_sys::Reflect::set(&options, &"locationHint".into(), &hint.into())?;
    }
    // A new stub for each message: one that has failed once may fail for ever.
    let stub = namespace.unchecked_ref::<Namespace>().get_by_name(name, &options)?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&js_sys::Uint8Array::from(bytes));
    let response = JsFuture::from(stub.fetch("https://object/", &init)?).await?;
    let response: Response = response.unchecked_into();
    if response.status() != 200 {
        return Ok(None);
    }
    bytes_of(response.array_buffer()).await.map(Some)
}

/// The bytes that a promised buffer holds.
pub(crate) async fn bytes_of(buffer: Result<Promise, JsValue>) -> Result<Vec<u8>, JsValue> {
    let buffer = JsFuture::from(buffer?).await?;
    Ok(js_sys::Uint8Array::new(&buffer).to_vec())
}

impl ObjectState {
    /// Runs statements for what they change.
    pub(crate) fn run(&self, query: &str, bindings: &[JsValue]) -> Result<(), JsValue> {
        self.query(query, bindings).map(drop)
    }

    /// Runs a statement; the bytes in its first row and column, if they are bytes.
    pub(crate) fn first_bytes(&self, query: &str, bindings: &[JsValue]) -> Result<Option<Vec<u8>>, JsValue> {
        let rows = self.query(query, bindings)?.raw()?.to_array()?;
        let value = rows.get(0).dyn_into::<Array>().map_or(JsValue::UNDEFINED, |row| row.get(0));
        Ok(value.is_instance_of::<js_sys::ArrayBuffer>().then(|| js_sys::Uint8Array::new(&value).to_vec()))
    }

    /// Sets the one alarm, to an instant in milliseconds.
    pub(crate) async fn set_alarm(&self, at: f64) -> Result<(), JsValue> {
        JsFuture::from(self.storage().set_alarm(at)?).await.map(drop)
    }

    /// Deletes all that the object has stored.
    pub(crate) async fn delete_all(&self) -> Result<(), JsValue> {
        JsFuture::from(self.storage().delete_all()?).await.map(drop)
    }

    fn query(&self, query: &str, bindings: &[JsValue]) -> Result<Cursor, JsValue> {
        let values = Array::new();
        for value in bindings {
            values.push(value);
        }
        self.storage().sql().exec(query, &values)
    }
}
