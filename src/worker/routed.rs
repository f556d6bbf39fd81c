//! Where a request goes, decided from its head alone.

use std::rc::Rc;

use web_sys::Response;

use super::problem::Problem;
use crate::core::config::Route;

/// Where a request goes.
pub(super) enum Routed {
    /// Its answer.
    Answer(Response),
    /// A refusal, which counts as one.
    Reject(Problem),
    /// Something that takes time.
    Wait(Wait),
}

/// What takes time.
pub(super) enum Wait {
    /// The body of a request to the cached route in this place.
    Body(usize),
    /// A request without a body to the cached route in this place: it may wait for a computation.
    Key(usize),
    /// One of the cache's own paths.
    Admin,
    /// A path that is forwarded.
    Forward,
    /// A cached route, asked with credentials: it is forwarded too.
    Bypass(Rc<Route>),
    /// Perhaps a file of the page.
    Asset,
}
