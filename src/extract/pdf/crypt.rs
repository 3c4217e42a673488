//! Decryption of PDFs with an empty user password (standard security handler, ISO 32000), which only restrict changes.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit as _};
use aes::{Aes128, Aes256, Block};
use md5::{Digest as _, Md5};
use sha2::{Sha256, Sha384, Sha512};

use super::object::File;
use super::value::{Dict, Value};

/// Padding of passwords.
const PADDING: [u8; 32] = [
    0x28, 0xbf, 0x4e, 0x5e, 0x4e, 0x75, 0x8a, 0x41, 0x64, 0x00, 0x4e, 0x56, 0xff, 0xfa, 0x01, 0x08,
    0x2e, 0x2e, 0x00, 0xb6, 0xd0, 0x68, 0x3e, 0x80, 0x2f, 0x0c, 0xa9, 0xfe, 0x64, 0x53, 0x69, 0x7a,
];
/// Block length in bytes.
const BLOCK: usize = 16;
/// Appended to an object's key for AES.
const SALT: &[u8] = b"sAlT";
/// Fewest hash rounds of revision 6.
const ROUNDS: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Rc4,
    /// A separate key per object.
    Aes128,
    /// One key for the file.
    Aes256,
}

/// Keys of an encrypted file.
pub(super) struct Key {
    key: Vec<u8>,
    streams: Way,
    strings: Way,
}

impl Key {
    /// The key for an empty password; `None` if that does not open the file. `id` is the first element of the file's
    /// `ID`.
    pub fn read(file: &File<'_>, encrypt: &Dict, id: &[u8]) -> Option<Self> {
        let number = |name: &str| file.get(encrypt, name).number().unwrap_or(0.0);
        let (version, revision) = (number("V") as u32, number("R") as u32);
        if file.get(encrypt, "Filter").name() != "Standard" {
            return None;
        }
        let (streams, strings) = match version {
            1 | 2 => (Way::Rc4, Way::Rc4),
            4 | 5 => (way(file, encrypt, "StmF")?, way(file, encrypt, "StrF")?),
            _ => return None,
        };
        let key = match revision {
            2..=4 => {
                let bytes = match version {
                    1 => 5,
                    4 => 16,
                    _ => (number("Length") as usize / 8).clamp(5, 16),
                };
                old_key(file, encrypt, id, revision, bytes)?
            }
            5 | 6 => new_key(file, encrypt, revision)?,
            _ => return None,
        };
        Some(Self { key, streams, strings })
    }

    /// Decrypts a stream.
    pub fn stream(&self, object: (u32, u16), bytes: &[u8]) -> Vec<u8> {
        self.open(self.streams, object, bytes)
    }

    /// Decrypts the strings of an object in place.
    pub fn strings(&self, object: (u32, u16), value: &mut Value) {
        match value {
            Value::Text(bytes) => *bytes = self.open(self.strings, object, bytes),
            Value::List(list) => list.iter_mut().for_each(|one| self.strings(object, one)),
            Value::Dict(dict) | Value::Stream(dict, _) => {
                dict.values_mut().for_each(|one| self.strings(object, one));
            }
            _ => {}
        }
    }

    fn open(&self, way: Way, (number, generation): (u32, u16), bytes: &[u8]) -> Vec<u8> {
        let own = |salt: &[u8]| {
            let mut hash = Md5::new();
            hash.update(&self.key);
            hash.update(&number.to_le_bytes()[..3]);
            hash.update(generation.to_le_bytes());
            hash.update(salt);
            hash.finalize()[..(self.key.len() + 5).min(16)].to_vec()
        };
        match way {
            Way::Plain => bytes.to_vec(),
            Way::Rc4 => rc4(&own(&[]), bytes),
            Way::Aes128 => padded(Aes128::new_from_slice(&own(SALT)).ok().as_ref(), bytes),
            Way::Aes256 => padded(Aes256::new_from_slice(&self.key).ok().as_ref(), bytes),
        }
    }
}

/// Encryption of streams (`StmF`) or strings (`StrF`).
fn way(file: &File<'_>, encrypt: &Dict, which: &str) -> Option<Way> {
    let name = match file.get(encrypt, which).name() {
        "" | "Identity" => return Some(Way::Plain),
        name => name,
    };
    let filter = file.get(file.get(encrypt, "CF").dict()?, name).dict()?;
    match file.get(filter, "CFM").name() {
        "V2" => Some(Way::Rc4),
        "AESV2" => Some(Way::Aes128),
        "AESV3" => Some(Way::Aes256),
        "None" => Some(Way::Plain),
        _ => None,
    }
}

fn text<'f>(file: &'f File<'_>, dict: &'f Dict, name: &str) -> &'f [u8] {
    match file.get(dict, name) {
        Value::Text(bytes) => bytes,
        _ => &[],
    }
}

/// Key of revisions 2 to 4 (up to PDF 1.7).
fn old_key(
    file: &File<'_>,
    encrypt: &Dict,
    id: &[u8],
    revision: u32,
    bytes: usize,
) -> Option<Vec<u8>> {
    let permissions = file.get(encrypt, "P").number()? as i64 as u32;
    let mut hash = Md5::new();
    hash.update(PADDING);
    hash.update(text(file, encrypt, "O").get(..32)?);
    hash.update(permissions.to_le_bytes());
    hash.update(id);
    let is_open = *file.get(encrypt, "EncryptMetadata") == Value::Word("false".to_owned());
    if revision > 3 && is_open {
        hash.update([0xff; 4]);
    }
    let mut key = hash.finalize().to_vec();
    if revision > 2 {
        for _ in 0..50 {
            key = Md5::digest(&key[..bytes]).to_vec();
        }
    }
    key.truncate(bytes);
    let proof = match revision {
        2 => rc4(&key, &PADDING),
        _ => {
            let mut hash = Md5::new();
            hash.update(PADDING);
            hash.update(id);
            let first = hash.finalize().to_vec();
            (0..20_u8).fold(first, |proof, round| {
                let key: Vec<u8> = key.iter().map(|byte| byte ^ round).collect();
                rc4(&key, &proof)
            })
        }
    };
    text(file, encrypt, "U").starts_with(&proof).then_some(key)
}

/// Key of revisions 5 and 6 (PDF 2.0 and its predecessor).
fn new_key(file: &File<'_>, encrypt: &Dict, revision: u32) -> Option<Vec<u8>> {
    let user = text(file, encrypt, "U");
    let (proof, check, salt) = (user.get(..32)?, user.get(32..40)?, user.get(40..48)?);
    let hash = |salt: &[u8]| match revision {
        5 => Some(Sha256::digest(salt).to_vec()),
        _ => hardened(salt),
    };
    if hash(check)? != proof {
        return None;
    }
    let cipher = Aes256::new_from_slice(&hash(salt)?).ok()?;
    let sealed = text(file, encrypt, "UE").get(..32)?;
    Some(chained(&cipher, &[0; BLOCK], sealed))
}

/// Revision 6 hash of an empty password with its salt.
fn hardened(salt: &[u8]) -> Option<Vec<u8>> {
    let mut key = Sha256::digest(salt).to_vec();
    let mut round = 0;
    loop {
        let mut bytes = key.repeat(64);
        let cipher = Aes128::new_from_slice(&key[..16]).ok()?;
        let mut before: [u8; BLOCK] = key[16..32].try_into().ok()?;
        for block in bytes.chunks_exact_mut(BLOCK) {
            block.iter_mut().zip(before).for_each(|(byte, mask)| *byte ^= mask);
            let mut sealed = Block::try_from(&*block).ok()?;
            cipher.encrypt_block(&mut sealed);
            block.copy_from_slice(&sealed);
            before = sealed.into();
        }
        let sum: u32 = bytes[..16].iter().map(|byte| u32::from(*byte)).sum();
        key = match sum % 3 {
            0 => Sha256::digest(&bytes).to_vec(),
            1 => Sha384::digest(&bytes).to_vec(),
            _ => Sha512::digest(&bytes).to_vec(),
        };
        round += 1;
        let last = bytes.last().map_or(0, |byte| u32::from(*byte));
        if ROUNDS <= round && last <= round - 32 {
            key.truncate(32);
            return Some(key);
        }
    }
}

/// Decrypts CBC data that starts with its IV, and removes the padding.
fn padded<C: BlockCipherDecrypt<BlockSize = aes::cipher::consts::U16>>(
    cipher: Option<&C>,
    bytes: &[u8],
) -> Vec<u8> {
    let (Some(cipher), Some((first, rest))) = (cipher, bytes.split_at_checked(BLOCK)) else {
        return Vec::new();
    };
    let mut plain = chained(cipher, first, rest);
    let fill = plain.last().map_or(0, |last| usize::from(*last));
    if (1..=BLOCK).contains(&fill) {
        plain.truncate(plain.len() - fill);
    }
    plain
}

/// Decrypts whole blocks in CBC mode.
fn chained<C: BlockCipherDecrypt<BlockSize = aes::cipher::consts::U16>>(
    cipher: &C,
    first: &[u8],
    bytes: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut before = first;
    for block in bytes.chunks_exact(BLOCK) {
        let Ok(mut plain) = Block::try_from(block) else { break };
        cipher.decrypt_block(&mut plain);
        out.extend(plain.iter().zip(before).map(|(byte, mask)| byte ^ mask));
        before = block;
    }
    out
}

fn rc4(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut table: [u8; 256] = std::array::from_fn(|at| at as u8);
    let mut other = 0_u8;
    for at in 0..256 {
        other = other.wrapping_add(table[at]).wrapping_add(key[at % key.len()]);
        table.swap(at, usize::from(other));
    }
    let (mut at, mut other) = (0_u8, 0_u8);
    let next = |byte: &u8| {
        at = at.wrapping_add(1);
        other = other.wrapping_add(table[usize::from(at)]);
        table.swap(usize::from(at), usize::from(other));
        let sum = table[usize::from(at)].wrapping_add(table[usize::from(other)]);
        byte ^ table[usize::from(sum)]
    };
    bytes.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::{hardened, rc4};

    #[test]
    fn streams_of_bytes_are_opened_as_they_were_closed() {
        // Known test vectors.
        assert_eq!(rc4(b"Key", b"Plaintext"), b"\xbb\xf3\x16\xe8\xd9\x40\xaf\x0a\xd3");
        assert_eq!(rc4(b"Wiki", b"\x10\x21\xbf\x04\x20"), b"pedia");
        assert_eq!(hardened(b"12345678").map(|hash| hash.len()), Some(32));
    }
}
