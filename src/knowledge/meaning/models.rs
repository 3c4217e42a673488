//! Listing and managing the embedding models on this machine.

use app::{App, Who, Ws};
use embed::shelf::{Given, InstalledModel};
use embed::{FILES, Folder, MODELS, Model, Refused, Terms};
use kernel::{AccountId, Problem as _, ProblemKind};
use store::StoreError;

use crate::error::KnowledgeError;
use crate::model::ModelAct;
use crate::rules;

/// Name of the staging folder for uploads.
const SENT: &str = "upload";
/// Size limit of an uploaded file, in bytes.
pub const LARGEST: u64 = 2 * 1024 * 1024 * 1024;

/// An installed or available model.
pub struct Line {
    pub model: Model,
    /// Size on disk in bytes; `None` if not installed.
    pub bytes: Option<u64>,
    /// Whether it is in use.
    pub is_used: bool,
    /// Whether it is in the configured model folder.
    pub given: bool,
}

/// All models, and those that wait for confirmation.
pub struct All {
    /// Models that HQ knows, then others.
    pub lines: Vec<Line>,
    /// A folder with files whose hashes are not confirmed; `true` for the configured folder, `false` for uploads.
    pub unknown: Option<(Folder, bool)>,
    /// Why the configured folder contains no valid model.
    pub given_refused: Option<Refused>,
    /// Whether an upload is incomplete.
    pub is_partial: bool,
}

/// Checks that this person may change what all workspaces share.
///
/// # Errors
/// They may not.
pub fn only_managers(app: &App, account: AccountId) -> Result<(), KnowledgeError> {
    if features::backups::queries::may_manage(app, account)? {
        return Ok(());
    }
    let why = "all workspaces of this HQ share the model, so you must administer all of them to \
        change it";
    Err(KnowledgeError::NotYours(why.to_owned()))
}

/// All models. Hashes unconfirmed files, so call it on a blocking thread.
pub fn all(app: &App) -> Result<All, KnowledgeError> {
    let shelf = &app.meaning.shelf;
    let used = app.meaning.used();
    let mut here = shelf.models().map_err(|error| KnowledgeError::disk(&error))?;
    let (mut unknown, mut given_refused) = (None, None);
    match shelf.given() {
        Some(Given::Fits(kept)) => {
            here.retain(|one| one.model.id != kept.model.id);
            here.push(*kept);
        }
        Some(Given::Unknown(folder)) => unknown = Some((folder, true)),
        Some(Given::Refused(refused)) => given_refused = Some(refused),
        None => {}
    }
    let landed = shelf.landed(SENT).map(|landing| shelf.inspect(&landing));
    let is_partial = matches!(landed, Some(Err(Refused::Missing { .. })));
    if let Some(Ok(folder)) = landed {
        unknown = Some((folder, false));
    }
    let is_used = |model: &Model| used.as_ref().is_some_and(|used| used.model.id == model.id);
    let line = |kept: InstalledModel| Line {
        is_used: is_used(&kept.model),
        bytes: Some(kept.bytes),
        given: kept.given,
        model: kept.model,
    };
    let absent = MODELS.iter().filter(|known| here.iter().all(|one| one.model.id != known.id));
    let absent = absent.map(|known| Line {
        model: known.clone(),
        bytes: None,
        is_used: false,
        given: false,
    });
    let mut lines: Vec<Line> = absent.collect();
    lines.extend(here.into_iter().map(line));
    let place = |line: &Line| MODELS.iter().position(|known| known.id == line.model.id);
    lines.sort_by_key(|line| place(line).unwrap_or(usize::MAX));
    Ok(All { lines, unknown, given_refused, is_partial })
}

/// Starts the download of a known model.
///
/// # Errors
/// The id is unknown, or a download is in progress.
pub fn fetch(app: &App, id: &str) -> Result<(), KnowledgeError> {
    let model = MODELS.iter().find(|model| model.id == id);
    let known = || MODELS.iter().map(|model| model.id.to_string());
    let model = model.ok_or_else(|| KnowledgeError::no_model(id, known()))?;
    match super::fetch::begin(app, model) {
        true => Ok(()),
        false => Err(KnowledgeError::Refused("a model is already downloading".to_owned())),
    }
}

/// Takes a model into use, by id or name; an empty text selects none. Returns its id.
///
/// # Errors
/// The model is not installed, several have the name, or the disk fails.
pub fn choose(app: &App, name: &str) -> Result<String, KnowledgeError> {
    let id = if name.is_empty() { String::new() } else { id_of(app, name)? };
    app.meaning.shelf.choose(&id).map_err(|error| KnowledgeError::disk(&error))?;
    app.meaning.changed();
    Ok(id)
}

/// Resolves an installed model.
fn id_of(app: &App, name: &str) -> Result<String, KnowledgeError> {
    let mut here: Vec<Model> = Vec::new();
    for line in all(app)?.lines.into_iter().filter(|line| line.bytes.is_some()) {
        if line.model.id == name {
            return Ok(name.to_owned());
        }
        here.push(line.model);
    }
    let is_meant = |model: &&Model| model.name.to_lowercase() == name.trim().to_lowercase();
    let meant: Vec<&Model> = here.iter().filter(is_meant).collect();
    match meant.as_slice() {
        [] => Err(KnowledgeError::no_model(name, here.iter().map(|model| model.name.to_string()))),
        [only] => Ok(only.id.to_string()),
        _ => Err(KnowledgeError::Refused(format!(
            "several models are called \"{}\"; use the ID",
            kernel::text::ellipsis(name.trim(), 60)
        ))),
    }
}

/// Records an action on a model in a workspace, for its audit log.
pub async fn note(
    ws: &Ws,
    who: &(impl Who + Sync),
    act: ModelAct,
    model: &str,
) -> Result<(), KnowledgeError> {
    let model = model.to_owned();
    ws.write(who, move |tx| rules::note_model(tx, act, model)).await
}

/// Deletes the files of a model that is not in use.
///
/// # Errors
/// The model is in use or not installed, or the disk fails.
pub fn remove(app: &App, id: &str) -> Result<(), KnowledgeError> {
    if app.meaning.used().is_some_and(|used| used.model.id == id) {
        return Err(KnowledgeError::Refused(
            "it's in use; choose another model or turn off semantic \
            search"
                .to_owned(),
        ));
    }
    let failed = |error: std::io::Error| KnowledgeError::disk(&error);
    let here = app.meaning.shelf.models().map_err(failed)?;
    let known = || here.iter().map(|kept| kept.model.id.to_string());
    let kept = here.iter().find(|kept| kept.model.id == id);
    let kept = kept.ok_or_else(|| KnowledgeError::no_model(id, known()))?;
    app.meaning.shelf.remove(kept).map_err(failed)?;
    app.meaning.changed();
    Ok(())
}

/// Stores an uploaded model file by name. Copies it, so call it on a blocking thread.
///
/// # Errors
/// A model has no file with this name, or the disk fails.
fn receive(app: &App, name: &str, content: &mut dyn std::io::Read) -> Result<(), KnowledgeError> {
    let at = FILES.iter().position(|file| *file == name).ok_or_else(|| {
        let (last, rest) = FILES.split_last().expect("invariant: a model has files");
        let text = format!("A model needs the files {} and {last}.", rest.join(", "));
        KnowledgeError::field("file", text)
    })?;
    let failed = |error: std::io::Error| KnowledgeError::disk(&error);
    let landing = app.meaning.shelf.landing(SENT).map_err(failed)?;
    let mut file = landing.open(at, true).map_err(failed)?;
    std::io::copy(content, &mut file).map_err(failed)?;
    Ok(())
}

/// Stores a model file that was uploaded as a blob.
///
/// # Errors
/// A model has no file with this name, or the disk fails.
pub fn receive_blob(ws: &Ws, name: &str, blob: store::BlobId) -> Result<(), KnowledgeError> {
    let mut content = ws.blobs.open_blob(blob).map_err(|error| KnowledgeError::disk(&error))?;
    receive(&ws.app, name, &mut content)
}

/// Installs a model from the uploaded files. An unknown model requires a person's terms. Invalid files are deleted.
///
/// # Errors
/// The files are no model, an unknown model is not confirmed, or the disk fails.
pub fn take_in(app: &App, terms: Option<Terms>) -> Result<Model, KnowledgeError> {
    let landing = app.meaning.shelf.landed(SENT);
    let landing = landing.ok_or_else(|| {
        KnowledgeError::Refused("no model files uploaded; upload them first".to_owned())
    })?;
    let made = landing.take_in(terms);
    // Missing files can still arrive, and an unknown model can be confirmed; invalid files stay invalid.
    let is_wrong =
        |refused: &Refused| matches!(refused.kind(), ProblemKind::Invalid | ProblemKind::TooLarge);
    if made.as_ref().is_err_and(is_wrong) {
        landing.clear().map_err(|error| KnowledgeError::disk(&error))?;
    }
    let model = made.map_err(|refused| KnowledgeError::Refused(refused.to_string()))?;
    app.meaning.changed();
    Ok(model)
}

/// Takes a newly installed model into use.
///
/// # Errors
/// The model is gone, or the disk fails.
pub fn used(app: &App, model: Model) -> Result<Model, KnowledgeError> {
    choose(app, &model.id)?;
    Ok(model)
}

/// Whether an upload waits for further files or for confirmation.
#[must_use]
pub fn are_sent(app: &App) -> bool {
    app.meaning.shelf.landed(SENT).is_some()
}

/// Confirms the hashes of the model in the configured folder.
///
/// # Errors
/// There is no such model, or the disk fails.
pub fn confirm_given(app: &App, terms: Terms) -> Result<Model, KnowledgeError> {
    let made = app.meaning.shelf.confirm_given(terms);
    let model = made.map_err(|refused| KnowledgeError::Refused(refused.to_string()))?;
    app.meaning.changed();
    Ok(model)
}

/// Deletes the uploaded files.
pub fn discard(app: &App) -> Result<(), KnowledgeError> {
    let landing = app.meaning.shelf.landed(SENT);
    landing.map_or(Ok(()), |landing| landing.clear()).map_err(|error| KnowledgeError::disk(&error))
}

/// Problems of semantic search in a workspace, in sentences, the worst first.
#[must_use]
pub fn troubles(ws: &Ws, all: &All) -> Vec<String> {
    let sentence = |refused: &Refused| web::form::sentence(&refused.to_string());
    let given = all
        .given_refused
        .as_ref()
        .map(|why| format!("The folder HQ_EMBED_MODEL_DIR has no model: {}", sentence(why)));
    let troubles = [
        ws.app.meaning.trouble().map(|refused| sentence(&refused)),
        given,
        Some(ws.app.meaning.coming().trouble).filter(|why| !why.is_empty()),
        ws.vectors.trouble(),
    ];
    troubles.into_iter().flatten().collect()
}

/// Number of passages with a vector of the current source. Opens the vectors, so call it on a blocking thread.
pub fn count(ws: &Ws) -> Result<usize, StoreError> {
    let Some(source) = super::source(ws)? else { return Ok(0) };
    let opened = ws.vectors.open(&source.id(), source.dimensions());
    let arena = opened.map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(arena.counts().live)
}
