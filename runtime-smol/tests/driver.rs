//! The driver around a machine that does nothing but count: dropping a future loses nothing.
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};

use smol::block_on;
use smol::future::{FutureExt, poll_once, yield_now};
use tinybt_smol::Driver;
use tinybt_smol::core::{Buffer, Ignored, Instant, Machine, Transmit};

/// Tells the number in each datagram, and sends it back.
#[derive(Default)]
struct Echo {
    told: Vec<u32>,
    replies: Vec<(SocketAddr, u32)>,
}

impl Machine for Echo {
    type Event = u32;

    fn handle_datagram(
        &mut self,
        _: Instant,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Ignored> {
        let number = bytes.try_into().map_err(|_| Ignored::Foreign)?;
        let number = u32::from_be_bytes(number);
        self.told.insert(0, number);
        self.replies.push((from, number));
        Ok(())
    }

    fn poll_transmit(&mut self, _: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        let (to, number) = self.replies.pop()?;
        buffer[..4].copy_from_slice(&number.to_be_bytes());
        Some(Transmit::new(to, 4))
    }

    fn poll_event(&mut self) -> Option<u32> {
        self.told.pop()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn what_is_dropped_is_not_lost() {
    const COUNT: u32 = 5_000;
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    let mut driver = Driver::new(Echo::default(), vec![server]).unwrap();
    block_on(async {
        let mut reply = [0; 4];
        for number in 0..COUNT {
            client.send(b"not a number").unwrap();
            client.send(&number.to_be_bytes()).unwrap();
            // Begun and dropped as often as it takes.
            let mut told = None;
            while told.is_none() {
                let nothing = async {
                    yield_now().await;
                    None
                };
                told = async { driver.next().await.ok() }.or(nothing).await;
            }
            assert_eq!(told, Some(number));
            // Telling comes before sending: what is left is sent with the next call.
            assert!(poll_once(driver.next()).await.is_none());
            client.recv(&mut reply).unwrap();
            assert_eq!(u32::from_be_bytes(reply), number);
        }
    });
}
