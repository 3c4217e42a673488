//! The form of a stream.

use serde::Deserialize;

use features::streams::model::Stream;
use features::streams::queries::StreamError;
use features::streams::rules::{NewStream, StreamPatch};
use features::tasks::queries::due;
use features::tasks::queries::view_context::ViewContext;
use kernel::day::{self, Toward};
use kernel::{FieldError, Hue, Problem as _, ProofMode, StreamKind};
use web::form::EditConflict;
use web::parts::Choice;

/// The form as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamForm {
    /// The revision that was read; empty for a new stream.
    pub rev: String,
    pub name: String,
    pub description: String,
    pub colour: String,
    pub icon: String,
    pub kind: String,
    pub goal: String,
    pub lead: String,
    pub target_date: String,
    pub proof: String,
}

impl StreamForm {
    /// Fills the form from a stream.
    pub fn of(scene: &ViewContext, stream: &Stream, rev: u64) -> Self {
        Self {
            rev: rev.to_string(),
            name: stream.name.clone(),
            description: stream.description.clone(),
            colour: stream.colour.word().to_owned(),
            icon: stream.icon.clone(),
            kind: stream.kind.word().to_owned(),
            goal: stream.goal.clone(),
            lead: stream.lead.map(|who| scene.people.handle(who)).unwrap_or_default(),
            target_date: stream.target_date.map(|day| day.to_string()).unwrap_or_default(),
            proof: stream.proof.word().to_owned(),
        }
    }

    /// Parses the form and collects all errors.
    pub fn read(self, scene: &ViewContext) -> Result<StreamPatch, StreamError> {
        let mut wrong = Vec::new();
        let lead = scene.people.find(&self.lead, scene.myself());
        if let Err(error) = &lead {
            wrong.push(FieldError::new("lead", error.to_string()));
        }
        let today = due::day(scene.today.now, &scene.today.zone);
        let day = day::in_field("target_date", &self.target_date, today, Toward::Ahead);
        if let Err(error) = &day {
            wrong.push(error.clone());
        }
        match (lead, day) {
            (Ok(lead), Ok(day)) => Ok(StreamPatch {
                name: Some(self.name),
                description: Some(self.description),
                // ok: an unknown colour, kind or mode leaves the stored one.
                colour: self.colour.parse().ok(),
                icon: Some(self.icon),
                kind: self.kind.parse().ok(),
                goal: Some(self.goal),
                lead: Some(lead),
                target_date: Some(day),
                proof: self.proof.parse().ok(),
            }),
            _ => Err(StreamError::Invalid(wrong)),
        }
    }
}

/// The form of a stream.
pub(super) struct Fields {
    pub action: String,
    pub typed: StreamForm,
    pub wrong: Vec<FieldError>,
    pub summary: String,
    pub since: EditConflict,
    pub colours: Vec<Choice>,
    pub kinds: Vec<Choice>,
    pub leads: Vec<Choice>,
    pub proofs: Vec<Choice>,
}

impl Fields {
    /// Builds the form with the input.
    pub fn new(scene: &ViewContext, action: String, form: StreamForm) -> Self {
        let colour: Option<Hue> = form.colour.parse().ok();
        let kind = form.kind.parse().unwrap_or(StreamKind::Custom);
        // ok: an unknown name selects nobody; submitting reports the error.
        let lead = scene.people.find(&form.lead, scene.myself()).ok().flatten();
        let mut colours = Vec::with_capacity(Hue::ALL.len() + 1);
        if colour.is_none() {
            colours.push(Choice::new("", "Automatic", true));
        }
        let all = Hue::ALL.iter();
        colours.extend(all.map(|hue| Choice::new(hue.word(), hue.label(), colour == Some(*hue))));
        let kinds = StreamKind::ALL.iter();
        let proof = form.proof.parse().unwrap_or(ProofMode::Show);
        let proofs = ProofMode::ALL.iter();
        Self {
            action,
            wrong: Vec::new(),
            summary: String::new(),
            since: EditConflict::default(),
            colours,
            kinds: kinds.map(|one| Choice::new(one.word(), one.label(), *one == kind)).collect(),
            leads: scene.people.choices(lead, scene.me),
            proofs: proofs.map(|one| Choice::new(one.word(), one.label(), *one == proof)).collect(),
            typed: form,
        }
    }

    /// The error of a field; may be empty.
    pub fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|wrong| wrong.field == field).map_or("", |w| w.message.as_str())
    }

    /// Adds errors, or the concurrent changes of others.
    pub fn refused(mut self, error: &StreamError, since: EditConflict) -> Self {
        since.renew(&mut self.typed.rev);
        self.wrong = error.fields();
        if self.wrong.is_empty() && !since.is_told() {
            self.summary = error.to_string();
        }
        self.since = since;
        self
    }

    /// Whether the form was rejected.
    pub fn is_refused(&self) -> bool {
        !self.wrong.is_empty() || !self.summary.is_empty() || self.since.is_told()
    }
}

/// Builds a new stream from the form.
pub(super) fn new(patch: StreamPatch) -> NewStream {
    NewStream {
        description: patch.description.unwrap_or_default(),
        colour: patch.colour,
        icon: patch.icon.unwrap_or_default(),
        kind: patch.kind.unwrap_or(StreamKind::Custom),
        goal: patch.goal.unwrap_or_default(),
        lead: patch.lead.flatten(),
        target_date: patch.target_date.flatten(),
        proof: patch.proof.unwrap_or(ProofMode::Show),
        ..NewStream::called(patch.name.unwrap_or_default())
    }
}
