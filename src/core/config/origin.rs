//! The address of an origin: a scheme and a host, and nothing that could send a call elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reader::Reader;

/// `scheme://host[:port]`, without a trailing slash. Literal private addresses are refused; what a
/// name resolves to cannot be known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginUrl(String);

impl OriginUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// A phrase that says what is allowed, unless `url` is `https://host[:port]` with a public host or, in
    /// development, an http or https URL with a loopback host.
    pub fn parse(url: &str, development: bool) -> Result<Self, &'static str> {
        const HTTPS: &str = "an https URL such as https://api.example";
        let (scheme, rest) = url.split_once(':').ok_or(HTTPS)?;
        let rest = rest.strip_prefix("//").ok_or(HTTPS)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err("a URL without user and password; secrets belong into ORIGIN_HEADERS");
        }
        if authority.contains(['/', '?', '#', '\\']) {
            return Err("a URL without a path, as the path comes from the request");
        }
        let host =
            Host::parse(authority).ok_or("a URL with a plain host name or address, and a port at most")?;
        match (scheme, host) {
            ("https", Host::Public) => {}
            ("http" | "https", Host::Loopback) if development => {}
            ("http" | "https", Host::Loopback) => {
                return Err("no loopback address, which exists in development only");
            }
            ("http" | "https", Host::Private) => return Err("no private or reserved address"),
            ("http", Host::Public) => {
                return Err("an https URL; plain http is for loopback in development only");
            }
            (_, Host::Loopback | Host::Private | Host::Public) => return Err(HTTPS),
        }
        Ok(Self(format!("{scheme}://{}", authority.to_ascii_lowercase())))
    }

    /// The URL without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

enum Host {
    Loopback,
    Private,
    Public,
}

impl Host {
    fn parse(authority: &str) -> Option<Self> {
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
            return is_port(port).then(|| host.parse().ok().map(|ip: Ipv6Addr| Self::of(ip.into())))?;
        } else {
            match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            }
        };
        let host = host.to_ascii_lowercase();
        if !is_port(port) || host.is_empty() || host.len() > 253 {
            return None;
        }
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            return Some(Self::of(ip.into()));
        }
        let name = host.strip_suffix('.').unwrap_or(&host);
        let labels_are_plain = name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        });
        // URL parsers read a last label that is a number, in any notation, as an IPv4 address.
        let last = name.rsplit('.').next()?;
        let last_is_number = last.bytes().all(|b| b.is_ascii_digit())
            || last.strip_prefix("0x").is_some_and(|it| it.bytes().all(|b| b.is_ascii_hexdigit()));
        if !labels_are_plain || last_is_number {
            return None;
        }
        Some(if name == "localhost" || name.ends_with(".localhost") {
            Self::Loopback
        } else if matches!(last, "internal" | "local") {
            Self::Private
        } else {
            Self::Public
        })
    }

    fn of(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return Self::Loopback;
        }
        let is_private = match ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                ip.is_private()
                    || ip.is_link_local()
                    || ip.is_multicast()
                    || ip.is_documentation()
                    || a == 0
                    || a >= 240
                    || (a == 100 && (64..128).contains(&b))
                    || (a == 198 && (18..20).contains(&b))
                    || (a, b) == (192, 0)
            }
            IpAddr::V6(ip) => {
                let first = ip.segments()[0];
                // Only 2000::/3 is global. In it, 6to4 (2002::/16) and Teredo (2001::/32) addresses embed an
                // IPv4 address, which may be private, and 2001:db8::/32 is for documentation.
                first >> 13 != 1
                    || first == 0x2002
                    || (first == 0x2001 && matches!(ip.segments()[1], 0 | 0xdb8))
            }
        };
        if is_private { Self::Private } else { Self::Public }
    }
}

fn is_port(port: Option<&str>) -> bool {
    port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// The origin's URL, if the setting exists and is valid. A refused URL with user info is not shown, because
/// it may contain a password.
pub(super) fn origin_url(reader: &Reader<'_>, name: &str, development: bool) -> Option<OriginUrl> {
    let url = reader.optional_text(name, "an https URL")?;
    match OriginUrl::parse(&url, development) {
        Ok(url) => Some(url),
        Err(allowed) => {
            if url.contains('@') {
                reader.refuse_secret(name, allowed);
            } else {
                reader.refuse(name, allowed);
            }
            None
        }
    }
}
