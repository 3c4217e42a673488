//! Deliverables for display: content, state and reviews.

use crate::claims::queries::{self as claims, card::Proof};
use crate::deliverables::model::{Content, Deliverable};
use crate::links::queries as links;
use crate::tasks::queries::view_context::ViewContext;
use kernel::{Assignee, DeliverableState, TypedId as _};
use store::Read;
use web::format;
use web::html::SafeHtml;
use web::parts::Face;
use web::time::RelTime;

use super::{Piece, ReviewedVersion};

/// A review for display.
#[derive(Clone, Debug)]
pub struct Said {
    pub face: Face,
    /// State word.
    pub state: &'static str,
    /// Label, such as "Approved".
    pub label: &'static str,
    /// Rendered.
    pub note: SafeHtml,
    /// Remarks: quoted passage, or empty, and text.
    pub remarks: Vec<(String, String)>,
    pub at: RelTime,
}

/// Content for display.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Rendered Markdown.
    Text(SafeHtml),
    /// A page, rendered as delivered, with its current title and path if it still exists.
    Page(SafeHtml, Option<(String, String)>),
    /// External URL.
    Url(String),
    /// A file: name, size, download URL, and how to view it if the name suggests an image or PDF.
    File(String, String, String, Option<View>),
}

/// How to view a delivered file. The actual type is determined from the content on download.
#[derive(Clone, Debug)]
pub enum View {
    /// In an image element.
    Image(String),
    /// In a new tab.
    Pdf(String),
}

/// A deliverable for display.
#[derive(Clone, Debug)]
pub struct Card {
    pub id: String,
    /// Short id for element ids.
    pub short: String,
    pub title: String,
    /// State word and label.
    pub state: (&'static str, &'static str),
    /// "Text", "Link", "File", "Page" or "Record".
    pub kind: &'static str,
    pub glyph: &'static str,
    /// Face of the author.
    pub by: Face,
    /// Version number.
    pub version: u32,
    /// Id of the version, to which a review is bound.
    pub version_id: String,
    pub at: RelTime,
    pub shown: Shown,
    /// The author's note.
    pub note: SafeHtml,
    /// Evidence for the version; `None` for work of people.
    pub proof: Option<Proof>,
    /// Review of this version.
    pub review: Option<Said>,
    /// URL on the review page.
    pub href: String,
    /// Submit URL of a review.
    pub action: String,
    /// Storage key of a review draft.
    pub draft: String,
    /// `true` if the viewer may review it now.
    pub open: bool,
    /// URL for submitting the next version, or empty without permission.
    pub revise_url: String,
}

impl Card {
    /// The deliverable at its latest version.
    #[must_use]
    pub fn new(scene: &ViewContext, read: &dyn Read, piece: Piece) -> Self {
        let Piece { deliverable, mut versions } = piece;
        let newest = versions.pop();
        Self::at(scene, read, &deliverable, newest)
    }

    /// The deliverable at one of its versions.
    #[must_use]
    pub fn at(
        scene: &ViewContext,
        read: &dyn Read,
        piece: &Deliverable,
        judged: Option<ReviewedVersion>,
    ) -> Self {
        let action = scene.ws.url(&format!("deliverables/{}/review", piece.id));
        let mut card = Self {
            id: piece.id.to_string(),
            short: piece.id.short(),
            title: piece.title.clone(),
            state: (piece.state.word(), piece.state.label()),
            kind: "Text",
            glyph: "doc",
            by: scene.people.actor(piece.submitted_by),
            version: piece.versions,
            version_id: String::new(),
            at: scene.time(piece.created_at),
            shown: Shown::Text(SafeHtml::default()),
            note: SafeHtml::default(),
            proof: None,
            review: None,
            href: scene.ws.url(&format!("review?piece={}", piece.id)),
            action,
            draft: format!("{}:review-{}", scene.me, piece.id),
            revise_url: match scene.may_write {
                true => scene.ws.url(&format!("deliverables/{}/revise", piece.id)),
                false => String::new(),
            },
            open: piece.state == DeliverableState::InReview && scene.may_review,
        };
        let Some(ReviewedVersion { version, review }) = judged else { return card };
        card.version = version.number;
        card.version_id = version.id.to_string();
        card.open &= version.id == piece.version;
        card.at = scene.time(version.created_at);
        card.note = scene.md_of(read, &version.note, version.run);
        if version.run.is_some() {
            // ok: evidence that cannot be read is missing evidence.
            let check = claims::of_version(read, version.id).unwrap_or_default();
            card.proof = Some(Proof::new(&scene.ws, check));
        }
        // ok: a page that cannot be read is shown as it was delivered.
        let page = version.content.page().and_then(|page| links::name(read, &page).ok().flatten());
        let is_record = version.content.word() == "record";
        (card.kind, card.glyph, card.shown) = match version.content {
            Content::Page { text, .. } => {
                let page = page.map(|(title, path)| (title, scene.ws.url(&path)));
                let (kind, glyph) = if is_record { ("Record", "list") } else { ("Page", "book") };
                (kind, glyph, Shown::Page(scene.md_of(read, &text, version.run), page))
            }
            Content::Text(text) => {
                ("Text", "doc", Shown::Text(scene.md_of(read, &text, version.run)))
            }
            Content::Url(url) => ("Link", "link", Shown::Url(url)),
            Content::File { name, size, .. } => {
                let href = scene.ws.url(&format!("deliverables/{}/file", version.id));
                let view =
                    view(&name, || scene.ws.url(&format!("deliverables/{}/view", version.id)));
                ("File", "file", Shown::File(name, format::size(size), href, view))
            }
        };
        card.review = review.map(|review| Said {
            face: scene.people.face(Assignee::Person(review.by)),
            state: review.verdict.word(),
            label: review.verdict.label(),
            note: scene.md(read, &review.note),
            remarks: review.remarks.into_iter().map(|one| (one.quote, one.text)).collect(),
            at: scene.time(review.created_at),
        });
        card
    }
}

/// How to view a file, judged by its extension.
fn view(name: &str, url: impl FnOnce() -> String) -> Option<View> {
    let (_, ending) = name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" => Some(View::Image(url())),
        "pdf" => Some(View::Pdf(url())),
        _ => None,
    }
}
