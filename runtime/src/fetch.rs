//! Getting an URL over HTTP(S), the way that trackers are asked: with bounds on everything.
//!
//! A thin layer over ureq. The time-out is over the whole call, names, redirects and the body
//! included; the body is bounded after it is unpacked, where ureq counts what comes over the wire; a
//! proxy is used when the configuration names one, and never because of the environment.
//!
//! What ureq would do otherwise is done here: it takes a redirect to `file:` for a path of the same
//! server, a port that is none for the scheme's own, and it panics at a proxy or a user agent that
//! it cannot use. Nothing here reads a clock but by `stopwatch`.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tinybt_core::Family;
use tinybt_core::limits::BODY_MAX;
use ureq::config::IpFamily;
use ureq::http::{HeaderValue, Response, Uri};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use crate::pump::stopwatch;

/// Longer than anybody waits, and short enough to be added to an instant.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Characters of what others say that are repeated in an error.
const QUOTE_MAX: usize = 200;

/// How HTTP trackers are asked.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// For the whole of a call.
    pub timeout: Duration,
    /// Bytes of an answer, after it is unpacked.
    pub body_max: usize,
    /// How often it may be sent elsewhere.
    pub redirects: u32,
    /// A proxy, as `http://user:password@host:port`; with the feature `tls` also `https://`. It must
    /// know the method CONNECT. The environment is not looked at.
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
pub struct Fetcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    agent: Agent,
    timeout: Duration,
    body_max: usize,
    redirects: u32,
}

/// An answer, whatever its status: trackers put what they have to say into those of errors as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Of HTTP: 200 is well.
    pub status: u16,
    /// Unpacked.
    pub body: Vec<u8>,
}

/// Why an URL was not got.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL is none, for this reason.
    Url(String),
    /// This URL, asked for or redirected to, is neither `http:` nor `https:`.
    Scheme(String),
    /// This build does no TLS.
    NoTls,
    /// The host has no address, or none of the family.
    Name {
        /// The host.
        host: String,
        /// The family that was asked for.
        family: Option<Family>,
        /// What the operating system says, if it is that which knows no address.
        source: Option<io::Error>,
    },
    /// Nobody listens there.
    Refused,
    /// Nobody can be reached there.
    Connect(io::Error),
    /// The certificate is not to be trusted.
    Certificate(String),
    /// TLS failed otherwise.
    Tls(String),
    /// It took longer than this.
    Timeout(Duration),
    /// The connection ended before the answer did.
    Closed,
    /// The answer is longer.
    TooLarge {
        /// Than so many bytes.
        limit: usize,
    },
    /// It was sent elsewhere more often than this.
    Redirects(u32),
    /// The proxy cannot be used.
    Proxy(String),
    /// The certificates to trust are none.
    Roots(String),
    /// This cannot be said of ourselves in HTTP.
    UserAgent(String),
    /// What came back is no HTTP.
    Protocol(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Url(reason) => write!(f, "not an URL: {reason}"),
            FetchError::Scheme(url) => {
                write!(f, "{url:?} begins with neither http:// nor https://")
            }
            FetchError::NoTls => {
                f.write_str("this build of tinybt does no TLS: enable the feature `tls`")
            }
            FetchError::Name { host, source: Some(source), .. } => {
                write!(f, "cannot find the address of {host}: {source}")
            }
            FetchError::Name { host, family, .. } => {
                let family = family.map_or("", |family| match family {
                    Family::V4 => "IPv4 ",
                    Family::V6 => "IPv6 ",
                });
                write!(f, "{host} has no {family}address")
            }
            FetchError::Refused => f.write_str("nobody listens there: connection refused"),
            FetchError::Connect(error) => write!(f, "cannot connect: {error}"),
            FetchError::Certificate(reason) => {
                write!(f, "the server's certificate is not to be trusted: {reason}")
            }
            FetchError::Tls(reason) => write!(f, "no secure connection: {reason}"),
            FetchError::Timeout(time) => {
                write!(f, "no complete answer within {} s", time.as_secs_f32())
            }
            FetchError::Closed => f.write_str("the connection ended before the answer did"),
            FetchError::TooLarge { limit } => {
                write!(f, "the answer is longer than {limit} bytes")
            }
            FetchError::Redirects(count) => write!(f, "redirected more than {count} times"),
            FetchError::Proxy(reason) => write!(f, "the proxy cannot be used: {reason}"),
            FetchError::Roots(reason) => write!(f, "the certificates to trust are wrong: {reason}"),
            FetchError::UserAgent(name) => {
                write!(f, "{name:?} is no name for a user agent: HTTP allows printable ASCII")
            }
            FetchError::Protocol(reason) => write!(f, "the answer is not HTTP: {reason}"),
        }
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FetchError::Connect(source) | FetchError::Name { source: Some(source), .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}

impl Fetcher {
    /// With this configuration.
    ///
    /// # Errors
    ///
    /// [`FetchError::Proxy`], [`FetchError::Roots`] and [`FetchError::UserAgent`];
    /// [`FetchError::NoTls`] when the configuration needs it.
    pub fn new(config: HttpConfig) -> Result<Self, FetchError> {
        if HeaderValue::from_str(&config.user_agent).is_err() || !config.user_agent.is_ascii() {
            return Err(FetchError::UserAgent(quote(&config.user_agent)));
        }
        let builder = Agent::config_builder()
            // Otherwise it is taken from the environment.
            .proxy(config.proxy.as_deref().map(proxy).transpose()?)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // Trackers are asked twice an hour: an open connection is of no use to either side.
            .max_idle_connections(0)
            .user_agent(config.user_agent);
        #[cfg(feature = "tls")]
        let builder = match &config.roots {
            Some(pem) => builder.tls_config(tls(pem)?),
            None => builder,
        };
        if cfg!(not(feature = "tls")) && config.roots.is_some() {
            return Err(FetchError::NoTls);
        }
        Ok(Self(Arc::new(Inner {
            agent: Agent::new_with_config(builder.build()),
            timeout: config.timeout.min(TIMEOUT_MAX),
            body_max: config.body_max,
            redirects: config.redirects,
        })))
    }

    /// What is at this URL. Blocks.
    ///
    /// With a family, the server is reached over that one alone (BEP 7: announces go over each).
    /// With a proxy this holds for the way to the proxy; it resolves names itself.
    ///
    /// # Errors
    ///
    /// [`FetchError`]; an answer with a status of errors is none.
    pub fn get(&self, url: &str, family: Option<Family>) -> Result<Fetched, FetchError> {
        let Inner { agent, timeout, .. } = &*self.0;
        let spent = stopwatch();
        let (agent, _watched) = match agent.config().proxy() {
            Some(_) => {
                let (agent, watched) = watch(agent, *timeout)?;
                (agent, Some(watched))
            }
            None => (agent.clone(), None),
        };
        let fetched = self.follow(&agent, url, family, &spent);
        // What was cut off may look like a body that is complete.
        if spent() < *timeout { fetched } else { Err(FetchError::Timeout(*timeout)) }
    }

    fn follow(
        &self,
        agent: &Agent,
        url: &str,
        family: Option<Family>,
        spent: impl Fn() -> Duration,
    ) -> Result<Fetched, FetchError> {
        let families = match family {
            Some(Family::V4) => IpFamily::Ipv4Only,
            Some(Family::V6) => IpFamily::Ipv6Only,
            None => IpFamily::Any,
        };
        let mut url = url.to_owned();
        for _ in 0..=self.0.redirects {
            let uri = parse(&url, family)?;
            let explain = |error| self.explain(error, &uri, family);
            let left = self.0.timeout.saturating_sub(spent());
            let request = agent.get(&uri).header("connection", "close");
            let request = request.config().ip_family(families).timeout_global(Some(left)).build();
            let mut response = request.call().map_err(explain)?;
            match redirected(&response) {
                Some(place) => url = join(&uri, &place),
                None => return self.read(&mut response).map_err(|e| explain(e.into())),
            }
        }
        Err(FetchError::Redirects(self.0.redirects))
    }

    /// Over the limit it fails with the error that ureq has for its own limits.
    fn read(&self, response: &mut Response<Body>) -> io::Result<Fetched> {
        let most = self.0.body_max as u64;
        let mut body = Vec::new();
        let mut reader = response.body_mut().as_reader().take(most.saturating_add(1));
        if reader.read_to_end(&mut body)? as u64 > most {
            return Err(ureq::Error::BodyExceedsLimit(most).into_io());
        }
        Ok(Fetched { status: response.status().as_u16(), body })
    }

    fn explain(&self, error: ureq::Error, uri: &Uri, family: Option<Family>) -> FetchError {
        use ureq::Error;
        let name = |source| {
            let host = uri.host().unwrap_or_default().to_owned();
            FetchError::Name { host, family, source }
        };
        let error = match error {
            Error::Timeout(_) => FetchError::Timeout(self.0.timeout),
            Error::BodyExceedsLimit(_) => FetchError::TooLarge { limit: self.0.body_max },
            Error::HostNotFound => name(None),
            Error::Io(error) => match error.kind() {
                ErrorKind::TimedOut | ErrorKind::WouldBlock => FetchError::Timeout(self.0.timeout),
                ErrorKind::ConnectionRefused => FetchError::Refused,
                ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::UnexpectedEof
                | ErrorKind::BrokenPipe => FetchError::Closed,
                // What TLS has against the other side comes as this.
                ErrorKind::InvalidData => insecure(&error.to_string()),
                // A failing look-up has no number of the operating system's, and no kind.
                _ if error.raw_os_error().is_none() => name(Some(error)),
                _ => FetchError::Connect(error),
            },
            Error::BadUri(reason) => FetchError::Url(reason),
            Error::Http(error) => FetchError::Url(error.to_string()),
            Error::InvalidProxyUrl => FetchError::Proxy(error.to_string()),
            Error::ConnectProxyFailed(reason) => FetchError::Proxy(format!(
                "{reason}; it must let the method CONNECT through to the tracker's port"
            )),
            Error::ConnectionFailed => FetchError::Connect(ErrorKind::NotConnected.into()),
            Error::TlsRequired => FetchError::NoTls,
            Error::Tls(reason) => FetchError::Tls(reason.to_owned()),
            #[cfg(feature = "tls")]
            Error::Rustls(error) => insecure(&error.to_string()),
            error => FetchError::Protocol(quote(&error.to_string())),
        };
        let Some(proxy) = self.0.agent.config().proxy() else { return error };
        match error {
            // It alone is looked up and connected to.
            FetchError::Name { source, .. } => {
                let host = proxy.host().to_owned();
                FetchError::Proxy(FetchError::Name { host, family, source }.to_string())
            }
            FetchError::Refused | FetchError::Connect(_) => FetchError::Proxy(error.to_string()),
            error => error,
        }
    }
}

/// An agent of its own for a call through a proxy, which fails when the time is over and the other
/// half still lives: ureq gives each piece of what a proxy says before the tunnel the whole time
/// again.
fn watch(agent: &Agent, timeout: Duration) -> Result<(Agent, Sender<()>), FetchError> {
    let agent = Agent::new_with_config(agent.config().clone());
    let (watched, over) = channel();
    let watcher = agent.clone();
    let watch = move || {
        if over.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
            watcher.shutdown();
        }
    };
    std::thread::Builder::new().spawn(watch).map_err(FetchError::Connect)?;
    Ok((agent, watched))
}

fn proxy(url: &str) -> Result<Proxy, FetchError> {
    let proxy = Proxy::new(url).map_err(|error| FetchError::Proxy(error.to_string()))?;
    check_place(proxy.uri()).map_err(|reason| FetchError::Proxy(reason.to_owned()))?;
    match proxy.protocol() {
        ProxyProtocol::Http => Ok(proxy),
        // ureq would talk to it without.
        ProxyProtocol::Https if cfg!(not(feature = "tls")) => Err(FetchError::NoTls),
        ProxyProtocol::Https => Ok(proxy),
        _ => Err(FetchError::Proxy("expected http:// or https://".to_owned())),
    }
}

/// An URL that this build can get over this family.
fn parse(url: &str, family: Option<Family>) -> Result<Uri, FetchError> {
    let is = |name: &str| scheme(url).is_some_and(|scheme| scheme.eq_ignore_ascii_case(name));
    match scheme(url) {
        None => return Err(FetchError::Url("expected http:// or https://".to_owned())),
        Some(_) if is("https") && cfg!(not(feature = "tls")) => return Err(FetchError::NoTls),
        Some(_) if is("http") || is("https") => {}
        Some(_) => return Err(FetchError::Scheme(quote(url))),
    }
    let uri: Uri = url.parse().map_err(|error| {
        FetchError::Url(format!("{error}; what is not plain ASCII must be percent-escaped"))
    })?;
    check_place(&uri).map_err(|reason| FetchError::Url(reason.to_owned()))?;
    let host = uri.host().unwrap_or_default();
    // An IPv4 address in IPv6 clothes is reached over IPv4.
    let ip = host.trim_matches(['[', ']']).parse().map(|ip: IpAddr| ip.to_canonical());
    let other = |ip: IpAddr| family.is_some_and(|family| (family == Family::V4) != ip.is_ipv4());
    if ip.is_ok_and(other) {
        return Err(FetchError::Name { host: host.to_owned(), family, source: None });
    }
    Ok(uri)
}

/// Whether there is a host, and a port that is one if any.
fn check_place(uri: &Uri) -> Result<(), &'static str> {
    let place = uri.authority().map_or("", |authority| authority.as_str());
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return Err("no host") };
    match place.strip_prefix(host).and_then(|port| port.strip_prefix(':')) {
        Some(port) if !port.is_empty() && !port.parse().is_ok_and(|port: u16| port > 0) => {
            Err("no such port: expected 1 to 65535")
        }
        _ => Ok(()),
    }
}

/// What stands before the colon, if it may be a scheme.
fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let is_one = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_one.then_some(scheme)
}

/// Where an answer sends to, if it does.
fn redirected(response: &Response<Body>) -> Option<String> {
    let place = response.headers().get("location")?.as_bytes();
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    is_redirect.then(|| String::from_utf8_lossy(place).into_owned())
}

/// Where a redirect from `base` leads to (RFC 3986, 5.2).
fn join(base: &Uri, place: &str) -> String {
    if scheme(place).is_some() {
        return place.to_owned();
    }
    let scheme = base.scheme_str().unwrap_or_default();
    if place.starts_with("//") {
        return format!("{scheme}:{place}");
    }
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let place = place.split('#').next().unwrap_or_default();
    let (path, query) = match place.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (place, None),
    };
    let query = if place.is_empty() { base.query() } else { query };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let path = match path {
        "" => base.path().to_owned(),
        path if path.starts_with('/') => without_dots(path),
        path => {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            without_dots(&format!("{folder}/{path}"))
        }
    };
    format!("{scheme}://{authority}{path}{query}")
}

/// An absolute path in which `.` and `..` are done (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => kept.truncate(kept.len().saturating_sub(1).max(1)),
            part => kept.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    kept.join("/")
}

/// The certificate or something else. By its text, since the type is no part of ureq's contract.
fn insecure(text: &str) -> FetchError {
    match text.strip_prefix("invalid peer certificate: ") {
        Some("UnknownIssuer") => {
            FetchError::Certificate("signed by nobody who is trusted (UnknownIssuer)".to_owned())
        }
        Some(reason) => FetchError::Certificate(quote(reason)),
        None => FetchError::Tls(quote(text)),
    }
}

/// As much of it as belongs into an error.
fn quote(text: &str) -> String {
    text.chars().take(QUOTE_MAX).collect()
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
