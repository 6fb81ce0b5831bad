//! Getting URLs from servers of every kind, on loopback: kind, slow, endless, false.
#![allow(missing_docs)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tinybt_runtime::core::Family;
use tinybt_runtime::fetch::{FetchError, Fetched, Fetcher, HttpConfig};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that treats each connection so, and tells what was asked.
fn serve(
    host: &str,
    mut answer: impl FnMut(&mut TcpStream) + Send + 'static,
) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = tell.send(read_head(&mut stream));
            answer(&mut stream);
        }
    });
    (addr, told)
}

fn read_head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A server that always sends these bytes and closes.
fn says(bytes: impl Into<Vec<u8>>) -> (SocketAddr, Receiver<String>) {
    let bytes = bytes.into();
    serve("127.0.0.1", move |stream| drop(stream.write_all(&bytes)))
}

/// A server that sends these bytes and then one at a time, for as long as anybody takes them.
fn drips(bytes: impl Into<Vec<u8>>, drop: u8) -> SocketAddr {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let _ = stream.write_all(&bytes);
        while stream.write_all(&[drop]).is_ok() {
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    addr
}

/// An address at which nobody listens, nor will while the stream lives.
fn closed() -> (SocketAddr, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (stream.local_addr().unwrap(), stream)
}

fn config() -> HttpConfig {
    HttpConfig { timeout: Duration::from_secs(120), ..HttpConfig::default() }
}

fn fetcher() -> Fetcher {
    Fetcher::new(config()).unwrap()
}

fn get(addr: SocketAddr) -> Result<Vec<u8>, FetchError> {
    body(&format!("http://{addr}/announce"), None)
}

fn body(url: &str, family: Option<Family>) -> Result<Vec<u8>, FetchError> {
    fetcher().get(url, family).map(|fetched| fetched.body)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An answer that is packed, until the connection closes.
fn packed(bytes: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", &*gzip(bytes)].concat()
}

#[test]
fn bodies_of_every_framing() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nd1:ae"[..],
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nd1:a",
        b"HTTP/1.0 200 OK\r\n\r\nd1:a",
        b"HTTP/1.0 200 OK\nContent-Length: 4\n\nd1:a",
        b"HTTP/1.1 200\r\n\r\nd1:a",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n3\r\n1:a\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nd1:a",
        &packed(b"d1:a"),
    ] {
        let (addr, _) = says(answer);
        assert_eq!(get(addr).unwrap(), b"d1:a", "{}", answer.escape_ascii());
    }
    // What a server calls text is left as it is.
    let (addr, _) = says(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n\xff\x00\xfe");
    assert_eq!(get(addr).unwrap(), b"\xff\x00\xfe");
}

#[test]
fn answers_of_every_status() {
    for status in [200, 302, 304, 400, 404, 503] {
        // A redirect leads nowhere without a place, and a place is no redirect.
        let place = if status == 302 { "" } else { "Location: /x\r\n" };
        let (addr, _) = says(format!("HTTP/1.1 {status} So\r\n{place}\r\nd1:a"));
        let body = if status == 304 { &b""[..] } else { b"d1:a" };
        let fetched = fetcher().get(&format!("http://{addr}/"), None).unwrap();
        assert_eq!(fetched, Fetched { status, body: body.to_vec() });
    }
}

#[test]
fn what_is_escaped_arrives_as_it_is() {
    let all: String = (0..=255).map(|byte| format!("%{byte:02x}")).collect();
    let (addr, told) = says(OK);
    for target in [
        "/a%20b/announce?k=v&info_hash=%00%ff%2f%2FABc~-._%20%25&peer_id=-tB0100-",
        &format!("/announce?info_hash={all}"),
        "/a//b/../c;d?x=!$'()*+,:@/?[]{}|&y",
        "/?",
    ] {
        fetcher().get(&format!("http://{addr}{target}"), None).unwrap();
        let head = told.recv().unwrap();
        assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
    }
    fetcher().get(&format!("HTTP://me:secret@{addr}?a#b"), None).unwrap();
    let head = told.recv().unwrap();
    assert!(head.starts_with("GET /?a HTTP/1.1\r\n"), "{head}");
    for header in [
        &format!("host: {addr}"),
        "user-agent: tinybt/",
        "accept-encoding: gzip\r\n",
        "connection: close\r\n",
        "authorization: basic bwu6c2vjcmv0\r\n",
    ] {
        assert!(head.to_lowercase().contains(header), "{head}");
    }
}

/// A server that redirects so once, with `HOST` for its own address, and is content afterwards.
fn redirects(status: u16, place: &str) -> (SocketAddr, Receiver<String>) {
    let mut place = Some(place.to_owned());
    serve("127.0.0.1", move |stream| {
        let place = place.take().map(|place| {
            let place = place.replace("HOST", &stream.local_addr().unwrap().to_string());
            format!("HTTP/1.1 {status} So\r\nLocation: {place}\r\nContent-Length: 999\r\n\r\n")
        });
        let _ = stream.write_all(place.as_deref().unwrap_or(OK).as_bytes());
    })
}

#[test]
fn redirects_are_followed() {
    for (place, asked) in [
        ("http://HOST/x?y%00", "/x?y%00"),
        ("//HOST/x?y", "/x?y"),
        ("/x#z", "/x"),
        ("/../x/./y/..", "/x/"),
        ("x?y=http://z/", "/a/b/x?y=http://z/"),
        ("../x", "/a/x"),
        ("../../../x", "/x"),
        ("?z", "/a/b/announce?z"),
        ("#z", "/a/b/announce?q"),
    ] {
        let (addr, told) = redirects(301, place);
        let url = format!("http://{addr}/a/b/announce?q");
        assert_eq!(body(&url, None).unwrap(), b"ok", "{place}");
        let (_, second) = (told.recv().unwrap(), told.recv().unwrap());
        assert!(second.starts_with(&format!("GET {asked} ")), "{place}: {second}");
    }
    for status in [302, 303, 307, 308] {
        assert_eq!(get(redirects(status, "/x").0).unwrap(), b"ok", "{status}");
    }
}

#[test]
fn redirects_have_their_limits() {
    for place in ["file:///etc/passwd", "file:/etc/passwd", "ftp://127.0.0.1/x", "udp://HOST"] {
        let error = get(redirects(302, place).0).unwrap_err();
        assert!(matches!(error, FetchError::Scheme(_)), "{place}: {error:?}");
    }
    let error = get(redirects(302, "file:///etc/passwd").0).unwrap_err();
    let told = r#""file:///etc/passwd" begins with neither http:// nor https://"#;
    assert_eq!(error.to_string(), told);
    for place in ["http://", "//", "http://HOST:0/", "http://a b/", "http://\u{e9}.invalid/"] {
        let error = get(redirects(302, place).0).unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{place}: {error:?}");
    }
    let (around, told) = says("HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n");
    let error = get(around).unwrap_err();
    assert!(matches!(error, FetchError::Redirects(5)), "{error:?}");
    assert_eq!(told.try_iter().count(), 6);
    let none = Fetcher::new(HttpConfig { redirects: 0, ..config() }).unwrap();
    let error = none.get(&format!("http://{around}/"), None).unwrap_err();
    assert!(matches!(error, FetchError::Redirects(0)), "{error:?}");
}

#[test]
fn long_bodies_and_bombs_are_cut() {
    let (endless, _) = serve("127.0.0.1", |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        while stream.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    let (bomb, _) = says(packed(&vec![0; 50_000_000]));
    let headers = b"HTTP/1.1 200 OK\r\n".to_vec();
    let (headers, _) = says([headers, b"A: b\r\n".repeat(1_000_000)].concat());
    for addr in [endless, bomb] {
        let cut = get(addr).map(|body| body.len());
        assert!(matches!(cut, Err(FetchError::TooLarge { limit: 1_048_576 })), "{cut:?}");
    }
    let error = get(headers).unwrap_err();
    assert!(matches!(error, FetchError::Protocol(_)), "{error:?}");
    // The limit itself is allowed, packed or not, and no limit is no overflow.
    for (body_max, most) in [(1000, 1000), (0, 0), (usize::MAX, 2_000_000)] {
        let body = vec![b'x'; most];
        let plain = [b"HTTP/1.1 200 OK\r\n\r\n", &*body].concat();
        for answer in [plain, packed(&body)] {
            let fetcher = Fetcher::new(HttpConfig { body_max, ..config() }).unwrap();
            let fetched = fetcher.get(&format!("http://{}/", says(answer).0), None).unwrap();
            assert_eq!(fetched.body.len(), most);
        }
    }
}

#[test]
fn the_slow_are_cut_off() {
    let timeout = Duration::from_millis(300);
    let cut = |url: &str, proxy: Option<SocketAddr>| {
        let proxy = proxy.map(|proxy| format!("http://{proxy}"));
        let fetcher = Fetcher::new(HttpConfig { timeout, proxy, ..config() }).unwrap();
        let error = fetcher.get(url, None).unwrap_err();
        assert!(matches!(error, FetchError::Timeout(_)), "{url}: {error:?}");
        assert_eq!(error.to_string(), "no complete answer within 0.3 s");
    };
    let (silent, _) = serve("127.0.0.1", |stream| drop(stream.read(&mut [0])));
    cut(&format!("http://{silent}/"), None);
    cut(&format!("https://{silent}/"), None);
    cut("http://tracker.invalid/", Some(silent));
    let head = "HTTP/1.1 200 OK\r\n";
    for before in [
        String::new(),
        head.to_owned(),
        format!("{head}Content-Length: 1000000\r\n\r\n"),
        format!("{head}\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nfffff\r\n"),
        "HTTP/1.1 302 Found\r\nLocation: /".to_owned(),
    ] {
        // White space is allowed before an answer.
        let drop = if before.is_empty() { b'\n' } else { b'x' };
        cut(&format!("http://{}/", drips(before, drop)), None);
    }
    // A handshake of TLS, as far as it goes, and a proxy that comes to no end of its headers.
    cut(&format!("https://{}/", drips(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb", 0)), None);
    cut("http://tracker.invalid/", Some(drips(head, b'x')));
    cut("http://tracker.invalid/", Some(drips(format!("{head}\r\n{head}\r\n"), b'x')));
    // Nobody waits so long, and nothing overflows.
    let fetcher = Fetcher::new(HttpConfig { timeout: Duration::MAX, ..config() }).unwrap();
    assert_eq!(fetcher.get(&format!("http://{}/", says(OK).0), None).unwrap().body, b"ok");
    let fetcher = Fetcher::new(HttpConfig { timeout: Duration::ZERO, ..config() }).unwrap();
    let error = fetcher.get(&format!("http://{}/", says(OK).0), None).unwrap_err();
    assert!(matches!(error, FetchError::Timeout(_)), "{error:?}");
}

#[test]
fn who_is_not_there() {
    let (addr, _stream) = closed();
    let error = get(addr).unwrap_err();
    assert!(matches!(error, FetchError::Refused), "{error:?}");
    let error = body("http://no-such-host.invalid/announce", None).unwrap_err();
    assert!(matches!(error, FetchError::Name { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.starts_with("cannot find the address of no-such-host.invalid: "), "{told}");
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "HTTP/1.1 200 OK\r\nA:"]
    {
        let error = get(says(answer).0).unwrap_err();
        assert!(matches!(error, FetchError::Closed), "{answer}: {error:?}");
    }
}

#[test]
fn what_is_no_url_or_no_http() {
    for url in [
        "",
        "http",
        "/announce",
        "://x",
        "http:",
        "http:/x",
        "http://",
        "http:///x",
        "http://a b/",
        "http://:80/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:x/",
        "http://u:p@h:99999/",
        "http://[::1]:99999/",
        "http://h/a b",
        "http://h/\r\nX: y",
        "http://h\u{e9}/",
    ] {
        let error = body(url, None).unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{url}: {error:?}");
    }
    for url in ["file:///etc/passwd", "udp://a:1", "httpx://a/", "localhost:80/", "wss://a/"] {
        let error = body(url, None).unwrap_err();
        assert!(matches!(error, FetchError::Scheme(_)), "{url}: {error:?}");
    }
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"d8:intervali1800ee",
        b"\x15\x03\x01\x00\x02\x02\x0a",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nd8:intervali1800ee",
    ] {
        let error = get(says(garbage).0).unwrap_err();
        assert!(matches!(error, FetchError::Protocol(_)), "{}: {error:?}", garbage.escape_ascii());
    }
}

#[test]
fn over_the_family_asked_for() {
    let (v4, _) = says(OK);
    let url = format!("http://{v4}/");
    assert_eq!(body(&url, Some(Family::V4)).unwrap(), b"ok");
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", v4.port());
    for url in [&url, &mapped] {
        let error = body(url, Some(Family::V6)).unwrap_err();
        assert!(matches!(error, FetchError::Name { .. }), "{error:?}");
    }
    let error = body(&url, Some(Family::V6)).unwrap_err();
    assert_eq!(error.to_string(), "127.0.0.1 has no IPv6 address");
    // Whether this name has an address of the other family or not.
    let url = format!("http://localhost:{}/", v4.port());
    assert_eq!(body(&url, Some(Family::V4)).unwrap(), b"ok");
    assert!(body(&url, Some(Family::V6)).is_err());
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let (v6, told) = serve("::1", move |stream| drop(stream.write_all(OK.as_bytes())));
    let url = format!("http://{v6}/");
    assert_eq!(body(&url, Some(Family::V6)).unwrap(), b"ok");
    assert!(told.recv().unwrap().contains(&format!("host: [::1]:{}\r\n", v6.port())));
    let error = body(&url, Some(Family::V4)).unwrap_err();
    assert_eq!(error.to_string(), "[::1] has no IPv4 address");
    // A redirect leads out of the family no more than an URL does.
    let error = body(&format!("http://{}/", redirects(302, &url).0), Some(Family::V4));
    assert!(matches!(error, Err(FetchError::Name { .. })), "{error:?}");
}

/// Of the documentation: one fetcher for many threads.
#[test]
fn fetchers_are_shared() {
    let (fetcher, addr) = (fetcher(), says(OK).0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let fetcher = fetcher.clone();
            scope.spawn(move || fetcher.get(&format!("http://{addr}/"), None).unwrap());
        }
    });
}

/// A proxy that lets everything through to one place.
fn tunnel(to: SocketAddr) -> (SocketAddr, Receiver<String>) {
    serve("127.0.0.1", move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let mut inner = TcpStream::connect(to).unwrap();
        let (mut up, mut down) = (stream.try_clone().unwrap(), inner.try_clone().unwrap());
        std::thread::spawn(move || io::copy(&mut up, &mut down));
        let _ = io::copy(&mut inner, stream);
    })
}

fn through(proxy: &str) -> Result<Fetcher, FetchError> {
    Fetcher::new(HttpConfig { proxy: Some(proxy.to_owned()), ..config() })
}

#[test]
fn a_proxy_where_it_is_configured() {
    let (server, asked) = says(OK);
    let (proxy, told) = tunnel(server);
    let fetcher = through(&format!("http://me:secret@{proxy}")).unwrap();
    let fetched = fetcher.get("http://tracker.invalid/announce?x=%00", None).unwrap();
    assert_eq!(fetched.body, b"ok");
    let head = told.recv().unwrap();
    assert!(head.starts_with("CONNECT tracker.invalid:80 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
    assert!(asked.recv().unwrap().starts_with("GET /announce?x=%00 HTTP/1.1\r\n"));

    let (addr, pem) = secure("tracker.invalid");
    let roots = Some(pem.into_bytes());
    let proxy = Some(format!("http://{}", tunnel(addr).0));
    let fetcher = Fetcher::new(HttpConfig { proxy, roots, ..config() }).unwrap();
    assert_eq!(fetcher.get("https://tracker.invalid/", None).unwrap().body, b"secure");
}

#[test]
fn a_proxy_that_is_of_no_use() {
    for url in ["nonsense://x y", "socks5://127.0.0.1:1080", "http://h:99999", "http://", ""] {
        assert!(matches!(through(url), Err(FetchError::Proxy(_))), "{url}");
    }
    let (addr, _stream) = closed();
    let (refusing, _) = says("HTTP/1.1 403 Forbidden\r\n\r\n");
    for (proxy, family, why) in [
        (&addr.to_string(), None, "nobody listens there: connection refused"),
        (&refusing.to_string(), None, "proxy server responded 403"),
        (&refusing.to_string(), Some(Family::V6), "127.0.0.1 has no IPv6 address"),
        (&"no-such-host.invalid".to_owned(), None, "cannot find the address of no-such-host"),
    ] {
        let error = through(proxy).unwrap().get("http://tracker.invalid/", family).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with(&format!("the proxy cannot be used: {why}")), "{told}");
        assert!(matches!(error, FetchError::Proxy(_)), "{error:?}");
    }
}

/// The environment is another process's: this test runs itself again in one.
#[test]
fn no_proxy_from_the_environment() {
    const TARGET: &str = "TINYBT_TEST_TARGET";
    if let Ok(target) = std::env::var(TARGET) {
        assert!(ureq::Proxy::try_from_env().is_some());
        assert_eq!(body(&target, None).unwrap(), b"ok");
        return;
    }
    let (addr, told) = says(OK);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "no_proxy_from_the_environment"]);
        child.env(TARGET, format!("http://{addr}/")).env(name, "http://127.0.0.1:1");
        let output = child.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        told.recv().unwrap();
    }
}

#[test]
fn a_user_agent_of_ones_own() {
    let (addr, told) = says(OK);
    let named = |name: &str| Fetcher::new(HttpConfig { user_agent: name.to_owned(), ..config() });
    let head = |name| {
        named(name).unwrap().get(&format!("http://{addr}/"), None).unwrap();
        told.recv().unwrap().to_lowercase()
    };
    assert!(head("Other/1 (x)").contains("user-agent: other/1 (x)\r\n"));
    assert!(!head("").contains("user-agent"));
    for name in ["a\r\nX: y", "\0", "\u{e9}"] {
        assert!(matches!(named(name), Err(FetchError::UserAgent(_))), "{name}");
    }
}

/// A server over TLS with a certificate for this name; returns the certificate, too.
fn secure(name: &str) -> (SocketAddr, String) {
    let signed = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let pem = signed.cert.pem();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer_securely(stream, config.clone());
        }
    });
    (addr, pem)
}

fn answer_securely(mut stream: TcpStream, config: Arc<rustls::ServerConfig>) {
    let mut connection = rustls::ServerConnection::new(config).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut stream);
    if !read_head(&mut stream).is_empty() {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }
}

fn trusting(pem: &str) -> Result<Fetcher, FetchError> {
    Fetcher::new(HttpConfig { roots: Some(pem.as_bytes().to_vec()), ..config() })
}

#[test]
fn certificates_are_checked() {
    let (addr, pem) = secure("localhost");
    let url = format!("https://localhost:{}/announce", addr.port());
    let get = |fetcher: Fetcher, url: &str| fetcher.get(url, Some(Family::V4));
    assert_eq!(get(trusting(&pem).unwrap(), &url).unwrap().body, b"secure");
    // From what is not secure to what is.
    let from = format!("http://{}/", redirects(302, &url).0);
    assert_eq!(get(trusting(&pem).unwrap(), &from).unwrap().body, b"secure");
    // Nobody has signed it: not one of the bundled, and not another.
    for fetcher in [fetcher(), trusting(&secure("localhost").1).unwrap()] {
        let error = get(fetcher, &url).unwrap_err();
        assert!(matches!(error, FetchError::Certificate(_)), "{error:?}");
    }
    let told = get(fetcher(), &url).unwrap_err().to_string();
    let why = "the server's certificate is not to be trusted: signed by nobody who is trusted";
    assert!(told.starts_with(why), "{told}");
    // It is somebody else's.
    let (addr, pem) = secure("another.example");
    let error = get(trusting(&pem).unwrap(), &format!("https://localhost:{}/", addr.port()));
    assert!(
        matches!(&error, Err(FetchError::Certificate(text)) if text.contains("another.example")),
        "{error:?}"
    );
    // One for an address.
    let (addr, pem) = secure("127.0.0.1");
    assert_eq!(get(trusting(&pem).unwrap(), &format!("https://{addr}/")).unwrap().body, b"secure");
}

#[test]
fn what_is_no_tls_or_no_certificate() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
        }
    });
    let error = body(&format!("https://{plain}/"), None).unwrap_err();
    assert!(matches!(error, FetchError::Tls(_)), "{error:?}");
    let (_, pem) = secure("localhost");
    for wrong in ["", "no certificate", &pem[..pem.len() / 2], &pem.replace('\n', "\n!")] {
        assert!(matches!(trusting(wrong), Err(FetchError::Roots(_))), "{wrong}");
    }
}
