//! Token ids of nanoGPT and llm.c.

use super::tables::opened;
use super::*;

pub fn header(magic: u32, version: u32, count: u32) -> Vec<u8> {
    let numbers = [magic, version, count].into_iter().chain([0; 253]);
    numbers.flat_map(u32::to_le_bytes).collect()
}

/// The ids of a file, and the digest.
fn ids(name: &str, bytes: &[u8]) -> Result<(Vec<u32>, TextDigest)> {
    let Content::Tokens(mut file) = opened(name, bytes, None)? else { bail!("no ids") };
    let mut all = Vec::new();
    while let Some((first, ids)) = file.next_some()? {
        assert_eq!(first as usize, all.len());
        all.extend(ids);
    }
    Ok((all, file.digest()?))
}

fn message(name: &str, bytes: &[u8]) -> String {
    let message = format!("{:#}", ids(name, bytes).unwrap_err());
    assert!(message.contains(name) && message.len() < 500, "{message}");
    message
}

#[test]
fn ids_of_16_and_32_bits_are_read() {
    let many: Vec<u32> = (0..(1 << 20) + 5).map(|i| i % 50_000).collect();
    let narrow: Vec<u8> = many.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect();
    let wide: Vec<u8> = many.iter().flat_map(|&id| id.to_le_bytes()).collect();
    let gpt2 = [header(20240520, 1, many.len() as u32), narrow.clone()].concat();
    let llama = [header(20240801, 7, many.len() as u32), wide].concat();
    let plain = ids("a.bin", &narrow).unwrap();
    assert!(plain.0 == many);
    let zst = zstd::encode_all(&gpt2[..], 0).unwrap();
    for (name, bytes) in [
        ("a.bin", &gpt2),
        ("a.bin", &llama),
        ("a.bin.zst", &zst),
        ("the standard input", &gpt2),
        ("the standard input", &zst),
    ] {
        assert!(ids(name, bytes).unwrap() == plain, "{name}");
    }
    assert_eq!(ids("a.bin", &[1, 0, 255, 255]).unwrap().0, [1, 65535]);
}

#[test]
fn what_is_no_file_of_ids_is_named() {
    assert!(message("a.bin", &[1, 0, 2]).contains("ends within its id 1"));
    assert!(message("a.bin", &[]).contains("holds no text"));
    let short = [header(20240520, 1, 3), vec![1, 0, 2, 0]].concat();
    assert!(message("a.bin", &short).contains("has 2 ids, but its header counts 3"));
    let huge = [header(20240801, 7, u32::MAX), vec![1, 0, 0, 0]].concat();
    assert!(message("a.bin", &huge).contains("has 1 ids, but its header counts 4294967295"));
    assert!(message("a.bin", &header(20240520, 2, 0)).contains("the version 2"));
    assert!(message("a.bin", &header(20240520, 1, 0)).contains("holds no text"));
    assert!(message("a.bin", &header(20240520, 1, 0)[..99]).contains("header of 99 bytes"));
}
