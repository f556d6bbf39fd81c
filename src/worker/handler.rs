//! The deployed Worker's entrance: it answers what memory holds without a Rust future.
//!
//! The `worker` crate's own handler is an `async` function: a future, its wakers and some closures for every
//! request. Here a body is read by JavaScript (`entry.js`), which then calls [`answer`]; only what must wait
//! for more than that becomes a future.

#![expect(clippy::needless_pass_by_value, reason = "wasm-bindgen hands values over")]

use std::rc::Rc;

use js_sys::ArrayBuffer;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::{Request, Response};
use worker::Env;

use super::{
    body::{self, BodyError},
    context::{RequestContext, RequestHead},
    cors, globals,
    platform::{
        background::{self, ExecutionContext},
        clock,
    },
    request::{self, SlowPath},
    request_flags::RequestFlags,
    routed::{Routed, Wait},
    router,
};
use crate::core::time::Instant;

/// How many combinations of flags there are: `fetch` returns a route's place times this, plus the flags.
const FLAGS: u32 = 1 << u16::BITS;

/// In place of a length, as `slow_bodies.js` passes it: the body was too slow. Any other negative number: it
/// could not be read.
const TOO_SLOW: i32 = -2;

/// The handler of `fetch`. Returns a response, a promise of one, or, if the body must be read first, a number
/// (the route's place and the request's flags) to pass to [`answer`].
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "an export of the wasm")]
pub fn fetch(request: Request, env: Env, context: ExecutionContext) -> JsValue {
    let head = match router::read_head(request, &env) {
        Ok(head) => head,
        Err(refused) => return refused.into(),
    };
    let routed = router::route(&head);
    if let (Routed::Wait(Wait::Body(place)), Some(_)) = (&routed, head.flags.length()) {
        return JsValue::from(*place as u32 * FLAGS + u32::from(head.flags.bits()));
    }
    let request = head.with(env, Box::new(context.clone()));
    if let Routed::Wait(Wait::Key(place)) = routed {
        let answered = request::answer_now(&request, place, Ok(Vec::new()), clock::now());
        return finish(request, answered, &context);
    }
    match router::at_once(&request, routed) {
        Ok(response) => response.into(),
        Err(wait) => promise(&context, async move { router::wait_and_answer(&request, wait).await.into() }),
    }
}

/// Answers a request whose body has been read, or could not be. Returns a response or a promise of one.
/// `length` is the body's in bytes, `started` the instant at which its reading began, in milliseconds since
/// the epoch, and `routed` the number that [`fetch`] returned.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "an export of the wasm")]
pub fn answer(
    body: &ArrayBuffer,
    length: i32,
    request: Request,
    env: Env,
    context: ExecutionContext,
    routed: u32,
    started: f64,
) -> JsValue {
    let config = match globals::config(&env) {
        Ok(config) => config,
        Err(problem) => return router::refuse(&problem, "").into(),
    };
    let (place, flags) = ((routed / FLAGS) as usize, RequestFlags::from_bits((routed % FLAGS) as u16));
    let own = context.clone();
    let request = RequestHead::new(request, flags, config).with(env, Box::new(context));
    let body = match usize::try_from(length) {
        Ok(length) => body::bytes_within(body, length, request.config.routes[place].max_request as usize),
        Err(_) if length == TOO_SLOW => Err(BodyError::TooSlow),
        Err(_) => Err(BodyError::Broken),
    };
    let answered = request::answer_now(&request, place, body, Instant(started as u64));
    finish(request, answered, &own)
}

/// A response, or a promise of one if it takes time.
fn finish(
    request: Rc<RequestContext>,
    answered: Result<Response, Box<SlowPath>>,
    context: &ExecutionContext,
) -> JsValue {
    match answered {
        Ok(response) => cors::with_cors(&request, response).into(),
        Err(slow) => promise(context, async move {
            let response = slow.answer().await;
            cors::with_cors(&request, response).into()
        }),
    }
}

/// What takes time goes on when its client hangs up.
fn promise(context: &ExecutionContext, answer: impl Future<Output = JsValue> + 'static) -> JsValue {
    let promise = background::promise(Box::pin(async move { Ok(answer.await) }));
    background::keep(context, &promise, false);
    promise.into()
}
