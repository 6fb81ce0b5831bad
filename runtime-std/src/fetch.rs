//! Getting an URL over HTTP(S), the way that trackers are asked: with bounds on everything.
//!
//! A thin layer over ureq. The time-out is over the whole call, names, redirects and the body
//! included; the body is bounded after it is unpacked, where ureq counts what comes over the wire; a
//! proxy is used when the configuration names one, and never because of the environment. Redirects
//! are followed here, since ureq takes one to `file:` for a path of the same server.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use tinybt_core::Family;
use tinybt_core::limits::BODY_MAX;
use ureq::config::IpFamily;
use ureq::{Agent, Proxy};

use crate::driver::stopwatch;

/// How HTTP trackers are asked.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// For the whole of a call.
    pub timeout: Duration,
    /// Bytes of an answer, after it is unpacked.
    pub body_max: usize,
    /// How often it may be sent elsewhere.
    pub redirects: u32,
    /// A proxy, as `http://host:port`. The environment is not looked at.
    pub proxy: Option<String>,
    /// What to call ourselves.
    pub user_agent: String,
    /// Certificates (PEM) to trust in place of the bundled ones, with the feature `tls`.
    pub roots: Option<Vec<u8>>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            body_max: BODY_MAX,
            redirects: 5,
            proxy: None,
            user_agent: concat!("tinybt/", env!("CARGO_PKG_VERSION")).to_owned(),
            roots: None,
        }
    }
}

/// Gets URLs. Clones share what they are made of.
#[derive(Clone, Debug)]
pub struct Fetcher {
    agent: Agent,
    config: HttpConfig,
}

/// Why an URL was not got.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL is none, or was redirected to none that can be got, such as `file:`.
    Url(String),
    /// This build does no TLS.
    NoTls,
    /// The host has no address, or none of the family.
    Name,
    /// Nobody listens there, or nobody can be reached.
    Connect(io::Error),
    /// The certificate is not to be trusted, or TLS failed otherwise.
    Tls(String),
    /// It took too long.
    Timeout(Duration),
    /// The answer is longer than this.
    TooLong(usize),
    /// It was sent elsewhere more often than this.
    Redirects(u32),
    /// The proxy cannot be used.
    Proxy(String),
    /// The certificates to trust are none.
    Roots(String),
    /// What came back is no HTTP.
    Protocol(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Url(url) => write!(f, "cannot get {url:?}: expected http:// or https://"),
            FetchError::NoTls => {
                f.write_str("this build of tinybt does no TLS: enable the feature `tls`")
            }
            FetchError::Name => f.write_str("the host has no address to be reached at"),
            FetchError::Connect(error) => write!(f, "cannot connect: {error}"),
            FetchError::Tls(error) => write!(f, "no secure connection: {error}"),
            FetchError::Timeout(time) => write!(f, "no answer within {} s", time.as_secs_f32()),
            FetchError::TooLong(len) => write!(f, "the answer is longer than {len} bytes"),
            FetchError::Redirects(count) => write!(f, "redirected more than {count} times"),
            FetchError::Proxy(error) => write!(f, "the proxy cannot be used: {error}"),
            FetchError::Roots(error) => write!(f, "the certificates to trust are wrong: {error}"),
            FetchError::Protocol(error) => write!(f, "the answer is no HTTP: {error}"),
        }
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FetchError::Connect(error) => Some(error),
            _ => None,
        }
    }
}

impl Fetcher {
    /// With this configuration.
    ///
    /// # Errors
    ///
    /// [`FetchError::Proxy`], [`FetchError::Roots`].
    pub fn new(config: HttpConfig) -> Result<Self, FetchError> {
        let proxy = match &config.proxy {
            Some(proxy) => {
                Some(Proxy::new(proxy).map_err(|error| FetchError::Proxy(error.to_string()))?)
            }
            None => None,
        };
        let builder = Agent::config_builder()
            // Otherwise it is taken from the environment.
            .proxy(proxy)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // Trackers are asked twice an hour: an open connection is of no use to either side.
            .max_idle_connections(0)
            .user_agent(config.user_agent.clone());
        #[cfg(feature = "tls")]
        let builder = match &config.roots {
            Some(pem) => builder.tls_config(tls(pem)?),
            None => builder,
        };
        Ok(Self { agent: Agent::new_with_config(builder.build()), config })
    }

    /// The body of the answer, whatever its status: trackers put their refusals into those of
    /// errors as well.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub fn get(&self, url: &str, family: Option<Family>) -> Result<Vec<u8>, FetchError> {
        let spent = stopwatch();
        let family = match family {
            Some(Family::V4) => IpFamily::Ipv4Only,
            Some(Family::V6) => IpFamily::Ipv6Only,
            None => IpFamily::Any,
        };
        let mut url = url.to_owned();
        for _ in 0..=self.config.redirects {
            let left = self.config.timeout.saturating_sub(spent());
            if left.is_zero() {
                return Err(FetchError::Timeout(self.config.timeout));
            }
            check(&url)?;
            let request = self.agent.get(&url).config();
            let request = request.ip_family(family).timeout_global(Some(left)).build();
            let mut response = request.call().map_err(|error| self.explain(error))?;
            let place = response.headers().get("location").and_then(|place| place.to_str().ok());
            match place.filter(|_| response.status().is_redirection()) {
                Some(place) => url = join(&url, place),
                None => return self.read(response.body_mut()),
            }
        }
        Err(FetchError::Redirects(self.config.redirects))
    }

    fn read(&self, body: &mut ureq::Body) -> Result<Vec<u8>, FetchError> {
        let most = self.config.body_max;
        let mut bytes = Vec::new();
        let read = body.as_reader().take(most as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.explain_io(error))?;
        if bytes.len() > most { Err(FetchError::TooLong(most)) } else { Ok(bytes) }
    }

    fn explain(&self, error: ureq::Error) -> FetchError {
        use ureq::Error;
        match error {
            Error::BadUri(url) => FetchError::Url(url),
            Error::Http(error) => FetchError::Url(error.to_string()),
            Error::HostNotFound => FetchError::Name,
            Error::Timeout(_) => FetchError::Timeout(self.config.timeout),
            Error::InvalidProxyUrl | Error::ConnectProxyFailed(_) => {
                FetchError::Proxy(error.to_string())
            }
            Error::Io(error) => self.explain_io(error),
            Error::ConnectionFailed => FetchError::Connect(ErrorKind::NotConnected.into()),
            Error::TlsRequired => FetchError::NoTls,
            Error::Tls(error) => FetchError::Tls(error.to_owned()),
            #[cfg(feature = "tls")]
            Error::Rustls(error) => FetchError::Tls(error.to_string()),
            error => FetchError::Protocol(error.to_string()),
        }
    }

    fn explain_io(&self, error: io::Error) -> FetchError {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => FetchError::Timeout(self.config.timeout),
            // What TLS has against the other side comes wrapped into these two.
            ErrorKind::InvalidData | ErrorKind::Other => {
                let inner = error.into_inner();
                match inner.map(|inner| inner.downcast::<ureq::Error>()) {
                    Some(Ok(inner)) => self.explain(*inner),
                    Some(Err(inner)) => FetchError::Tls(inner.to_string()),
                    None => FetchError::Name,
                }
            }
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
            | ErrorKind::BrokenPipe => FetchError::Connect(error),
            // A failing look-up has no number of the operating system's, and no kind.
            _ if error.raw_os_error().is_none() => FetchError::Name,
            _ => FetchError::Connect(error),
        }
    }
}

/// Whether this build can get such an URL at all.
fn check(url: &str) -> Result<(), FetchError> {
    let (scheme, _) = url.split_once("://").unwrap_or_default();
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    match () {
        () if is("https") && cfg!(not(feature = "tls")) => Err(FetchError::NoTls),
        () if is("http") || is("https") => Ok(()),
        () => Err(FetchError::Url(url.to_owned())),
    }
}

/// Where a redirect from `url` leads to (RFC 3986, 5.2).
fn join(url: &str, place: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let has_scheme = place.split_once(':').is_some_and(|(scheme, _)| {
        scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    if has_scheme {
        return place.to_owned();
    }
    if place.starts_with("//") {
        return format!("{scheme}:{place}");
    }
    let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path);
    if place.starts_with('/') {
        return format!("{scheme}://{authority}{place}");
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match place.starts_with('?') {
        true => format!("{scheme}://{authority}{path}{place}"),
        false => format!("{scheme}://{authority}{folder}/{place}"),
    }
}

#[cfg(feature = "tls")]
fn tls(pem: &[u8]) -> Result<ureq::tls::TlsConfig, FetchError> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

    let mut roots = Vec::new();
    for item in parse_pem(pem) {
        let item = item.map_err(|error| FetchError::Roots(error.to_string()))?;
        if let PemItem::Certificate(certificate) = item {
            roots.push(certificate);
        }
    }
    if roots.is_empty() {
        return Err(FetchError::Roots("expected PEM with at least one certificate".to_owned()));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build())
}
