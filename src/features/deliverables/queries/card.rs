//! Delivered work as a card: what it is, where it stands, what was said of it.

use crate::deliverables::model::{Content, Deliverable};
use crate::links::queries as links;
use crate::tasks::queries::view_context::ViewContext;
use kernel::{Assignee, DeliverableState, TypedId as _, Verdict};
use store::Read;
use web::format;
use web::html::SafeHtml;
use web::parts::Face;
use web::time::RelTime;

use super::{Piece, ReviewedVersion};

/// What a person said of a version.
#[derive(Clone, Debug)]
pub struct Said {
    pub face: Face,
    /// State word.
    pub state: &'static str,
    /// In words: "Approved".
    pub label: &'static str,
    /// The note, rendered.
    pub note: SafeHtml,
    /// What was said to single places: the place, or nothing, and the words.
    pub remarks: Vec<(String, String)>,
    pub at: RelTime,
}

/// What was delivered.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Markdown, rendered.
    Text(SafeHtml),
    /// A page, rendered as it was delivered; what it is called now and where it is, if it is still there.
    Page(SafeHtml, Option<(String, String)>),
    /// An address on the web.
    Url(String),
    /// A file: name, size, where it is fetched, where it is shown if its name says an image or PDF.
    File(String, String, String, Option<View>),
}

/// How a delivered file can be looked at. What it really is, its bytes say when it is fetched.
#[derive(Clone, Debug)]
pub enum View {
    /// In an image element.
    Image(String),
    /// In a tab of its own.
    Pdf(String),
}

/// Delivered work for a page.
#[derive(Clone, Debug)]
pub struct Card {
    pub id: String,
    /// A short id for elements.
    pub short: String,
    pub title: String,
    /// Where it stands: word and label.
    pub state: (&'static str, &'static str),
    /// "Text", "Link", "File", "Page", "Record".
    pub kind: &'static str,
    /// Icon of the kind.
    pub glyph: &'static str,
    /// Who delivered it.
    pub by: Face,
    /// The number of the version.
    pub version: u32,
    /// The id of the version: a review is bound to it.
    pub version_id: String,
    /// When it was delivered.
    pub at: RelTime,
    /// What was delivered.
    pub shown: Shown,
    /// What its maker says about it.
    pub note: SafeHtml,
    /// What was said of this version.
    pub said: Option<Said>,
    /// Where the review page shows it.
    pub href: String,
    /// Where a review is sent.
    pub action: String,
    /// Under which name the script keeps what is typed into the review.
    pub draft: String,
    /// Whether this person may decide now.
    pub open: bool,
    /// Where the next version is delivered; empty for who may not.
    pub again: String,
}

impl Card {
    /// The card of a piece at its newest version.
    #[must_use]
    pub fn new(scene: &ViewContext, read: &dyn Read, piece: Piece) -> Self {
        let Piece { deliverable, mut versions } = piece;
        let newest = versions.pop();
        Self::at(scene, read, &deliverable, newest)
    }

    /// The card of a piece at one of its versions.
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
            said: None,
            href: scene.ws.url(&format!("review?piece={}", piece.id)),
            action,
            draft: format!("{}:review-{}", scene.me, piece.id),
            again: match scene.may_write {
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
        card.said = review.map(|review| Said {
            face: scene.people.face(Assignee::Person(review.by)),
            state: state_of(review.verdict),
            label: review.verdict.label(),
            note: scene.md(read, &review.note),
            remarks: review.remarks.into_iter().map(|one| (one.quote, one.text)).collect(),
            at: scene.time(review.created_at),
        });
        card
    }
}

/// What the ending of a name promises.
fn view(name: &str, url: impl FnOnce() -> String) -> Option<View> {
    let (_, ending) = name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" => Some(View::Image(url())),
        "pdf" => Some(View::Pdf(url())),
        _ => None,
    }
}

/// The state word of a verdict.
#[must_use]
pub fn state_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "approved",
        Verdict::ChangesRequested => "changes_requested",
        Verdict::Rejected => "rejected",
    }
}
