//! Vector file with nearest-neighbour search.
//!
//! Each vector has an id of 20 bytes and the hash of its text. Memory holds one byte per number; a search scans all of
//! them and rescores the best from the file. This is nearly exact up to some 100,000 vectors, supports any filter and
//! needs no index.
//!
//! Only the file is durable, and it is derived data: the writer stores its position in the texts and advances it only
//! after [`Arena::sync`]. A crash loses at most what came after.

mod home;
mod record;
mod rows;

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernel::problem::{Problem, ProblemKind};
use parking_lot::{Mutex, RwLock};

use super::lanes;
use super::model::Hash;
pub use home::Home;
use record::Record;
use rows::{Rows, Table};

/// Id of a vector: bytes of a UUID, and four bytes for the number of a piece.
pub type Id = [u8; 20];

/// Fewest candidates that are rescored.
const RESCORED: usize = 50;
/// Bytes of the file that are read or written at once.
const PIECE: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    #[error("the vectors in {path} cannot be used: {source}")]
    Io {
        /// The vector file.
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file belongs to another model or dimension.
    #[error("the vectors in {path} are of another model; rebuild them")]
    OtherModel {
        /// The vector file.
        path: PathBuf,
    },
    /// The file is no vector file.
    #[error("{path} does not begin as a file of vectors does; rebuild them")]
    Foreign {
        /// The vector file.
        path: PathBuf,
    },
    /// A vector of wrong length.
    #[error("a vector has {found} numbers where {wanted} are needed")]
    Length {
        /// Its length.
        found: usize,
        /// The required length.
        wanted: usize,
    },
    #[error("a vector holds a number that is not finite")]
    NotFinite,
}

impl Problem for ArenaError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "vectors_unreadable",
            Self::OtherModel { .. } => "vectors_of_another_model",
            Self::Foreign { .. } => "vectors_damaged",
            Self::Length { .. } => "vector_length",
            Self::NotFinite => "vector_not_finite",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Io { source, .. } if source.kind() == ErrorKind::StorageFull => ProblemKind::Full,
            Self::OtherModel { .. } | Self::Foreign { .. } => ProblemKind::Conflict,
            _ => ProblemKind::Internal,
        }
    }
}

/// A vector to store.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Replaces a vector with the same id.
    pub id: Id,
    /// Hash of the text.
    pub hash: Hash,
    pub vector: &'a [f32],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    pub id: Id,
    /// Scalar product with the query: the cosine for vectors of length one.
    pub score: f32,
}

/// Numbers of records in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub live: usize,
    /// Deleted or replaced; [`Arena::compact`] removes them.
    pub dead: usize,
    /// Lost in a crash or by a bad disk, as found when opening. If there are any, the writer compares all ids instead
    /// of continuing from its position.
    pub lost: usize,
}

/// A vector file of one model. Searches run concurrently with a write; writes are serialized.
pub struct Arena {
    path: PathBuf,
    model: String,
    dimensions: usize,
    lost: usize,
    state: RwLock<State>,
    /// Held during changes of the file.
    writer: Mutex<()>,
}

struct State {
    file: Arc<File>,
    table: Table,
}

/// The file and its rows at one moment.
struct View {
    file: Arc<File>,
    rows: Rows,
}

impl Arena {
    /// Opens or creates the file of a model. Incomplete records at the end are cut off.
    ///
    /// # Errors
    /// If the file belongs to another model or is no vector file: delete it and compute all vectors again.
    pub fn open(path: &Path, model: &str, dimensions: usize) -> Result<Self, ArenaError> {
        let io = |source| ArenaError::Io { path: path.to_path_buf(), source };
        match std::fs::remove_file(unfinished(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        let wanted = record::head(model, dimensions);
        // A file shorter than its header was being created when the program stopped.
        if file.metadata().map_err(io)?.len() < wanted.len() as u64 {
            begin(&file, &wanted).and_then(|()| sync_folder(path)).map_err(io)?;
        }
        let mut head = [0; record::HEAD];
        file.read_exact_at(&mut head, 0).map_err(io)?;
        if !record::is_head(&head) {
            return Err(ArenaError::Foreign { path: path.to_path_buf() });
        }
        if head != wanted {
            return Err(ArenaError::OtherModel { path: path.to_path_buf() });
        }
        let Loaded { table, lost } = load(&file, dimensions).map_err(io)?;
        Ok(Self {
            path: path.to_path_buf(),
            model: model.to_owned(),
            dimensions,
            lost,
            state: RwLock::new(State { file: Arc::new(file), table }),
            writer: Mutex::new(()),
        })
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.state.read();
        let live = state.table.live();
        Counts { live, dead: state.table.rows.slots() - live, lost: self.lost }
    }

    /// All ids with a vector.
    #[must_use]
    pub fn ids(&self) -> Vec<Id> {
        let rows = self.view().rows;
        rows.live().map(|slot| *rows.id(slot)).collect()
    }

    /// Hash of the text of an id's vector.
    #[must_use]
    pub fn hash(&self, id: &Id) -> Option<Hash> {
        let state = self.state.read();
        let slot = state.table.slot(id)?;
        Some(*state.table.rows.hash(slot))
    }

    pub fn get(&self, id: &Id) -> Result<Option<Vec<f32>>, ArenaError> {
        self.at(|table| table.slot(id))
    }

    /// The vector of a text that was embedded before under any id.
    pub fn by_hash(&self, hash: &Hash) -> Result<Option<Vec<f32>>, ArenaError> {
        self.at(|table| table.slot_of_text(hash))
    }

    fn at(
        &self,
        slot: impl FnOnce(&Table) -> Option<usize>,
    ) -> Result<Option<Vec<f32>>, ArenaError> {
        let (file, slot) = {
            let state = self.state.read();
            (state.file.clone(), slot(&state.table))
        };
        match slot {
            Some(slot) => self.read(&file, slot),
            None => Ok(None),
        }
    }

    /// The `most` vectors nearest to `query` among the allowed ones, the nearest first.
    ///
    /// # Errors
    /// If the query has a wrong length, or the disk fails.
    pub fn search(
        &self,
        query: &[f32],
        most: usize,
        allow: impl Fn(&Id) -> bool,
    ) -> Result<Vec<Found>, ArenaError> {
        self.check(query)?;
        let View { file, rows } = self.view();
        let mut found = Vec::new();
        for slot in rows.near(query, most.max(RESCORED), allow) {
            if let Some(vector) = self.read(&file, slot)? {
                found.push(Found { id: *rows.id(slot), score: lanes::dot(query, &vector) });
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        found.truncate(most);
        Ok(found)
    }

    /// Writes vectors; of several with one id, the last one counts. They are searchable after this call, and durable
    /// after [`Arena::sync`].
    ///
    /// # Errors
    /// If one has a wrong length or is not finite (then none is written), or if the disk fails.
    pub fn append(&self, entries: &[Entry<'_>]) -> Result<(), ArenaError> {
        let mut bytes = Vec::with_capacity(entries.len() * record::size(self.dimensions));
        for entry in entries {
            self.check(entry.vector)?;
            record::write(&mut bytes, &entry.id, &entry.hash, entry.vector);
        }
        let _writer = self.writer.lock();
        let (file, slots) = {
            let state = self.state.read();
            (state.file.clone(), state.table.rows.slots())
        };
        // A partial write is beyond the last slot: the next write overwrites it, or the next opening cuts it off.
        file.write_all_at(&bytes, self.offset(slots)).map_err(|error| self.io(error))?;
        let mut replaced = Vec::new();
        let mut state = self.state.write();
        for entry in entries {
            replaced.extend(state.table.kill(&entry.id));
            state.table.push(&entry.id, &entry.hash, entry.vector);
        }
        drop(state);
        self.mark_dead(&file, &replaced)
    }

    /// Deletes vectors and returns their number. Their bytes remain in the file until [`Arena::compact`].
    pub fn delete(&self, ids: &[Id]) -> Result<usize, ArenaError> {
        let _writer = self.writer.lock();
        let (file, slots) = {
            let state = self.state.read();
            let slots: Vec<usize> = ids.iter().filter_map(|id| state.table.slot(id)).collect();
            (state.file.clone(), slots)
        };
        self.mark_dead(&file, &slots)?;
        let mut state = self.state.write();
        Ok(ids.iter().filter_map(|id| state.table.kill(id)).count())
    }

    /// Blocks until all previous writes are durable.
    pub fn sync(&self) -> Result<(), ArenaError> {
        let file = self.state.read().file.clone();
        file.sync_data().map_err(|error| self.io(error))
    }

    /// Rewrites the file with live records only and replaces the old file. Searches continue meanwhile; writes wait.
    ///
    /// # Errors
    /// If the disk fails: then nothing has changed.
    pub fn compact(&self) -> Result<(), ArenaError> {
        let _writer = self.writer.lock();
        let new = unfinished(&self.path);
        let state = self.rewrite(&new).map_err(|error| self.io(error))?;
        std::fs::rename(&new, &self.path).map_err(|error| self.io(error))?;
        // The new file is in use even if the sync of the folder fails.
        *self.state.write() = state;
        sync_folder(&self.path).map_err(|error| self.io(error))
    }

    fn rewrite(&self, path: &Path) -> std::io::Result<State> {
        let View { file: old, rows } = self.view();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut out = BufWriter::with_capacity(PIECE, &file);
        out.write_all(&record::head(&self.model, self.dimensions))?;
        let mut table = Table::new(self.dimensions);
        let mut bytes = vec![0; record::size(self.dimensions)];
        for slot in rows.live() {
            old.read_exact_at(&mut bytes, self.offset(slot))?;
            if let Some(record) = Record::read(&bytes) {
                out.write_all(&bytes)?;
                table.push(&record.id(), &record.hash(), &record.vector());
            }
        }
        out.flush()?;
        drop(out);
        file.sync_all()?;
        Ok(State { file: Arc::new(file), table })
    }

    fn view(&self) -> View {
        let state = self.state.read();
        View { file: state.file.clone(), rows: state.table.rows.clone() }
    }

    fn check(&self, vector: &[f32]) -> Result<(), ArenaError> {
        if vector.len() != self.dimensions {
            return Err(ArenaError::Length { found: vector.len(), wanted: self.dimensions });
        }
        if !vector.iter().all(|number| number.is_finite()) {
            return Err(ArenaError::NotFinite);
        }
        Ok(())
    }

    fn offset(&self, slot: usize) -> u64 {
        record::offset(slot, self.dimensions)
    }

    /// The vector in a slot; `None` if its record is damaged.
    fn read(&self, file: &File, slot: usize) -> Result<Option<Vec<f32>>, ArenaError> {
        let mut bytes = vec![0; record::size(self.dimensions)];
        file.read_exact_at(&mut bytes, self.offset(slot)).map_err(|error| self.io(error))?;
        Ok(Record::read(&bytes).map(|record| record.vector()))
    }

    fn mark_dead(&self, file: &File, slots: &[usize]) -> Result<(), ArenaError> {
        slots
            .iter()
            .try_for_each(|slot| file.write_all_at(&[record::DEAD], self.offset(*slot)))
            .map_err(|error| self.io(error))
    }

    fn io(&self, source: std::io::Error) -> ArenaError {
        ArenaError::Io { path: self.path.clone(), source }
    }
}

/// Content of a file.
struct Loaded {
    table: Table,
    lost: usize,
}

/// Reads all records and cuts off incomplete ones at the end.
fn load(file: &File, dimensions: usize) -> std::io::Result<Loaded> {
    let length = file.metadata()?.len();
    let size = record::size(dimensions);
    let mut reader = BufReader::with_capacity(PIECE, file);
    // Seeking does not affect other readers: they use explicit offsets.
    std::io::Seek::seek(&mut reader, std::io::SeekFrom::Start(record::HEAD as u64))?;
    let mut table = Table::new(dimensions);
    let mut replaced = Vec::new();
    let mut bytes = vec![0; size];
    // Slots without a valid record since the last valid one.
    let mut gap = 0;
    let mut lost = 0;
    let slots = (length - record::HEAD as u64) / size as u64;
    for _ in 0..slots {
        reader.read_exact(&mut bytes)?;
        let Some(record) = Record::read(&bytes) else {
            gap += 1;
            continue;
        };
        lost += gap;
        (0..std::mem::take(&mut gap)).for_each(|_| table.skip());
        let id = record.id();
        // A record supersedes all earlier ones of its id, even if it is dead: their marks may not have reached the
        // disk.
        replaced.extend(table.kill(&id));
        if record.live() {
            table.push(&id, &record.hash(), &record.vector());
        } else {
            table.skip();
        }
    }
    for slot in replaced {
        file.write_all_at(&[record::DEAD], record::offset(slot, dimensions))?;
    }
    let end = record::offset(table.rows.slots(), dimensions);
    if end < length {
        lost += (length - end).div_ceil(size as u64) as usize;
        file.set_len(end)?;
        file.sync_all()?;
    }
    Ok(Loaded { table, lost })
}

fn begin(file: &File, head: &[u8]) -> std::io::Result<()> {
    file.set_len(0)?;
    file.write_all_at(head, 0)?;
    file.sync_all()
}

/// Path of the file during a rewrite.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
