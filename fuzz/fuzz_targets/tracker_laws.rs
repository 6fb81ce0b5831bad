#![no_main]
use tinybt_tests::fuzz_laws::Look;
use tinybt_tests::fuzz_trackers::tracker_laws;
libfuzzer_sys::fuzz_target!(|data: &[u8]| tracker_laws(data, Look::at(data)));
