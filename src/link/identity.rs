//! The identity of a side: an Ed25519 key that never leaves its machine, and the public key by which others know it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use kernel::problem::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Maximum size of a key file, in bytes.
const MAX_FILE: u64 = 4096;
/// Bytes of a key's hash in a fingerprint.
const SHOWN: usize = 20;
/// Crockford Base32: digits and letters without I, L, O and U, which are easily confused.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file exists but cannot be read.
    #[error("this machine's key {} can't be read; check its owner and mode", path.display())]
    Unreadable {
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file does not exist and cannot be created.
    #[error("this machine's key {} can't be created; check that its folder is \
        writable", path.display())]
    NotMade {
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Other users can read the file.
    #[error(
        "this machine's key {} has mode {mode:03o}, so others can read it; run `chmod 600` on it",
        path.display()
    )]
    Exposed {
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The bytes are no key.
    #[error(
        "this isn't an Ed25519 key in PKCS#8; restore the right one, or remove it and join again"
    )]
    NoKey,
}

impl Problem for IdentityError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "identity_unreadable",
            Self::NotMade { .. } => "identity_not_made",
            Self::Exposed { .. } => "identity_exposed",
            Self::NoKey => "identity_invalid",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NoKey => ProblemKind::Invalid,
            Self::Unreadable { .. } | Self::NotMade { .. } | Self::Exposed { .. } => {
                ProblemKind::Internal
            }
        }
    }
}

/// The public key of an identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Wraps 32 bytes. Invalid bytes are noticed when a signature is checked.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The text that people compare and join commands contain: 160 bits of the key's SHA-256 hash in groups of four,
    /// `7K3M-…`. It identifies the key uniquely.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = digest(&SHA256, &self.0);
        let mut letters = String::with_capacity(39);
        // Five bytes are eight letters: two groups.
        for five in hash.as_ref()[..SHOWN].chunks_exact(5) {
            let bits = five.iter().fold(0u64, |bits, byte| (bits << 8) | u64::from(*byte));
            for at in 0..8 {
                if at % 4 == 0 && !letters.is_empty() {
                    letters.push('-');
                }
                let letter = (bits >> (35 - 5 * at)) & 31;
                letters.push(char::from(LETTERS[usize::try_from(letter).unwrap_or(0)]));
            }
        }
        letters
    }

    /// Returns `true` if this is its fingerprint, in any case and grouping.
    #[must_use]
    pub fn is(&self, fingerprint: &str) -> bool {
        self.fingerprint() == grouped(fingerprint)
    }

    /// Verifies a signature of these bytes.
    #[must_use]
    pub(crate) fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(bytes, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// The private key by which a side proves its identity.
pub struct Identity(Ed25519KeyPair);

impl Identity {
    /// Generates a new key.
    #[must_use]
    pub fn generate() -> Self {
        Self(Ed25519KeyPair::generate().expect("invariant: the system gives random bytes"))
    }

    /// Restores a stored key.
    ///
    /// # Errors
    /// If the bytes are no key.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, IdentityError> {
        Ed25519KeyPair::from_pkcs8(bytes).map(Self).map_err(|_| IdentityError::NoKey)
    }

    /// The key in PKCS#8, for sealing or storing; wiped when dropped.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let made = self.0.to_pkcs8v1().expect("invariant: a key in memory can be written");
        Zeroizing::new(made.as_ref().to_vec())
    }

    /// Reads the key in `path`, or creates it atomically with mode 0600.
    ///
    /// # Errors
    /// If the file cannot be read or created, contains no key, or other users can read it.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match fs::metadata(path) {
            Ok(found) => {
                let mode = found.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(IdentityError::Exposed { path: path.into(), mode });
                }
                Self::load(path)
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(source) => Err(IdentityError::Unreadable { path: path.into(), source }),
        }
    }

    fn load(path: &Path) -> Result<Self, IdentityError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(128));
        File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
            .map_err(|source| IdentityError::Unreadable { path: path.into(), source })?;
        Self::from_pkcs8(&bytes)
    }

    /// Writes a new key to a temporary file and links it to `path`, so that `path` never contains half a key, and a key
    /// that another process created meanwhile is never replaced.
    fn create(path: &Path) -> Result<Self, IdentityError> {
        let not_made = |source| IdentityError::NotMade { path: path.into(), source };
        let mut mark = [0; 6];
        rand::fill(&mut mark).expect("invariant: the system gives random bytes");
        let draft = path.with_extension(format!("new-{}", hex::encode(mark)));
        let made = Self::generate();
        let linked = made.write(&draft).and_then(|()| fs::hard_link(&draft, path));
        let removed = match fs::remove_file(&draft) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            Ok(()) | Err(_) => Ok(()),
        };
        match linked {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => return Self::load(path),
            other => other.and(removed).map_err(not_made)?,
        }
        // Otherwise a power failure may lose the new file's name, and with it this host's place in the workspace.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).map_err(not_made)?;
        Ok(made)
    }

    fn write(&self, draft: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
        file.write_all(&self.to_pkcs8())?;
        file.sync_all()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(bytes).as_ref());
        signature
    }

    #[cfg(test)]
    pub(crate) fn of_seed(seed: [u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.public()).finish()
    }
}

/// Normalises a typed fingerprint to the form of [`PublicKey::fingerprint`].
#[must_use]
pub fn grouped(text: &str) -> String {
    let plain: Vec<char> = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| c.to_ascii_uppercase())
        .collect();
    plain.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again_and_only_its_owner_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.key");
        let made = Identity::load_or_create(&path).unwrap().public();
        assert_eq!(Identity::load_or_create(&path).unwrap().public(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let exposed = Identity::load_or_create(&path).unwrap_err();
        assert_eq!(exposed.code(), "identity_exposed");
        assert!(exposed.to_string().contains("mode 640"), "{exposed}");
    }

    #[test]
    fn a_key_that_another_made_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.key");
        let first = Identity::create(&path).unwrap().public();
        assert_eq!(Identity::create(&path).unwrap().public(), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_key_and_a_folder_that_is_not_there_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.key");
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        options.unwrap().write_all(b"nothing").unwrap();
        assert_eq!(Identity::load_or_create(&path).unwrap_err().code(), "identity_invalid");
        let nowhere = folder.path().join("no/where");
        assert_eq!(Identity::load_or_create(&nowhere).unwrap_err().code(), "identity_not_made");
    }

    #[test]
    fn a_signature_is_of_one_key_and_of_these_bytes() {
        let (one, other) = (Identity::of_seed([7; 32]), Identity::generate());
        let signature = one.sign(b"words");
        assert!(one.public().signed(b"words", &signature));
        assert!(!one.public().signed(b"other words", &signature));
        assert!(!other.public().signed(b"words", &signature));
        let restored = Identity::from_pkcs8(&one.to_pkcs8()).unwrap();
        assert_eq!(restored.public(), one.public());
    }

    #[test]
    fn a_fingerprint_has_eight_groups_and_is_known_in_any_case() {
        let key = Identity::of_seed([7; 32]).public();
        let shown = key.fingerprint();
        assert_eq!(shown, FINGERPRINT);
        assert!(key.is(&shown.to_lowercase()) && key.is(&shown.replace('-', " ")));
        assert!(!key.is("") && !key.is(&shown[..34]));
        assert!(!Identity::generate().public().is(&shown));
    }

    /// Computed by another program from the same seed.
    const FINGERPRINT: &str = "ZT0J-R4QK-ND6E-DB2X-PTDC-6MQS-0V5H-P4FF";
}
