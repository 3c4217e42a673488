//! Still pictures of a page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Point;
use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{Capture, Clip, Layout, Metrics};
use crate::transport::USUAL;

/// The highest picture of a whole page, in the page's pixels.
const MAX_HEIGHT: f64 = 8_000.0;

/// The box of a node in its frame; scrolled into view, so that the point at which it is aimed lies in it.
const BOX: &str = "function () {
    const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
    const box = element.getBoundingClientRect();
    return { width: box.width, height: box.height };
}";

/// What is wanted of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    /// JPEG with this quality, up to 100; none for PNG.
    pub quality: Option<u8>,
    /// Pixels; a wider page is made smaller.
    pub max_width: u32,
    /// The whole page instead of what is in view.
    pub whole: bool,
    /// Only what is around this part.
    pub around: Option<u32>,
}

impl Default for Shot {
    fn default() -> Self {
        Self { quality: Some(60), max_width: 1280, whole: false, around: None }
    }
}

impl Page {
    /// Takes a picture: JPEG or PNG.
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

    /// The middle of what is in view.
    pub(super) async fn middle(&self) -> Result<Point, BrowserError> {
        let view = self.call(&Metrics {}, USUAL).await?.css_visual_viewport;
        Ok(Point { x: view.client_width / 2.0, y: view.client_height / 2.0 })
    }

    /// Where parts lie in a picture of what is in view, for labels: those that are in view.
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
            // Parts of other frames would need the way through them; labels do without.
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

/// The box of a part with a margin, as far as it is in view.
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
