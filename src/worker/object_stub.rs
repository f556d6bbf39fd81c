//! Messages to a key's object, with a time-out. Whatever goes wrong is one of four words: the rules of
//! what follows are in the core.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use worker::Env;

use super::{platform::bindings, timer};
use crate::protocol::{
    lease,
    message::{self, Message, Reply},
};

/// The binding of the objects' namespace; a part of the deployment's contract.
pub(super) const BINDING: &str = "REFRESH_LEASE";

/// Why there is no answer of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It has too much to do: asking again makes it worse.
    Overloaded,
    /// It restarted or moved: asking again may help.
    Retryable,
    /// Anything else: no binding, an exception, an answer that cannot be read.
    Broken,
}

pub(super) type Answered = Result<(Reply, Vec<u8>), Lost>;

/// Sends a message and waits for the answer as long as it takes.
pub(super) async fn send(
    env: Env,
    name: String,
    location_hint: Option<String>,
    message: Message,
    entry: Vec<u8>,
) -> Answered {
    let bytes = message::encode_message(&message, &entry);
    let response = post(&env, BINDING, &name, location_hint.as_deref(), &bytes).await?;
    let (reply, entry) = message::decode_reply(&response).ok_or(Lost::Broken)?;
    Ok((reply, entry.to_vec()))
}

/// Posts bytes to an object and reads the bytes of a 200.
pub(super) async fn post(
    env: &Env,
    binding: &str,
    name: &str,
    location_hint: Option<&str>,
    bytes: &[u8],
) -> Result<Vec<u8>, Lost> {
    match bindings::post(&bindings::binding(env, binding), name, location_hint, bytes).await {
        Ok(answer) => answer.ok_or(Lost::Broken),
        Err(error) => Err(sort(&error)),
    }
}

/// The platform marks its errors.
fn sort(error: &JsValue) -> Lost {
    let is = |mark: &str| Reflect::get(error, &JsValue::from_str(mark)).is_ok_and(|it| it.is_truthy());
    if is("overloaded") {
        Lost::Overloaded
    } else if is("retryable") {
        Lost::Retryable
    } else {
        Lost::Broken
    }
}

/// Sends a message within its time limit; else gives back what may still answer.
pub(super) async fn send_within(
    env: &Env,
    name: &str,
    location_hint: Option<&str>,
    message: Message,
    entry: Vec<u8>,
) -> Result<Answered, bindings::Task<Answered>> {
    let limit = lease::time_limit(&message);
    let sent = Box::pin(send(env.clone(), name.to_owned(), location_hint.map(str::to_owned), message, entry));
    timer::within(limit, sent).await
}
