//! From the command line to a running DHT.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Socket, Type};
use tinybt_std::fetch::HttpConfig;
use tinybt_std::{Builder, Dht, Error, PUBLIC_ROUTERS};

use crate::args::{Http, Join};
use crate::exit::Failure;
use crate::input;

/// Opens the sockets and joins the network. `more` are nodes to begin with besides.
pub(crate) fn join(join: &Join, more: &[String]) -> Result<Dht, Failure> {
    Ok(builder(join, more)?.start()?)
}

/// The same, not started.
pub(crate) fn builder(join: &Join, more: &[String]) -> Result<Builder, Failure> {
    for node in &join.bootstrap {
        check(node)?;
    }
    let mut builder = sockets(&join.bind)?.read_only(join.read_only);
    if join.private {
        let read_only = join.read_only;
        builder = builder.private().read_only(read_only);
    }
    if let Some(paths) = join.paths {
        builder = builder.configure(move |config| config.paths = paths);
    }
    builder = if join.bootstrap.is_empty() && more.is_empty() {
        builder.bootstrap(PUBLIC_ROUTERS)
    } else {
        builder.bootstrap(join.bootstrap.iter().chain(more).cloned())
    };
    if let Some(path) = &join.state {
        builder = builder.state(path);
    }
    Ok(builder)
}

/// How HTTP trackers are reached.
pub(crate) fn http(http: &Http) -> Result<HttpConfig, Failure> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path)
            .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))
    };
    let roots = http.ca.as_ref().map(read).transpose()?;
    Ok(HttpConfig { proxy: http.proxy.clone(), roots, ..HttpConfig::default() })
}

/// A builder with these sockets.
pub(crate) fn sockets(bind: &[SocketAddr]) -> Result<Builder, Failure> {
    for (index, addr) in bind.iter().enumerate() {
        let mut others = bind.iter().take(index);
        let is_one_of_many =
            bind.iter().filter(|other| other.is_ipv4() == addr.is_ipv4()).count() > 1;
        let expected = if others.any(|other| other == addr && addr.port() != 0) {
            "expected each address and port once"
        } else if is_one_of_many && addr.ip().is_unspecified() {
            "expected the addresses of this host, one by one, where there are several of a family"
        } else {
            continue;
        };
        return Err(Failure::Usage(format!("--bind {addr}: {expected}")));
    }
    bind.iter().try_fold(Dht::builder(), |builder, addr| {
        let socket = open(*addr).map_err(|source| Error::Bind { addr: *addr, source })?;
        Ok(builder.socket(socket))
    })
}

/// A socket for datagrams.
pub(crate) fn open(addr: SocketAddr) -> io::Result<UdpSocket> {
    bound(addr, Type::DGRAM).map(Into::into)
}

/// A socket for connections.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(addr, Type::STREAM)?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// For its own family alone, so that both can have the same port.
fn bound(addr: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if cfg!(unix) && kind == Type::STREAM {
        // As the standard library does: a port is free when its listener has gone.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Names are resolved later; what can never be an address is told at once.
pub(crate) fn check(node: &str) -> Result<(), Failure> {
    let is_name = node.rsplit_once(':').is_some_and(|(name, port)| {
        !name.is_empty() && !name.contains([' ', '/']) && port.parse::<u16>().is_ok()
    });
    if is_name { Ok(()) } else { input::address(node).map(drop) }
}

/// Says why nobody could be asked, if names are the reason.
pub(crate) fn unresolved(dht: &Dht) -> String {
    names(&dht.unresolved().unwrap_or_default())
}

/// The same of names that are known.
pub(crate) fn names(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(" (these names do not resolve: {})", names.join(", ")),
    }
}
