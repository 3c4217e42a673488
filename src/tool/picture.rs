//! Prepares images for models: within the pixel and byte limits of every provider, upright, in a format that all of
//! them read. An image that already fits is not re-encoded.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType, ImageDecoder};

use super::media;

/// Media type of a downscaled image.
pub const SMALLER: &str = "image/jpeg";
/// Maximum side length, in pixels: the providers' limit for requests with many images. Models use no higher resolution.
const SIDE: u32 = 2_000;
/// Maximum size in bytes: 5 MB in Base64.
const MAX_BYTES: usize = 5 * 1024 * 1024 / 4 * 3;
/// Maximum number of pixels to decode: enough for phone photos, and far less than a small file can claim.
const MAX_PIXELS: u64 = 50_000_000;
/// Memory limit for decoded pixels, in bytes.
const MAX_DECODED: u64 = 160 * 1024 * 1024;
/// JPEG qualities to try, until the file is small enough.
const QUALITIES: [u8; 3] = [85, 70, 45];

/// Why an image cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// More pixels than the decoding limit: width and height.
    #[error("it has {0} x {1} pixels, too many to resize it")]
    TooManyPixels(u32, u32),
    /// Too large to send unchanged, and not decodable.
    #[error("it is damaged or of an unknown kind, and too large to send as it is")]
    Unreadable,
}

/// Returns `true` if an image can be sent unchanged, judged by its header. Small unreadable images are left to the
/// provider.
#[must_use]
pub fn fits(data: &[u8]) -> bool {
    let small = data.len() <= MAX_BYTES;
    // Some providers reject animated images.
    let moves = media::kind(data) == Some("image/gif");
    match open(data) {
        Some(decoder) => {
            let (width, height) = decoder.dimensions();
            small && !moves && width.max(height) <= SIDE
        }
        None => small,
    }
}

/// Converts an image to an upright JPEG within the limits of every provider. Takes about a second for a large image;
/// blocking.
///
/// # Errors
/// If the image has too many pixels or cannot be read.
pub fn smaller(data: &[u8]) -> Result<Vec<u8>, PictureError> {
    let mut decoder = open(data).ok_or(PictureError::Unreadable)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(PictureError::Unreadable);
    }
    if MAX_PIXELS < pixels || MAX_DECODED < decoder.total_bytes() {
        return Err(PictureError::TooManyPixels(width, height));
    }
    // ok: an unreadable orientation counts as upright
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = decoder.color_type();
    let len = usize::try_from(decoder.total_bytes()).map_err(|_| PictureError::Unreadable)?;
    let mut bytes = vec![0; len];
    decoder.read_image_boxed(&mut bytes).map_err(|_| PictureError::Unreadable)?;
    let source = Source { width: size(width), height: size(height), color, bytes };
    let (width, height) = target(width, height);
    let raster = Raster { width, height, rgb: source.shrunk(width, height) };
    drop(source);
    raster.upright(turn).written()
}

fn size(pixels: u32) -> usize {
    usize::try_from(pixels).unwrap_or(usize::MAX)
}

/// Scaled size, with the longer side at most `SIDE`.
fn target(width: u32, height: u32) -> (usize, usize) {
    let long = u64::from(width.max(height));
    let scaled = |side: u32| match long <= u64::from(SIDE) {
        true => size(side),
        false => usize::try_from(u64::from(side) * u64::from(SIDE) / long).unwrap_or(1).max(1),
    };
    (scaled(width), scaled(height))
}

fn open(data: &[u8]) -> Option<Box<dyn ImageDecoder + '_>> {
    let from = Cursor::new(data);
    // ok: any failure to open counts as an unknown format
    let decoder: Box<dyn ImageDecoder + '_> = match media::kind(data)? {
        "image/jpeg" => Box::new(JpegDecoder::new(from).ok()?),
        "image/png" => Box::new(PngDecoder::new(from).ok()?),
        "image/gif" => Box::new(GifDecoder::new(from).ok()?),
        "image/webp" => Box::new(WebPDecoder::new(from).ok()?),
        _ => return None,
    };
    Some(decoder)
}

/// Decoded pixels in the file's own colour type.
struct Source {
    width: usize,
    height: usize,
    color: ColorType,
    bytes: Vec<u8>,
}

/// Source pixels of one target pixel, with their weights.
struct Share {
    from: usize,
    weights: Vec<f32>,
}

fn shares(source: usize, target: usize) -> Vec<Share> {
    let scale = source as f64 / target as f64;
    let share = |n: usize| {
        let (begin, end) = (n as f64 * scale, ((n + 1) as f64 * scale).min(source as f64));
        let (from, to) = (begin as usize, (end.ceil() as usize).min(source));
        let weight = |at: usize| {
            let within = ((at + 1) as f64).min(end) - (at as f64).max(begin);
            (within / scale) as f32
        };
        Share { from, weights: (from..to).map(weight).collect() }
    };
    (0..target).map(share).collect()
}

impl Source {
    /// Downscales by weighted averaging, blended onto white.
    fn shrunk(&self, width: usize, height: usize) -> Vec<u8> {
        let pixel = usize::from(self.color.bytes_per_pixel());
        let across = shares(self.width, width);
        let mut rgb = Vec::with_capacity(width * height * 3);
        let mut row = vec![[0.0_f32; 3]; self.width];
        for down in shares(self.height, height) {
            row.fill([0.0; 3]);
            let lines = self.bytes.chunks_exact(self.width * pixel).skip(down.from);
            for (line, weight) in lines.zip(&down.weights) {
                for (sum, bytes) in row.iter_mut().zip(line.chunks_exact(pixel)) {
                    add(sum, on_white(self.color, bytes), *weight);
                }
            }
            for share in &across {
                let mut sum = [0.0; 3];
                let pixels = row.iter().skip(share.from);
                pixels
                    .zip(&share.weights)
                    .for_each(|(pixel, weight)| add(&mut sum, *pixel, *weight));
                rgb.extend(sum.map(|value| value.round().clamp(0.0, 255.0) as u8));
            }
        }
        rgb
    }
}

fn add(sum: &mut [f32; 3], pixel: [f32; 3], weight: f32) {
    for (sum, value) in sum.iter_mut().zip(pixel) {
        *sum += value * weight;
    }
}

/// Blends a pixel onto white.
fn on_white(color: ColorType, bytes: &[u8]) -> [f32; 3] {
    let slim = |n: usize| f32::from(bytes[n]);
    let wide = |n: usize| f32::from(u16::from_ne_bytes([bytes[2 * n], bytes[2 * n + 1]])) / 257.0;
    let (rgb, alpha) = match color {
        ColorType::L8 => ([slim(0); 3], 255.0),
        ColorType::La8 => ([slim(0); 3], slim(1)),
        ColorType::Rgb8 => ([slim(0), slim(1), slim(2)], 255.0),
        ColorType::Rgba8 => ([slim(0), slim(1), slim(2)], slim(3)),
        ColorType::L16 => ([wide(0); 3], 255.0),
        ColorType::La16 => ([wide(0); 3], wide(1)),
        ColorType::Rgb16 => ([wide(0), wide(1), wide(2)], 255.0),
        ColorType::Rgba16 => ([wide(0), wide(1), wide(2)], wide(3)),
        // The supported formats decode to no other colour type.
        _ => ([255.0; 3], 255.0),
    };
    rgb.map(|value| 255.0 - (255.0 - value) * alpha / 255.0)
}

/// An image with three bytes per pixel.
struct Raster {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Raster {
    /// Applies the EXIF orientation.
    fn upright(self, turn: Orientation) -> Self {
        let Self { width: w, height: h, rgb } = self;
        let turns = matches!(
            turn,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        );
        let (width, height) = if turns { (h, w) } else { (w, h) };
        // The source position of a target pixel.
        let from = |x: usize, y: usize| match turn {
            Orientation::NoTransforms => (x, y),
            Orientation::Rotate90 => (y, h - 1 - x),
            Orientation::Rotate180 => (w - 1 - x, h - 1 - y),
            Orientation::Rotate270 => (w - 1 - y, x),
            Orientation::FlipHorizontal => (w - 1 - x, y),
            Orientation::FlipVertical => (x, h - 1 - y),
            Orientation::Rotate90FlipH => (y, x),
            Orientation::Rotate270FlipH => (w - 1 - y, h - 1 - x),
        };
        if turn == Orientation::NoTransforms {
            return Self { width, height, rgb };
        }
        let mut turned = Vec::with_capacity(rgb.len());
        for y in 0..height {
            for x in 0..width {
                let (x, y) = from(x, y);
                let at = (y * w + x) * 3;
                turned.extend_from_slice(&rgb[at..at + 3]);
            }
        }
        Self { width, height, rgb: turned }
    }

    /// Encodes as JPEG.
    fn written(&self) -> Result<Vec<u8>, PictureError> {
        let side = |pixels: usize| u32::try_from(pixels).map_err(|_| PictureError::Unreadable);
        let (width, height) = (side(self.width)?, side(self.height)?);
        for quality in QUALITIES {
            let mut out = Vec::new();
            JpegEncoder::new_with_quality(&mut out, quality)
                .encode(&self.rgb, width, height, ExtendedColorType::Rgb8)
                .map_err(|_| PictureError::Unreadable)?;
            if out.len() <= MAX_BYTES {
                return Ok(out);
            }
        }
        Err(PictureError::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use image::ImageEncoder;
    use image::codecs::png::PngEncoder;

    use super::*;

    /// Red on the left, blue on the right.
    fn halves(width: usize, height: usize) -> Vec<u8> {
        let line: Vec<u8> = (0..width)
            .flat_map(|x| if x < width / 2 { [250, 0, 0] } else { [0, 0, 250] })
            .collect();
        line.repeat(height)
    }

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let rgb = halves(width as usize, height as usize);
        JpegEncoder::new_with_quality(&mut out, 90)
            .encode(&rgb, width, height, ExtendedColorType::Rgb8)
            .expect("it is written");
        out
    }

    /// The same with an EXIF orientation.
    fn held(jpeg: &[u8], turn: u8) -> Vec<u8> {
        let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([turn, 0, 0, 0, 0, 0, 0]);
        let mut out = jpeg[..2].to_vec();
        out.extend([0xff, 0xe1, 0, u8::try_from(exif.len() + 2).expect("short")]);
        out.extend(exif);
        out.extend(&jpeg[2..]);
        out
    }

    fn read(data: &[u8]) -> (u32, u32, Vec<u8>) {
        let decoder = open(data).expect("a picture");
        let (width, height) = decoder.dimensions();
        let mut rgb = vec![0; usize::try_from(decoder.total_bytes()).expect("small")];
        decoder.read_image_boxed(&mut rgb).expect("whole");
        (width, height, rgb)
    }

    /// Returns `true` if a pixel is red; else it is blue.
    fn is_red((width, _, rgb): &(u32, u32, Vec<u8>), x: u32, y: u32) -> bool {
        let at = ((y * width + x) * 3) as usize;
        rgb[at] > 200 && rgb[at + 2] < 60
    }

    #[test]
    fn what_every_provider_takes_stays_as_it_is() {
        assert!(fits(&jpeg(640, 480)));
        assert!(fits(b"\x89PNG\r\n\x1a\nbroken"), "small and unknown: the provider decides");
        assert!(fits(b"words"));
        assert!(!fits(&vec![0; MAX_BYTES + 1]));
        assert!(!fits(&jpeg(2_400, 300)));
    }

    #[test]
    fn a_large_picture_keeps_its_proportions_and_colours() {
        let small = smaller(&jpeg(2_400, 121)).expect("a picture");
        assert!(small.starts_with(b"\xff\xd8\xff") && fits(&small));
        let seen = read(&small);
        assert_eq!((seen.0, seen.1), (2_000, 100));
        assert!(is_red(&seen, 10, 50) && !is_red(&seen, 1_990, 50));
    }

    #[test]
    fn a_picture_is_turned_as_the_camera_was_held() {
        for (turn, size, top, bottom) in
            [(6, (100, 2_000), true, false), (8, (100, 2_000), false, true)]
        {
            let seen = read(&smaller(&held(&jpeg(2_400, 120), turn)).expect("a picture"));
            assert_eq!((seen.0, seen.1), size, "{turn}");
            assert_eq!((is_red(&seen, 50, 5), is_red(&seen, 50, 1_990)), (top, bottom), "{turn}");
        }
        let seen = read(&smaller(&held(&jpeg(2_400, 120), 3)).expect("a picture"));
        assert!(seen.0 == 2_000 && !is_red(&seen, 5, 5) && is_red(&seen, 1_990, 5));
        for turn in [Orientation::Rotate90FlipH, Orientation::Rotate270FlipH] {
            let raster = Raster { width: 3, height: 1, rgb: (0..9).collect() }.upright(turn);
            let first = if turn == Orientation::Rotate90FlipH { 0 } else { 6 };
            assert_eq!((raster.width, raster.height, raster.rgb[0]), (1, 3, first));
        }
    }

    #[test]
    fn what_is_seen_through_lies_on_white() {
        let mut png = Vec::new();
        let clear = [9, 9, 9, 0].repeat(2_100 * 4);
        PngEncoder::new(&mut png)
            .write_image(&clear, 2_100, 4, ExtendedColorType::Rgba8)
            .expect("it is written");
        let (width, _, rgb) = read(&smaller(&png).expect("a picture"));
        assert_eq!(width, 2_000);
        assert!(rgb.iter().all(|value| 250 < *value));
    }

    #[test]
    fn a_small_file_that_claims_to_be_huge_is_never_decoded() {
        let bomb = include_bytes!("../../tests/it/fixtures/bomb.jpg");
        assert!(!fits(bomb));
        assert_eq!(smaller(bomb), Err(PictureError::TooManyPixels(65_535, 65_535)));
        let broken = &jpeg(2_400, 120)[..900];
        assert!(matches!(smaller(broken), Ok(_) | Err(PictureError::Unreadable)));
        assert_eq!(smaller(b"words"), Err(PictureError::Unreadable));
    }

    #[test]
    fn shares_of_a_line_are_whole() {
        for (source, target) in [(10, 10), (10, 3), (7, 5), (2_001, 2_000), (5, 1)] {
            let all = shares(source, target);
            assert_eq!(all.len(), target);
            for share in &all {
                let sum: f32 = share.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-3, "{source} {target} {sum}");
                assert!(share.from + share.weights.len() <= source);
            }
        }
    }
}
