//! The URL of a tracker, as far as one must know it to ask: scheme, host, port, and the rest.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

/// How a tracker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// BEP 15.
    Udp,
    /// BEP 3.
    Http,
    /// The same, over TLS.
    Https,
}

/// A tracker's URL.
///
/// ```
/// use tinybt_core::tracker::{Scheme, TrackerUrl};
///
/// let url = TrackerUrl::parse("udp://tracker.example:6969/announce?key=1#top")?;
/// assert_eq!((url.scheme, url.host, url.port), (Scheme::Udp, "tracker.example", 6969));
/// assert_eq!(url.target, "/announce?key=1");
/// # Ok::<(), tinybt_core::tracker::UrlError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrackerUrl<'a> {
    /// How it is asked.
    pub scheme: Scheme,
    /// Name or address, without the brackets of IPv6.
    pub host: &'a str,
    /// The port: 80 or 443 for HTTP(S) where none is named.
    pub port: u16,
    /// Path and query, possibly empty.
    pub target: &'a str,
    /// Everything before the target.
    pub(crate) base: &'a str,
}

/// Why a text is no tracker's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with `udp://`, `http://` or `https://`.
    Scheme,
    /// It names no host.
    Host,
    /// A UDP tracker's URL names no port, or what is there is no port.
    Port,
    /// There is a space, a control character or one beyond ASCII in it.
    Character,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Scheme => "expected udp://, http:// or https://",
            UrlError::Host => "it names no host",
            UrlError::Port => "expected a port from 1 to 65535, as in udp://host:6969",
            UrlError::Character => {
                "it has a space, a control character or one beyond ASCII: escape it as %20"
            }
        })
    }
}

impl core::error::Error for UrlError {}

impl<'a> TrackerUrl<'a> {
    /// Reads a URL. What follows a `#` is dropped.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is missing.
    pub fn parse(text: &'a str) -> Result<Self, UrlError> {
        let text = text.trim_ascii();
        let text = text.split_once('#').map_or(text, |(text, _)| text);
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = [("udp", Scheme::Udp), ("http", Scheme::Http), ("https", Scheme::Https)]
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(scheme))
            .map(|(_, scheme)| scheme)
            .ok_or(UrlError::Scheme)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Character);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(UrlError::Host)?;
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']').ok_or(UrlError::Host)?;
                host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, Some("")),
            },
        };
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let port = match (port.ok_or(UrlError::Port)?, scheme) {
            ("", Scheme::Http) => 80,
            ("", Scheme::Https) => 443,
            (port, _) => port.parse().map_err(|_| UrlError::Port)?,
        };
        if port == 0 {
            return Err(UrlError::Port);
        }
        let base = text.get(..text.len() - target.len()).unwrap_or_default();
        Ok(Self { scheme, host, port, target, base })
    }

    /// The address, where the host is one and no name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The part of the target before `?`, and the part behind it.
    #[cfg(feature = "http")]
    pub(crate) fn path_and_query(&self) -> (&'a str, Option<&'a str>) {
        match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target, None),
        }
    }
}
