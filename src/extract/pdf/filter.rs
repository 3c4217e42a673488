//! Stream filters of PDF, each undone up to a limit. Image filters give no bytes.

use flate2::{Decompress, FlushDecompress, Status};

/// Limit of filters per stream.
const WAYS: usize = 4;
/// Buffer growth in bytes while inflating.
const STEP: usize = 64 << 10;
/// Size of an LZW table.
const CODES: usize = 4_096;

/// Undoes all filters; damaged data gives its readable beginning.
pub(super) fn unpacked(raw: &[u8], ways: &[&str], most: usize) -> Vec<u8> {
    if WAYS < ways.len() {
        return Vec::new();
    }
    let Some((first, others)) = ways.split_first() else {
        return raw[..raw.len().min(most)].to_vec();
    };
    let mut bytes = undone(raw, first, most);
    for way in others {
        bytes = undone(&bytes, way, most);
    }
    bytes
}

fn undone(raw: &[u8], way: &str, most: usize) -> Vec<u8> {
    match way {
        "FlateDecode" | "Fl" => inflated(raw, most),
        "ASCII85Decode" | "A85" => ascii85(raw, most),
        "ASCIIHexDecode" | "AHx" => hex(raw, most),
        "LZWDecode" | "LZW" => lzw(raw, most),
        "RunLengthDecode" | "RL" => runs(raw, most),
        _ => Vec::new(),
    }
}

/// Inflates up to the first damage, including a wrong checksum at the end.
fn inflated(raw: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut inflate = Decompress::new(true);
    while out.len() < most {
        out.reserve(STEP.min(most - out.len()));
        let (read, before) = (inflate.total_in(), out.len());
        let rest = raw.get(read as usize..).unwrap_or_default();
        let status = inflate.decompress_vec(rest, &mut out, FlushDecompress::None);
        let stands = inflate.total_in() == read && out.len() == before;
        if stands || !matches!(status, Ok(Status::Ok | Status::BufError)) {
            break;
        }
    }
    out.truncate(most);
    out
}

fn ascii85(raw: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut group, mut count) = (0_u32, 0);
    for byte in raw {
        match byte {
            b'z' if count == 0 => out.extend([0; 4]),
            b'!'..=b'u' => {
                group = group.wrapping_mul(85).wrapping_add(u32::from(byte - b'!'));
                count += 1;
                if count == 5 {
                    out.extend(group.to_be_bytes());
                    (group, count) = (0, 0);
                }
            }
            b'~' => break,
            _ => (),
        }
        if most <= out.len() {
            break;
        }
    }
    if count > 1 {
        for _ in count..5 {
            group = group.wrapping_mul(85).wrapping_add(84);
        }
        out.extend(&group.to_be_bytes()[..count - 1]);
    }
    out.truncate(most);
    out
}

fn hex(raw: &[u8], most: usize) -> Vec<u8> {
    let digits = raw.iter().take_while(|byte| **byte != b'>');
    let digits: Vec<u8> = digits
        .filter_map(|byte| char::from(*byte).to_digit(16))
        .map(|digit| digit as u8)
        .take(most.saturating_mul(2))
        .collect();
    digits.chunks(2).map(|two| (two[0] << 4) | two.get(1).copied().unwrap_or(0)).collect()
}

/// LZW decoding with codes that grow from 9 to 12 bits.
fn lzw(raw: &[u8], most: usize) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    // Position and length in `out` of each code from 258.
    let mut table: Vec<(usize, usize)> = Vec::new();
    let mut last: Option<(usize, usize)> = None;
    let (mut bits, mut have) = (0_u32, 0_u32);
    let mut bytes = raw.iter();
    while out.len() < most {
        // The code grows as soon as the next entry needs it.
        let width = match 259 + table.len() {
            ..512 => 9,
            512..1024 => 10,
            1024..2048 => 11,
            _ => 12,
        };
        while have < width {
            let Some(byte) = bytes.next() else { return out };
            bits = (bits << 8) | u32::from(*byte);
            have += 8;
        }
        have -= width;
        let code = ((bits >> have) & ((1 << width) - 1)) as usize;
        bits &= (1 << have) - 1;
        let start = out.len();
        match code {
            256 => {
                table.clear();
                last = None;
                continue;
            }
            257 => return out,
            code @ 0..256 => out.push(code as u8),
            code => match (table.get(code - 258).copied(), last) {
                (Some((from, length)), _) => out.extend_from_within(from..from + length),
                // The entry under construction: the last one followed by its own first byte.
                (None, Some((from, length))) if code - 258 == table.len() => {
                    out.extend_from_within(from..from + length);
                    out.push(out[from]);
                }
                _ => return out,
            },
        }
        if let Some((from, length)) = last
            && table.len() + 258 < CODES
        {
            // The last entry and the first byte of this one, which follows it.
            table.push((from, length + 1));
        }
        last = Some((start, out.len() - start));
    }
    out
}

fn runs(raw: &[u8], most: usize) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), raw);
    while let Some((length, after)) = rest.split_first()
        && *length != 128
        && out.len() < most
    {
        let length = usize::from(*length);
        if length < 128 {
            let end = after.len().min(length + 1);
            out.extend(&after[..end]);
            rest = &after[end..];
        } else {
            let Some((byte, after)) = after.split_first() else { break };
            out.extend(std::iter::repeat_n(*byte, 257 - length));
            rest = after;
        }
    }
    out.truncate(most);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::unpacked;

    #[test]
    fn each_way_is_undone() {
        assert_eq!(unpacked(b"87cURD]i,\"Ebo80~>", &["ASCII85Decode"], 99), b"Hello World!");
        assert_eq!(unpacked(b"z87c~>", &["A85"], 99), b"\0\0\0\0He");
        assert_eq!(unpacked(b"48 65 6C6c 7>", &["ASCIIHexDecode"], 99), b"Hellp");
        assert_eq!(unpacked(&[2, b'a', b'b', b'c', 254, b'd', 128, 9], &["RL"], 99), b"abcddd");
        // Example of the specification.
        let packed = [0x80, 0x0b, 0x60, 0x50, 0x22, 0x0c, 0x0c, 0x85, 0x01];
        assert_eq!(unpacked(&packed, &["LZWDecode"], 99), b"-----A---B");
        assert_eq!(unpacked(b"80 0b 60 50 22 0c 0c 85 01>", &["AHx", "LZW"], 99), b"-----A---B");
        let mut packed = b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15".to_vec();
        assert_eq!(unpacked(&packed, &["FlateDecode"], 99), b"hello");
        // With a wrong checksum.
        packed[10] = 9;
        assert_eq!(unpacked(&packed, &["Fl"], 99), b"hello");
        assert_eq!(unpacked(&packed, &["Fl"], 3), b"hel");
        assert_eq!(unpacked(b"abc", &[], 2), b"ab");
        assert_eq!(unpacked(b"abc", &["DCTDecode"], 99), b"");
    }

    proptest! {
        #[test]
        fn no_way_gives_more_than_is_wanted(
            raw in proptest::collection::vec(any::<u8>(), 0..300),
            most in 0_usize..600,
        ) {
            for way in ["LZW", "RL", "A85", "AHx", "Fl"] {
                prop_assert!(unpacked(&raw, &[way], most).len() <= most.saturating_add(4_096));
            }
        }
    }
}
