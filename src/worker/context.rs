//! One request to this Worker: its head, which decides where it goes, and what its answer needs.

use std::{cell::OnceCell, ops::Deref, rc::Rc};

use web_sys::Request;
use worker::Env;

use super::{platform::background::Background, request_flags::RequestFlags, response};
use crate::core::config::Config;

/// A request's head, and the configuration: what decides where the request goes.
pub(super) struct RequestHead {
    pub(super) request: Request,
    pub(super) flags: RequestFlags,
    pub(super) config: Rc<Config>,
    target: OnceCell<RequestTarget>,
}

/// A request that is being answered: its head, and what the answer may need of the platform.
pub(super) struct RequestContext {
    head: RequestHead,
    pub(super) env: Env,
    pub(super) background: Box<dyn Background>,
}

impl RequestHead {
    pub(super) fn new(request: Request, flags: RequestFlags, config: Rc<Config>) -> Self {
        Self { request, flags, config, target: OnceCell::new() }
    }

    /// With what the answer may need.
    pub(super) fn with(self, env: Env, background: Box<dyn Background>) -> Rc<RequestContext> {
        Rc::new(RequestContext { head: self, env, background })
    }

    /// A header of the request.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        response::get(&self.request.headers(), name)
    }

    /// Whether the request's head announces a body.
    pub(super) fn has_body(&self) -> bool {
        self.flags.length().map_or_else(|| self.header("transfer-encoding").is_some(), |length| length > 0)
    }

    pub(super) fn target(&self) -> &RequestTarget {
        self.target.get_or_init(|| RequestTarget::parse(self.request.url()))
    }
}

impl Deref for RequestContext {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

/// A request's URL, as the runtime hands it over: no dot segment is resolved, nothing is decoded.
pub(super) struct RequestTarget {
    url: String,
    /// Where the host begins, where the path does, and where the path ends.
    places: [usize; 3],
}

impl RequestTarget {
    pub(super) fn parse(mut url: String) -> Self {
        url.truncate(url.find('#').unwrap_or(url.len()));
        let host = url.find(':').map_or(0, |at| at + "://".len());
        let path = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
        let end = url[path..].find('?').map_or(url.len(), |at| path + at);
        Self { url, places: [host, path, end] }
    }

    pub(super) fn scheme_and_host(&self) -> &str {
        &self.url[..self.places[1]]
    }

    pub(super) fn host(&self) -> &str {
        &self.url[self.places[0]..self.places[1]]
    }

    pub(super) fn path(&self) -> &str {
        &self.url[self.places[1]..self.places[2]]
    }

    pub(super) fn path_and_query(&self) -> &str {
        &self.url[self.places[1]..]
    }

    /// What follows the question mark, if there is one.
    pub(super) fn query(&self) -> Option<&str> {
        self.url[self.places[2]..].strip_prefix('?')
    }
}
