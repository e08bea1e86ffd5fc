#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    nitp_fuzz::targets::parquet(bytes);
});
