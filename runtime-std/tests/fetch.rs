//! Getting URLs from servers of every kind, on loopback: kind, slow, endless, false.
#![allow(missing_docs)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tinybt_core::Family;
use tinybt_std::core as tinybt_core;
use tinybt_std::fetch::{FetchError, Fetcher, HttpConfig};

/// A server that treats each connection so, and tells what was asked.
fn serve(
    host: &str,
    mut answer: impl FnMut(&mut TcpStream) + Send + 'static,
) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let head = read_head(&mut stream);
            let _ = tell.send(head);
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
    serve("127.0.0.1", move |stream| {
        let _ = stream.write_all(&bytes);
    })
}

fn fetcher() -> Fetcher {
    Fetcher::new(HttpConfig { timeout: Duration::from_secs(5), ..HttpConfig::default() }).unwrap()
}

fn get(addr: SocketAddr) -> Result<Vec<u8>, FetchError> {
    fetcher().get(&format!("http://{addr}/announce"), None)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bodies_of_every_framing() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nd1:ae"[..],
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nd1:a",
        b"HTTP/1.0 200 OK\r\n\r\nd1:a",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n3\r\n1:a\r\n0\r\n\r\n",
        // Trackers put what they have to say into errors as well.
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nd1:a",
    ] {
        let (addr, _) = says(answer);
        assert_eq!(get(addr).unwrap(), b"d1:a", "{}", answer.escape_ascii());
    }
    let packed = gzip(b"d1:a");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    let (addr, told) = says([head.as_bytes(), &packed].concat());
    assert_eq!(get(addr).unwrap(), b"d1:a");
    assert!(told.recv().unwrap().to_lowercase().contains("accept-encoding: gzip"));
}

#[test]
fn what_is_escaped_arrives_as_it_is() {
    let (addr, told) = says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let query = "k=v&info_hash=%00%ff%2f%2FABc~-._%20&peer_id=-tB0100-";
    fetcher().get(&format!("http://{addr}/a%20b/announce?{query}"), None).unwrap();
    let head = told.recv().unwrap();
    assert!(head.starts_with(&format!("GET /a%20b/announce?{query} HTTP/1.1\r\n")), "{head}");
    assert!(head.to_lowercase().contains("user-agent: tinybt/"), "{head}");
}

#[test]
fn redirects_are_followed_so_far_and_never_to_files() {
    let (last, _) = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let to = |place: &str| {
        says(format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")).0
    };
    let first = to(&format!("http://{last}/x"));
    assert_eq!(get(first).unwrap(), b"ok");
    for (place, asked) in
        [("//HOST/x?y", "/x?y"), ("/x", "/x"), ("x?y", "/a/x?y"), ("?z", "/a/announce?z")]
    {
        let mut first = true;
        let place = place.to_owned();
        let (addr, told) = serve("127.0.0.1", move |stream| {
            let place = place.replace("HOST", &stream.local_addr().unwrap().to_string());
            let answer = match std::mem::take(&mut first) {
                true => {
                    format!("HTTP/1.1 301 Gone\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
                }
                false => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            };
            let _ = stream.write_all(answer.as_bytes());
        });
        assert_eq!(fetcher().get(&format!("http://{addr}/a/announce?q"), None).unwrap(), b"ok");
        told.recv().unwrap();
        let second = told.recv().unwrap();
        assert!(second.starts_with(&format!("GET {asked} ")), "{second}");
    }
    for place in ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"] {
        let error = get(to(place)).unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{place}: {error:?}");
    }
    let around = says("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n").0;
    let error = get(around).unwrap_err();
    assert!(matches!(error, FetchError::Redirects(5)), "{error:?}");
}

#[test]
fn long_bodies_and_bombs_are_cut() {
    let hundred_megabytes = || {
        serve("127.0.0.1", |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            while stream.write_all(&[b'x'; 65_536]).is_ok() {}
        })
    };
    let cut = get(hundred_megabytes().0).map(|body| body.len());
    assert!(matches!(cut, Err(FetchError::TooLong(1_048_576))), "{cut:?}");
    let packed = gzip(&vec![0; 50_000_000]);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    let bomb = get(says([head.as_bytes(), &packed].concat()).0).map(|body| body.len());
    assert!(matches!(bomb, Err(FetchError::TooLong(1_048_576))), "{bomb:?}");
}

#[test]
fn the_slow_are_cut_off() {
    // Never says a word, or one byte whenever the other side gives it a reason to wait on.
    let silent = serve("127.0.0.1", |stream| drop(stream.read(&mut [0])));
    let config = HttpConfig { timeout: Duration::from_millis(300), ..HttpConfig::default() };
    let fetcher = Fetcher::new(config).unwrap();
    let error = fetcher.get(&format!("http://{}/", silent.0), None).unwrap_err();
    assert!(matches!(error, FetchError::Timeout(_)), "{error:?}");
    let (hold, held) = channel::<()>();
    let dripping = serve("127.0.0.1", move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        for _ in 0..1_000 {
            let _ = held.recv_timeout(Duration::from_millis(20));
            if stream.write_all(b"x").is_err() {
                return;
            }
        }
    });
    let error = fetcher.get(&format!("http://{}/", dripping.0), None).unwrap_err();
    assert!(matches!(error, FetchError::Timeout(_)), "{error:?}");
    drop(hold);
}

#[test]
fn who_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let error = get(closed).unwrap_err();
    let FetchError::Connect(inner) = &error else { panic!("{error:?}") };
    assert_eq!(inner.kind(), ErrorKind::ConnectionRefused);
    let error = fetcher().get("http://no-such-host.invalid/announce", None).unwrap_err();
    assert!(matches!(error, FetchError::Name), "{error:?}");
    for url in ["file:///etc/passwd", "udp://a:1", "", "http", "http://", "http://a b/"] {
        let error = fetcher().get(url, None).unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{url}: {error:?}");
    }
    let (garbage, _) = says("SSH-2.0-OpenSSH_9.2\r\n");
    let error = get(garbage).unwrap_err();
    assert!(matches!(error, FetchError::Protocol(_)), "{error:?}");
    let (nothing, _) = says("");
    assert!(get(nothing).is_err());
}

#[test]
fn over_the_family_asked_for() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (v4, _) = says(ok);
    let url = format!("http://{v4}/");
    assert_eq!(fetcher().get(&url, Some(Family::V4)).unwrap(), b"ok");
    let error = fetcher().get(&url, Some(Family::V6)).unwrap_err();
    assert!(matches!(error, FetchError::Name), "{error:?}");
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let (v6, _) = serve("::1", move |stream| drop(stream.write_all(ok.as_bytes())));
    assert_eq!(fetcher().get(&format!("http://{v6}/"), Some(Family::V6)).unwrap(), b"ok");
}

#[test]
fn a_proxy_only_where_it_is_configured() {
    let (proxy, told) = serve("127.0.0.1", |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let head = read_head(stream);
        assert!(head.starts_with("GET /announce"), "{head}");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nproxied");
    });
    let config = HttpConfig { proxy: Some(format!("http://{proxy}")), ..HttpConfig::default() };
    let body = Fetcher::new(config).unwrap().get("http://tracker.invalid/announce", None);
    assert_eq!(body.unwrap(), b"proxied");
    assert!(told.recv().unwrap().starts_with("CONNECT tracker.invalid:80"));
    let config = HttpConfig { proxy: Some("nonsense://x y".to_owned()), ..HttpConfig::default() };
    assert!(matches!(Fetcher::new(config), Err(FetchError::Proxy(_))));
}

/// The environment is another process's: this test runs itself again in one.
#[test]
fn no_proxy_from_the_environment() {
    const TARGET: &str = "TINYBT_TEST_TARGET";
    if let Ok(target) = std::env::var(TARGET) {
        assert_eq!(fetcher().get(&target, None).unwrap(), b"ok");
        return;
    }
    let (addr, _) = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "no_proxy_from_the_environment"]).env(TARGET, format!("http://{addr}/"));
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"] {
        child.env(name, "http://127.0.0.1:1");
    }
    let output = child.env_remove("NO_PROXY").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
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

fn trusting(pem: &str) -> Fetcher {
    let roots = Some(pem.as_bytes().to_vec());
    Fetcher::new(HttpConfig { roots, ..HttpConfig::default() }).unwrap()
}

#[test]
fn certificates_are_checked() {
    let (addr, pem) = secure("localhost");
    let url = format!("https://localhost:{}/announce", addr.port());
    assert_eq!(trusting(&pem).get(&url, Some(Family::V4)).unwrap(), b"secure");
    // Nobody has signed it.
    let error = fetcher().get(&url, Some(Family::V4)).unwrap_err();
    assert!(matches!(error, FetchError::Tls(_)), "{error:?}");
    // It is somebody else's.
    let (addr, pem) = secure("another.example");
    let url = format!("https://localhost:{}/announce", addr.port());
    let error = trusting(&pem).get(&url, Some(Family::V4)).unwrap_err();
    assert!(
        matches!(&error, FetchError::Tls(text) if text.contains("another.example")),
        "{error:?}"
    );
    // No TLS at all.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0]);
    });
    let error = fetcher().get(&format!("https://{plain}/"), None).unwrap_err();
    assert!(matches!(error, FetchError::Tls(_)), "{error:?}");
    let roots = Some(b"no certificate".to_vec());
    let config = HttpConfig { roots, ..HttpConfig::default() };
    assert!(matches!(Fetcher::new(config), Err(FetchError::Roots(_))));
}
