//! Key encoding whose byte order equals the order of the values.
//!
//! Unsigned numbers are big-endian; signed ones have the top bit flipped; text escapes a zero byte as `00 FF` and ends
//! with `00 00`; ids are their 16 raw bytes. Layers below see only bytes.

use crate::{About, Assignee, Payer, Period, Timestamp, TypedId};

/// A key under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyBuf(Vec<u8>);

impl KeyBuf {
    /// An empty key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A key with one part.
    #[must_use]
    pub fn of(part: &impl Key) -> Self {
        let mut key = Self::new();
        part.encode(&mut key);
        key
    }

    /// Appends a part and returns the key.
    #[must_use = "keys are built by chaining"]
    pub fn with(mut self, part: &impl Key) -> Self {
        part.encode(&mut self);
        self
    }

    /// Appends a part in place.
    pub fn part(&mut self, part: impl Key) -> &mut Self {
        part.encode(self);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Appends escaped text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        // Split at zero bytes, so that long text is copied in blocks.
        for (n, piece) in text.split('\0').enumerate() {
            if n > 0 {
                self.0.extend_from_slice(&[0, 0xff]);
            }
            self.0.extend_from_slice(piece.as_bytes());
        }
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    /// Appends raw bytes. Only sound as the last part or with a fixed length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a moment. `None` sorts last.
    pub fn time_or_max(&mut self, at: Option<Timestamp>) -> &mut Self {
        let ms = at.map_or(i64::MAX, Timestamp::as_millisecond);
        ms.encode(self);
        self
    }

    /// Clears the key and keeps its allocation.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The encoded bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoded bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A value that can be part of a key.
pub trait Key: Sized {
    /// Appends the encoded value.
    fn encode(&self, out: &mut KeyBuf);
    /// Decodes a value from the front of `bytes`. Returns `None` if they do not fit.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

impl<T: TypedId> Key for T {
    fn encode(&self, out: &mut KeyBuf) {
        out.0.extend_from_slice(self.uuid().as_bytes());
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        take_array(bytes).map(T::from_bytes)
    }
}

macro_rules! unsigned {
    ($($t:ty),+) => {$(
        impl Key for $t {
            fn encode(&self, out: &mut KeyBuf) {
                out.0.extend_from_slice(&self.to_be_bytes());
            }
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                take_array(bytes).map(<$t>::from_be_bytes)
            }
        }
    )+};
}
unsigned!(u8, u16, u32, u64);

impl Key for i64 {
    fn encode(&self, out: &mut KeyBuf) {
        (self.cast_unsigned() ^ (1 << 63)).encode(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        u64::take(bytes).map(|v| (v ^ (1 << 63)).cast_signed())
    }
}

impl Key for Timestamp {
    fn encode(&self, out: &mut KeyBuf) {
        self.as_millisecond().encode(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        i64::take(bytes).map(crate::time::from_ms)
    }
}

impl Key for String {
    fn encode(&self, out: &mut KeyBuf) {
        out.text(self);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut text = Vec::new();
        loop {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            if byte != 0 {
                text.push(byte);
                continue;
            }
            let (&mark, rest) = bytes.split_first()?;
            *bytes = rest;
            match mark {
                0 => return String::from_utf8(text).ok(),
                0xff => text.push(0),
                _ => return None,
            }
        }
    }
}

/// Key of a singleton record.
impl Key for () {
    fn encode(&self, out: &mut KeyBuf) {
        out.0.push(0);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        take_array::<1>(bytes).map(|_| ())
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn encode(&self, out: &mut KeyBuf) {
        self.0.encode(out);
        self.1.encode(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::take(bytes)?, B::take(bytes)?))
    }
}

/// Kind first, then the id, so that the rows of one person or agent are adjacent.
impl Key for Assignee {
    fn encode(&self, out: &mut KeyBuf) {
        match self {
            Self::Person(account) => out.u8(0).part(*account),
            Self::Agent(agent) => out.u8(1).part(*agent),
            Self::System => out.u8(2),
        };
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Key::take(bytes).map(Self::Person),
            1 => Key::take(bytes).map(Self::Agent),
            2 => Some(Self::System),
            _ => None,
        }
    }
}

impl Key for About {
    fn encode(&self, out: &mut KeyBuf) {
        match self {
            Self::Workspace => out.u8(0),
            Self::Task(id) => out.u8(1).part(*id),
            Self::Agent(id) => out.u8(2).part(*id),
            Self::Run(id) => out.u8(3).part(*id),
            Self::Connection(id) => out.u8(4).part(*id),
            Self::Routine(id) => out.u8(5).part(*id),
            Self::Import(id) => out.u8(6).part(*id),
            Self::Plugin(id) => out.u8(7).part(*id),
            Self::Gateway(id) => out.u8(8).part(*id),
            Self::Stream(id) => out.u8(9).part(*id),
            Self::Row(table, id) => out.u8(10).part(*table).part(*id),
        };
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Workspace),
            1 => Key::take(bytes).map(Self::Task),
            2 => Key::take(bytes).map(Self::Agent),
            3 => Key::take(bytes).map(Self::Run),
            4 => Key::take(bytes).map(Self::Connection),
            5 => Key::take(bytes).map(Self::Routine),
            6 => Key::take(bytes).map(Self::Import),
            7 => Key::take(bytes).map(Self::Plugin),
            8 => Key::take(bytes).map(Self::Gateway),
            9 => Key::take(bytes).map(Self::Stream),
            10 => Some(Self::Row(Key::take(bytes)?, Key::take(bytes)?)),
            _ => None,
        }
    }
}

/// Kind first, so that the budgets of a payer are adjacent.
impl Key for Payer {
    fn encode(&self, out: &mut KeyBuf) {
        match self {
            Self::Workspace => out.u8(0),
            Self::Agent(id) => out.u8(1).part(*id),
            Self::Task(id) => out.u8(2).part(*id),
            Self::Run(id) => out.u8(3).part(*id),
            Self::Stream(id) => out.u8(4).part(*id),
            Self::Routine(id) => out.u8(5).part(*id),
        };
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Workspace),
            1 => Key::take(bytes).map(Self::Agent),
            2 => Key::take(bytes).map(Self::Task),
            3 => Key::take(bytes).map(Self::Run),
            4 => Key::take(bytes).map(Self::Stream),
            5 => Key::take(bytes).map(Self::Routine),
            _ => None,
        }
    }
}

impl Key for Period {
    fn encode(&self, out: &mut KeyBuf) {
        out.u8(*self as u8);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let at = u8::take(bytes)?;
        Self::ALL.get(usize::from(at)).copied()
    }
}

/// Decodes a whole key. Returns `None` if bytes are left over.
#[must_use]
pub fn decode<K: Key>(mut bytes: &[u8]) -> Option<K> {
    let key = K::take(&mut bytes)?;
    bytes.is_empty().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::{Assignee, KeyBuf, Timestamp, TypedId, decode};
    use crate::time::from_ms;
    use crate::{AgentId, TaskId};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn signed_numbers_sort_like_their_keys(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(a.cmp(&b), KeyBuf::of(&a).cmp(&KeyBuf::of(&b)));
            prop_assert_eq!(decode::<i64>(KeyBuf::of(&a).bytes()), Some(a));
        }

        #[test]
        fn text_sorts_like_its_key_also_in_front_of_other_parts(
            a in any::<(String, u64)>(), b in any::<(String, u64)>()
        ) {
            prop_assert_eq!(a.cmp(&b), KeyBuf::of(&a).cmp(&KeyBuf::of(&b)));
            prop_assert_eq!(decode::<(String, u64)>(KeyBuf::of(&a).bytes()), Some(a));
        }
    }

    proptest! {
        #[test]
        fn numbers_and_moments_sort_like_their_keys(
            a in any::<(u16, u32, u64, i32)>(), b in any::<(u16, u32, u64, i32)>()
        ) {
            let key = |(one, two, three, ms): (u16, u32, u64, i32)| {
                let at = from_ms(i64::from(ms));
                KeyBuf::of(&one).with(&two).with(&three).with(&at)
            };
            prop_assert_eq!(a.cmp(&b), key(a).cmp(&key(b)));
            let at = from_ms(i64::from(a.3));
            prop_assert_eq!(decode::<Timestamp>(KeyBuf::of(&at).bytes()), Some(at));
            let (mut some, mut none) = (KeyBuf::new(), KeyBuf::new());
            prop_assert!(some.time_or_max(Some(at)) < none.time_or_max(None));
        }

        #[test]
        fn ids_sort_as_they_were_made_and_no_key_of_another_length_is_one(
            bytes in any::<[u8; 16]>(), other in any::<[u8; 16]>(), rest in 0..16usize
        ) {
            let (a, b) = (TaskId::from_bytes(bytes), TaskId::from_bytes(other));
            prop_assert_eq!(a.cmp(&b), KeyBuf::of(&a).cmp(&KeyBuf::of(&b)));
            prop_assert_eq!(decode::<TaskId>(&bytes), Some(a));
            prop_assert_eq!(decode::<TaskId>(&bytes[..rest]), None);
            for assignee in [Assignee::Agent(AgentId::from_bytes(bytes)), Assignee::System] {
                let key = KeyBuf::of(&assignee).into_bytes();
                prop_assert_eq!(decode::<Assignee>(&key), Some(assignee));
                prop_assert_eq!(decode::<Assignee>(&[&key[..], &[0]].concat()), None);
            }
        }

        #[test]
        fn bytes_from_outside_are_a_key_or_none_and_never_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            // A decodable byte string is the only encoding of its value.
            if let Some(pair) = decode::<(String, i64)>(&bytes) {
                prop_assert_eq!(KeyBuf::of(&pair).into_bytes(), bytes);
            }
        }
    }
}
