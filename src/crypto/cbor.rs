//! Subset of CBOR that passkeys need: integers, bytes, text, arrays and maps of definite length, simple values.
//! Anything else, and nesting beyond eight levels, is rejected.

/// Deepest nesting.
const DEPTH: u8 = 8;
/// Limit of members of an array or map.
const MEMBERS: u64 = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// True, false, null.
    Simple(u8),
}

impl<'a> Value<'a> {
    pub fn int_key(&self, key: i64) -> Option<&Value<'a>> {
        self.find(&Value::Int(key))
    }

    pub fn text_key(&self, key: &'static str) -> Option<&Value<'a>> {
        self.find(&Value::Text(key))
    }

    fn find(&self, key: &Value<'_>) -> Option<&Value<'a>> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    pub fn int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    pub fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// Decodes the first value; returns the remaining bytes.
pub(super) fn read(input: &[u8]) -> Option<(Value<'_>, &[u8])> {
    item(input, DEPTH)
}

fn item(input: &[u8], depth: u8) -> Option<(Value<'_>, &[u8])> {
    let depth = depth.checked_sub(1)?;
    let (first, rest) = input.split_first()?;
    let (number, rest) = argument(first & 31, rest)?;
    match first >> 5 {
        0 => Some((Value::Int(i64::try_from(number).ok()?), rest)),
        1 => Some((Value::Int(-1 - i64::try_from(number).ok()?), rest)),
        2 => {
            let (bytes, rest) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            Some((Value::Bytes(bytes), rest))
        }
        3 => {
            let (bytes, rest) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            Some((Value::Text(std::str::from_utf8(bytes).ok()?), rest))
        }
        4 => {
            let (mut all, mut rest) = (Vec::new(), rest);
            for _ in 0..(number <= MEMBERS).then_some(number)? {
                let (value, after) = item(rest, depth)?;
                all.push(value);
                rest = after;
            }
            Some((Value::List(all), rest))
        }
        5 => {
            let (mut all, mut rest) = (Vec::new(), rest);
            for _ in 0..(number <= MEMBERS).then_some(number)? {
                let (key, after) = item(rest, depth)?;
                let (value, after) = item(after, depth)?;
                all.push((key, value));
                rest = after;
            }
            Some((Value::Map(all), rest))
        }
        7 if first & 31 < 24 => Some((Value::Simple(first & 31), rest)),
        _ => None,
    }
}

fn argument(low: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    let length = match low {
        0..24 => return Some((u64::from(low), rest)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let (bytes, rest) = rest.split_at_checked(length)?;
    Some((bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::{Value, read};

    #[test]
    fn values_are_read_and_what_is_strange_is_refused() {
        let map = [0xa2, 0x01, 0x26, 0x63, b'f', b'm', b't', 0x42, 7, 8, 0xff];
        let (value, rest) = read(&map).expect("a map");
        assert_eq!(value.int_key(1).and_then(Value::int), Some(-7));
        assert_eq!(value.text_key("fmt").and_then(Value::bytes), Some(&[7, 8][..]));
        assert_eq!(rest, [0xff]);
        for bad in [
            &[][..],
            &[0x18],
            &[0x42, 1],
            &[0x9f],
            &[0x1f],
            &[0xbb, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0x61, 0xff],
        ] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
        assert!(read(&[0x81; 100]).is_none(), "too deep");
    }
}
