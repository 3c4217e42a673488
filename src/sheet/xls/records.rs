//! Records, of which such a workbook is made, and texts in them, which may go on in the next one.

/// A record that goes on with the one before it.
const CONTINUE: u16 = 0x003c;

pub(super) struct Record<'b> {
    pub(super) kind: u16,
    pub(super) body: &'b [u8],
}

/// The records from a place on.
pub(super) struct Records<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Records<'b> {
    pub(super) fn from(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// A record with all that go on with it.
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

/// The bytes of a record and of those that go on with it.
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

    /// A text of so many letters, without its looks and how it is spoken.
    pub(super) fn text(&mut self, letters: usize) -> Option<String> {
        let flags = self.byte()?;
        let runs = if flags & 8 == 0 { 0 } else { usize::from(self.u16()?) };
        let spoken = if flags & 4 == 0 { 0 } else { self.u32()? as usize };
        let mut is_wide = flags & 1 != 0;
        let mut units = Vec::new();
        while units.len() < letters {
            // Where it goes on in the next record, that says again how wide its letters are.
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

    /// So many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        (0..count).map(|_| self.byte()).collect()
    }

    fn turn(&mut self) {
        self.piece += 1;
        self.at = 0;
    }
}

/// The number of two bytes at a place.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The number of four bytes at a place.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
