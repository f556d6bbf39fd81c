//! Messages to Durable Objects, with a time limit.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use worker::Env;

use super::{
    platform::{background::BoxFuture, bindings},
    timer,
};
use crate::{core::time::Span, isolate::step::ObjectError};

/// The binding of the keys' objects; a part of the deployment's contract.
pub(super) const LEASE_BINDING: &str = "REFRESH_LEASE";
/// The binding of the metrics object.
pub(super) const METRICS_BINDING: &str = "METRICS";

/// The Durable Object that a message is sent to.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) binding: &'static str,
    /// The object's name.
    pub(super) name: String,
    /// The region in which a new object should be created.
    pub(super) location_hint: Option<String>,
}

/// The bytes of a reply, or why there is none.
pub(super) type Replied = Result<Vec<u8>, ObjectError>;

/// Sends bytes to an object and waits for its reply for at most `limit`. After that, returns the future that
/// may still yield the reply.
pub(super) async fn send(
    env: &Env,
    to: Address,
    bytes: Vec<u8>,
    limit: Span,
) -> Result<Replied, BoxFuture<Replied>> {
    let env = env.clone();
    let posted: BoxFuture<Replied> = Box::pin(async move {
        let namespace = bindings::binding(&env, to.binding);
        match bindings::post(&namespace, &to.name, to.location_hint.as_deref(), &bytes).await {
            Ok(reply) => reply.ok_or(ObjectError::Broken),
            Err(error) => Err(classify(&error)),
        }
    });
    timer::within(limit, posted).await
}

/// Classifies an error by the properties that the platform sets on it.
fn classify(error: &JsValue) -> ObjectError {
    let is = |mark: &str| Reflect::get(error, &JsValue::from_str(mark)).is_ok_and(|it| it.is_truthy());
    if is("overloaded") {
        ObjectError::Overloaded
    } else if is("retryable") {
        ObjectError::Retryable
    } else {
        ObjectError::Broken
    }
}
