use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn read(name: &str, bytes: &[u8]) -> Vec<String> {
    documents(name, bytes).unwrap_or_else(|error| panic!("{name}: {error}")).0
}

fn message(name: &str, bytes: &[u8]) -> String {
    let message = documents(name, bytes).unwrap_err().to_string();
    let numbers = message.split("line ").skip(1).filter(|rest| rest.starts_with(char::is_numeric));
    assert!(message.len() < 2000 && numbers.count() <= 1, "{message}");
    message
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
}

#[test]
fn a_text_file_is_a_document_and_a_jsonl_file_has_many() {
    assert_eq!(read("a.txt", b"one\ntwo\n"), ["one\ntwo\n"]);
    let lines = b"{\"text\": \"one\", \"topic\": 3}\n\n{\"text\": \"two\\n\"}\r\n";
    for name in ["a.JSONL", "a.ndjson", "a.json", "a.jsonl.gz", "/dev/fd/63", "the standard input"]
    {
        assert_eq!(read(name, lines), ["one", "two\n"], "{name}");
        assert_eq!(read(name, &gz(lines)), ["one", "two\n"], "{name}");
    }
    // The ending says that it is a text.
    for name in ["a.txt", "a.md", "a.TXT.gz"] {
        assert_eq!(read(name, lines).len(), 1, "{name}");
    }
    // These begin like JSON, but no document is in their first line.
    for text in ["{\"topic\": 3}\n", "{ braces }", "[1]", "\n\n {\n\"text\": \"x\"}"] {
        assert_eq!(read("notes", text.as_bytes()), [text]);
    }
}

#[test]
fn encodings_of_unicode_become_the_same_text_with_the_same_digest() {
    let text = "Früh\nam 😀 Morgen\n".repeat(9000);
    let plain = documents("a.txt", text.as_bytes()).unwrap();
    assert_eq!(plain.0, [text.as_str()]);
    let marked = [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat();
    let two = [gz(&text.as_bytes()[..1000]), gz(&text.as_bytes()[1000..])].concat();
    for bytes in [
        marked.clone(),
        gz(&marked),
        two,
        utf16(&text, u16::to_le_bytes),
        utf16(&text, u16::to_be_bytes),
        // The pairs of surrogates lie differently in the chunks.
        gz(&utf16(&text, u16::to_le_bytes)),
    ] {
        assert!(documents("b.txt", &bytes).unwrap() == plain);
    }
    let shifted = format!("x{text}");
    assert_eq!(read("a.txt", &utf16(&shifted, u16::to_le_bytes)), [shifted]);
    let line = "{\"text\": \"é\"}";
    assert_eq!(read("a.jsonl", &[&[0xef, 0xbb, 0xbf], line.as_bytes()].concat()), ["é"]);
    assert_eq!(read("a.jsonl", &utf16(line, u16::to_be_bytes)), ["é"]);
    assert!(documents("a.md", b"x").unwrap().1 != documents("a.md", b"y").unwrap().1);
    assert!(documents("a.txt", line.as_bytes()).unwrap().1 != plain.1);
}

#[test]
#[cfg(feature = "zstd")]
fn zstd_is_decompressed_and_faults_are_named() {
    let text = "Früh am Morgen\n".repeat(9000);
    let pack = |text: &str| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let plain = documents("a.txt", text.as_bytes()).unwrap();
    let packed = pack(&text);
    // As `pzstd` writes: a frame that is skipped, with a length in it, before each frame.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0], &[1, 2, 3, 4][..]].concat();
    let two = [pack(&text[..999]), pack(&text[999..])].concat();
    for bytes in [packed.clone(), two, [skipped, packed.clone()].concat()] {
        assert!(documents("a.txt.zst", &bytes).unwrap() == plain);
    }
    assert_eq!(read("a.jsonl.zst", &pack("{\"text\": \"x\"}\n")), ["x"]);
    let cut = message("a.txt.zst", &packed[..packed.len() - 9]);
    assert!(cut.contains("a.txt.zst") && cut.contains("cut short"), "{cut}");
    let mut flipped = packed.clone();
    flipped[packed.len() - 2] ^= 1; // in the checksum
    let flipped = message("a.txt.zst", &flipped);
    assert!(flipped.contains("can't be decompressed") && flipped.contains("zstd -t"), "{flipped}");
    let bomb = pack(&" ".repeat(300 << 20));
    let error = TextFile::open("a.txt.zst", &bomb[..]).unwrap().digest().unwrap_err().to_string();
    assert!(error.contains("more than 200 times as many"), "{error}");
}

#[test]
fn each_byte_has_two_hexadecimal_digits() {
    assert_eq!(hexadecimal(&[0, 10, 255]), "000aff");
}

/// Checkpoints keep it: it must not change for the same text.
#[test]
fn the_fingerprint_of_a_run_stays() {
    let tokenizer = super::super::Tokenizer::new("byte", 257).unwrap();
    let old = |is_jsonl: u8, bytes: &[u8]| -> String {
        let digest = Sha256::new()
            .chain_update(b"nitptok1")
            .chain_update(tokenizer.identity())
            .chain_update([is_jsonl])
            .chain_update(Sha256::digest(bytes))
            .finalize();
        hexadecimal(&digest)
    };
    let line: &[u8] = b"{\"text\": \"x\"}\n";
    for (name, bytes, is_jsonl) in [("a.txt", &b"x\n"[..], 0), ("a.jsonl", line, 1)] {
        let mut fingerprint = Fingerprint::new(&tokenizer);
        fingerprint.add(&documents(name, bytes).unwrap().1);
        assert_eq!(fingerprint.finish(), old(is_jsonl, bytes));
    }
}

#[test]
fn a_digest_is_of_all_that_was_read_and_of_the_rest() {
    let lines = b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
    let whole = documents("a.jsonl", lines).unwrap().1;
    let mut file = TextFile::open("a.jsonl", &lines[..]).unwrap();
    assert_eq!(file.next().unwrap().unwrap(), "a");
    assert!(file.digest().unwrap() == whole);
    assert!(TextFile::open("a.jsonl", &lines[..]).unwrap().digest().unwrap() == whole);
}

#[test]
fn what_is_no_text_is_named_with_its_place() {
    assert!(message("a.txt", b"ab\n\0c").contains("binary: line 2 (byte 3)"));
    assert!(message("a.txt", b"ab\nc\xe9").contains("line 2 (byte 4) holds the byte 0xe9"));
    let bad = b"{\"text\": \"x\"}\n{\"text\": \"\xe9x\"}";
    assert!(message("a.jsonl", bad).contains("line 2 (byte 24) holds the byte 0xe9"));
    let bad = b"{\"text\": \"x\"}\n\n{\"body\": 1}";
    assert!(message("a.jsonl", bad).contains("a.jsonl, line 3: the object has no field `text`"));
    assert!(message("a.jsonl", b"\n\n").contains("holds no text"));
    for name in ["a.txt", "a.json", "a", "a.jsonl"] {
        assert!(message(name, b"").contains("holds no text"), "{name}");
    }
    assert!(message("a.zip", b"PK\x03\x04").contains("a zip archive"));
    assert!(message("a.txt", b"\xff\xfe\0\0a\0\0\0").contains("UTF-32"));
    assert!(message("a.txt", b"a\0b\0c\0\n\0").contains("iconv -f UTF-16LE"));
    assert!(message("a.txt", b"\0a\0b\0c\0\n").contains("iconv -f UTF-16BE"));
    let long = message(&"é/".repeat(3000), b"\0");
    assert!(long.chars().count() < 600, "{long}");
}

#[test]
fn an_encoding_is_named_only_where_the_bytes_speak_for_it() {
    let advice = |bytes: &[u8]| message("a.txt", bytes);
    assert!(advice(b"caf\xe9\nna\xefve").contains("WINDOWS-1252"));
    // 你好 in GBK, Привет in Windows-1251, 日本 in Shift-JIS.
    for bytes in [&b"\xc4\xe3\xba\xc3"[..], b"\xcf\xf0\xe8\xe2\xe5\xf2", b"\x93\xfa\x96\x7b"] {
        let advice = advice(bytes);
        assert!(advice.contains("iconv -f ENCODING") && !advice.contains("1252"), "{advice}");
    }
    assert!(advice("é and \u{e8}".as_bytes().split_last().unwrap().1).contains("cut short"));
    assert!(advice(b"\xc3\xa9 and \xe9 x").contains("may be damaged"));
}

#[test]
fn damaged_utf16_and_gz_are_named() {
    let text = utf16("ab\ncd", u16::to_le_bytes);
    assert!(message("a.txt", &text[..text.len() - 1]).contains("line 2 (byte 10)"));
    let half = utf16("ab\n", u16::to_be_bytes);
    assert!(message("a.txt", &[&half[..], &[0xd8, 0]].concat()).contains("line 2 (byte 8)"));
    let text = gz("The tide turns.\n".repeat(999).as_bytes());
    let cut = message("a.txt.gz", &text[..text.len() - 9]);
    assert!(cut.contains("a.txt.gz") && cut.contains("cut short"), "{cut}");
    let mut flipped = text.clone();
    let middle = text.len() - 5; // in the checksum
    flipped[middle] ^= 1;
    let flipped = message("a.txt.gz", &flipped);
    assert!(flipped.contains("can't be decompressed"), "{flipped}");
}

#[test]
fn json_that_is_no_jsonl_says_how_to_convert_it() {
    assert!(message("a.json", b"[{\"text\": \"x\"}]").contains("jq -c '.[]'"));
    assert!(message("a.json", b" \n[\n1]").contains("one JSON array"));
    let object = message("a.json.gz", b"{\n  \"data\": [\"x\"]\n}\n");
    assert!(object.contains("one JSON object over many lines") && object.contains("jq"));
    assert!(message("a.json", b"plain text").contains(".txt"));
    assert!(message("a.json", b"{\"a\": 1}\n").contains("line 1: the object has no field `text`"));
}

#[test]
fn lone_surrogates_are_counted_by_document() {
    let lines = b"{\"text\": \"a\\ud800\\ud801\"}\n{\"text\": \"b\"}\n{\"text\": \"\\udfff\"}\n";
    let mut file = TextFile::open("a.jsonl", &lines[..]).unwrap();
    let texts: Vec<String> = file.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!(texts, ["a\u{fffd}\u{fffd}", "b", "\u{fffd}"]);
    assert_eq!(file.lone_surrogates(), 2);
}

#[test]
fn gz_that_grows_beyond_all_text_is_refused() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![b' '; 1 << 20];
    (0..300).for_each(|_| encoder.write_all(&block).unwrap());
    let bomb = encoder.finish().unwrap();
    let file = TextFile::open("a.txt.gz", &bomb[..]).unwrap();
    let error = file.digest().unwrap_err().to_string();
    assert!(error.contains("more than 200 times as many"), "{error}");
}
