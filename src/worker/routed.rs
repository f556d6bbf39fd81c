//! What a request comes to before anything is waited for.

use std::rc::Rc;

use web_sys::Response;

use crate::core::config::Route;

/// The first step of a request.
pub(super) enum Routed {
    /// Its answer.
    Answer(Response),
    /// Its body is to be read, for the route in this place.
    ReadBody(usize),
    /// Something else that takes time.
    Wait(Wait),
}

/// What takes time beside a cached route's body.
pub(super) enum Wait {
    /// One of the cache's own paths.
    Admin,
    /// A path that is forwarded.
    Forward,
    /// A cached route, asked with credentials: it is forwarded too.
    Bypass(Rc<Route>),
    /// Perhaps a file of the page.
    Asset,
}
