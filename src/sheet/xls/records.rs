//! BIFF records, and strings that may continue in the next record.

/// Continues the previous record.
const CONTINUE: u16 = 0x003c;

pub(super) struct Record<'b> {
    pub(super) kind: u16,
    pub(super) body: &'b [u8],
}

/// Iterator over records.
pub(super) struct Records<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Records<'b> {
    pub(super) fn from(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// A record with its continuations.
    pub(super) fn pieces(&mut self, first: &'b [u8]) -> Pieces<'b> {
        let mut all = vec![first];
        loop {
            let before = self.at;
            match self.next() {
                Some(record) if record.kind == CONTINUE => all.push(record.body),
                _ => {
                    self.at = before;
                    return Pieces { all, piece: 0, at: 0 };
                }
            }
        }
    }
}

impl<'b> Iterator for Records<'b> {
    type Item = Record<'b>;

    fn next(&mut self) -> Option<Record<'b>> {
        let rest = self.bytes.get(self.at..)?;
        let (kind, length) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
        let body = rest.get(4..4 + length)?;
        self.at += 4 + length;
        Some(Record { kind, body })
    }
}

/// Bytes of a record and its continuations.
pub(super) struct Pieces<'b> {
    all: Vec<&'b [u8]>,
    piece: usize,
    at: usize,
}

impl Pieces<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        loop {
            if let Some(byte) = self.all.get(self.piece)?.get(self.at) {
                self.at += 1;
                return Some(*byte);
            }
            self.turn();
        }
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (low, high) = (self.u16()?, self.u16()?);
        Some((u32::from(high) << 16) | u32::from(low))
    }

    pub(super) fn skip(&mut self, mut bytes: usize) -> Option<()> {
        while bytes > 0 {
            let here = self.all.get(self.piece)?.len() - self.at;
            if here < bytes {
                bytes -= here;
                self.turn();
            } else {
                self.at += bytes;
                bytes = 0;
            }
        }
        Some(())
    }

    /// A string of this many characters, without formatting runs and phonetic data.
    pub(super) fn text(&mut self, letters: usize) -> Option<String> {
        let flags = self.byte()?;
        let runs = if flags & 8 == 0 { 0 } else { usize::from(self.u16()?) };
        let spoken = if flags & 4 == 0 { 0 } else { self.u32()? as usize };
        let mut is_wide = flags & 1 != 0;
        let mut units = Vec::new();
        while units.len() < letters {
            // Each continuation repeats the flag of the character width.
            if self.all.get(self.piece)?.len() <= self.at {
                self.turn();
                is_wide = self.byte()? & 1 != 0;
                continue;
            }
            units.push(if is_wide { self.u16()? } else { u16::from(self.byte()?) });
        }
        self.skip(runs * 4)?;
        self.skip(spoken)?;
        let signs = char::decode_utf16(units).map(|sign| sign.unwrap_or('\u{fffd}'));
        Some(signs.filter(|sign| *sign != '\0').collect())
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        (0..count).map(|_| self.byte()).collect()
    }

    fn turn(&mut self) {
        self.piece += 1;
        self.at = 0;
    }
}

/// Little-endian.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Little-endian.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
