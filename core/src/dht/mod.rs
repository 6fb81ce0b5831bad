//! The Mainline DHT.
