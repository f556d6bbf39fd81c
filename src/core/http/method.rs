//! The methods that a route may cache.

/// A method whose answers are cached. `HEAD` is answered from the entry of `GET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET` and `HEAD`.
    Get,
    /// `QUERY` (RFC 10008): safe, with a body.
    Query,
    /// `POST`: a route that lists it declares that it only reads.
    Post,
}

impl Method {
    /// The name that the origin gets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Query => "QUERY",
            Self::Post => "POST",
        }
    }
}

/// The methods of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods {
    /// `GET`, and with it `HEAD`.
    pub get: bool,
    /// `QUERY`.
    pub query: bool,
    /// `POST`.
    pub post: bool,
}

impl Methods {
    /// Whether a method is one of them.
    #[must_use]
    pub fn contain(self, method: Method) -> bool {
        match method {
            Method::Get => self.get,
            Method::Query => self.query,
            Method::Post => self.post,
        }
    }

    /// Their names, as the settings have them.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let names = [(self.post, "POST"), (self.query, "QUERY"), (self.get, "GET")];
        names.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name).collect()
    }

    /// The value of `Allow`.
    #[must_use]
    pub fn allow(self) -> String {
        let names = [(self.get, "GET, HEAD"), (self.query, "QUERY"), (self.post, "POST"), (true, "OPTIONS")];
        let names: Vec<&str> =
            names.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name).collect();
        names.join(", ")
    }

    /// The method in the key of a request: `QUERY` and `POST` share entries on a route that has both, because
    /// both ask the same question.
    #[must_use]
    pub fn keyed(self, method: Method) -> Method {
        if self.post && method == Method::Query { Method::Post } else { method }
    }
}
