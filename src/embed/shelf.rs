//! Installed models: one folder each below a common folder, with the hashes and terms that a person confirmed, and the
//! name of the model in use.
//!
//! Downloads go to a landing folder and become a model once they are complete and their hashes known or confirmed.
//! Models can be downloaded again, so they are not part of backups.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::folder::{Folder, Terms, inspect, unreadable};
use super::load;
use super::model::{FILES, MODELS, Model};
use super::problem::Refused;

/// File with the confirmed hashes and terms of a model.
const CARD: &str = "hq.json";
/// File with the id of the model in use; empty if a person wants none.
const CHOSEN: &str = "chosen";
/// Confirmation for the model in the configured folder.
const GIVEN: &str = "given.json";
/// Prefix of landing folders, which are no models.
const LANDING: &str = "landing-";

#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
    given: Option<PathBuf>,
    looked: Arc<Looked>,
}

/// Inspection results by folder: repeated page loads hash unchanged files only once.
#[derive(Debug, Default)]
struct Looked(Mutex<HashMap<PathBuf, (Stamp, Folder)>>);

/// Length and modification time of each file of a model.
type Stamp = [(u64, SystemTime); 3];

impl Looked {
    /// Inspects a folder, from the cache if its files are unchanged.
    fn inspect(&self, path: &Path) -> Result<Folder, Refused> {
        let now = stamp(path);
        if let Some((_, folder)) = self.0.lock().get(path).filter(|(of, _)| now == Some(*of)) {
            return Ok(folder.clone());
        }
        let folder = inspect(path)?;
        // Not cached if the files changed during the inspection.
        if let Some(stamp) = now {
            self.0.lock().insert(path.to_path_buf(), (stamp, folder.clone()));
        }
        Ok(folder)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let mut stamp = [(0, SystemTime::UNIX_EPOCH); 3];
    for (one, name) in stamp.iter_mut().zip(FILES) {
        // ok: a file without metadata is hashed again.
        let meta = fs::metadata(path.join(name)).ok()?;
        // ok: as above.
        *one = (meta.len(), meta.modified().ok()?);
    }
    Some(stamp)
}

/// An installed model.
#[derive(Clone, Debug, PartialEq)]
pub struct InstalledModel {
    pub model: Model,
    pub folder: PathBuf,
    /// Total size of the files in bytes.
    pub bytes: u64,
    /// It is in the configured folder, which HQ does not modify.
    pub given: bool,
}

/// Hashes of a model's files, and the terms of an unknown model.
#[derive(Serialize, Deserialize)]
struct Card {
    hashes: [String; 3],
    terms: Option<Terms>,
}

impl Card {
    fn of(folder: &Folder, terms: Option<Terms>) -> Self {
        Self { hashes: folder.hashes.map(hex::encode), terms }
    }

    /// The model of these files; `None` if they are neither known nor confirmed.
    fn model(&self, folder: &Folder) -> Option<Model> {
        if self.hashes != folder.hashes.map(hex::encode) {
            return folder.known.cloned();
        }
        folder.known.cloned().or_else(|| Some(folder.confirmed(self.terms.clone()?)))
    }
}

/// Content of the configured folder.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A usable model.
    Fits(Box<InstalledModel>),
    /// A model whose hashes are not confirmed.
    Unknown(Folder),
    Refused(Refused),
}

impl Shelf {
    /// Models below `root`, which need not exist, and the one in the configured folder.
    #[must_use]
    pub fn at(root: PathBuf, given: Option<PathBuf>) -> Self {
        Self { root, given, looked: Arc::default() }
    }

    /// All installed models, known ones first, then by name.
    pub fn models(&self) -> std::io::Result<Vec<InstalledModel>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut kept = Vec::new();
        for entry in entries {
            kept.extend(self.kept(&entry?.file_name().to_string_lossy()));
        }
        let place = |model: &Model| MODELS.iter().position(|known| known.id == model.id);
        kept.sort_by_cached_key(|one| {
            (place(&one.model).unwrap_or(usize::MAX), one.model.name.to_string())
        });
        Ok(kept)
    }

    /// The model with this id, if it is complete. Its files are hashed only when it is loaded.
    fn kept(&self, id: &str) -> Option<InstalledModel> {
        let folder = self.root.join(id);
        // ok: a folder without a valid card is no model.
        let card: Card = serde_json::from_slice(&fs::read(folder.join(CARD)).ok()?).ok()?;
        let mut bytes = 0;
        for name in FILES {
            // ok: a model with a missing file is unusable.
            bytes += fs::metadata(folder.join(name)).ok()?.len();
        }
        let known = MODELS.iter().find(|model| model.id == id).cloned();
        let model = known.or_else(|| {
            let mut hashes = [[0; 32]; 3];
            for (hash, digits) in hashes.iter_mut().zip(&card.hashes) {
                // ok: a card with a malformed hash is invalid.
                hex::decode_to_slice(digits, hash).ok()?;
            }
            // ok: an unreadable configuration is no model.
            let config = fs::read(folder.join(FILES[0])).ok()?;
            // ok: as above.
            let shape = super::shape::Shape::parse(&config).ok()?;
            let whole = Folder { path: folder.clone(), shape, hashes, known: None };
            Some(whole.confirmed(card.terms.clone()?)).filter(|model| model.id == id)
        })?;
        Some(InstalledModel { model, folder, bytes, given: false })
    }

    /// Content of the configured folder, if there is one. Hashes changed files, which takes up to a second.
    #[must_use]
    pub fn given(&self) -> Option<Given> {
        let path = self.given.as_deref()?;
        let folder = match self.looked.inspect(path) {
            Ok(folder) => folder,
            Err(refused) => return Some(Given::Refused(refused)),
        };
        // ok: without a valid card, nothing is confirmed.
        let stored = fs::read(self.root.join(GIVEN)).ok();
        let card = stored.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let model = card.unwrap_or_else(|| Card::of(&folder, None)).model(&folder);
        Some(match model {
            Some(model) => {
                let size = |name: &&str| fs::metadata(path.join(name)).map_or(0, |meta| meta.len());
                let bytes = FILES.iter().map(size).sum();
                Given::Fits(Box::new(InstalledModel {
                    model,
                    folder: path.to_path_buf(),
                    bytes,
                    given: true,
                }))
            }
            None => Given::Unknown(folder),
        })
    }

    /// Confirms the hashes of the configured folder.
    ///
    /// # Errors
    /// If it contains no model, or the disk fails.
    pub fn confirm_given(&self, terms: Terms) -> Result<Model, Refused> {
        let path = self.given.as_deref().ok_or(Refused::Missing { file: FILES[0] })?;
        let folder = inspect(path)?;
        let card = Card::of(&folder, Some(terms));
        let model = card.model(&folder).ok_or(Refused::Unavailable)?;
        try_out(path, &model)?;
        self.write(GIVEN, &json(&card)).map_err(|error| unreadable(0, &error))?;
        Ok(model)
    }

    /// Id of the chosen model: `None` if nobody chose, empty if none is wanted.
    #[must_use]
    pub fn chosen(&self) -> Option<String> {
        // ok: an unreadable file is no choice.
        fs::read_to_string(self.root.join(CHOSEN)).ok()
    }

    /// Chooses a model by id; empty for none.
    pub fn choose(&self, id: &str) -> std::io::Result<()> {
        self.write(CHOSEN, id.as_bytes())
    }

    /// Deletes the files of a model, unless it is in the configured folder.
    pub fn remove(&self, kept: &InstalledModel) -> std::io::Result<()> {
        match kept.given {
            true => Ok(()),
            false => fs::remove_dir_all(&kept.folder),
        }
    }

    /// Folder for downloads of this name; the same name gives the same folder.
    pub fn landing(&self, name: &str) -> std::io::Result<Landing> {
        let plain = |sign: char| sign.is_ascii_alphanumeric() || "-.@_".contains(sign);
        let name: String = name.chars().filter(|sign| plain(*sign)).collect();
        let folder = self.root.join(format!("{LANDING}{name}"));
        fs::create_dir_all(&folder)?;
        Ok(Landing { root: self.root.clone(), folder })
    }

    /// The landing of this name, if it exists.
    #[must_use]
    pub fn landed(&self, name: &str) -> Option<Landing> {
        let folder = self.root.join(format!("{LANDING}{name}"));
        folder.is_dir().then(|| Landing { root: self.root.clone(), folder })
    }

    /// Inspects a landing. Hashes changed files, which takes up to a second.
    ///
    /// # Errors
    /// If a file is missing, too large or a pickle, or if the network is not supported.
    pub fn inspect(&self, landing: &Landing) -> Result<Folder, Refused> {
        self.looked.inspect(&landing.folder)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.root)?;
        put(&self.root.join(name), bytes)
    }
}

/// A model under download.
#[derive(Debug)]
pub struct Landing {
    root: PathBuf,
    folder: PathBuf,
}

impl Landing {
    /// Bytes present of file number `at` of [`FILES`].
    #[must_use]
    pub fn have(&self, at: usize) -> u64 {
        fs::metadata(self.folder.join(FILES[at])).map_or(0, |meta| meta.len())
    }

    /// File number `at` of [`FILES`], opened for writing; `anew` truncates it.
    pub fn open(&self, at: usize, anew: bool) -> std::io::Result<File> {
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(anew)
            .append(!anew)
            .open(self.folder.join(FILES[at]))?;
        Ok(file)
    }

    /// Installs the files as a model: a known one, or one whose hashes are confirmed by `terms` or were before. Loads
    /// the model once, which takes a second or two.
    ///
    /// # Errors
    /// If the files are no model, an unknown model is not confirmed, or the disk fails.
    pub fn take_in(&self, terms: Option<Terms>) -> Result<Model, Refused> {
        let found = inspect(&self.folder)?;
        let terms = terms.or_else(|| self.confirmed_terms(&found));
        let card = Card::of(&found, terms);
        let model = card
            .model(&found)
            .ok_or_else(|| Refused::Unconfirmed { found: hex::encode(found.hashes[2]) })?;
        try_out(&self.folder, &model)?;
        let failed = |error: std::io::Error| unreadable(0, &error);
        put(&self.folder.join(CARD), &json(&card)).map_err(failed)?;
        let place = self.root.join(model.id.as_ref());
        if place.exists() {
            fs::remove_dir_all(&place).map_err(failed)?;
        }
        fs::rename(&self.folder, &place).map_err(failed)?;
        Ok(model)
    }

    /// The confirmed terms of an installed model with the same files.
    fn confirmed_terms(&self, found: &Folder) -> Option<Terms> {
        let hashes = found.hashes.map(hex::encode);
        // ok: an unreadable folder contains no model.
        fs::read_dir(&self.root).ok()?.flatten().find_map(|entry| {
            // ok: a folder without a valid card is no model.
            let card = fs::read(entry.path().join(CARD)).ok()?;
            // ok: as above.
            let card: Card = serde_json::from_slice(&card).ok()?;
            card.terms.filter(|_| card.hashes == hashes)
        })
    }

    /// Deletes the download.
    pub fn clear(self) -> std::io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}

/// Loads a model once, so that a damaged or unsupported one is rejected before it replaces a working one.
fn try_out(folder: &Path, model: &Model) -> Result<(), Refused> {
    match load(folder, model, 1) {
        // A build without the feature can still install a model for another build.
        Ok(_) | Err(Refused::Unavailable) => Ok(()),
        Err(refused) => Err(refused),
    }
}

fn json(card: &Card) -> Vec<u8> {
    serde_json::to_vec_pretty(card).expect("invariant: texts become JSON")
}

/// Writes a file atomically.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Given, Landing, Shelf};
    use crate::folder::Terms;
    use crate::model::{FILES, Pooling};
    use crate::problem::Refused;
    use crate::tests::tiny;

    fn terms() -> Terms {
        Terms {
            name: "Ours".to_owned(),
            pooling: Pooling::Mean,
            query_prefix: String::new(),
            passage_prefix: String::new(),
        }
    }

    fn fill(folder: &Path) {
        for name in FILES {
            fs::copy(tiny().join(name), folder.join(name)).unwrap();
        }
    }

    fn put(landing: &Landing) {
        use std::io::Write as _;
        for (at, name) in FILES.into_iter().enumerate() {
            let bytes = fs::read(tiny().join(name)).unwrap();
            let (one, two) = bytes.split_at(bytes.len() / 2);
            landing.open(at, true).unwrap().write_all(one).unwrap();
            assert_eq!(landing.have(at), one.len() as u64);
            landing.open(at, false).unwrap().write_all(two).unwrap();
        }
    }

    #[test]
    fn files_become_a_model_once_a_person_has_confirmed_them() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(root.path().join("models"), None);
        assert_eq!(shelf.models().unwrap(), []);
        let landing = shelf.landing("upload/../x").unwrap();
        assert!(matches!(landing.take_in(None), Err(Refused::Missing { .. })));
        put(&landing);
        assert!(matches!(landing.take_in(None), Err(Refused::Unconfirmed { .. })));
        let model = landing.take_in(Some(terms())).unwrap();
        let kept = shelf.models().unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!((&kept[0].model, kept[0].given), (&model, false));
        assert_eq!(shelf.chosen(), None);
        shelf.choose(&model.id).unwrap();
        assert_eq!(shelf.chosen().as_deref(), Some(model.id.as_ref()));
        // The same files are known from then on.
        let repeated = shelf.landing("again").unwrap();
        put(&repeated);
        assert_eq!(repeated.take_in(None).unwrap(), model);
        assert_eq!(shelf.models().unwrap(), kept);
        shelf.remove(&kept[0]).unwrap();
        assert_eq!(shelf.models().unwrap(), []);
    }

    #[cfg(feature = "embed")]
    #[test]
    fn what_cannot_be_loaded_becomes_no_model() {
        use std::io::Write as _;
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(root.path().join("models"), None);
        let whole = fs::read(tiny().join(FILES[2])).unwrap();
        let huge = [&(1_u64 << 60).to_le_bytes(), &whole[8..]].concat();
        for weights in [&whole[..whole.len() / 2], &huge, b"\x80\x02]q\x00."] {
            let landing = shelf.landing("upload").unwrap();
            put(&landing);
            landing.open(2, true).unwrap().write_all(weights).unwrap();
            let refused = landing.take_in(Some(terms())).unwrap_err();
            assert!(matches!(refused, Refused::Weights { .. } | Refused::Pickle { .. }));
            assert_eq!(shelf.models().unwrap(), []);
        }
    }

    #[test]
    fn a_folder_that_a_setting_names_is_confirmed_once_and_anew_when_it_changes() {
        let root = tempfile::tempdir().unwrap();
        let given = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(root.path().join("models"), Some(given.path().to_path_buf()));
        assert!(matches!(shelf.given(), Some(Given::Refused(Refused::Missing { .. }))));
        fill(given.path());
        assert!(matches!(shelf.given(), Some(Given::Unknown(_))));
        let model = shelf.confirm_given(terms()).unwrap();
        assert!(
            matches!(shelf.given(), Some(Given::Fits(kept)) if kept.model == model && kept.given)
        );
        fs::write(given.path().join(FILES[2]), "others").unwrap();
        assert!(matches!(shelf.given(), Some(Given::Unknown(_))));
    }
}
