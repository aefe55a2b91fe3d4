//! A body that calls itself a remote-write request.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _ = collector_remote::decode_write_request(body, 1 << 20);
});
