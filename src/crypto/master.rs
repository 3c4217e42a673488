//! Master key: the secret from which all other keys of an installation are derived.
//!
//! It is stored in a file that only HQ's user may read, never in backups. HQ creates it once; only a rotation
//! replaces it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::random;

/// Shortest accepted key, in bytes: 32 hex digits are 128 bits.
const MIN_TEXT: usize = 32;
const MAX_FILE: u64 = 4096;

const ENVELOPE_SALT: &[u8] = b"yourhq-secrets-v1";
const ENVELOPE_INFO: &[u8] = b"aes-256-gcm";
const PURPOSE_SALT: &[u8] = b"hq-purpose-v1";

/// Base64url without padding; padding is accepted when reading, as the envelope format requires.
pub(super) const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A 256-bit key, wiped on drop.
pub(super) type Key = Zeroizing<[u8; 32]>;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file exists but cannot be read.
    #[error("the master key {} can't be read; check its owner and mode", path.display())]
    Unreadable {
        /// The key file.
        path: PathBuf,
        source: io::Error,
    },
    #[error("the master key {} can't be created; check that its folder is \
        writable", path.display())]
    NotMade {
        /// The key file.
        path: PathBuf,
        source: io::Error,
    },
    /// The key file cannot be replaced.
    #[error(
        "HQ can't replace {}; do it yourself: keep that file as {}, put a new key in its place and \
         restart HQ, which then re-encrypts everything",
        path.display(),
        former.display()
    )]
    NotReplaced {
        path: PathBuf,
        /// File for the present key.
        former: PathBuf,
        source: io::Error,
    },
    #[error("the master key {} has mode {mode:03o}, so others can read it; run `chmod 600` on it", path.display())]
    Exposed {
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    #[error("a master key needs at least {MIN_TEXT} characters")]
    TooShort,
    #[error("a master key can have at most {MAX_FILE} bytes")]
    TooLong,
    /// Whitespace or control characters.
    #[error("a master key must be one word of text, without spaces, line breaks or binary data")]
    NotText,
    /// The file exists but holds no key.
    #[error(
        "{} doesn't contain a master key ({why}); restore the right one from your copy: a new key \
         can't open anything encrypted with the old one. Only if there is no data yet, remove the \
         file, and HQ creates one",
        path.display()
    )]
    Unfit {
        /// The key file.
        path: PathBuf,
        why: Box<KeyError>,
    },
    /// Not 32 bytes in one of the three encodings.
    #[error("the former key isn't 32 bytes as base64url, base64 or hex")]
    NotRaw,
}

/// How keys are derived.
enum Kind {
    /// A text; HKDF derives the envelope key.
    Text,
    /// The envelope key itself, of a former hosted installation.
    Raw,
}

pub struct MasterKey {
    material: Zeroizing<Vec<u8>>,
    kind: Kind,
}

impl MasterKey {
    /// Reads the key in `path`, or creates it atomically with mode 0600.
    pub fn load_or_create(path: &Path) -> Result<MasterKey, KeyError> {
        let found = match fs::metadata(path) {
            Ok(found) => found,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return create(path),
            Err(source) => return Err(KeyError::Unreadable { path: path.into(), source }),
        };
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.into(), mode });
        }
        MasterKey::load(path)
    }

    /// Reads the key in `path` with any mode: mounted secrets are often readable by a group.
    pub fn load(path: &Path) -> Result<MasterKey, KeyError> {
        let mut text = Zeroizing::new(Vec::with_capacity(128));
        File::open(path)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text))
            .map_err(|source| KeyError::Unreadable { path: path.into(), source })?;
        let unfit = |why| KeyError::Unfit { path: path.into(), why: Box::new(why) };
        let text = std::str::from_utf8(&text).or(Err(KeyError::NotText)).map_err(unfit)?;
        MasterKey::from_text(text).map_err(unfit)
    }

    /// A key given as text; surrounding whitespace is ignored.
    pub fn from_text(text: &str) -> Result<MasterKey, KeyError> {
        let text = text.trim();
        if text.len() < MIN_TEXT {
            return Err(KeyError::TooShort);
        }
        if text.len() as u64 > MAX_FILE {
            return Err(KeyError::TooLong);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(KeyError::NotText);
        }
        Ok(MasterKey::former(text))
    }

    /// A key of 32 bytes, for tests and machine-generated keys.
    pub fn from_bytes(bytes: &[u8; 32]) -> MasterKey {
        MasterKey::former(&Zeroizing::new(BASE64URL.encode(bytes)))
    }

    /// Text key of a former installation, used exactly as given.
    pub fn former(text: &str) -> MasterKey {
        MasterKey { material: Zeroizing::new(text.as_bytes().to_vec()), kind: Kind::Text }
    }

    /// Key of a former hosted installation: 32 bytes as base64url, base64 or hex, used as the envelope key.
    pub fn former_raw(text: &str) -> Result<MasterKey, KeyError> {
        let text = text.trim();
        let readings =
            [BASE64URL.decode(text).ok(), STANDARD.decode(text).ok(), hex::decode(text).ok()];
        let bytes = readings.into_iter().flatten().map(Zeroizing::new).find(|b| b.len() == 32);
        let material = bytes.ok_or(KeyError::NotRaw)?;
        Ok(MasterKey { material, kind: Kind::Raw })
    }

    /// The key that seals secrets.
    pub(super) fn envelope_key(&self) -> Key {
        match self.kind {
            Kind::Text => derive(&self.material, ENVELOPE_SALT, ENVELOPE_INFO),
            Kind::Raw => {
                let mut key = Key::default();
                key.copy_from_slice(&self.material);
                key
            }
        }
    }

    /// The key of another purpose; keys of different purposes are independent.
    pub(super) fn purpose_key(&self, purpose: &str) -> Key {
        derive(&self.material, PURPOSE_SALT, purpose.as_bytes())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

fn derive(material: &[u8], salt: &[u8], info: &[u8]) -> Key {
    let mut key = Key::default();
    Hkdf::<Sha256>::new(Some(salt), material)
        .expand(info, key.as_mut_slice())
        .expect("invariant: HKDF-SHA256 gives 32 bytes");
    key
}

/// Path of a file next to the key file, with this suffix.
fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(word);
    path.with_file_name(name)
}

/// Path of a former key.
pub fn former_file(path: &Path, id: &str) -> PathBuf {
    beside(path, &format!("former-{id}"))
}

/// The former keys next to the key file: all files with the suffix `former-…`.
pub fn formers(path: &Path) -> Result<Vec<MasterKey>, KeyError> {
    let unreadable = |source| KeyError::Unreadable { path: path.into(), source };
    let start = beside(path, "former-");
    let (Some(start), Some(folder)) = (start.file_name(), folder_of(path)) else {
        return Ok(Vec::new());
    };
    let start = start.to_string_lossy();
    let mut files = Vec::new();
    // A folder of mounted secrets may not be listable: then there are none.
    let Ok(all) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    for entry in all {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_string_lossy().starts_with(&*start) {
            files.push(entry.path());
        }
    }
    files.sort();
    files.iter().map(|file| MasterKey::load(file)).collect()
}

/// Reads or creates the key that is to replace the one in `path`.
pub fn next(path: &Path) -> Result<MasterKey, KeyError> {
    MasterKey::load_or_create(&beside(path, "next"))
}

/// Whether there is a key that is to replace the one in `path`.
pub fn has_next(path: &Path) -> bool {
    beside(path, "next").is_file()
}

/// Replaces the key in `path` by the next one; the old key becomes the former key `id`. After an interruption, a
/// repeated call completes it.
pub fn take_over(path: &Path, id: &str) -> Result<(), KeyError> {
    let former = former_file(path, id);
    let moved = match fs::hard_link(path, &former) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.and_then(|()| sync_folder(path)),
    };
    moved
        .and_then(|()| fs::rename(beside(path, "next"), path))
        .and_then(|()| sync_folder(path))
        .map_err(|source| KeyError::NotReplaced { path: path.into(), former, source })
}

/// Deletes a former key permanently.
pub fn remove_former(path: &Path, id: &str) -> Result<(), KeyError> {
    let file = former_file(path, id);
    match fs::remove_file(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed
            .and_then(|()| sync_folder(path))
            .map_err(|source| KeyError::Unreadable { path: file, source }),
    }
}

/// Writes a new key to a temporary file and links it to `path`, so that `path` never contains a partial key and a
/// concurrently created key is not replaced.
fn create(path: &Path) -> Result<MasterKey, KeyError> {
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::bytes::<32>().as_slice()));
    let draft = path.with_extension(format!("new-{}", hex::encode(*random::bytes::<6>())));
    let written = write_draft(&draft, &text).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match written {
        Ok(()) => {}
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => return MasterKey::load(path),
        Err(source) => return Err(KeyError::NotMade { path: path.into(), source }),
    }
    removed
        .and_then(|()| sync_folder(path))
        .map_err(|source| KeyError::NotMade { path: path.into(), source })?;
    MasterKey::load(path)
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Without this, a power failure may lose the new file's name, and with it all secrets.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path).unwrap_or(Path::new(".")))?.sync_all()
}

/// Folder of a file; `None` if the path is no file.
fn folder_of(path: &Path) -> Option<&Path> {
    let folder = path.parent()?;
    Some(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn an_absent_key_is_made_once_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");

        let made = MasterKey::load_or_create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let reloaded = MasterKey::load_or_create(&path).unwrap();

        assert_eq!(file_mode(&path), 0o600);
        assert_eq!(BASE64URL.decode(text.trim()).unwrap().len(), 32);
        assert_eq!(*made.envelope_key(), *reloaded.envelope_key());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_appears_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, "0123456789abcdef0123456789abcdef").unwrap();

        let key = create(&path).unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "0123456789abcdef0123456789abcdef");
        assert_eq!(
            *key.envelope_key(),
            *MasterKey::former("0123456789abcdef0123456789abcdef").envelope_key()
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_way_to_mend_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

        let refused = MasterKey::load_or_create(&path).unwrap_err();

        assert!(matches!(refused, KeyError::Exposed { mode: 0o644, .. }));
        assert!(refused.to_string().contains("chmod 600"));
        assert!(MasterKey::load(&path).is_ok());
    }

    #[test]
    fn damaged_keys_are_named_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        for (content, name) in [
            (b"".to_vec(), "TooShort"),
            (b"too short\n".to_vec(), "TooShort"),
            (b"two words that are long enough together".to_vec(), "NotText"),
            (vec![0xff; 40], "NotText"),
            (vec![b'a'; 5000], "TooLong"),
        ] {
            fs::write(&path, &content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = MasterKey::load_or_create(&path).unwrap_err();
            let KeyError::Unfit { why, .. } = &error else { panic!("{error:?}") };
            assert_eq!(format!("{why:?}"), name);
            let words = error.to_string();
            assert!(words.contains("master.key doesn't contain a master key"), "{words}");
            assert!(words.contains("restore the right one"), "{words}");
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let error = MasterKey::load_or_create(&folder.path().join("no/master.key")).unwrap_err();
        assert!(matches!(error, KeyError::NotMade { .. }));
    }

    #[test]
    fn the_next_key_takes_the_place_and_the_former_one_lies_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let old = *MasterKey::load_or_create(&path).unwrap().envelope_key();
        let new = *next(&path).unwrap().envelope_key();
        assert!(has_next(&path));
        assert_eq!(*next(&path).unwrap().envelope_key(), new, "asked again it is the same one");
        assert_eq!(*MasterKey::load(&path).unwrap().envelope_key(), old);

        // Interrupted between its two steps, then repeated.
        fs::hard_link(&path, former_file(&path, "0a1b2c3d")).unwrap();
        take_over(&path, "0a1b2c3d").unwrap();

        assert!(!has_next(&path));
        assert_eq!(*MasterKey::load(&path).unwrap().envelope_key(), new);
        assert_eq!(file_mode(&path), 0o600);
        let kept = formers(&path).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(*kept[0].envelope_key(), old);

        remove_former(&path, "0a1b2c3d").unwrap();
        remove_former(&path, "0a1b2c3d").unwrap();
        assert!(formers(&path).unwrap().is_empty());
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_told_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        let error = take_over(&path, "0a1b2c3d").unwrap_err();
        assert!(matches!(error, KeyError::NotReplaced { .. }), "{error}");
        assert!(error.to_string().contains("master.key.former-0a1b2c3d"), "{error}");
    }

    #[test]
    fn purposes_give_unrelated_keys() {
        let key = MasterKey::from_bytes(&[7; 32]);
        assert_ne!(*key.purpose_key("a"), *key.purpose_key("b"));
        assert_ne!(*key.purpose_key("aes-256-gcm"), *key.envelope_key());
        assert_eq!(format!("{key:?}"), "MasterKey(hidden)");
    }
}
