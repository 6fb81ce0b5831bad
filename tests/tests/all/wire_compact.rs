//! Compact addresses, both ways.

use std::net::SocketAddr;

use proptest::prelude::*;
use tinybt_core::wire::compact::{Contacts, Peers, read_peer, write_contact, write_peer};
use tinybt_core::{Contact, Family, Id};

#[test]
fn peers_of_known_bytes() {
    let rows: [(&[u8], &str); 3] = [
        (b"axje.u", "97.120.106.101:11893"),
        (b"\x7f\0\0\x01\0\x50", "127.0.0.1:80"),
        (b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1", "[2001:db8::1]:6881"),
    ];
    for (bytes, text) in rows {
        let addr: SocketAddr = text.parse().unwrap();
        assert_eq!(read_peer(bytes), Some(addr));
        let mut buffer = [0; 18];
        let len = write_peer(&addr, &mut buffer).unwrap();
        assert_eq!(&buffer[..len], bytes);
        assert_eq!(write_peer(&addr, &mut buffer[..len - 1]), None);
    }
}

#[test]
fn other_widths_are_no_peers() {
    for len in (0..40).filter(|len| ![6, 18].contains(len)) {
        assert_eq!(read_peer(&vec![1; len]), None, "{len}");
    }
}

#[test]
fn a_list_of_odd_length_is_none() {
    for family in [Family::V4, Family::V6] {
        for len in 0..200 {
            let bytes = vec![1; len];
            let expected = |width: usize| if len % width == 0 { len / width } else { 0 };
            assert_eq!(Peers::new(family, &bytes).count(), expected(family.peer_len()));
            assert_eq!(Contacts::new(family, &bytes).count(), expected(family.contact_len()));
        }
    }
}

#[test]
fn port_0_is_passed_over_and_low_ports_are_not() {
    let packed = *b"\x0a\0\0\x01\0\0\x0a\0\0\x02\0\x01\x0a\0\0\x03\0\0";
    let peers: Vec<_> = Peers::new(Family::V4, &packed).collect();
    assert_eq!(peers, ["10.0.0.2:1".parse().unwrap()]);
    let mut packed = [7; 52];
    packed[24..26].fill(0);
    assert_eq!(Contacts::new(Family::V4, &packed).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn contacts_there_and_back(
        id: [u8; 20], v4: [u8; 4], v6: [u8; 16], port in 1u16.., six: bool, room in 0usize..60,
    ) {
        let addr: SocketAddr = if six { (v6, port).into() } else { (v4, port).into() };
        let contact = Contact { id: Id(id), addr };
        let family = Family::of(&addr);
        let mut buffer = [0; 60];
        let written = write_contact(&contact, &mut buffer[..room]);
        if room < family.contact_len() {
            prop_assert_eq!(written, None);
        } else {
            let packed = &buffer[..written.unwrap()];
            prop_assert_eq!(packed.len(), family.contact_len());
            prop_assert!(Contacts::new(family, packed).eq([contact]));
            prop_assert!(Peers::new(family, &packed[20..]).eq([addr]));
        }
    }
}
