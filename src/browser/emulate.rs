//! Emulated properties of a tab's machine: size, time zone, language, network. They apply until they are changed or the
//! tab is closed.

use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{
    MediaFeature, PrintPdf, SetLocale, SetMedia, SetNetwork, SetSize, SetTouch, SetZone, UsualSize,
};
use crate::transport::USUAL;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Maximum width and height in pixels.
pub const MAX_SIDE: u32 = 4_000;
/// Minimum width and height in pixels.
pub const MIN_SIDE: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Device pixels per CSS pixel.
    pub scale: f64,
    /// Whether it is a phone, with touch instead of a mouse.
    pub is_phone: bool,
}

/// Properties of a tab; `None` means the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emulation {
    pub size: Option<Size>,
    /// IANA name of the time zone.
    pub zone: Option<String>,
    /// Language, such as `de-DE`.
    pub locale: Option<String>,
    /// `screen` or `print`.
    pub media: Option<String>,
    /// `light` or `dark`.
    pub scheme: Option<String>,
    pub is_offline: bool,
}

impl Page {
    /// Applies all properties.
    ///
    /// # Errors
    /// When a size is out of range, or the browser does not know the zone or language.
    pub async fn emulate(&self, to: &Emulation) -> Result<(), BrowserError> {
        let wrong = |why: String| Err(BrowserError::Wrong(why));
        if let Some(Size { width, height, scale, .. }) = to.size {
            let fits = |side| (MIN_SIDE..=MAX_SIDE).contains(&side);
            if !fits(width) || !fits(height) {
                return wrong(format!("use a width and height of {MIN_SIDE} to {MAX_SIDE}"));
            }
            if !(0.5..=4.0).contains(&scale) {
                return wrong("use a scale of 0.5 to 4".to_owned());
            }
        }
        let zone = to.zone.as_deref().unwrap_or_default();
        // Not every Chromium refuses an unknown zone.
        if !zone.is_empty() && jiff::tz::TimeZone::get(zone).is_err() {
            return wrong(format!("there is no time zone {zone}"));
        }
        // The zone first, so that a refusal changes nothing else.
        known("zone", zone, self.call(&SetZone { timezone_id: zone }, USUAL).await)?;
        let locale = to.locale.as_deref().unwrap_or_default();
        known("locale", locale, self.call(&SetLocale { locale }, USUAL).await)?;
        match to.size {
            Some(size) => {
                let set = SetSize {
                    width: size.width,
                    height: size.height,
                    device_scale_factor: size.scale,
                    mobile: size.is_phone,
                };
                self.call(&set, USUAL).await.map(drop)?;
            }
            None => self.call(&UsualSize {}, USUAL).await.map(drop)?,
        }
        let is_phone = to.size.is_some_and(|size| size.is_phone);
        self.call(&SetTouch { enabled: is_phone }, USUAL).await?;
        let value = to.scheme.as_deref().unwrap_or_default();
        let features = vec![MediaFeature { name: "prefers-color-scheme", value }];
        let media = to.media.as_deref().unwrap_or_default();
        self.call(&SetMedia { media, features }, USUAL).await?;
        self.hear_requests().await?;
        let network = SetNetwork {
            offline: to.is_offline,
            latency: 0.0,
            download_throughput: -1.0,
            upload_throughput: -1.0,
        };
        self.call(&network, USUAL).await.map(drop)
    }

    /// The page as a PDF.
    ///
    /// # Errors
    /// When the browser cannot print it.
    pub async fn pdf(&self) -> Result<Vec<u8>, BrowserError> {
        let data = self.call(&PrintPdf { print_background: true }, USUAL).await?.data;
        STANDARD.decode(data).map_err(|error| BrowserError::Refused {
            method: "Page.printToPDF",
            message: error.to_string(),
        })
    }
}

/// A value that the browser does not know is an error of the caller.
fn known<T>(what: &str, value: &str, done: Result<T, BrowserError>) -> Result<(), BrowserError> {
    match done {
        Err(BrowserError::Refused { message, .. }) => {
            let value: String = value.chars().take(60).collect();
            Err(BrowserError::Wrong(format!("{what} {value:?} is unknown: {message}")))
        }
        done => done.map(drop),
    }
}
