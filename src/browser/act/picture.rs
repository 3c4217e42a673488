//! Screenshots of a page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Point;
use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{Capture, Clip, Layout, Metrics};
use crate::transport::USUAL;

/// Maximum height of a picture of a whole page, in CSS pixels.
const MAX_HEIGHT: f64 = 8_000.0;

/// The size of a node in its frame. The node was scrolled into view, so the aimed point is inside.
const BOX: &str = "function () {
    const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
    const box = element.getBoundingClientRect();
    return { width: box.width, height: box.height };
}";

/// Sizes of small pictures, the best first: width in pixels, quality.
const SMALL: [(u32, u8); 4] = [(960, 50), (800, 35), (640, 25), (480, 15)];
/// The full length in the unit of [`Spot`].
const WHOLE: f64 = 10_000.0;

/// Position of a part in the viewport, in 1/10,000 of its width and height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub left: u16,
    pub top: u16,
    pub width: u16,
    pub height: u16,
}

/// Parameters of a screenshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    /// JPEG quality, up to 100; `None` for PNG.
    pub quality: Option<u8>,
    /// In pixels; a wider page is scaled down.
    pub max_width: u32,
    /// The whole page instead of the viewport.
    pub whole: bool,
    /// Only the surroundings of this part.
    pub around: Option<u32>,
}

impl Default for Shot {
    fn default() -> Self {
        Self { quality: Some(60), max_width: 1280, whole: false, around: None }
    }
}

impl Page {
    /// Takes a screenshot as JPEG or PNG.
    pub async fn screenshot(&self, shot: Shot) -> Result<Vec<u8>, BrowserError> {
        self.bring_to_front().await?;
        let layout = self.call(&Metrics {}, USUAL).await?;
        let mut clip = clip_of(&layout, shot.whole);
        if let Some(number) = shot.around {
            let at = self.aim(number).await?;
            let size = self.on(number, BOX, vec![]).await?;
            let layout = self.call(&Metrics {}, USUAL).await?;
            clip = around(&layout, at, [&size["width"], &size["height"]].map(|n| n.as_f64()));
        }
        clip.scale = (f64::from(shot.max_width) / clip.width.max(1.0)).min(1.0);
        let capture = Capture {
            format: if shot.quality.is_some() { "jpeg" } else { "png" },
            quality: shot.quality.unwrap_or(100),
            clip,
            capture_beyond_viewport: shot.whole,
            optimize_for_speed: true,
        };
        let data = self.call(&capture, USUAL).await?.data;
        STANDARD.decode(data).map_err(|error| BrowserError::Refused {
            method: "Page.captureScreenshot",
            message: error.to_string(),
        })
    }

    /// A small picture of the viewport as JPEG of at most `most` bytes; `None` if the page is too detailed for that.
    pub async fn small_picture(&self, most: usize) -> Result<Option<Vec<u8>>, BrowserError> {
        for (max_width, quality) in SMALL {
            let shot = Shot { quality: Some(quality), max_width, ..Shot::default() };
            let picture = self.screenshot(shot).await?;
            if picture.len() <= most {
                return Ok(Some(picture));
            }
        }
        Ok(None)
    }

    /// The position of a part in the viewport; scrolls it into view, as an act would.
    pub async fn spot(&self, number: u32) -> Result<Spot, BrowserError> {
        let at = self.aim(number).await?;
        let size = self.on(number, BOX, vec![]).await?;
        let view = self.call(&Metrics {}, USUAL).await?.css_visual_viewport;
        let [width, height] = ["width", "height"].map(|side| size[side].as_f64().unwrap_or(0.0));
        let (left, width) = span(at.x, width, view.client_width);
        let (top, height) = span(at.y, height, view.client_height);
        Ok(Spot { left, top, width, height })
    }

    /// The middle of the viewport.
    pub(super) async fn middle(&self) -> Result<Point, BrowserError> {
        let view = self.call(&Metrics {}, USUAL).await?.css_visual_viewport;
        Ok(Point { x: view.client_width / 2.0, y: view.client_height / 2.0 })
    }

    /// Left, top, width and height of those parts that are in the viewport, for labels.
    pub async fn places(&self, numbers: &[u32]) -> Result<Vec<(u32, [f64; 4])>, BrowserError> {
        const PLACE: &str = "function () {
            const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
            const box = element.getBoundingClientRect();
            const inside = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
            return inside ? [box.left, box.top, box.width, box.height] : null;
        }";
        let mut places = Vec::new();
        for number in numbers {
            let node = self.node(*number).await?;
            // Parts of other frames would need coordinates of each frame; they get no labels.
            if node.session != self.session || self.is_inner(&node.frame)? {
                continue;
            }
            let place = self.on(*number, PLACE, vec![]).await?;
            if let Ok(place) = serde_json::from_value::<[f64; 4]>(place) {
                places.push((*number, place));
            }
        }
        Ok(places)
    }

    fn is_inner(&self, frame: &str) -> Result<bool, BrowserError> {
        self.with_tab(|tab| tab.target != frame)
    }
}

/// Start and length of a span around its middle, in 1/10,000 of the whole.
fn span(middle: f64, length: f64, whole: f64) -> (u16, u16) {
    let part = |at: f64| (at / whole.max(1.0) * WHOLE).clamp(0.0, WHOLE);
    let (from, to) = (part(middle - length / 2.0), part(middle + length / 2.0));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "use at most 10,000"
    )]
    let whole = |at: f64| at as u16;
    (whole(from), whole(to - from))
}

fn clip_of(layout: &Layout, whole: bool) -> Clip {
    let view = &layout.css_visual_viewport;
    let (x, y, width, height) = match whole {
        true => {
            let size = &layout.css_content_size;
            (0.0, 0.0, size.width, size.height.min(MAX_HEIGHT))
        }
        false => (view.page_x, view.page_y, view.client_width, view.client_height),
    };
    Clip { x, y, width, height, scale: 1.0 }
}

/// The box of a part with a margin, clipped to the viewport.
fn around(layout: &Layout, at: Point, size: [Option<f64>; 2]) -> Clip {
    const MARGIN: f64 = 40.0;
    let view = &layout.css_visual_viewport;
    let [width, height] = size.map(|length| length.unwrap_or(0.0) / 2.0 + MARGIN);
    let (left, top) = ((at.x - width).max(0.0), (at.y - height).max(0.0));
    let right = (at.x + width).min(view.client_width);
    let bottom = (at.y + height).min(view.client_height);
    Clip {
        x: view.page_x + left,
        y: view.page_y + top,
        width: (right - left).max(1.0),
        height: (bottom - top).max(1.0),
        scale: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_part_is_told_as_far_as_it_is_in_view() {
        assert_eq!(span(500.0, 200.0, 1_000.0), (4_000, 2_000));
        assert_eq!(span(50.0, 200.0, 1_000.0), (0, 1_500));
        assert_eq!(span(5.0, 2.0, 0.0), (10_000, 0));
    }
}
