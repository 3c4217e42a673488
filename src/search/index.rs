//! The index on the disk: opened when it is used, written by one thread, thrown away when it is damaged.

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

/// What the writer may hold in memory.
const MEMORY: usize = 15_000_000;
/// The bytes of a block of keys.
const BLOCK: usize = 4_096;
/// Blocks of keys that a reader keeps.
const BLOCKS: usize = 32;
/// With fewer hits, words that are nearly right are looked for, too.
const FEW: u64 = 5;

/// Why the index does not answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// It must be made anew.
    #[error("the search index is damaged: {0}")]
    Damaged(String),
    /// The disk refuses; later it may not.
    #[error("the search index cannot be written: {0}")]
    Disk(String),
}

/// The errors of a disk that is full or closed to us: a new index would not help.
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

/// What damaged bytes may make a reader do ends here.
fn guarded<T>(body: impl FnOnce() -> Result<T, SearchError>) -> Result<T, SearchError> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(SearchError::Damaged(panic_words(&*panic))))
}

/// The index of a workspace. Cheap to clone; opens nothing before it is used.
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
    /// The index in this folder, which need not be there.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self(Arc::new(Parts { folder, opened: Mutex::default(), writer: Mutex::default() }))
    }

    /// Whether this is the same index.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Whether there is an index at all.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.0.folder.join("meta.json").is_file()
    }

    /// Whether a writer is open.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.0.writer.lock().is_some()
    }

    /// What was said with the last commit; nothing when there is no index, or one of another layout.
    ///
    /// # Errors
    /// When it is damaged.
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

    /// Removes the index, so that the next change begins a new one.
    pub fn begin_anew(&self) -> Result<(), SearchError> {
        self.close();
        match fs::remove_dir_all(&self.0.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Takes in changes; they are found, and kept, after the next [`Search::commit`]. Blocking.
    ///
    /// # Errors
    /// When it is damaged, or the disk refuses.
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

    /// Takes in documents that were never in it before. Blocking.
    ///
    /// # Errors
    /// When it is damaged, or the disk refuses.
    pub fn add(&self, documents: &[Document]) -> Result<(), SearchError> {
        let mut known = Known::default();
        self.with_writer(|writer, fields| {
            documents.iter().try_for_each(|document| add(writer, fields, document, &mut known))
        })
    }

    /// Keeps what was taken in, and with it how far that reaches. Blocking.
    ///
    /// # Errors
    /// When it is damaged, or the disk refuses.
    pub fn commit(&self, place: &str) -> Result<(), SearchError> {
        self.with_writer(|writer, _| {
            let mut commit = writer.prepare_commit()?;
            commit.set_payload(&format!("{VERSION} {place}"));
            commit.commit()?;
            Ok(())
        })?;
        self.reload()
    }

    /// Takes what was removed off the disk, too: until then its words lie in old files. Blocking.
    ///
    /// # Errors
    /// When it is damaged, or the disk refuses.
    pub fn purge(&self) -> Result<(), SearchError> {
        // What is being merged cannot be merged.
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
        // A reader that still has the old files open keeps them there.
        self.reload()?;
        self.with_writer(|writer, _| {
            writer.garbage_collect_files().wait()?;
            Ok(())
        })
    }

    /// The writer goes; what it merges is finished first. Blocking.
    pub fn rest(&self) {
        {
            // Held until it is gone: there is room for one in a folder.
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

    /// The reader goes, too, until the next question.
    pub fn close(&self) {
        drop(self.0.writer.lock().take());
        *self.0.opened.lock() = None;
    }

    /// How many documents can be found.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn size(&self) -> Result<u64, SearchError> {
        match self.is_begun() {
            true => guarded(|| Ok(self.searcher()?.0.num_docs())),
            false => Ok(0),
        }
    }

    /// What fits. Blocking.
    ///
    /// # Errors
    /// When it is damaged.
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

    /// Whether something of a group is in the index for another audience than this.
    ///
    /// # Errors
    /// When it is damaged.
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

    /// Lets questions see the last commit.
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
            // A writer that has failed is of no use any more: the next one begins at the last commit.
            let done = work(&mut writer, &fields)?;
            *held = Some(writer);
            Ok(done)
        })
    }
}

/// How keys, which are all that is stored, lie in a new index: short and plain. A question reads hundreds of them from
/// as many places, and unpacking a block for each costs more than the space that it saves.
fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::None,
        docstore_blocksize: BLOCK,
        ..IndexSettings::default()
    }
}

/// Adds a document and its pieces.
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
