#![no_main]
use tinybt_tests::fuzz_laws::Look;
libfuzzer_sys::fuzz_target!(|data: &[u8]| tinybt_tests::fuzz_laws::homes(data, Look::at(data)));
