#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tinybt_tests::fuzz_network::network(data));
