//! The deployed Worker's way in: a handler that answers what memory holds without a future of Rust's.
//!
//! `worker`'s own handler is an `async` function: a task, its wakers and some closures for every request. Here
//! a body is read by JavaScript, which then calls one long-lived function; only what must wait for more than
//! that becomes a task.

#![expect(clippy::needless_pass_by_value, reason = "wasm-bindgen hands values over")]

use std::rc::Rc;

use wasm_bindgen::{JsValue, closure::Closure, prelude::wasm_bindgen};
use web_sys::Request;
use worker::Env;

use super::{
    body::{self, Unread},
    cached::{self, BODY_TIMEOUT},
    glue,
    head::Head,
    isolate,
    platform::{self, ExecutionContext},
    router::{self, Step, Visit},
};
use crate::{host, time::Millis};

thread_local! {
    static ANSWER: Closure<glue::Answer> = Closure::new(answer);
}

/// The handler of `fetch`: a response, or a promise of one.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "an export of the wasm")]
pub fn fetch(request: Request, env: Env, context: ExecutionContext) -> JsValue {
    let visit = match router::enter(request, env, Box::new(context.clone())) {
        Ok(visit) => visit,
        Err(refused) => return refused.into(),
    };
    match router::begin(&visit) {
        Step::Answer(response) => router::dressed(&visit, response).into(),
        Step::Read(place) if visit.head.length().is_some() => ANSWER.with(|answer| {
            let (request, env, head) = (&visit.request, &visit.env, visit.head.number());
            glue::read_then(
                answer,
                BODY_TIMEOUT.0 as f64,
                request,
                env,
                &context,
                place,
                head,
                host::now().0 as f64,
            )
        }),
        step => promise(&context, async move { router::end(&visit, step).await.into() }),
    }
}

/// Answers a request whose body has come: a response, or a promise of one.
fn answer(
    body: JsValue,
    request: Request,
    env: Env,
    context: ExecutionContext,
    place: usize,
    head: f64,
    started: f64,
) -> JsValue {
    let config = match isolate::config(&env) {
        Ok(config) => config,
        Err(problem) => return router::refuse(&problem, "").into(),
    };
    let to_its_end = context.clone();
    let visit = Visit::new(request, Head::from_number(head), env, Box::new(context), config);
    let visit = Rc::new(visit);
    let body = if body.is_null() {
        Err(Unread::TooSlow)
    } else if body.is_undefined() {
        Err(Unread::Broken)
    } else {
        body::bytes_within(&body, visit.config.routes[place].max_request as usize)
    };
    match cached::answer_now(&visit, place, body, Millis(started as u64)) {
        Ok(response) => router::dressed(&visit, response).into(),
        Err(later) => promise(&to_its_end, async move {
            let response = later.answer().await;
            router::dressed(&visit, response).into()
        }),
    }
}

/// What takes longer goes on when its client hangs up.
fn promise(context: &ExecutionContext, answer: impl Future<Output = JsValue> + 'static) -> JsValue {
    let promise = platform::promise(Box::pin(async move { Ok(answer.await) }));
    platform::keep(context, &promise);
    promise.into()
}
