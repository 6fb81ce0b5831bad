//! The driver around a machine that does nothing but count: what wakes it, and what does not.
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use tinybt_std::Driver;
use tinybt_std::core::{Buffer, Ignored, Instant, Machine, Transmit};

/// Has one deadline, tells when it has passed, and heeds nothing.
struct Alarm(Option<Instant>, bool);

impl Machine for Alarm {
    type Event = ();

    fn handle_datagram(&mut self, _: Instant, _: SocketAddr, _: &[u8]) -> Result<(), Ignored> {
        Err(Ignored::Foreign)
    }

    fn poll_transmit(&mut self, now: Instant, _: &mut Buffer) -> Option<Transmit> {
        self.1 |= self.0.take_if(|at| *at <= now).is_some();
        None
    }

    fn poll_event(&mut self) -> Option<()> {
        std::mem::take(&mut self.1).then_some(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0
    }
}

#[test]
fn nothing_wakes_an_idle_driver_but_who_means_it() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut driver = Driver::new(Alarm(None, false), vec![socket]).unwrap();
    let turns = Arc::new(AtomicUsize::new(0));
    let (waker, counted) = (driver.waker(), turns.clone());
    let (tell, told) = channel();
    let thread = std::thread::spawn(move || {
        // The first finds out that there is nothing to read.
        driver.turn(|_, _, ()| panic!("no alarm is set")).unwrap();
        tell.send(()).unwrap();
        driver.turn(|_, _, ()| panic!("no alarm is set")).unwrap();
        counted.fetch_add(1, Ordering::Relaxed);
        tell.send(()).unwrap();
    });
    told.recv().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(turns.load(Ordering::Relaxed), 0);
    waker.wake();
    told.recv().unwrap();
    thread.join().unwrap();
}

#[test]
fn a_deadline_is_kept() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut driver = Driver::new(Alarm(None, false), vec![socket]).unwrap();
    let at = driver.now() + Duration::from_millis(20);
    driver.machine().0 = Some(at);
    let (mut rung, mut turns) = (None, 0);
    while rung.is_none() {
        driver.turn(|_, now, ()| rung = Some(now)).unwrap();
        turns += 1;
    }
    assert!(rung >= Some(at));
    // One that finds nothing to read, one that waits, one that tells and does not wait.
    assert!(turns <= 4, "{turns} turns");
}
