//! The index on disk: opened on first use, written by one thread, discarded when damaged.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernel::text::panic_words;
use parking_lot::Mutex;
use tantivy::collector::Count;
use tantivy::indexer::IndexWriterOptions;
use tantivy::schema::{TantivyDocument, Value};
use tantivy::store::Compressor;
use tantivy::{
    Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, TantivyError, Term,
};

use super::gather::Gather;
use super::layout::{self, CUTTER, Fields, NAMER, VERSION};
use super::stems::Known;
use super::words::{self, Tails};
use super::{Ask, Change, Document, Found, Hit, Typos, names, query};

/// Memory budget of the writer, in bytes.
const MEMORY: usize = 15_000_000;
/// Size of a docstore block, in bytes.
const BLOCK: usize = 4_096;
/// Docstore blocks that a reader caches.
const BLOCKS: usize = 32;
/// With fewer hits, the search is repeated with typo tolerance.
const FEW: u64 = 5;

#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The index must be rebuilt.
    #[error("the search index is damaged: {0}")]
    Damaged(String),
    /// Disk error, possibly temporary.
    #[error("the search index cannot be written: {0}")]
    Disk(String),
}

/// Errors of a full or inaccessible disk: rebuilding the index would not help.
fn is_disk(error: &io::Error) -> bool {
    let too_many_files = error.raw_os_error() == Some(24);
    too_many_files
        || matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::OutOfMemory
        )
}

impl From<TantivyError> for SearchError {
    fn from(error: TantivyError) -> Self {
        let text = error.to_string();
        match error {
            TantivyError::LockFailure(..) => Self::Disk(text),
            TantivyError::IoError(error) if is_disk(&error) => Self::Disk(text),
            _ => Self::Damaged(text),
        }
    }
}

impl From<io::Error> for SearchError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

/// Turns a panic of the reader, as damaged bytes may cause, into an error.
fn guarded<T>(body: impl FnOnce() -> Result<T, SearchError>) -> Result<T, SearchError> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(SearchError::Damaged(panic_words(&*panic))))
}

/// The index of a workspace. Cheap to clone; opens no file before first use.
#[derive(Clone)]
pub struct Search(Arc<Parts>);

struct Parts {
    folder: PathBuf,
    opened: Mutex<Option<Opened>>,
    writer: Mutex<Option<IndexWriter>>,
}

#[derive(Clone)]
struct Opened {
    index: Index,
    fields: Fields,
    reader: Option<IndexReader>,
}

impl Search {
    /// The index in `folder`, which need not exist.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self(Arc::new(Parts { folder, opened: Mutex::default(), writer: Mutex::default() }))
    }

    /// Whether both handles refer to the same index.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Whether there is an index on disk.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.0.folder.join("meta.json").is_file()
    }

    /// Whether a writer is open.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.0.writer.lock().is_some()
    }

    /// The position stored with the last commit; `None` without an index or with one of another layout.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn place(&self) -> Result<Option<String>, SearchError> {
        if !self.is_begun() {
            return Ok(None);
        }
        guarded(|| {
            let metas = self.opened()?.index.load_metas()?;
            let (version, place) = match metas.payload.as_deref().and_then(|p| p.split_once(' ')) {
                Some(found) => found,
                None => return Ok(None),
            };
            Ok((version == VERSION.to_string()).then(|| place.to_owned()))
        })
    }

    /// Deletes the index; the next change creates a new one.
    pub fn begin_anew(&self) -> Result<(), SearchError> {
        self.close();
        match fs::remove_dir_all(&self.0.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Applies changes. They are searchable and durable after the next [`Search::commit`]. Blocking.
    ///
    /// # Errors
    /// If the index is damaged, or the disk fails.
    pub fn take(&self, changes: Vec<Change>) -> Result<(), SearchError> {
        let mut known = Known::default();
        self.with_writer(|writer, fields| {
            for change in changes {
                let key = match &change {
                    Change::Put(document) => &document.key,
                    Change::Gone(key) => key,
                };
                writer.delete_term(Term::from_field_text(fields.key, key));
                match &change {
                    Change::Put(document) => {
                        if document.parts.is_some() {
                            writer.delete_term(Term::from_field_text(fields.group, key));
                        }
                        add(writer, fields, document, &mut known)?;
                    }
                    Change::Gone(_) => {
                        writer.delete_term(Term::from_field_text(fields.group, key));
                    }
                }
            }
            Ok(())
        })
    }

    /// Adds documents whose keys are new. Blocking.
    ///
    /// # Errors
    /// If the index is damaged, or the disk fails.
    pub fn add(&self, documents: &[Document]) -> Result<(), SearchError> {
        let mut known = Known::default();
        self.with_writer(|writer, fields| {
            documents.iter().try_for_each(|document| add(writer, fields, document, &mut known))
        })
    }

    /// Commits the changes together with a position. Blocking.
    ///
    /// # Errors
    /// If the index is damaged, or the disk fails.
    pub fn commit(&self, place: &str) -> Result<(), SearchError> {
        self.with_writer(|writer, _| {
            let mut commit = writer.prepare_commit()?;
            commit.set_payload(&format!("{VERSION} {place}"));
            commit.commit()?;
            Ok(())
        })?;
        self.reload()
    }

    /// Physically removes deleted documents: until then their words remain in old segment files. Blocking.
    ///
    /// # Errors
    /// If the index is damaged, or the disk fails.
    pub fn purge(&self) -> Result<(), SearchError> {
        // Segments that are being merged cannot be merged again.
        self.rest();
        self.with_writer(|writer, _| {
            let segments = writer.index().searchable_segment_metas()?;
            let stale = segments.iter().filter(|one| one.has_deletes());
            let stale: Vec<_> = stale.map(tantivy::SegmentMeta::id).collect();
            if !stale.is_empty() {
                writer.merge(&stale).wait()?;
            }
            Ok(())
        })?;
        // A reader with open old files prevents their removal.
        self.reload()?;
        self.with_writer(|writer, _| {
            writer.garbage_collect_files().wait()?;
            Ok(())
        })
    }

    /// Closes the writer after its running merges. Blocking.
    pub fn rest(&self) {
        {
            // Locked until the writer is closed: a folder permits one writer.
            let mut held = self.0.writer.lock();
            let Some(writer) = held.take() else { return };
            if let Err(error) = guarded(|| Ok(writer.wait_merging_threads()?)) {
                tracing::debug!(%error, "the writer of a search index did not end well");
            }
        }
        if let Err(error) = self.reload() {
            tracing::debug!(%error, "a search index could not be read again");
        }
    }

    /// Closes writer and reader; the next search reopens the reader.
    pub fn close(&self) {
        drop(self.0.writer.lock().take());
        *self.0.opened.lock() = None;
    }

    /// Number of searchable documents.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn size(&self) -> Result<u64, SearchError> {
        match self.is_begun() {
            true => guarded(|| Ok(self.searcher()?.0.num_docs())),
            false => Ok(0),
        }
    }

    /// Runs a search. Blocking.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn find(&self, ask: &Ask<'_>) -> Result<Found, SearchError> {
        if !self.is_begun() {
            return Ok(Found::default());
        }
        guarded(|| {
            let (searcher, fields) = self.searcher()?;
            let exact = find(&searcher, &fields, ask, false)?;
            let count: u64 = exact.counts.iter().map(|(_, count)| count).sum();
            if ask.typos == Typos::Never || FEW <= count {
                return Ok(exact);
            }
            let near = find(&searcher, &fields, ask, true)?;
            let found = near.counts.iter().map(|(_, count)| count).sum::<u64>();
            Ok(if count < found { Found { guessed: true, ..near } } else { exact })
        })
    }

    /// Whether the index has documents of a group for another audience than `audience`.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn has_strays(&self, group: &str, audience: &str) -> Result<bool, SearchError> {
        if !self.is_begun() {
            return Ok(false);
        }
        guarded(|| {
            let (searcher, fields) = self.searcher()?;
            Ok(0 < searcher.search(&query::strays(&fields, group, audience), &Count)?)
        })
    }

    fn opened(&self) -> Result<Opened, SearchError> {
        let mut opened = self.0.opened.lock();
        if let Some(opened) = opened.as_ref() {
            return Ok(opened.clone());
        }
        fs::create_dir_all(&self.0.folder)?;
        let (schema, fields) = layout::layout();
        let index = match self.is_begun() {
            true => Index::open_in_dir(&self.0.folder)?,
            false => {
                let index = Index::builder().schema(schema.clone()).settings(settings());
                index.create_in_dir(&self.0.folder)?
            }
        };
        if index.schema() != schema {
            return Err(SearchError::Damaged("it has another layout".to_owned()));
        }
        index.tokenizers().register(CUTTER, words::analyzer(Tails::Kept));
        index.tokenizers().register(NAMER, names::analyzer());
        Ok(opened.insert(Opened { index, fields, reader: None }).clone())
    }

    fn searcher(&self) -> Result<(Searcher, Fields), SearchError> {
        let mut found = self.opened()?;
        if found.reader.is_none() {
            let reader = found.index.reader_builder().reload_policy(ReloadPolicy::Manual);
            let reader: IndexReader = reader.doc_store_cache_num_blocks(BLOCKS).try_into()?;
            found.reader = Some(reader.clone());
            if let Some(opened) = self.0.opened.lock().as_mut() {
                opened.reader = Some(reader);
            }
        }
        let reader = found.reader.ok_or_else(|| SearchError::Damaged("no reader".to_owned()))?;
        Ok((reader.searcher(), found.fields))
    }

    /// Makes the last commit visible to searches.
    fn reload(&self) -> Result<(), SearchError> {
        let reader = self.0.opened.lock().as_ref().and_then(|opened| opened.reader.clone());
        guarded(|| match reader {
            Some(reader) => Ok(reader.reload()?),
            None => Ok(()),
        })
    }

    fn with_writer<T>(
        &self,
        work: impl FnOnce(&mut IndexWriter, &Fields) -> Result<T, SearchError>,
    ) -> Result<T, SearchError> {
        guarded(|| {
            let Opened { index, fields, .. } = self.opened()?;
            let mut held = self.0.writer.lock();
            let mut writer = match held.take() {
                Some(writer) => writer,
                None => {
                    let options = IndexWriterOptions::builder()
                        .memory_budget_per_thread(MEMORY)
                        .num_worker_threads(1)
                        .num_merge_threads(1)
                        .build();
                    index.writer_with_options(options)?
                }
            };
            // A failed writer is dropped; the next one starts at the last commit.
            let done = work(&mut writer, &fields)?;
            *held = Some(writer);
            Ok(done)
        })
    }
}

/// Settings of a new index: stored keys in small uncompressed blocks. A search reads hundreds of scattered keys, and
/// decompressing a block for each costs more than the saved space.
fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::None,
        docstore_blocksize: BLOCK,
        ..IndexSettings::default()
    }
}

/// Adds a document and its parts.
fn add(
    writer: &IndexWriter,
    fields: &Fields,
    document: &Document,
    known: &mut Known,
) -> Result<(), SearchError> {
    writer.add_document(layout::row(fields, document, known))?;
    for part in document.parts.iter().flatten() {
        writer.add_document(layout::row(fields, part, known))?;
    }
    Ok(())
}

fn find(
    searcher: &Searcher,
    fields: &Fields,
    ask: &Ask<'_>,
    forgiving: bool,
) -> Result<Found, SearchError> {
    let gathered = searcher.search(&query::of(fields, ask, forgiving), &Gather::of(ask))?;
    let mut hits = Vec::with_capacity(gathered.best.len());
    for spot in gathered.best {
        let row: TantivyDocument = searcher.doc(spot.place)?;
        let key = row.get_first(fields.key).and_then(|value| value.as_str().map(str::to_owned));
        hits.extend(key.map(|key| Hit {
            kind: spot.kind,
            key,
            score: spot.score,
            named: spot.named,
        }));
    }
    let counts = gathered.counts.iter().enumerate().filter(|(_, count)| 0 < **count);
    let counts = counts.filter_map(|(kind, count)| Some((u8::try_from(kind).ok()?, *count)));
    Ok(Found { hits, counts: counts.collect(), guessed: false })
}
