//! The models of this machine as people see them, and what they do with them.

use app::{App, Who, Ws};
use embed::shelf::{Given, Kept};
use embed::{FILES, Folder, MODELS, Model, Refused, Terms};
use kernel::{AccountId, Problem as _, ProblemKind};
use store::StoreError;

use crate::error::KnowledgeError;
use crate::model::ModelAct;
use crate::rules;

/// The landing of files that a person sends.
const SENT: &str = "upload";
/// The most bytes of a file that somebody may send.
pub const LARGEST: u64 = 2 * 1024 * 1024 * 1024;

/// A model that is here, or could be.
pub struct Line {
    pub model: Model,
    /// How many bytes it has here; none when it is not here.
    pub bytes: Option<u64>,
    /// Whether it is the one in use.
    pub is_used: bool,
    /// Whether it lies in the folder that a setting names.
    pub given: bool,
}

/// All models, and what waits for a person.
pub struct All {
    /// Those that HQ knows, then others.
    pub lines: Vec<Line>,
    /// Files that were sent, or lie in the folder that a setting names, whose hashes nobody has confirmed.
    pub unknown: Option<(Folder, bool)>,
    /// Why the folder that a setting names holds no model.
    pub given_refused: Option<Refused>,
    /// Whether some files of a model were sent and others are missing.
    pub is_partial: bool,
}

/// Whether this person may change what all workspaces of this HQ share.
///
/// # Errors
/// When they may not, or the store fails.
pub fn only_managers(app: &App, account: AccountId) -> Result<(), KnowledgeError> {
    if features::backups::queries::may_manage(app, account)? {
        return Ok(());
    }
    let why = "the model is shared by all workspaces of this HQ, so only who administers all of them changes it";
    Err(KnowledgeError::NotYours(why.to_owned()))
}

/// All models. Hashes what nobody has confirmed, so it belongs on a thread that may block.
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
    let landed = shelf.landed(SENT).map(|landing| shelf.look(&landing));
    let is_partial = matches!(landed, Some(Err(Refused::Missing { .. })));
    if let Some(Ok(folder)) = landed {
        unknown = Some((folder, false));
    }
    let is_used = |model: &Model| used.as_ref().is_some_and(|used| used.model.id == model.id);
    let line = |kept: Kept| Line {
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

/// Begins to fetch a model that HQ knows.
///
/// # Errors
/// When HQ knows none of this id, or one is being fetched.
pub fn fetch(app: &App, id: &str) -> Result<(), KnowledgeError> {
    let model = MODELS.iter().find(|model| model.id == id);
    let known = || MODELS.iter().map(|model| model.id.to_string());
    let model = model.ok_or_else(|| KnowledgeError::no_model(id, known()))?;
    match super::fetch::begin(app, model) {
        true => Ok(()),
        false => Err(KnowledgeError::Refused("a model is being downloaded".to_owned())),
    }
}

/// Takes a model into use, by its id or its name; none for no words. Returns its id.
///
/// # Errors
/// When it is not here, several have that name, or the disk fails.
pub fn choose(app: &App, said: &str) -> Result<String, KnowledgeError> {
    let id = if said.is_empty() { String::new() } else { id_of(app, said)? };
    app.meaning.shelf.choose(&id).map_err(|error| KnowledgeError::disk(&error))?;
    app.meaning.changed();
    Ok(id)
}

/// The id of a model that is here.
fn id_of(app: &App, said: &str) -> Result<String, KnowledgeError> {
    let mut here: Vec<Model> = Vec::new();
    for line in all(app)?.lines.into_iter().filter(|line| line.bytes.is_some()) {
        if line.model.id == said {
            return Ok(said.to_owned());
        }
        here.push(line.model);
    }
    let is_meant = |model: &&Model| model.name.to_lowercase() == said.trim().to_lowercase();
    let meant: Vec<&Model> = here.iter().filter(is_meant).collect();
    match meant.as_slice() {
        [] => Err(KnowledgeError::no_model(said, here.iter().map(|model| model.name.to_string()))),
        [only] => Ok(only.id.to_string()),
        _ => Err(KnowledgeError::Refused(format!(
            "several models are called \"{}\"; name one by its id",
            kernel::text::ellipsis(said.trim(), 60)
        ))),
    }
}

/// Says in a workspace who did what with a model, from where its audit has it.
pub async fn note(
    ws: &Ws,
    who: &(impl Who + Sync),
    act: ModelAct,
    model: &str,
) -> Result<(), KnowledgeError> {
    let model = model.to_owned();
    ws.write(who, move |tx| rules::note_model(tx, act, model)).await
}

/// Removes the files of a model that is not in use.
///
/// # Errors
/// When it is in use or not here, or the disk fails.
pub fn remove(app: &App, id: &str) -> Result<(), KnowledgeError> {
    if app.meaning.used().is_some_and(|used| used.model.id == id) {
        return Err(KnowledgeError::Refused("it is in use; take another one, or none".to_owned()));
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

/// Takes a file of a model in, by its name. Copies it, so it belongs on a thread that may block.
///
/// # Errors
/// When a model has no file of this name, or the disk fails.
fn receive(app: &App, name: &str, content: &mut dyn std::io::Read) -> Result<(), KnowledgeError> {
    let at = FILES.iter().position(|file| *file == name).ok_or_else(|| {
        let (last, rest) = FILES.split_last().expect("invariant: a model has files");
        let text = format!("A model has the files {} and {last}.", rest.join(", "));
        KnowledgeError::field("file", text)
    })?;
    let failed = |error: std::io::Error| KnowledgeError::disk(&error);
    let landing = app.meaning.shelf.landing(SENT).map_err(failed)?;
    let mut file = landing.open(at, true).map_err(failed)?;
    std::io::copy(content, &mut file).map_err(failed)?;
    Ok(())
}

/// Takes a file of a model in that lies among the blobs of a workspace.
///
/// # Errors
/// When the disk fails, or no file of a model is called so.
pub fn receive_blob(ws: &Ws, name: &str, blob: store::BlobId) -> Result<(), KnowledgeError> {
    let mut content = ws.blobs.open_blob(blob).map_err(|error| KnowledgeError::disk(&error))?;
    receive(&ws.app, name, &mut content)
}

/// Makes a model of the files that were sent. One that HQ does not know needs a person's terms. Files of which none can be
/// made are taken away.
///
/// # Errors
/// When they are no model, when nobody has confirmed an unknown one, or the disk fails.
pub fn take_in(app: &App, terms: Option<Terms>) -> Result<Model, KnowledgeError> {
    let landing = app.meaning.shelf.landed(SENT);
    let landing = landing.ok_or_else(|| {
        KnowledgeError::Refused("no files of a model were sent; send them first".to_owned())
    })?;
    let made = landing.take_in(terms);
    // What is missing can still come, and what is unknown be confirmed; what is wrong with files stays wrong.
    let is_wrong =
        |refused: &Refused| matches!(refused.kind(), ProblemKind::Invalid | ProblemKind::TooLarge);
    if made.as_ref().is_err_and(is_wrong) {
        landing.clear().map_err(|error| KnowledgeError::disk(&error))?;
    }
    let model = made.map_err(|refused| KnowledgeError::Refused(refused.to_string()))?;
    app.meaning.changed();
    Ok(model)
}

/// Takes a model into use that has just come.
///
/// # Errors
/// When it has gone meanwhile, or the disk fails.
pub fn used(app: &App, model: Model) -> Result<Model, KnowledgeError> {
    choose(app, &model.id)?;
    Ok(model)
}

/// Whether files of a model were sent that wait for others or for a person.
#[must_use]
pub fn are_sent(app: &App) -> bool {
    app.meaning.shelf.landed(SENT).is_some()
}

/// Confirms the hashes of the model in the folder that a setting names.
///
/// # Errors
/// When there is none, or the disk fails.
pub fn confirm_given(app: &App, terms: Terms) -> Result<Model, KnowledgeError> {
    let made = app.meaning.shelf.confirm_given(terms);
    let model = made.map_err(|refused| KnowledgeError::Refused(refused.to_string()))?;
    app.meaning.changed();
    Ok(model)
}

/// Takes away the files that were sent.
pub fn discard(app: &App) -> Result<(), KnowledgeError> {
    let landing = app.meaning.shelf.landed(SENT);
    landing.map_or(Ok(()), |landing| landing.clear()).map_err(|error| KnowledgeError::disk(&error))
}

/// What is wrong with search by meaning in a workspace, in sentences, the worst first.
#[must_use]
pub fn troubles(ws: &Ws, all: &All) -> Vec<String> {
    let sentence = |refused: &Refused| web::form::sentence(&refused.to_string());
    let given = all
        .given_refused
        .as_ref()
        .map(|why| format!("The folder of HQ_EMBED_MODEL_DIR holds no model: {}", sentence(why)));
    let troubles = [
        ws.app.meaning.trouble().map(|refused| sentence(&refused)),
        given,
        Some(ws.app.meaning.coming().trouble).filter(|why| !why.is_empty()),
        ws.vectors.trouble(),
    ];
    troubles.into_iter().flatten().collect()
}

/// How many passages of a workspace have a vector by who makes them now. Opens these, so it belongs on a thread that may
/// block.
pub fn count(ws: &Ws) -> Result<usize, StoreError> {
    let Some(source) = super::source(ws)? else { return Ok(0) };
    let opened = ws.vectors.open(&source.id(), source.dimensions());
    let arena = opened.map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(arena.counts().live)
}
