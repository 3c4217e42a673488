//! A file of vectors, and the search for the nearest.
//!
//! Each vector has an id of 20 bytes and the hash of the text that it is of. Memory keeps a byte for each number; a
//! search goes over all of these and reads the numbers of the best from the file. That is exact in all but name up to
//! some 100,000 vectors, filters for nothing, and has no index that could be wrong.
//!
//! The file is the only thing of the arena that lasts, and it lasts no longer than the texts: whoever fills it keeps
//! the place up to which it did so, and moves it on only after [`Arena::sync`]. A crash loses at most what came after.

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

/// Whose vector it is: the bytes of a UUID, and four for the number of a piece within that.
pub type Id = [u8; 20];

/// The fewest candidates that are compared in full.
const RESCORED: usize = 50;
/// How much of the file is read or written at once.
const PIECE: usize = 1 << 20;

/// Why an arena does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The disk failed.
    #[error("the vectors in {path} cannot be used: {source}")]
    Io {
        /// Where the file is.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The vectors are of another model, or have another length.
    #[error("the vectors in {path} are of another model; they are to be made anew")]
    OtherModel {
        /// Where the file is.
        path: PathBuf,
    },
    /// The file is not one of vectors.
    #[error("{path} does not begin as a file of vectors does; they are to be made anew")]
    Foreign {
        /// Where the file is.
        path: PathBuf,
    },
    /// A vector with another length than those here.
    #[error("a vector has {found} numbers where {wanted} are needed")]
    Length {
        /// How many it has.
        found: usize,
        /// How many it should have.
        wanted: usize,
    },
    /// A vector with a number that is none.
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

/// A vector on its way in.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Whose it is; one that is there is replaced.
    pub id: Id,
    /// What its text hashes to.
    pub hash: Hash,
    pub vector: &'a [f32],
}

/// A vector that a search has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    pub id: Id,
    /// Its product with the query: the cosine, where both have the length one.
    pub score: f32,
}

/// How many records a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// In use.
    pub live: usize,
    /// Deleted or replaced: what [`Arena::compact`] gives back.
    pub dead: usize,
    /// Lost by a crash or a bad disk and noticed on opening. If there are any, whoever fills the arena compares all
    /// ids instead of going on from its place.
    pub lost: usize,
}

/// A file of vectors of one model. Searches and writes go on at the same time; writes wait for each other.
pub struct Arena {
    path: PathBuf,
    model: String,
    dimensions: usize,
    lost: usize,
    state: RwLock<State>,
    /// Held by whoever changes the file.
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
    /// Opens the vectors of a model, or begins without any. What a crash has left half written is cut off.
    ///
    /// # Errors
    /// If the file is of another model or none of vectors: it is to be removed, and all vectors made anew.
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
        // A file that is shorter than its head was being made when the program stopped.
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

    /// How many records there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.state.read();
        let live = state.table.live();
        Counts { live, dead: state.table.rows.slots() - live, lost: self.lost }
    }

    /// All ids that have a vector.
    #[must_use]
    pub fn ids(&self) -> Vec<Id> {
        let rows = self.view().rows;
        rows.live().map(|slot| *rows.id(slot)).collect()
    }

    /// What the text hashes to that the vector of an id is of.
    #[must_use]
    pub fn hash(&self, id: &Id) -> Option<Hash> {
        let state = self.state.read();
        let slot = state.table.slot(id)?;
        Some(*state.table.rows.hash(slot))
    }

    /// The vector of an id.
    pub fn get(&self, id: &Id) -> Result<Option<Vec<f32>>, ArenaError> {
        self.at(|table| table.slot(id))
    }

    /// The vector of a text that was embedded before, under whatever id.
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

    /// The at most `most` vectors that are nearest to `query` among those that are allowed, the nearest first.
    ///
    /// # Errors
    /// If the query has another length, or the disk fails.
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

    /// Writes vectors; of two with the same id the later one stays. All of them are found once this returns, and last
    /// once [`Arena::sync`] does.
    ///
    /// # Errors
    /// If one has another length or is not finite: then none is written. Or if the disk fails.
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
        // What is written in part lies beyond the last slot: the next write goes over it, or the next opening cuts it.
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

    /// Takes vectors out and tells how many there were. They are never found again, and their bytes are gone after
    /// [`Arena::compact`].
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

    /// Returns when all that was written before is on the disk.
    pub fn sync(&self) -> Result<(), ArenaError> {
        let file = self.state.read().file.clone();
        file.sync_data().map_err(|error| self.io(error))
    }

    /// Writes the file anew with what is in use, beside the old one, and takes its place. Searches go on meanwhile;
    /// writes wait.
    ///
    /// # Errors
    /// If the disk fails: then all is as it was.
    pub fn compact(&self) -> Result<(), ArenaError> {
        let _writer = self.writer.lock();
        let new = unfinished(&self.path);
        let state = self.rewrite(&new).map_err(|error| self.io(error))?;
        std::fs::rename(&new, &self.path).map_err(|error| self.io(error))?;
        // From here on the new file is the arena, whether or not the folder can be synced.
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

    /// The numbers of a slot; none if the disk has lost them.
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

/// What a file held.
struct Loaded {
    table: Table,
    lost: usize,
}

/// Reads all records and cuts off what comes after the last whole one.
fn load(file: &File, dimensions: usize) -> std::io::Result<Loaded> {
    let length = file.metadata()?.len();
    let size = record::size(dimensions);
    let mut reader = BufReader::with_capacity(PIECE, file);
    // Reading from the start leaves the file's own position alone for no other reader: all others name an offset.
    std::io::Seek::seek(&mut reader, std::io::SeekFrom::Start(record::HEAD as u64))?;
    let mut table = Table::new(dimensions);
    let mut replaced = Vec::new();
    let mut bytes = vec![0; size];
    // Slots without a whole record since the last one that had.
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
        // A record ends all before it with its id, dead or not: the mark of those may not have reached the disk.
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

/// Where a file lies while it is written anew.
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
