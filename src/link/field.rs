//! Fields of the handshake: numbers in network byte order, and bytes with a length prefix. A length is checked against
//! the available bytes before anything is taken.

use bytes::Bytes;

use super::error::LinkError;

/// Appends bytes with a two-byte length prefix.
///
/// # Errors
/// If there are too many bytes for it.
pub(crate) fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), LinkError> {
    let limit = usize::from(u16::MAX);
    let length = u16::try_from(bytes.len()).map_err(|_| LinkError::TooLarge { limit })?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Reads consecutive fields.
pub(crate) struct Fields(Bytes);

impl Fields {
    pub(crate) fn of(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, LinkError> {
        if self.0.len() < length {
            return Err(LinkError::Garbled("it ends too early"));
        }
        Ok(self.0.split_to(length))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], LinkError> {
        let mut out = [0; N];
        out.copy_from_slice(&self.take(N)?);
        Ok(out)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, LinkError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LinkError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Length-prefixed bytes, at most `most`.
    pub(crate) fn bytes(&mut self, most: usize) -> Result<Bytes, LinkError> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        if most < length {
            return Err(LinkError::TooLarge { limit: most });
        }
        self.take(length)
    }

    pub(crate) fn text(&mut self, most: usize) -> Result<String, LinkError> {
        let bytes = self.bytes(most)?;
        let text = std::str::from_utf8(&bytes);
        text.map(str::to_owned).map_err(|_| LinkError::Garbled("a text is none"))
    }

    /// Fails if bytes are left.
    pub(crate) fn end(self) -> Result<(), LinkError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(LinkError::Garbled("it has more than it should")),
        }
    }
}
