#![no_main]
use tinybt_tests::fuzz_laws::Look;
use tinybt_tests::fuzz_trackers::finder_laws;
libfuzzer_sys::fuzz_target!(|data: &[u8]| finder_laws(data, Look::at(data)));
