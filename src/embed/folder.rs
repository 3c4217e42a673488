//! Inspection of a folder with a model: hashes, shape, and whether it is a built-in model.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::model::{FILES, Hash, LIMITS, MODELS, Model, ModelFile, Pooling};
use super::problem::Refused;
use super::shape::Shape;

/// Weights in pickle format, which can run code.
const PICKLES: [&str; 2] = ["pytorch_model.bin", "model.bin"];

#[derive(Clone, Debug, PartialEq)]
pub struct Folder {
    pub path: PathBuf,
    /// From its configuration.
    pub shape: Shape,
    /// SHA-256 of the files, in the order of [`FILES`].
    pub hashes: [Hash; 3],
    /// The matching one of [`MODELS`]. If `None`, a person has to confirm the hashes once.
    pub known: Option<&'static Model>,
}

/// Parameters that a person enters for an unknown model, from its model card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub name: String,
    pub pooling: Pooling,
    /// Prefix of queries.
    pub query_prefix: String,
    pub passage_prefix: String,
}

impl Folder {
    /// The model in this folder with these terms. The caller has confirmed the hashes: [`load`](super::load) accepts
    /// exactly these files.
    #[must_use]
    pub fn confirmed(&self, terms: Terms) -> Model {
        let mut all = Sha256::new();
        self.hashes.iter().for_each(|hash| all.update(hash));
        // The zero byte separates the prefixes unambiguously.
        for part in [&terms.query_prefix, &terms.passage_prefix] {
            all.update(part.as_bytes());
            all.update([0]);
        }
        all.update([u8::from(terms.pooling == Pooling::Mean)]);
        let id = format!("other@{}", hex::encode(&all.finalize()[..16]));
        let file = |at: usize| ModelFile {
            name: FILES[at],
            limit: LIMITS[at],
            sha256: Some(self.hashes[at]),
        };
        Model {
            id: id.into(),
            name: terms.name.into(),
            repository: None,
            revision: None,
            files: [file(0), file(1), file(2)],
            shape: self.shape,
            max_tokens: self.shape.positions.min(512),
            pooling: terms.pooling,
            query_prefix: terms.query_prefix.into(),
            passage_prefix: terms.passage_prefix.into(),
        }
    }
}

/// Inspects a folder and hashes its files, which takes a second for 500 MB. Loads nothing.
///
/// # Errors
/// If a file is missing, too large or a pickle, or if the network is not supported.
pub fn inspect(folder: &Path) -> Result<Folder, Refused> {
    let shape = Shape::parse(&read(folder, 0, LIMITS[0])?)?;
    let mut hashes = [Hash::default(); 3];
    for (at, hash) in hashes.iter_mut().enumerate() {
        let mut file = open(folder, at, LIMITS[at])?;
        let mut sum = Sha256::new();
        std::io::copy(&mut file, &mut Sink(&mut sum)).map_err(|error| unreadable(at, &error))?;
        *hash = sum.finalize().into();
    }
    let known = MODELS.iter().find(|model| model.shape == shape && is(model, &hashes));
    Ok(Folder { path: folder.to_path_buf(), shape, hashes, known })
}

fn is(model: &Model, hashes: &[Hash; 3]) -> bool {
    model.files.iter().zip(hashes).all(|(file, hash)| file.sha256.is_none_or(|want| want == *hash))
}

/// Opens file number `at` of [`FILES`], which has at most `limit` bytes.
pub(crate) fn open(folder: &Path, at: usize, limit: u64) -> Result<std::io::Take<File>, Refused> {
    let name = FILES[at];
    let file = match File::open(folder.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let pickle = PICKLES.into_iter().find(|other| folder.join(other).exists());
            return Err(match pickle {
                Some(file) if at == 2 => Refused::Pickle { file },
                _ => Refused::Missing { file: name },
            });
        }
        Err(error) => return Err(unreadable(at, &error)),
    };
    let size = file.metadata().map_err(|error| unreadable(at, &error))?.len();
    if limit < size {
        return Err(Refused::TooLarge { file: name, size, limit });
    }
    // Growth of the file during reading is ignored.
    Ok(file.take(size))
}

/// Reads file number `at` of [`FILES`].
pub(crate) fn read(folder: &Path, at: usize, limit: u64) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    open(folder, at, limit)?.read_to_end(&mut bytes).map_err(|error| unreadable(at, &error))?;
    Ok(bytes)
}

pub(crate) fn unreadable(at: usize, error: &std::io::Error) -> Refused {
    Refused::Unreadable { file: FILES[at], reason: error.to_string() }
}

/// Hashes all bytes written to it.
struct Sink<'a>(&'a mut Sha256);

impl std::io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
