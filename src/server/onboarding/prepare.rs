//! Creates the streams for the chosen purpose of a workspace.

use features::onboarding::model::{Intent, Onboarding};
use features::onboarding::presets::{self, PRESETS, StreamPreset};
use features::onboarding::queries;
use features::onboarding::rules::{self, OnboardingError};
use features::streams::model::Stream;
use features::streams::queries as streams;
use features::streams::rules::{self as stream_rules, NewStream};
use store::{ReadExt as _, WriteTx};

/// Sets the purpose and creates its streams. Existing streams stay: one whose name is taken is not created, and
/// streams of an earlier choice are removed only if they are unused and unchanged.
///
/// # Errors
/// When onboarding is finished, or there are too many streams.
pub(super) fn choose(tx: &mut WriteTx<'_>, intent: Intent) -> Result<Onboarding, OnboardingError> {
    let now = queries::open(tx)?.ok_or(OnboardingError::Over)?;
    if now.intent == Some(intent) {
        return rules::choose(tx, intent, now.streams);
    }
    let wanted = presets::of(intent).streams;
    let untouched = queries::is_untouched(tx)?;
    let mut kept = Vec::new();
    for id in now.streams {
        let Some(stream) = tx.get::<Stream>(id)? else { continue };
        let is_wanted = wanted.iter().any(|one| one.name == stream.name);
        if untouched && !is_wanted && is_as_made(&stream) {
            stream_rules::archive(tx, id)?;
        } else {
            kept.push(id);
        }
    }
    for one in wanted {
        if streams::called(tx, one.name)?.is_none() {
            kept.push(stream_rules::create(tx, new(one))?.id);
        }
    }
    rules::choose(tx, intent, kept)
}

fn new(preset: &StreamPreset) -> NewStream {
    NewStream {
        description: preset.about.to_owned(),
        colour: Some(preset.colour),
        kind: preset.kind,
        ..NewStream::called(preset.name)
    }
}

/// Whether a stream is unchanged from its preset.
fn is_as_made(stream: &Stream) -> bool {
    PRESETS.iter().flat_map(|preset| preset.streams).map(new).any(|made| {
        let words = (&stream.name, &stream.description, &stream.icon, &stream.goal);
        let rest = (Some(stream.colour), stream.kind, stream.lead, stream.target_date);
        words == (&made.name, &made.description, &made.icon, &made.goal)
            && rest == (made.colour, made.kind, made.lead, made.target_date)
            && stream.proof == made.proof
            && stream.archived_at.is_none()
    })
}
