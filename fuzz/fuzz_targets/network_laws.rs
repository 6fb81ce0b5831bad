#![no_main]
use tinybt_tests::fuzz_network::{look, network};
libfuzzer_sys::fuzz_target!(|data: &[u8]| network(data, look(data)));
