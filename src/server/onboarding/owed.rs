//! Contact stages, fields and collections of the chosen purpose. They are created once, when onboarding finishes, or
//! at the start of a version that supports them after an earlier one did not.

use app::Ws;
use crm::error::CrmError;
use crm::model::{Collection, Home};
use crm::rules::{self as crm_rules, CollectionPatch, FieldPatch};
use entity::Choice;
use features::onboarding::presets::CollectionPreset;
use features::onboarding::queries;
use features::onboarding::rules::{self, COLLECTION, CONTACTS, OnboardingError};
use kernel::{Actor, Cause, Part};
use store::{Range, ReadExt as _, WriteTx};

/// Finishes onboarding and creates what belongs to the purpose.
pub(super) fn finish(tx: &mut WriteTx<'_>) -> Result<(), OnboardingError> {
    rules::finish(tx)?;
    lay_down(tx)
}

/// Creates the same after onboarding that finished in an earlier version.
pub(crate) async fn complete(ws: &Ws) -> Result<(), OnboardingError> {
    if ws.read(|snap| queries::owed(snap))?.is_none() {
        return Ok(());
    }
    let by = (Actor::System(Part::Setup), Cause::Setup);
    ws.write(&by, lay_down).await
}

/// Creates what is missing unless the user has created such records, and marks it as done.
fn lay_down(tx: &mut WriteTx<'_>) -> Result<(), OnboardingError> {
    let Some((preset, done)) = queries::owed(tx)? else { return Ok(()) };
    if let Some(key) = preset.contacts.filter(|_| !done.contains(&CONTACTS)) {
        crm_rules::lay_down(tx, key).map_err(refused)?;
    }
    if let Some(collection) = preset.collection.filter(|_| !done.contains(&COLLECTION))
        && tx.list::<Collection>(&Range::all().limit(1))?.is_empty()
    {
        make(tx, collection).map_err(refused)?;
    }
    Ok(rules::note_prepared(tx, &[CONTACTS, COLLECTION])?)
}

fn make(tx: &mut WriteTx<'_>, preset: &CollectionPreset) -> Result<(), CrmError> {
    let made = crm_rules::make_collection(
        tx,
        CollectionPatch {
            name: Some(preset.name.to_owned()),
            icon: Some(preset.icon.to_owned()),
            description: Some(preset.about.to_owned()),
            archived: None,
        },
    )?;
    for (label, kind, choices) in preset.fields {
        let patch = FieldPatch {
            label: Some((*label).to_owned()),
            kind: Some(*kind),
            choices: Some(choices.iter().map(|one| Choice::called(one)).collect()),
            ..FieldPatch::default()
        };
        crm_rules::make_field(tx, Home::Collection(made.id), patch)?;
    }
    Ok(())
}

fn refused(error: CrmError) -> OnboardingError {
    match error {
        CrmError::Store(error) => OnboardingError::Store(error),
        other => OnboardingError::Owed(other.to_string()),
    }
}
