//! One request to this Worker, and what it takes to answer it.

use std::{cell::OnceCell, rc::Rc};

use web_sys::Request;
use worker::Env;

use super::{platform::background::Background, request_flags::RequestFlags, response};
use crate::core::config::Config;

/// A request with its configuration.
pub(super) struct RequestContext {
    pub(super) request: Request,
    pub(super) flags: RequestFlags,
    pub(super) env: Env,
    pub(super) background: Box<dyn Background>,
    pub(super) config: Rc<Config>,
    target: OnceCell<Target>,
}

impl RequestContext {
    pub(super) fn new(
        request: Request,
        flags: RequestFlags,
        env: Env,
        background: Box<dyn Background>,
        config: Rc<Config>,
    ) -> Self {
        Self { request, flags, env, background, config, target: OnceCell::new() }
    }

    /// A header of the request.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        response::get(&self.request.headers(), name)
    }

    /// Whether the request's head announces a body.
    pub(super) fn has_body(&self) -> bool {
        self.flags.length().map_or_else(|| self.header("transfer-encoding").is_some(), |length| length > 0)
    }

    pub(super) fn target(&self) -> &Target {
        self.target.get_or_init(|| Target::parse(self.request.url()))
    }
}

/// A request's URL, as the runtime hands it over: no dot segment is resolved, nothing is decoded.
pub(super) struct Target {
    url: String,
    /// Where the host begins, where the path does, and where the path ends.
    places: [usize; 3],
}

impl Target {
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
