//! The deployed Worker's way in: a handler that answers what memory holds without a future of Rust's.
//!
//! `worker`'s own handler is an `async` function: a task, its wakers and some closures for every request. Here
//! a body is read by JavaScript (`entry.js`), which then asks again; only what must wait for more than that
//! becomes a task.

#![expect(clippy::needless_pass_by_value, reason = "wasm-bindgen hands values over")]

use std::rc::Rc;

use js_sys::ArrayBuffer;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::Request;
use worker::Env;

use super::{
    body::{self, Unread},
    isolate,
    platform::bindings::{self, ExecutionContext},
    request,
    request_flags::Head,
    router::{self, Step, Visit},
};
use crate::core::time::Instant;

/// The handler of `fetch`: a response, or a promise of one; or a number, which [`answer`] wants to have once the body
/// has come: the place of the request's route, and its head.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "an export of the wasm")]
pub fn fetch(request: Request, env: Env, context: ExecutionContext) -> JsValue {
    let visit = match router::enter(request, env, Box::new(context.clone())) {
        Ok(visit) => visit,
        Err(refused) => return refused.into(),
    };
    match router::begin(&visit) {
        Step::Answer(response) => router::dressed(&visit, response).into(),
        Step::Read(place) if visit.head.length().is_some() => {
            JsValue::from(place as u32 * HEADS + u32::from(visit.head.bits()))
        }
        step => promise(&context, async move { router::end(&visit, step).await.into() }),
    }
}

/// So many heads there are.
const HEADS: u32 = 1 << u8::BITS;

/// For a length, as `entry.js` has it: the body was too slow. Below zero, else, it broke.
const TOO_SLOW: i32 = -2;

/// Answers a request whose body has come, or not: a response, or a promise of one. `started` is the instant at which
/// it came, in milliseconds of the epoch.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "an export of the wasm")]
pub fn answer(
    body: &ArrayBuffer,
    length: i32,
    request: Request,
    env: Env,
    context: ExecutionContext,
    asked: u32,
    started: f64,
) -> JsValue {
    let config = match isolate::config(&env) {
        Ok(config) => config,
        Err(problem) => return router::refuse(&problem, "").into(),
    };
    let (place, head) = ((asked / HEADS) as usize, Head::from_bits((asked % HEADS) as u8));
    let to_its_end = context.clone();
    let visit = Rc::new(Visit::new(request, head, env, Box::new(context), config));
    let body = match usize::try_from(length) {
        Ok(length) => body::bytes_within(body, length, visit.config.routes[place].max_request as usize),
        Err(_) if length == TOO_SLOW => Err(Unread::TooSlow),
        Err(_) => Err(Unread::Broken),
    };
    match request::answer_now(&visit, place, body, Instant(started as u64)) {
        Ok(response) => router::dressed(&visit, response).into(),
        Err(later) => promise(&to_its_end, async move {
            let response = later.answer().await;
            router::dressed(&visit, response).into()
        }),
    }
}

/// What takes longer goes on when its client hangs up.
fn promise(context: &ExecutionContext, answer: impl Future<Output = JsValue> + 'static) -> JsValue {
    let promise = bindings::promise(Box::pin(async move { Ok(answer.await) }));
    bindings::keep(context, &promise);
    promise.into()
}
