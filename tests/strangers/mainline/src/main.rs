//! The DHT of the crate `mainline` on the command line: a node that serves, and its puts and gets of
//! items (BEP 44), one JSON object a line.
//!
//! ```text
//! serve ADDR:PORT BOOTSTRAP|-                       until standard input ends
//! put BOOTSTRAP VALUE                               immutable
//! put BOOTSTRAP VALUE SEED SALT SEQ CAS             mutable; SALT and CAS may be empty
//! get BOOTSTRAP TARGET                              40 hexadecimal digits
//! get BOOTSTRAP KEY SALT                            64
//! ```
#![allow(deprecated, reason = "what is to come in their place is for async programs")]

use std::error::Error;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4};

use mainline::{Dht, DhtBuilder, Id, MutableItem, SigningKey};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["serve", addr, bootstrap] => serve(addr.parse()?, bootstrap),
        ["put", bootstrap, value] => {
            let result = client(bootstrap)?.put_immutable(value.as_bytes());
            told(result)
        }
        ["put", bootstrap, value, seed, salt, seq, cas] => {
            let seed = bytes(seed)?.try_into().map_err(|_| "expected a seed of 32 bytes")?;
            let key = SigningKey::from_bytes(&seed);
            let item = MutableItem::new(key, value.as_bytes(), seq.parse()?, given(salt));
            let cas = given(cas).map(|_| cas.parse()).transpose()?;
            told(client(bootstrap)?.put_mutable(item, cas))
        }
        ["get", bootstrap, target] => {
            let value = client(bootstrap)?.get_immutable(target.parse()?);
            println!("{}", json!({"value": value.as_deref().map(text)}));
            Ok(())
        }
        ["get", bootstrap, key, salt] => {
            let key = bytes(key)?.try_into().map_err(|_| "expected a key of 32 bytes")?;
            let item = client(bootstrap)?.get_mutable_most_recent(&key, given(salt));
            println!("{}", item.map_or(json!({"value": null}), |item| as_json(&item)));
            Ok(())
        }
        _ => Err("expected: serve ADDR:PORT BOOTSTRAP | put … | get …".into()),
    }
}

fn serve(addr: SocketAddrV4, bootstrap: &str) -> Result<(), Box<dyn Error>> {
    let mut builder = builder(bootstrap);
    let dht = builder.server_mode().bind_address(*addr.ip()).port(addr.port()).build()?;
    println!("{}", json!({"listening": addr.to_string(), "id": dht.info().id().to_string()}));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn client(bootstrap: &str) -> Result<Dht, Box<dyn Error>> {
    let dht = builder(bootstrap).bind_address(Ipv4Addr::LOCALHOST).port(0).build()?;
    if dht.bootstrapped() { Ok(dht) } else { Err("nobody answered".into()) }
}

fn builder(bootstrap: &str) -> DhtBuilder {
    let mut builder = Dht::builder();
    match bootstrap {
        "-" => builder.no_bootstrap(),
        nodes => builder.bootstrap(&nodes.split(',').collect::<Vec<_>>()),
    };
    builder
}

/// What a put came to.
fn told<E: Error>(result: Result<Id, E>) -> Result<(), Box<dyn Error>> {
    let line = match result {
        Ok(target) => json!({"target": target.to_string(), "error": null}),
        Err(error) => json!({"target": null, "error": error.to_string()}),
    };
    println!("{line}");
    Ok(())
}

fn as_json(item: &MutableItem) -> Value {
    json!({
        "value": text(item.value()),
        "seq": item.seq(),
        "target": item.target().to_string(),
        "salt": item.salt().map(text),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn given(text: &str) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text.as_bytes())
}

fn bytes(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}
